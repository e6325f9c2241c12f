"""What a program says to a reader: simplified, as NumPy source, as a story, and which ideas it has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aiga.brains.programs import evolution, interpreter, kernel, known, story
from aiga.brains.programs.evolution import Config
from aiga.brains.programs.interpreter import Machine
from aiga.brains.programs.kernel import Rules, Tasks
from aiga.brains.programs.ops import NUMBER, OPERATIONS, Program, Sizes, listing
from aiga.brains.programs.simplify import simplified
from aiga.brains.programs.source import numpy_source

SIZES = Sizes(5, 4, 3, 4)
ROOM = Sizes(8, 10, 3, 4)
CHANCE = [k for k, o in enumerate(OPERATIONS) if {"low", "mean"} & set(o.data)]


def random_program(rng: np.random.Generator, sizes: Sizes, lengths: tuple[int, int, int]) -> Program:
    """Any operations, half of all constants of the kind that algebra looks for."""
    code = np.zeros((sum(lengths), 4), np.uint8)
    data = rng.uniform(-1, 1, (sum(lengths), 3))
    for row in range(len(code)):
        op = rng.choice(np.array([rng.integers(len(OPERATIONS)), 1, 2, 3, 4, NUMBER["s constant"]]))
        operation = OPERATIONS[op]
        code[row, 0] = op
        for k, kind in enumerate(operation.ins):
            code[row, k + 1] = rng.integers(sizes.of(kind))
        if operation.out:
            code[row, 3] = rng.integers(int(operation.out != "m"), sizes.of(operation.out))
        if "index" in operation.data:
            data[row, 1:] = rng.uniform(0, 1, 2)
        if rng.random() < 0.5:
            data[row, 0] = rng.choice([0.0, -0.0, 1.0, -1.0, np.inf, np.nan, 2.0])
        if op in CHANCE and rng.random() < 0.3:
            data[row, 1] = data[row, 0] if "low" in operation.data else 0.0
    return Program(code, data, lengths)


def errors(
    program: Program, sizes: Sizes, x: np.ndarray, y: np.ndarray, accuracy: bool = False
) -> np.ndarray:
    """Every error of two epochs, which no limit ends but NaN, and the fitness."""
    trace: list[float] = []
    score = interpreter.fitness(
        program, sizes, (x[:5], y[:5]), (x[5:], y[5:]),
        epochs=2, accuracy=accuracy, limit=np.inf, key=3, task=1, trace=trace,
    )  # fmt: skip
    return np.array([*trace, score])


def examples(rng: np.random.Generator, features: int, count: int = 9) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(size=(count, features))
    x[0, 0], x[1] = 0.0, -0.0
    return x, rng.normal(size=count)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return len(a) == len(b) and bool(np.all((a.view(np.int64) == b.view(np.int64)) | ((a != a) & (b != b))))


@pytest.mark.parametrize("sizes", [SIZES, Sizes(3, 2, 1, 2)], ids=str)
def test_a_simplified_program_predicts_the_same_bits(sizes):
    rng, before, after = np.random.default_rng(0), 0, 0
    given, shorter = [], []
    for _ in range(300):
        program = random_program(rng, sizes, (5, 7, 8))
        short = simplified(program, sizes).check(sizes)
        x, y = examples(rng, sizes.features)
        for accuracy in (False, True):
            labels = y > 0 if accuracy else y
            assert same_bits(
                errors(program, sizes, x, labels, accuracy), errors(short, sizes, x, labels, accuracy)
            ), listing(program)
        assert all(n <= most for n, most in zip(short.lengths, program.lengths, strict=True))
        again = simplified(short, sizes)
        assert again.lengths == short.lengths and (again.code == short.code).all()
        without = simplified(program, sizes, draws=False)
        given.append(program)
        shorter.append(short)
        before += len(program.code)
        after += len(without.code)
        assert len(without.code) <= len(short.code) and not np.any(without.code[:, 0] == 0)
    assert after < before / 2
    x, y = rng.normal(size=(3, 12, sizes.features)), rng.normal(size=(3, 12))
    tasks, rules = Tasks(x[:, :8], y[:, :8], x[:, 8:], y[:, 8:]), Rules(epochs=2, limit=np.inf, key=5)
    fitness = kernel.evaluate(given, sizes, tasks, rules)
    np.testing.assert_allclose(kernel.evaluate(shorter, sizes, tasks, rules), fitness, rtol=1e-12, atol=0)
    assert np.count_nonzero(fitness) > 100


def test_algebra_is_seen():
    def learned(*learn: Any, predict: Any = (("v dot", 0, 1, 1),), setup: Any = (), **how: Any) -> str:
        return listing(simplified(Program.of(setup, predict, learn), ROOM, **how))

    one, less = ("s constant", 2, 1.0), ("s constant", 3, -1.0)
    plain = learned(("s times v", 0, 0, 3), ("v add", 1, 3, 1))
    assert "v1 = v1 + v2" in plain
    for wordy in (
        [("s multiply", 0, 2, 4), ("s times v", 4, 0, 3), ("v add", 1, 3, 1)],  # times one
        [("s divide", 0, 2, 4), ("s times v", 4, 0, 3), ("v add", 1, 3, 1)],
        [("s subtract", 0, 5, 4), ("s times v", 4, 0, 3), ("v add", 1, 3, 1)],  # minus zero
        [("s multiply", 0, 3, 4), ("s multiply", 3, 4, 4), ("s times v", 4, 0, 3), ("v add", 1, 3, 1)],
        [("s maximum", 0, 0, 4), ("s times v", 4, 0, 3), ("v add", 1, 3, 1)],
        [("s times v", 0, 0, 2), ("s times v", 0, 0, 3), ("v add", 1, 3, 1), ("v add", 2, 5, 2)],
    ):
        assert learned(*wordy, setup=[one, less]) == plain
    for wordy in (
        [("s add", 0, 5, 4), ("s times v", 4, 0, 3), ("v add", 1, 3, 1)],  # plus zero: not for -0.0
        [("s reciprocal", 0, 4), ("s reciprocal", 4, 4), ("s times v", 4, 0, 3), ("v add", 1, 3, 1)],
        [("s subtract", 0, 0, 4), ("s add", 4, 0, 4), ("s times v", 4, 0, 3), ("v add", 1, 3, 1)],
    ):
        assert learned(*wordy) != plain == learned(*wordy, exact=False)
    folded = learned(
        setup=[one, ("s add", 2, 2, 3), ("s sin", 3, 3)], predict=[("s add", 0, 3, 1)], exact=False
    )
    assert "s1 = 0.909297" in folded and "sin" not in folded
    # The sum of an absolute value and zero is never -0.0, so this one is exact.
    assert "+" not in learned(predict=[("v norm", 0, 2), ("s add", 2, 4, 3), ("s sin", 3, 1)])


def test_known_programs_stay_as_they_are():
    for program, room in ((known.linear(), SIZES), (known.network(), ROOM)):
        assert simplified(program, room).lengths == program.lengths
    noisy = Program.of([], [("s constant", 3, 2.0), ("v gaussian", 1, 0, 1), ("v dot", 0, 1, 1)], [])
    assert simplified(noisy, SIZES).lengths == (0, 3, 0)
    assert simplified(noisy, SIZES, draws=False).lengths == (0, 2, 0)


def test_source_is_the_program():
    rng = np.random.default_rng(1)
    programs = [
        (random_program(rng, s, (4, 6, 6)), s) for s in (SIZES, Sizes(3, 2, 1, 2)) for _ in range(120)
    ]
    # Of every operation at least one, its output read.
    for op, operation in enumerate(OPERATIONS):
        for _ in range(2):
            program = random_program(rng, SIZES, (6, 6, 4))
            program.code[8, 0] = op
            program.code[8, 1:3] = rng.integers(1, 3, 2)
            program.code[8, 3] = 1
            read = {"s": ("s add", 1, 1, 1), "v": ("v mean", 1, 1), "m": ("m mean", 1, 1), "": ("no-op",)}
            program.code[9], program.code[10:12] = Program.of([read[operation.out]]).code[0], 0
            program.data[:] = np.where(np.isfinite(program.data), np.abs(program.data), 0.5).clip(0, 1)
            programs.append((program, SIZES))
    programs += [(known.linear(), ROOM), (known.network(0.01, 0.5, 0.5), ROOM)]
    for program, sizes in programs:
        x, y = examples(rng, sizes.features)
        machine = Machine(program, sizes, 3, 1)
        machine.run("setup")
        names: dict[str, Any] = {}
        text = numpy_source(program, sizes, "found \\ by chance")
        exec(compile(text, "found.py", "exec"), names)
        random = bool(np.isin(program.code[:, 0], CHANCE).any())
        learner = names["Learner"](3, 1) if random else names["Learner"]()
        for features, label in zip(x, y, strict=True):
            want, got = machine.predict(features), learner.predict_one(features)
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=0)
            machine.learn(label)
            learner.learn(label)
    x = rng.normal(size=(500, 4))
    exec(numpy_source(known.linear(0.1), SIZES), names)
    learner = names["Learner"]().fit(x, x @ [1, 2, 3, 4], epochs=2)
    np.testing.assert_allclose(learner.predict(x), x @ [1, 2, 3, 4], atol=1e-6)


def straight(count: int = 4, train: int = 100, valid: int = 20) -> Tasks:
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=(count, 1, 4)), rng.normal(size=(count, train + valid, 4))
    y = (w * x).sum(-1)
    return Tasks(x[:, :train], y[:, :train], x[:, train:], y[:, train:])


def test_ablations_say_what_an_instruction_buys():
    program, tasks, rules = known.linear(0.05), straight(), Rules(epochs=2)
    dead = Program.of(
        [("s constant", 2, 0.05), ("m gaussian", 0, 0, 1)],
        [("v dot", 1, 0, 1), ("s add", 1, 3, 1)],  # s3 is 0 at best
        [("s subtract", 0, 1, 3), ("s multiply", 2, 3, 3), ("s times v", 3, 0, 2), ("v add", 1, 2, 1),
         ("s constant", 3, 0.0)],
    )  # fmt: skip
    found = story.ablations(dead, SIZES, tasks, rules)
    whole = np.median(kernel.evaluate([program], SIZES, tasks, rules))
    assert [a.text for a in found if not a.live] == ["m0 = gaussian(0, 1)"] and len(found) == 9
    worth = {a.text: a.loss for a in found}
    assert worth["v1 = v1 + v2"] > 0.3 and worth["s1 = dot(v1, v0)"] > 0.3
    assert worth["s1 = s1 + s3"] == worth["m0 = gaussian(0, 1)"] == 0
    assert all(a.fitness + a.loss == pytest.approx(whole) for a in found)
    text = story.told([], found)
    assert "s1 = s1 + s3 nothing" in " ".join(text.split()) and "On 1 more no prediction depends." in text


def test_changes_are_the_fewest():
    rng = np.random.default_rng(0)
    for _ in range(60):
        old = random_program(rng, SIZES, (3, 4, 5))
        code, data, row = old.code.copy(), old.data.copy(), int(rng.integers(3, 7))
        assert story.changes(old, old, SIZES) == []
        shorter = Program(np.delete(code, row, 0), np.delete(data, row, 0), (3, 3, 5))
        (gone,), (came,) = story.changes(old, shorter, SIZES), story.changes(shorter, old, SIZES)
        assert (gone.part, gone.kind, came.kind) == ("predict", "removed", "inserted")
        assert gone.old == came.new
    old, new = known.linear(0.1), known.linear(0.2)
    (change,) = story.changes(old, new, SIZES)
    assert (change.kind, change.what, change.old, change.new) == (
        "changed",
        ("constant",),
        "s2 = 0.1",
        "s2 = 0.2",
    )
    new.code[2, 1] = 3  # the first of learn now reads s3
    assert [c.what for c in story.changes(old, new, SIZES)] == [("constant",), ("input 1",)]
    new.code[2, 0] = NUMBER["s add"]
    assert [c.kind for c in story.changes(old, new, SIZES)] == ["changed", "removed", "inserted"]


def test_a_lineage_is_told():
    six = tuple(NUMBER[n] for n in ("s constant", "v dot", "s subtract", "s multiply", "s times v", "v add"))
    config = Config(
        sizes=Sizes(4, 3, 1, 4), population=100, most=(10, 2, 8), cache=4000,
        setup_ops=six, predict_ops=six, learn_ops=six,
    )  # fmt: skip
    improvements = evolution.evolve(config, evolution.begin(3, config), straight(), 20_000).improvements
    steps = story.lineage(improvements, config.sizes)
    scores = [step.improvement.fitness for step in steps]
    assert len(steps) > 2 and scores == sorted(set(scores)) and steps[-1].improvement is improvements[-1]
    assert sum(step.gain for step in steps) == pytest.approx(scores[-1])
    ids = [step.improvement.id for step in steps]
    for before, step in zip([None, *steps], steps, strict=False):
        each = step.improvement
        assert step.direct == (before is not None and each.parent == before.improvement.id)
        first = before.improvement.program if before else Program.of()
        grown = sum({"inserted": 1, "removed": -1}.get(c.kind, 0) for c in step.changes)
        assert len(first.code) + grown == len(each.program.code)
        if step.direct:
            assert step.changes == step.mutation
    text = story.told(steps, story.ablations(improvements[-1].program, config.sizes, straight()))
    assert all(f"Individual {n}" in text for n in ids) and "What fitness loses" in text
    assert story.lineage([], SIZES) == [] and story.told([]) == ""
