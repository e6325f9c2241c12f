"""`Evaluate` for any world written in JAX: many episodes at once, compiled once.

The walker has a native kernel with the same call; a system cannot tell which of the two answered.
Axis letters: P episodes, N weights, B episodes in one compiled batch, C courses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from aiga.interfaces import Brain, Evaluate, Outcome, World
from aiga.play.rollouts import advance, start


def flatten(weights: Any) -> jax.Array:
    """A brain's weights as one vector f32[N]."""
    return ravel_pytree(weights)[0]


def unflattener(brain: Brain) -> Callable[[Any], Any]:
    """The inverse of `flatten` for this brain."""
    shapes = jax.eval_shape(brain.init, jax.random.key(0))
    return ravel_pytree(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes))[1]


def evaluator(world: World, brain: Brain, max_steps: int, batch: int = 256) -> Evaluate:
    """Runs episodes of at most `max_steps` steps, `batch` of them at a time (the last padded).

    A world with a goal says whether it was reached by a third method, `finished(state) -> bool[]`, asked at
    the episode's last state. Where a world has none, every episode counts as finished, whatever ended it,
    and returns alone decide. Courses must be pytrees of one structure and shape.

    Raises ValueError for counts that are not positive, and when the arguments' lengths do not agree.
    """
    for name, value in (("max_steps", max_steps), ("batch", batch)):
        if value < 1:
            raise ValueError(f"{name}: at least 1, not {value}")
    unflatten = unflattener(brain)
    goal = getattr(world, "finished", lambda state: jnp.bool_(True))

    def episode(flat: Any, course: Any, seed: Any) -> Outcome:
        key = jax.random.key(seed)
        weights = unflatten(flat)
        step = advance(world, brain, key, course)

        def body(carry: tuple) -> tuple:
            total, now = carry
            after, _ = step(weights, now)
            return total + after.view.reward, after

        first = start(world, brain, key, course)
        total, last = jax.lax.while_loop(
            lambda carry: ~carry[1].done & (carry[1].time < max_steps), body, (jnp.float32(0), first)
        )
        return Outcome(total, last.time, goal(last.state))

    episodes = jax.jit(jax.vmap(episode))

    def evaluate(weights: Any, courses: Sequence[Any], which: Any, seeds: Any) -> Outcome:
        weights, which = np.asarray(weights, np.float32), np.asarray(which)
        seeds = np.asarray(seeds, np.uint32)
        if not len(weights) == len(which) == len(seeds):
            counts = f"{len(weights)}, {len(which)} and {len(seeds)}"
            raise ValueError(f"weights, which, seeds: one of each per episode, not {counts}")
        if not len(weights):
            return Outcome(np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(0, bool))
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *courses)
        parts = []
        for at in range(0, len(weights), batch):
            # Padding repeats the batch's first episode, so that every call has one and the same shape.
            rows = np.full(batch, at)
            filled = min(batch, len(weights) - at)
            rows[:filled] = np.arange(at, at + filled)
            course = jax.tree.map(lambda leaf, rows=rows: leaf[which[rows]], stacked)
            outcome = episodes(weights[rows], course, seeds[rows])
            parts.append([np.asarray(part)[:filled] for part in outcome])
        return Outcome(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    return evaluate
