"""A course: the ground of one walker world, as data.

The ground is cut into C = 199 cells, 14/30 m wide. Each cell has a height at its left and at its right end:
slopes are lines inside a cell; stumps, pits and stairs are vertical faces between two cells. Gymnasium's
`BipedalWalker`, smooth and Hardcore, is held exactly; so is POET's ground (Wang et al. 2019, arXiv
1901.01753) but for gaps that end inside a cell.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

CELLS = 199
CELL = 14 / 30  # m
LENGTH = CELLS * CELL  # m
BASE = 400 / 30 / 4  # m, the height of flat ground
PAD = 20  # cells, the flat ground the walker starts on
GOAL = 190 * CELL  # m, a hull beyond it has finished
HIGHEST = 1000.0  # m; float32 still tells millimetres apart there
RANGE = 160 / 30  # m, of the lidar
ANGLES = 1.5 * np.arange(10) / 10  # rad, of its rays, from straight down towards the right
FRICTION = 2.5  # of Gymnasium's ground
BOUNDS = {
    "slope": (-np.pi / 4, np.pi / 4, "rad"),
    "friction": (0.0, 10.0, ""),
    "softness": (0.0, 0.05, "m"),
    "load": (0.0, 20.0, "kg"),
}


@dataclass(frozen=True)
class Genes:
    """POET's encoding of a course (paper, table 1).

    Sizes are in cells of 14/30 m, the unit of the paper's numbers; an obstacle's size is drawn uniformly
    between the two numbers of its pair. The pair (0, 0) means that there is no such obstacle.
    """

    stump_height: tuple[float, float] = (0.0, 0.0)
    gap_width: tuple[float, float] = (0.0, 0.0)
    step_height: tuple[float, float] = (0.0, 0.0)
    steps: int = 0  # of one stair; 0 where there are no stairs
    roughness: float = 0.0  # metres of random slope are multiplied by it
    seed: int = 0  # of the terrain: the same genes and seed are the same course, to the byte


@dataclass(frozen=True)
class Node:
    """Of a CPPN: `activation` of `bias` and all that comes in. Node 0 is the output."""

    id: int
    activation: str
    bias: float


@dataclass(frozen=True)
class Link:
    """Of a CPPN, from a node, or the input (-1), to a node."""

    source: int
    target: int
    weight: float


@dataclass(frozen=True)
class CPPN:
    """The encoding of a course of Enhanced POET: a network that paints heights (cppn.py)."""

    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    scale: float = 1.0  # of the heights


@dataclass(frozen=True)
class Course:
    """Cell i spans x in [i, i + 1] * 14/30 m; a jump from right[i] to left[i + 1] is a vertical face.

    `genes` and `slope` are the recipe the heights were made from; a course given by its heights alone carries
    those of flat ground. The other numbers say what the ground is like and what the walker carries; the
    defaults are Gymnasium's.
    """

    left: Any  # f32[C], m
    right: Any  # f32[C], m
    genes: Genes | CPPN = field(default_factory=Genes)
    slope: Any = 0.0  # rad by which `inclined` raised the ground; the heights have it already
    friction: Any = FRICTION  # of the ground; a leg's is 0.2, and a contact has the geometric mean
    softness: Any = 0.0  # m that a point of a leg sinks in under the weight of the unloaded walker
    load: Any = 0.0  # kg on the hull, spread like its own

    @staticmethod
    def flat() -> Course:
        """Level ground, the first course of every POET run."""
        level = np.full(CELLS, BASE, np.float32)
        return Course(level, level.copy())

    @staticmethod
    def from_heights(left: Any, right: Any = None, genes: Genes | CPPN | None = None) -> Course:
        """A course from heights in metres.

        With `left` alone f[C + 1] are the heights of a line through the cell borders; with both, each is
        f[C]. Raises ValueError (naming the field) for a wrong size, a number that is not finite or beyond
        1,000 m.
        """
        if right is None:
            nodes = heights("heights", left, CELLS + 1)
            left, right = nodes[:-1], nodes[1:]
        return Course(heights("left", left, CELLS), heights("right", right, CELLS), genes or Genes())

    def check(self) -> Course:
        """This course, its heights as f32[C].

        ValueError, naming the field, where `from_heights` would raise one and for a number beyond `BOUNDS`.
        """
        numbers = {name: _within(name, getattr(self, name)) for name in BOUNDS}
        return replace(Course.from_heights(self.left, self.right, self.genes), **numbers)

    def inclined(self, slope: float) -> Course:
        """This course with the ground after the start turned to rise by `slope` rad more, by a shear.

        The walker starts on the level still. ValueError, naming the field, for a slope beyond `BOUNDS`.
        """
        whole = _within("slope", self.slope + slope)
        rise = (np.tan(whole) - np.tan(self.slope)) * CELL * np.maximum(np.arange(CELLS + 1) - PAD, 0)
        tilted = Course.from_heights(self.left + rise[:-1], self.right + rise[1:], self.genes)
        return replace(self, left=tilted.left, right=tilted.right, slope=whole)


def heights(name: str, values: Any, size: int) -> np.ndarray:
    """`values` as finite f32[size]; ValueError naming the field `name` otherwise."""
    try:
        with np.errstate(over="ignore"):  # what is too large is infinite then
            array = np.array(values, dtype=np.float32)
    except (TypeError, ValueError):
        raise ValueError(f"course.{name}: must be {size} numbers") from None
    if array.shape != (size,):
        raise ValueError(f"course.{name}: must hold {size} numbers, not shape {array.shape}")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise ValueError(f"course.{name}: must be finite, but number {bad[0]} is {array[bad[0]]}")
    if np.abs(array).max() > HIGHEST:
        raise ValueError(f"course.{name}: must lie within -{HIGHEST:g} and {HIGHEST:g} m")
    return array


def _within(name: str, value: Any) -> float:
    """`value` as a number within `BOUNDS[name]`; ValueError naming the field otherwise."""
    low, high, unit = BOUNDS[name]
    number = np.asarray(value)
    if number.shape or number.dtype.kind not in "fiu" or not low <= float(number) <= high:
        raise ValueError(f"course.{name}: must lie within {low:.4g} and {high:.4g} {unit}".rstrip())
    return float(number)


def segments(course: Course) -> tuple[np.ndarray, np.ndarray]:
    """Both ends f64[S, 2] of every slope and vertical face."""
    x = np.arange(CELLS + 1) * CELL
    left, right = np.asarray(course.left, float), np.asarray(course.right, float)
    slopes = np.stack([x[:-1], left], 1), np.stack([x[1:], right], 1)
    faces = np.stack([x[1:-1], right[:-1]], 1), np.stack([x[1:-1], left[1:]], 1)
    jump = right[:-1] != left[1:]
    return np.concatenate([slopes[0], faces[0][jump]]), np.concatenate([slopes[1], faces[1][jump]])


def rays(course: Course, x: float, y: float) -> np.ndarray:
    """f64[10]: how far along its 160/30 m each lidar ray from (x, y) m first meets the ground; 1 where it
    does not."""
    ends = np.stack([x + RANGE * np.sin(ANGLES), y - RANGE * np.cos(ANGLES)], 1)
    a, b = segments(course)
    near = (a[:, 0] <= x + RANGE) & (b[:, 0] >= x)
    a, b = a[near], b[near]
    d, e = ends - (x, y), b - a
    with np.errstate(divide="ignore", invalid="ignore"):
        cross = d[:, None, 0] * e[None, :, 1] - d[:, None, 1] * e[None, :, 0]
        away = a[None] - (x, y)
        t = (away[..., 0] * e[None, :, 1] - away[..., 1] * e[None, :, 0]) / cross
        u = (away[..., 0] * d[:, None, 1] - away[..., 1] * d[:, None, 0]) / cross
    hit = (t >= 0) & (t <= 1) & (u >= 0) & (u <= 1)
    return np.where(hit, t, 1.0).min(1, initial=1.0)
