"""The LSTM, one step at a time for play and many at once for learning.

Hochreiter, Schmidhuber 1997, "Long Short-Term Memory", Neural Computation 9(8), with the forget gate of Gers
et al. 2000. Axis letters: S steps, R rows, I inputs, H units.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

Memory = tuple[jax.Array, jax.Array]  # output and cell, both f32[..., H]


def remember(weights: Any, memory: tuple[jax.Array, ...], signal: Any) -> Memory:
    """One step: output and cell f32[..., H] from those before and `signal` f32[..., I].

    `weights` are a matrix f32[I + H, 4 H] and a bias f32[4 H], of the input gate, the forget gate, what is new
    and the output gate.
    """
    output, cell = memory
    matrix, bias = weights
    return _step(jnp.concatenate([signal, output], -1) @ matrix + bias, cell)[0]


def remembered(weights: Any, memory: tuple[jax.Array, ...], signals: Any, begun: Any) -> jax.Array:
    """All outputs f32[S, R, H] of S steps of `signals` f32[S, R, I], beginning with `memory` [R, H].

    Where `begun` bool[S, R] the memory is nothing before the step. The same as `remember` step by step, and so
    are its gradients, to which `begun` is no input.
    """
    matrix, bias = weights
    units = memory[0].shape[-1]
    # What does not wait for the step before is one product for all steps, here and in the gradients.
    driven = signals @ matrix[:-units] + bias
    return _outputs(matrix[-units:], tuple(memory), driven, 1 - begun[..., None].astype(jnp.float32))


def _step(gates: Any, cell: Any) -> tuple[Memory, tuple[jax.Array, ...]]:
    """Output and cell, and what the gates came to."""
    let_in, keep, new, let_out = jnp.split(gates, 4, -1)
    opened = jax.nn.sigmoid(let_in), jax.nn.sigmoid(keep), jnp.tanh(new), jax.nn.sigmoid(let_out)
    cell = opened[1] * cell + opened[0] * opened[2]
    return (opened[3] * jnp.tanh(cell), cell), opened


@jax.custom_vjp
def _outputs(matrix: Any, memory: Any, driven: Any, kept: Any) -> jax.Array:
    return _forward(matrix, memory, driven, kept)[0]


def _forward(matrix: Any, memory: Any, driven: Any, kept: Any) -> tuple[jax.Array, Any]:
    def step(now: Memory, given: Any) -> tuple[Memory, Any]:
        drive, keep = given
        output, cell = now[0] * keep, now[1] * keep
        after, opened = _step(drive + output @ matrix, cell)
        return after, (after[0], output, cell, after[1], jnp.concatenate(opened, -1))

    outputs, *kept_back = jax.lax.scan(step, memory, (driven, kept))[1]
    return outputs, (matrix, kept, *kept_back)


def _backward(saved: Any, slopes: Any) -> Any:
    matrix, kept, before, cells, after, opened = saved

    def step(later: Memory, given: Any) -> tuple[Memory, Any]:
        slope, keep, cell, grown, gates = given
        let_in, forget, new, let_out = jnp.split(gates, 4, -1)
        shown = jnp.tanh(grown)
        of_output = slope + later[0]
        of_cell = later[1] + of_output * let_out * (1 - shown**2)
        of_gates = jnp.concatenate(
            [
                of_cell * new * let_in * (1 - let_in),
                of_cell * cell * forget * (1 - forget),
                of_cell * let_in * (1 - new**2),
                of_output * shown * let_out * (1 - let_out),
            ],
            -1,
        )
        return (of_gates @ matrix.T * keep, of_cell * forget * keep), of_gates

    nothing = jnp.zeros_like(slopes[0])
    given = slopes, kept, cells, after, opened
    of_memory, of_gates = jax.lax.scan(step, (nothing, nothing), given, reverse=True)
    of_matrix = jnp.einsum("srh,srg->hg", before, of_gates)
    return of_matrix, of_memory, of_gates, jnp.zeros_like(kept)


_outputs.defvjp(_forward, _backward)
