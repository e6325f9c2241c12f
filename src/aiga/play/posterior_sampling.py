"""PSRL: before each episode draw an MDP that may be the true one, and do what is best in it.

Strens 2000, "A Bayesian Framework for Reinforcement Learning"; Osband, Russo, Van Roy 2013, "(More) Efficient
Reinforcement Learning via Posterior Sampling". Beforehand it believes what `worlds.tabular.Tabular` draws
from: flat Dirichlet transitions, mean rewards normal around 1, both variances 1. Axis letters: H steps of an
episode, S states, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aiga.interfaces import View
from aiga.worlds.tabular import MDP


def plan(mdp: MDP, horizon: int) -> tuple[Any, Any]:
    """The best actions i32[H, S] of an episode in a known MDP, and what they are worth, f32[H, S]."""

    def back(after: Any, _: Any) -> tuple[Any, tuple]:
        values = mdp.means + mdp.transitions @ after
        best = values.max(1)
        return best, (jnp.argmax(values, 1).astype(jnp.int32), best)

    nothing = jnp.zeros(mdp.means.shape[0], jnp.float32)
    return jax.lax.scan(back, nothing, None, length=horizon, reverse=True)[1]


class Known(NamedTuple):
    """What was seen, and what is done about it in this episode."""

    moves: Any  # f32[S, A, S]
    rewards: Any  # f32[S, A], sums
    actions: Any  # i32[H, S]


@dataclass(frozen=True)
class PSRL:
    """A `play.strategies.Strategy`. With `greedy` it plans with the mean of its belief instead of a draw."""

    states: int = 10
    actions: int = 5
    horizon: int = 10
    greedy: bool = False

    def begin(self) -> Known:
        moves = jnp.zeros((self.states, self.actions, self.states), jnp.float32)
        return Known(moves, moves[..., 0], jnp.zeros((self.horizon, self.states), jnp.int32))

    def act(self, key: jax.Array, memory: Known, observation: Any, time: Any) -> tuple[Any, Known]:
        moment = time % self.horizon
        # `time` is one number for all tasks, so that the other steps' planning is really left out.
        actions = jax.lax.cond(
            moment == 0, lambda: plan(self._believed(key, memory), self.horizon)[0], lambda: memory.actions
        )
        return actions[moment, jnp.argmax(observation)], memory._replace(actions=actions)

    def see(self, memory: Known, observation: Any, action: Any, view: View, time: Any) -> Known:
        place, to = jnp.argmax(observation), jnp.argmax(view.observation)
        moves = memory.moves.at[place, action, to].add(1)
        rewards = memory.rewards.at[place, action].add(view.reward)
        return memory._replace(moves=moves, rewards=rewards)

    def _believed(self, key: jax.Array, memory: Known) -> MDP:
        one, two = jax.random.split(key)
        weights = memory.moves + 1
        seen = memory.moves.sum(-1)
        means = (1 + memory.rewards) / (1 + seen)
        if not self.greedy:
            weights = jax.random.gamma(one, weights)
            means = means + jax.random.normal(two, means.shape, jnp.float32) / jnp.sqrt(1 + seen)
        return MDP(weights / weights.sum(-1, keepdims=True), means)
