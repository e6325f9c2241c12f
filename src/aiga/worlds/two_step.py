"""The two-step task: does an agent know how its choice led to what it got?

Daw et al. 2011, "Model-Based Influences on Humans' Choices and Striatal Prediction Errors"; in the form of
Wang et al. 2016, "Learning to reinforcement learn" (arXiv 1611.05763), without a choice at the second stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aiga.interfaces import View


class State(NamedTuple):
    """Between two steps."""

    place: Any  # i32[], 0 where one chooses, 1 and 2 where it pays
    good: Any  # i32[], 0 or 1: which of the places that pay is the better one now
    time: Any  # i32[], steps so far, two to a trial


@dataclass(frozen=True)
class TwoStep:
    """Choose, get to one of two places, be paid there: two steps a trial, `trials` of them an episode.

    Action i32[]: 0 leads to place 1 and 1 to place 2, each with chance `common`, otherwise to the other one.
    The better place pays 1 with chance `high`, the other with 1 - `high`; whatever one does there. After each
    trial they swap with chance `reversal`. The course is i32[], the better place at first. Observes f32[3],
    where one is.
    """

    trials: int = 100
    common: float = 0.8
    high: float = 0.9
    reversal: float = 0.025

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ValueError(f"trials: at least 1, not {self.trials}")
        for name in ("common", "high", "reversal"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: a chance from 0 to 1, not {getattr(self, name)}")

    def sample(self, key: jax.Array) -> Any:
        """Either place, i32[]."""
        return jax.random.randint(key, (), 0, 2, jnp.int32)

    def reset(self, key: jax.Array, course: Any) -> tuple[State, View]:
        """Before the first choice."""
        state = State(jnp.int32(0), jnp.asarray(course, jnp.int32), jnp.int32(0))
        return state, self._view(state, jnp.float32(0))

    def step(self, key: jax.Array, state: State, action: Any, course: Any) -> tuple[State, View]:
        """A choice, or its pay."""
        moving, paying, swapping = jax.random.split(key, 3)
        choosing = state.place == 0
        usual = jnp.asarray(action, jnp.int32)
        led = 1 + jnp.where(jax.random.bernoulli(moving, self.common), usual, 1 - usual)
        better = state.place - 1 == state.good
        paid = jax.random.bernoulli(paying, jnp.where(better, self.high, 1 - self.high))
        swapped = ~choosing & jax.random.bernoulli(swapping, self.reversal)
        after = State(
            jnp.where(choosing, led, 0), jnp.where(swapped, 1 - state.good, state.good), state.time + 1
        )
        return after, self._view(after, (paid & ~choosing).astype(jnp.float32))

    def _view(self, state: State, reward: Any) -> View:
        seen = jax.nn.one_hot(state.place, 3, dtype=jnp.float32)
        return View(seen, reward, state.time >= 2 * self.trials, jnp.asarray(False))
