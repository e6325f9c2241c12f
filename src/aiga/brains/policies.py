"""What a brain that acts by chance says: a distribution over actions, and a judgement of its situation.

A policy is a pytree with `noise(key)`, `choose(noise)`, `log_prob(action)`, `entropy()` and `mode()`; all of
them take any leading axes. Noise depends on the shapes of what the policy holds alone, which may be
`jax.ShapeDtypeStruct`s: it is drawn for many steps before the first of them. A learner asks for nothing else,
so a brain may bring its own.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


class Categorical(NamedTuple):
    """One of C actions, i32[...]."""

    logits: Any  # f32[..., C], any scale

    def noise(self, key: jax.Array) -> jax.Array:
        return jax.random.gumbel(key, self.logits.shape, jnp.float32)

    def choose(self, noise: Any) -> jax.Array:
        return jnp.argmax(self.logits + noise, -1).astype(jnp.int32)

    def mode(self) -> jax.Array:
        return jnp.argmax(self.logits, -1).astype(jnp.int32)

    def log_prob(self, action: Any) -> jax.Array:
        shares = jax.nn.log_softmax(self.logits)
        return jnp.take_along_axis(shares, action[..., None], -1)[..., 0]

    def entropy(self) -> jax.Array:
        shares = jax.nn.log_softmax(self.logits)
        return -(jnp.exp(shares) * shares).sum(-1)


class Gaussian(NamedTuple):
    """A independent numbers, f32[..., A]. Worlds clip what they cannot do; the policy does not know."""

    mean: Any  # f32[..., A]
    log_deviation: Any  # f32[..., A]

    def noise(self, key: jax.Array) -> jax.Array:
        return jax.random.normal(key, self.mean.shape, jnp.float32)

    def choose(self, noise: Any) -> jax.Array:
        return self.mean + jnp.exp(self.log_deviation) * noise

    def mode(self) -> jax.Array:
        return self.mean

    def log_prob(self, action: Any) -> jax.Array:
        away = (action - self.mean) * jnp.exp(-self.log_deviation)
        return -(0.5 * away**2 + self.log_deviation + HALF_LOG_TAU).sum(-1)

    def entropy(self) -> jax.Array:
        return (self.log_deviation + 0.5 + HALF_LOG_TAU).sum(-1)


class Judgement(NamedTuple):
    """What `act` of such a brain answers."""

    policy: Any  # Categorical, Gaussian or alike
    value: Any  # f32[...], the return it expects from here
