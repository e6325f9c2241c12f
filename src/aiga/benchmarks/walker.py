"""The walker's speed beside Gymnasium's and EnvPool's, one core each, in turn.

Ours is policy and physics: every lane runs its own network, as in an evolution strategy. The rivals step
physics alone, with random actions, which favours them. A step is one of 1/50 s in every engine. Rates are by
the clock on the wall, so the machine should have nothing else to do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from importlib import resources
from statistics import median
from typing import Any

import numpy as np

from aiga.benchmarks.beside import processor, spread, told

ROUNDS = 7  # every engine in turn, this often
SECONDS = 0.7  # for each, in each round
BATCHES = (1, 4, 16, 64, 256)  # of EnvPool; the best counts
WIDTHS = {"cpu": (256, 50), "gpu": (32_768, 500)}  # episodes that JAX plays at once, and their most steps
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
                rival: {"rate": median(seen[rival]), "ratio": spread(seen[name], seen[rival])}
                for rival in rivals
            },
        }
        for name in cases
    ]
    machine = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "instruction_set": _walker.instruction_sets()[0],
        "arithmetic_gflops": max(peak) / 1e9,
        "arithmetic_limit": limit,
    }
    data = {"benchmark": "walker", "machine": machine, "missing": missing, "cases": rows}
    return data, "\n".join(_lines(data))


def bench_jax() -> tuple[dict[str, Any], str]:
    """The JAX walker's rate on the device that JAX has, and the kernel's on one core, as data and as text."""
    import jax

    from aiga.brains import MLP
    from aiga.play import evaluator
    from aiga.worlds.walker import kernel
    from aiga.worlds.walker.course import Course
    from aiga.worlds.walker.world import WalkerWorld

    device = jax.devices()[0]
    width, most = WIDTHS["cpu" if device.platform == "cpu" else "gpu"]
    weights, courses = populations()["trained walkers on obstacles"]
    which = np.arange(width, dtype=np.int32) % len(courses)
    weights, seeds = np.resize(weights, (width, weights.shape[1])), np.arange(width, dtype=np.uint32)
    ground = [Course(course.left, course.right) for course in courses]
    engines = {
        device.device_kind: evaluator(WalkerWorld(most), MLP(), most, width),
        "kernel, one core": kernel.evaluator(max_steps=most, threads=1),
    }
    seen: dict[str, list[float]] = {name: [] for name in engines}
    begun = time.perf_counter()
    for evaluate in engines.values():
        evaluate(weights, ground, which, seeds)
    compiled = time.perf_counter() - begun
    for round in range(ROUNDS):
        for name, evaluate in engines.items():
            begun = time.perf_counter()
            lengths = evaluate(weights, ground, which, seeds + np.uint32(round)).lengths
            seen[name].append(float(np.sum(lengths)) / (time.perf_counter() - begun))
    mine, theirs = seen.values()
    ratio = spread(mine, theirs)
    case = {
        "case": f"trained walkers on obstacles, {width:,} at once, {most} steps at most",
        "unit": "steps per second",
        "ours": median(mine),
        "rivals": {"kernel, one core": {"rate": median(theirs), "ratio": ratio}},
    }
    machine = {"device": device.device_kind, "first_call_seconds": compiled}
    text = (
        f"walker in JAX on {device.device_kind}, {case['case']}\n"
        f"  {median(mine) / 1e3:.1f} k steps/s, {ratio['median']:.3g} x the kernel on one core "
        f"({ratio['min']:.3g} to {ratio['max']:.3g} over {ROUNDS} rounds); first call {compiled:.0f} s"
    )
    return {"benchmark": "walker", "engine": "jax", "machine": machine, "cases": [case]}, text


def _peak(native: Any) -> float:
    """Operations per second of one core that does nothing but independent multiply-adds."""
    begun = time.perf_counter()
    operations = native.multiply_add(2_000_000)
    return operations / (time.perf_counter() - begun)


def _lines(data: dict[str, Any]) -> Iterator[str]:
    machine = data["machine"]
    yield f"walker, {UNIT}; {machine['processor']}, {machine['instruction_set']}"
    for row in data["cases"]:
        yield f"{row['case']}, policy and physics: {row['ours'] / 1e6:.2f} M"
        for name, rival in row["rivals"].items():
            yield told(name, rival["ratio"], f", physics alone ({rival['rate'] / 1e3:.1f} k)", ROUNDS)
        yield f"  {row['of_arithmetic_limit']:6.0%} of the core's arithmetic limit"
    yield (
        f"arithmetic limit: {machine['arithmetic_limit'] / 1e6:.1f} M, from "
        f"{machine['arithmetic_gflops']:.0f} G operations/s measured and {OPERATIONS:,} a step"
    )
    for name in data["missing"]:
        yield f"not installed, so not compared: {name} (pip install 'aiga[bench]')"
