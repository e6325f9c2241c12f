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
    output, cell = memory
    let_in, keep, new, let_out = _gates(weights, jnp.concatenate([signal, output], -1))
    cell = keep * cell + let_in * new
    return let_out * jnp.tanh(cell), cell


@jax.custom_vjp
def remembered(weights: Any, memory: tuple[jax.Array, ...], signals: Any, begun: Any) -> jax.Array:
    """All outputs f32[S, R, H] of S steps of `signals` f32[S, R, I], beginning with `memory` [R, H].

    Where `begun` bool[S, R] the memory is nothing before the step. The same as `remember` step by step, and
    so are its gradients. They keep outputs and cells alone and work the gates out anew: on a CPU that costs
    less than the way of all gates to the main memory and back.
    """
    return _forward(weights, memory, signals, begun)[0]


def _gates(weights: Any, told: Any) -> tuple[jax.Array, ...]:
    """How far the three gates are open, and what is new, of `told` f32[..., I + H]."""
    matrix, bias = weights
    let_in, keep, new, let_out = jnp.split(told @ matrix + bias, 4, -1)
    return jax.nn.sigmoid(let_in), jax.nn.sigmoid(keep), jnp.tanh(new), jax.nn.sigmoid(let_out)


def _kept(memory: tuple[jax.Array, ...], begun: Any) -> tuple[jax.Array, ...]:
    return tuple(jnp.where(begun[:, None], 0, part) for part in memory)


def _forward(weights: Any, memory: tuple[jax.Array, ...], signals: Any, begun: Any) -> tuple[jax.Array, Any]:
    def step(now: Any, given: Any) -> tuple[Any, Any]:
        signal, fresh = given
        after = remember(weights, _kept(now, fresh), signal)
        return after, after

    after = jax.lax.scan(step, tuple(memory), (signals, begun))[1]
    return after[0], (weights, memory, signals, begun, after)


def _backward(saved: Any, slopes: Any) -> Any:
    (matrix, bias), memory, signals, begun, after = saved
    turned, inputs = matrix.T, signals.shape[-1]
    before = tuple(
        jnp.concatenate([first[None], each[:-1]]) for first, each in zip(memory, after, strict=True)
    )

    def step(later: Any, given: Any) -> tuple[Any, Any]:
        of_output, of_cell, of_matrix, of_bias = later
        slope, signal, fresh, held, grown = given
        output, cell = _kept(held, fresh)
        told = jnp.concatenate([signal, output], -1)
        let_in, keep, new, let_out = _gates((matrix, bias), told)
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
        of_told = of_gates @ turned
        of_memory = _kept((of_told[:, inputs:], of_cell * keep), fresh)
        return (*of_memory, of_matrix + told.T @ of_gates, of_bias + of_gates.sum(0)), of_told[:, :inputs]

    nothing = jnp.zeros_like(slopes[0])
    start = nothing, nothing, jnp.zeros_like(matrix), jnp.zeros_like(bias)
    given = slopes, signals, begun, before, after[1]
    (*of_memory, of_matrix, of_bias), of_signals = jax.lax.scan(step, start, given, reverse=True)
    no_slope = np.zeros(begun.shape, jax.dtypes.float0)
    return (of_matrix, of_bias), tuple(of_memory), of_signals, no_slope


remembered.defvjp(_forward, _backward)
