"""A learning algorithm that was found, tuned by gradient descent on its own constants.

    python examples/tuned_rule.py              # the paper's linear regressor, its rate too small
    python examples/tuned_rule.py runs/NAME    # the best program of a run of automl-zero

The program is the learner's `meta`, so the gradient goes through all that it learns, on linear tasks.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from aiga.brains.programs import known
from aiga.brains.programs.ops import Program, Sizes
from aiga.brains.programs.traced import Machine, Rule
from aiga.learners.program import Experience, ProgramLearner


def tuned(program: Program, sizes: Sizes, steps: int = 60, rate: float = 0.3) -> tuple[Rule, list[float]]:
    """`program` with better constants, and its squared error on tasks never tuned on, before and after."""
    learner = ProgramLearner(Machine(sizes, program.lengths), limit=jnp.inf)
    rule = learner.machine.rule(program)

    def missed(logs: Any, key: Any) -> Any:
        changed = rule._replace(data=jnp.asarray(rule.data) * jnp.exp(logs))  # no constant changes its sign
        x = jax.random.normal(key, (40, sizes.features))
        y = x @ jax.random.normal(jax.random.fold_in(key, 1), (sizes.features,))
        state, _ = learner.learn(changed, key, learner.init(key), Experience(x[:20], y[:20]))
        return jnp.mean(learner.judge(changed, state, Experience(x[20:], y[20:]))[1]["error"] ** 2)

    def loss(logs: Any, key: Any) -> Any:
        return jnp.mean(jax.vmap(missed, (None, 0))(logs, jax.random.split(key, 8)))

    judged = jax.jit(jax.value_and_grad(loss))
    logs, unseen = jnp.zeros(rule.data.shape), jax.random.key(1)
    errors = [float(judged(logs, unseen)[0])]
    for step in range(steps):
        _, uphill = judged(logs, jax.random.fold_in(jax.random.key(0), step))
        logs -= rate * uphill / (1e-8 + jnp.linalg.norm(uphill))  # errors vary by powers of ten
    errors.append(float(judged(logs, unseen)[0]))
    return rule._replace(data=jnp.asarray(rule.data) * jnp.exp(logs)), errors


if __name__ == "__main__":
    given = known.linear(0.01), Sizes(4, 3, 0, 4)
    if sys.argv[1:]:
        from aiga import found_programs
        from aiga.runs.store import Store

        with Store.open(Path(sys.argv[1])) as store:
            run = store.run()
            given = found_programs.program(run.config if run else {}, store.rows("events"))
    better, (before, after) = tuned(*given)
    print(f"squared error on tasks held out: {before:.4f} before, {after:.4f} after")
