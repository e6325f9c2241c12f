"""Tasks for a walker that has to adapt: slopes, grass and loads.

One thing about the world changes, and the policy is not told which (Song et al. 2020, arXiv 1910.01215, do
so with a robot's payload and motors). A task is a course with one of `KINDS` changed by an amount from 0,
Gymnasium's ground, to 1, as hard as it gets. Half-way and the hardest are never trained on, so that they can
be tested on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from aiga.worlds.walker.course import BOUNDS, FRICTION, Course, Genes
from aiga.worlds.walker.space import generator, grow

KINDS = ("uphill", "downhill", "grass", "load")
TRAINED = ((0.0, 0.4), (0.6, 0.9))  # amounts
HELD_OUT = (0.5, 1.0)


@dataclass(frozen=True)
class GroundSpace:
    """Courses grown from `genes`, changed in one way; the numbers are those of the hardest task.

    ValueError, naming the field, for one that no course may have.
    """

    slope: float = 8.0  # degrees, up or down
    softness: float = 0.04  # m, of grass
    friction: float = 0.3  # of grass
    load: float = 3.0  # kg
    genes: Genes = field(default_factory=Genes)

    def __post_init__(self) -> None:
        for name in ("slope", "softness", "friction", "load"):
            low, high, _ = BOUNDS[name]
            value, scale = getattr(self, name), np.rad2deg(1) if name == "slope" else 1.0
            if not max(low, 0) <= value <= high * scale:
                raise ValueError(
                    f"{name}: must lie within {max(low, 0):g} and {high * scale:g}, not {value!r}"
                )

    def task(self, kind: str, amount: float) -> Course:
        """The course changed in the way `kind` by `amount`. ValueError for a kind that is none."""
        course = grow(self.genes)
        if kind in ("uphill", "downhill"):
            return course.inclined(np.deg2rad(self.slope * amount) * (1 if kind == "uphill" else -1))
        if kind == "grass":
            friction = FRICTION * (self.friction / FRICTION) ** amount
            return replace(course, softness=self.softness * amount, friction=friction)
        if kind == "load":
            return replace(course, load=self.load * amount)
        raise ValueError(f"kind: one of {', '.join(KINDS)}, not {kind!r}")

    def held_out(self) -> dict[str, Course]:
        """The tasks to test on, by name."""
        return {f"{kind} {amount:g}": self.task(kind, amount) for kind in KINDS for amount in HELD_OUT}

    def sample(self, key: Any) -> Course:
        """A task to train on: any kind, an amount uniform over `TRAINED`."""
        random = generator(key)
        return self.task(KINDS[random.randint(len(KINDS))], _amount(random.uniform()))

    def mutate(self, key: Any, item: Course) -> Course:
        """Another task of the same kind, at random."""
        random, kind = generator(key), self._kind(item)
        return self.task(kind or KINDS[random.randint(len(KINDS))], _amount(random.uniform()))

    def describe(self, item: Course) -> np.ndarray:
        """f32[4]: slope in degrees, softness, friction and load."""
        slope = np.rad2deg(item.slope)
        return np.array([slope, item.softness, item.friction, item.load], np.float32)

    def valid(self, item: Course) -> bool:
        """Whether a task of this space, of any amount up to the hardest."""
        try:
            item = item.check()
        except ValueError:
            return False
        kind = self._kind(item)
        if kind is None:
            return np.array_equal(item.left, grow(self.genes).left)
        hardest = np.abs(self.describe(self.task(kind, 1.0)) - self.describe(grow(self.genes)))
        here = np.abs(self.describe(item) - self.describe(grow(self.genes)))
        return bool((here <= hardest * 1.001 + 1e-6).all())

    def _kind(self, item: Course) -> str | None:
        if item.slope:
            return "uphill" if item.slope > 0 else "downhill"
        return "grass" if item.softness or item.friction != FRICTION else "load" if item.load else None


def _amount(share: float) -> float:
    """Where a share of all that is trained on, from 0 to 1, lies."""
    for low, high in TRAINED:
        wide = (high - low) / sum(b - a for a, b in TRAINED)
        if share <= wide:
            return low + share / wide * (high - low)
        share -= wide
    return TRAINED[-1][1]
