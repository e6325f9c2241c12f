# The native kernel's own signatures; `aiga.brains.programs` says what they mean.
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

def instruction_sets() -> list[str]: ...
def operations() -> list[list[int]]: ...
def compiled(
    code: np.ndarray, data: np.ndarray, lengths: np.ndarray, sizes: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...
def evaluate(
    code: np.ndarray,
    data: np.ndarray,
    lengths: np.ndarray,
    sizes: Sequence[int],
    train_x: np.ndarray,
    train_y: np.ndarray,
    valid_x: np.ndarray,
    valid_y: np.ndarray,
    epochs: int,
    accuracy: bool,
    single: bool,
    limit: float,
    key: int,
    lanes: int,
    threads: int,
    instruction_set: str,
) -> np.ndarray: ...
def evolve(
    settings: Mapping[str, Any], *state_tasks_and_rules: Any
) -> tuple[tuple[Any, ...], tuple[Any, ...]]: ...
