"""The systems the command line knows, by name or by file. Nothing heavy is imported before one is used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aiga.interfaces import Evaluate, System


@dataclass(frozen=True)
class Policy:
    """How an agent's flat weights are wired: layers of `sizes`, and their activations."""

    sizes: Sequence[int]
    activation: str
    output: str


@dataclass(frozen=True)
class Entry:
    """One system.

    `config` gives its default configuration, a frozen dataclass, `build` the system from another of that
    class; it takes an `evaluate` too where `evaluator(config, engine, threads)` makes one, for the engines
    `native` and `jax`. `preset` names the preset that is laid over the default. `replay(course, weights,
    seed, out, lidar)` draws one episode and says in a line how it went, `policy` is what `aiga export` writes
    down; both may be missing. `course` is plain JSON data.
    """

    summary: str
    config: Callable[[], Any]
    build: Callable[..., System[Any]]
    evaluator: Callable[[Any, str, int], Evaluate] | None = None
    preset: str | None = None
    replay: Callable[[Any, Any, int, Path, bool], str] | None = None
    policy: Callable[[Any], Policy] | None = None


def from_file(path: Path) -> Entry:
    """A system of your own: a Python file with a function `system(config=...)`.

    The default of `config` is a frozen dataclass; what the function returns has `init` and `step`. Raises
    ValueError, saying what is missing.
    """
    import importlib.util
    import inspect

    name = f"aiga_system_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ValueError(f"SYSTEM: {path}: no such file")
    module = importlib.util.module_from_spec(spec)
    # Where annotations are looked up when a state is read back.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    build: Any = getattr(module, "system", None)
    config = inspect.signature(build).parameters.get("config") if build else None
    if config is None or not is_dataclass(config.default):
        raise ValueError(f"SYSTEM: {path}: needs a function system(config=...), its default a dataclass")
    summary = (module.__doc__ or path.name).strip().splitlines()[0]
    return Entry(summary, config=lambda: config.default, build=build)


def _poet_config() -> Any:
    from aiga.walker_poet import Config

    return Config()


def _poet(config: Any, evaluate: Evaluate | None = None) -> System[Any]:
    from aiga.walker_poet import build

    return build(config, evaluate)


def _poet_evaluator(config: Any, engine: Any, threads: int) -> Evaluate:
    from aiga.walker_poet import evaluator

    return evaluator(config, engine, threads)


def _ppo_config() -> Any:
    from aiga.walker_ppo import Config

    return Config()


def _ppo(config: Any) -> System[Any]:
    from aiga.walker_ppo import Alone

    return Alone(config)


def _walker_policy(config: Any, output: str = "tanh") -> Policy:
    from aiga.brains import MLP

    brain = MLP(output=output)
    return Policy(brain.sizes, brain.activation, brain.output)


def _walker_replay(course: Any, weights: Any, seed: int, out: Path, lidar: bool, output: str = "tanh") -> str:
    import jax

    from aiga.brains import MLP
    from aiga.runs.codec import decode
    from aiga.worlds.walker.course import Course
    from aiga.worlds.walker.draw import animate
    from aiga.worlds.walker.episode import walk

    brain = MLP(output=output)
    layers = brain.unflatten(weights)
    act = jax.jit(lambda observation: brain.act(layers, (), observation)[0])
    ground = decode(Course, course).check()
    played = walk(ground, act, seed)
    animate(ground, played.poses, out, lidar=played.observations[:, 14:] if lidar else None)
    end = "reaches the end" if played.finished else f"gets to {played.poses[-1, 0, 0]:.1f} m"
    return f"{end} in {len(played.poses) - 1} steps, return {played.total:.1f}"


SYSTEMS: dict[str, Entry] = {
    "poet": Entry(
        "walkers and courses that invent each other (Wang et al. 2019)",
        config=_poet_config,
        build=_poet,
        evaluator=_poet_evaluator,
        preset="laptop",
        replay=_walker_replay,
        policy=_walker_policy,
    ),
    "ppo": Entry(
        "a walker taught by PPO on one course (Schulman et al. 2017)",
        config=_ppo_config,
        build=_ppo,
        replay=partial(_walker_replay, output="identity"),
        policy=partial(_walker_policy, output="identity"),
    ),
}


def _bench_walker(engine: str = "native") -> tuple[dict[str, Any], str]:
    from aiga.benchmarks.walker import bench, bench_jax

    return bench_jax() if engine == "jax" else bench()


def _bench_poet() -> tuple[dict[str, Any], str]:
    from aiga.benchmarks.poet import bench

    return bench()


def _bench_cluster() -> tuple[dict[str, Any], str]:
    from aiga.benchmarks.cluster import bench

    return bench()


def _bench_ppo() -> tuple[dict[str, Any], str]:
    from aiga.benchmarks.ppo import bench

    return bench()


# What `aiga bench` can measure: each gives its result as plain data and as text; some take an `engine`.
BENCHMARKS: dict[str, Callable[..., tuple[dict[str, Any], str]]] = {
    "walker": _bench_walker,
    "poet": _bench_poet,
    "cluster": _bench_cluster,
    "ppo": _bench_ppo,
}
