"""A trial: some episodes of a world on one course, told as a memory has to be told.

Duan et al. 2016, "RL^2: Fast Reinforcement Learning via Slow Reinforcement Learning" (arXiv 1611.02779),
section 2.2: beside the observation a step is told the action before it, the reward that it brought and
whether the episode ended with it, and the memory is kept from one episode of a trial to the next. So a trial
is one episode of the world below, and what learns from it need not know that there are episodes within. Axis
letters: O observation, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aiga.interfaces import View


class State(NamedTuple):
    """Between two steps."""

    inner: Any  # the world's state
    episode: Any  # i32[], episodes that have ended


@dataclass(frozen=True)
class Trial:
    """`episodes` episodes of `world`, whose actions are i32[], one of `actions`, on one course.

    Observes f32[O + A + 2]: what the world shows, the action before, the reward for it, and 1 where an
    episode has ended. Without `tells_reward` the reward's place is 0, so that nothing can be found out: the
    control. It terminates with the last episode. ValueError, naming the field, for numbers below 1.
    """

    world: Any  # a `World` with `sample(key) -> course`
    actions: int
    episodes: int = 1
    tells_reward: bool = True

    def __post_init__(self) -> None:
        for name in ("actions", "episodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: at least 1, not {getattr(self, name)!r}")

    @property
    def extra(self) -> int:
        """How many numbers, the last ones, are observed besides what the world shows."""
        return self.actions + 2

    def reset(self, key: jax.Array, course: Any) -> tuple[State, View]:
        """The first episode begins; nothing was done before it."""
        inner, view = self.world.reset(key, course)
        nothing = jnp.zeros(self.extra, jnp.float32)
        seen = jnp.concatenate([view.observation, nothing])
        return State(inner, jnp.int32(0)), view._replace(observation=seen)

    def step(self, key: jax.Array, state: State, action: Any, course: Any) -> tuple[State, View]:
        """One step of the episode; where it ends the next one begins at once."""
        moving, beginning = jax.random.split(key) if self.episodes > 1 else (key, None)
        inner, view = self.world.step(moving, state.inner, action, course)
        over, shown = view.terminated | view.truncated, view.observation
        if beginning is not None:  # there may be another episode
            anew, first = self.world.reset(beginning, course)
            inner, shown = jax.tree.map(
                lambda new, old: jnp.where(over, new, old), (anew, first.observation), (inner, shown)
            )
        done = jax.nn.one_hot(action, self.actions, dtype=jnp.float32)
        told = view.reward.astype(jnp.float32) if self.tells_reward else jnp.float32(0)
        seen = jnp.concatenate([shown, done, jnp.stack([told, over.astype(jnp.float32)])])
        ended = state.episode + over.astype(jnp.int32)
        last = ended >= self.episodes
        return State(inner, ended), View(seen, view.reward, last, jnp.asarray(False))
