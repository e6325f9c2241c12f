"""What a program says to a reader: simplified, as NumPy source, as a story, and which ideas it has."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from aiga.brains.programs import evolution, interpreter, kernel, known, story
from aiga.brains.programs.evolution import Config
from aiga.brains.programs.ideas import ideas
from aiga.brains.programs.interpreter import Machine
from aiga.brains.programs.kernel import Rules, Tasks
from aiga.brains.programs.ops import NUMBER, OPERATIONS, Program, Sizes, listing
from aiga.brains.programs.simplify import simplified
from aiga.brains.programs.source import numpy_source
from test_programs import random_program as any_program

SIZES = Sizes(5, 4, 3, 4)
ROOM = Sizes(8, 10, 3, 4)
CHANCE = [k for k, o in enumerate(OPERATIONS) if {"low", "mean"} & set(o.data)]


def simple(rng: np.random.Generator) -> int:
    """Any operation, and those that algebra looks for more often."""
    return rng.choice(np.array([rng.integers(len(OPERATIONS)), 1, 2, 3, 4, NUMBER["s constant"]]))


def neutral(rng: np.random.Generator, op: int, data: np.ndarray) -> None:
    """Half of all constants of the kind that algebra looks for; chance without width."""
    if rng.random() < 0.5:
        data[0] = rng.choice([0.0, -0.0, 1.0, -1.0, np.inf, np.nan, 2.0])
    if op in CHANCE and rng.random() < 0.3:
        data[1] = data[0] if "low" in OPERATIONS[op].data else 0.0


random_program = partial(any_program, pick=simple, change=neutral)


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
    for _ in range(200):
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
    assert np.count_nonzero(fitness) > 60


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
            assert each.parent_program is not None
            assert step.changes == story.changes(each.parent_program, each.program, config.sizes)
    assert all(a.improvement.id == b.improvement.ancestor for a, b in pairwise(steps))
    few = story.lineage(improvements, config.sizes, most=3)
    assert len(few) == 3 and (few[0].improvement, few[-1].improvement) == (
        steps[0].improvement,
        steps[-1].improvement,
    )
    assert few[1].improvement in [step.improvement for step in steps]
    # Neither what does not rise nor an ancestor that is not there ends the story.
    late = [i._replace(fitness=0.1) if i is improvements[-2] else i for i in improvements[-3:]]
    assert story.lineage(late, config.sizes)[-1].improvement is improvements[-1]
    text = story.told(steps, story.ablations(improvements[-1].program, config.sizes, straight()))
    assert all(f"Individual {n}" in text for n in ids) and "What fitness loses" in text
    assert story.lineage([], SIZES) == [] and story.told([]) == ""


def names(program: Program, sizes: Sizes = ROOM, **how: Any) -> set[str]:
    return {idea.name for idea in ideas(program, sizes, **how)}


ERROR = ("s subtract", 0, 1, 3)
LINE = [("v dot", 1, 0, 1)]
GRADIENT = [ERROR, ("s multiply", 2, 3, 3), ("s times v", 3, 0, 2), ("v add", 1, 2, 1)]
RATE = ("s constant", 2, 0.02)


def test_a_gradient_step_is_measured():
    assert [(i.name, i.where) for i in ideas(known.linear(), SIZES)] == [("gradient step", "v1")]
    assert ideas(known.linear(), SIZES)[0].numbers["rate"] == pytest.approx(0.01)
    assert names(known.linear(), SIZES, accuracy=True) == {"gradient step"}
    found = ideas(known.network(0.01, 0.5, 0.5), ROOM)
    assert {(i.name, i.where) for i in found} == {
        ("gradient step", "v1"), ("gradient step", "v2"), ("gradient step", "m0"), ("gradient step", "s2"),
        ("ReLU", "v4 = maximum(v3, v5)"),
    }  # fmt: skip
    hidden = Program.of(  # the same, written so that no eye sees it
        [("s constant", 2, -0.02)],
        [("v multiply", 1, 0, 3), ("v mean", 3, 1), ("s constant", 4, 4.0), ("s multiply", 1, 4, 1)],
        [("s subtract", 1, 0, 3), ("s broadcast", 3, 4),
         ("v multiply", 4, 0, 4), ("s times v", 2, 4, 4), ("v add", 1, 4, 1)],
    )  # fmt: skip
    assert names(hidden) == {"gradient step"}
    late = Program.of(  # as evolution found it: the step of an example is made when the next one comes
        [("s constant", 2, 0.451174)],
        [("s times v", 2, 1, 1), ("v dot", 0, 2, 1)],
        [(*ERROR[:3], 1), ("v dot", 1, 0, 3), ("v add", 2, 1, 2), ("s subtract", 1, 3, 1),
         ("s multiply", 1, 2, 1), ("s constant", 2, -0.447543), ("s times v", 1, 0, 1)],
    )  # fmt: skip
    (found,) = ideas(late, ROOM)
    assert (found.name, found.where) == ("gradient step", "v2") and "a step late" in found.text
    assert found.numbers["rate"] == pytest.approx(0.447543**2)
    sign = [ERROR, ("s abs", 3, 4), ("s divide", 3, 4, 3), *GRADIENT[1:]]
    cube = [ERROR, ("s multiply", 3, 3, 4), ("s multiply", 3, 4, 3), *GRADIENT[1:]]
    wrong = [("s subtract", 1, 0, 3), *GRADIENT[1:]]
    label = [("s multiply", 2, 0, 3), *GRADIENT[2:]]  # moves with the label and has no error: Hebb's
    ones = [ERROR, ("s multiply", 2, 3, 3), ("s broadcast", 3, 2), ("v add", 1, 2, 1)]
    for learn in (sign, cube, wrong, label, ones):
        assert names(Program.of([RATE], LINE, learn)) == set(), learn
    assert "gradient step" in names(Program.of([RATE], LINE, GRADIENT))
    decay = [*GRADIENT, ("s constant", 5, 0.99), ("s times v", 5, 1, 1)]
    assert names(Program.of([RATE], LINE, decay)) == {"gradient step"}


def test_normalised_gradients_are_measured():
    for by in (
        [("v norm", 0, 4), ("s divide", 3, 4, 3)],
        [("v dot", 0, 0, 4), ("s divide", 3, 4, 3)],
    ):
        program = Program.of([RATE], LINE, [ERROR, *by, *GRADIENT[1:]])
        assert names(program) == {"gradient step", "normalised gradient"}
    whole = [ERROR, ("s times v", 3, 0, 2), ("v norm", 2, 4), ("s divide", 2, 4, 4), ("s times v", 4, 2, 2)]
    assert names(Program.of([RATE], LINE, [*whole, ("v add", 1, 2, 1)])) == {"normalised gradient"}
    other = [ERROR, ("v norm", 1, 4), ("s constant", 5, 1.0), ("s add", 4, 5, 4), ("s divide", 3, 4, 3)]
    assert names(Program.of([RATE], LINE, [*other, *GRADIENT[1:]])) == {"gradient step"}  # the weights' norm


def test_learning_rate_decay_is_measured():
    slower = [("s constant", 4, 0.98), ("s multiply", 2, 4, 2)]
    inverse = [("s constant", 4, 0.05), ("s add", 5, 4, 5), ("s constant", 6, 1.0), ("s add", 5, 6, 6),
               ("s constant", 7, 0.02), ("s divide", 7, 6, 2)]  # fmt: skip
    for by in (slower, inverse):
        found = ideas(Program.of([RATE], LINE, [*GRADIENT, *by]), ROOM)
        assert [i.name for i in found] == ["gradient step", "learning-rate decay"]
    faster = [("s constant", 4, 1.002), ("s multiply", 2, 4, 2)]
    # Rates that fall because of what was seen, not of how much.
    size = [
        ("v norm", 1, 4),
        ("s constant", 5, 1.0),
        ("s add", 4, 5, 4),
        ("s constant", 6, 0.02),
        ("s divide", 6, 4, 2),
    ]
    unused = [("s constant", 4, 0.98), ("s multiply", 5, 4, 5)]
    for by in (faster, size, unused, []):
        assert names(Program.of([RATE], LINE, [*GRADIENT, *by])) == {"gradient step"}


def test_a_relu_is_measured():
    def bent(*by: Any) -> set[str]:
        return names(
            Program.of(
                [("m gaussian", 0, 0.0, 0.5), ("v gaussian", 2, 0.0, 0.5)],
                [("m times v", 0, 0, 3), *by, ("v dot", 4, 2, 1)],
            )
        )

    half = ("s constant", 4, 0.5)
    assert bent(("v maximum", 3, 5, 4)) == bent(("v heaviside", 3, 4), ("v multiply", 3, 4, 4)) == {"ReLU"}
    assert bent(("v abs", 3, 4), ("v add", 3, 4, 4), half, ("s times v", 4, 4, 4)) == {"ReLU"}
    for by in (
        [("v multiply", 3, 3, 4)],
        [("v abs", 3, 4)],
        [("v heaviside", 3, 4)],
        [("v maximum", 3, 3, 4)],
        [("v minimum", 3, 5, 4)],
        [("v abs", 3, 3), ("v maximum", 3, 5, 4)],  # of what is never below 0
        [half, ("s broadcast", 4, 5), ("v maximum", 3, 5, 4)],
        [("v maximum", 3, 5, 4), ("v add", 3, 6, 4)],  # not used
    ):
        assert "ReLU" not in bent(*by), by
    scalar = Program.of([], [("v mean", 0, 2), ("s maximum", 2, 3, 1)])
    assert names(scalar) == {"ReLU"}


def test_noise_injection_is_measured():
    noisy = [("v gaussian", 3, 0.0, 0.1), ("v add", 3, 0, 3), ("v dot", 1, 3, 1)]
    found = ideas(Program.of([RATE], noisy, GRADIENT), ROOM)
    assert [(i.name, i.where) for i in found] == [("gradient step", "v1"), ("noise injection", "predict")]
    shaken = [*GRADIENT, ("v uniform", 3, -0.01, 0.01), ("v add", 1, 3, 1)]
    found = ideas(Program.of([RATE], LINE, shaken), ROOM)
    assert [(i.name, i.where) for i in found] == [("gradient step", "v1"), ("noise injection", "learn")]
    for setup, predict in (
        ([RATE, ("v gaussian", 1, 0.0, 1.0)], LINE),  # weights at first
        ([RATE], [("v gaussian", 3, 0.0, 0.1), *LINE]),  # not used
        ([RATE], [("v gaussian", 3, 0.1, 0.0), ("v add", 3, 0, 3), ("v dot", 1, 3, 1)]),  # always the same
        ([RATE], [("v uniform", 3, 0.1, 0.1), ("v add", 3, 0, 3), ("v dot", 1, 3, 1)]),
    ):
        assert "noise injection" not in names(Program.of(setup, predict, GRADIENT))


def test_bilinear_terms_are_measured():
    form = [("m gaussian", 0, 0.0, 1.0)], [("m times v", 0, 0, 3), ("v dot", 0, 3, 1)]
    assert names(Program.of(*form)) == {"bilinear term"}
    both = Program.of([RATE, *form[0]], [*form[1], ("v dot", 1, 0, 4), ("s add", 1, 4, 1)], GRADIENT)
    assert names(both) == {"gradient step", "bilinear term"}
    for predict in (
        [("v dot", 0, 0, 1)],  # squares alone
        [("m times v", 0, 0, 3), ("v abs", 3, 3), ("v dot", 0, 3, 1)],
        [("m times v", 0, 0, 3), ("v mean", 3, 1)],
    ):
        assert names(Program.of(form[0], predict)) == set(), predict


def test_weight_averaging_is_measured():
    step = [ERROR, ("s multiply", 2, 3, 3), ("s times v", 3, 0, 2), ("v add", 4, 2, 4)]  # weights v4
    total = Program.of([("s constant", 2, 0.001)], LINE, [*step, ("v add", 1, 4, 1)])
    keep = ("s constant", 5, 0.9), ("s constant", 6, 0.1)
    mean = [("s times v", 5, 1, 1), ("s times v", 6, 4, 3), ("v add", 1, 3, 1)]
    running = Program.of([RATE, *keep], LINE, [*step, *mean])
    for program in (total, running):
        assert "weight averaging" in names(program)
    assert "weight averaging" not in names(known.linear(), SIZES)
    copied = Program.of([RATE], LINE, [*step, ("v add", 4, 5, 1)])  # v5 stays 0
    assert "weight averaging" not in names(copied)
    momentum = [
        ERROR,
        ("s multiply", 2, 3, 3),
        ("s times v", 3, 0, 2),
        ("s times v", 5, 4, 4),
        ("v add", 4, 2, 4),
    ]
    for share in (0.5, 0.95):
        found = names(
            Program.of(
                [("s constant", 2, 0.002), ("s constant", 5, share)], LINE, [*momentum, ("v add", 1, 4, 1)]
            )
        )
        assert "weight averaging" not in found and "gradient step" in found


def test_programs_by_chance_have_no_ideas_by_chance():
    """Among 40 of them; and what is not finite is no measurement."""
    rng = np.random.default_rng(5)
    assert sum(len(ideas(random_program(rng, ROOM, (6, 8, 12)), ROOM)) for _ in range(40)) <= 2
    assert names(known.linear(1e9)) == names(known.constant(np.nan)) == names(Program.of()) == set()
