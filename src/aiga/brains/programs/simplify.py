"""A program as short as its meaning allows without another order of its instructions.

Each component function is numbered by values (Cocke and Schwartz 1970): addresses that are known to hold the
same value share a number, what an instruction reads is taken from the first of them, and an instruction whose
output holds its result already goes. What is constant whenever a component begins is found as a fixed point
over the loop that predict, learn and predict again are. Dead code goes, and all again until nothing does.

There is no operation that copies, so a copy stays where something later needs it in its place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aiga.brains.programs import kernel
from aiga.brains.programs.interpreter import computed
from aiga.brains.programs.ops import NUMBER, OPERATIONS, PARTS, Operation, Program, Sizes, index

Address = tuple[str, int]
Known = dict[Address, np.ndarray]  # the addresses whose content is known

_COMMUTE = ("add", "multiply")
_NEVER_BELOW = ("abs", "norm", "heaviside", "deviation", "exp", "norms", "deviations")  # nor the zero -0.0


def simplified(program: Program, sizes: Sizes, *, exact: bool = True, draws: bool = True) -> Program:
    """The same predictions from fewer instructions; never more of them.

    Dead code goes, constants are folded, addresses are named in the order of their appearance; s0, s1 and v0
    keep theirs. With `exact` every prediction has the same bits, but for the sign and payload of NaN. Without
    it, algebra may also take sums with zero for nothing, x - x and 0 x for 0, x / x for 1, 1 / (1 / x) for x:
    false for infinities, NaN, the sign of zero and the last bit.

    Random numbers depend on the place of their instruction. With `draws` no-ops hold that place, and without
    it the program draws other numbers of the same distribution.

    Raises ValueError, naming the instruction, for a program that does not fit `sizes`.
    """
    work = _Work.of(program.check(sizes), sizes)
    work.bury()
    for _ in range(20):  # other names, and another address is the first of those that hold the same
        before = [list(line.code) for part in work.parts for line in part]
        while work.number(exact):
            work.bury()
        work.rename()
        if before == [line.code for part in work.parts for line in part]:
            break
    return work.program(draws)


@dataclass
class _Line:
    """An instruction, and its place in its component function as it was given."""

    code: list[int]
    data: np.ndarray
    place: int

    @property
    def operation(self) -> Operation:
        return OPERATIONS[self.code[0]]

    @property
    def out(self) -> Address:
        return self.operation.out, self.code[3]

    @property
    def ins(self) -> list[Address]:
        return [(kind, self.code[k + 1]) for k, kind in enumerate(self.operation.ins)]

    @property
    def drawn(self) -> bool:
        return bool({"low", "mean"} & set(self.operation.data))


@dataclass
class _Work:
    sizes: Sizes
    parts: list[list[_Line]]

    @classmethod
    def of(cls, program: Program, sizes: Sizes) -> _Work:
        return cls(
            sizes,
            [
                [
                    _Line([int(n) for n in program.code[row]], program.data[row].copy(), place)
                    for place, row in enumerate(program.part(name))
                ]
                for name in PARTS
            ],
        )

    def program(self, draws: bool) -> Program:
        code, data, lengths = [], [], []
        for part in self.parts:
            before = len(code)
            for line in part:
                while draws and line.drawn and len(code) - before < line.place:
                    code.append([0, 0, 0, 0])
                    data.append(np.zeros(3))
                code.append(line.code)
                data.append(line.data)
            lengths.append(len(code) - before)
        return Program(
            np.array(code, np.uint8).reshape(-1, 4),
            np.array(data, np.float64).reshape(-1, 3),
            (lengths[0], lengths[1], lengths[2]),
        )

    def bury(self) -> None:
        """Takes the dead code out."""
        live = iter(kernel.compiled([self.program(draws=False)], self.sizes).live[0])
        self.parts = [[line for line in part if next(live)] for part in self.parts]

    def rename(self) -> None:
        names: dict[Address, int] = {("s", 0): 0, ("s", 1): 1, ("v", 0): 0}
        used = {"s": 2, "v": 1, "m": 0}
        for part in self.parts:
            for line in part:
                operation = line.operation
                for k, (kind, address) in enumerate(line.ins):
                    if (kind, address) not in names:
                        names[kind, address], used[kind] = used[kind], used[kind] + 1
                    line.code[k + 1] = names[kind, address]
                for k in range(len(operation.ins), 2):
                    line.code[k + 1] = 0
                kind, address = line.out
                if (kind, address) not in names:
                    names[kind, address], used[kind] = used[kind], used[kind] + 1
                line.code[3] = names[kind, address]
                line.data[len(operation.data) :] = 0

    def number(self, exact: bool) -> bool:
        """Numbers the values of each component function; whether that changed an instruction."""
        changed = False
        for which, known in enumerate(self.known()):
            values, part = _Values(self.sizes, known, exact), []
            for line in self.parts[which]:
                after = values.rewritten(line)
                changed |= after is not line
                if after is not None:
                    part.append(after)
            self.parts[which] = part
        return changed

    def known(self) -> list[Known]:
        """What is constant whenever setup, predict and learn begin."""
        f = self.sizes.features
        shapes: dict[str, tuple[int, ...]] = {"s": (), "v": (f,), "m": (f, f)}
        zeros = {(kind, k): np.zeros(shapes[kind]) for kind in "svm" for k in range(self.sizes.of(kind))}
        first = self._through(0, zeros)
        unlabelled = {("s", 0): np.zeros(())}
        predict = _unless(first, ("v", 0)) | unlabelled
        while True:
            # Where accuracy counts, s1 is another number than predict left there.
            left = _unless(self._through(1, predict), ("s", 1))
            learn = _unless(left, ("s", 0))
            meet = _met(_met(predict, left), self._through(2, learn) | unlabelled)
            if meet.keys() == predict.keys():
                return [zeros, predict, learn]
            predict = meet

    def _through(self, which: int, known: Known) -> Known:
        known = dict(known)
        for line in self.parts[which]:
            if line.operation.out:
                value = _constant(line, known, self.sizes.features)
                known.pop(line.out, None)
                if value is not None:
                    known[line.out] = value
        return known


def _unless(known: Known, *addresses: Address) -> Known:
    return {address: value for address, value in known.items() if address not in addresses}


def _met(a: Known, b: Known) -> Known:
    return {k: value for k, value in a.items() if k in b and value.tobytes() == b[k].tobytes()}


def _constant(line: _Line, known: Known, f: int) -> np.ndarray | None:
    """What the instruction writes, if what it reads is known."""
    operation, data = line.operation, line.data
    if "constant" in operation.data:
        if operation.out == "s":
            return np.array(data[0])
        if line.out not in known:
            return None
        value = known[line.out].copy()
        value[tuple(index(share, f) for share in data[1 : len(operation.data)])] = data[0]
        return value
    if line.drawn:
        low, other = data[0], data[1] - data[0] if "low" in operation.data else data[1]
        if other == 0 and np.isfinite(low) and low != 0:  # of zero the sign would be chance
            return np.full((f,) * "svm".index(operation.out), low)
        return None
    ins = [known.get(address) for address in line.ins]
    if any(value is None for value in ins):
        return None
    with np.errstate(all="ignore"):
        return np.asarray(computed(operation, ins, f), np.float64)


@dataclass
class _Values:
    """Numbers of values, as one component function goes on."""

    sizes: Sizes
    known: Known
    exact: bool
    held: dict[Address, int] = field(default_factory=dict)  # the value of each address
    made: dict[Any, int] = field(default_factory=dict)  # the value of each expression
    expressions: list[Any] = field(default_factory=list)  # of each value: operation and inputs
    constants: dict[int, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind in "svm":
            for k in range(self.sizes.of(kind)):
                self.held[kind, k] = (
                    self._fixed(self.known[kind, k])
                    if (kind, k) in self.known
                    else self._value(("begun", kind, k))
                )

    def _value(self, expression: Any) -> int:
        if expression not in self.made:
            self.made[expression] = len(self.expressions)
            self.expressions.append(expression)
        return self.made[expression]

    def _fixed(self, value: np.ndarray) -> int:
        number = self._value(("constant", value.shape, value.tobytes()))
        self.constants[number] = value
        return number

    def rewritten(self, line: _Line) -> _Line | None:
        """The instruction as it should read, itself where that is no change, None where it is not needed."""
        operation = line.operation
        if not operation.out:
            return None
        code = list(line.code)
        for k, address in enumerate(line.ins):
            code[k + 1] = self._first(address)
        read = line if code == line.code else _Line(code, line.data, line.place)
        number = self._result(read)
        if self.held[line.out] == number:
            return None
        self.held[line.out] = number
        folds = operation.out == "s" and operation.name != "s constant" and number in self.constants
        if folds:
            data = np.array([float(self.constants[number]), 0.0, 0.0])
            return _Line([NUMBER["s constant"], 0, 0, line.code[3]], data, line.place)
        return read

    def _first(self, address: Address) -> int:
        """The first address that holds the same."""
        kind, number = address[0], self.held[address]
        return next(k for k in range(self.sizes.of(kind)) if self.held[kind, k] == number)

    def _result(self, line: _Line) -> int:
        operation, f = line.operation, self.sizes.features
        ins = [self.held[address] for address in line.ins]
        known = {a: self.constants[n] for a, n in self.held.items() if n in self.constants}
        value = _constant(line, known, f)
        if value is not None:
            return self._fixed(value)
        if line.drawn:
            return self._value(("drawn", line.place))
        if operation.data:
            places = tuple(index(share, f) for share in line.data[1 : len(operation.data)])
            return self._value((operation.name, self.held[line.out], line.data[0].tobytes(), places))
        same = self._algebra(operation, ins)
        if same is not None:
            return same
        if operation.name.split()[1] in _COMMUTE:
            ins = sorted(ins)
        return self._value((operation.name, *ins))

    def _algebra(self, operation: Operation, ins: list[int]) -> int | None:
        """The value that this is, if it is one that there is."""
        name = operation.name.split()[1]
        shape = (self.sizes.features,) * "svm".index(operation.out)
        if len(ins) == 1:
            inner = self.expressions[ins[0]]
            if name == "abs" and self._not_below(ins[0]):
                return ins[0]
            if name == "transpose" and inner[0] == operation.name:
                return inner[1]
            if name == "heaviside" and inner[0] == operation.name:
                return self._fixed(np.ones(())) if operation.out == "s" else ins[0]
            if name == "reciprocal" and inner[0] == operation.name and not self.exact:
                return inner[1]
            return None
        a, b = ins
        if name in ("minimum", "maximum") and a == b:
            return a
        if name in ("multiply", "times") and operation.ins != "mv":
            for x, y in ((a, b), (b, a)) if name == "multiply" else ((a, b),):
                if self._all(x, 1.0):
                    return y
                inner = self.expressions[y]
                if self._all(x, -1.0) and inner[0] == operation.name and x in inner[1:]:
                    return inner[2] if inner[1] == x else inner[1]
                if not self.exact and (self._all(x, 0.0) or self._all(y, 0.0)):
                    return self._fixed(np.zeros(shape))
        if name == "divide" and self._all(b, 1.0):
            return a
        if name == "add":
            for x, y in ((a, b), (b, a)):
                if self._all(x, -0.0, signed=True) or (
                    self._all(x, 0.0) and (not self.exact or self._not_below(y) or self._sum_with_zero(y))
                ):
                    return y
        if name == "subtract" and (self._all(b, 0.0, signed=True) or (not self.exact and self._all(b, 0.0))):
            return a
        if name == "subtract" and self._all(a, 0.0) and not self.exact:
            inner = self.expressions[b]
            if inner[0] == operation.name and self._all(inner[1], 0.0):
                return inner[2]
        if not self.exact and a == b and name in ("subtract", "divide"):
            return self._fixed(np.full(shape, float(name == "divide")))
        return None

    def _all(self, number: int, value: float, signed: bool = False) -> bool:
        known = self.constants.get(number)
        if known is None:
            return False
        return bool(np.all(known == value) and (not signed or np.all(np.signbit(known) == np.signbit(value))))

    def _not_below(self, number: int) -> bool:
        """Whether it has no sign: neither a number below zero nor the zero -0.0."""
        if number in self.constants:
            return not np.any(np.signbit(self.constants[number]))
        name = self.expressions[number][0].split()
        return len(name) > 1 and name[-1] in _NEVER_BELOW

    def _sum_with_zero(self, number: int) -> bool:
        """Whether it is a sum with 0.0, which is not -0.0."""
        name, *ins = self.expressions[number]
        return name.endswith(" add") and any(self._all(n, 0.0, signed=True) for n in ins)
