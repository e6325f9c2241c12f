"""What is known to do well on bandits, played on the worlds themselves: the ceilings of RL^2.

A strategy is three pure functions, all that it knows about the task being in its memory: `begin() -> memory`,
`act(key, memory, observation, time) -> action, memory` and `see(memory, observation, action, view, time) ->
memory`.
It is no learner, as there are no weights, and no brain, as it is told actions and rewards. Axis letters: N
tasks, K arms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from aiga.interfaces import View, World
from aiga.play.exact import gittins_table


class Strategy(Protocol):
    """How to play a task. `time` is the steps so far, the same for all tasks that are played together."""

    def begin(self) -> Any: ...

    def act(self, key: jax.Array, memory: Any, observation: Any, time: Any) -> tuple[Any, Any]: ...

    def see(self, memory: Any, observation: Any, action: Any, view: View, time: Any) -> Any: ...


@partial(jax.jit, static_argnums=(0, 1, 4))
def played(world: World, strategy: Strategy, key: jax.Array, courses: Any, steps: int) -> Any:
    """The sum of rewards f32[N] over `steps` steps of N tasks; `courses` has a leading axis N.

    Episodes that end begin anew on the same course, and the memory stays. World and strategy must be
    hashable.
    """
    count = jax.tree.leaves(courses)[0].shape[0]
    split = partial(jax.random.split, num=count)
    memory = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *jnp.shape(leaf))), strategy.begin())

    def step(now: tuple, time: Any) -> tuple[tuple, None]:
        memory, states, seen, total = now
        acting, moving, beginning = jax.random.split(jax.random.fold_in(key, time), 3)
        action, memory = jax.vmap(strategy.act, (0, 0, 0, None))(split(acting), memory, seen, time)
        states, view = jax.vmap(world.step)(split(moving), states, action, courses)
        memory = jax.vmap(strategy.see, (0, 0, 0, 0, None))(memory, seen, action, view, time)
        anew, first = jax.vmap(world.reset)(split(beginning), courses)
        over = view.terminated | view.truncated

        def begun(new: Any, old: Any) -> Any:
            return jnp.where(over.reshape(-1, *(1,) * (old.ndim - 1)), new, old)

        states, seen = jax.tree.map(begun, (anew, first.observation), (states, view.observation))
        return (memory, states, seen, total + view.reward), None

    states, view = jax.vmap(world.reset)(split(jax.random.fold_in(key, steps)), courses)
    start = memory, states, view.observation, jnp.zeros(count, jnp.float32)
    return jax.lax.scan(step, start, jnp.arange(steps))[0][3]


def either(key: jax.Array, scores: Any) -> Any:
    """The place i32[] of the highest of `scores` f32[K]; of equals, any."""
    luck = jax.random.uniform(key, scores.shape)
    return jnp.argmax(jnp.where(scores >= scores.max(), luck, -1)).astype(jnp.int32)


class Counts(NamedTuple):
    """What arms paid so far."""

    wins: Any  # f32[K]
    losses: Any  # f32[K]


@dataclass(frozen=True)
class Counting:
    """Pulls the arm with the highest `score(key, wins, losses, time) -> f32[K]`, of equals any."""

    arms: int
    score: Callable[[Any, Any, Any, Any], Any]

    def begin(self) -> Counts:
        return Counts(jnp.zeros(self.arms, jnp.float32), jnp.zeros(self.arms, jnp.float32))

    def act(self, key: jax.Array, memory: Counts, observation: Any, time: Any) -> tuple[Any, Counts]:
        one, two = jax.random.split(key)
        return either(two, self.score(one, *memory, time)), memory

    def see(self, memory: Counts, observation: Any, action: Any, view: View, time: Any) -> Counts:
        pulled = jax.nn.one_hot(action, self.arms, dtype=jnp.float32)
        return Counts(memory.wins + pulled * view.reward, memory.losses + pulled * (1 - view.reward))


def random(key: Any, wins: Any, losses: Any, time: Any) -> Any:
    """Any arm."""
    return jnp.zeros_like(wins)


def greedy(key: Any, wins: Any, losses: Any, time: Any) -> Any:
    """The mean of what the chance may be, uniform beforehand."""
    return (wins + 1) / (wins + losses + 2)


def thompson(key: Any, wins: Any, losses: Any, time: Any) -> Any:
    """A draw of what the chance may be (Thompson 1933)."""
    return jax.random.beta(key, wins + 1, losses + 1)


def optimistic(key: Any, wins: Any, losses: Any, time: Any) -> Any:
    """The same, but never below the mean (May et al. 2012)."""
    return jnp.maximum(thompson(key, wins, losses, time), greedy(key, wins, losses, time))


def ucb1(constant: float = 1.0) -> Callable[[Any, Any, Any, Any], Any]:
    """Every arm once, then mean + constant * sqrt(2 ln t / n) (Auer et al. 2002, who have 1)."""

    def score(key: Any, wins: Any, losses: Any, time: Any) -> Any:
        pulled = jnp.asarray(wins + losses, jnp.float32)
        bonus = constant * jnp.sqrt(2 * jnp.log(jnp.maximum(jnp.asarray(time, jnp.float32), 1)) / pulled)
        return jnp.where(pulled == 0, jnp.inf, wins / jnp.maximum(pulled, 1) + bonus)

    return score


def gittins(pulls: int) -> Callable[[Any, Any, Any, Any], Any]:
    """The undiscounted index of an episode of `pulls` pulls that ends. Near to optimal, not optimal."""
    table = gittins_table(pulls)

    def score(key: Any, wins: Any, losses: Any, time: Any) -> Any:
        return jnp.asarray(table)[pulls - time, wins.astype(jnp.int32), losses.astype(jnp.int32)]

    return score


@dataclass(frozen=True)
class RescorlaWagner:
    """The value of an arm moves to its reward at a fixed `rate`; the highest is pulled, of equals any.

    Rescorla, Wagner 1972, "A Theory of Pavlovian Conditioning". Values start at 0.5.
    """

    rate: float
    arms: int = 2

    def begin(self) -> Any:
        return jnp.full(self.arms, 0.5, jnp.float32)

    def act(self, key: jax.Array, memory: Any, observation: Any, time: Any) -> tuple[Any, Any]:
        return either(key, memory), memory

    def see(self, memory: Any, observation: Any, action: Any, view: View, time: Any) -> Any:
        pulled = jax.nn.one_hot(action, self.arms, dtype=jnp.float32)
        return memory + self.rate * pulled * (view.reward - memory)


@dataclass(frozen=True)
class Filter:
    """Knows by Bayes' rule which of two swapping sources is good, and takes it: optimal, not only good.

    Sources pay 1 with chances `chance` and 1 - `chance`, so that one tells the same as the other and nothing
    is gained by exploring. `hazards` are as in `worlds.bandits.Restless`, all as likely beforehand. With
    `two_step` the sources are the places of `worlds.two_step.TwoStep`, and where one got is what counts.
    """

    chance: float
    hazards: tuple[float, ...]
    two_step: bool = False

    def begin(self) -> Any:
        count = len(self.hazards)
        return jnp.full((count, 2), 0.5 / count, jnp.float32)  # by hazard and by which is good now

    def act(self, key: jax.Array, memory: Any, observation: Any, time: Any) -> tuple[Any, Any]:
        return either(key, memory.sum(0)), memory

    def see(self, memory: Any, observation: Any, action: Any, view: View, time: Any) -> Any:
        source = jnp.argmax(observation[1:]) if self.two_step else action
        paid = (jnp.arange(2) == source) == (view.reward > 0)
        known = memory * jnp.where(paid, self.chance, 1 - self.chance)
        known = known / known.sum()
        hazard = jnp.array(self.hazards, jnp.float32)[:, None]
        after = (1 - hazard) * known + hazard * known[:, ::-1]
        return jnp.where(observation[0] == 1, memory, after) if self.two_step else after
