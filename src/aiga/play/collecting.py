"""Many environments played on and on, each on a course of its own: the experience of policy gradients.

Every environment begins anew the moment its episode ends, on the same course. A world of several agents has
them on an axis A of observation, action and reward (of the ends too, if they differ), and a third method
`present(state) -> bool[A]` that says who takes part; one that leaves before the others is terminated. All
agents share the brain: each is one more row of the batch. Axis letters: T time, N environments, A agents,
B = N A rows (N where the world has one agent), O observation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aiga.interfaces import Brain, View, World


class Stage(NamedTuple):
    """N environments between two steps."""

    states: Any  # the world's, [N, ...]
    observation: Any  # f32[B, O]
    mask: Any  # bool[B], the agent takes part
    begun: Any  # bool[B], nothing has happened yet in this episode
    memory: Any  # the brain's, [B, ...]
    total: Any  # f32[B], the return of this episode so far
    discounted: Any  # f32[B], the same, older rewards discounted


class Experience(NamedTuple):
    """T steps of N environments, and what the brain thought of them then."""

    observation: Any  # f32[T, B, O], before the step
    mask: Any  # bool[T, B]; where false, the row's other fields mean nothing
    begun: Any  # bool[T, B], the brain's memory was fresh
    action: Any  # [T, B, ...]
    log_prob: Any  # f32[T, B]
    value: Any  # f32[T, B]
    reward: Any  # f32[T, B]
    terminated: Any  # bool[T, B]
    truncated: Any  # bool[T, B]
    following: Any  # f32[T, B], the value of what the step led to; of the episode's last view where it ended
    total: Any  # f32[T, B], the return of the episode with this step
    discounted: Any  # f32[T, B], the same, older rewards discounted
    memory: Any  # the brain's before the first of the steps, [B, ...]


def enter(world: World, brain: Brain, key: jax.Array, courses: Any) -> Stage:
    """N environments at the start of an episode; `courses` has a leading axis N."""
    count = jax.tree.leaves(courses)[0].shape[0]
    states, view = jax.vmap(world.reset)(jax.random.split(key, count), courses)
    seen = _rows(world, view.observation)
    rows = len(seen)
    memory = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (rows, *leaf.shape)), brain.begin())
    nothing = jnp.zeros(rows, jnp.float32)
    mask = _mask(world, states, count)
    return Stage(states, seen, mask, jnp.ones(rows, bool), memory, nothing, nothing)


def collect(
    world: World,
    brain: Brain,
    weights: Any,
    key: jax.Array,
    stage: Stage,
    courses: Any,
    steps: int,
    discount: float | jax.Array = 1.0,
) -> tuple[Stage, Experience]:
    """`steps` more steps of all environments, acting by chance; `brain`'s output is a `Judgement`.

    Pure: jit it, vmap it over brains. All randomness comes from `key`.
    """
    act = jax.vmap(brain.act, (None, 0, 0))
    count = jax.tree.leaves(courses)[0].shape[0]

    def step(now: Stage, drawn: tuple[jax.Array, ...]) -> tuple[Stage, Experience]:
        noise, moving, beginning = drawn
        judged, memory = act(weights, fresh(brain, now.memory, now.begun), now.observation)
        action = judged.policy.choose(noise)
        given = action.reshape(count, -1, *action.shape[1:]) if _several(world) else action
        states, view = jax.vmap(world.step)(moving, now.states, given, courses)
        seen, reward, terminated, truncated = _flat(world, view, now.mask)
        ended = terminated | truncated
        total = jnp.where(now.begun, 0, now.total) + reward
        discounted = jnp.where(now.begun, 0, discount * now.discounted) + reward

        # What an episode that was cut short would have gone on to be worth has to be asked of its last view.
        following = jax.lax.cond(
            truncated.any(),
            lambda: act(weights, memory, seen)[0].value,
            lambda: jnp.zeros_like(reward),
        )
        mask = _mask(world, states, count)
        over = (ended | ~now.mask).reshape(count, -1).all(1)
        states, seen, mask = jax.lax.cond(
            over.any(),
            lambda: _begin_anew(world, beginning, courses, over, (states, seen, mask)),
            lambda: (states, seen, mask),
        )
        begun = jnp.repeat(over, len(mask) // count)
        after = Stage(states, seen, mask, begun, memory, total, discounted)
        what = Experience(
            now.observation, now.mask, now.begun, action, judged.policy.log_prob(action), judged.value,
            reward, terminated, truncated, following, total, discounted, None,
        )  # fmt: skip
        return after, what

    # For all steps at once: on a CPU to draw a few numbers is hardly quicker than to draw all.
    choosing, moving, beginning = jax.vmap(lambda each: jax.random.split(each, 3), out_axes=1)(
        jax.random.split(key, steps)
    )
    moving = jax.vmap(lambda each: jax.random.split(each, count))(moving)
    judged, _ = jax.eval_shape(act, weights, stage.memory, stage.observation)
    noise = jax.vmap(judged.policy.noise)(choosing)
    last, seen = jax.lax.scan(step, stage, (noise, moving, beginning))
    coming = act(weights, fresh(brain, last.memory, last.begun), last.observation)[0].value
    following = jnp.where(seen.truncated, seen.following, jnp.concatenate([seen.value[1:], coming[None]]))
    following = jnp.where(seen.terminated, 0, following)
    return last, seen._replace(following=following, memory=stage.memory)


def fresh(brain: Brain, memory: Any, begun: Any) -> Any:
    """`memory` [B, ...] with the brain's first one where `begun` bool[B]."""

    def choose(first: Any, now: Any) -> Any:
        return jnp.where(begun.reshape(begun.shape + (1,) * (now.ndim - begun.ndim)), first, now)

    return jax.tree.map(choose, brain.begin(), memory)


def _begin_anew(world: World, key: jax.Array, courses: Any, over: Any, now: tuple) -> tuple:
    """States [N, ...], observations and mask [B, ...], begun anew in the environments `over` bool[N]."""
    count = len(over)
    states, view = jax.vmap(world.reset)(jax.random.split(key, count), courses)
    anew = states, _rows(world, view.observation), _mask(world, states, count)

    def choose(new: Any, old: Any) -> Any:
        which = jnp.repeat(over, len(old) // count)
        return jnp.where(which.reshape(-1, *(1,) * (old.ndim - 1)), new, old)

    return jax.tree.map(choose, anew, now)


def _several(world: World) -> bool:
    return hasattr(world, "present")


def _rows(world: World, leaf: Any) -> Any:
    """[N, A, ...] as [B, ...]."""
    return leaf.reshape(-1, *leaf.shape[2:]) if _several(world) else leaf


def _mask(world: Any, states: Any, count: int) -> Any:
    return jax.vmap(world.present)(states).reshape(-1) if _several(world) else jnp.ones(count, bool)


def _flat(world: World, view: View, mask: Any) -> tuple[Any, Any, Any, Any]:
    """A view's fields by rows; who takes no part gets nothing and ends nothing."""
    seen = _rows(world, jnp.asarray(view.observation))

    def each(leaf: Any, kind: Any) -> Any:
        leaf = jnp.asarray(leaf, kind)
        agents = len(mask) // len(leaf)
        spread = jnp.repeat(leaf, agents) if leaf.ndim == 1 else leaf.reshape(-1)
        return jnp.where(mask, spread, jnp.zeros((), kind))

    return (
        seen,
        each(view.reward, jnp.float32),
        each(view.terminated, bool),
        each(view.truncated, bool),
    )
