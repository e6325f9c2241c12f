"""How long POET's published budget would take here: 25,200 iterations with 20 active environments.

A stretch of the `paper` preset is measured as it is when it is most expensive: 20 environments, walkers that
cross them, every rollout long. Everything else is counted: the episodes of an iteration, of the transfers
every 25 iterations and of the reproduction every 200, at the measured time for each.
"""

from __future__ import annotations

import time
from dataclasses import replace
from importlib import resources
from typing import Any

ITERATIONS = 25_200  # Wang et al. 2019, arXiv 1901.01753
STRETCH = 3  # iterations measured


def episodes(config: Any) -> dict[str, float]:
    """Of an average iteration with all places taken, by what they are for."""
    pairs, moves = config.capacity, config.capacity * (config.capacity - 1)
    tuned = config.capacity * min(config.fine_tuned, config.capacity - 1)
    tuning = config.es.population + config.episodes
    # Every child is tried with its parent's agent; one is admitted after all agents were tried in it.
    child = pairs * config.episodes + min(config.fine_tuned, pairs) * tuning
    return {
        "learning": pairs * config.es.population,
        "evaluation": pairs * config.episodes,
        "transfers": (moves * config.episodes + tuned * tuning) / config.transfer_every,
        "reproduction": (config.children * config.episodes + config.admit * child) / config.reproduce_every,
    }


def crowded() -> tuple[Any, Any]:
    """The `paper` preset's configuration, and a state with all places taken by walkers that cross their
    ground."""
    import tomllib

    import jax

    from aiga.benchmarks.walker import trained
    from aiga.learners import evolution_strategy as es
    from aiga.systems.environments.poet import Pair, State
    from aiga.walker_poet import Config, build
    from aiga.worlds.walker.course import Genes
    from aiga.worlds.walker.space import grow

    table = tomllib.loads((resources.files("aiga") / "presets" / "poet" / "paper.toml").read_text())
    config = Config(**{**table, "es": es.Config(**table["es"])})
    system = build(config)
    learner = jax.device_get(system.es.init(jax.random.key(0), trained()))
    # As far down its schedule as half of the budget: noise that rollouts survive.
    learner = replace(learner, steps=ITERATIONS // 2)
    small = {"stump_height": (0.0, 0.4), "gap_width": (0.0, 0.8), "step_height": (0.0, 0.4), "steps": 1}
    courses = [grow(Genes(**small, roughness=1.0, seed=seed)) for seed in range(config.capacity)]
    pairs = tuple(Pair(n, None, 0, course, learner) for n, course in enumerate(courses))
    return config, State(1, config.capacity, 0, 0, 0.0, pairs)


def bench() -> tuple[dict[str, Any], str]:
    """Days for the whole budget, and how they are made up, as data and as text."""
    import jax

    from aiga.machine import threads_here
    from aiga.walker_poet import build

    config, state = crowded()
    system = build(config)
    state, _ = system.step(jax.random.key(0), state)  # compiles
    begun, before = time.perf_counter(), state.steps
    for n in range(STRETCH):
        state, _ = system.step(jax.random.key(n), replace(state, iteration=1))
    seconds, steps = (time.perf_counter() - begun) / STRETCH, (state.steps - before) / STRETCH
    counted = episodes(config)
    each = seconds / (counted["learning"] + counted["evaluation"])
    days = {what: number * each * ITERATIONS / 86_400 for what, number in counted.items()}
    data = {
        "benchmark": "poet",
        "machine": {"cores": threads_here()},
        "cases": [
            {
                "case": "the paper's whole budget",
                "unit": "days",
                "ours": sum(days.values()),
                "of_which": days,
                "steps_per_second": steps / seconds,
                "steps_per_episode": steps / (counted["learning"] + counted["evaluation"]),
                "rivals": {},
            }
        ],
    }
    lines = [
        f"{ITERATIONS:,} iterations of the paper's POET on {threads_here()} cores: "
        f"{sum(days.values()):.1f} days",
        *(f"  {value:5.1f} {what}" for what, value in days.items()),
        f"from {STRETCH} iterations of {seconds:.1f} s, {steps / seconds / 1e6:.2f} M steps/s, "
        f"{data['cases'][0]['steps_per_episode']:.0f} steps an episode, all places taken by walkers",
    ]
    return data, "\n".join(lines)
