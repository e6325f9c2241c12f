"""How new a thing is: mean distance to its nearest neighbours among what is known.

Lehman and Stanley 2011, "Abandoning Objectives: Evolution through the Search for Novelty Alone".
Axis letters: P things asked about, Q things known, D descriptor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aiga.interfaces import Array


def nearest_distance(points: Sequence[Array], known: Sequence[Array], nearest: int) -> np.ndarray:
    """Mean Euclidean distance f64[P] of `points` f32[P, D] to the `nearest` closest of `known` f32[Q, D].

    Where fewer are known, all of them count; where none is, everything is infinitely new. A descriptor that
    is not finite is not new at all: its novelty is minus infinity.
    """
    asked, there = np.asarray(points, np.float64), np.asarray(known, np.float64)
    if not len(there):
        return np.full(len(asked), np.inf)
    distances = np.sort(np.linalg.norm(asked[:, None] - there[None], axis=-1), axis=1)
    novelty = distances[:, :nearest].mean(axis=1)
    return np.where(np.isfinite(asked).all(axis=1), novelty, -np.inf)
