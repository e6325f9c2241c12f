"""The episodes of one iteration of a system: few calls, counted steps, seeds that were never trained on.

Axis letters: P episodes, K agents asked about, E episodes of one evaluation, N weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from aiga.interfaces import Array, Evaluate, Outcome

EVALUATION = 2**31  # learners train on episode seeds below, evaluations use those from here up


def evaluation_seeds(key: jax.Array, count: int) -> np.ndarray:
    """`count` different episode seeds u32 that no learner trains on."""
    first = int(jax.random.bits(key, (), np.uint32))
    return np.array([(first + i) % EVALUATION + EVALUATION for i in range(count)], np.uint32)


class Arena:
    """`evaluate` for one iteration: `seeds` u32[E] are its evaluation's, `steps` counts what was played.

    No call asks for more than `batch` episodes, unless one evaluation alone does.
    """

    def __init__(self, evaluate: Evaluate, batch: int, seeds: np.ndarray) -> None:
        self.evaluate, self.batch, self.seeds, self.steps = evaluate, batch, seeds, 0

    def play(self, weights: Array, courses: Sequence[Any], which: Array, seeds: Array) -> Outcome:
        """`evaluate` itself, its steps counted."""
        outcome = self.evaluate(weights, courses, which, seeds)
        self.steps += int(np.asarray(outcome.lengths).sum(dtype=np.int64))
        return outcome

    def score(
        self, agents: Sequence[Array], courses: Sequence[Any], seeds: np.ndarray | None = None
    ) -> list[tuple[float, float]]:
        """Mean return and share of episodes finished, of K agents f32[N] on a course each.

        All play the same `seeds`, by default this iteration's, so that they compare. The mean is NaN where
        any return is.
        """
        seeds = self.seeds if seeds is None else seeds
        distinct = {id(course): course for course in courses}
        places = {identity: place for place, identity in enumerate(distinct)}
        which = np.array([places[id(course)] for course in courses], np.int32)
        together = max(1, self.batch // len(seeds))
        scored: list[tuple[float, float]] = []
        for at in range(0, len(agents), together):
            some = slice(at, at + together)
            outcome = self.play(
                np.repeat(np.stack(agents[some]), len(seeds), axis=0),
                list(distinct.values()),
                np.repeat(which[some], len(seeds)),
                np.tile(seeds, len(which[some])),
            )
            means = np.asarray(outcome.returns, np.float64).reshape(-1, len(seeds)).mean(axis=1)
            shares = np.asarray(outcome.finished, np.float64).reshape(-1, len(seeds)).mean(axis=1)
            scored += zip(means.tolist(), shares.tolist(), strict=True)
        return scored
