"""The LSTM, one step at a time for play and many at once for learning.

Hochreiter, Schmidhuber 1997, "Long Short-Term Memory", Neural Computation 9(8), with the forget gate of Gers
et al. 2000. On a CPU both are a kernel of ours (`native/lstm`), where XLA would start some forty small loops
a step; they are what is written here elsewhere, of other numbers than f32, of large matrices, where a single
step or a gradient is differentiated, and where XLA does not take the kernel. Axis letters: S steps, R rows, I
inputs, H units.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aiga.brains import kernels

Memory = tuple[jax.Array, jax.Array]  # output and cell, both f32[..., H]

INSTRUCTION_SET = ""  # one of `aiga._lstm.instruction_sets()`; the best of them
LARGEST = 1 << 19  # weights; of more than a core's own cache holds, XLA's products of all rows are as fast


def has_kernel() -> bool:
    """Whether XLA takes the kernel; warns if not."""
    return kernels.taken("lstm")


def remember(weights: Any, memory: tuple[jax.Array, ...], signal: Any) -> Memory:
    """One step: output and cell f32[..., H] from those before and `signal` f32[..., I].

    `weights` are a matrix f32[I + H, 4 H] and a bias f32[4 H], of the input gate, the forget gate, what is
    new and the output gate.
    """

    def natively(matrix: Any, bias: Any, *rows: Any) -> Memory:
        count = math.prod(memory[0].shape[:-1])
        output, cell, signal = (each.reshape(count, each.shape[-1]) for each in rows)
        outputs, cells, _ = _native(matrix, bias, output, cell, signal[None])
        return outputs.reshape(memory[0].shape), cells.reshape(memory[1].shape)

    def plain(matrix: Any, bias: Any, *rows: Any) -> Memory:
        return _stepped((matrix, bias), rows[:2], rows[2])[0]

    return _either(natively, plain)(*weights, *memory, signal)


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
    outputs, cells, gates = _either(_native, _scanned)(*weights, *memory, signals, begun)
    return outputs, (weights, memory, signals, begun, outputs, cells, gates)


def _backward(saved: Any, slopes: Any) -> Any:
    (matrix, _), memory, signals, begun, outputs, cells, gates = saved
    inputs = signals.shape[-1]
    output, cell = _kept(
        tuple(
            jnp.concatenate([first[None], each[:-1]])
            for first, each in zip(memory, (outputs, cells), strict=True)
        ),
        begun,
    )
    given = matrix[inputs:], begun, cell, cells, gates, slopes
    of_gates, of_output, of_cell = _either(_native_back, _scanned_back)(*given)
    # As rows of one axis: with two of them XLA would first turn both factors around.
    told, asked = (
        rows.reshape(-1, rows.shape[-1]) for rows in (jnp.concatenate([signals, output], -1), of_gates)
    )
    of_matrix, of_bias = told.T @ asked, asked.sum(0)
    no_slope = np.zeros(begun.shape, jax.dtypes.float0)
    return (of_matrix, of_bias), (of_output, of_cell), of_gates @ matrix[:inputs].T, no_slope


remembered.defvjp(_forward, _backward)


def _scanned(matrix: Any, bias: Any, output: Any, cell: Any, signals: Any, begun: Any) -> Any:
    """Outputs and cells [S, R, H] and gates [S, R, 4 H], in the order of the matrix."""

    def step(now: Any, given: Any) -> tuple[Any, Any]:
        signal, fresh = given
        after, gates = _stepped((matrix, bias), _kept(now, fresh), signal)
        return after, (*after, jnp.concatenate(gates, -1))

    return jax.lax.scan(step, (output, cell), (signals, begun))[1]


def _scanned_back(turned: Any, begun: Any, before: Any, cells: Any, gates: Any, slopes: Any) -> Any:
    """The gradient of what goes into the gates, [S, R, 4 H], and of the memory to begin with, from `slopes`
    [S, R, H], the outputs'. `turned` [H, 4 H] are the rows of the matrix that meet the output, `before` the
    cells before each step."""

    def step(later: Any, given: Any) -> tuple[Any, Any]:
        of_output, of_cell = later
        slope, fresh, before, cell, gates = given
        let_in, keep, new, let_out = jnp.split(gates, 4, -1)
        shown = jnp.tanh(cell)
        of_output = of_output + slope
        of_cell = of_cell + of_output * let_out * (1 - shown**2)
        of_gates = jnp.concatenate(
            [
                of_cell * new * let_in * (1 - let_in),
                of_cell * before * keep * (1 - keep),
                of_cell * let_in * (1 - new**2),
                of_output * shown * let_out * (1 - let_out),
            ],
            -1,
        )
        return _kept((of_gates @ turned.T, of_cell * keep), fresh), of_gates

    nothing = jnp.zeros_like(slopes[0])
    given = slopes, begun, before, cells, gates
    of_memory, of_gates = jax.lax.scan(step, (nothing, nothing), given, reverse=True)
    return of_gates, *of_memory


def _native(matrix: Any, bias: Any, output: Any, cell: Any, signals: Any, begun: Any = None) -> Any:
    """As `_scanned`; without `begun` gates of no size, as nothing is to be learnt."""
    rows, units, kept = signals.shape[:2], output.shape[-1], 0 if begun is None else 4
    if begun is None:
        begun = jnp.zeros((signals.shape[0], 0), bool)
    made = tuple(jax.ShapeDtypeStruct((*rows, wide * units), jnp.float32) for wide in (1, 1, kept))
    return _called("forward", made)(matrix, bias, output, cell, signals, begun)


def _native_back(*given: Any) -> Any:
    """As `_scanned_back`."""
    gates, slopes = given[-2:]
    shapes = gates.shape, slopes.shape[1:], slopes.shape[1:]
    made = tuple(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
    return _called("backward", made)(*given)


def _called(name: str, made: Any) -> Callable[..., Any]:
    call = jax.ffi.ffi_call(f"aiga_lstm_{name}", made, vmap_method="expand_dims")
    return partial(call, instruction_set=INSTRUCTION_SET)


def _either(native: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    """A function of arrays, weights first: by the kernel where it can, else by XLA."""
    either = jax.custom_jvp(partial(jax.lax.platform_dependent, cpu=native, default=plain))
    either.defjvp(partial(jax.jvp, plain))

    def chosen(*given: Any) -> Any:
        known = all(jnp.result_type(each) in (jnp.float32, jnp.bool) for each in given)
        return (either if known and given[0].size <= LARGEST and has_kernel() else plain)(*given)

    return chosen
