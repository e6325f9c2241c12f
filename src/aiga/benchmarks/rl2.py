"""RL^2's training on two arms of 100 pulls, in steps of the environment a second, beside sb3-contrib's
recurrent PPO (Raffin et al. 2021, JMLR 22): the same task, units, epochs and minibatches.

The rival is run in a process of its own by the Python that the environment variable AIGA_RECURRENT_RIVAL
names, by this one where it names none. Both count play and learning, and neither what is only done once. How
many environments are played side by side is each one's own choice: ours learns from 512 trials at once, the
rival is tried with several numbers and its best counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from aiga.benchmarks.beside import spread

RIVAL = "sb3-contrib RecurrentPPO"
ROUNDS = 3
TRIES = (8, 64, 512)  # environments of the rival
UNIT = "training steps/s"


def ours(updates: int = 4) -> float:
    """Steps a second of the default configuration; the first updates, with compiling, do not count."""
    import jax

    from aiga.systems.learning.rl2 import RL2, Config

    config = Config(updates=updates, test_tasks=1)
    system, key = RL2(config), jax.random.key(0)
    state, _ = system.step(key, system.init(key))
    begun = time.perf_counter()
    system.step(key, state)
    return updates * config.trials * config.pulls / (time.perf_counter() - begun)


def rival(environments: int, updates: int = 1) -> float:
    """The rival's steps a second. ImportError, saying why, where it does not run."""
    from aiga.systems.learning.rl2 import Config

    config = Config()
    asked = {
        "environments": environments, "pulls": config.pulls, "units": config.units, "updates": updates,
        "epochs": config.epochs, "minibatches": config.minibatches, "rate": config.rate,
    }  # fmt: skip
    python = os.environ.get("AIGA_RECURRENT_RIVAL", sys.executable)
    program = [python, str(Path(__file__).with_name("recurrent_rival.py")), json.dumps(asked)]
    done = subprocess.run(program, capture_output=True, text=True)
    if done.returncode:
        raise ImportError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it stopped")
    said = json.loads(done.stdout.splitlines()[-1])
    return said["steps"] / said["seconds"]


def case(rounds: int = ROUNDS) -> dict[str, Any]:
    """The case of `aiga bench`: our rate and the rival's best one, in turn, and their ratio; `missing` says
    why where the rival does not run."""
    found: dict[str, Any] = {"case": "training on two arms, 100 pulls", "unit": UNIT, "rivals": {}}
    try:
        tried = {count: rival(count) for count in TRIES}
        best = max(tried, key=lambda count: tried[count])
    except ImportError as error:
        return {**found, "ours": median(ours() for _ in range(rounds)), "missing": str(error)}
    pairs = [(ours(), rival(best)) for _ in range(rounds)]
    mine, theirs = (list(rates) for rates in zip(*pairs, strict=True))
    found["rivals"][RIVAL] = {
        "rate": median(theirs),
        "environments": best,
        "ratio": spread(mine, theirs),
    }
    return {**found, "ours": median(mine)}


def bench() -> tuple[dict[str, Any], str]:
    """The case, as data and as text."""
    found = case()
    missing = [RIVAL] if "missing" in found else []
    text = [f"rl2, {UNIT}", f"{found['case']}: {found['ours']:,.0f}"]
    for name, each in found["rivals"].items():
        ratio = each["ratio"]
        text.append(
            f"  {ratio['median']:.0f} ({ratio['min']:.0f} to {ratio['max']:.0f}) times {name}, "
            f"{each['rate']:,.0f} with {each['environments']} environments, its best of {TRIES}"
        )
    if missing:
        text.append(f"not run, so not compared: {RIVAL} ({found['missing']})")
    return {"benchmark": "rl2", "missing": missing, "cases": [found]}, "\n".join(text)
