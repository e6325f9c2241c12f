"""A small system for the tests of runs and of the command line: every event kind, every sort of state, no
compiling."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aiga.interfaces import Event


@dataclass(frozen=True)
class Course:
    height: float
    ground: np.ndarray  # f32[4]


@dataclass(frozen=True)
class Walker:
    id: int
    course: Course
    theta: np.ndarray  # f32[8]
    score: float
    solved: bool = False
    recent: tuple[float, ...] = ()


@dataclass(frozen=True)
class State:
    active: tuple[Walker, ...]
    counts: dict[str, int]
    table: np.ndarray  # f32[300000], over a megabyte: a file beside the database
    best: float | None = None
    note: Any = ()


@dataclass(frozen=True)
class Learning:
    rate: float = 0.1
    """Step of the walk."""
    population: int = 4

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise ValueError("rate: above 0, up to 1")
        if self.population < 2:
            raise ValueError("population: from 2")


@dataclass(frozen=True)
class Config:
    """A walk among numbers."""

    es: Learning = field(default_factory=Learning)
    capacity: int = 5
    """Most walkers at a time."""
    every: int = 3
    reach: tuple[float, float] = (-50.0, 300.0)
    quick: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.capacity <= 100:
            raise ValueError("capacity: 1 to 100")


class Toy:
    def __init__(self, config: Config):
        self.config = config

    def init(self, key: Any) -> State:
        rng = _rng(key)
        course = Course(0.0, np.zeros(4, np.float32))
        walker = Walker(0, course, rng.normal(size=8).astype(np.float32), -1.0)
        return State((walker,), {"steps": 0, "births": 0}, np.zeros(300_000, np.float32))

    def step(self, key: Any, state: State) -> tuple[State, list[Event]]:
        rng, events, active = _rng(key), [], list(state.active)
        steps, births = state.counts["steps"] + 100, state.counts["births"]
        if births == 0:
            first = active[0]
            events.append(_birth(first, None, first.course))
            births = 1
        for i, walker in enumerate(active):
            theta = walker.theta + np.float32(self.config.es.rate) * rng.normal(size=8).astype(np.float32)
            score = float(theta.sum()) if rng.random() > 0.05 else float("nan")
            # A NumPy number where the annotation says float: the run has to settle it.
            recent: Any = (*walker.recent[-2:], np.float32(score))
            active[i] = Walker(walker.id, walker.course, theta, score, walker.solved, recent)
            events.append(Event("score", {"id": walker.id, "score": score, "finished": 0.5, "agent": theta}))
            if score > 1 and not walker.solved:
                active[i] = Walker(walker.id, walker.course, theta, score, True)
                events.append(Event("solve", {"id": walker.id, "score": score, "agent": theta}))
        if steps // 100 % self.config.every == 0:
            parent = active[int(rng.integers(len(active)))]
            course = Course(float(rng.random()), rng.random(4).astype(np.float32))
            if course.height < 0.3:
                events.append(
                    Event(
                        "rejection",
                        {
                            "parent": parent.id,
                            "course": course,
                            "reason": "too easy",
                            "stage": "before",
                            "score": 1.5,
                        },
                    )
                )
            else:
                child = Walker(births, course, parent.theta.copy(), parent.score)
                events.append(_birth(child, parent.id, course))
                active.append(child)
                births += 1
            if len(active) > self.config.capacity:
                old = active.pop(0)
                events.append(Event("extinction", {"id": old.id, "score": old.score, "agent": old.theta}))
            source, target = active[0], active[-1]
            if source is not target:
                data = {
                    "source": source.id,
                    "target": target.id,
                    "kind": "direct",
                    "gain": source.score - target.score,
                }
                events.append(Event("transfer", {**data, "score": source.score, "agent": source.theta}))
                active[-1] = Walker(target.id, target.course, source.theta, source.score, target.solved)
        table = state.table if steps % 500 else rng.random(300_000).astype(np.float32)
        metrics = {"steps": steps, "active": len(active), "annecs": births // 2, "loss": float("nan")}
        events.append(Event("metric", metrics))
        finite = [w.score for w in active if np.isfinite(w.score)]
        best = max(finite, default=None)
        return State(tuple(active), {"steps": steps, "births": births}, table, best, (1, [2.5, None])), events


@dataclass(frozen=True)
class Queue:
    iteration: int = 0
    offered: tuple[int, ...] = ()


class Desk:
    """A system that takes candidates, and finds them all too easy in every fifth iteration."""

    def init(self, key: Any) -> Queue:
        return Queue()

    def offer(self, state: Queue, id: int, parent: int | None, data: dict[str, Any]) -> Queue:
        return Queue(state.iteration, (*state.offered, id))

    def step(self, key: Any, state: Queue) -> tuple[Queue, list[Event]]:
        if state.iteration % 5 < 4:
            return Queue(state.iteration + 1, state.offered), []
        data = {"parent": None, "course": None, "reason": "too easy", "stage": "before", "score": 1.5}
        told = [Event("rejection", {**data, "candidate": id}) for id in state.offered]
        return Queue(state.iteration + 1), told


def _birth(walker: Walker, parent: int | None, course: Course) -> Event:
    data = {"id": walker.id, "parent": parent, "course": course, "description": [course.height]}
    return Event("birth", {**data, "score": walker.score, "agent": walker.theta})


def _rng(key: Any) -> np.random.Generator:
    import jax

    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def main(arguments: list[str]) -> int:
    """`aiga`, which here knows this system too."""
    from aiga import cli, registry

    registry.SYSTEMS["toy"] = registry.Entry("a walk among numbers", config=Config, build=Toy)
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
