"""Convolutions for networks that differ from row to row of a batch.

A learner that adapts to many tasks at once has weights of its own for every task. Under `vmap` XLA makes of
that a grouped convolution, which on a CPU took 20 times as long as cutting the image into patches and one
matrix product for all of them. On a CPU a kernel of ours does without the patches; elsewhere, and of other
numbers than f32, convolutions are products of them (`convolution_products`). Axis letters: N images, H and W
pixels, C channels, D filters of h x w pixels, Y and X places a filter is laid on.
"""

from __future__ import annotations

import math
from functools import partial, reduce
from operator import index
from typing import Any

import jax
import jax.numpy as jnp

from aiga.brains import kernels
from aiga.brains.convolution_products import SEEN, patched, window

EPSILON = 1e-5  # added to a variance
LARGEST = 1 << 26  # numbers of one filter that the kernel can count to
INSTRUCTION_SET = ""  # one of `aiga._convolution.instruction_sets()`; the best of them


def convolve(image: Any, filters: Any, stride: int = 1, padding: int = 0) -> jax.Array:
    """`filters` f32[D, h, w, C] laid over `image` f32[..., H, W, C], `padding` zeros around it:
    f32[..., (H + 2 padding - h) // stride + 1, the same of W, D], not turned over, as networks have it.

    Raises ValueError where the channels differ, the image is smaller than a filter, `stride` is below 1 or
    `padding` below 0. Of arrays that `jit` spreads over devices each does all; `shard_map` shares them out.
    """
    stride, padding = index(stride), index(padding)
    _, *sizes, channels = filters.shape
    if image.shape[-1] != channels:
        raise ValueError(f"image: {channels} channels as the filters have, not {image.shape[-1]}")
    if stride < 1 or padding < 0:
        raise ValueError(f"stride: at least 1, and padding at least 0, not {stride} and {padding}")
    padded = [size + 2 * padding for size in image.shape[-3:-1]]
    if any(size < least for size, least in zip(padded, sizes, strict=True)):
        raise ValueError(f"image: at least {sizes} with its padding, not {padded}")
    if not _for_kernel(image, filters):
        return patched(image, filters, stride, padding)
    *several, high, wide, _ = image.shape
    images = image.reshape(math.prod(several), high, wide, channels)
    seen = SEEN.bind(
        images,
        filters,
        sizes=(high, wide, *sizes),
        stride=stride,
        padding=padding,
        instruction_set=INSTRUCTION_SET,
    )
    return seen.reshape(*several, *seen.shape[1:])


def _for_kernel(image: Any, filters: Any) -> bool:
    if not image.dtype == filters.dtype == jnp.float32 or math.prod(filters.shape[1:]) > LARGEST:
        return False
    # A `shard_map` that checks what differs between devices would have to be told that of the kernel's, too.
    if any(jax.typeof(array).manual_axis_type.varying for array in (image, filters)):
        return False
    return jax.default_backend() == "cpu" and has_kernel()


def has_kernel() -> bool:
    """Whether XLA takes the kernel; warns if not."""
    return kernels.taken("convolution")


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
    return reduce(jnp.maximum, window(image, (size, size), size))


@pooled.defjvp
def _pooled_jvp(size: int, images: tuple[Any], changes: tuple[Any]) -> tuple[Any, Any]:
    """JAX's own gradient of `max` looks for pixels that are equal to it and divides by how many there are,
    which is not a number where XLA works out a pixel twice, rounded in two ways. So near is enough."""
    # What is near has no slope, or a second derivative would go through `max` after all.
    pixels = window(jax.lax.stop_gradient(images[0]), (size, size), size)
    least = reduce(jnp.maximum, pixels) - 1e-6 * reduce(jnp.maximum, map(jnp.abs, pixels))
    near = [pixel >= least for pixel in pixels]
    count = sum(each.astype(least.dtype) for each in near)
    moved = window(changes[0], (size, size), size)
    change = sum(jnp.where(each, move, 0) for each, move in zip(near, moved, strict=True))
    return pooled(images[0], size), change / jnp.maximum(count, 1)
