"""An actor and a critic that look up what happened where they are.

What a step is told is filed under what was seen before it, and looked up under what is seen now. Addresses
have no sign and length 1, so that two situations are as near as the cosine of theirs, from 0 to 1, and how
much was filed near one and what it was in the mean can both be read from sums over all steps so far: linear
attention (Katharopoulos, Vyas, Pappas, Fleuret 2020, "Transformers are RNNs", arXiv 2006.16236) to a memory
of bounded size (Peng et al. 2022, "ABC: Attention with Bounded-memory Control", arXiv 2110.02488), or fast
weights (Schmidhuber 1992, "Learning to Control Fast-Weight Memories", Neural Computation 4(1)).

Every layer files what the layer before made of the step. So the first one knows what was paid where one is,
and the second what was known of the places that one came to from here. As the sums need no order, learning
looks up many steps at once. Axis letters: S steps, R rows, O observation, P its first numbers, under which
things are filed; A actions, H units, M slots of the memory, C steps of a chunk, N chunks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aiga.brains.policies import Categorical, Judgement

SHARP = 3.0  # deviation of an address's logits for an observation of 1: what differs is filed apart


class Layer(NamedTuple):
    """Each is W f32[in, out] and b f32[out]."""

    file: Any  # from H units to H - 1 numbers to be filed
    read: Any  # from their means and how many there are to H units
    hidden: Any  # from H units to H more, which think about it,
    output: Any  # and back


class Weights(NamedTuple):
    """The weights of an `Associative`."""

    address: Any  # f32[P, M]
    enter: Any  # W f32[2 O, H], b f32[H]
    layers: tuple[Layer, ...]
    actor: Any  # W f32[H, A], b f32[A]
    critic: Any  # W f32[H, 1], b f32[1]


class Memory(NamedTuple):
    """What is known before a step."""

    before: Any  # f32[..., O], the last observation
    known: Any  # f32[...], 1 if there was one
    sums: tuple[Any, ...]  # f32[..., M, H] of each layer: what was filed, and how much


@dataclass(frozen=True)
class Associative:
    """A brain whose output is a `Judgement`: observations f32[O] to a policy over `actions` choices, and a
    value. What is told is filed under the first `places` numbers of the observation before. Raises
    ValueError, naming the field, for numbers that cannot be.
    """

    observations: int
    actions: int
    places: int
    units: int = 64
    slots: int = 32
    layers: int = 2  # of memories, each of which files what the one before made of the step
    chunk: int = 25  # steps that learning looks up at once

    def __post_init__(self) -> None:
        for name, least in (
            ("observations", 1), ("actions", 1), ("places", 1), ("units", 2), ("slots", 1), ("layers", 1),
            ("chunk", 1),
        ):  # fmt: skip
            if getattr(self, name) < least:
                raise ValueError(f"{name}: at least {least}, not {getattr(self, name)}")
        if self.places > self.observations:
            raise ValueError(f"places: at most the {self.observations} observations, not {self.places}")

    def init(self, key: jax.Array) -> Weights:
        """Normal matrices, biases of zero."""
        addressing, entering, acting, judging, *layers = jax.random.split(key, 4 + self.layers)
        units = self.units

        def layer(key: jax.Array) -> Layer:
            shapes = (units, units - 1, 2), (units, units, 0.25), (units, units, 2), (units, units, 0.25)
            keys = jax.random.split(key, len(shapes))
            return Layer(*(_drawn(key, *shape) for key, shape in zip(keys, shapes, strict=True)))

        return Weights(
            SHARP * jax.random.normal(addressing, (self.places, self.slots), jnp.float32),
            _drawn(entering, 2 * self.observations, units, 2),
            tuple(map(layer, layers)),
            _drawn(acting, units, self.actions, 0.1),
            _drawn(judging, units, 1, 1),
        )

    def begin(self) -> Memory:
        """Nothing is known."""
        nothing = jnp.zeros((self.slots, self.units), jnp.float32)
        before = jnp.zeros(self.observations, jnp.float32)
        return Memory(before, jnp.float32(0), (nothing,) * self.layers)

    def act(self, weights: Weights, memory: Memory, observation: Any) -> tuple[Judgement, Memory]:
        """`observation` f32[..., O] to a policy and a value f32[...]."""
        here, there = (self._address(weights, seen) for seen in (observation, memory.before))
        signal = _entered(weights, observation, memory.before)
        after = []
        for layer, sums in zip(weights.layers, memory.sums, strict=True):
            filed = _filed(layer, signal, memory.known)
            after.append(sums + there[..., :, None] * filed[..., None, :])
            signal = _looked_up(layer, signal, (here[..., None, :] @ after[-1])[..., 0, :])
        known = jnp.ones_like(memory.known)
        return _judged(weights, signal), Memory(observation, known, tuple(after))

    def unroll(self, weights: Weights, memory: Memory, observations: Any, begun: Any) -> Judgement:
        """What `act` says, memory and all, of S steps at once: `observations` f32[S, R, O] of R rows.

        `memory` [R, ...] is what they begin with; where `begun` bool[S, R] it is `begin`'s before the step.
        Policy and value have the axes [S, R]. S is at least 1.
        """
        steps, rows, _ = observations.shape
        size = min(self.chunk, steps)
        count = -(-steps // size)

        def in_chunks(each: Any) -> Any:  # [S, R, ...] as [R * N, C, ...]
            each = jnp.pad(each, [(0, count * size - steps)] + [(0, 0)] * (each.ndim - 1))
            return jnp.swapaxes(each, 0, 1).reshape(rows * count, size, *each.shape[2:])

        def earlier(first: Any, each: Any) -> Any:  # before each step; `begin` is zeros
            shifted = jnp.concatenate([first[None], each[:-1]])
            return jnp.where(begun.reshape(begun.shape + (1,) * (each.ndim - 2)), 0, shifted)

        before = earlier(memory.before, observations)
        known = in_chunks(earlier(memory.known, jnp.ones_like(observations[..., 0])))
        here, there = (in_chunks(self._address(weights, seen)) for seen in (observations, before))
        signal = _entered(weights, in_chunks(observations), in_chunks(before))

        # Which episode of its chunk a step is of: nothing is found across two. What is found is from the
        # chunk itself, or from the sums of those before it while the episode is the one that they end with.
        episode = jnp.cumsum(in_chunks(begun), 1)
        order = jnp.arange(size)
        same = (episode[:, :, None] == episode[:, None, :]) & (order[:, None] >= order)
        near = jnp.where(same, here @ jnp.swapaxes(there, 1, 2), 0)
        of_first = jnp.where(episode[..., None] == 0, here, 0)
        of_last = jnp.where((episode == episode[:, -1:])[..., None], there, 0)
        goes_on = (episode[:, -1] == 0).reshape(rows, count)

        for layer, first in zip(weights.layers, memory.sums, strict=True):
            filed = _filed(layer, signal, known)
            more = (jnp.swapaxes(of_last, 1, 2) @ filed).reshape(rows, count, *first.shape[1:])

            def add(sums: Any, of_chunk: Any) -> tuple[Any, Any]:
                keeps, new = of_chunk
                return jnp.where(keeps[:, None, None], sums, 0) + new, sums

            turns = (jnp.swapaxes(each, 0, 1) for each in (goes_on, more))
            sums = jnp.swapaxes(jax.lax.scan(add, first, tuple(turns))[1], 0, 1)
            found = near @ filed + of_first @ sums.reshape(rows * count, *first.shape[1:])
            signal = _looked_up(layer, signal, found)

        def in_steps(each: Any) -> Any:
            return jnp.swapaxes(each.reshape(rows, count * size, *each.shape[2:]), 0, 1)[:steps]

        return jax.tree.map(in_steps, _judged(weights, signal))

    def _address(self, weights: Weights, observation: Any) -> jax.Array:
        """f32[..., M], of length 1."""
        share = jax.nn.softmax(observation[..., : self.places] @ weights.address)
        return share * jax.lax.rsqrt((share**2).sum(-1, keepdims=True))


def _drawn(key: jax.Array, inputs: int, outputs: int, variance: float) -> tuple[jax.Array, jax.Array]:
    """A layer whose outputs have `variance` where inputs have 1."""
    matrix = (variance / inputs) ** 0.5 * jax.random.normal(key, (inputs, outputs), jnp.float32)
    return matrix, jnp.zeros(outputs, jnp.float32)


def _rms_norm(signal: Any) -> Any:
    """Zhang, Sennrich 2019, "Root Mean Square Layer Normalization", arXiv 1910.07467."""
    return signal * jax.lax.rsqrt((signal**2).mean(-1, keepdims=True) + 1e-5)


def _linear(layer: Any, signal: Any) -> Any:
    matrix, bias = layer
    return signal @ matrix + bias


def _entered(weights: Weights, observation: Any, before: Any) -> Any:
    return jax.nn.relu(_linear(weights.enter, jnp.concatenate([observation, before], -1)))


def _filed(layer: Layer, signal: Any, known: Any) -> Any:
    """f32[..., H], the last one a 1 to be counted by; nothing where there is nothing to file it under."""
    what = jax.nn.relu(_linear(layer.file, _rms_norm(signal)))
    return jnp.concatenate([what, jnp.ones_like(what[..., :1])], -1) * known[..., None]


def _looked_up(layer: Layer, signal: Any, found: Any) -> Any:
    """The signal, and what is made of the mean of what was found, one 0 counted with it, and of the logarithm
    of 1 + how much it was."""
    count = found[..., -1:]
    told = jnp.concatenate([found[..., :-1] / (count + 1), jnp.log1p(count)], -1)
    signal = signal + _linear(layer.read, told)
    return signal + _linear(layer.output, jax.nn.relu(_linear(layer.hidden, _rms_norm(signal))))


def _judged(weights: Weights, signal: Any) -> Judgement:
    signal = _rms_norm(signal)
    return Judgement(Categorical(_linear(weights.actor, signal)), _linear(weights.critic, signal)[..., 0])
