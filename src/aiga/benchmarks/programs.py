"""How fast programs of AutoML-Zero run beside interpreters in NumPy and Numba, and how fast they are bred.

Two of the paper's programs learn on sixteen tasks; a task-step is predict and learn on one example of one
task. The rivals run the same instructions, decoded anew at every step, and begin with the same memory.
NumPy's is what one would write first; Numba's (Lam, Pitrou, Seibert 2015) is loops that LLVM compiles. One
core, by the clock of the process, so that a busy machine does not count.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import numpy as np

from aiga.benchmarks.beside import processor, spread, told
from aiga.brains.programs import evolution, interpreter, kernel, known
from aiga.brains.programs.ops import NUMBER, OPERATIONS, Program, Sizes

ROUNDS = 7  # every engine in turn, this often
SECONDS = 0.2  # for each, in each round
TASKS, STEPS = 16, 100  # as many examples as in the demo
EPOCHS = 50  # so that setup does not count
INDIVIDUALS = 100_000  # of one measurement of the search
STEP, BORN = "task-steps per second and core", "individuals per second and core"
DEMO = ("s constant", "v dot", "s subtract", "s multiply", "s times v", "v add")

Rate = Callable[[float], float]  # seconds to run for, to what is done in one


def linear_tasks(count: int, train: int, valid: int, features: int) -> kernel.Tasks:
    """Linear regression as in the paper's section 4.1: Gaussian features and weights."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(count, 1, features))
    x = rng.normal(size=(count, train + valid, features))
    y = (x * weights).sum(-1)
    return kernel.Tasks(x[:, :train], y[:, :train], x[:, train:], y[:, train:])


def demo() -> evolution.Config:
    """The search of the public release's demo."""
    operations = tuple(NUMBER[name] for name in DEMO)
    return evolution.Config(
        sizes=Sizes(4, 3, 1, 4),
        mutations=evolution.Mutations(insert=0, remove=0, randomise=1, alter=1, trade=0, replace=1),
        most=(10, 2, 8),
        setup_ops=operations,
        predict_ops=operations,
        learn_ops=operations,
        combine="mean",
    )


def _timed(work: Callable[[], float]) -> Rate:
    def rate(seconds: float) -> float:
        begun, done = time.process_time(), 0.0
        while (spent := time.process_time() - begun) < seconds or not done:
            done += work()
        return done / spent

    return rate


def ours(program: Program, sizes: Sizes, precision: str) -> Rate:
    tasks = linear_tasks(TASKS, STEPS, 1, sizes.features)
    rules = kernel.Rules(precision=precision, epochs=EPOCHS)
    return _timed(lambda: kernel.evaluate([program] * 5, sizes, tasks, rules).size * STEPS * EPOCHS)


def searching(precision: str) -> Rate:
    """From a new island each time: the first individuals are the dearest."""
    config, tasks = demo(), linear_tasks(8, 100, 100, 4)
    rules, seeds = kernel.Rules(precision=precision), iter(range(10**9))
    return _timed(
        lambda: (
            evolution.evolve(
                config, evolution.begin(next(seeds), config), tasks, INDIVIDUALS, rules
            ).state.born
        )
    )


def in_numpy(program: Program, sizes: Sizes) -> Rate:
    tasks = linear_tasks(1, STEPS, 1, sizes.features)
    begun = interpreter.Machine(program, sizes)
    begun.run("setup")
    calls: dict[int, Callable[..., Any]] = {
        NUMBER["s add"]: np.add,
        NUMBER["s subtract"]: np.subtract,
        NUMBER["s multiply"]: np.multiply,
        NUMBER["s times v"]: np.multiply,
        NUMBER["v add"]: np.add,
        NUMBER["v multiply"]: np.multiply,
        NUMBER["v dot"]: np.dot,
        NUMBER["v outer"]: np.multiply.outer,
        NUMBER["m times v"]: np.dot,
        NUMBER["m add"]: np.add,
        NUMBER["v maximum"]: np.maximum,
        NUMBER["v heaviside"]: lambda a: np.heaviside(a, 0.0),
    }
    parts = []
    for name in ("predict", "learn"):
        rows = program.part(name)
        signatures = [(OPERATIONS[n].ins, OPERATIONS[n].out) for n in program.code[rows.start : rows.stop, 0]]
        parts.append([
            (int(code[0]), list(zip(ins, (int(n) for n in code[1:]), strict=False)), out, int(code[3]))
            for code, (ins, out) in zip(program.code[rows.start : rows.stop], signatures, strict=True)
        ])  # fmt: skip

    def work() -> float:
        memory = {kind: list(values) for kind, values in begun.memory.items()}
        for x, y in zip(tasks.train_x[0], tasks.train_y[0], strict=True):
            memory["v"][0], memory["s"][0] = x, 0.0
            for part in parts:
                for op, ins, out, place in part:
                    memory[out][place] = calls[op](*[memory[kind][n] for kind, n in ins])
                memory["s"][0] = y
        return STEPS

    return _timed(work)


def in_numba(program: Program, sizes: Sizes) -> Rate:
    import numba  # pyright: ignore[reportMissingImports]

    add, subtract, multiply = NUMBER["s add"], NUMBER["s subtract"], NUMBER["s multiply"]
    scale, add_v, multiply_v, dot = (NUMBER[name] for name in ("s times v", "v add", "v multiply", "v dot"))
    outer, product, add_m = NUMBER["v outer"], NUMBER["m times v"], NUMBER["m add"]
    maximum, heaviside = NUMBER["v maximum"], NUMBER["v heaviside"]

    @numba.njit
    def run(code: Any, s: Any, v: Any, m: Any) -> None:
        f = v.shape[1]
        for row in range(len(code)):
            op, a, b, out = code[row]
            if op == add:
                s[out] = s[a] + s[b]
            elif op == subtract:
                s[out] = s[a] - s[b]
            elif op == multiply:
                s[out] = s[a] * s[b]
            elif op == scale:
                for k in range(f):
                    v[out, k] = s[a] * v[b, k]
            elif op == add_v:
                for k in range(f):
                    v[out, k] = v[a, k] + v[b, k]
            elif op == multiply_v:
                for k in range(f):
                    v[out, k] = v[a, k] * v[b, k]
            elif op == maximum:
                for k in range(f):
                    v[out, k] = max(v[a, k], v[b, k])
            elif op == heaviside:
                for k in range(f):
                    v[out, k] = 1.0 if v[a, k] > 0 else 0.0
            elif op == dot:
                total = 0.0
                for k in range(f):
                    total += v[a, k] * v[b, k]
                s[out] = total
            elif op == product:
                for i in range(f):
                    total = 0.0
                    for k in range(f):
                        total += m[a, i, k] * v[b, k]
                    v[out, i] = total
            elif op == outer:
                for i in range(f):
                    for k in range(f):
                        m[out, i, k] = v[a, i] * v[b, k]
            elif op == add_m:
                for i in range(f):
                    for k in range(f):
                        m[out, i, k] = m[a, i, k] + m[b, i, k]

    @numba.njit
    def train(predict: Any, learn: Any, x: Any, y: Any, s: Any, v: Any, m: Any) -> None:
        for t in range(len(x)):
            v[0], s[0] = x[t], 0.0
            run(predict, s, v, m)
            s[0] = y[t]
            run(learn, s, v, m)

    tasks = linear_tasks(TASKS, STEPS, 1, sizes.features)
    begun = interpreter.Machine(program, sizes)
    begun.run("setup")
    s, v, m = (np.array(begun.memory[kind]) for kind in "svm")
    predict, learn = (
        program.code[rows.start : rows.stop].astype(np.int64)
        for rows in (program.part("predict"), program.part("learn"))
    )

    def work() -> float:
        for x, y in zip(tasks.train_x, tasks.train_y, strict=True):
            train(predict, learn, x, y, s.copy(), v.copy(), m.copy())
        return TASKS * STEPS

    work()
    return _timed(work)


RIVALS: dict[str, Callable[[Program, Sizes], Rate]] = {"NumPy": in_numpy, "Numba": in_numba}


def bench() -> tuple[dict[str, Any], str]:
    """Our rates and the rivals', and the ratios with their spread, as data and as text."""
    from aiga import _programs

    cases: dict[str, Rate] = {}
    rivals: dict[str, dict[str, Rate]] = {}
    missing: list[str] = []
    for name, program in (("linear", known.linear()), ("network", known.network())):
        for features in (4, 16):
            sizes = Sizes(5, 9, 2, features)
            for precision in kernel.PRECISIONS:
                cases[f"{name}, F = {features}, {precision}"] = ours(program, sizes, precision)
            beside = rivals[f"{name}, F = {features}, float64"] = {}
            for rival, make in RIVALS.items():
                try:
                    beside[rival] = make(program, sizes)
                except ImportError:
                    missing += [rival] * (rival not in missing)
    for precision in kernel.PRECISIONS:
        cases[f"search of the demo, {precision}"] = searching(precision)
    seen: dict[tuple[str, str], list[float]] = {}
    for _ in range(ROUNDS):
        for case, rate in cases.items():
            for name, engine in ({"": rate} | rivals.get(case, {})).items():
                seen.setdefault((case, name), []).append(engine(SECONDS))
    rows = [
        {
            "case": case,
            "unit": BORN if case.startswith("search") else STEP,
            "ours": median(seen[case, ""]),
            "rivals": {
                name: {
                    "rate": median(seen[case, name]),
                    "ratio": spread(seen[case, ""], seen[case, name]),
                }
                for name in rivals.get(case, {})
            },
        }
        for case in cases
    ]
    machine = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "instruction_set": _programs.instruction_sets()[0],
    }
    data = {"benchmark": "programs", "machine": machine, "missing": missing, "cases": rows}
    return data, "\n".join(_lines(data))


def _lines(data: dict[str, Any]) -> Iterator[str]:
    machine = data["machine"]
    yield f"programs, one core; {machine['processor']}, {machine['instruction_set']}"
    for row in data["cases"]:
        if row["unit"] == BORN:
            yield f"{row['case']}: {row['ours'] / 1e3:.0f} k individuals/s"
        else:
            yield f"{row['case']}: {1e9 / row['ours']:.1f} ns a task-step"
        for name, rival in row["rivals"].items():
            yield told(name, rival["ratio"], f" ({1e9 / rival['rate']:.0f} ns)", ROUNDS)
    for name in data["missing"]:
        yield f"not installed, so not compared: {name} (pip install 'aiga[bench]')"
