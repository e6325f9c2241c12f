"""Convolutions against JAX's own, by the kernel on each instruction set, and without the kernel."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from aiga import _convolution
from aiga.brains import convolution, kernels
from aiga.brains.convolution import convolve, pooled

WAYS = (*_convolution.instruction_sets(), "without the kernel")
# Images, pixels, channels, filters, window, stride, padding. Channels and filters fill no vector, some, and
# some with a few left over; in one case most pixels are seen by none, in one a filter lies on padding alone.
CASES = [
    (2, (11, 9), 3, 4, (3, 3), 1, 0),
    (2, (11, 9), 3, 40, (2, 5), 3, 2),
    (5, (14, 14), 16, 64, (3, 3), 2, 1),
    (1, (7, 6), 33, 70, (3, 2), 1, 1),
    (7, (9, 10), 20, 7, (1, 1), 4, 0),
    (3, (2, 3), 5, 18, (2, 2), 1, 3),
]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    assert convolution.has_kernel()
    monkeypatch.setattr(convolution, "has_kernel", lambda: request.param in _convolution.instruction_sets())
    monkeypatch.setattr(convolution, "INSTRUCTION_SET", request.param)


def reference(image: Any, filters: Any, stride: int = 1, padding: int = 0) -> jax.Array:
    around = [(padding, padding)] * 2
    numbers = ("NHWC", "OHWI", "NHWC")
    return jax.lax.conv_general_dilated(image, filters, (stride, stride), around, dimension_numbers=numbers)


def given(images: int, pixels: Any, channels: int, filters: int, window: Any) -> tuple[jax.Array, jax.Array]:
    rng = np.random.default_rng(images)
    shapes = (images, *pixels, channels), (filters, *window, channels)
    return tuple(jnp.float32(rng.normal(size=shape)) for shape in shapes)  # type: ignore[return-value]


def alike(ours: Any, theirs: Any) -> None:
    def close(one: Any, other: Any) -> None:
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5 * max(1.0, float(jnp.abs(other).max())))

    jax.tree.map(close, ours, theirs)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("case", CASES)
def test_convolutions_and_their_gradients_are_those_of_jax(case: Any) -> None:
    *sizes, stride, padding = case
    image, filters = given(*sizes)
    seen, back = jax.vjp(lambda *both: convolve(*both, stride, padding), image, filters)
    wanted, wanted_back = jax.vjp(lambda *both: reference(*both, stride, padding), image, filters)
    slope = jnp.cos(jnp.arange(wanted.size, dtype=jnp.float32)).reshape(wanted.shape)
    alike((seen, *back(slope)), (wanted, *wanted_back(slope)))
    alike(convolve(image[0], filters, stride, padding), wanted[0])


def test_gradients_can_be_differentiated() -> None:
    """As a learner of learners does, and twice over."""
    image, filters = given(3, (6, 7), 4, 5, (3, 2))

    def after(function: Any) -> Any:
        def lost(filters: Any, image: Any) -> Any:
            slopes = jax.grad(lambda *both: (function(*both, 2, 1) ** 3).sum(), (0, 1))(image, filters)
            moved = image - 0.01 * slopes[0], filters - 0.01 * slopes[1]
            return (function(*moved, 2, 1) ** 2).mean()

        slopes = jax.jit(jax.grad(lost, (0, 1)))
        bent = jax.jit(jax.grad(lambda *both: sum((slope**2).sum() for slope in slopes(*both)), (0, 1)))
        return slopes(filters, image), bent(filters, image)

    alike(after(convolve), after(reference))


def test_forward_mode() -> None:
    image, filters = given(2, (5, 5), 2, 3, (3, 3))

    def moved(function: Any) -> Any:
        return jax.jvp(function, (image, filters), (image + 1, filters - 1))

    def bent(function: Any) -> Any:
        return jax.hessian(lambda filters: (function(image, filters) ** 2).sum())(filters)

    alike(moved(convolve), moved(reference))
    alike(bent(convolve), bent(reference))


@pytest.mark.parametrize("axes", [(0, 0), (None, 0), (0, None), (2, 1)])
def test_many_at_once_are_one_by_one(axes: Any) -> None:
    """Networks with weights of their own and networks that share them, and tables of both."""

    def table(whole: Any, axis: int | None) -> Any:
        return whole if axis is None else jnp.stack([whole, -whole, 2 * whole], axis)

    image, filters = map(table, given(2, (6, 5), 3, 4, (3, 3)), axes)

    def of(function: Any) -> Any:
        def worth(image: Any, filters: Any) -> Any:
            return (function(image, filters, 2, 1) ** 2).sum()

        every = jax.vmap(jax.value_and_grad(worth, (0, 1)), axes)
        tables = jax.vmap(every, (0, None))
        summed = jax.grad(lambda *both: jax.vmap(worth, axes)(*both).sum(), (0, 1))
        images = jnp.stack([image, image / 2])
        return jax.jit(lambda: (every(image, filters), tables(images, filters), summed(image, filters)))()

    alike(of(convolve), of(reference))


def test_filters_for_all_are_not_made_for_each() -> None:
    """Neither they nor their gradients: what differs is so many more images."""
    image, filters = given(2, (6, 5), 3, 4, (3, 3))
    images = jnp.stack([image] * 11)

    def worth(filters: Any) -> Any:
        return (jax.vmap(lambda image: convolve(image, filters))(images) ** 2).sum()

    assert "f32[11,4," not in str(jax.make_jaxpr(jax.grad(worth))(filters))


def test_devices_that_are_checked_for_what_differs_between_them() -> None:
    image, filters = given(4, (6, 5), 3, 4, (3, 3))
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("d",))
    spread, whole = jax.P("d"), jax.P()

    def slopes(function: Any) -> Any:
        return jax.grad(lambda image, filters: (function(image, filters, 2, 1) ** 2).sum(), (0, 1))

    shared = jax.shard_map(slopes(convolve), mesh=mesh, in_specs=(spread, whole), out_specs=(spread, whole))
    alike(jax.jit(shared)(image, filters), slopes(reference)(image, filters))


def test_nothing_of_nothing() -> None:
    image, filters = given(2, (5, 4), 3, 2, (2, 2))
    assert convolve(image[:0], filters).shape == (0, 4, 3, 2)
    assert convolve(image[:, :0], filters, padding=2).shape == (2, 3, 7, 2)
    none = jnp.zeros((0, *image.shape))

    def worth(images: Any, filters: Any) -> Any:
        return (jax.vmap(convolve, (0, None))(images, filters) ** 2).sum()

    of_images, of_filters = jax.grad(worth, (0, 1))(none, filters)
    assert of_images.shape == none.shape
    assert not of_filters.any()


def test_programs_for_other_devices() -> None:
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((2, 5, 4, 3), (2, 2, 2, 3))]
    slopes = jax.jit(jax.grad(lambda *both: (convolve(*both) ** 2).sum(), (0, 1)))
    assert jax.export.export(slopes, platforms=["cuda"])(*shapes).platforms == ("cuda",)


@pytest.mark.parametrize("batch", [1, 7])
def test_large_ones_are_shared_out(batch: int) -> None:
    """By several cores, each some of the images or some of the window's pixels, and in several blocks."""
    image, filters = given(63 // batch, (30, 28), 18, 40, (3, 3))
    images, many = (jnp.stack([each / (k + 1) for k in range(batch)]) for each in (image, filters))

    def slopes(function: Any) -> Any:
        def worth(image: Any, filters: Any) -> Any:
            return (function(image, filters) ** 2).mean()

        return jax.jit(jax.vmap(jax.value_and_grad(worth, (0, 1))))

    alike(slopes(convolve)(images, many), slopes(reference)(images, many))


@pytest.mark.parametrize("kind", [jnp.bfloat16, jnp.float16])
def test_other_numbers_are_xlas(kind: Any) -> None:
    image, filters = (each.astype(kind) for each in given(2, (5, 6), 3, 4, (3, 3)))
    seen = jax.jit(convolve)(image, filters)
    assert seen.dtype == kind
    np.testing.assert_allclose(seen.astype(float), reference(image, filters).astype(float), atol=0.2)


@pytest.mark.usefixtures("way")
def test_what_is_no_number_stays_where_it_is_seen() -> None:
    image, filters = given(1, (6, 6), 2, 3, (3, 3))
    seen = convolve(image.at[0, 0, 5, 1].set(jnp.nan), filters, 1, 1)
    where = np.zeros((6, 6), bool)
    where[:2, 4:] = True
    np.testing.assert_array_equal(np.isnan(seen[0]).all(-1), where)
    np.testing.assert_array_equal(np.isnan(seen[0]).any(-1), where)


def test_a_kernel_that_xla_refuses_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise RuntimeError("another version")

    other = ModuleType("aiga._other")
    other.handlers = lambda: {"one": None}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "aiga._other", other)
    monkeypatch.setattr(jax.ffi, "register_ffi_target", refused)
    with pytest.warns(UserWarning, match="other: slower than it could be, .*: another version"):
        assert not kernels.taken("other")


def test_images_that_do_not_fit_are_refused_by_name():
    with pytest.raises(ValueError, match="image: 3 channels"):
        convolve(jnp.zeros((5, 5, 1)), jnp.zeros((2, 3, 3, 3)))
    with pytest.raises(ValueError, match=r"image: at least \[3, 3\]"):
        convolve(jnp.zeros((2, 5, 3)), jnp.zeros((2, 3, 3, 3)))
    for stride, padding in ((0, 0), (1, -1)):
        with pytest.raises(ValueError, match="stride: at least 1, and padding at least 0"):
            convolve(jnp.zeros((5, 5, 3)), jnp.zeros((2, 3, 3, 3)), stride, padding)
    seen = convolve(jnp.zeros((5, 5, 3)), jnp.zeros((2, 3, 3, 3)), np.int32(2), np.int32(1))
    assert seen.shape == (3, 3, 2)


def test_pooling_takes_the_largest_and_leaves_what_is_over():
    image = jnp.arange(15.0).reshape(1, 5, 3, 1)
    np.testing.assert_array_equal(pooled(image)[0, :, :, 0], [[4], [10]])


def test_pooling_has_the_slopes_of_a_maximum_twice_over():
    """Where pixels are alike each has its share. No slope may look for what is equal to a maximum, as numbers
    that are worked out twice need not be."""
    image = np.random.default_rng(0).normal(size=(3, 5, 6, 2)).astype(np.float32)
    image[0, :2, :2] = image[0, 0, 0]

    def plain(image):
        return image[:, :4].reshape(3, 2, 2, 3, 2, 2).max((2, 4))

    def worth(pool):
        return lambda image: (pool(jnp.sin(image)) ** 3).sum()

    def bent(pool):
        return lambda image: (jax.grad(worth(pool))(image) ** 2).sum()

    for of in (worth, bent):
        np.testing.assert_allclose(jax.grad(of(pooled))(image), jax.grad(of(plain))(image), atol=1e-5)
    for pool, looks in ((plain, True), (pooled, False)):
        assert ("compare EQ" in jax.jit(jax.grad(bent(pool))).lower(image).as_text()) == looks
