"""Regularised evolution of programs: one island, from checkpoint to checkpoint, in the native kernel.

Real et al. 2020, arXiv 2003.03384, section 3 and its supplement. The youngest replaces the oldest; its parent
wins a tournament. Two caches spare evaluations: one of programs in canonical form, without dead code and with
addresses named in their order, and the paper's of functional equivalence, whose key is a fingerprint of the
errors on a few examples of the first task. Programs that cost too much are not run, and those below the
hurdle, the 75th percentile of the population's different fitnesses, on some tasks alone.

A state is plain arrays, nothing is drawn but from `State.random`, and a chunk may end anywhere: n individuals
and m more give the same bytes as n + m.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import numpy as np

from aiga.brains.programs import kernel, known
from aiga.brains.programs.kernel import Rules, Tasks
from aiga.brains.programs.ops import OPERATIONS, Program, Sizes

RULES = Rules()
EVERY_OPERATION = tuple(range(len(OPERATIONS)))


@dataclass(frozen=True)
class Mutations:
    """How often a child that is changed is changed in which way: weights."""

    insert: float = 1.0  # an instruction
    remove: float = 2.0
    randomise: float = 3.0  # a whole component function
    alter: float = 3.0  # one argument of an instruction
    trade: float = 0.0  # remove an instruction and insert one, in one component function
    replace: float = 0.0  # an instruction
    splice: float = 0.0  # what reads an input of an instruction after it reads its result instead


@dataclass(frozen=True)
class Config:
    """The search's numbers. ValueError, naming the field, comes from `evolve`."""

    sizes: Sizes = field(default_factory=Sizes)
    population: int = 1000
    tournament: int = 10
    mutate: float = 0.9  # the share of children that differ from their parent
    mutations: Mutations = field(default_factory=Mutations)
    begin: tuple[int, int, int] = (10, 2, 8)  # random instructions at first, of setup, predict and learn
    least: tuple[int, int, int] = (0, 0, 0)
    most: tuple[int, int, int] = (21, 21, 45)
    setup_ops: tuple[int, ...] = EVERY_OPERATION
    predict_ops: tuple[int, ...] = EVERY_OPERATION
    learn_ops: tuple[int, ...] = EVERY_OPERATION
    cache: int = 100_000  # programs, and as many fingerprints; 0: none
    print_train: int = 10  # examples of a fingerprint; 0 of both: none
    print_valid: int = 10
    forget: int = 100  # a fingerprint is dropped at so many hits; 0: never
    hurdle_tasks: int = 0  # tasks that come before the hurdle; 0: none
    hurdle_every: int = 1000  # individuals from one setting of it to the next
    budget: float = 0.0  # of setup and learning, as `budget` counts; 0: none
    combine: str = "median"  # or "mean", over tasks

    def __post_init__(self) -> None:
        if self.combine not in ("median", "mean"):
            raise ValueError(f"combine: median or mean, not {self.combine!r}")
        if not 0 <= self.cache <= 10_000_000:
            raise ValueError(f"cache: from 0 to 10000000, not {self.cache}")


class Counts(NamedTuple):
    """What became of individuals. Those of no kind were judged on all tasks."""

    canonical_hits: int  # a program known but for dead code and names
    print_hits: int  # one that does the same on the examples of its fingerprint
    hurdled: int  # judged on the first tasks alone
    dead: int  # whose prediction depends on no instruction
    costly: int  # beyond the budget, not run
    run: int  # judged, the hurdled among them
    steps: int  # examples that they have seen, times tasks


@dataclass(frozen=True)
class Cache:
    """Fitnesses by 64-bit key, in sets of four, the last used of a set first; key 0 is a free place."""

    keys: np.ndarray  # u64[C]
    values: np.ndarray  # f64[C, 2], of all tasks, and of those before the hurdle
    hits: np.ndarray  # i32[C]

    @classmethod
    def empty(cls, size: int) -> Cache:
        size = -(-size // 4) * 4
        return cls(np.zeros(size, np.uint64), np.zeros((size, 2)), np.zeros(size, np.int32))


@dataclass(frozen=True)
class State:
    """One island. Individual number k stands in row k modulo the population P."""

    random: int  # u64, where its random numbers have come to
    code: np.ndarray  # u8[P, L, 4]
    data: np.ndarray  # f64[P, L, 3]
    lengths: np.ndarray  # i32[P, 3]
    fitness: np.ndarray  # f64[P, 2], of all tasks, and of those before the hurdle
    ancestor: np.ndarray  # i64[P], name of the last improvement in its line, itself included; -1: none
    canonical: Cache
    prints: Cache
    counts: np.ndarray  # i64[7], `Counts`
    born: int = 0  # individuals so far
    hurdle: float = 0.0
    best: Program | None = None  # that ever lived
    best_fitness: float = -1.0
    island: int = 0  # number k has the name islands * k + island, which no individual elsewhere has
    islands: int = 1

    def individual(self, row: int) -> Program:
        return kernel.unstacked(self.code[row], self.data[row], self.lengths[row])


class Improvement(NamedTuple):
    """An individual better than all before it."""

    id: int  # its name, as `State` has them: with one island its number
    parent: int  # -1 for one of the first population
    ancestor: int  # the last improvement that it descends from, on any island; -1: there is none
    fitness: float
    parent_fitness: float
    program: Program
    parent_program: Program | None


class Migrants(NamedTuple):
    """Individuals on their way from island to island, as `State` has them."""

    code: np.ndarray
    data: np.ndarray
    lengths: np.ndarray
    fitness: np.ndarray
    ancestor: np.ndarray


class Evolved(NamedTuple):
    """What `evolve` returns."""

    state: State
    improvements: list[Improvement]
    counts: Counts  # of this chunk


def budget(sizes: Sizes, rules: Rules, examples: int, factor: float = 4.0) -> float:
    """What a program may cost: `factor` times the paper's two-layer network at `examples` an epoch."""
    setup, step = kernel.compiled([known.network()], known.room(sizes)).cost[0]
    return float(factor * (setup + rules.epochs * examples * step))


def combined(scores: Any, how: str) -> np.ndarray:
    """The fitness f64[...] of f64[..., N], on N tasks: their `median` or `mean`. ValueError for another."""
    if how not in ("median", "mean"):
        raise ValueError(f"combine: median or mean, not {how!r}")
    return np.median(scores, axis=-1) if how == "median" else np.mean(scores, axis=-1)


def begin(
    seed: int, config: Config, island: int = 0, islands: int = 1, given: Program | None = None
) -> State:
    """An island nobody lives on yet, number `island` of `islands`; `seed` from 0 to 2^64 - 1.

    A component function for which `config` has no operations is that of `given` in every individual, and is
    never changed. ValueError, naming the field, for what does not fit.
    """
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"seed: from 0 to 2^64 - 1, not {seed}")
    count, room = config.population, sum(config.most)
    if not (1 <= count <= 10_000_000 and 0 <= room <= 765):
        raise ValueError(f"population: from 1 to 10000000, and most: 255 each, not {count} and {config.most}")
    code, data, lengths = kernel.stacked([Program.of() if given is None else given], room)
    if np.any(lengths > config.most):
        raise ValueError(f"given: at most {config.most} instructions, not {tuple(lengths[0].tolist())}")
    return State(
        random=seed,
        code=np.repeat(code, count, 0),
        data=np.repeat(data, count, 0),
        lengths=np.repeat(lengths, count, 0),
        fitness=np.zeros((count, 2)),
        ancestor=np.full(count, -1, np.int64),
        canonical=Cache.empty(config.cache),
        prints=Cache.empty(config.cache),
        counts=np.zeros(len(Counts._fields), np.int64),
        island=island,
        islands=islands,
    )


def settled(seed: int, config: Config, program: Program, tasks: Tasks, rules: Rules = RULES) -> State:
    """An island of copies of `program`, judged, as the paper's section 4.3 begins with its network.

    ValueError, naming the field, for what does not fit.
    """
    state = begin(seed, config, given=program)
    each = kernel.evaluate([program], config.sizes, tasks, rules)[0]
    fitness = float(combined(each, config.combine))
    partial = float(combined(each[: config.hurdle_tasks], config.combine)) if config.hurdle_tasks else 0.0
    rows = np.tile([fitness, partial], (config.population, 1))
    return replace(state, fitness=rows, born=config.population, best=program, best_fitness=fitness)


def evolve(
    config: Config,
    state: State,
    tasks: Tasks,
    individuals: int,
    rules: Rules = RULES,
    *,
    instruction_set: str = "",
) -> Evolved:
    """`individuals` more; the first of an island are random programs. Other threads run meanwhile.

    Raises ValueError naming the field that does not fit.
    """
    from aiga import _programs

    old = state
    first, better = _programs.evolve(
        _settings(config), old.code, old.data, old.lengths, old.fitness, old.ancestor, old.island,
        old.islands, old.random, old.born, old.hurdle, old.best_fitness, old.counts,
        *_arrays(old.canonical), *_arrays(old.prints), *tasks.arrays, *rules.numbers, individuals,
        instruction_set,
    )  # fmt: skip
    code, data, lengths, fitness, ancestor, random, born, hurdle, best_fitness, counts, *caches = first
    improvements = _improvements(*better)
    best = improvements[-1].program if improvements else old.best
    state = State(
        random, code, data, lengths, fitness, ancestor, Cache(*caches[:3]), Cache(*caches[3:]), counts, born,
        hurdle, best, best_fitness, old.island, old.islands,
    )  # fmt: skip
    return Evolved(state, improvements, Counts(*(int(n) for n in counts - old.counts)))


def emigrants(state: State, count: int, seed: int) -> Migrants:
    """`count` individuals drawn with replacement, by `seed` alone."""
    rows = np.random.default_rng(seed).integers(len(state.code), size=count)
    return Migrants(*(getattr(state, name)[rows] for name in Migrants._fields))


def immigrate(state: State, migrants: Migrants) -> State:
    """The island with `migrants` as its youngest, the oldest gone, their fitness as it was at home.

    They are no improvement: whoever watches both islands has been told of them. Their ancestors stay theirs.
    """
    size = len(state.code)
    rows = np.arange(state.born, state.born + len(migrants.code)) % size
    if len(rows) > size or state.born < size:
        raise ValueError(f"migrants: at most {size}, and only where as many have been born")
    arrays = {}
    for name in Migrants._fields:
        arrays[name] = getattr(state, name).copy()
        arrays[name][rows] = getattr(migrants, name)
    return replace(state, **arrays, born=state.born + len(rows))


def _arrays(cache: Cache) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return cache.keys, cache.values, cache.hits


def _settings(config: Config) -> dict[str, Any]:
    given = {f.name: getattr(config, f.name) for f in fields(config)}
    return given | {
        "sizes": config.sizes.numbers,
        "mutations": [float(getattr(config.mutations, f.name)) for f in fields(Mutations)],
        "begin": list(config.begin),
        "least": list(config.least),
        "most": list(config.most),
        "setup_ops": list(config.setup_ops),
        "predict_ops": list(config.predict_ops),
        "learn_ops": list(config.learn_ops),
        "median": config.combine == "median",
    }


def _improvements(
    ids: np.ndarray,
    scores: np.ndarray,
    code: np.ndarray,
    data: np.ndarray,
    lengths: np.ndarray,
) -> list[Improvement]:
    return [
        Improvement(
            int(ids[k, 0]),
            int(ids[k, 1]),
            int(ids[k, 2]),
            float(scores[k, 0]),
            float(scores[k, 1]),
            kernel.unstacked(code[k, 0], data[k, 0], lengths[k, 0]),
            kernel.unstacked(code[k, 1], data[k, 1], lengths[k, 1]) if ids[k, 1] >= 0 else None,
        )
        for k in range(len(ids))
    ]
