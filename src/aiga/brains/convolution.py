"""Convolutions for networks that differ from row to row of a batch.

A learner that adapts to many tasks at once has weights of its own for every task. Under `vmap` XLA makes of
that a grouped convolution, which on a CPU took 20 times as long as cutting the image into patches and one
matrix product for all of them ("im2col"; Chellapilla, Puri, Simard 2006, "High Performance Convolutional
Neural Networks for Document Processing"). Axis letters: H and W pixels, C channels, D filters.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp


def convolve(image: Any, filters: Any, stride: int = 1, padding: int = 0) -> jax.Array:
    """`filters` f32[h, w, C, D] laid over `image` f32[..., H, W, C], `padding` zeros around it:
    f32[..., (H + 2 padding - h) // stride + 1, the same of W, D], not turned over, as networks have it.

    Raises ValueError where the channels differ or the image is smaller than a filter.
    """
    *window, channels, count = filters.shape
    if image.shape[-1] != channels:
        raise ValueError(f"image: {channels} channels as the filters have, not {image.shape[-1]}")
    sizes = [size + 2 * padding for size in image.shape[-3:-1]]
    if any(size < least for size, least in zip(sizes, window, strict=True)):
        raise ValueError(f"image: at least {window} with its padding, not {sizes}")
    (height, width) = ((size - least) // stride for size, least in zip(sizes, window, strict=True))
    around = [(0, 0)] * (image.ndim - 3) + [(padding, padding)] * 2 + [(0, 0)]
    wide = jnp.pad(image, around)
    patches = [
        wide[..., y : y + height * stride + 1 : stride, x : x + width * stride + 1 : stride, :]
        for y in range(window[0])
        for x in range(window[1])
    ]
    return jnp.concatenate(patches, -1) @ filters.reshape(-1, count)


def pooled(image: Any, size: int = 2) -> jax.Array:
    """The largest of every `size` x `size` pixels of f32[..., H, W, C]; what is left over at the edges
    does not count."""
    *_, height, width, _ = image.shape
    high, wide = height // size * size, width // size * size
    parts = [image[..., y:high:size, x:wide:size, :] for y in range(size) for x in range(size)]
    # Not `max`, whose gradient looks for the pixel that is equal to it and divides by how many are: none is
    # where XLA rounds the pixel one way in the search and another way in the maximum.
    return reduce(jnp.maximum, parts)
