"""Programs of which it is known by construction what ideas they have, and disguises that leave that alone.

Every idea of `brains/programs/ideas` comes with the program that has it, its ablation, which is the same
program without, and with look-alikes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aiga.brains.programs.ideas import NAMES
from aiga.brains.programs.ops import OPERATIONS, Program, Sizes

SIZES = Sizes(10, 10, 3, 4)
Instructions = Sequence[tuple[Any, ...]]


@dataclass(frozen=True)
class Case:
    """A program, its rate drawn anew by every call, the ideas it has, and those it may also have."""

    make: Callable[[np.random.Generator], Program]
    has: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()


ERROR = ("s subtract", 0, 1, 3)
STEP: Instructions = [("s multiply", 2, 3, 3), ("s times v", 3, 0, 2), ("v add", 1, 2, 1)]
LINE: Instructions = [("v dot", 1, 0, 1)]
FORM = ("m gaussian", 0, 0.0, 0.5)


def _case(
    learn: Instructions, predict: Instructions = LINE, setup: Instructions = (), has: str = "", may: str = ""
) -> Case:
    """The rate in s2 is drawn from 0.01 to 0.04. `has` and `may` are numbers of NAMES, as "03"."""

    def make(rng: np.random.Generator) -> Program:
        return Program.of([("s constant", 2, rng.uniform(0.01, 0.04)), *setup], predict, learn)

    return Case(make, frozenset(NAMES[int(n)] for n in has), frozenset(NAMES[int(n)] for n in may))


def _hidden(*bend: tuple[Any, ...], has: str = "0") -> Case:
    """Weights v2 of what `bend` makes of v3, which is a random matrix times the features."""
    learn = [ERROR, ("s multiply", 2, 3, 3), ("s times v", 3, 4, 5), ("v add", 2, 5, 2)]
    return _case(learn, [("m times v", 0, 0, 3), *bend, ("v dot", 4, 2, 1)], [FORM], has)


def _averaged(*after: tuple[Any, ...], has: str, may: str = "") -> Case:
    """Weights v4 are taught by the error; predictions use v1, made by `after`."""
    taught = [ERROR, ("s multiply", 2, 3, 3), ("s times v", 3, 0, 2), ("v add", 4, 2, 4)]
    return _case([*taught, *after], setup=[("s constant", 5, 0.9), ("s constant", 6, 0.1)], has=has, may=may)


_SLOWER = [("s constant", 4, 0.98), ("s multiply", 2, 4, 2)]
_NOISY = [("v gaussian", 3, 0.0, 0.1), ("v add", 3, 0, 3), ("v dot", 1, 3, 1)]
_SQUARE = [("m times v", 0, 0, 3), ("v dot", 0, 3, 4), ("v dot", 1, 0, 1)]
_HALF = ("s constant", 4, 0.5)

CASES: dict[str, Case] = {
    NAMES[0]: _case([ERROR, *STEP], has="0"),
    NAMES[1]: _case([ERROR, ("v norm", 0, 4), ("s divide", 3, 4, 3), *STEP], has="01"),
    NAMES[2]: _case([ERROR, *STEP, *_SLOWER], has="02"),
    NAMES[3]: _hidden(("v maximum", 3, 6, 4), has="03"),
    NAMES[4]: _case([ERROR, *STEP], _NOISY, has="04"),
    NAMES[5]: _case([ERROR, *STEP], [*_SQUARE, ("s add", 1, 4, 1)], [FORM], has="05"),
    NAMES[6]: _averaged(("s times v", 5, 1, 1), ("s times v", 6, 4, 3), ("v add", 1, 3, 1), has="6", may="0"),
    # Ablations: the idea's own instructions are gone, or replaced by what leaves the rest as it was.
    f"{NAMES[0]}: ablation": _case([("s multiply", 2, 0, 3), *STEP[1:]]),  # the label alone
    f"{NAMES[1]}: ablation": _case([ERROR, *STEP], has="0"),
    f"{NAMES[2]}: ablation": _case([ERROR, *STEP, _SLOWER[0]], has="0"),
    f"{NAMES[3]}: ablation": _hidden(("v add", 3, 6, 4)),
    f"{NAMES[4]}: ablation": _case([ERROR, *STEP], [_NOISY[0], *LINE], has="0"),
    f"{NAMES[5]}: ablation": _case([ERROR, *STEP], _SQUARE, [FORM], has="0"),
    f"{NAMES[6]}: ablation": _averaged(("v add", 4, 6, 1), has="", may="0"),  # predictions use v4 itself
    "by the sign of the error": _case([ERROR, ("s abs", 3, 4), ("s divide", 3, 4, 3), *STEP]),
    "by its cube": _case([ERROR, ("s multiply", 3, 3, 4), ("s multiply", 3, 4, 3), *STEP]),
    "the wrong way": _case([("s subtract", 1, 0, 3), *STEP]),
    "the same for all features": _case([ERROR, STEP[0], ("s broadcast", 3, 2), STEP[2]]),
    "over the norm of the weights": _case(
        [ERROR, ("v norm", 1, 4), ("s constant", 5, 1.0), ("s add", 4, 5, 4), ("s divide", 3, 4, 3), *STEP],
        has="0",
    ),
    "a rate that grows": _case([ERROR, *STEP, ("s constant", 4, 1.002), ("s multiply", 2, 4, 2)], has="0"),
    "a rate that nothing uses falls": _case(
        [ERROR, *STEP, ("s constant", 4, 0.98), ("s multiply", 5, 4, 5)], has="0"
    ),
    "squares for ReLU": _hidden(("v multiply", 3, 3, 4), has="05"),
    "absolute values for ReLU": _hidden(("v abs", 3, 4)),
    "steps for ReLU": _hidden(("v heaviside", 3, 4)),
    "minima for ReLU": _hidden(("v minimum", 3, 6, 4)),
    "maxima of what is positive": _hidden(("v abs", 3, 3), ("v maximum", 3, 6, 4)),
    "chance in setup alone": _case([ERROR, *STEP], setup=[("v gaussian", 1, 0.0, 0.5)], has="0"),
    # The features are all higher by 0.1 than those that learning uses.
    "chance without width": _case([ERROR, *STEP], [("v gaussian", 3, 0.1, 0.0), *_NOISY[1:]], may="0"),
    "squares for products": _case([ERROR, *STEP], [("v dot", 0, 0, 4), *LINE, ("s add", 1, 4, 1)], has="0"),
    "absolute values for products": _case(
        [ERROR, *STEP],
        [_SQUARE[0], ("v abs", 3, 3), ("v dot", 0, 3, 4), *LINE, ("s add", 1, 4, 1)],
        [FORM],
        has="0",
    ),
    "momentum": _case(
        [ERROR, *STEP[:2], ("s times v", 5, 4, 4), ("v add", 4, 2, 4), ("v add", 1, 4, 1)],
        setup=[_HALF, ("s constant", 5, 0.5), ("s constant", 2, 0.002)],
        may="0",
    ),
}


def disguised(program: Program, sizes: Sizes, rng: np.random.Generator, dead: int = 4) -> Program:
    """The same program in another dress: other addresses, `dead` instructions more in every component, which
    nothing reads, and independent instructions in another order.

    Every value stays, but for random numbers, which go by an instruction's place. Dead code is written to
    addresses that `program` does not use; it needs one of any kind.
    """
    code, data = program.code.copy(), program.data.copy()
    free = _renamed(code, sizes, rng)
    parts_code, parts_data = [], []
    for name in ("setup", "predict", "learn"):
        rows = program.part(name)
        order = list(rows)
        for _ in range(4 * len(order)):
            k = int(rng.integers(max(1, len(order) - 1)))
            if k + 1 < len(order) and _apart(code[order[k]], code[order[k + 1]]):
                order[k], order[k + 1] = order[k + 1], order[k]
        lines = [(code[row], data[row]) for row in order]
        for _ in range(dead):
            lines.insert(int(rng.integers(len(lines) + 1)), _dead(sizes, free, rng))
        parts_code += [line[0] for line in lines]
        parts_data += [line[1] for line in lines]
    setup, predict, learn = (n + dead for n in program.lengths)
    return Program(np.array(parts_code, np.uint8), np.array(parts_data), (setup, predict, learn)).check(sizes)


def _reads(row: np.ndarray) -> set[tuple[str, int]]:
    operation = OPERATIONS[row[0]]
    return {(kind, int(address)) for kind, address in zip(operation.ins, row[1:3], strict=False)}


def _writes(row: np.ndarray) -> set[tuple[str, int]]:
    operation = OPERATIONS[row[0]]
    return {(operation.out, int(row[3]))} if operation.out else set()


def _apart(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two neighbours may change places."""
    outs = _writes(one), _writes(other)
    return not (outs[0] & outs[1] or outs[0] & _reads(other) or outs[1] & _reads(one))


def _renamed(code: np.ndarray, sizes: Sizes, rng: np.random.Generator) -> list[tuple[str, int]]:
    """Gives addresses other numbers, in place; returns those that are not used."""
    kept = {"s": 2, "v": 1, "m": 0}  # the label, the prediction and the features have theirs
    names = {
        kind: np.concatenate([np.arange(low), low + rng.permutation(sizes.of(kind) - low)])
        for kind, low in kept.items()
    }
    used = set()
    for row in code:
        operation = OPERATIONS[row[0]]
        for k, kind in enumerate(operation.ins, 1):
            row[k] = names[kind][row[k]]
        if operation.out:
            row[3] = names[operation.out][row[3]]
        used |= _reads(row) | _writes(row)
    return [
        (kind, n) for kind, low in kept.items() for n in range(low, sizes.of(kind)) if (kind, n) not in used
    ]


def _dead(
    sizes: Sizes, free: list[tuple[str, int]], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    kind, out = free[rng.integers(len(free))]
    fitting = [n for n, operation in enumerate(OPERATIONS) if operation.out == kind]
    op = int(rng.choice(fitting))
    ins = [int(rng.integers(sizes.of(each))) for each in OPERATIONS[op].ins]
    return np.array([op, *ins, *[0] * (2 - len(ins)), out], np.uint8), rng.uniform(0, 1, 3)
