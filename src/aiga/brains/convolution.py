"""Convolutions for networks that differ from row to row of a batch.

A learner that adapts to many tasks at once has weights of its own for every task. Under `vmap` XLA makes of
that a grouped convolution, which on a CPU took 20 times as long as cutting the image into patches and one
matrix product for all of them ("im2col"; Chellapilla, Puri, Simard 2006, "High Performance Convolutional
Neural Networks for Document Processing"). Filters come with D first: their gradient is then a product that
XLA has a fast kernel for, which took half the time of the other way around. Axis letters: H and W pixels,
C channels, D filters.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp

EPSILON = 1e-5  # added to a variance


def convolve(image: Any, filters: Any, stride: int = 1, padding: int = 0) -> jax.Array:
    """`filters` f32[D, h, w, C] laid over `image` f32[..., H, W, C], `padding` zeros around it:
    f32[..., (H + 2 padding - h) // stride + 1, the same of W, D], not turned over, as networks have it.

    Raises ValueError where the channels differ or the image is smaller than a filter.
    """
    count, *window, channels = filters.shape
    if image.shape[-1] != channels:
        raise ValueError(f"image: {channels} channels as the filters have, not {image.shape[-1]}")
    sizes = [size + 2 * padding for size in image.shape[-3:-1]]
    if any(size < least for size, least in zip(sizes, window, strict=True)):
        raise ValueError(f"image: at least {window} with its padding, not {sizes}")
    around = [(0, 0)] * (image.ndim - 3) + [(padding, padding)] * 2 + [(0, 0)]
    patches = _window(jnp.pad(image, around), window, stride)
    seen, matrix = jnp.concatenate(patches, -1), filters.reshape(count, -1)
    rows = seen.reshape(-1, matrix.shape[1])
    if matrix.shape[1] < count:
        # Of so few pixels the other way around is faster. XLA would undo a transposition alone.
        product = rows @ jax.lax.optimization_barrier(matrix.T)
    else:
        product = jax.lax.dot_general(rows, matrix, (((1,), (1,)), ((), ())))
    return product.reshape(*seen.shape[:-1], count)


def normalised(signal: Any, axes: tuple[int, ...], scale: Any = 1.0) -> jax.Array:
    """f32[...] with mean 0 and variance 1 over `axes`, `scale` times as large."""
    centred = signal - signal.mean(axes, keepdims=True)
    variance = (centred * centred).mean(axes, keepdims=True)
    # One factor, so that all of the signal is gone through once.
    return centred * (jax.lax.rsqrt(variance + EPSILON) * scale)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def pooled(image: Any, size: int = 2) -> jax.Array:
    """The largest of every `size` x `size` pixels of f32[..., H, W, C]; what is left over at the edges
    does not count."""
    return reduce(jnp.maximum, _window(image, (size, size), size))


@pooled.defjvp
def _pooled_jvp(size: int, images: tuple[Any], changes: tuple[Any]) -> tuple[Any, Any]:
    """JAX's own gradient of `max` looks for pixels that are equal to it and divides by how many there are,
    which is not a number where XLA works out a pixel twice, rounded in two ways. So near is enough."""
    # What is near has no slope, or a second derivative would go through `max` after all.
    pixels = _window(jax.lax.stop_gradient(images[0]), (size, size), size)
    least = reduce(jnp.maximum, pixels) - 1e-6 * reduce(jnp.maximum, map(jnp.abs, pixels))
    near = [pixel >= least for pixel in pixels]
    count = sum(each.astype(least.dtype) for each in near)
    moved = _window(changes[0], (size, size), size)
    change = sum(jnp.where(each, move, 0) for each, move in zip(near, moved, strict=True))
    return pooled(images[0], size), change / jnp.maximum(count, 1)


def _window(image: Any, sizes: Sequence[int], stride: int) -> list[Any]:
    """Each of the h w pixels of a window, of all windows so far apart:
    f32[..., (H - h) // stride + 1, (W - w) // stride + 1, C]."""
    high, wide = (
        (have - size) // stride * stride + 1 for have, size in zip(image.shape[-3:-1], sizes, strict=True)
    )
    return [
        image[..., y : y + high : stride, x : x + wide : stride, :]
        for y in range(sizes[0])
        for x in range(sizes[1])
    ]
