"""AutoML-Zero: learning algorithms evolved from bare mathematics.

Real, Liang, So, Le 2020, "AutoML-Zero: Evolving Machine Learning Algorithms From Scratch", arXiv 2003.03384.
`AutoMLZero.step` is regularised evolution (its section 3) on every island for a while, migration between
them, and selection (its section 4.2): the best programs judged on tasks that the search never saw. The inner
loop, with mutation, caches and hurdles, is `brains/programs/evolution`; docs/programs.md says where ours
differs from the public release.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import jax
import numpy as np

from aiga.brains.programs import evolution, kernel
from aiga.brains.programs.evolution import Counts, Mutations
from aiga.brains.programs.ops import NUMBER, Program, Sizes, listing
from aiga.interfaces import Event
from aiga.machine import threads_here
from aiga.play.cluster import Spread
from aiga.worlds import supervised


@dataclass(frozen=True)
class Config:
    """The search's numbers. ValueError, naming the field, for one out of range."""

    task: str = "linear"  # or affine, teacher, digits, digits-rest, folder:PATH (docs/programs.md)
    tasks: int = 36  # to search on
    select_tasks: int = 27  # held out, to select by
    train: int = 100  # examples of a task to learn from
    valid: int = 100  # and to be judged on
    repeats: int = 1  # of them, before a program is judged
    epochs: int = 1  # after each of which it is judged; the best counts
    precision: Literal["float64", "float32"] = "float64"
    combine: Literal["median", "mean"] = "median"  # of the fitnesses on all tasks
    sizes: Sizes = field(default_factory=lambda: Sizes(5, 9, 2, 8))
    begin: tuple[int, int, int] = (0, 0, 0)  # instructions at first, of setup, predict and learn
    most: tuple[int, int, int] = (7, 11, 23)
    setup_ops: tuple[str, ...] = ()  # by the names in docs/programs.md; none: all 65
    predict_ops: tuple[str, ...] = ()
    learn_ops: tuple[str, ...] = ()
    population: int = 1000  # of an island
    tournament: int = 10
    mutate: float = 0.9  # the share of children that differ from their parent
    mutations: Mutations = field(default_factory=Mutations)  # weights
    islands: int = 2
    chunk: int = 10_000  # individuals of an island in one iteration
    migrate_every: int = 1  # iterations; 0: never
    migrants: int = 50  # from one island to the next
    hurdle_tasks: int = 8  # tasks before the hurdle; 0: no hurdle
    hurdle_every: int = 1000  # individuals from one setting of it to the next
    cache: int = 20_000  # programs, and as many fingerprints; 0: none
    print_train: int = 10  # examples of a fingerprint; 0 of both: none
    print_valid: int = 10
    budget: float = 4.0  # what a program may cost, in two-layer networks; 0: anything

    def __post_init__(self) -> None:
        supervised.check(self.task)
        for name, least, highest in (
            ("tasks", 1, 10_000), ("select_tasks", 1, 10_000), ("train", 1, 10**6), ("valid", 1, 10**6),
            ("repeats", 1, 1000), ("epochs", 1, 10**6),
            ("population", 1, 10**6), ("tournament", 1, 10**6), ("islands", 1, 1024),
            ("chunk", 1, 10**9), ("migrate_every", 0, 10**9), ("migrants", 0, self.population),
            ("hurdle_tasks", 0, self.tasks - 1), ("hurdle_every", 1, 10**9), ("cache", 0, 10_000_000),
            ("print_train", 0, self.train), ("print_valid", 0, self.valid), ("mutate", 0, 1),
            ("budget", 0, 1e9),
        ):  # fmt: skip
            if not least <= getattr(self, name) <= highest:
                raise ValueError(f"{name}: from {least} to {highest}, not {getattr(self, name)!r}")
        for name, kind in (("precision", ("float64", "float32")), ("combine", ("median", "mean"))):
            if getattr(self, name) not in kind:
                raise ValueError(f"{name}: one of {', '.join(kind)}, not {getattr(self, name)!r}")
        for name, highest in (("most", (255, 255, 255)), ("begin", self.most)):
            if not all(0 <= n <= high for n, high in zip(getattr(self, name), highest, strict=True)):
                raise ValueError(f"{name}: from 0 to {highest}, not {getattr(self, name)}")
        for name in ("setup_ops", "predict_ops", "learn_ops"):
            for operation in getattr(self, name):
                if operation not in NUMBER:
                    raise ValueError(f"{name}: names of operations such as v dot, not {operation!r}")

    def search(self, budget: float) -> evolution.Config:
        """For one island, with the most that a program may cost."""
        same = ("sizes", "population", "tournament", "mutate", "mutations", "begin", "most", "cache",
                "print_train", "print_valid", "hurdle_tasks", "hurdle_every", "combine")  # fmt: skip
        operations: dict[str, Any] = {
            name: tuple(NUMBER[each] for each in getattr(self, name)) or evolution.EVERY_OPERATION
            for name in ("setup_ops", "predict_ops", "learn_ops")
        }
        given: dict[str, Any] = {name: getattr(self, name) for name in same}
        return evolution.Config(**given, **operations, budget=budget)


@dataclass(frozen=True)
class Found:
    """A program, when it was the best so far."""

    id: int  # islands x its number on its island + the island's number
    parent: int | None  # None for one of the first population
    ancestor: int | None  # the improvement that its line came through last, on whatever island; or none
    individuals: int  # judged on all islands until then
    fitness: float
    parent_fitness: float
    selected: float  # fitness on the tasks held out
    program: Program


@dataclass(frozen=True)
class State:
    """All of the search between two iterations."""

    iteration: int
    seed: int  # u64, of tasks and of the random numbers that programs draw
    islands: tuple[evolution.State, ...]
    individuals: int = 0  # so far, on all islands
    best: Found | None = None  # by fitness on the tasks to search on
    chosen: Found | None = None  # by fitness on the tasks held out: what the search has to show
    data: str = ""  # SHA-256 of a folder's images


class AutoMLZero:
    """The system. `threads`, 0 for all that this process may use, change the speed and nothing else; nor does
    `spread`, where islands live for a chunk, if not on those threads. Selection stays on them."""

    def __init__(self, config: Config = Config(), threads: int = 0, spread: Spread | None = None) -> None:
        self.config, self.threads = config, threads or threads_here()
        self._spread = spread or _over(self.threads)
        self._breeders: dict[int, Callable[[], Any]] = {}
        self._made: dict[tuple[int, str], kernel.Tasks] = {}
        self._images = supervised.images(config.task)  # read once, whatever becomes of the files
        self._score = supervised.score(self._images)
        self._data = ""
        if self._images is not None and config.task.startswith("folder:"):
            self._data = supervised.digest(self._images)

    def init(self, key: jax.Array) -> State:
        """Islands that nobody lives on yet. ValueError, naming the field, for what does not fit the tasks."""
        seed, *seeds = _seeds(key, 1 + self.config.islands)
        search = self.search(seed)
        islands = tuple(evolution.begin(each, search, k, len(seeds)) for k, each in enumerate(seeds))
        # Nothing is born; what the kernel finds wrong it says now.
        evolution.evolve(search, islands[0], self.tasks("search", seed), 0, self.rules(seed))
        self.tasks("select", seed)
        return State(0, seed, islands, data=self._data)

    def check(self) -> None:
        """ValueError, naming the field, where the task's images do not have what is asked for."""
        for kind in ("search", "select"):
            self._make(kind, 0)

    def fits(self, state: State) -> None:
        """ValueError, naming `task`, where the images are not those that the run began with."""
        if state.data and state.data != self._data:
            raise ValueError(f"task: {self.config.task}: not the images that this run began with")

    def step(self, key: jax.Array, state: State) -> tuple[State, list[Event]]:
        """`chunk` individuals on every island, migration, selection. `state` is left as it is."""
        config, now, log = self.config, state.iteration, []
        evolved = self.evolve(state)
        islands = tuple(each.state for each in evolved)
        if config.migrate_every and (now + 1) % config.migrate_every == 0:
            islands = self.migrate(key, islands, log)
        best, chosen = state.best, state.chosen
        if not now:
            # As text: readers in JavaScript have no such numbers.
            log.append(Event("tasks", {"seed": str(state.seed), "data": state.data}))
        for found in self.select(state.seed, evolved, state.individuals):
            selected = _beats(found, chosen, "selected")
            best, chosen = found if _beats(found, best, "fitness") else best, found if selected else chosen
            # Also those that others surpass: any of them may turn out an ancestor of what comes.
            log.append(self._improvement(found, selected))
        born = state.individuals + config.chunk * config.islands
        state = State(now + 1, state.seed, islands, born, best, chosen, state.data)
        return state, [*log, self._report(state, [each.counts for each in evolved])]

    def evolve(self, state: State) -> list[evolution.Evolved]:
        """Every island for one chunk, side by side."""
        seed = state.seed
        if seed not in self._breeders:
            # One object for a run, so that the examples travel once.
            self._breeders[seed] = partial(
                _breeder,
                self.search(seed),
                self.tasks("search", seed),
                self.config.chunk,
                self.rules(seed),
            )
        return self._spread(self._breeders[seed], [(island,) for island in state.islands])

    def migrate(
        self, key: jax.Array, islands: Sequence[evolution.State], log: list[Event]
    ) -> tuple[evolution.State, ...]:
        """Some of every island to another one, each island the host of one other's."""
        config, count = self.config, len(islands)
        if count < 2 or not config.migrants or min(each.born for each in islands) < config.population:
            return tuple(islands)
        shift, *seeds = _seeds(key, 1 + count)
        shift = 1 + shift % (count - 1)
        leaving = [
            evolution.emigrants(each, config.migrants, s) for each, s in zip(islands, seeds, strict=True)
        ]
        sources = [(k - shift) % count for k in range(count)]
        log += [
            Event("migration", {"source": source, "target": target, "programs": config.migrants})
            for target, source in enumerate(sources)
        ]
        return tuple(
            evolution.immigrate(each, leaving[source]) for each, source in zip(islands, sources, strict=True)
        )

    def select(self, seed: int, evolved: Sequence[evolution.Evolved], before: int = 0) -> list[Found]:
        """What was better than all before it on its island, oldest first, judged on the tasks held out;
        `before` individuals were judged before this chunk."""
        count, chunk = len(evolved), self.config.chunk
        found = sorted(
            (
                Found(
                    better.id,
                    None if better.parent < 0 else better.parent,
                    None if better.ancestor < 0 else better.ancestor,
                    before + better.id - count * (each.state.born - chunk) + 1,
                    better.fitness,
                    better.parent_fitness,
                    0.0,
                    better.program,
                )
                for each in evolved
                for better in each.improvements
            ),
            key=lambda each: each.id,
        )
        if not found:
            return []
        scores = self.judge([each.program for each in found], "select", seed)
        return [replace(each, selected=float(s)) for each, s in zip(found, scores, strict=True)]

    def judge(self, programs: Sequence[Program], kind: str, seed: int) -> np.ndarray:
        """Fitness f64[P] of P programs over all tasks of a kind: search, select or test."""
        each = kernel.evaluate(
            programs, self.config.sizes, self.tasks(kind, seed), self.rules(seed), threads=self.threads
        )
        return evolution.combined(each, self.config.combine)

    def tasks(self, kind: str, seed: int) -> kernel.Tasks:
        """Those of a run with this seed, made when they are first asked for."""
        if (seed, kind) not in self._made:
            self._made[seed, kind] = self._make(kind, seed)
        return self._made[seed, kind]

    def _make(self, kind: str, seed: int) -> kernel.Tasks:
        config = self.config
        count = config.tasks if kind == "search" else config.select_tasks
        shape = supervised.Shape(config.sizes.features, config.train, config.valid, config.repeats)
        return kernel.Tasks(*supervised.tasks(config.task, kind, count, shape, seed, self._images))

    def rules(self, seed: int) -> kernel.Rules:
        config = self.config
        return kernel.Rules(self._score, config.epochs, key=seed, precision=config.precision)

    def search(self, seed: int) -> evolution.Config:
        """What an island of a run with this seed goes by."""
        config, budget = self.config, 0.0
        if config.budget:
            examples = config.train * config.repeats
            budget = evolution.budget(config.sizes, self.rules(seed), examples, config.budget)
        return config.search(budget)

    def _improvement(self, found: Found, selected: bool) -> Event:
        program, sizes = found.program, self.config.sizes
        live = kernel.compiled([program], sizes).live[0][: len(program.code)]
        return Event(
            "improvement",
            {
                "id": found.id,
                "island": found.id % self.config.islands,
                "parent": found.parent,
                "ancestor": found.ancestor,
                "individuals": found.individuals,
                "fitness": found.fitness,
                "parent_fitness": found.parent_fitness,
                "selected": found.selected,
                "chosen": selected,
                "program": {
                    "code": program.code.tolist(),
                    "data": program.data.tolist(),
                    "lengths": list(program.lengths),
                    "live": live.tolist(),
                },
                "listing": listing(program, sizes.features),
            },
        )

    def _report(self, state: State, counts: Sequence[Counts]) -> Event:
        born = self.config.chunk * self.config.islands
        total = Counts(*(sum(kind) for kind in zip(*counts, strict=True)))
        shares = ("canonical_hits", "print_hits", "hurdled", "dead", "costly")
        return Event(
            "metric",
            {
                "individuals": state.individuals,
                "best": state.best.fitness if state.best else 0.0,
                "selected": state.chosen.selected if state.chosen else 0.0,
                **{name: getattr(total, name) / born for name in shares},
            },
        )


def _breeder(
    search: evolution.Config, tasks: kernel.Tasks, chunk: int, rules: kernel.Rules
) -> Callable[[evolution.State], evolution.Evolved]:
    return lambda island: evolution.evolve(search, island, tasks, chunk, rules)


def _over(threads: int) -> Spread:
    """On threads of this process."""

    def spread(make: Callable[[], Callable[..., Any]], calls: Iterable[Sequence[Any]]) -> list:
        function = make()
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda call: function(*call), calls))

    return spread


def _beats(found: Found, before: Found | None, field: str) -> bool:
    return before is None or getattr(found, field) > getattr(before, field)


def _seeds(key: jax.Array, count: int) -> list[int]:
    """Whole numbers from 0 to 2^64 - 1."""
    words = np.asarray(jax.random.bits(key, (count, 2), "uint32")).astype(np.uint64)
    return [int(high) << 32 | int(low) for high, low in words]
