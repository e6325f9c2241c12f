"""The space of courses of POET: Wang, Lehman, Clune, Stanley 2019, arXiv 1901.01753, table 1.

A course is encoded by a few genes; a child's differ from its parent's by one mutation step. Obstacles stand
on grass, 5 to 9 cells apart, each kind equally likely: a stump is one cell wide, a pit four cells deep, a
stair's treads four cells long. First values, steps and limits are the paper's (its public code stops gaps at
8, not 10).

Two things differ from the public code, on purpose. The ground has a height at each end of a cell, so a gap is
rounded to whole cells. And a stair of n steps has n rises going up as it has n drops going down; there, a
rising one has n - 1.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from aiga.worlds.walker.course import BASE, CELL, CELLS, HIGHEST, PAD, Course, Genes

FIRST = {"stump_height": (0.0, 0.4), "gap_width": (0.0, 0.8), "step_height": (0.0, 0.4)}
STEP = {"stump_height": 0.2, "gap_width": 0.4, "step_height": 0.2}
ROUGHER = 0.6  # roughness moves by U(-0.6, 0.6), from zero by U(0, 0.6)
GRASS = (5, 10)  # cells between two obstacles: 5 to 9
PIT_DEPTH, TREAD = 4, 4  # cells
SEEDS = 2**31 - 1
START = 0.5  # m; a course from outside begins no farther from level
FACE = 0.01  # m; a lower one is none
NEXT = TREAD + GRASS[0]  # cells; `grow` sets no two obstacles nearer to each other
UNREAD = 12  # cells at the end
LIMITS = {"stump_height": 5.0, "gap_width": 10.0, "step_height": 5.0, "steps": 9, "roughness": 10.0}


@dataclass(frozen=True)
class WalkerSpace:
    """Courses up to these limits; a limit of zero leaves that gene out of the space.

    `genes_per_mutation` is how many genes a mutation changes, chosen at random; 0 means all of them, as the
    public code.
    """

    stump_height: float = 5.0
    gap_width: float = 10.0
    step_height: float = 5.0
    steps: int = 9
    roughness: float = 10.0
    genes_per_mutation: int = 0

    def __post_init__(self) -> None:
        for name, most in LIMITS.items():
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and 0 <= value <= most):
                raise ValueError(f"{name}: must lie within 0 and {most:g}, not {value!r}")
        if not self.names:
            raise ValueError("stump_height, gap_width, step_height, roughness: at least one must be above 0")
        if not 0 <= self.genes_per_mutation <= len(self.names):
            most = len(self.names)
            raise ValueError(
                f"genes_per_mutation: must lie within 0 (all) and {most}, not {self.genes_per_mutation!r}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The genes that mutate; the number of steps counts as one where there are stairs."""
        able = ["stump_height", "gap_width", "roughness"]
        able += ["step_height", "steps"] if self.steps and self.step_height else []
        return tuple(name for name in able if getattr(self, name) > 0)

    def sample(self, key: Any) -> Course:
        """A course whose genes are uniform up to the limits: for domain randomisation; POET begins with flat
        ground."""
        random = generator(key)
        genes: dict[str, Any] = {"seed": int(random.randint(SEEDS))}
        for name in self.names:
            limit = getattr(self, name)
            if name in STEP:
                low, high = sorted(round(random.uniform(0, limit), 1) for _ in range(2))
                genes[name] = (low, max(high, min(FIRST[name][1], limit)))
            elif name == "steps":
                genes[name] = int(random.randint(1, limit + 1))
            else:
                genes[name] = round(random.uniform(0, limit), 1)
        return grow(Genes(**genes))

    def mutate(self, key: Any, item: Course) -> Course:
        """A child of `item`: one mutation step of its genes, and ground of its own."""
        random = generator(key)
        genes = before = genes_of(item)
        count = self.genes_per_mutation or len(self.names)
        chosen = [self.names[i] for i in sorted(random.permutation(len(self.names))[:count])]
        for name in chosen:
            genes = replace(genes, **self._changed(random, name, before))
        return grow(replace(genes, seed=int(random.randint(SEEDS))))

    def adopt(self, data: dict[str, Any]) -> Course:
        """The course of heights from outside, `left` and `right` with 199 numbers each, in metres.

        The heights stay as they are; its genes are read off them (`genes_in`), so that its children resemble
        it. ValueError, naming the field, where that is not what `data` holds, the start is not fit to stand
        on (`START`, `PAD`), or a gene is beyond the limits of this space.
        """
        if unknown := sorted(set(data) - {"left", "right"}):
            raise ValueError(f"course.{unknown[0]}: unknown; a course from outside has left and right")
        for name in ("left", "right"):
            values = data.get(name)
            # Before NumPy sees them: it also takes texts for numbers.
            if not isinstance(values, list | tuple) or not all(map(_is_height, values)):
                raise ValueError(
                    f"course.{name}: must be {CELLS} numbers within -{HIGHEST:g} and {HIGHEST:g} m"
                )
        drawn = Course.from_heights(data["left"], data["right"])
        start = np.stack([drawn.left, drawn.right])[:, :PAD] - BASE
        if np.abs(start).max() > START:
            raise ValueError(f"course: its first {PAD} cells must be within {START} m of {BASE:.4g} m")
        if np.abs(start[0, 1:] - start[1, :-1]).max() > FACE:
            raise ValueError(f"course: its first {PAD} cells must have no vertical face")
        genes = genes_in(drawn)
        if genes.roughness <= 1.25 * self.roughness:  # the estimate is off by as much on courses of `grow`
            genes = replace(genes, roughness=min(genes.roughness, float(self.roughness)))
        for name in ("stump_height", "gap_width", "step_height", "steps", "roughness"):
            value, limit = getattr(genes, name), getattr(self, name) if name in self.names else 0
            if np.max(value) > limit:
                raise ValueError(f"{name}: the course has {np.max(value):g}, this space goes up to {limit:g}")
            if name in STEP and np.max(value) > 0:
                # Where mutation can go on from: no pair ends below the first one.
                genes = replace(genes, **{name: (value[0], max(value[1], _first(name, limit)[1]))})
        return replace(drawn, genes=genes)

    def _changed(self, random: np.random.RandomState, name: str, genes: Genes) -> dict[str, Any]:
        """The new value of one gene; stairs begin with one step of the first height."""
        limit = getattr(self, name)
        stairs = {"steps": max(genes.steps, 1)}
        if name == "roughness":
            change = random.uniform(-ROUGHER if genes.roughness > 0 else 0.0, ROUGHER)
            return {name: min(max(round(genes.roughness + change, 1), 0.0), limit)}
        if name == "steps":
            if not genes.steps:
                return {"steps": 1, "step_height": _first("step_height", self.step_height)}
            able = [n for n in (genes.steps - 1, genes.steps + 1) if 1 <= n <= limit]
            return {"steps": able[random.randint(len(able))]} if able else {}
        extra = stairs if name == "step_height" else {}
        pair, first = getattr(genes, name), _first(name, limit)
        if pair == (0.0, 0.0):
            return {name: first, **extra}
        moves = (STEP[name], 0.0, -STEP[name])
        near = [(round(pair[0] + a, 1), round(pair[1] + b, 1)) for a in moves for b in moves if a or b]
        able = [(low, high) for low, high in near if 0 <= low <= high and first[1] <= high <= limit]
        return {name: able[random.randint(len(able))] if able else pair, **extra}

    def describe(self, item: Course) -> np.ndarray:
        """f32[8]: roughness, gaps low and high, stumps low and high, step heights low and high, steps.

        Not scaled: the public code measures novelty as the plain distance of such vectors.
        """
        g = genes_of(item)
        return np.array([g.roughness, *g.gap_width, *g.stump_height, *g.step_height, g.steps], np.float32)

    def valid(self, item: Course) -> bool:
        """Genes within the limits, pairs in order, heights finite and of the right number."""
        g = item.genes
        if not isinstance(g, Genes):
            return False
        numbers = [*g.stump_height, *g.gap_width, *g.step_height, g.steps, g.roughness]
        if not all(math.isfinite(n) for n in numbers):
            return False
        pairs = [(getattr(g, name), getattr(self, name)) for name in STEP]
        if not all(0 <= low <= high <= limit for (low, high), limit in pairs):
            return False
        if not (0 <= g.steps <= self.steps and 0 <= g.roughness <= self.roughness):
            return False
        try:
            item.check()
        except ValueError:
            return False
        return True


def genes_of(item: Course) -> Genes:
    """The genes of a course; ValueError where something else painted it."""
    if not isinstance(item.genes, Genes):
        raise ValueError("course.genes: must be Genes, not those of another space")
    return item.genes


def grow(genes: Genes) -> Course:
    """The course of these genes: the same bytes for the same genes and seed, on every machine.

    ValueError where genes so wild make ground that no course may have.
    """
    # RandomState's stream is frozen for good; that of a Generator may change with NumPy.
    random = np.random.RandomState(genes.seed)
    kinds = [name for name in STEP if getattr(genes, name) != (0.0, 0.0)]
    left, right = [BASE] * PAD, [BASE] * PAD
    y, slope = BASE, 0.0
    while len(left) < CELLS:
        levels: list[tuple[int, float]] = []  # cells, height
        if kinds:
            kind = kinds[random.randint(len(kinds))]
            size = random.uniform(*getattr(genes, kind)) * CELL
            if kind == "stump_height":
                levels = [(1, y + size)]
            elif kind == "gap_width":
                levels = [(1, y), (math.floor(size / CELL + 0.5), y - PIT_DEPTH * CELL), (1, y)]
            else:
                rise = size if random.randint(2) else -size
                levels = [(TREAD, y + rise * n) for n in range(1, genes.steps + 1)]
                y += rise * genes.steps
        for cells, height in levels:
            left += [height] * cells
            right += [height] * cells
        for _ in range(random.randint(*GRASS) - 1):
            slope = 0.8 * slope + 0.01 * np.sign(BASE - y) + random.uniform(-1, 1) / 30
            left.append(y)
            y += genes.roughness * slope
            right.append(y)
        left.append(y)
        right.append(y)
    return Course.from_heights(left[:CELLS], right[:CELLS], genes)


def genes_in(course: Course) -> Genes:
    """The genes that make ground like that of `course`, read off its heights; rounded to 0.1.

    Up and down again within three cells is a stump. Down and up again within eight is a gap if it is half as
    deep as a pit, within ten if it is as deep. All other faces are stairs, as long as they lead the same way
    and the next is within eight cells. Roughness is that of `grow`, estimated from the changes of slope on
    grass; the seed is a hash. The start is not looked at, nor the last twelve cells: they may cut an obstacle
    off, and most of them lie beyond the goal.
    """
    left, right = np.asarray(course.left, float), np.asarray(course.right, float)
    jumps = (left[1:] - right[:-1]) / CELL
    faces = np.flatnonzero(np.abs(jumps) > FACE / CELL).tolist()  # each right of the cell of this number
    grass = np.ones(CELLS, bool)
    grass[:PAD] = grass[-UNREAD:] = False
    stumps, gaps, rises, steps = [], [], [], 0
    while faces and faces[0] < CELLS - UNREAD:
        first, second = faces[0], faces[1] if len(faces) > 1 else CELLS - 1
        wide, up = second - first, jumps[first] > 0
        back = len(faces) > 1 and (jumps[second] > 0) != up
        deep = min(abs(jumps[faces[:2]])) >= PIT_DEPTH * (0.5 if wide < NEXT else 0.9)
        if back and up and wide < TREAD:
            stumps.append(jumps[first])
            count, level = 2, 0
        elif back and not up and deep and wide <= LIMITS["gap_width"]:
            gaps.append(wide)
            count, level = 2, 1
        else:
            near = [b - a < NEXT and (jumps[b] > 0) == up for a, b in pairwise(faces)]
            count, level = [*near, False].index(False) + 1, TREAD
            rises += abs(jumps[faces[:count]]).tolist()
            steps = max(steps, count)
        grass[first : faces[count - 1] + 1 + level] = False
        faces = faces[count:]
    slopes = right - left
    flat = np.abs(slopes) < 1e-4  # m; the last cell of `grow`'s grass is, whatever the slope before
    known = grass[1:] & grass[:-1] & (flat[1:] == flat[:-1])
    changes = (slopes[1:] - 0.8 * slopes[:-1])[known]
    spread = math.sqrt(0.01**2 + 1 / 30**2 / 3)  # of what `grow` adds to the slope of the cell before
    roughness = math.sqrt(np.mean(changes**2)) / spread if changes.size else 0.0
    hashed = hashlib.sha256(np.stack([course.left, course.right]).astype("<f4").tobytes()).digest()
    seed = int.from_bytes(hashed[:8], "big") % SEEDS
    return Genes(_range(stumps), _range(gaps), _range(rises), steps, round(roughness, 1), seed)


def _range(sizes: list[float]) -> tuple[float, float]:
    return (round(float(min(sizes)), 1), round(float(max(sizes)), 1)) if sizes else (0.0, 0.0)


def _is_height(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -HIGHEST <= value <= HIGHEST


def generator(key: Any) -> np.random.RandomState:
    """NumPy's generator seeded by a JAX key, or by a non-negative whole number."""
    if not isinstance(key, (int, np.integer)):
        import jax

        typed = jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key)
        key = jax.random.key_data(key) if typed else key
    return np.random.RandomState(np.asarray(key, np.uint32).ravel())


def _first(name: str, limit: float) -> tuple[float, float]:
    """The first value of a pair, within its limit."""
    low, high = FIRST[name]
    return low, min(high, limit)
