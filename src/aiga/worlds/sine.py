"""Sinusoids to be fitted from a few points, the regression of the papers on learning to learn.

Finn, Abbeel, Levine 2017, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", arXiv
1703.03400, section 5.1: y = a sin(x - phase), amplitudes from U[0.1, 5], phases from U[0, pi], x from
U[-5, 5]. The paper leaves the sign of the phase open; with a plus the figures would be the same, as x -> -x
and y -> -y turns one into the other. Axis letters: T examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aiga.interfaces import Array, Key

AMPLITUDE = (0.1, 5.0)
PHASE = (0.0, float(np.pi))
X = (-5.0, 5.0)


class Sine(NamedTuple):
    """A course: one sinusoid."""

    amplitude: Any  # f32[]
    phase: Any  # f32[], rad


class Examples(NamedTuple):
    """T points."""

    x: Any  # f32[T, 1]
    y: Any  # f32[T, 1]


def examples(key: Key, sine: Sine, count: int) -> Examples:
    """`count` points of the sinusoid, without noise."""
    return at(sine, jax.random.uniform(key, (count, 1), jnp.float32, *X))


def at(sine: Sine, x: Any) -> Examples:
    """The sinusoid's points at `x` f32[T, 1]."""
    return Examples(x, sine.amplitude * jnp.sin(x - sine.phase))


@dataclass(frozen=True)
class SineSpace:
    """All sinusoids of the paper."""

    step: float = 0.1  # standard deviation of a mutation, in widths of the ranges

    def sample(self, key: Key) -> Sine:
        """One of them, as the paper draws it."""
        one, other = jax.random.uniform(key, (2,), jnp.float32)
        return Sine(_within(AMPLITUDE, one), _within(PHASE, other))

    def mutate(self, key: Key, item: Sine) -> Sine:
        """A neighbour; whoever would leave the ranges stays at their ends."""
        moved = jnp.asarray(self.describe(item)) + self.step * jax.random.normal(key, (2,), jnp.float32)
        one, other = jnp.clip(moved, 0, 1)
        return Sine(_within(AMPLITUDE, one), _within(PHASE, other))

    def describe(self, item: Sine) -> Array:
        """Amplitude and phase as f32[2], each as its place in its range, from 0 to 1."""
        ranges = zip(item, (AMPLITUDE, PHASE), strict=True)
        return np.array([(float(value) - low) / (high - low) for value, (low, high) in ranges], np.float32)

    def valid(self, item: Sine) -> bool:
        """Within the ranges, but for rounding."""
        described = self.describe(item)
        return bool(((described >= -1e-6) & (described <= 1 + 1e-6)).all())


def _within(span: tuple[float, float], place: Any) -> Any:
    low, high = span
    return low + (high - low) * place
