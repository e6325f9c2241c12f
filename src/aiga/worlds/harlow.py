"""Harlow's task, simplified: one trial with two objects never seen before tells which of them to take.

Harlow 1949, "The Formation of Learning Sets"; Wang et al. 2016, "Learning to reinforcement learn" (arXiv
1611.05763), whose objects are images on a screen that is looked around on. Here they are vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aiga.interfaces import View


class State(NamedTuple):
    """Between two trials."""

    side: Any  # i32[], where the right object is: 0 left, 1 right
    time: Any  # i32[], trials so far


@dataclass(frozen=True)
class Harlow:
    """Take one of two objects, `trials` times: action i32[], 0 left or 1 right; reward 1 or -1.

    The course is f32[2, features], two objects; the first is the one to take. They change sides by chance.
    Observes f32[2 * features], the left object and the right one. The first choice is a guess, after which
    everything is known: nobody expects more than `trials` - 1.
    """

    features: int = 8
    trials: int = 6

    def __post_init__(self) -> None:
        for name in ("features", "trials"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: at least 1, not {getattr(self, name)}")

    def sample(self, key: jax.Array) -> Any:
        """Two objects, f32[2, features], normal."""
        return jax.random.normal(key, (2, self.features), jnp.float32)

    def reset(self, key: jax.Array, course: Any) -> tuple[State, View]:
        """The first pair."""
        return self._shown(key, jnp.int32(0), course, jnp.float32(0))

    def step(self, key: jax.Array, state: State, action: Any, course: Any) -> tuple[State, View]:
        """One choice; the next pair is shown."""
        reward = jnp.where(action == state.side, 1.0, -1.0).astype(jnp.float32)
        return self._shown(key, state.time + 1, course, reward)

    def _shown(self, key: jax.Array, time: Any, course: Any, reward: Any) -> tuple[State, View]:
        side = jax.random.randint(key, (), 0, 2, jnp.int32)
        objects = jnp.asarray(course, jnp.float32)
        seen = jnp.where(side == 0, objects, objects[::-1]).reshape(-1)
        return State(side, time), View(seen, reward, time >= self.trials, jnp.asarray(False))
