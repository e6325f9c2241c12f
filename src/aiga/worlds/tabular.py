"""Random tabular MDPs: nothing to see but a number, everything to be found out.

Duan et al. 2016, "RL^2: Fast Reinforcement Learning via Slow Reinforcement Learning" (arXiv 1611.02779),
section 3.2; after Osband, Russo, Van Roy 2013, "(More) Efficient Reinforcement Learning via Posterior
Sampling".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aiga.interfaces import View


class MDP(NamedTuple):
    """What happens where; S states, A actions."""

    transitions: Any  # f32[S, A, S], rows sum to 1
    means: Any  # f32[S, A], of the rewards, whose variance is 1


class State(NamedTuple):
    """Between two steps."""

    place: Any  # i32[]
    time: Any  # i32[], steps so far


@dataclass(frozen=True)
class Tabular:
    """An MDP of the course, an `MDP`: action i32[], observes f32[states], where one is; starts in the first.

    An episode is `horizon` steps and then terminates, as that is what is asked for; RL^2 plays several on one
    course and remembers.
    """

    states: int = 10
    actions: int = 5
    horizon: int = 10

    def __post_init__(self) -> None:
        for name in ("states", "actions", "horizon"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: at least 1, not {getattr(self, name)}")

    def sample(self, key: jax.Array) -> MDP:
        """Transitions flat Dirichlet, means normal around 1 with variance 1."""
        one, two = jax.random.split(key)
        shape = self.states, self.actions
        # Shares of exponentials are flat Dirichlet, and are cheaper than gammas.
        shares = jax.random.exponential(one, (*shape, self.states), jnp.float32)
        return MDP(shares / shares.sum(-1, keepdims=True), 1 + jax.random.normal(two, shape, jnp.float32))

    def reset(self, key: jax.Array, course: MDP) -> tuple[State, View]:
        """In the first state."""
        state = State(jnp.int32(0), jnp.int32(0))
        return state, self._view(state, jnp.float32(0))

    def step(self, key: jax.Array, state: State, action: Any, course: MDP) -> tuple[State, View]:
        """A reward for where one was and what one did, then the move."""
        noise, moving = jax.random.split(key)
        reward = jnp.asarray(course.means)[state.place, action] + jax.random.normal(noise, (), jnp.float32)
        chances = jnp.asarray(course.transitions)[state.place, action]
        place = jax.random.categorical(moving, jnp.log(chances)).astype(jnp.int32)
        after = State(place, state.time + 1)
        return after, self._view(after, reward)

    def _view(self, state: State, reward: Any) -> View:
        seen = jax.nn.one_hot(state.place, self.states, dtype=jnp.float32)
        return View(seen, reward, state.time >= self.horizon, jnp.asarray(False))
