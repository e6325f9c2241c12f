"""Does MAML learn few-shot images as well here as with learn2learn (Arnold et al. 2020, arXiv 2008.12284)?

5-way 1-shot glyphs, the same network, images, meta-batches and numbers; both end as weights of our network
and are judged on the same tasks of alphabets that neither has seen. learn2learn lives in a Python of its own,
whose path the environment variable AIGA_LEARN2LEARN has. docs/maml.md says what came out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

from aiga.benchmarks import meta
from aiga.experiments import results
from aiga.experiments.lab import Experiment, Lab, last
from aiga.learners.inner_loop import Meta
from aiga.runs.errors import RunError
from aiga.systems.learning.maml import MAML, Config

ITERATIONS = 300  # of the meta-learner
CASE = next(case for case in meta.CASES if case.task == "glyphs" and case.gradient == "second")
STEPS = (0, 1, 5)  # inner ones, after which a task is judged
TASKS = 600
CHUNK = 25  # meta-iterations in one compiled scan


def few_shot(lab: Lab, presets: Mapping[str, Config]) -> None:
    """Accuracies of both, seed by seed."""
    iterations = lab.budget(ITERATIONS)
    # Of the rival's characters none is turned; the run's own tests are not what is measured here.
    config = replace(presets["glyphs"], turns=False, iterations=min(CHUNK, iterations), test_tasks=10)
    system, judge = MAML(config), MAML(replace(config, test_tasks=TASKS))

    def judged(learnt: Meta) -> Mapping[str, float]:
        right = judge.judge(learnt, jax.random.key(0x7E57))
        return {f"right after {step} step{'s' * (step != 1)}": float(right[:, step].mean()) for step in STEPS}

    def rival(arm: str, seed: int) -> Mapping[str, float]:
        return judged(_theirs(judge.init(jax.random.key(seed)).meta, seed, iterations))

    for seed in lab.seeds:
        lab.trial("aiga", seed, system, config, lambda store: judged(last(store, system).meta), name="maml")
        lab.measure([(meta.RIVAL, seed)], rival)


def _theirs(first: Meta, seed: int, iterations: int) -> Meta:
    """The rival's after as many, in our order of axes."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        file = Path(folder) / "weights.npz"
        try:
            ask = meta.theirs(Path(folder), stack)
        except (OSError, ImportError) as error:
            raise RunError(
                f"{meta.PYTHON}: the path of a Python with learn2learn, not this: {error}"
            ) from None
        ask(CASE, iterations=iterations, seed=seed, weights=str(file))
        with np.load(file) as stored:
            *blocks, matrix, bias = (stored[name] for name in stored.files)
    body = [(blocks[k].transpose(0, 2, 3, 1), *blocks[k + 1 : k + 3]) for k in range(0, len(blocks), 3)]
    start = jax.tree.map(lambda leaf: np.ascontiguousarray(leaf, np.float32), (*body, (matrix.T, bias)))
    return replace(first, start=start)


def _draw(lab: Lab, file: Path) -> None:
    results.dots(lab.results.values(), lab.arms, file)


EXPERIMENTS = {
    "few-shot": Experiment(
        "MAML on 5-way 1-shot glyphs here and with learn2learn, judged on the same tasks",
        (meta.RIVAL, "aiga"), few_shot, _draw, runs=2, system="maml", unit="meta_iterations",
        folder="experiment-few-shot", seeds=3, minutes=120,
    ),
}  # fmt: skip
