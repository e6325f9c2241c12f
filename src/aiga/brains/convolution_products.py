"""What a convolution is on a CPU and elsewhere: a kernel of ours, or products of patches.

An image, filters and what they see are linear in each other, so each comes from the two others by one of
three functions, which are also each other's derivatives, however often:

    SEEN(image, filters)    IMAGE(seen, filters)    FILTERS(image, seen)

For XLA they are calls of a kernel (`native/convolution`), for other devices made of `patched`. They are
primitives of JAX's, as XLA's calls have no derivatives, and with `custom_vjp` none forwards. Axis letters as
in `convolution`; `image` [N, H, W, C], `filters` [D, h, w, C], `seen` [N, Y, X, D].
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

FEW = 8  # channels of an image that fill too little of a vector for its gradient


def window(image: Any, sizes: Sequence[int], stride: int) -> list[Any]:
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


def patched(image: Any, filters: Any, stride: int, padding: int) -> jax.Array:
    """`filters` f32[D, h, w, C] laid over `image` f32[..., H, W, C] as `convolve` does, by patches and one
    matrix product for all ("im2col"; Chellapilla, Puri, Simard 2006, "High Performance Convolutional Neural
    Networks for Document Processing"). Filters with D first pay here: their gradient is then a product that
    XLA has a fast kernel for."""
    count, *sizes, _ = filters.shape
    around = [(0, 0)] * (image.ndim - 3) + [(padding, padding)] * 2 + [(0, 0)]
    patches = window(jnp.pad(image, around), sizes, stride)
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
    batch, image, window = one.shape[:-4], sizes[:2], sizes[2:]
    if name == "image":
        return *batch, one.shape[-4], *image, two.shape[-1]
    if name == "filters":
        return *batch, two.shape[-1], *window, one.shape[-1]
    places = [(size + 2 * padding - of) // stride + 1 for size, of in zip(image, window, strict=True)]
    return *batch, one.shape[-4], *places, two.shape[-4]


def _product(name: str, first: tuple[int, int], second: tuple[int, int]) -> Primitive:
    """What finds `name` from the two other arrays, all with the same axes of a batch before their four.

    `sizes` are H, W, h, w. `first` and `second`: of the axis that an array shares with what is found and not
    with the other, where it is in the array and where in what is found.
    """
    product = Primitive(f"aiga_convolution_to_{name}")

    def found(one: Any, two: Any, instruction_set: str, **how: Any) -> ShapedArray:
        return ShapedArray(_shape(name, one, two, **how), jnp.float32)

    def native(one: Any, two: Any, instruction_set: str, **how: Any) -> jax.Array:
        made = found(one, two, instruction_set, **how)
        if name == "image" and made.shape[-1] < FEW:
            return plain(one, two, instruction_set, **how)
        told = {"stride": how["stride"], "padding": how["padding"], "instruction_set": instruction_set}
        return jax.ffi.ffi_call(product.name, jax.ShapeDtypeStruct(made.shape, made.dtype))(one, two, **told)

    def plain(one: Any, two: Any, instruction_set: str, **how: Any) -> jax.Array:
        def of(one: Any, two: Any) -> jax.Array:
            lay = partial(patched, stride=how["stride"], padding=how["padding"])
            wanted = jax.ShapeDtypeStruct(_shape(name, one, two, **how), jnp.float32)
            if name == "seen":
                return lay(one, two)
            if name == "image":
                return jax.linear_transpose(lambda image: lay(image, two), wanted)(one)[0]
            return jax.linear_transpose(lambda filters: lay(one, filters), wanted)(two)[0]

        for _ in one.shape[:-4]:
            of = jax.vmap(of)
        return of(one, two)

    def batched(given: Any, axes: Any, **how: Any) -> tuple[jax.Array, int]:
        if None not in axes:
            one, two = (jnp.moveaxis(array, axis, 0) for array, axis in zip(given, axes, strict=True))
            return product.bind(one, two, **how), 0
        # One array is for all, so that what the other has more of makes one of its four axes longer.
        which = int(axes[0] is None)
        here, there = (first, second)[which]
        batch = given[1 - which].ndim - 4
        array = jnp.moveaxis(given[which], axes[which], batch + here)
        count, each = array.shape[batch + here : batch + here + 2]
        arrays = list(given)
        arrays[which] = array.reshape(_with(array.shape, batch + here, 2, count * each))
        whole = product.bind(*arrays, **how)
        return whole.reshape(_with(whole.shape, batch + there, 1, count, each)), batch + there

    product.def_impl(jax.jit(native, static_argnames=("sizes", "stride", "padding", "instruction_set")))
    product.def_abstract_eval(found)
    batching.primitive_batchers[product] = batched
    mlir.register_lowering(product, mlir.lower_fun(plain, multiple_results=False))
    mlir.register_lowering(product, mlir.lower_fun(native, multiple_results=False), platform="cpu")
    return product


def _with(shape: tuple[int, ...], axis: int, count: int, *sizes: int) -> tuple[int, ...]:
    """Other sizes in the place of `count` axes."""
    return *shape[:axis], *sizes, *shape[axis + count :]


SEEN = _product("seen", (0, 0), (0, 3))  # N of the image, D of the filters
IMAGE = _product("image", (0, 0), (3, 3))  # N of what is seen, C of the filters
FILTERS = _product("filters", (3, 3), (3, 0))  # C of the image, D of what is seen
ad.defbilinear(
    SEEN,
    lambda slope, image, filters, **how: IMAGE.bind(slope, filters, **how),
    lambda slope, image, filters, **how: FILTERS.bind(image, slope, **how),
)
ad.defbilinear(
    IMAGE,
    lambda slope, seen, filters, **how: SEEN.bind(slope, filters, **how),
    lambda slope, seen, filters, **how: FILTERS.bind(slope, seen, **how),
)
ad.defbilinear(
    FILTERS,
    lambda slope, image, seen, **how: IMAGE.bind(seen, slope, **how),
    lambda slope, image, seen, **how: SEEN.bind(image, slope, **how),
)
