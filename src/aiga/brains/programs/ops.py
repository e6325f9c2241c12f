"""The 65 operations of AutoML-Zero, and programs made of them.

Memory has scalars s0, s1, ..., vectors v0, v1, ... of F numbers and matrices m0, m1, ... of F x F. s0 is the
label, s1 the prediction, v0 the features; a program writes neither s0 nor v0. The numbers of the operations
are those of the paper's supplement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

PARTS = ("setup", "predict", "learn")
MOST_INSTRUCTIONS = 255  # of one component function


class Operation(NamedTuple):
    """One operation: the kinds ("s", "v", "m" or none) of its inputs and output, and what else it reads.

    `data` names the numbers of an instruction that it uses. An `index` is a share of F, from 0 to 1, so that
    a program means the same at any F: it stands for floor(share x F), F - 1 at most.
    """

    name: str
    ins: str
    out: str
    data: tuple[str, ...]
    text: str  # how it is written


def _table() -> Iterator[Operation]:
    yield Operation("no-op", "", "", (), "pass")
    for name, text in (("add", "+"), ("subtract", "-"), ("multiply", "*"), ("divide", "/")):
        yield Operation(f"s {name}", "ss", "s", (), f"{{a}} {text} {{b}}")
    yield Operation("s abs", "s", "s", (), "abs({a})")
    yield Operation("s reciprocal", "s", "s", (), "1 / {a}")
    for name in ("sin", "cos", "tan", "arcsin", "arccos", "arctan", "exp", "log"):
        yield Operation(f"s {name}", "s", "s", (), f"{name}({{a}})")
    for kind in "svm":
        yield Operation(f"{kind} heaviside", kind, kind, (), "heaviside({a})")
    yield Operation("s times v", "sv", "v", (), "{a} * {b}")
    yield Operation("s broadcast", "s", "v", (), "broadcast({a})")
    yield Operation("v reciprocal", "v", "v", (), "1 / {a}")
    yield Operation("v norm", "v", "s", (), "norm({a})")
    yield Operation("v abs", "v", "v", (), "abs({a})")
    for name, text in (("add", "+"), ("subtract", "-"), ("multiply", "*"), ("divide", "/")):
        yield Operation(f"v {name}", "vv", "v", (), f"{{a}} {text} {{b}}")
    yield Operation("v dot", "vv", "s", (), "dot({a}, {b})")
    yield Operation("v outer", "vv", "m", (), "outer({a}, {b})")
    yield Operation("s times m", "sm", "m", (), "{a} * {b}")
    yield Operation("m reciprocal", "m", "m", (), "1 / {a}")
    yield Operation("m times v", "mv", "v", (), "dot({a}, {b})")
    yield Operation("v as columns", "v", "m", (), "columns({a})")
    yield Operation("v as rows", "v", "m", (), "rows({a})")
    yield Operation("m norm", "m", "s", (), "norm({a})")
    yield Operation("m column norms", "m", "v", (), "norm({a}, axis=0)")
    yield Operation("m row norms", "m", "v", (), "norm({a}, axis=1)")
    yield Operation("m transpose", "m", "m", (), "transpose({a})")
    yield Operation("m abs", "m", "m", (), "abs({a})")
    for name, text in (("add", "+"), ("subtract", "-"), ("multiply", "*"), ("divide", "/")):
        yield Operation(f"m {name}", "mm", "m", (), f"{{a}} {text} {{b}}")
    yield Operation("m product", "mm", "m", (), "matmul({a}, {b})")
    for name in ("minimum", "maximum"):
        for kind in "svm":
            yield Operation(f"{kind} {name}", kind * 2, kind, (), f"{name}({{a}}, {{b}})")
    yield Operation("v mean", "v", "s", (), "mean({a})")
    yield Operation("m mean", "m", "s", (), "mean({a})")
    yield Operation("m row means", "m", "v", (), "mean({a}, axis=1)")
    yield Operation("m row deviations", "m", "v", (), "std({a}, axis=1)")
    yield Operation("v deviation", "v", "s", (), "std({a})")
    yield Operation("m deviation", "m", "s", (), "std({a})")
    yield Operation("s constant", "", "s", ("constant",), "{x}")
    yield Operation("v constant", "", "v", ("constant", "index"), "{x}")
    yield Operation("m constant", "", "m", ("constant", "index", "index"), "{x}")
    for name, data in (("uniform", ("low", "high")), ("gaussian", ("mean", "deviation"))):
        for kind in "svm":
            yield Operation(f"{kind} {name}", "", kind, data, f"{name}({{x}}, {{y}})")


OPERATIONS = tuple(_table())
NUMBER = {operation.name: number for number, operation in enumerate(OPERATIONS)}


@dataclass(frozen=True)
class Sizes:
    """How much memory a program has, and the F features of its tasks. ValueError for what cannot be."""

    scalars: int = 8
    vectors: int = 14
    matrices: int = 3
    features: int = 16

    def __post_init__(self) -> None:
        for name, least, most in (
            ("scalars", 2, 24), ("vectors", 1, 24), ("matrices", 0, 16), ("features", 1, 32),
        ):  # fmt: skip
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name}: from {least} to {most}, not {getattr(self, name)!r}")

    @property
    def numbers(self) -> list[int]:
        return [self.scalars, self.vectors, self.matrices, self.features]

    def of(self, kind: str) -> int:
        return {"s": self.scalars, "v": self.vectors, "m": self.matrices}[kind]


@dataclass(frozen=True)
class Program:
    """The instructions of setup, predict and learn, one after the other: L in all."""

    code: np.ndarray  # u8[L, 4]: operation, first and second input, output; what it does not use is ignored
    data: np.ndarray  # f64[L, 3]: the operation's `data`, in order
    lengths: tuple[int, int, int]  # of setup, predict and learn

    @classmethod
    def of(cls, setup: Sequence[Any] = (), predict: Sequence[Any] = (), learn: Sequence[Any] = ()) -> Program:
        """From instructions as tuples: name, inputs, output, then its data: ("v dot", 1, 0, 1).

        Raises ValueError for an unknown name or the wrong count of numbers.
        """
        code, data = [], []
        for name, *rest in (*setup, *predict, *learn):
            if name not in NUMBER:
                raise ValueError(f"name: one of the {len(OPERATIONS)} operations, not {name!r}")
            operation = OPERATIONS[NUMBER[name]]
            inputs, outputs = len(operation.ins), len(operation.out)
            if len(rest) != inputs + outputs + len(operation.data):
                raise ValueError(
                    f"{name}: {inputs} inputs, {outputs} outputs and {len(operation.data)} numbers"
                )
            out = rest[inputs] if outputs else 0
            code.append([NUMBER[name], *rest[:inputs], *[0] * (2 - inputs), out])
            numbers = rest[inputs + outputs :]
            data.append([*numbers, *[0.0] * (3 - len(numbers))])
        return cls(
            np.array(code, np.uint8).reshape(-1, 4),
            np.array(data, np.float64).reshape(-1, 3),
            (len(setup), len(predict), len(learn)),
        )

    def part(self, name: str) -> range:
        """The rows of one component function."""
        index = PARTS.index(name)
        start = sum(self.lengths[:index])
        return range(start, start + self.lengths[index])

    def shaped(self) -> Program:
        """Itself. ValueError, naming the field, unless its arrays have the types and shapes above."""
        code, data, lengths = np.asarray(self.code), np.asarray(self.data), self.lengths
        if len(lengths) != 3 or min(lengths) < 0 or max(lengths) > MOST_INSTRUCTIONS:
            raise ValueError(f"lengths: three numbers from 0 to {MOST_INSTRUCTIONS}, not {lengths!r}")
        if code.dtype != np.uint8 or code.shape != (sum(lengths), 4):
            raise ValueError(f"code: u8[{sum(lengths)}, 4], not {code.dtype}{list(code.shape)}")
        if data.dtype != np.float64 or data.shape != (sum(lengths), 3):
            raise ValueError(f"data: f64[{sum(lengths)}, 3], not {data.dtype}{list(data.shape)}")
        return self

    def check(self, sizes: Sizes, allowed: Sequence[Sequence[int]] | None = None) -> Program:
        """Itself. ValueError, naming the instruction, for what it may not be in memory of these sizes.

        `allowed` are the operations of each component function; all, where it is not given.
        """
        code, data = self.shaped().code, self.data
        for which, name in enumerate(PARTS):
            for k, row in enumerate(self.part(name)):
                fault = _fault(code[row], data[row], sizes, None if allowed is None else allowed[which])
                if fault:
                    raise ValueError(f"{name} {k}: {fault}")
        return self


def _fault(code: np.ndarray, data: np.ndarray, sizes: Sizes, allowed: Sequence[int] | None) -> str | None:
    op, first, second, out = (int(n) for n in code)
    if op >= len(OPERATIONS):
        return f"operation from 0 to {len(OPERATIONS) - 1}, not {op}"
    if allowed is not None and op not in allowed:
        return f"operation one of {', '.join(map(str, allowed))}, not {op}"
    operation = OPERATIONS[op]
    used = [
        ("in1", operation.ins[:1], first),
        ("in2", operation.ins[1:], second),
        ("out", operation.out, out),
    ]
    for name, kind, address in used:
        low = int(name == "out" and kind in ("s", "v"))
        if kind and not low <= address < sizes.of(kind):
            return f"{name} from {low} to {sizes.of(kind) - 1}, not {address}"
    for name, number in zip(operation.data, data, strict=False):
        if name == "index" and not 0 <= number <= 1:
            return f"data: a place from 0 to 1, not {number}"
    return None


def index(share: float, features: int) -> int:
    """The place in a vector of F `features` that an instruction's share stands for."""
    return min(int(share * features), features - 1)


def listing(program: Program, features: int | None = None) -> str:
    """The program as text, one instruction a line, with the equals signs below each other.

    With `features` places of constants are indices, else shares of F.
    """
    lines = []
    for name in PARTS:
        lines.append(f"def {name}():")
        written = [_written(program.code[row], program.data[row], features) for row in program.part(name)]
        width = max((len(left) for left, _ in written), default=0)
        lines += [f"  {left:<{width}} = {right}" if left else f"  {right}" for left, right in written]
    return "\n".join(lines) + "\n"


def instruction(program: Program, row: int, features: int | None = None) -> str:
    """One line of the listing."""
    left, right = _written(program.code[row], program.data[row], features)
    return f"{left} = {right}" if left else right


def _written(code: np.ndarray, data: np.ndarray, features: int | None) -> tuple[str, str]:
    op, *addresses, out = (int(n) for n in code)
    operation = OPERATIONS[op]
    names = [f"{kind}{address}" for kind, address in zip(operation.ins, addresses, strict=False)]
    numbers = [f"{number:.6g}" for number in data]
    places = [
        f"{share:.3g}" if features is None else str(index(share, features))
        for kind, share in zip(operation.data, data, strict=False)
        if kind == "index"
    ]
    left = f"{operation.out}{out}" if operation.out else ""
    fields = dict(zip("ab", names, strict=False)) | dict(zip("xyz", numbers, strict=True))
    return left + (f"[{', '.join(places)}]" if places else ""), operation.text.format(**fields)
