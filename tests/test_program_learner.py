"""A found program as a learner: the JAX interpreter against the NumPy one, and what data can be done with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tuned_rule
from aiga.brains.programs import interpreter, kernel, known
from aiga.brains.programs.kernel import Rules, Tasks
from aiga.brains.programs.ops import OPERATIONS, Program, Sizes, listing
from aiga.brains.programs.traced import Machine, Rule, fold, seeded
from aiga.learners.program import Experience, ProgramLearner, State
from aiga.testing import same
from test_programs import SIZES, noise, random_program, straight

KEY = jax.random.key(0)
MOST = (4, 6, 6)
ROOM = Sizes(5, 9, 2, 4)
WITHOUT_MATRICES = [k for k, o in enumerate(OPERATIONS) if "m" not in o.ins + o.out]


@pytest.fixture
def wide() -> Iterator[None]:
    """JAX with float64."""
    with jax.enable_x64(True):
        yield


class Shaky(interpreter.Machine):
    """The interpreter with other last bits, and with 0 for the smallest numbers."""

    def _step(self, row: int, name: int) -> None:
        super()._step(row, name)
        out = OPERATIONS[self.program.code[row, 0]].out
        if out:
            address = self.program.code[row, 3]
            value = self.memory[out][address]
            shake = np.random.default_rng(row).uniform(-1e-14, 1e-14, np.shape(value))
            value = np.where(np.abs(value) < 1e-150, 0.0, value * (1 + shake))
            self.memory[out][address] = value if out != "s" else np.float64(value)


def interpreted(machine: interpreter.Machine, x: np.ndarray, y: np.ndarray) -> list[Any]:
    """Predictions up to the first NaN, then all memory that there is if there was none."""
    machine.run("setup")
    found: list[Any] = []
    for features, label in zip(x, y, strict=True):
        found.append(machine.predict(features))
        if np.isnan(found[-1]):
            return found
        machine.learn(label)
    return found + [each for kind in "svm" for value in machine.memory[kind] for each in np.ravel(value)]


def close(one: Any, other: Any, tolerance: float) -> bool:
    return len(one) == len(other) and np.allclose(one, other, rtol=tolerance, atol=1e-12, equal_nan=True)


def begun(learner: ProgramLearner, task: int) -> State:
    return replace(learner.init(KEY), seed=jnp.asarray(seeded(7, task)))


def learnt(learner: ProgramLearner) -> Any:
    """Compiled once for all programs: `(rule, state, experience) -> (state, facts)`."""
    return jax.jit(lambda rule, state, experience: learner.learn(rule, KEY, state, experience))


def flat(state: State, facts: dict[str, Any]) -> list[Any]:
    """As `interpreted`."""
    predicted = list(np.asarray(facts["prediction"]))
    for k, each in enumerate(predicted):
        if np.isnan(each):
            return predicted[: k + 1]
    return predicted + [each for part in state.memory for each in np.ravel(part)]


@pytest.mark.parametrize("sizes", [SIZES, Sizes(3, 2, 1, 2), Sizes(4, 3, 1, 12), Sizes(4, 3, 0, 3)], ids=str)
def test_random_programs_are_the_interpreters(sizes, wide):
    """A program may differ only if the interpreter too tells other last bits apart: of 600 a few do."""
    learner = ProgramLearner(Machine(sizes, MOST, precision="float64"), limit=np.inf)
    run, rng, used, apart, ended = learnt(learner), np.random.default_rng(11), set(), 0, 0
    few = {} if sizes.matrices else {"pick": lambda rng: rng.choice(WITHOUT_MATRICES)}
    for task in range(150):
        program = random_program(rng, sizes, MOST, **few)
        x, y = rng.normal(size=(6, sizes.features)), rng.normal(size=6)
        want = interpreted(interpreter.Machine(program, sizes, 7, task), x, y)
        got = flat(*run(learner.machine.rule(program), begun(learner, task), Experience(x, y)))
        used |= set(program.code[:, 0])
        ended += np.isnan(want[-1]) and len(want) < 7
        if not close(got, want, 1e-9):
            shaken = interpreted(Shaky(program, sizes, 7, task), x, y)
            assert not close(shaken, want, 1e-11), listing(program)
            apart += 1
    assert apart <= 5 and ended < 75
    assert used == set(range(65) if sizes.matrices else WITHOUT_MATRICES)


def test_float32_is_near():
    learner = ProgramLearner(Machine(SIZES, MOST), limit=np.inf)
    run, rng, near = learnt(learner), np.random.default_rng(0), 0
    for task in range(100):
        program = random_program(rng, SIZES, MOST, change=lambda *_: None)
        x, y = rng.normal(size=(4, 4)), rng.normal(size=4)
        want = interpreted(interpreter.Machine(program, SIZES, 7, task), x, y)[:4]
        facts = run(learner.machine.rule(program), begun(learner, task), Experience(x, y))[1]
        near += np.allclose(np.asarray(facts["prediction"])[: len(want)], want, 1e-3, 1e-5, equal_nan=True)
    assert near >= 95


@settings(deadline=None)
@given(*[st.integers(0, 2**64 - 1)] * 2, st.integers(0, 2**32 - 1))
def test_the_hash_is_the_interpreters(key, task, time):
    high, low = (np.uint32(n) for n in seeded(key, task))
    words = fold((jnp.uint32(high), jnp.uint32(low)), jnp.uint32(time))
    assert int(words[0]) << 32 | int(words[1]) == interpreter.fold(interpreter.fold(key, task), time)


def scored(learner: ProgramLearner, program: Program, tasks: Tasks, epochs: int) -> list[float]:
    """Fitness as the interpreter has it, but of the last epoch."""
    accuracy, found = learner.machine.accuracy, []

    @jax.jit
    def run(rule: Rule, state: State, train: Experience, valid: Experience) -> tuple[State, Any]:
        def epoch(state: State, _: None) -> tuple[State, Any]:
            state, _ = learner.learn(rule, KEY, state, train)
            state, facts = learner.judge(rule, state, valid)
            return state, facts

        return jax.lax.scan(epoch, state, length=epochs)

    for n, (x, y, vx, vy) in enumerate(zip(*tasks.arrays, strict=True)):
        state = replace(learner.init(KEY), seed=jnp.asarray(seeded(0, n)))
        _, facts = run(learner.machine.rule(program), state, Experience(x, y), Experience(vx, vy))
        predicted, missed = np.asarray(facts["prediction"])[-1], np.asarray(facts["error"])[-1]
        if accuracy:
            found.append(np.mean((predicted > 0.5) == (vy > 0.5)))
        else:
            found.append(1 - 2 / np.pi * np.arctan(np.sqrt(np.mean(missed**2))))
    return found


def test_the_papers_programs_learn(wide):
    """As well as in the kernel: linear tasks, labels by a sigmoid, and a network's own over some epochs."""
    lines = straight(2, 1000, 20)
    halves = replace(straight(2), train_y=straight(2).train_y > 0, valid_y=straight(2).valid_y > 0)
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2, 500, 4))
    y = np.maximum(np.einsum("nij,ntj->nti", rng.normal(size=(2, 4, 4)), x), 0) @ rng.normal(size=4)
    bent = Tasks(x[:, :400], y[:, :400], x[:, 400:], y[:, 400:])
    for program, tasks, epochs, accuracy, least in (
        (known.linear(), lines, 1, False, 0.999),
        (known.linear(0.1), halves, 1, True, 0.85),
        (known.network(0.01, 0.5, 0.5), bent, 10, False, 0.6),
    ):
        machine = Machine(ROOM, program.lengths, accuracy, "float64")
        got = scored(ProgramLearner(machine), program, tasks, epochs)
        rules = Rules("accuracy" if accuracy else "rmse", epochs)
        want = kernel.evaluate([program], ROOM, tasks, rules)[0]
        assert min(got) > least
        np.testing.assert_allclose(got, want, rtol=1e-6)


def some(count: int, seed: int, most: tuple[int, int, int] = MOST) -> list[Program]:
    rng = np.random.default_rng(seed)
    return [random_program(rng, SIZES, most, change=lambda *_: None) for _ in range(count)]


def test_many_programs_at_once_are_one_by_one(wide):
    machine = Machine(SIZES, MOST, precision="float64")
    learner = ProgramLearner(machine, limit=np.inf)
    programs = [*some(14, 1), known.linear(), known.constant(2.0)]
    rules = [machine.rule(program) for program in programs]
    x, y = (jnp.asarray(part) for part in (noise().train_x[0], noise().train_y[0]))
    state, lesson, run = begun(learner, 3), Experience(x, y), learnt(learner)
    stacked = jax.tree.map(lambda *parts: np.stack(parts), *rules)
    together = jax.jit(jax.vmap(run, (0, None, None)))(stacked, state, lesson)
    for k, rule in enumerate(rules):
        alone = run(rule, state, lesson)
        for one, other in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
            np.testing.assert_allclose(np.asarray(other)[k], one, rtol=1e-9, atol=1e-12)


def test_in_halves_is_the_same_as_at_once():
    chance = Program.of(
        [("v gaussian", 1, 0.0, 1.0)], [("s uniform", 2, 0.0, 1.0), ("v dot", 1, 0, 1)],
        [("s gaussian", 3, 0.0, 0.1), ("s times v", 3, 0, 2), ("v add", 1, 2, 1)],
    )  # fmt: skip
    learner = ProgramLearner(Machine(SIZES, MOST), chance)
    x, y = noise().train_x[0], noise().train_y[0]
    whole, facts = learner.learn(None, KEY, learner.init(KEY), Experience(x, y))
    state, first = learner.learn(None, KEY, learner.init(KEY), Experience(x[:3], y[:3]))
    state, second = learner.learn(None, jax.random.key(9), state, Experience(x[3:], y[3:]))
    assert same(state, whole) and int(whole.time) == 1 + 2 * 6
    for name, told in facts.items():
        assert np.array_equal(np.concatenate([first[name], second[name]]), told)
    # Memory that setup has been over is gone on with.
    brain = learner.brain()
    weights = brain.init(KEY)
    again, others = learner.learn(None, KEY, learner.init(KEY, weights), Experience(x, y))
    assert same(again, whole) and same(others, facts)
    # Whoever plays does what predict does.
    told = learner.judge(None, whole, Experience(x, y))[1]["prediction"]
    memory, acted = brain.begin(), []
    act = jax.jit(brain.act)
    for features in x:
        output, memory = act(whole.memory, memory, jnp.asarray(features, jnp.float32))
        acted.append(output)
    np.testing.assert_allclose(np.ravel(acted), told, rtol=1e-6)


@pytest.fixture(scope="module")
def hostile() -> Any:
    return learnt(ProgramLearner(Machine(SIZES, (2, 3, 3))))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_garbage_runs(hostile, data):
    """Any bytes and numbers, in memory too; label and features are never a program's to write."""
    floats = st.floats(width=32)

    def numbers(*shape: int) -> Any:
        count = int(np.prod(shape))
        return np.array(data.draw(st.lists(floats, min_size=count, max_size=count)), np.float32).reshape(
            shape
        )

    code = data.draw(st.lists(st.one_of(st.integers(0, 3), st.integers(0, 255)), min_size=32, max_size=32))
    lengths = np.array(data.draw(st.lists(st.integers(-2, 9), min_size=3, max_size=3)), np.int32)
    rule = Rule(np.array(code, np.uint8).reshape(8, 4), numbers(8, 3), lengths)
    learner = ProgramLearner(Machine(SIZES, (2, 3, 3)))
    x, y = numbers(2, 4), numbers(2)
    state, facts = hostile(rule, learner.init(KEY), Experience(x, y))
    assert {part.shape for part in facts.values()} == {(2,)}
    seen = 0 if np.isnan(facts["prediction"][1]) and not state.alive and int(state.time) < 4 else 1
    np.testing.assert_array_equal(state.memory.vectors[0], x[seen])
    assert state.memory.scalars[0] in (0, y[seen])


def test_an_error_out_of_bounds_is_the_end():
    learner = ProgramLearner(Machine(SIZES, MOST), known.linear(100.0))
    tasks = straight(1, 20)
    state, facts = learner.learn(None, KEY, learner.init(KEY), Experience(tasks.train_x[0], tasks.train_y[0]))
    error = np.asarray(facts["error"])
    end = int(np.argmax(~(np.abs(error) <= 100)))
    assert 0 < end < 19 and np.isnan(error[end + 1 :]).all() and not state.alive
    assert int(state.time) == 1 + 2 * end + 1
    later = learner.learn(None, KEY, state, Experience(tasks.train_x[0], tasks.train_y[0]))[0]
    assert same(later, state)


def summed(learner: ProgramLearner, data: Any, scale: Any, rule: Rule) -> Any:
    """The squared errors of `rule` with other constants, from memory that is not all zeros."""
    start = learner.init(KEY)
    state = replace(start, memory=jax.tree.map(lambda part: part + 0.1 * scale, start.memory))
    lesson = Experience(noise().train_x[0], noise().train_y[0])
    return jnp.sum(learner.learn(rule._replace(data=data), KEY, state, lesson)[1]["error"] ** 2)


def test_gradients_are_those_of_differences(wide):
    """Of constants and of memory."""
    learner = ProgramLearner(Machine(ROOM, (3, 5, 11), precision="float64"))
    rule = learner.machine.rule(known.network(0.05, 0.5, 0.5))
    value, slopes = jax.jit(partial(summed, learner)), jax.jit(jax.grad(partial(summed, learner), (0, 1)))
    data, one = jnp.asarray(rule.data), jnp.ones(())
    by_data, by_scale = slopes(data, one, rule)
    for row, column in ((0, 1), (1, 1), (2, 0)):  # the deviations of both layers, the rate
        step = jnp.zeros_like(data).at[row, column].set(1e-6)
        difference = (value(data + step, one, rule) - value(data - step, one, rule)) / 2e-6
        assert abs(difference) > 1e-3
        np.testing.assert_allclose(by_data[row, column], difference, rtol=1e-5)
    difference = (value(data, one + 1e-6, rule) - value(data, one - 1e-6, rule)) / 2e-6
    np.testing.assert_allclose(by_scale, difference, rtol=1e-5)


def test_gradients_side_by_side_know_nothing_of_other_operations(wide):
    """Mapped over programs all operations are computed, and memory of zeros has their poles."""
    learner = ProgramLearner(Machine(Sizes(4, 3, 0, 4), (1, 1, 4), precision="float64"))
    rules = [learner.machine.rule(known.linear(rate)) for rate in (0.01, 0.05, 0.2)]
    stacked = jax.tree.map(lambda *parts: np.stack(parts), *rules)
    several = jax.vmap(partial(summed, learner), (0, None, 0))
    total = jax.jit(jax.value_and_grad(lambda data, rules: several(data, 0.0, rules).sum()))
    _, slopes = total(jnp.asarray(stacked.data), stacked)
    assert np.isfinite(slopes).all()
    for k in range(3):
        step = np.zeros_like(stacked.data)
        step[k, 0, 0] = 1e-6
        difference = (total(stacked.data + step, stacked)[0] - total(stacked.data - step, stacked)[0]) / 2e-6
        np.testing.assert_allclose(slopes[k, 0, 0], difference, rtol=1e-5)


def test_what_does_not_fit_is_named():
    for named, call in (
        ("most: ", partial(Machine, SIZES, (1, 2, 256))),
        ("precision: one of", partial(Machine, precision="half")),
        ("precision: float64 needs", Machine(precision="float64").begin),
        ("learn: at most 3", partial(Machine(SIZES, (1, 1, 3)).rule, known.linear())),
        ("setup 0: out from 1", partial(Machine(Sizes(2, 3, 0, 4)).rule, known.linear())),
        ("limit: ", partial(ProgramLearner, Machine(), limit=0)),
        ("meta: ", lambda: ProgramLearner(Machine()).brain()),
        (
            "lengths: at most",
            lambda: ProgramLearner(Machine(SIZES, (1, 1, 3))).learn(
                Machine(SIZES, MOST).rule(known.linear()), KEY, ProgramLearner(Machine(SIZES)).init(KEY),
                Experience(np.zeros((1, 4)), np.zeros(1)),
            ),
        ),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=named):
            call()


def test_a_rule_is_tuned_by_the_errors_it_leaves():
    rule, (before, after) = tuned_rule.tuned(known.linear(0.01), Sizes(4, 3, 0, 4), steps=25)
    assert after < before / 2 and rule.data[0, 0] > 0.03
