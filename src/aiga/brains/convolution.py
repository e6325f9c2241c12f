"""Convolutions for networks that differ from row to row of a batch.

A learner that adapts to many tasks at once has weights of its own for every task. Under `vmap` XLA makes of
that a grouped convolution, which on a CPU took 20 times as long as cutting the image into patches and one
matrix product for all of them ("im2col"; Chellapilla, Puri, Simard 2006, "High Performance Convolutional
Neural Networks for Document Processing"). That is what other devices do, and other numbers than f32; on a CPU
a kernel of ours (`native/convolution`) does without the patches. Image, filters and what they see are linear
in each other, so each comes from the two others by one of three functions, which are also each other's
derivatives, however often. Filters come with D first: their gradient is then a product that XLA has a fast
kernel for, which took half the time of the other way around. Axis letters: N images, H and W pixels, C
channels, D filters of h x w pixels, Y and X places a filter is laid on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from aiga.brains import kernels

EPSILON = 1e-5  # added to a variance
INSTRUCTION_SET = ""  # one of `aiga._convolution.instruction_sets()`; the best of them


def convolve(image: Any, filters: Any, stride: int = 1, padding: int = 0) -> jax.Array:
    """`filters` f32[D, h, w, C] laid over `image` f32[..., H, W, C], `padding` zeros around it:
    f32[..., (H + 2 padding - h) // stride + 1, the same of W, D], not turned over, as networks have it.

    Raises ValueError where the channels differ or the image is smaller than a filter.
    """
    _, *window, channels = filters.shape
    if image.shape[-1] != channels:
        raise ValueError(f"image: {channels} channels as the filters have, not {image.shape[-1]}")
    sizes = [size + 2 * padding for size in image.shape[-3:-1]]
    if any(size < least for size, least in zip(sizes, window, strict=True)):
        raise ValueError(f"image: at least {window} with its padding, not {sizes}")
    known = image.dtype == filters.dtype == jnp.float32
    if not (known and jax.default_backend() == "cpu" and has_kernel()):
        return _patched(image, filters, stride, padding)
    images = image.reshape(-1, *image.shape[-3:])
    sizes = *image.shape[-3:-1], *window
    seen = SEEN.bind(images, filters, sizes=sizes, stride=stride, padding=padding)
    return seen.reshape(*image.shape[:-3], *seen.shape[1:])


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


def _patched(image: Any, filters: Any, stride: int, padding: int) -> jax.Array:
    """As `convolve`, by patches."""
    count, *window, _ = filters.shape
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


def _shape(
    name: str, one: Any, two: Any, sizes: tuple[int, ...], stride: int, padding: int
) -> tuple[int, ...]:
    """Of what comes of two arrays."""
    batch = np.broadcast_shapes(one.shape[:-4], two.shape[:-4])
    image, window = sizes[:2], sizes[2:]
    if name == "image":
        return *batch, one.shape[-4], *image, two.shape[-1]
    if name == "filters":
        return *batch, two.shape[-1], *window, one.shape[-1]
    places = [(size + 2 * padding - of) // stride + 1 for size, of in zip(image, window, strict=True)]
    return *batch, one.shape[-4], *places, two.shape[-4]


def _product(name: str) -> Primitive:
    """What finds one of `image` f32[..., N, H, W, C], `filters` f32[..., D, h, w, C] and `seen`
    f32[..., N, Y, X, D] from the two others, of which `seen` comes first for an image, else last.

    `sizes` are H, W, h, w. Axes before the four are a batch's, 1 where an array is for all of it.
    """
    product = Primitive(f"aiga_convolution_to_{name}")

    def native(one: Any, two: Any, **how: Any) -> jax.Array:
        made = jax.ShapeDtypeStruct(_shape(name, one, two, **how), jnp.float32)
        told = {"stride": how["stride"], "padding": how["padding"], "instruction_set": INSTRUCTION_SET}
        return jax.ffi.ffi_call(product.name, made)(one, two, **told)

    def batched(given: Any, axes: Any, **how: Any) -> tuple[jax.Array, int]:
        one, two = (
            array[None] if axis is None else jnp.moveaxis(array, axis, 0)
            for array, axis in zip(given, axes, strict=True)
        )
        return product.bind(one, two, **how), 0

    product.def_impl(lambda one, two, **how: jax.jit(partial(native, **how))(one, two))
    product.def_abstract_eval(lambda one, two, **how: ShapedArray(_shape(name, one, two, **how), jnp.float32))
    batching.primitive_batchers[product] = batched
    mlir.register_lowering(product, mlir.lower_fun(native, multiple_results=False), platform="cpu")
    return product


SEEN, IMAGE, FILTERS = (_product(name) for name in ("seen", "image", "filters"))


def _linear(product: Primitive, to_first: Callable[..., Any], to_second: Callable[..., Any]) -> None:
    """Tells what leads back from a slope and one of the product's arrays to the other."""

    def summed(like: Any, whole: jax.Array) -> jax.Array:
        """Over the axes of a batch in which an array stood for all."""
        axes = [k for k, size in enumerate(like.aval.shape[:-4]) if size < whole.shape[k]]
        return whole.sum(axes, keepdims=True) if axes else whole

    ad.defbilinear(
        product,
        lambda slope, one, two, **how: summed(one, to_first(slope, two, **how)),
        lambda slope, one, two, **how: summed(two, to_second(slope, one, **how)),
    )


def _turned(product: Primitive) -> Callable[..., Any]:
    """With its two arrays the other way around."""
    return lambda one, two, **how: product.bind(two, one, **how)


_linear(SEEN, IMAGE.bind, _turned(FILTERS))
_linear(IMAGE, SEEN.bind, FILTERS.bind)
_linear(FILTERS, _turned(IMAGE), _turned(SEEN))
