"""What takes minutes: `make proof`. The last results stand in docs/proofs.md, with date and machine."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from aiga.brains import MLP
from aiga.learners.evolution_strategy import Config, EvolutionStrategy
from aiga.play import flatten
from aiga.worlds.walker import kernel
from aiga.worlds.walker.course import Course, Genes
from aiga.worlds.walker.space import grow
from test_walker_transfer import in_gymnasium, on_the_kernel

pytestmark = pytest.mark.proof
MINUTES = 10


def aiga(*arguments: str) -> str:
    run = [sys.executable, "-c", "from aiga.cli import main; raise SystemExit(main())", *arguments]
    return subprocess.run(run, check=True, capture_output=True, text=True).stdout


def ten_minutes(preset: str, seed: int, folder: Path) -> dict[str, Any]:
    """What `aiga show` says of a run of `preset`, bounded by the clock; alone on two cores."""
    where = ["--runs-dir", str(folder)]
    aiga(
        "run",
        "poet",
        "--name",
        "ten",
        "--preset",
        preset,
        "--minutes",
        str(MINUTES),
        f"--seed={seed}",
        *where,
    )
    return json.loads(aiga("show", "ten", "--json", *where))


@pytest.mark.parametrize("seed", range(5))
def test_ten_minutes_of_poet(seed: int, tmp_path: Path) -> None:
    """At least four courses other than flat ground solved, a transfer accepted, and still solving in the last
    third."""
    shown = ten_minutes("laptop", seed, tmp_path)
    with sqlite3.connect(tmp_path / "ten" / "run.db") as store:
        clock = dict(store.execute("select iteration, at from clock"))
    first, last = min(clock.values()), max(clock.values())
    solved = [clock[e["solved"]] for e in shown["environments"] if e["solved"] is not None and e["id"] > 0]
    late = [at for at in solved if at > first + (last - first) * 2 / 3]
    print(f"seed {seed}: {len(solved)} solved, {len(late)} of them late, {len(shown['transfers'])} transfers")
    assert len(solved) >= 4 and shown["transfers"] and late


@pytest.mark.parametrize("seed", range(5))
def test_ten_minutes_of_enhanced_poet(seed: int, tmp_path: Path) -> None:
    """Painted courses admitted and solved, and counted by ANNECS."""
    shown = ten_minutes("enhanced-laptop", seed, tmp_path)
    painted = [e for e in shown["environments"] if e["id"] > 0]
    assert all(e["course"]["genes"]["links"] for e in painted)
    solved = sum(e["solved"] is not None for e in painted)
    print(f"seed {seed}: {len(painted)} made, {solved} solved, ANNECS {shown['annecs']}")
    assert solved and shown["annecs"]


def test_a_walker_trained_from_nothing_walks_in_gymnasium() -> None:
    """Flat ground first, then ground as rough as Gymnasium's, up to a return of 300 here; then 20 episodes
    there, with at least 19 finished and a mean within 3 % of ours."""
    learner = EvolutionStrategy(Config(population=128, rate=0.02, rate_decay=0.998, sigma_floor=0.03))
    evaluate = kernel.evaluator(max_steps=1600)
    state = learner.init(jax.random.key(0), flatten(MLP().init(jax.random.key(1))))
    rough, level, ours = [grow(Genes(roughness=1.0, seed=1000 + seed)) for seed in range(64)], True, None
    for generation in range(2000):
        course = Course.flat() if level else rough[generation % len(rough)]
        key = jax.random.key(generation)
        (state,) = learner.generation(key, [state], [course], evaluate, 8192)
        if generation % 10 == 9:
            ours = on_the_kernel(np.asarray(state.weights))
            level = level and ours.returns.mean() < 150
            if ours.returns.mean() >= 300 and ours.finished.all():
                break
    assert ours is not None and ours.returns.mean() >= 300
    theirs, ends = in_gymnasium(np.asarray(state.weights))
    print(f"here {ours.returns.mean():.1f}, in Gymnasium {theirs.mean():.1f}, {ends} of 20 finished")
    assert ends >= 19
    assert abs(theirs.mean() / ours.returns.mean() - 1) < 0.03
