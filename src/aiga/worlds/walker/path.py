"""The direct path from flat ground to a course: the curriculum that POET is compared with.

Wang, Lehman, Clune, Stanley 2019, arXiv 1901.01753, section 4.2: every obstacle grows by its mutation step
towards the target, and nothing else is ever tried.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from aiga.worlds.walker.course import Course, Genes
from aiga.worlds.walker.space import FIRST, ROUGHER, STEP, WalkerSpace, genes_of, grow


@dataclass(frozen=True)
class Path:
    """A space with one way through it: a child is one step nearer to `target`, whose terrain seed it has."""

    target: Genes
    space: WalkerSpace = field(default_factory=WalkerSpace)

    def sample(self, key: Any) -> Course:
        """Where the path begins: level ground."""
        return grow(Genes(seed=self.target.seed))

    def mutate(self, key: Any, item: Course) -> Course:
        """The next course; the target itself once it is reached. `key` is not used."""
        return grow(self.after(genes_of(item)))

    def after(self, genes: Genes) -> Genes:
        """The genes one step further on."""
        goal = self.target
        moved: dict[str, Any] = {
            name: tuple(
                round(_towards(now, end, step), 1)
                for now, end in zip(getattr(genes, name), getattr(goal, name), strict=True)
            )
            if getattr(genes, name) != (0.0, 0.0) or getattr(goal, name) == (0.0, 0.0)
            else tuple(np.minimum(FIRST[name], getattr(goal, name)).tolist())
            for name, step in STEP.items()
        }
        moved["steps"] = int(_towards(genes.steps, goal.steps, 1))
        moved["roughness"] = round(_towards(genes.roughness, goal.roughness, ROUGHER), 1)
        return replace(goal, **moved)

    def describe(self, item: Course) -> np.ndarray:
        return self.space.describe(item)

    def valid(self, item: Course) -> bool:
        return self.space.valid(item)


def _towards(now: float, end: float, step: float) -> float:
    return now + min(max(end - now, -step), step)
