"""How new a thing is: mean distance to its nearest neighbours among what is known.

Lehman and Stanley 2011, "Abandoning Objectives: Evolution through the Search for Novelty Alone"; what an
environment does to agents as its descriptor: Wang et al. 2020, "Enhanced POET", arXiv 2003.08536.
Axis letters: P things asked about, Q things known, D descriptor, E environments, A agents.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aiga.interfaces import Array


def nearest_distance(
    points: Array | Sequence[Array], known: Array | Sequence[Array], nearest: int
) -> np.ndarray:
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


def performance_ranks(scores: Array, low: float, high: float) -> np.ndarray:
    """PATA-EC: how each environment orders all agents, f64[E, A] within -1/2 (worst) and 1/2 (best).

    Scores f64[E, A] are clipped to `low` and `high`, so that agents which all fail, or all do well, are
    alike; equal ones share the mean of their ranks. A score that is not a number counts as `low`.
    """
    from scipy.stats import rankdata

    clipped = np.clip(np.nan_to_num(np.asarray(scores, np.float64), nan=low), low, high)
    agents = clipped.shape[1]
    if agents < 2:
        return np.zeros(clipped.shape)
    return (rankdata(clipped, axis=1) - 1) / (agents - 1) - 0.5
