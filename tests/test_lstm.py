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
SIZES = [(9, 7, 3, 5), (4, 1, 2, 16), (1, 5, 2, 33), (3, 13, 6, 70)]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lstm.has_kernel()
    monkeypatch.setattr(lstm, "has_kernel", lambda: request.param in _lstm.instruction_sets())
    monkeypatch.setattr(lstm, "INSTRUCTION_SET", request.param)


def textbook(weights: Any, memory: Any, signals: Any, begun: Any) -> jax.Array:
    """Gates in the order input, forget, new, output, each with a matrix of its own."""
    (matrix, bias), (output, cell) = weights, memory
    matrices, biases = jnp.split(matrix, 4, 1), jnp.split(bias, 4)
    outputs = []
    for signal, fresh in zip(signals, begun, strict=True):
        output, cell = (jnp.where(fresh[:, None], 0, part) for part in (output, cell))
        seen = jnp.concatenate([signal, output], 1)
        into, keep, new, out = (seen @ each + offset for each, offset in zip(matrices, biases, strict=True))
        cell = jax.nn.sigmoid(keep) * cell + jax.nn.sigmoid(into) * jnp.tanh(new)
        output = jax.nn.sigmoid(out) * jnp.tanh(cell)
        outputs.append(output)
    return jnp.stack(outputs)


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
def test_a_step_is_one_of_many() -> None:
    """For rows, for one alone and for a table of them; and so is its gradient."""
    weights, memory, signals, begun, asked = _given(1, 6, 2, 9)

    def steps(shape: tuple[int, ...]) -> Any:
        def function(weights: Any, memory: Any, signals: Any, begun: Any) -> Any:
            rows = [leaf.reshape(*shape, leaf.shape[-1]) for leaf in (*memory, signals)]
            output, _ = lstm.remember(weights, (rows[0], rows[1]), rows[2])
            return output.reshape(1, -1, output.shape[-1])

        return function

    never = jnp.zeros_like(begun)
    for shape in ((6,), (2, 3)):
        _alike(
            _slopes(steps(shape), weights, memory, signals, never, asked),
            _slopes(textbook, weights, memory, signals, never, asked),
        )
    output, cell = lstm.remember(weights, (memory[0][4], memory[1][4]), signals[0, 4])
    assert output.shape == cell.shape == (9,)
    _alike(output, textbook(weights, memory, signals, never)[0, 4])


@pytest.mark.usefixtures("way")
def test_what_is_too_much_saturates_and_what_is_no_number_stays_none() -> None:
    weights, memory, signals, begun, _ = _given(4, 3, 2, 9)
    large = lstm.remembered(weights, memory, 1e30 * signals, begun)
    assert np.isfinite(large).all()
    assert np.abs(large).max() <= 1
    broken = lstm.remembered(weights, memory, signals.at[1, 2].set(jnp.nan), jnp.zeros_like(begun))
    np.testing.assert_array_equal(np.isnan(broken).all(2), [[0, 0, 0], *[[0, 0, 1]] * 3])


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("axes", [(0, 0, 0), (None, 0, 0), (0, None, None), (None, None, 0)])
def test_many_at_once_are_one_by_one(axes: tuple[int | None, ...]) -> None:
    """Brains with weights of their own and brains that share them, in play and in learning."""
    weights, memory, signals, begun, asked = _given(3, 4, 2, 9)
    shared = weights, memory, signals
    given = [
        part if axis is None else jax.tree.map(lambda leaf: jnp.stack([leaf, leaf / 2]), part)
        for part, axis in zip(shared, axes, strict=True)
    ]

    def learning(weights: Any, memory: Any, signals: Any) -> Any:
        return _slopes(lstm.remembered, weights, memory, signals, begun, asked)

    def playing(weights: Any, memory: Any, signals: Any) -> Any:
        return jax.vmap(lstm.remember, (None, 0, 0))(weights, memory, signals[0])

    for function in (learning, playing):
        second = jax.tree.map(lambda many, one: many[1] if many.ndim > one.ndim else one, given, list(shared))
        each = function(*shared), function(*second)
        _alike(jax.vmap(function, axes)(*given), jax.tree.map(lambda *leaves: jnp.stack(leaves), *each))
