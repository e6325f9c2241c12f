"""RL^2's training on two arms of 100 pulls, in steps of the environment a second, beside sb3-contrib's
recurrent PPO (Raffin et al. 2021, JMLR 22): the same task, units, epochs and minibatches.

The rival is run in a process of its own by the Python that the environment variable AIGA_RECURRENT_RIVAL
names, by this one where it names none. Both count play and learning, and neither what is only done once. How
many environments are played side by side is the rival's own choice up to the 256 trials that ours learns from
at once: with more it would take fewer gradient steps for as much experience. Its best number counts, and the
rates with all are told.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from aiga.benchmarks.beside import spread

RIVAL, PYTHON = "sb3-contrib RecurrentPPO", "AIGA_RECURRENT_RIVAL"
ROUNDS = 3
TRIES = (8, 64, 256)  # environments of the rival
UNIT = "training steps/s"


def ours() -> tuple[Callable[[], float], float]:
    """Steps a second of the default configuration, whenever asked for, and what compiling took, in s."""
    import jax

    from aiga.systems.learning.rl2 import RL2, Config

    config = Config(test_tasks=1)
    system, key = RL2(config), jax.random.key(0)
    spent = [time.perf_counter()]
    for _ in range(2):
        state, _ = system.step(key, system.init(key))
        spent.append(time.perf_counter())
    first, again = spent[1] - spent[0], spent[2] - spent[1]

    def rate() -> float:
        begun = time.perf_counter()
        system.step(key, state)
        return config.updates * config.trials * config.pulls / (time.perf_counter() - begun)

    return rate, first - again


def rival(environments: int, updates: int = 4) -> float:
    """The rival's steps a second. ImportError, saying why, where it does not run."""
    from aiga.systems.learning.rl2 import Config

    config = Config()
    asked = {
        "environments": environments, "pulls": config.pulls, "units": config.units, "updates": updates,
        "epochs": config.epochs, "minibatches": config.minibatches, "rate": config.rate,
    }  # fmt: skip
    python = os.environ.get(PYTHON, sys.executable)
    program = [python, str(Path(__file__).with_name("recurrent_rival.py")), json.dumps(asked)]
    done = subprocess.run(program, capture_output=True, text=True)
    if done.returncode:
        raise ImportError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it stopped")
    said = json.loads(done.stdout.splitlines()[-1])
    return said["steps"] / said["seconds"]


def case(rounds: int = ROUNDS) -> dict[str, Any]:
    """The case of `aiga bench meta`: our rate and the rival's best one, in turn, and their ratio; no rival
    where it does not run."""
    mine, compiled = ours()
    found: dict[str, Any] = {
        "case": "RL^2, training on two arms, 100 pulls", "unit": UNIT, "compiling": compiled, "rivals": {},
    }  # fmt: skip
    try:
        tried = {count: rival(count) for count in TRIES}
    except ImportError:
        return {**found, "ours": median(mine() for _ in range(rounds))}
    best = max(tried, key=lambda count: tried[count])
    pairs = [(mine(), rival(best)) for _ in range(rounds)]
    rates, theirs = (list(each) for each in zip(*pairs, strict=True))
    ratio = spread(rates, theirs)
    found["rivals"][RIVAL] = {"rate": median(theirs), "environments": best, "ratio": ratio, "tried": tried}
    return {**found, "ours": median(rates)}
