"""The LSTM beside the textbook's: the kernel on each instruction set, and without the kernel."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aiga import _lstm
from aiga.brains import lstm

WAYS = (*_lstm.instruction_sets(), "without the kernel")
# Rows and units that fill no vector, one vector and more than four, with some left over.
SIZES = [(9, 7, 3, 5), (4, 1, 2, 16), (2, 6, 2, 24), (1, 5, 2, 33), (3, 13, 6, 70)]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lstm.has_kernel()
    monkeypatch.setattr(lstm, "has_kernel", lambda: request.param in _lstm.instruction_sets())
    monkeypatch.setattr(lstm, "INSTRUCTION_SET", request.param)


def textbook(weights: Any, memory: Any, signals: Any, begun: Any) -> jax.Array:
    return _textbook(weights, memory, signals, begun)[0]


def _textbook(weights: Any, memory: Any, signals: Any, begun: Any) -> tuple[jax.Array, jax.Array]:
    """Outputs and cells; gates in the order input, forget, new, output, each with a matrix of its own."""
    (matrix, bias), (output, cell) = weights, memory
    matrices, biases = jnp.split(matrix, 4, 1), jnp.split(bias, 4)
    outputs, cells = [], []
    for signal, fresh in zip(signals, begun, strict=True):
        output, cell = (jnp.where(fresh[:, None], 0, part) for part in (output, cell))
        seen = jnp.concatenate([signal, output], 1)
        into, keep, new, out = (seen @ each + offset for each, offset in zip(matrices, biases, strict=True))
        cell = jax.nn.sigmoid(keep) * cell + jax.nn.sigmoid(into) * jnp.tanh(new)
        output = jax.nn.sigmoid(out) * jnp.tanh(cell)
        outputs.append(output)
        cells.append(cell)
    return jnp.stack(outputs), jnp.stack(cells)


def _given(steps: int, rows: int, inputs: int, units: int) -> tuple[Any, Any, Any, Any, Any]:
    numbers = np.random.default_rng(steps)

    def normal(*shape: int) -> jax.Array:
        return jnp.float32(numbers.normal(size=shape))

    weights = 0.3 * normal(inputs + units, 4 * units), normal(4 * units)
    memory = normal(rows, units), normal(rows, units)
    begun = jnp.asarray(numbers.random((steps, rows)) < 0.2)
    return weights, memory, normal(steps, rows, inputs), begun, normal(steps, rows, units)


def _slopes(function: Any, weights: Any, memory: Any, signals: Any, begun: Any, asked: Any) -> Any:
    return jax.value_and_grad(lambda *given: (function(*given, begun) * asked).sum(), (0, 1, 2))(
        weights, memory, signals
    )


def _alike(ours: Any, theirs: Any) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), ours, theirs)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("sizes", SIZES)
def test_outputs_and_gradients_are_the_textbooks(sizes: tuple[int, ...]) -> None:
    given = _given(*sizes)
    _alike(lstm.remembered(*given[:4]), textbook(*given[:4]))
    _alike(_slopes(lstm.remembered, *given), _slopes(textbook, *given))


@pytest.mark.usefixtures("way")
def test_gradients_can_be_differentiated() -> None:
    """As a learner of learners does."""
    weights, memory, signals, begun, asked = _given(3, 2, 2, 5)

    def after(function: Any) -> Any:
        def lost(weights: Any) -> Any:
            slopes = jax.grad(lambda w: (function(w, memory, signals, begun) * asked).sum())(weights)
            moved = jax.tree.map(lambda weight, slope: weight - 0.1 * slope, weights, slopes)
            return (function(moved, memory, signals, begun) ** 2).sum()

        return jax.jit(jax.grad(lost))(weights)

    _alike(after(lstm.remembered), after(textbook))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("sizes", [size for size in SIZES if size[1] > 1])
def test_a_step_is_one_of_many(sizes: tuple[int, ...]) -> None:
    """Of all rows, of one alone, of a table of them and of rows under `vmap`."""
    weights, memory, signals, begun, _ = _given(1, *sizes[1:])
    wanted = tuple(part[0] for part in _textbook(weights, memory, signals, jnp.zeros_like(begun)))
    every = jax.vmap(lstm.remember, (None, 0, 0))
    _alike(lstm.remember(weights, memory, signals[0]), wanted)
    _alike(every(weights, memory, signals[0]), wanted)
    _alike(lstm.remember(weights, (memory[0][1], memory[1][1]), signals[0, 1]), (wanted[0][1], wanted[1][1]))
    twice = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf[::-1]]), (memory, signals[0]))
    table = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf[::-1]]), wanted)
    _alike(lstm.remember(weights, *twice), table)
    _alike(jax.vmap(every, (None, 0, 0))(weights, *twice), table)


@pytest.mark.usefixtures("way")
def test_a_step_can_be_differentiated() -> None:
    weights, memory, signals, begun, asked = _given(1, 6, 2, 9)

    def step(weights: Any, memory: Any, signals: Any, begun: Any) -> Any:
        return lstm.remember(weights, memory, signals[0])[0][None]

    given = weights, memory, signals, jnp.zeros_like(begun), asked
    _alike(_slopes(step, *given), _slopes(textbook, *given))


@pytest.mark.parametrize("kind", [jnp.bfloat16, jnp.float16])
def test_other_numbers_are_xlas(kind: Any) -> None:
    weights, memory, signals, begun, _ = _given(3, 2, 2, 5)
    coarse = jax.tree.map(lambda leaf: leaf.astype(kind), (weights, memory, signals))
    outputs = jax.jit(lstm.remembered)(*coarse, begun)
    assert outputs.dtype == kind
    np.testing.assert_allclose(outputs, textbook(weights, memory, signals, begun), atol=0.1)


@pytest.mark.usefixtures("way")
def test_what_is_too_much_saturates_and_what_is_no_number_stays_none() -> None:
    weights, memory, signals, begun, _ = _given(4, 3, 2, 9)
    large = lstm.remembered(weights, memory, 1e30 * signals, begun)
    assert np.isfinite(large).all()
    assert np.abs(large).max() <= 1
    broken = lstm.remembered(weights, memory, signals.at[1, 2].set(jnp.nan), jnp.zeros_like(begun))
    np.testing.assert_array_equal(np.isnan(broken).all(2), [[0, 0, 0], *[[0, 0, 1]] * 3])


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    "axes", [(0, 0, 0, 0), (None, 0, 0, None), (0, None, None, 0), (None, None, 0, None)]
)
def test_many_at_once_are_one_by_one(axes: tuple[int | None, ...]) -> None:
    """Brains with weights of their own and brains that share them."""
    weights, memory, signals, begun, asked = _given(3, 4, 2, 9)
    shared = weights, memory, signals, begun
    other = *jax.tree.map(lambda leaf: leaf / 2, (weights, memory, signals)), begun[::-1]
    given = [
        one if axis is None else jax.tree.map(lambda *leaves: jnp.stack(leaves), one, two)
        for one, two, axis in zip(shared, other, axes, strict=True)
    ]
    second = [one if axis is None else two for one, two, axis in zip(shared, other, axes, strict=True)]

    def slopes(weights: Any, memory: Any, signals: Any, begun: Any) -> Any:
        return _slopes(lstm.remembered, weights, memory, signals, begun, asked)

    each = slopes(*shared), slopes(*second)
    _alike(jax.vmap(slopes, axes)(*given), jax.tree.map(lambda *leaves: jnp.stack(leaves), *each))
