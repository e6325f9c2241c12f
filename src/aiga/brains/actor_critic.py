"""An actor and a critic, each a multilayer perceptron, on what they see or on what an LSTM made of it.

First weights as in Andrychowicz et al. 2021, "What Matters for On-Policy Deep Actor-Critic
Methods?", arXiv 2006.05990: orthogonal, the policy's last layer small, so that at first all actions are
about as likely.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aiga.brains.lstm import remember, remembered
from aiga.brains.mlp import MLP
from aiga.brains.mlp import Weights as Layers
from aiga.brains.policies import Categorical, Gaussian, Judgement


class Weights(NamedTuple):
    """The weights of an `ActorCritic`."""

    actor: Layers
    critic: Layers
    log_deviation: Any  # f32[A] of a continuous policy, the same everywhere; else f32[0]
    memory: Any  # (W f32[O + H, 4 H], b f32[4 H]) of the LSTM's input, forget, cell and output; else ()


@dataclass(frozen=True)
class ActorCritic:
    """A brain whose output is a `Judgement`: observations f32[O] to a policy over `actions`, and a value.

    `actions` are as many choices or, if `continuous`, as many numbers. With `recurrent` = H > 0 an LSTM of H
    units stands before both networks; it learns from the policy alone and the critic reads it as it is. If it
    is `shared`, it learns from the critic too, for which rewards should be scaled. `deviation` is that of a
    continuous policy at first. Raises ValueError, naming the field, for numbers that are not positive.
    """

    observations: int
    actions: int
    continuous: bool = False
    hidden: tuple[int, ...] = (64, 64)
    recurrent: int = 0
    shared: bool = False
    deviation: float = 1.0  # 0.5 where actions are of order 1, say Andrychowicz et al.

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        for name, least in (("observations", 1), ("actions", 1), ("recurrent", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: at least {least}, not {getattr(self, name)}")
        if any(size < 1 for size in self.hidden):
            raise ValueError(f"hidden: numbers of at least 1, not {self.hidden}")
        if not self.deviation > 0:
            raise ValueError(f"deviation: greater than 0, not {self.deviation!r}")

    @property
    def actor(self) -> MLP:
        """The network that chooses."""
        return MLP((self.recurrent or self.observations, *self.hidden, self.actions), output="identity")

    @property
    def critic(self) -> MLP:
        """The network that judges."""
        return MLP((self.recurrent or self.observations, *self.hidden, 1), output="identity")

    def init(self, key: jax.Array) -> Weights:
        """Orthogonal matrices, biases of zero; the LSTM's from U(-1, 1) / sqrt(H)."""
        acting, judging, remembering = jax.random.split(key, 3)
        units, memory = self.recurrent, ()
        if units:
            shapes = (self.observations + units, 4 * units), (4 * units,)
            keys, bound = jax.random.split(remembering), units**-0.5
            memory = tuple(
                jax.random.uniform(k, shape, jnp.float32, -bound, bound)
                for k, shape in zip(keys, shapes, strict=True)
            )
        return Weights(
            orthogonal(acting, self.actor.sizes, 0.01),
            orthogonal(judging, self.critic.sizes, 1.0),
            jnp.full(self.actions if self.continuous else 0, jnp.log(jnp.float32(self.deviation))),
            memory,
        )

    def begin(self) -> tuple[jax.Array, ...]:
        """The LSTM's output and cell, both f32[H] zeros; nothing without one."""
        return (jnp.zeros(self.recurrent, jnp.float32),) * 2 if self.recurrent else ()

    def act(
        self, weights: Weights, memory: tuple[jax.Array, ...], observation: Any
    ) -> tuple[Judgement, tuple[jax.Array, ...]]:
        """`observation` f32[..., O] to a policy and a value f32[...]."""
        if not self.recurrent:
            return self._judge(weights, observation, observation), memory
        memory = remember(weights.memory, memory, observation)
        return self._judge(weights, memory[0], self._read(memory[0])), memory

    def unroll(
        self, weights: Weights, memory: tuple[jax.Array, ...], observations: Any, begun: Any
    ) -> Judgement:
        """What `act` says, memory and all, of S steps at once: `observations` f32[S, R, O] of R rows.

        `memory` [R, H] is what they begin with; where `begun` bool[S, R] it is `begin`'s before the step.
        """
        if not self.recurrent:
            return self._judge(weights, observations, observations)
        seen = remembered(weights.memory, memory, observations, begun)
        # The gradient of a layer is a product over rows, which XLA turns around if they have two axes.
        rows = seen.reshape(-1, self.recurrent)
        judged = self._judge(weights, rows, self._read(rows))
        return jax.tree.map(lambda leaf: leaf.reshape(*begun.shape, *leaf.shape[1:]), judged)

    def _read(self, seen: jax.Array) -> jax.Array:
        """What the critic is given of the LSTM's output."""
        # The value's errors, in units of the return, would drown what the policy asks of the LSTM.
        return seen if self.shared else jax.lax.stop_gradient(seen)

    def _judge(self, weights: Weights, seen: Any, judged: Any) -> Judgement:
        answer, _ = self.actor.act(weights.actor, (), seen)
        value, _ = self.critic.act(weights.critic, (), judged)
        spread = jnp.broadcast_to(
            weights.log_deviation, (*answer.shape[:-1], weights.log_deviation.shape[-1])
        )
        policy = Gaussian(answer, spread) if self.continuous else Categorical(answer)
        return Judgement(policy, value[..., 0])


def orthogonal(key: jax.Array, sizes: tuple[int, ...], last: float) -> Layers:
    """Layers for an `MLP` of `sizes`: orthogonal matrices times sqrt(2), the last one times `last`."""
    layers, depth = [], len(sizes) - 1
    for place, (shape, k) in enumerate(zip(pairwise(sizes), jax.random.split(key, depth), strict=True)):
        gain = last if place == depth - 1 else 2**0.5
        matrix = jax.nn.initializers.orthogonal(gain)(k, shape, jnp.float32)
        layers.append((matrix, jnp.zeros(shape[1], jnp.float32)))
    return tuple(layers)
