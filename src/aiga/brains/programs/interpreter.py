"""What a program computes, in NumPy and float64: one program, one task, one example after the other.

This is the specification; `kernel` computes the same, many times faster. It shares none of its code.

Memory begins with zeros and lasts: setup runs once, then in each epoch, for each example to learn from,
predict and learn, and for each example to be judged on, predict. Before predict v0 is the example's features
and s0 is 0; before learn s0 is its label. After predict s1 is the prediction; where accuracy counts, s1
becomes its sigmoid. An error that is NaN or beyond `limit` ends the task. Fitness is the best of the epochs
that came to their end, or 0.

Numbers are those of IEEE 754, except that the smaller of two zeros, and the larger, is the second one. Sums
are taken in the order of elements, of matrices row by row and then over rows. Deviations are of the whole
population, in two passes: the public release's formula takes roots of negative numbers. A NaN is no
prediction: the release counts it as the first class.

Random numbers come from a hash: with `mix` the last steps of SplitMix64 and fold(h, x) = mix(h + G (x + 1)),
G the golden ratio's 64 bits, element k of what instruction i of component c (0, 1, 2) writes is made of the
word

    fold(fold(fold(fold(key, task), time), 65536 c + i), k)

where `time` counts the component functions that the task has run before. Its first 53 bits are a uniform
number; a Gaussian one takes a second from mix(word + G), by Box and Muller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from aiga.brains.programs.ops import OPERATIONS, PARTS, Operation, Program, Sizes, index

GOLDEN, MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1


def mix(x: int) -> int:
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


def fold(h: int, x: int) -> int:
    return mix(h + GOLDEN * (x + 1) & MASK)


def unit(word: int) -> float:
    return (word >> 11) * 2.0**-53


def uniform(word: int, low: float, high: float) -> float:
    return low + (high - low) * unit(word)


def gaussian(word: int, mean: float, deviation: float) -> float:
    radius = np.sqrt(-2 * np.log(unit(word) + 2.0**-53))
    return mean + deviation * (radius * np.cos(2 * np.pi * unit(mix(word + GOLDEN & MASK))))


def _sum(x: np.ndarray) -> Any:
    """Over the last axis, in order: NumPy's own sum takes pairs."""
    return np.cumsum(x, axis=-1)[..., -1]


def _total(x: np.ndarray) -> Any:
    return _sum(_sum(x)) if x.ndim == 2 else _sum(x)


def _mean(x: np.ndarray) -> Any:
    return _total(x) / x.size


def _deviation(x: np.ndarray) -> Any:
    away = x - _mean(x)
    return np.sqrt(_mean(away * away))


def _norm(x: np.ndarray) -> Any:
    return np.sqrt(_total(x * x))


def _minimum(a: Any, b: Any) -> Any:
    return np.where((a < b) | (a != a), a, b)


def _maximum(a: Any, b: Any) -> Any:
    return np.where((a > b) | (a != a), a, b)


_ANY: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "abs": np.abs,
    "reciprocal": lambda a: 1.0 / a,
    "minimum": _minimum,
    "maximum": _maximum,
    "norm": _norm,
    "mean": _mean,
    "deviation": _deviation,
}
_CURVES = ("sin", "cos", "tan", "arcsin", "arccos", "arctan", "exp", "log")
_ONE: dict[str, Callable[..., Any]] = {
    **{f"s {name}": getattr(np, name) for name in _CURVES},
    "s heaviside": lambda a: np.where(a >= 0, 1.0, 0.0),
    "v heaviside": lambda a: np.where(a > 0, 1.0, 0.0),
    "m heaviside": lambda a: np.where(a > 0, 1.0, 0.0),
    "s times v": np.multiply,
    "s times m": np.multiply,
    "v dot": lambda a, b: _sum(a * b),
    "v outer": np.multiply.outer,
    "m times v": lambda a, b: _sum(a * b),
    "m product": lambda a, b: _sum(a[:, None, :] * b.T[None, :, :]),
    "v as columns": lambda a: np.repeat(a[:, None], len(a), 1),
    "v as rows": lambda a: np.repeat(a[None, :], len(a), 0),
    "m column norms": lambda a: np.sqrt(_sum(a.T * a.T)),
    "m row norms": lambda a: np.sqrt(_sum(a * a)),
    "m transpose": lambda a: a.T.copy(),
    "m row means": lambda a: _sum(a) / len(a),
    "m row deviations": lambda a: np.array([_deviation(row) for row in a]),
}


def computed(operation: Operation, ins: Sequence[Any], features: int) -> Any:
    """What an operation without data makes of its inputs."""
    if operation.name == "s broadcast":
        return np.full(features, ins[0])
    return (_ONE.get(operation.name) or _ANY[operation.name.split()[1]])(*ins)


class Machine:
    """The memory of one program at work on one task."""

    def __init__(self, program: Program, sizes: Sizes, key: int = 0, task: int = 0):
        self.program, self.sizes = program.check(sizes), sizes
        self.seed, self.time = fold(key, task), 0
        f = sizes.features
        self.memory: dict[str, list[Any]] = {
            "s": [np.float64(0)] * sizes.scalars,
            "v": [np.zeros(f) for _ in range(sizes.vectors)],
            "m": [np.zeros((f, f)) for _ in range(sizes.matrices)],
        }

    def run(self, part: str) -> None:
        """One component function, once."""
        with np.errstate(all="ignore"):
            for place, row in enumerate(self.program.part(part)):
                self._step(row, PARTS.index(part) << 16 | place)
        self.time += 1

    def _step(self, row: int, name: int) -> None:
        op, *addresses, out = (int(n) for n in self.program.code[row])
        operation, data, f = OPERATIONS[op], self.program.data[row], self.sizes.features
        if not operation.out:
            return
        value: Any
        if "constant" in operation.data:
            value = np.copy(self.memory[operation.out][out])
            value[tuple(index(share, f) for share in data[1 : len(operation.data)])] = data[0]
        elif operation.data:
            draw = uniform if "low" in operation.data else gaussian
            h = fold(fold(self.seed, self.time), name)
            shape = (f,) * "svm".index(operation.out)
            value = [draw(fold(h, k), data[0], data[1]) for k in range(int(np.prod(shape)))]
            value = np.array(value).reshape(shape)
        else:
            ins = [self.memory[kind][a] for kind, a in zip(operation.ins, addresses, strict=False)]
            value = computed(operation, ins, f)
        self.memory[operation.out][out] = value if operation.out != "s" else np.float64(value)

    def predict(self, features: np.ndarray) -> float:
        self.memory["v"][0], self.memory["s"][0] = features, np.float64(0)
        self.run("predict")
        return self.memory["s"][1]

    def learn(self, label: float) -> None:
        self.memory["s"][0] = np.float64(label)
        self.run("learn")


def fitness(
    program: Program,
    sizes: Sizes,
    train: tuple[np.ndarray, np.ndarray],
    valid: tuple[np.ndarray, np.ndarray],
    *,
    epochs: int = 1,
    accuracy: bool = False,
    limit: float = 100.0,
    key: int = 0,
    task: int = 0,
    trace: list[float] | None = None,
) -> float:
    """Of one task: examples to learn from and to be judged on, x f64[T, F] and y f64[T] each.

    1 - 2/pi atan(root mean square error), or the share of labels (0 or 1) on whose side of 1/2 the sigmoid of
    the prediction is. Every error met is added to `trace`.
    """
    machine, best = Machine(program, sizes, key, task), 0.0
    machine.run("setup")

    def error(x: np.ndarray, y: float) -> float | None:
        predicted = machine.predict(x)
        if accuracy:
            with np.errstate(all="ignore"):
                predicted = machine.memory["s"][1] = 1 / (1 + np.exp(-predicted))
        with np.errstate(all="ignore"):
            missed = y - predicted
        if trace is not None:
            trace.append(float(missed))
        return float(missed) if abs(missed) <= limit else None

    for _ in range(epochs):
        for x, y in zip(*train, strict=True):
            if error(x, y) is None:
                return best
            machine.learn(y)
        losses: list[float] = []
        for x, y in zip(*valid, strict=True):
            missed = error(x, y)
            if missed is None:
                return best
            right = (machine.memory["s"][1] > 0.5) == (y > 0.5)
            losses.append(float(not right) if accuracy else missed * missed)
        mean = _sum(np.array(losses)) / len(losses)
        best = max(best, 1 - mean if accuracy else 1 - 2 / np.pi * np.arctan(np.sqrt(mean)))
    return best
