"""A program as a NumPy module of its own, for whoever has found one and wants to keep it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from aiga.brains.programs.ops import OPERATIONS, PARTS, Program, Sizes, index

# How an operation is written, where that is not its text in a listing.
_TEXT = {
    "s reciprocal": "1.0 / {a}",
    "v reciprocal": "1.0 / {a}",
    "m reciprocal": "1.0 / {a}",
    "s heaviside": "np.float64({a} >= 0)",
    "v heaviside": "np.where({a} > 0, 1.0, 0.0)",
    "m heaviside": "np.where({a} > 0, 1.0, 0.0)",
    "s broadcast": "np.full(F, {a})",
    "v outer": "np.multiply.outer({a}, {b})",
    "v as columns": "np.repeat({a}[:, None], F, axis=1)",
    "v as rows": "np.repeat({a}[None, :], F, axis=0)",
    "m column norms": "np.sqrt(total({a}.T * {a}.T))",
    "m row norms": "np.sqrt(total({a} * {a}))",
    "m transpose": "{a}.T",
    "m row means": "total({a}) / F",
    "m row deviations": "np.array([deviation(row) for row in {a}])",
    "v dot": "total({a} * {b})",
    "m times v": "total({a} * {b})",
    "m product": "total({a}[:, None, :] * {b}.T[None, :, :])",
    "v norm": "np.sqrt(total({a} * {a}))",
    "m norm": "np.sqrt(total(total({a} * {a})))",
    "v mean": "mean({a})",
    "m mean": "mean({a})",
    "v deviation": "deviation({a})",
    "m deviation": "deviation({a})",
    **{f"s {name}": f"np.{name}({{a}})" for name in ("sin", "cos", "tan", "arcsin", "arccos", "arctan")},
    "s exp": "np.exp({a})",
    "s log": "np.log({a})",
    **{f"{kind} abs": "np.abs({a})" for kind in "svm"},
}

_HELPERS = {
    "total": '''
def total(a):
    """The sum over the last axis, in the order of elements."""
    return np.cumsum(a, axis=-1)[..., -1]
''',
    "mean": """
def mean(a):
    return (total(total(a)) if a.ndim == 2 else total(a)) / a.size
""",
    "deviation": """
def deviation(a):
    away = a - mean(a)
    return np.sqrt(mean(away * away))
""",
    "minimum": '''
def minimum(a, b):
    """The smaller; NaN if one is; b of two zeros."""
    return np.where((a < b) | (a != a), a, b)[()]
''',
    "maximum": '''
def maximum(a, b):
    """The larger; NaN if one is; b of two zeros."""
    return np.where((a > b) | (a != a), a, b)[()]
''',
    "put": '''
def put(a, place, x):
    """A copy of `a` with x in one place."""
    a = a.copy()
    a[place] = x
    return a
''',
    "fold": """
def mix(x):
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


def fold(h, x):
    return mix(h + GOLDEN * (x + 1) & MASK)


def unit(word):
    return (word >> 11) * 2.0**-53
""",
    "uniform": """
def uniform(words, low, high, shape=()):
    drawn = [low + (high - low) * unit(words(k)) for k in range(int(np.prod(shape)))]
    return np.array(drawn).reshape(shape)[()]
""",
    "gaussian": """
def gaussian(words, mean, deviation, shape=()):
    def one(word):
        radius = np.sqrt(-2 * np.log(unit(word) + 2.0**-53))
        return mean + deviation * (radius * np.cos(2 * np.pi * unit(mix(word + GOLDEN & MASK))))

    return np.array([one(words(k)) for k in range(int(np.prod(shape)))]).reshape(shape)[()]
""",
}
_NEEDS = {"mean": ["total"], "deviation": ["mean"], "uniform": ["fold"], "gaussian": ["fold"]}
_SHAPES = {"s": "", "v": ", F", "m": ", (F, F)"}
_GIVEN: dict[str, set[str]] = {"setup": set(), "predict": {"s0", "v0"}, "learn": {"s0"}}
_ZEROS = {"s": "np.float64(0)", "v": "np.zeros(F)", "m": "np.zeros((F, F))"}


def numpy_source(program: Program, sizes: Sizes, about: str = "") -> str:
    """The text of a Python module that needs NumPy alone and computes what `interpreter` does, bit for bit.

    Its class `Learner` has setup, predict_one and learn, an instruction a line, and fit and predict for many
    examples. Random numbers are those of the interpreter too; they depend on the places of instructions, so
    the source of a program is that of its simplified form only if that holds its draws. `about` is one more
    sentence for its first lines.

    Raises ValueError, naming the instruction, for a program that does not fit `sizes`.
    """
    program.check(sizes)
    bodies = {name: list(_lines(program, name, sizes)) for name in PARTS}
    used: set[str] = set()
    for name in PARTS:
        for _, right in bodies[name]:
            _need(used, right)
    random = "fold" in used
    memory = _memory(program)
    parts = ['"""A learning algorithm, written by evolution from bare mathematics: AutoML-Zero in aiga.\n']
    parts.append(
        "Setup runs once; then predict and learn in turn, an example after the other. v0 is the features,"
    )
    parts.append("s0 the label, s1 the prediction; all else is memory that lasts.")
    if about:
        parts += ["", about.replace("\\", "\\\\").replace('"""', "'''")]
    parts += ['"""\n', "import numpy as np\n", f"F = {sizes.features}  # features of an example"]
    if random:
        parts.append("GOLDEN, MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1")
    parts += ["\n" + text.rstrip() for name, text in _HELPERS.items() if name in used]
    parts += ["\n", "class Learner:"]
    parts.append(f"    def __init__(self{', key=0, task=0' if random else ''}):")
    if random:
        parts.append(
            "        self.seed, self.time = fold(key, task), 0  # a hash of both and of place: random numbers"
        )
    parts += [f"        self.{name} = {_ZEROS[name[0]]}" for name in memory]
    parts.append("        self.setup()\n")
    for which, (part, head, doc) in enumerate(
        (
            ("setup", "setup(self)", "Once, before all."),
            (
                "predict",
                "predict_one(self, x)",
                "The prediction for one example, x f64[F]. It may change memory.",
            ),
            ("learn", "learn(self, label)", "What follows from the label of the example predicted last."),
        )
    ):
        parts += [f"    def {head}:", f'        """{doc}"""']
        loads = _loads(program, part)
        if part == "predict":
            parts.append("        v0 = np.array(x, np.float64)")
        if part == "predict" and "s0" in loads:
            parts.append("        s0 = np.float64(0)")
        if part == "learn":
            parts.append("        s0 = np.float64(label)")
        parts += _moved([name for name in loads if name not in _GIVEN[part]], "", "self.")
        if random:
            parts.append(f"        draw = lambda place: self.words({which}, place)")
        inside = bodies[part]
        width = max((len(left) for left, _ in inside), default=0)
        parts.append('        with np.errstate(all="ignore"):')
        parts += [f"            {left:<{width}} = {right}" for left, right in inside] or ["            pass"]
        written = {left for left, _ in inside} | ({"v0"} if part == "predict" else set())
        parts += _moved([name for name in memory if name in written], "self.", "")
        if random:
            parts.append("        self.time += 1")
        if part == "predict":
            parts.append("        return self.s1")
        parts.append("")
    parts.append(_REST.strip("\n"))
    if random:
        parts.append(_WORDS.rstrip("\n"))
    return "\n".join(parts) + "\n"


def _moved(names: list[str], to: str, source: str) -> list[str]:
    """Lines between memory and names, six names a line."""
    rows = [names[k : k + 6] for k in range(0, len(names), 6)]
    return [
        f"        {', '.join(to + n for n in row)} = {', '.join(source + n for n in row)}" for row in rows
    ]


_REST = '''
    def fit(self, X, y, epochs=1, accuracy=False):
        """Learns from X f64[N, F] and y f64[N], in this order. With `accuracy` y is 0 or 1."""
        for _ in range(epochs):
            for x, label in zip(X, y):
                self.predict_one(x)
                if accuracy:
                    with np.errstate(all="ignore"):
                        self.s1 = 1 / (1 + np.exp(-self.s1))
                self.learn(label)
        return self

    def predict(self, X, accuracy=False):
        """f64[N], one example after the other; with `accuracy` how likely label 1 is."""
        found = np.zeros(len(X))
        for k, x in enumerate(X):
            found[k] = self.predict_one(x)
            if accuracy:
                with np.errstate(all="ignore"):
                    found[k] = self.s1 = 1 / (1 + np.exp(-self.s1))
        return found
'''
_WORDS = """
    def words(self, part, place):
        h = fold(fold(self.seed, self.time), part << 16 | place)
        return lambda k: fold(h, k)
"""


def _need(used: set[str], text: str) -> None:
    for name in _HELPERS:
        if name not in used and f"{name}(" in text.replace(f"np.{name}(", ""):
            used.add(name)
            for other in _NEEDS.get(name, []):
                _need(used, other + "(")


def _number(x: float) -> str:
    x = float(x)
    if np.isfinite(x):
        return repr(x)
    return "np.nan" if x != x else "np.inf" if x > 0 else "-np.inf"


def _lines(program: Program, part: str, sizes: Sizes) -> Iterator[tuple[str, str]]:
    """What stands left and right of the equals sign."""
    for place, row in enumerate(program.part(part)):
        op, *addresses, out = (int(n) for n in program.code[row])
        operation, data = OPERATIONS[op], program.data[row]
        if not operation.out:
            continue
        left = f"{operation.out}{out}"
        names = [f"{kind}{address}" for kind, address in zip(operation.ins, addresses, strict=False)]
        if operation.name == "s constant":
            right = f"np.float64({_number(data[0])})"
        elif "constant" in operation.data:
            places = [str(index(share, sizes.features)) for share in data[1 : len(operation.data)]]
            where = places[0] if len(places) == 1 else f"({', '.join(places)})"
            right = f"put({left}, {where}, {_number(data[0])})"
        elif operation.data:
            right = (
                f"{operation.name.split()[1]}(draw({place}), np.float64({_number(data[0])}), "
                f"np.float64({_number(data[1])}){_SHAPES[operation.out]})"
            )
        else:
            text = _TEXT.get(operation.name, operation.text)
            right = text.format(**dict(zip("ab", names, strict=False)))
        yield left, right


def _touched(program: Program, part: str) -> Iterator[tuple[list[str], str]]:
    """What each instruction reads, and what it writes."""
    for row in program.part(part):
        op, *addresses, out = (int(n) for n in program.code[row])
        operation = OPERATIONS[op]
        if operation.out:
            reads = [f"{kind}{address}" for kind, address in zip(operation.ins, addresses, strict=False)]
            written = f"{operation.out}{out}"
            if "index" in operation.data:
                reads.append(written)
            yield reads, written


def _loads(program: Program, part: str) -> list[str]:
    """What is read before it is written."""
    loads, written = set(), set()
    for reads, out in _touched(program, part):
        loads |= {name for name in reads if name not in written}
        written.add(out)
    return _sorted(loads)


def _memory(program: Program) -> list[str]:
    """What one component function reads of what was there before it, and the prediction."""
    return _sorted({"s1"}.union(*(set(_loads(program, part)) - _GIVEN[part] for part in PARTS)))


def _sorted(names: set[str]) -> list[str]:
    return sorted(names, key=lambda name: ("svm".index(name[0]), int(name[1:])))
