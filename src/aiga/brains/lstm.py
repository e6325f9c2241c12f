"""The LSTM, one step at a time for play and many at once for learning.

Hochreiter, Schmidhuber 1997, "Long Short-Term Memory", Neural Computation 9(8), with the forget gate of Gers
et al. 2000. Axis letters: S steps, R rows, I inputs, H units.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Memory = tuple[jax.Array, jax.Array]  # output and cell, both f32[..., H]


def remember(weights: Any, memory: tuple[jax.Array, ...], signal: Any) -> Memory:
    """One step: output and cell f32[..., H] from those before and `signal` f32[..., I].

    `weights` are a matrix f32[I + H, 4 H] and a bias f32[4 H], of the input gate, the forget gate, what is
    new and the output gate.
    """
    return _stepped(weights, memory, signal)[0]


@jax.custom_vjp
def remembered(weights: Any, memory: tuple[jax.Array, ...], signals: Any, begun: Any) -> jax.Array:
    """All outputs f32[S, R, H] of S steps of `signals` f32[S, R, I], beginning with `memory` [R, H].

    Where `begun` bool[S, R] the memory is nothing before the step. The same as `remember` step by step, and
    so are its gradients. They keep the gates, and find the matrix's in one product over all steps: a sum of
    one small product a step is slow on a CPU.
    """
    return _forward(weights, memory, signals, begun)[0]


def _stepped(weights: Any, memory: tuple[jax.Array, ...], signal: Any) -> tuple[Memory, Any]:
    """The memory after a step, how far the gates were open in it, and what was new."""
    (matrix, bias), (output, cell) = weights, memory
    parts = jnp.split(jnp.concatenate([signal, output], -1) @ matrix + bias, 4, -1)
    let_in, keep, let_out = (jax.nn.sigmoid(parts[gate]) for gate in (0, 1, 3))
    new = jnp.tanh(parts[2])
    cell = keep * cell + let_in * new
    return (let_out * jnp.tanh(cell), cell), (let_in, keep, new, let_out)


def _kept(memory: tuple[jax.Array, ...], begun: Any) -> tuple[jax.Array, ...]:
    """The memory, nothing of it where an episode has just begun."""
    return tuple(jnp.where(begun[..., None], 0, part) for part in memory)


def _forward(weights: Any, memory: tuple[jax.Array, ...], signals: Any, begun: Any) -> tuple[jax.Array, Any]:
    def step(now: Any, given: Any) -> tuple[Any, Any]:
        signal, fresh = given
        after, gates = _stepped(weights, _kept(now, fresh), signal)
        return after, (after, gates)

    after, gates = jax.lax.scan(step, tuple(memory), (signals, begun))[1]
    return after[0], (weights, memory, signals, begun, after, gates)


def _backward(saved: Any, slopes: Any) -> Any:
    (matrix, _), memory, signals, begun, after, gates = saved
    inputs = signals.shape[-1]
    turned = matrix[inputs:].T
    outputs, cells = _kept(
        tuple(jnp.concatenate([first[None], each[:-1]]) for first, each in zip(memory, after, strict=True)),
        begun,
    )

    def step(later: Any, given: Any) -> tuple[Any, Any]:
        of_output, of_cell = later
        slope, fresh, cell, grown, (let_in, keep, new, let_out) = given
        shown = jnp.tanh(grown)
        of_output = of_output + slope
        of_cell = of_cell + of_output * let_out * (1 - shown**2)
        of_gates = jnp.concatenate(
            [
                of_cell * new * let_in * (1 - let_in),
                of_cell * cell * keep * (1 - keep),
                of_cell * let_in * (1 - new**2),
                of_output * shown * let_out * (1 - let_out),
            ],
            -1,
        )
        return _kept((of_gates @ turned, of_cell * keep), fresh), of_gates

    nothing = jnp.zeros_like(slopes[0])
    given = slopes, begun, cells, after[1], gates
    of_memory, of_gates = jax.lax.scan(step, (nothing, nothing), given, reverse=True)
    # As rows of one axis: with two of them XLA would first turn both factors around.
    told, asked = (
        rows.reshape(-1, rows.shape[-1]) for rows in (jnp.concatenate([signals, outputs], -1), of_gates)
    )
    of_matrix, of_bias = told.T @ asked, asked.sum(0)
    no_slope = np.zeros(begun.shape, jax.dtypes.float0)
    return (of_matrix, of_bias), of_memory, of_gates @ matrix[:inputs].T, no_slope


remembered.defvjp(_forward, _backward)
