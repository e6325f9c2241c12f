"""A learning algorithm that was found, tuned by gradient descent on its own constants.

    python examples/tuned_rule.py              # the paper's linear regressor, its rate ten times too small
    python examples/tuned_rule.py runs/NAME    # the best program of a run of automl-zero

The program is the learner's `meta`, plain arrays, so that the outer loop is a gradient through all that it
learns: it minimises the squared error on examples held out, over linear tasks.
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


def found(folder: Path) -> tuple[Program, Sizes]:
    """What the run of automl-zero in `folder` has to show."""
    from aiga.registry import automl_zero_program
    from aiga.runs.store import Store

    with Store.open(folder) as store:
        run = store.run()
        if run is None or run.system != "automl-zero":
            raise ValueError(f"{folder}: a run of automl-zero")
        return automl_zero_program(run.config, store.rows("events"))


def tuned(
    program: Program, sizes: Sizes, steps: int = 60, rate: float = 0.3, tasks: int = 8, examples: int = 20
) -> tuple[Rule, list[float]]:
    """`program` with better constants, and the mean squared error on tasks never tuned on, before and after."""
    learner = ProgramLearner(Machine(sizes, program.lengths), limit=jnp.inf)
    rule = learner.machine.rule(program)

    def missed(logs: Any, key: Any) -> Any:
        """On examples held out, after as many to learn from."""
        tuned = rule._replace(data=jnp.asarray(rule.data) * jnp.exp(logs))  # no constant changes its sign
        x = jax.random.normal(key, (2 * examples, sizes.features))
        y = x @ jax.random.normal(jax.random.fold_in(key, 1), (sizes.features,))
        state, _ = learner.learn(tuned, key, learner.init(key), Experience(x[:examples], y[:examples]))
        return jnp.mean(learner.judge(tuned, state, Experience(x[examples:], y[examples:]))[1]["error"] ** 2)

    def loss(logs: Any, key: Any) -> Any:
        return jnp.mean(jax.vmap(missed, (None, 0))(logs, jax.random.split(key, tasks)))

    slope, judged = jax.jit(jax.grad(loss)), jax.jit(loss)
    logs = jnp.zeros(rule.data.shape)
    errors = [float(judged(logs, jax.random.key(1)))]
    for step in range(steps):
        uphill = slope(logs, jax.random.fold_in(jax.random.key(0), step))
        logs -= rate * uphill / (1e-8 + jnp.linalg.norm(uphill))  # only its direction: errors vary by powers of 10
    errors.append(float(judged(logs, jax.random.key(1))))
    return rule._replace(data=jnp.asarray(rule.data) * jnp.exp(logs)), errors


if __name__ == "__main__":
    given = found(Path(sys.argv[1])) if sys.argv[1:] else (known.linear(0.01), Sizes(4, 3, 0, 4))
    better, (before, after) = tuned(*given)
    print(f"squared error on tasks held out: {before:.4f} before, {after:.4f} after")
