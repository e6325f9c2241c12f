"""The walker's speed beside Gymnasium's and EnvPool's, one core each, in turn.

Ours is policy and physics: every lane runs its own network, as in an evolution strategy. The rivals step
physics alone, with random actions, which favours them. A step is one of 1/50 s in every engine. Rates are by
the clock on the wall, so the machine should have nothing else to do.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from importlib import resources
from statistics import median
from typing import Any

import numpy as np

ROUNDS = 7  # every engine in turn, this often
SECONDS = 0.7  # for each, in each round
BATCHES = (1, 4, 16, 64, 256)  # of EnvPool; the best counts
# Additions and multiplications of a step: the network's 2,804 weights make 5.6 k, the physics about as many
# (three Newton steps for the velocities, two passes over the positions, contacts, ten rays).
OPERATIONS = 11_000
UNIT = "steps per second and core"

Rate = Callable[[float], float]  # seconds to run for, to steps per second


def trained() -> np.ndarray:
    """f32[2804], a walker that POET trained (docs/log.md)."""
    from safetensors.numpy import load

    return load(resources.files("aiga.benchmarks").joinpath("walker.safetensors").read_bytes())["weights"]


def populations() -> dict[str, tuple[np.ndarray, list[Any]]]:
    """Cases: weights f32[P, N] and the courses they walk."""
    from aiga.worlds.walker.course import Course, Genes
    from aiga.worlds.walker.space import grow

    noise = np.random.default_rng(0).standard_normal((1024, 2804)).astype(np.float32)
    small = {"stump_height": (0.0, 0.4), "gap_width": (0.0, 0.8), "step_height": (0.0, 0.4), "steps": 1}
    rough = [grow(Genes(**small, roughness=1.0, seed=seed)) for seed in range(16)]
    return {
        "trained walkers on obstacles": (trained() + np.float32(0.02) * noise, rough),
        "untrained networks on flat ground": (np.float32(0.1) * noise, [Course.flat()]),
    }


def ours(weights: np.ndarray, courses: list[Any], instruction_set: str = "") -> Rate:
    from aiga.worlds.walker import kernel

    episodes = np.arange(len(weights))

    def rate(seconds: float) -> float:
        begun, steps = time.perf_counter(), 0
        while (spent := time.perf_counter() - begun) < seconds or not steps:
            done = kernel.rollout(
                weights, courses, episodes % len(courses), episodes + steps, threads=1,
                instruction_set=instruction_set,
            )  # fmt: skip
            steps += int(done.lengths.sum())
            spent = time.perf_counter() - begun
        return steps / spent

    return rate


def gymnasium() -> Rate:
    from gymnasium.envs.box2d.bipedal_walker import BipedalWalker

    env = BipedalWalker(hardcore=True)
    env.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1, 1, (1000, 4)).astype(np.float32)

    def rate(seconds: float) -> float:
        begun, steps = time.perf_counter(), 0
        while time.perf_counter() - begun < seconds:
            if env.step(actions[steps % 1000])[2]:
                env.reset()
            steps += 1
        return steps / (time.perf_counter() - begun)

    return rate


def envpool() -> Rate:
    import envpool as engine  # pyright: ignore[reportMissingImports]

    def at(batch: int) -> Rate:
        env = engine.make(
            "BipedalWalkerHardcore-v3", env_type="gymnasium", num_envs=batch, num_threads=1, seed=0
        )
        env.reset()
        actions = np.random.default_rng(0).uniform(-1, 1, (100, batch, 4)).astype(np.float32)

        def rate(seconds: float) -> float:
            begun, calls = time.perf_counter(), 0
            while time.perf_counter() - begun < seconds:
                env.step(actions[calls % 100])
                calls += 1
            return calls * batch / (time.perf_counter() - begun)

        return rate

    rates = {batch: at(batch) for batch in BATCHES}
    best = max(rates, key=lambda batch: rates[batch](SECONDS))
    return rates[best]


RIVALS = {"gymnasium BipedalWalkerHardcore": gymnasium, "envpool, best batch": envpool}


def bench() -> tuple[dict[str, Any], str]:
    """Our rate and the rivals', and the ratios with their spread, as data and as text."""
    from aiga import _walker

    cases = {name: ours(*population) for name, population in populations().items()}
    rivals, missing = {}, []
    for name, make in RIVALS.items():
        try:
            rivals[name] = make()
        except ImportError:
            missing.append(name)
    for rate in (*cases.values(), *rivals.values()):
        rate(0.1)  # first touch of code and memory
    seen: dict[str, list[float]] = {name: [] for name in (*cases, *rivals)}
    peak = []
    for _ in range(ROUNDS):
        for name, rate in (*rivals.items(), *cases.items()):
            seen[name].append(rate(SECONDS))
        peak.append(_peak(_walker))
    limit = max(peak) / OPERATIONS
    rows = [
        {
            "case": name,
            "unit": UNIT,
            "ours": median(seen[name]),
            "of_arithmetic_limit": median(seen[name]) / limit,
            "rivals": {
                rival: {"rate": median(seen[rival]), "ratio": _spread(seen[name], seen[rival])}
                for rival in rivals
            },
        }
        for name in cases
    ]
    machine = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "instruction_set": _walker.instruction_sets()[0],
        "arithmetic_gflops": max(peak) / 1e9,
        "arithmetic_limit": limit,
    }
    data = {"benchmark": "walker", "machine": machine, "missing": missing, "cases": rows}
    return data, "\n".join(_lines(data))


def _peak(native: Any) -> float:
    """Operations per second of one core that does nothing but independent multiply-adds."""
    begun = time.perf_counter()
    operations = native.multiply_add(2_000_000)
    return operations / (time.perf_counter() - begun)


def _spread(mine: list[float], theirs: list[float]) -> dict[str, float]:
    ratios = [a / b for a, b in zip(mine, theirs, strict=True)]
    return {"median": median(ratios), "min": min(ratios), "max": max(ratios)}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _lines(data: dict[str, Any]) -> Iterator[str]:
    machine = data["machine"]
    yield f"walker, {UNIT}; {machine['processor']}, {machine['instruction_set']}"
    for row in data["cases"]:
        yield f"{row['case']}, policy and physics: {row['ours'] / 1e6:.2f} M"
        for name, rival in row["rivals"].items():
            ratio = rival["ratio"]
            yield (
                f"  {ratio['median']:6.0f} x {name}, physics alone ({rival['rate'] / 1e3:.1f} k); "
                f"{ratio['min']:.0f} to {ratio['max']:.0f} over {ROUNDS} rounds"
            )
        yield f"  {row['of_arithmetic_limit']:6.0%} of the core's arithmetic limit"
    yield (
        f"arithmetic limit: {machine['arithmetic_limit'] / 1e6:.1f} M, from "
        f"{machine['arithmetic_gflops']:.0f} G operations/s measured and {OPERATIONS:,} a step"
    )
    for name in data["missing"]:
        yield f"not installed, so not compared: {name} (pip install 'aiga[bench]')"
