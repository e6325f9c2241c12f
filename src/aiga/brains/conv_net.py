"""The convolutional network of the papers on few-shot images.

Vinyals et al. 2016 (Matching Networks, arXiv 1606.04080) has four blocks of 3 x 3 filters, batch
normalisation, a rectifier and 2 x 2 max-pooling, then a linear layer. Finn, Abbeel, Levine 2017 (MAML, arXiv
1703.03400, section 5.2) takes 32 filters for miniImageNet, and for Omniglot 64 filters that move by two
pixels in place of pooling. Batch normalisation (Ioffe, Szegedy 2015, arXiv 1502.03167) is by the images that
come together, in use as in learning ("transductive"): what the network says of an image depends on the
others. Axis letters: B images, H and W pixels, F colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from aiga.brains.convolution import convolve, normalised, pooled

Halves = Literal["stride", "pool"]


@dataclass(frozen=True)
class ConvNet:
    """`blocks` blocks, each of which halves the image, and a linear layer with `outputs` units.

    With `stride` the last block's pixels are averaged, with `pool` they are all inputs of the linear layer,
    as in MAML. There is no bias before a normalisation, which would take it away. Raises ValueError, naming
    the field, for numbers below 1, an image that is halved to nothing and another way to halve.
    """

    image: tuple[int, int, int] = (28, 28, 1)  # H, W, F
    outputs: int = 5
    filters: int = 64
    halves: Halves = "stride"
    blocks: int = 4

    def __post_init__(self) -> None:
        for name in ("outputs", "filters", "blocks"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: at least 1, not {getattr(self, name)!r}")
        if self.halves not in get_args(Halves):
            raise ValueError(f"halves: one of {', '.join(get_args(Halves))}, not {self.halves!r}")
        if len(self.image) != 3 or min(self.image) < 1 or min(self.left) < 1:
            raise ValueError(f"image: H, W, F, enough for {self.blocks} blocks, not {self.image}")

    @property
    def left(self) -> tuple[int, int]:
        """Pixels after the last block, each way."""
        high, wide = self.image[:2]
        for _ in range(self.blocks):
            high, wide = (
                (high // 2, wide // 2) if self.halves == "pool" else ((high + 1) // 2, (wide + 1) // 2)
            )
        return high, wide

    def init(self, key: jax.Array) -> tuple[tuple[jax.Array, ...], ...]:
        """Blocks of filters f32[filters, 3, 3, F], scale f32[filters] and shift f32[filters], then matrix and
        bias: normal numbers of variance 1 / (3 inputs of a unit), scales 1, the rest 0. Normalisation
        undoes the size of filters, but a step turns small ones further, and learning begins faster.
        """
        *keys, last = jax.random.split(key, self.blocks + 1)
        body, seen = [], self.image[2]
        for one in keys:
            filters = np.float32(np.sqrt(1 / (27 * seen))) * jax.random.normal(
                one, (3, 3, seen, self.filters), jnp.float32
            )
            scale, shift = jnp.ones(self.filters, jnp.float32), jnp.zeros(self.filters, jnp.float32)
            body.append((jnp.moveaxis(filters, -1, 0), scale, shift))
            seen = self.filters
        if self.halves == "pool":
            seen *= int(np.prod(self.left))
        matrix = np.float32(np.sqrt(1 / (3 * seen))) * jax.random.normal(
            last, (seen, self.outputs), jnp.float32
        )
        return (*body, (matrix, jnp.zeros(self.outputs, jnp.float32)))

    def begin(self) -> tuple[()]:
        """The memory before the first step: none."""
        return ()

    def act(self, weights: Any, memory: tuple[()], observation: Any) -> tuple[jax.Array, tuple[()]]:
        """Images f32[B, H, W, F] that come together to f32[B, outputs]."""
        *body, (matrix, bias) = weights
        signal = observation
        for filters, scale, shift in body:
            signal = convolve(signal, filters, 2 if self.halves == "stride" else 1, padding=1)
            signal = jax.nn.relu(normalised(signal, (0, 1, 2), scale) + shift)
            signal = pooled(signal) if self.halves == "pool" else signal
        count = signal.shape[0]
        flat = signal.reshape(count, -1) if self.halves == "pool" else signal.mean((1, 2))
        return flat @ matrix + bias, memory
