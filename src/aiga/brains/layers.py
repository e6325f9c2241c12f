"""Flat weights and the layers they are, and a perceptron in NumPy alone.

Everything here works without JAX, for what only has to act.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "identity": lambda x: x,
}

Weights = tuple[tuple[Any, Any], ...]  # per layer: W f32[..., in, out], b f32[..., out]


def count(sizes: Sequence[int]) -> int:
    """How many numbers N the weights of layers of `sizes` are."""
    return sum(rows * columns + columns for rows, columns in pairwise(sizes))


def split(flat: Any, sizes: Sequence[int]) -> Weights:
    """The layers of `flat` f32[..., N]: W0 (row by row), b0, W1, b1, ... Views; NumPy stays NumPy.

    Raises ValueError when `flat` does not end in N numbers.
    """
    if flat.ndim < 1 or flat.shape[-1] != count(sizes):
        raise ValueError(f"weights: {count(sizes)} numbers for layers of {tuple(sizes)}, not {flat.shape}")
    layers, at = [], 0
    for rows, columns in pairwise(sizes):
        matrix = flat[..., at : at + rows * columns].reshape(*flat.shape[:-1], rows, columns)
        at += rows * columns
        layers.append((matrix, flat[..., at : at + columns]))
        at += columns
    return tuple(layers)


def perceptrons(
    weights: Any, sizes: Sequence[int], activation: str, output: str
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """`act(observations f32[P, in], rows i[P]) -> f32[P, out]`, where `rows` says which of R networks acts.

    `weights` f32[R, N], as `split` takes them; `activation` after each hidden layer, `output` after the last.
    A network's answer does not depend on who else is asked. Raises ValueError, naming the argument, for
    weights that are not all finite or do not fit `sizes`, and an unknown activation.
    """
    weights = np.ascontiguousarray(weights, np.float32)
    for name, chosen in (("activation", activation), ("output", output)):
        if chosen not in ACTIVATIONS:
            raise ValueError(f"{name}: one of {', '.join(ACTIVATIONS)}, not {chosen!r}")
    if weights.ndim != 2:
        raise ValueError(f"weights: f32[R, N], not {weights.shape}")
    if not np.isfinite(weights).all():
        raise ValueError("weights: must be finite")
    # Of each layer its own array: the batched product is slow on views with gaps.
    layers = [(matrix.copy(), bias.copy()) for matrix, bias in split(weights, sizes)]
    functions = [ACTIVATIONS[activation]] * (len(layers) - 1) + [ACTIVATIONS[output]]

    def act(observations: np.ndarray, rows: np.ndarray) -> np.ndarray:
        signal = np.asarray(observations, np.float32)[:, None]
        for (matrix, bias), function in zip(layers, functions, strict=True):
            signal = function(signal @ matrix[rows] + bias[rows, None])
        return signal[:, 0]

    return act
