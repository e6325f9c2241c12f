"""The multilayer perceptron: weights are data, the network is three pure functions.

The walker's brain in POET (Wang et al. 2019, arXiv 1901.01753) is `MLP((24, 40, 40, 4))`: tanh throughout,
2,804 numbers, every one of them drawn from N(0, 0.1^2) at the start, the biases too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from aiga.brains import layers
from aiga.brains.layers import Weights

ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu, "identity": lambda x: x}


@dataclass(frozen=True)
class MLP:
    """Layers of `sizes`, `activation` after each hidden one and `output` after the last.

    Raises ValueError, naming the field, for sizes that are not at least two positive numbers, an unknown
    activation or a scale that is not positive.
    """

    sizes: tuple[int, ...] = (24, 40, 40, 4)
    activation: str = "tanh"
    output: str = "tanh"
    scale: float = 0.1  # standard deviation of the first weights and biases

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(self.sizes))
        if len(self.sizes) < 2 or any(size < 1 for size in self.sizes):
            raise ValueError(f"sizes: two or more numbers, each at least 1, not {self.sizes}")
        for name in ("activation", "output"):
            if getattr(self, name) not in ACTIVATIONS:
                raise ValueError(f"{name}: one of {', '.join(ACTIVATIONS)}, not {getattr(self, name)!r}")
        if not self.scale > 0:
            raise ValueError(f"scale: greater than 0, not {self.scale}")

    @property
    def count(self) -> int:
        """How many numbers N the weights are."""
        return layers.count(self.sizes)

    @property
    def activations(self) -> tuple[str, ...]:
        """One after each layer, as the native kernel takes them."""
        return (self.activation,) * (len(self.sizes) - 2) + (self.output,)

    def init(self, key: jax.Array) -> Weights:
        """Weights and biases drawn from N(0, scale^2)."""
        return self.unflatten(self.scale * jax.random.normal(key, (self.count,), jnp.float32))

    def begin(self) -> tuple[()]:
        """The memory before the first step: none."""
        return ()

    def act(self, weights: Weights, memory: tuple[()], observation: Any) -> tuple[jax.Array, tuple[()]]:
        """`observation` f32[..., sizes[0]] to output f32[..., sizes[-1]]."""
        signal = observation
        for depth, (matrix, bias) in enumerate(weights):
            last = depth == len(weights) - 1
            signal = ACTIVATIONS[self.output if last else self.activation](signal @ matrix + bias)
        return signal, memory

    def flatten(self, weights: Weights) -> jax.Array:
        """W0 (row by row), b0, W1, b1, ... as one f32[N]: the form every other part of aiga passes on."""
        return jnp.concatenate([jnp.ravel(part) for layer in weights for part in layer])

    def unflatten(self, flat: Any) -> Weights:
        """The inverse of `flatten`: views of `flat` f32[N], NumPy stays NumPy.

        Raises ValueError when `flat` is not of length N.
        """
        if flat.shape != (self.count,):
            raise ValueError(f"weights: shape ({self.count},) for sizes {self.sizes}, not {flat.shape}")
        return layers.split(flat, self.sizes)
