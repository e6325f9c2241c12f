"""One brain in one world: the step both rollouts and evaluation are made of, trajectories and returns.

Axis letters: T time, O observation, A action.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aiga.interfaces import Brain, View, World


class Moment(NamedTuple):
    """An episode between two steps."""

    time: Any  # i32[], steps taken
    state: Any  # the world's
    view: View
    memory: Any  # the brain's
    done: Any  # bool[], terminated or truncated


class Trajectory(NamedTuple):
    """What happened in T steps of one episode."""

    observation: Any  # f32[T, O], what the brain saw before it acted
    action: Any  # [T, A]
    reward: Any  # f32[T], zero once the episode has ended
    terminated: Any  # bool[T]
    truncated: Any  # bool[T]
    alive: Any  # bool[T], the step was really taken: the episode had not ended before it


def _typed(view: View) -> View:
    """A world may answer with plain numbers; loops want the same types at every step."""
    return View(
        jnp.asarray(view.observation),
        jnp.asarray(view.reward, jnp.float32),
        jnp.asarray(view.terminated, bool),
        jnp.asarray(view.truncated, bool),
    )


def start(world: World, brain: Brain, key: jax.Array, course: Any) -> Moment:
    """The first moment of an episode. All its randomness comes from `key`."""
    state, view = world.reset(jax.random.fold_in(key, 0), course)
    view = _typed(view)
    return Moment(jnp.int32(0), state, view, brain.begin(), view.terminated | view.truncated)


def advance(world: World, brain: Brain, key: jax.Array, course: Any) -> Callable[[Any, Moment], tuple]:
    """`(weights, moment) -> (next moment, action)`; an episode that has ended stands still."""

    def step(weights: Any, now: Moment) -> tuple[Moment, Any]:
        action, memory = brain.act(weights, now.memory, now.view.observation)
        step_key = jax.random.fold_in(key, now.time + 1)
        state, view = world.step(step_key, now.state, action, course)
        view = _typed(view)
        after = Moment(now.time + 1, state, view, memory, view.terminated | view.truncated)
        return jax.tree.map(lambda new, old: jnp.where(now.done, old, new), after, now), action

    return step


def rollout(
    world: World, brain: Brain, weights: Any, key: jax.Array, course: Any, steps: int
) -> tuple[Moment, Trajectory]:
    """The last moment and the trajectory of `steps` steps; `weights` is the brain's own pytree.

    Pure: jit it, vmap it over keys, weights or courses, or differentiate it where the world allows.
    """
    step = advance(world, brain, key, course)

    def scanned(now: Moment, _: None) -> tuple[Moment, Trajectory]:
        after, action = step(weights, now)
        alive = ~now.done
        reward = jnp.where(alive, after.view.reward, 0.0)
        seen = Trajectory(
            now.view.observation, action, reward, after.view.terminated, after.view.truncated, alive
        )
        return after, seen

    return jax.lax.scan(scanned, start(world, brain, key, course), length=steps)


def returns(reward: Any, discount: float = 1.0) -> jax.Array:
    """Rewards still to come, `G[t] = reward[t] + discount * G[t + 1]`, for one trajectory's f32[T]."""

    def scanned(later: jax.Array, now: jax.Array) -> tuple[jax.Array, jax.Array]:
        total = now + discount * later
        return total, total

    return jax.lax.scan(scanned, jnp.float32(0), reward, reverse=True)[1]
