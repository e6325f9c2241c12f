# The native kernel's own signatures; `aiga.worlds.walker.kernel` says what they mean.
from collections.abc import Sequence

import numpy as np

STATE: int

def instruction_sets() -> list[str]: ...
def rollout(
    weights: np.ndarray,
    row: np.ndarray,
    heights: np.ndarray,
    settings: np.ndarray,
    course: np.ndarray,
    start: np.ndarray,
    sizes: Sequence[int],
    activations: Sequence[int],
    max_steps: int,
    threads: int,
    newton: int,
    position: int,
    bug_flags: bool,
    instruction_set: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]: ...
def step(
    state: np.ndarray,
    action: np.ndarray,
    heights: np.ndarray,
    settings: np.ndarray,
    course: np.ndarray,
    threads: int,
    newton: int,
    position: int,
    bug_flags: bool,
    instruction_set: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]: ...
def multiply_add(rounds: int) -> int: ...
