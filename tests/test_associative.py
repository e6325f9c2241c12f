"""The memory that files what happens under where it happened."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aiga.brains import Associative

KEY = jax.random.key(0, impl="threefry2x32")


def _after(brain: Associative, weights: Any, places: list[int]) -> Any:
    """What is remembered once each of `places` was shown, one after the other."""
    memory = brain.begin()
    for place in places:
        _, memory = brain.act(weights, memory, jax.nn.one_hot(place, brain.observations, dtype=jnp.float32))
    return memory


def test_it_counts_how_often_it_has_left_every_place() -> None:
    """With addresses that have nothing in common; what was shown last is not left yet."""
    brain = Associative(3, 2, 3, units=4, slots=3, layers=2)
    weights = brain.init(KEY)._replace(address=100 * jnp.eye(3))
    for sums in _after(brain, weights, [0, 1, 0, 0, 1, 2]).sums:
        np.testing.assert_allclose(sums[:, -1], [3, 2, 0], atol=1e-6)


def test_it_reads_what_was_filed_under_what_it_sees() -> None:
    """By hand: one unit files the first of three numbers, which comes to 2 and then to 5 after place 0 and to
    7 after place 1, and hands the mean of it on. A 0 is counted among what was found."""
    brain = Associative(3, 2, 2, units=2, slots=2, layers=1)
    nothing, off = jnp.zeros((2, 2)), jnp.zeros(2)
    weights = brain.init(KEY)
    weights = weights._replace(
        address=100 * jnp.eye(2),
        # The units are the number shown and a 1e4, so that levelling divides by as good as a constant.
        enter=(jnp.zeros((6, 2)).at[2, 0].set(1), jnp.array([0.0, 1e4])),
        layers=(
            weights.layers[0]._replace(
                file=(jnp.array([[1e4 / 2**0.5], [0.0]]), jnp.zeros(1)),
                read=(jnp.array([[1.0, 0.0], [0.0, 0.0]]), off), hidden=(nothing, off), output=(nothing, off),
            ),
        ),
        critic=(jnp.array([[1e4 / 2**0.5], [0.0]]), jnp.zeros(1)),
    )  # fmt: skip
    shown = jnp.array([[1, 0, 0], [0, 1, 2], [1, 0, 7], [1, 0, 5], [0, 1, 0], [1, 0, 0]], jnp.float32)
    judged = brain.unroll(
        weights,
        jax.tree.map(lambda leaf: leaf[None], brain.begin()),
        shown[:, None],
        jnp.zeros((6, 1), bool),
    )
    found = judged.value[:, 0] - shown[:, 2]
    # Place 0 was followed by 2, then 5, then 0; place 1 by 7, then 0.
    np.testing.assert_allclose(found, [0, 0, 2 / 2, (2 + 5) / 3, 7 / 2, (2 + 5 + 0) / 4], atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"places": 4}, "places: at most the 3 observations, not 4"),
        ({"units": 1}, "units: at least 2, not 1"),
        *(({name: 0}, f"{name}: at least 1, not 0") for name in ("observations", "actions", "places")),
        *(({name: 0}, f"{name}: at least 1, not 0") for name in ("slots", "layers", "chunk")),
    ],
)  # fmt: skip
def test_bad_numbers_are_named(changes: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}$"):
        Associative(**{"observations": 3, "actions": 2, "places": 3} | changes)
