"""Programs, fast: the native kernel behind two functions.

A program runs on many tasks in lock step, a lane of the processor to a task. Results have the same bytes
whatever the lanes, the threads and the instruction set; they differ from `interpreter`'s where the
mathematical library's last bits do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from aiga.brains.programs.ops import Program, Sizes
from aiga.machine import threads_here

PRECISIONS = ("float64", "float32")
SCORES = ("rmse", "accuracy")


@dataclass(frozen=True)
class Tasks:
    """N tasks of T examples to learn from and V to be judged on, F features each."""

    train_x: Any  # f64[N, T, F]
    train_y: Any  # f64[N, T]
    valid_x: Any  # f64[N, V, F]
    valid_y: Any  # f64[N, V]

    @property
    def arrays(self) -> list[np.ndarray]:
        """In the kernel's order. ValueError for one that does not have its axes."""
        found = []
        for name, axes in (("train_x", 3), ("train_y", 2), ("valid_x", 3), ("valid_y", 2)):
            array = np.ascontiguousarray(getattr(self, name), np.float64)
            if array.ndim != axes:
                raise ValueError(f"{name}: {axes} axes, not {array.ndim}")
            found.append(array)
        return found


@dataclass(frozen=True)
class Rules:
    """How a program's fitness on a task comes about; `interpreter` has the words."""

    score: str = "rmse"
    epochs: int = 1
    limit: float = 100.0  # of an error; beyond it a task is over
    key: int = 0  # u64, of the random numbers that programs draw
    precision: str = "float64"

    def __post_init__(self) -> None:
        for name, known in (("score", SCORES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: one of {', '.join(known)}, not {getattr(self, name)!r}")
        if not 0 <= self.key < 1 << 64:
            raise ValueError(f"key: from 0 to 2^64 - 1, not {self.key}")

    @property
    def numbers(self) -> tuple[int, bool, bool, float, int]:
        accuracy, single = self.score == "accuracy", self.precision == "float32"
        return self.epochs, accuracy, single, self.limit, self.key


class Compiled(NamedTuple):
    """What is known of P programs before they run."""

    hash: np.ndarray  # u64[P], equal where programs differ in dead code or in the names of addresses alone
    cost: np.ndarray  # f64[P, 2], of setup and of one step of learning, in additions of two numbers
    live: np.ndarray  # bool[P, L], the instructions on which a prediction depends


def stacked(programs: Sequence[Program], room: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """code u8[P, L, 4], data f64[P, L, 3], lengths i32[P, 3]: L the longest program, `room` at least.

    ValueError for a program that is not of these types.
    """
    for program in programs:
        program.shaped()
    room = max([room, *(len(program.code) for program in programs)])
    code = np.zeros((len(programs), room, 4), np.uint8)
    data = np.zeros((len(programs), room, 3))
    for row, program in enumerate(programs):
        code[row, : len(program.code)], data[row, : len(program.data)] = program.code, program.data
    return code, data, np.array([program.lengths for program in programs], np.int32).reshape(-1, 3)


def unstacked(code: np.ndarray, data: np.ndarray, lengths: np.ndarray) -> Program:
    """The program of one row of what `stacked` made."""
    setup, predict, learn = (int(n) for n in lengths)
    count = setup + predict + learn
    return Program(code[:count].copy(), data[:count].copy(), (setup, predict, learn))


def compiled(programs: Sequence[Program], sizes: Sizes) -> Compiled:
    """Dead code, cost and hash of programs. ValueError, naming the instruction, for one that does not fit."""
    from aiga import _programs

    return Compiled(*_programs.compiled(*stacked(programs), sizes.numbers))


def evaluate(
    programs: Sequence[Program],
    sizes: Sizes,
    tasks: Tasks,
    rules: Rules = Rules(),
    *,
    lanes: int = 0,
    threads: int = 1,
    instruction_set: str = "",
) -> np.ndarray:
    """The fitness f64[P, N] of P programs on N tasks.

    `lanes` are 4, 8 or 16 tasks at once, 0 chooses; `threads` 0 means all that this process may use;
    `instruction_set` "" means the best. Raises ValueError naming the argument that does not fit.
    """
    from aiga import _programs

    return _programs.evaluate(
        *stacked(programs), sizes.numbers, *tasks.arrays, *rules.numbers, lanes, threads or threads_here(),
        instruction_set,
    )  # fmt: skip
