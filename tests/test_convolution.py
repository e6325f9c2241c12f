"""Convolutions against JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aiga.brains.convolution import convolve, pooled


@pytest.mark.parametrize("count", [4, 40])  # fewer filters than a window has numbers, and more
@pytest.mark.parametrize(("window", "stride", "padding"), [((3, 3), 1, 0), ((3, 3), 2, 1), ((2, 5), 3, 2)])
def test_convolution_is_that_of_jax(window, stride, padding, count):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(2, 11, 9, 3)).astype(np.float32)
    filters = rng.normal(size=(count, *window, 3)).astype(np.float32)
    wanted = jax.lax.conv_general_dilated(
        image, filters, (stride, stride), [(padding, padding)] * 2, dimension_numbers=("NHWC", "OHWI", "NHWC")
    )
    np.testing.assert_allclose(convolve(image, filters, stride, padding), wanted, atol=1e-4)
    np.testing.assert_allclose(convolve(image[0], filters, stride, padding), wanted[0], atol=1e-4)


def test_images_that_do_not_fit_are_refused_by_name():
    with pytest.raises(ValueError, match="image: 3 channels"):
        convolve(jnp.zeros((5, 5, 1)), jnp.zeros((2, 3, 3, 3)))
    with pytest.raises(ValueError, match=r"image: at least \[3, 3\]"):
        convolve(jnp.zeros((2, 5, 3)), jnp.zeros((2, 3, 3, 3)))


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
