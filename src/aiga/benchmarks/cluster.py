"""What more cores give: episodes on one of Ray's workers and on two, and what that says of a thousand.

Measured: the kernel's rate in this process, on one worker and on two, each pinned to a core of its own; the
CPU time that tasks and their bytes cost the caller, by episodes of one step; and what an iteration of the
`paper` preset costs the one process that holds the truth, when its episodes cost nothing. Calculated from
these: an iteration on any number of cores, and what it waits for.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from aiga.interfaces import Evaluate, Outcome
from aiga.machine import threads_here
from aiga.play.cluster import LEAST, TASKS, cluster

ROUNDS = 7
FEW, MANY = 64, 4096  # episodes in one call; the paper's iterations have 10,240
CORES = (1, 2, 8, 64, 1000)
NETWORK = 1.25e9  # bytes per second that the caller's machine is taken to send: 10 Gbit/s
RESULT = 9  # bytes of an episode's return, its length and whether it finished

_held: list[int] = []  # in a worker: the lock on its core


@dataclass(frozen=True)
class Cost:
    """What the calculation starts from; seconds, where nothing else is said."""

    rate: float  # steps per second of one worker
    steps: float  # of an episode
    least: float  # of the smallest task
    task: float  # of the caller's CPU, for each
    byte: float  # of the caller's CPU, for each
    writer: float  # of an iteration without its episodes
    size: int  # bytes of one episode, there and back


def iteration(cost: Cost, episodes: int, cores: int) -> dict[str, Any]:
    """What an iteration of so many episodes on so many cores takes, s, and what it waits for longest.

    The caller hands out tasks while others are played, and writes when all are back.
    """
    tasks = min(episodes / LEAST, cores * TASKS)
    parts = {
        "episodes": max(episodes * cost.steps / cost.rate / cores, cost.least),
        "handing out": tasks * cost.task + episodes * cost.size * cost.byte,
        "network": episodes * cost.size / NETWORK,
        "writer": cost.writer,
    }
    taken = max(parts["episodes"], parts["handing out"], parts["network"]) + cost.writer
    alone = episodes * cost.steps / cost.rate + cost.writer
    return {
        "cores": cores,
        "seconds": taken,
        "speedup": alone / taken,
        "tasks_per_second": tasks / taken,
        "bytes_per_task": episodes * cost.size / tasks,
        "waits_for": max(parts, key=parts.__getitem__),
        "parts": parts,
    }


def pinned(folder: str, max_steps: int) -> Evaluate:
    """The kernel on one thread, its process on a core that no other pinned one in `folder` has."""
    from aiga.worlds.walker import kernel

    for core in sorted(os.sched_getaffinity(0)):
        lock = os.open(Path(folder) / str(core), os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            continue
        _held.append(lock)
        os.sched_setaffinity(0, {core})
        break
    return kernel.evaluator(max_steps=max_steps, threads=1)


def bench() -> tuple[dict[str, Any], str]:
    """The measured rates, and iterations on more cores, as data and as text.

    Raises ImportError without Ray.
    """
    from aiga.benchmarks.poet import crowded
    from aiga.benchmarks.walker import populations
    from aiga.worlds.walker import kernel

    weights, courses = populations()["trained walkers on obstacles"]
    config, state = crowded()

    def timed(
        evaluate: Evaluate, count: int, round: int = 0, clock: Callable[[], float] = time.perf_counter
    ) -> tuple[float, float]:
        """Seconds, and steps played."""
        some = np.resize(weights, (count, weights.shape[1]))
        which, seeds = np.arange(count, dtype=np.int32) % len(courses), np.arange(count, dtype=np.uint32)
        begun = clock()
        played = evaluate(some, courses, which, seeds + np.uint32(round))
        return clock() - begun, float(np.sum(played.lengths))

    alone = kernel.evaluator(max_steps=config.max_steps, threads=1)
    rates: dict[str, list[float]] = {"1 thread": []}
    walked = []
    for workers in range(1, min(2, threads_here()) + 1):
        mine = rates[f"{workers} worker{'s' if workers > 1 else ''}"] = []
        with _workers(workers, config.max_steps) as evaluate:
            for _ in range(3):  # until every worker has started
                timed(evaluate, MANY)
            for round in range(ROUNDS):
                for kept, play in ((rates["1 thread"], alone), (mine, evaluate)):
                    seconds, steps = timed(play, MANY, round)
                    kept.append(steps / seconds)
                    walked.append(steps / MANY)
    with _workers(1, max_steps=1) as evaluate:
        timed(evaluate, MANY)
        few, many = (
            median(timed(evaluate, count, round, time.process_time)[0] for round in range(ROUNDS))
            for count in (FEW, MANY)
        )
    size = weights[0].nbytes + RESULT
    byte = (many - few) / ((MANY - FEW) * size)
    cost = Cost(
        rate=median(rates["1 worker"]),
        steps=float(np.mean(walked)),
        least=median(timed(alone, LEAST, round)[0] for round in range(ROUNDS)),
        task=max(0.0, few - FEW * size * byte) / TASKS,
        byte=byte,
        writer=_writer(config, state),
        size=size,
    )
    episodes = config.capacity * (config.es.population + config.episodes)
    data = {
        "benchmark": "cluster",
        "machine": {"cores": threads_here()},
        "cases": [
            {
                "case": "trained walkers on obstacles",
                "unit": "steps per second",
                "rates": {name: _spread(each) for name, each in rates.items()},
            }
        ],
        "cost": asdict(cost),
        "episodes": episodes,
        "iterations": [iteration(cost, episodes, cores) for cores in CORES],
    }
    return data, "\n".join(_lines(data))


@contextmanager
def _workers(count: int, max_steps: int) -> Iterator[Evaluate]:
    with (
        tempfile.TemporaryDirectory() as folder,
        cluster(partial(pinned, folder, max_steps), count) as evaluate,
    ):
        yield evaluate


def _writer(config: Any, state: Any) -> float:
    """Median seconds of an iteration whose episodes cost nothing: noise, learning, and the commit."""
    import jax

    from aiga.runs.codec import encode
    from aiga.runs.store import Run, Store
    from aiga.walker_poet import build

    def evaluate(weights: Any, courses: Any, which: Any, seeds: Any) -> Outcome:
        count = len(which)
        return Outcome(np.asarray(seeds, np.float32), np.ones(count, np.int32), np.ones(count, bool))

    system, spent = build(config, evaluate), []
    with tempfile.TemporaryDirectory() as folder, Store.open(folder, write=True) as store:
        store.begin(Run("poet", 0, {}), encode(state))
        for n in range(ROUNDS):
            begun = time.perf_counter()
            after, events = system.step(jax.random.key(n), state)
            store.commit(n + 1, events, encode(replace(after, iteration=1)), 0.0)
            spent.append(time.perf_counter() - begun)
    return median(spent[1:])  # the first one compiles


def _spread(rates: Sequence[float]) -> dict[str, float]:
    return {"median": median(rates), "min": min(rates), "max": max(rates)}


def _lines(data: dict[str, Any]) -> Iterator[str]:
    yield f"cluster, steps per second, {data['machine']['cores']} cores"
    one = data["cases"][0]["rates"]["1 worker"]["median"]
    for name, rate in data["cases"][0]["rates"].items():
        low, middle, high = (rate[which] / 1e6 for which in ("min", "median", "max"))
        yield f"  {name:10} {middle:5.2f} M ({low:.2f} to {high:.2f}), {middle * 1e6 / one:.2f} x one worker"
    cost = data["cost"]
    each = cost["byte"] * cost["size"]
    yield f"a task costs the caller {cost['task'] * 1e3:.2f} ms, and {each * 1e6:.1f} us an episode in it"
    yield f"an episode is {cost['size'] / 1e3:.1f} kB; the smallest task takes {cost['least'] * 1e3:.0f} ms"
    yield f"the writer takes {cost['writer']:.2f} s an iteration"
    yield f"calculated: an iteration of the paper preset, {data['episodes']:,} episodes"
    yield "  cores  seconds  speedup  tasks/s  kB a task  waits for"
    for row in data["iterations"]:
        yield (
            f"  {row['cores']:5}  {row['seconds']:7.2f}  {row['speedup']:6.1f}x  "
            f"{row['tasks_per_second']:7.0f}  {row['bytes_per_task'] / 1e3:9,.0f}  {row['waits_for']}"
        )
