"""Brains around a brain: one that sees in standard units, one whose answer is the mean of a policy, one that
does what it finds most likely, and one that draws what it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aiga.brains.policies import Gaussian, Judgement
from aiga.interfaces import Brain


class Moments(NamedTuple):
    """Mean and variance of everything seen so far. Chan, Golub, LeVeque 1979: exact in any grouping."""

    count: Any  # f32[]
    mean: Any  # f32[...]
    variance: Any  # f32[...], of the population

    @staticmethod
    def none(shape: tuple[int, ...]) -> Moments:
        """Nothing seen yet of things of `shape`."""
        return Moments(jnp.float32(0), jnp.zeros(shape, jnp.float32), jnp.ones(shape, jnp.float32))

    def merge(self, seen: Any, mask: Any, across: tuple[str, ...] = ()) -> Moments:
        """With `seen` f32[..., *] where `mask` bool[...] says that it counts; as before if none does.
        `across` names the mapped axes over which more of both is spread."""
        axes = tuple(range(mask.ndim))

        def total(each: Any) -> Any:
            return jax.lax.psum(each.sum(axes), across)

        counts = mask.reshape(mask.shape + (1,) * (seen.ndim - mask.ndim))
        count = total(mask.astype(jnp.float32))
        some = jnp.maximum(count, 1)
        mean = total(jnp.where(counts, seen, 0)) / some
        variance = total(jnp.where(counts, (seen - mean) ** 2, 0)) / some
        together = jnp.maximum(self.count + count, 1)
        share, apart = count / together, mean - self.mean
        spread = (self.count * self.variance + count * variance) / together
        merged = Moments(
            self.count + count,
            self.mean + apart * share,
            spread + apart**2 * share * self.count / together,
        )
        return jax.tree.map(lambda new, old: jnp.where(count > 0, new, old), merged, self)

    @property
    def scale(self) -> jax.Array:
        """One over the deviation, f32[...]. 0 for what has not varied by 1e-4, so that its first change is no
        surprise of a thousand deviations; 1 if nothing was seen."""
        varies = jnp.where(self.variance > 1e-8, jax.lax.rsqrt(jnp.maximum(self.variance, 1e-8)), 0.0)
        return jnp.where(self.count > 0, varies, 1.0)

    def standard(self, value: Any, limit: float = 10.0) -> jax.Array:
        """`value` f32[..., *] in deviations from the mean, at most `limit` of them; as it is if nothing was
        seen before."""
        units = jnp.clip((value - self.mean) * self.scale, -limit, limit)
        return jnp.where(self.count > 0, units, value)


@dataclass(frozen=True)
class Standardised:
    """`brain`, which sees what its weights' `Moments` make of the observation.

    Weights are (Moments, the brain's own).
    """

    brain: Brain
    observations: tuple[int, ...]  # the shape of one

    def init(self, key: jax.Array) -> tuple[Moments, Any]:
        """The brain's own, and moments that change nothing."""
        return Moments.none(self.observations), self.brain.init(key)

    def begin(self) -> Any:
        return self.brain.begin()

    def act(self, weights: tuple[Moments, Any], memory: Any, observation: Any) -> tuple[Any, Any]:
        """As `brain`."""
        moments, own = weights
        return self.brain.act(own, memory, moments.standard(observation))


@dataclass(frozen=True)
class Greedy:
    """`brain`, whose output is a `Judgement`, as one whose output is the policy's mode: for evaluation."""

    brain: Brain

    def init(self, key: jax.Array) -> Any:
        return self.brain.init(key)

    def begin(self) -> Any:
        return self.brain.begin()

    def act(self, weights: Any, memory: Any, observation: Any) -> tuple[Any, Any]:
        """The likeliest action."""
        judgement, memory = self.brain.act(weights, memory, observation)
        return judgement.policy.mode(), memory


@dataclass(frozen=True)
class Noisy:
    """`brain`, whose answer f32[..., A] is the mean of a Gaussian policy, as one that answers with a
    `Judgement`; of what its situation is worth it says nothing, 0.

    Weights are (the brain's own, the logarithm f32[A] of a deviation that is the same everywhere). Raises
    ValueError, naming the field, for a first `deviation` or a number of `actions` that is not positive.
    """

    brain: Brain
    actions: int  # A
    deviation: float = 1.0  # at first

    def __post_init__(self) -> None:
        if self.actions < 1:
            raise ValueError(f"actions: at least 1, not {self.actions!r}")
        if not 0 < self.deviation < float("inf"):
            raise ValueError(f"deviation: greater than 0, not {self.deviation!r}")

    def init(self, key: jax.Array) -> tuple[Any, jax.Array]:
        """The brain's own, and the first deviation."""
        deviation = jnp.full(self.actions, self.deviation, jnp.float32)
        return self.brain.init(key), jnp.log(deviation)

    def begin(self) -> Any:
        return self.brain.begin()

    def act(self, weights: tuple[Any, Any], memory: Any, observation: Any) -> tuple[Judgement, Any]:
        """A policy around the brain's answer."""
        own, log_deviation = weights
        mean, memory = self.brain.act(own, memory, observation)
        policy = Gaussian(mean, jnp.broadcast_to(log_deviation, mean.shape))
        return Judgement(policy, jnp.zeros(mean.shape[:-1], jnp.float32)), memory


@dataclass(frozen=True)
class Drawn:
    """`brain`, whose answer is a `Judgement`, as one whose answer is an action drawn from the policy: for one
    episode, whose whole chance is `key`. Memory is (steps so far i32[], the brain's own)."""

    brain: Brain
    key: jax.Array

    def init(self, key: jax.Array) -> Any:
        return self.brain.init(key)

    def begin(self) -> tuple[jax.Array, Any]:
        return jnp.int32(0), self.brain.begin()

    def act(self, weights: Any, memory: tuple[Any, Any], observation: Any) -> tuple[Any, tuple[Any, Any]]:
        """An action."""
        time, own = memory
        judgement, own = self.brain.act(weights, own, observation)
        policy = judgement.policy
        return policy.choose(policy.noise(jax.random.fold_in(self.key, time))), (time + 1, own)


def fold(moments: Moments, layers: Any) -> Any:
    """The layers of an `MLP` that makes of an observation what `layers` makes of it in standard units (their
    limit aside): so the native kernel can play it."""
    (matrix, bias), *rest = layers
    matrix = matrix * moments.scale[:, None]
    return ((matrix, bias - moments.mean @ matrix), *rest)
