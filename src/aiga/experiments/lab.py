"""A laboratory: runs the trials of experiments, each an ordinary run, and keeps what was measured.

A trial is one arm with one seed. Its run is kept in the laboratory's folder like any other run, so it can be
shown, replayed and continued, and a trial that was interrupted goes on where it stopped. Experiments that
share a folder share the runs of the arms they have in common. Every trial gets the same number of steps of
the world, or of what else its system counts, or where an arm takes longer a multiple of it; the first one,
bounded by the clock, says how many. On an accelerator an arm's seeds may go side by side. Trials that are too
short to be worth a run are functions, and only what they measure is kept.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

from aiga.experiments.abreast import Abreast
from aiga.experiments.results import Results, table
from aiga.interfaces import System
from aiga.runs.codec import decode, plain, types_in
from aiga.runs.loop import Step, drive
from aiga.runs.store import Run, RunError, Store
from aiga.runs.words import rough
from aiga.worlds.walker.course import Course

EVERY = 20.0  # seconds between two lines of progress
Measure = Callable[[Store], Mapping[str, float]]


class OutOfTime(Exception):
    """The time is over; what was finished is kept."""


@dataclass(frozen=True)
class Experiment:
    """`run` works through a lab's trials, given the presets of `system`; `draw` puts what it found so far
    into a picture, `tell` into words."""

    summary: str
    arms: tuple[str, ...]
    run: Callable[[Lab, Mapping[str, Any]], None]
    draw: Callable[[Lab, Path], None]
    runs: int = 0  # for each seed; 0 where each arm is one
    alone: bool = False  # whether some arms may be run without the others
    tell: Callable[[Lab], str] = lambda lab: table(lab.results.values(), lab.arms)
    system: str = "poet"
    unit: str = "steps"  # the metric by which a trial's length is counted
    folder: str = "experiments"  # unless another one is asked for
    seeds: int = 5
    minutes: float = 20.0


@dataclass
class Lab:
    """For `experiment`: `runs` trials for each of `seeds`, planned to take `seconds` in all. `stop` is asked
    after every iteration."""

    folder: Path
    experiment: str
    arms: tuple[str, ...]
    seeds: range
    runs: int
    seconds: float
    steps: int | None = None  # of every trial; by default as many as the first one gets through
    stop: Callable[[], bool] = lambda: False
    say: Callable[[str], None] = lambda line: None
    unit: str = "steps"
    begun: float = field(default_factory=time.monotonic)
    abreast: bool | None = None  # an arm's seeds side by side; None: where there is an accelerator

    def __post_init__(self) -> None:
        self.results = Results(self.folder / "results.db", self.experiment)
        known = self.results.steps()
        if known is not None and self.steps not in (None, known):
            self.results.close()
            raise RunError(
                f"steps: {known:,} in {self.folder.name}, and all its trials get the same; "
                "others need another --folder"
            )
        if known is None and self.steps is not None:
            self.results.set_steps(self.steps)
        self.steps = known or self.steps

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.results.close()

    @property
    def over(self) -> bool:
        return self.stop() or time.monotonic() - self.begun > self.seconds

    def budget(self, usual: int) -> int:
        """The number of steps of every trial: `usual`, unless the folder or the user has said another."""
        self.results.set_steps(usual)
        self.steps = self.results.steps()
        assert self.steps is not None
        return self.steps

    def measure(
        self,
        trials: Iterable[tuple[str, int]],
        measure: Callable[[str, int], Mapping[str, float]],
        threads: int = 1,
    ) -> None:
        """Measures what is not known yet of these arms and seeds, so many at a time, and keeps each at once.

        `measure` runs in a thread and may raise OutOfTime, where `over` is true, to give its trial up. Raises
        OutOfTime when not all is known.
        """

        def begin(arm: str, seed: int) -> Mapping[str, float]:
            if self.over:
                raise OutOfTime
            return measure(arm, seed)

        with ThreadPoolExecutor(threads) as pool:
            waiting: dict[Future[Mapping[str, float]], tuple[str, int]] = {
                pool.submit(begin, *trial): trial for trial in trials if not self.results.has(*trial)
            }
            late, self._said = False, time.monotonic() - EVERY
            try:
                for done, each in enumerate(as_completed(waiting), 1):
                    try:
                        self.results.put(*waiting[each], each.result())
                    except OutOfTime:
                        late = True
                        continue
                    if time.monotonic() - self._said > EVERY:
                        arm, seed = waiting[each]
                        self._tell(f"{arm}, seed {seed}: {done} of {len(waiting)}")
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
        if late:
            raise OutOfTime

    def groups(self, system: type[System[Any]]) -> list[range]:
        """The seeds whose `trials` are to be run together: all where `system` can take steps `abreast` and
        there is an accelerator, else each alone, so that what is known early is known of every arm."""
        together = jax.default_backend() != "cpu" if self.abreast is None else self.abreast
        together = together and hasattr(system, "abreast")
        return [self.seeds] if together else [range(seed, seed + 1) for seed in self.seeds]

    def trials(
        self, arm: str, seeds: range, system: System[Any], config: Any, measure: Measure, *, name: str
    ) -> None:
        """Runs a `trial` of each seed, step by step together where there are several; `measure` is asked for
        one at a time. Raises what `trial` raises; one that fails ends the others."""
        left = [seed for seed in seeds if not self.results.has(arm, seed)]
        if len(left) < 2:
            for seed in left:
                self.trial(arm, seed, system, config, measure, name=name)
            return
        together, measuring = Abreast(system, len(left)), threading.Lock()

        def one(seed: int) -> None:
            def measured(store: Store) -> Mapping[str, float]:
                together.leave()
                with measuring:
                    return measure(store)

            try:
                self.trial(arm, seed, together, config, measured, name=name)
            except BaseException as error:
                together.leave(error)
                raise

        with ThreadPoolExecutor(len(left)) as pool:
            for done in [pool.submit(one, seed) for seed in left]:
                done.result()

    def trial(
        self,
        arm: str,
        seed: int,
        system: System[Any],
        config: Any,
        measure: Measure,
        *,
        name: str = "poet",
        watch: Callable[[Step], None] = lambda step: None,
        patient: bool = True,
    ) -> Path:
        """Runs one trial to its number of steps, where that is not done yet; returns its folder.

        One that is not `patient` also ends when its share of the time is over, however far it got.
        Raises OutOfTime, and RunError where the folder holds another trial.
        """
        folder = self.folder_of(arm, seed)
        if self.results.has(arm, seed):
            return folder
        steps, worked = 0.0, 0.0
        # A little less, so that a lone trial ends before the time does.
        share = 0.9 * self.seconds / (self.runs * len(self.seeds))

        def listen(step: Step) -> None:
            nonlocal steps, worked
            worked += step.seconds
            found = [e.data[self.unit] for e in step.events if e.kind == "metric" and self.unit in e.data]
            steps = found[-1] if found else steps
            if time.monotonic() - self._said > EVERY:
                goal = f" of {rough(self.steps)}" if self.steps else ""
                unit = self.unit.replace("_", "-")
                self._tell(f"  iteration {step.iteration}, {rough(steps)}{goal} {unit}")

        def over() -> bool:
            if self.over:
                return True
            if (self.steps is None or not patient) and worked > share:
                return True
            return self.steps is not None and steps >= self.steps

        self._tell(f"{arm}, seed {seed}")
        with Store.open(folder, write=True) as store:
            run = Run(name, seed, plain(config))
            if (stored := store.run()) is not None:
                if stored.config != run.config:
                    raise RunError(f"{folder.name}: was begun with another configuration")
                steps = store.summary().metrics.get(self.unit) or 0.0
                worked = sum(row["seconds"] for row in store.rows("clock"))
            if not over():
                drive(system, store, run, stop=over, listen=[listen, watch])
            if self.over:
                raise OutOfTime
            if self.steps is None:
                self.results.set_steps(int(steps))
                self.steps = self.results.steps()
            self.results.put(arm, seed, measure(store))
        return folder

    def _tell(self, line: str) -> None:
        self._said = time.monotonic()
        self.say(line)

    def folder_of(self, arm: str, seed: int) -> Path:
        """Where a trial's run is, under a name that `aiga show` and the page take."""
        return self.folder / f"{re.sub('[^A-Za-z0-9._]+', '-', arm)}-{seed}"

    def curves(self, metric: str) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
        """By arm: `metric` over `unit`, one pair of arrays per finished trial."""
        found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for arm in self.arms:
            for seed in self.seeds:
                if not self.results.has(arm, seed):
                    continue
                with Store.open(self.folder_of(arm, seed)) as store:
                    rows = store.rows("metrics")
                by_name = {
                    name: np.array([row["value"] for row in rows if row["name"] == name], float)
                    for name in (self.unit, metric)
                }
                found.setdefault(arm, []).append((by_name[self.unit], by_name[metric]))
        return found


def last(store: Store, system: System[Any]) -> Any:
    """The state that a run of `system` came to."""
    like, (_, stored) = system.init(jax.random.key(0)), store.load()
    return decode(type(like), stored.tree, stored.arrays, types_in(like))


def environments(store: Store) -> Iterator[dict[str, Any]]:
    """A run's environments, their courses read back."""
    for row in store.rows("environments"):
        yield {**row, "course": decode(Course, row["course"])}
