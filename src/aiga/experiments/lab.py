"""A laboratory: runs the trials of experiments, each an ordinary run, and keeps what was measured.

A trial is one arm with one seed. Its run is kept in the laboratory's folder like any other run, so it can be
shown, replayed and continued, and a trial that was interrupted goes on where it stopped. Experiments that
share a folder share the runs of the arms they have in common. Every trial gets the same number of steps of
the world; the first one, bounded by the clock, says how many.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aiga.experiments.results import Results
from aiga.interfaces import System
from aiga.runs.codec import decode, plain
from aiga.runs.loop import Step, drive
from aiga.runs.store import Run, RunError, Store
from aiga.worlds.walker.course import Course

EVERY = 20.0  # seconds between two lines of progress
Measure = Callable[[Store], Mapping[str, float]]


class OutOfTime(Exception):
    """The time is over; what was finished is kept."""


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
    begun: float = field(default_factory=time.monotonic)

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
            found = [e.data["steps"] for e in step.events if e.kind == "metric" and "steps" in e.data]
            steps = found[-1] if found else steps
            if time.monotonic() - self._said > EVERY:
                goal = f" of {self.steps / 1e6:.0f}" if self.steps else ""
                self._tell(f"  iteration {step.iteration}, {steps / 1e6:.0f}{goal} M steps")

        def over() -> bool:
            if self.stop() or time.monotonic() - self.begun > self.seconds:
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
                steps = store.summary().metrics.get("steps") or 0.0
                worked = sum(row["seconds"] for row in store.rows("clock"))
            if not over():
                drive(system, store, run, stop=over, listen=[listen, watch])
            if self.stop() or time.monotonic() - self.begun > self.seconds:
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
        return self.folder / f"{arm.replace(' ', '-')}-{seed}"

    def curves(self, metric: str) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
        """By arm: `metric` over steps, one pair of arrays per finished trial."""
        found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for arm in self.arms:
            for seed in self.seeds:
                if not self.results.has(arm, seed):
                    continue
                with Store.open(self.folder_of(arm, seed)) as store:
                    rows = store.rows("metrics")
                by_name = {
                    name: np.array([row["value"] for row in rows if row["name"] == name], float)
                    for name in ("steps", metric)
                }
                found.setdefault(arm, []).append((by_name["steps"], by_name[metric]))
        return found


def environments(store: Store) -> Iterator[dict[str, Any]]:
    """A run's environments, their courses read back."""
    for row in store.rows("environments"):
        yield {**row, "course": decode(Course, row["course"])}
