"""Neither too hard nor too easy: what a new environment must be to be worth keeping.

Brant and Stanley 2017, "Minimal Criterion Coevolution"; as POET uses it (Wang et al. 2019): the score an
agent gets in the environment lies within a band.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["too hard", "too easy"]


@dataclass(frozen=True)
class MinimalCriterion:
    """Scores from `low` to `high`, both included, satisfy it."""

    low: float
    high: float

    def judge(self, score: float) -> Verdict | None:
        """Why `score` fails, or None where it satisfies. A score that is not a number is too hard."""
        if not score >= self.low:
            return "too hard"
        return None if score <= self.high else "too easy"
