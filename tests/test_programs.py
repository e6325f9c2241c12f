"""Programs of AutoML-Zero: the kernel against the NumPy interpreter, and the search's promises."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiga import _programs
from aiga.brains.programs import evolution, interpreter, kernel, known
from aiga.brains.programs.evolution import Config, Mutations, State
from aiga.brains.programs.kernel import Rules, Tasks
from aiga.brains.programs.ops import NUMBER, OPERATIONS, Program, Sizes, listing
from aiga.runs import codec

SIZES = Sizes(5, 4, 3, 4)
SIX = tuple(
    NUMBER[name] for name in ("s constant", "v dot", "s subtract", "s multiply", "s times v", "v add")
)


def noise(count: int = 3, train: int = 6, valid: int = 4, features: int = 4, seed: int = 0) -> Tasks:
    """Tasks that nothing can learn, with features large and small."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, train + valid, features)) * rng.choice([0.1, 1.0, 4.0], (count, 1, 1))
    y = rng.normal(size=(count, train + valid))
    return Tasks(x[:, :train], y[:, :train], x[:, train:], y[:, train:])


def straight(count: int = 8, train: int = 100, valid: int = 100, features: int = 4, seed: int = 0) -> Tasks:
    """Linear regression, as in the paper's section 4.1."""
    rng = np.random.default_rng(seed)
    w, x = rng.normal(size=(count, 1, features)), rng.normal(size=(count, train + valid, features))
    y = (w * x).sum(-1)
    return Tasks(x[:, :train], y[:, :train], x[:, train:], y[:, train:])


def troubled(rng: np.random.Generator, op: int, data: np.ndarray) -> None:
    """Constants among which are those that make trouble."""
    if rng.random() < 0.2:
        data[0] = rng.choice([0.0, -0.0, 1e308, -1e308, 1e-310, np.inf, -np.inf, np.nan, 1e22, 0.5])


def random_program(
    rng: np.random.Generator,
    sizes: Sizes,
    lengths: tuple[int, int, int],
    pick: Callable[[np.random.Generator], int] = lambda rng: rng.integers(len(OPERATIONS)),
    change: Callable[[np.random.Generator, int, np.ndarray], None] = troubled,
) -> Program:
    """Any operations that `pick` gives, with constants as `change` leaves them."""
    code = np.zeros((sum(lengths), 4), np.uint8)
    data = rng.uniform(-1, 1, (sum(lengths), 3))
    for row in range(len(code)):
        op = pick(rng)
        operation = OPERATIONS[op]
        code[row, 0] = op
        for k, kind in enumerate(operation.ins):
            code[row, k + 1] = rng.integers(sizes.of(kind))
        if operation.out:
            code[row, 3] = rng.integers(int(operation.out != "m"), sizes.of(operation.out))
        if "index" in operation.data:
            data[row, 1:] = rng.uniform(0, 1, 2)
        change(rng, op, data[row])
    return Program(code, data, lengths)


def reference(program: Program, sizes: Sizes, tasks: Tasks, rules: Rules, limit: float) -> list[float]:
    return [
        interpreter.fitness(
            program, sizes, (tasks.train_x[n], tasks.train_y[n]), (tasks.valid_x[n], tasks.valid_y[n]),
            epochs=rules.epochs, accuracy=rules.score == "accuracy", limit=limit, key=rules.key, task=n,
        )
        for n in range(len(tasks.train_x))
    ]  # fmt: skip


def test_the_kernel_has_the_same_operations():
    kinds = {"": 0, "s": 1, "v": 2, "m": 3}
    data = ["", "constant", "constant index", "constant index index", "low high", "mean deviation"]
    ours = [
        [kinds[o.ins[:1]], kinds[o.ins[1:]], kinds[o.out], data.index(" ".join(o.data))] for o in OPERATIONS
    ]
    assert ours == _programs.operations() and len(ours) == 65


@pytest.mark.parametrize("op", range(65), ids=[o.name for o in OPERATIONS])
def test_every_operation_is_the_interpreters(op):
    """Fed with numbers of all sizes, infinities and NaN, its output read through what the errors allow."""
    operation, rng = OPERATIONS[op], np.random.default_rng(op)
    fill = [("s gaussian", 2, 0.0, 2.0), ("v gaussian", 2, 0.0, 2.0), ("m gaussian", 1, 0.0, 2.0)]
    fill += [("s gaussian", 3, 0.0, 0.5), ("v gaussian", 3, 0.0, 0.5), ("m gaussian", 2, 0.0, 0.5)]
    programs = []
    for special in (None, 0.0, -0.0, np.inf, -np.inf, np.nan, 1e22, -3e5):
        setup: list[Any] = list(fill)
        if special is not None:
            setup += [
                ("s constant", 2, special),
                ("v constant", 2, special, 0.3),
                ("m constant", 1, special, 0.9, 0.1),
            ]
        ins = [{"s": (2, 3), "v": (2, 3), "m": (1, 2)}[kind][k] for k, kind in enumerate(operation.ins)]
        for out in [0, 1] if operation.out == "m" else [1, 2]:  # apart, and onto its own input
            data = [abs(x) for x in rng.uniform(0.1, 0.9, len(operation.data))]
            step = (operation.name, *ins, *([out] if operation.out else []), *data)
            if operation.out == "v":
                read = [("v dot", out, 3, 1)]
            elif operation.out == "m":
                read = [("m times v", out, 3, 3), ("v dot", 3, 0, 1)]
            else:
                read = [("s add", out, 4, 1)]
            programs.append(Program.of(setup, [step, *read], [("s add", 4, 0, 4)]))
            programs.append(Program.of(setup, [step, *read, ("s arctan", 1, 1)], [step]))
    tasks, rules = noise(), Rules(key=op, limit=1e300)
    got = kernel.evaluate(programs, SIZES, tasks, rules)
    want = [reference(p, SIZES, tasks, rules, 1e300) for p in programs]
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=0)
    assert op == 0 or np.any(got > 0)


@pytest.mark.parametrize("score", ["rmse", "accuracy"])
def test_random_programs_are_the_interpreters(score):
    """Nothing stops at a limit here but NaN, so that infinities flow on."""
    rng, rules = np.random.default_rng(5), Rules(score=score, epochs=2, limit=np.inf, key=7)
    for sizes in (SIZES, Sizes(3, 2, 1, 2), Sizes(4, 3, 1, 12)):
        tasks = noise(3, features=sizes.features)
        tasks = (
            replace(tasks, train_y=tasks.train_y > 0, valid_y=tasks.valid_y > 0)
            if score == "accuracy"
            else tasks
        )
        programs = [random_program(rng, sizes, (4, 6, 6)) for _ in range(80)]
        got = kernel.evaluate(programs, sizes, tasks, rules)
        want = np.array([reference(p, sizes, tasks, rules, np.inf) for p in programs])
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)
        assert len(np.unique(got)) > (30 if score == "rmse" else 3)


def test_pairs_of_instructions_are_the_interpreters():
    """The kernel makes one step of a product and the sum that takes it up, where nobody else reads it."""
    room, rng = Sizes(5, 9, 2, 4), np.random.default_rng(0)
    programs = [known.linear(), known.network(), known.network(0.1, 1, 1)]
    for _ in range(300):
        steps = []
        for _ in range(4):
            s, a, b, c, d, e = (int(n) for n in rng.integers(1, 4, 6))
            steps.append(("s times v", s, a, b) if rng.random() < 0.6 else ("v outer", a, b, b % 2))
            steps.append(("v add", c, d, e) if rng.random() < 0.6 else ("m add", c % 2, d % 2, e % 2))
        programs.append(
            Program.of(
                [("v gaussian", 1, 0, 1), ("s gaussian", 2, 0, 1), ("s gaussian", 3, 0, 0.3)],
                [("m times v", 1, 0, 4), ("v dot", 4, 1, 1), ("s add", 2, 1, 1)],
                [*steps, ("v add", 2, 0, 2)],
            )
        )
    tasks, rules = noise(2), Rules(limit=1e6)
    got = kernel.evaluate(programs, room, tasks, rules)
    want = [reference(p, room, tasks, rules, 1e6) for p in programs]
    np.testing.assert_allclose(got, want, rtol=1e-10)
    assert np.count_nonzero(got) > 300


def test_same_bytes_whatever_the_lanes_the_threads_and_the_instruction_set():
    rng = np.random.default_rng(1)
    programs = [random_program(rng, SIZES, (4, 6, 6)) for _ in range(60)] + [known.linear()]
    for precision in kernel.PRECISIONS:
        tasks, rules = noise(21), Rules(epochs=2, precision=precision)
        one = kernel.evaluate(programs, SIZES, tasks, rules)
        for lanes in (4, 8, 16):
            for name in _programs.instruction_sets():
                other = kernel.evaluate(
                    programs, SIZES, tasks, rules, lanes=lanes, threads=3, instruction_set=name
                )
                assert one.tobytes() == other.tobytes(), (precision, lanes, name)
    alone = kernel.evaluate(programs, SIZES, Tasks(*(a[:1] for a in tasks.arrays)), rules)
    assert alone.tobytes() == np.ascontiguousarray(one[:, :1]).tobytes()


def test_dead_code_and_names_change_nothing_but_are_seen():
    rng, sizes = np.random.default_rng(2), Sizes(6, 5, 2, 4)
    programs = [random_program(rng, sizes, (5, 6, 8)) for _ in range(200)]
    tasks, rules = noise(4), Rules(limit=np.inf)
    known_of = kernel.compiled(programs, sizes)
    dead = sum(int((~row[:19]).sum()) for row in known_of.live)
    assert 0.2 < dead / (200 * 19) < 0.95
    blanked, renamed = [], []
    others = {"s": [0, 1, 4, 2, 5, 3], "v": [0, 3, 1, 4, 2], "m": [1, 0]}
    for program, live in zip(programs, known_of.live, strict=True):
        code = program.code.copy()
        code[~live[:19]] = 0
        blanked.append(replace(program, code=code))
        code = program.code.copy()
        for row in code:
            operation = OPERATIONS[row[0]]
            for k, kind in enumerate(operation.ins):
                row[k + 1] = others[kind][row[k + 1]]
            if operation.out:
                row[3] = others[operation.out][row[3]]
        renamed.append(replace(program, code=code))
    fitness = kernel.evaluate(programs, sizes, tasks, rules)
    for variants in (blanked, renamed):
        assert (kernel.compiled(variants, sizes).hash == known_of.hash).all()
        assert kernel.evaluate(variants, sizes, tasks, rules).tobytes() == fitness.tobytes()
    lengths = {h: f.tobytes() for h, f in zip(known_of.hash, fitness, strict=True)}
    assert all(lengths[h] == f.tobytes() for h, f in zip(known_of.hash, fitness, strict=True))
    assert len(lengths) > 100


def test_the_papers_programs_learn():
    tasks = straight(train=1000)
    assert kernel.evaluate([known.linear()], SIZES, tasks).min() > 0.999
    rng = np.random.default_rng(3)
    x = rng.normal(size=(4, 1200, 4))
    y = np.maximum(np.einsum("nij,ntj->nti", rng.normal(size=(4, 4, 4)), x), 0) @ rng.normal(size=4)
    bent = Tasks(x[:, :1000], y[:, :1000], x[:, 1000:], y[:, 1000:])
    room, rules = Sizes(5, 9, 2, 4), Rules(epochs=20)
    ours, lines, guess = kernel.evaluate(
        [known.network(0.01, 0.5, 0.5), known.linear(), known.constant()], room, bent, rules
    ).mean(1)
    assert ours > lines + 0.1 > guess + 0.1
    side = Rules(score="accuracy")
    halves = replace(straight(), train_y=straight().train_y > 0, valid_y=straight().valid_y > 0)
    assert kernel.evaluate([known.linear(0.1)], SIZES, halves, side).min() > 0.9
    assert kernel.evaluate([known.constant(-1)], SIZES, halves, side).mean() == pytest.approx(0.5, abs=0.1)
    assert "s1 = dot(v1, v0)" in listing(known.linear())
    assert "v1[2] = 0.25" in listing(Program.of([("v constant", 1, 0.25, 0.5)]), 4)


def test_an_error_out_of_bounds_is_the_end():
    tasks = straight(2, train=5, valid=5)
    programs = [known.constant(101), known.constant(np.nan), known.constant(90), known.linear(100)]
    fitness = kernel.evaluate(programs, SIZES, tasks)
    assert (fitness[:2] == 0).all() and (fitness[2] > 0).all() and (fitness[3] == 0).all()


def demo(**changes: Any) -> Config:
    """The public release's demo."""
    given: dict[str, Any] = {
        "sizes": Sizes(4, 3, 1, 4),
        "population": 100,
        "mutations": Mutations(0, 0, 1, 1, 0, 1),
        "most": (10, 2, 8),
        "setup_ops": SIX,
        "predict_ops": SIX,
        "learn_ops": SIX,
        "cache": 4000,
    }
    return Config(**given | changes)


FULL: dict[str, Any] = {
    "sizes": SIZES,
    "mutations": Mutations(1, 2, 3, 3, 1, 1, 1),
    "setup_ops": evolution.EVERY_OPERATION,
    "predict_ops": evolution.EVERY_OPERATION,
    "learn_ops": evolution.EVERY_OPERATION,
    "begin": (3, 2, 3),
    "most": (6, 6, 8),
    "hurdle_tasks": 2,
    "hurdle_every": 150,
    "forget": 5,
    "cache": 400,
}


def equal(a: State, b: State) -> bool:
    one, other = codec.encode(a), codec.encode(b)
    same = all(x.tobytes() == other.arrays[name].tobytes() for name, x in one.arrays.items())
    return same and one.tree == other.tree


@pytest.mark.parametrize("changes", [{}, FULL], ids=["demo", "everything"])
def test_a_chunk_may_end_anywhere(changes):
    config, tasks = demo(**changes), straight(5, 20, 20)
    whole = evolution.evolve(config, evolution.begin(3, config), tasks, 3000)
    state, improvements = evolution.begin(3, config), []
    for individuals in (7, 93, 0, 1400, 1500):
        stored = codec.encode(state)
        state = codec.decode(State, stored.tree, stored.arrays)
        state, better, _ = evolution.evolve(config, state, tasks, individuals)
        improvements += better
    assert equal(whole.state, state)
    assert [i.id for i in improvements] == [i.id for i in whole.improvements]
    assert whole.counts.canonical_hits > 300 and whole.counts.print_hits > 0
    assert (whole.counts.hurdled > 0) == bool(config.hurdle_tasks)


def test_an_island_is_its_own_whatever_runs_beside_it():
    config, tasks = demo(), straight(5, 20, 20)
    alone = [evolution.evolve(config, evolution.begin(seed, config), tasks, 2000).state for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        beside = pool.map(
            lambda seed: evolution.evolve(config, evolution.begin(seed, config), tasks, 2000).state, range(4)
        )
        assert all(map(equal, alone, beside))
    assert not equal(alone[0], alone[1])
    for name in _programs.instruction_sets():
        again = evolution.evolve(config, evolution.begin(0, config), tasks, 2000, instruction_set=name)
        assert equal(again.state, alone[0])


def test_a_splice_goes_as_far_as_what_was_written_lives():
    """All children of a program, by hand. Whoever reads an input later reads the result, beyond the end of a
    component and around, until one of the two is overwritten."""

    def program(add=1, times=0, dot=1, outer=(1, 0), multiply=(1, 3)):
        return Program.of(
            [("v gaussian", 1, 1.0, 0.5)],
            [("v add", add, 0, 3), ("m times v", 0, times, 2), ("v dot", 2, dot, 1)],
            [("v outer", *outer, 1), ("m add", 0, 1, 0), ("v multiply", *multiply, 2)],
        )

    children = [
        program(),  # of what has no input like its result, or whose reader is not reached
        program(dot=3, outer=(3, 0), multiply=(3, 3)),  # v1 + v0 for v1
        program(times=3, outer=(1, 3)),  # v1 + v0 for v0
        program(outer=(1, 2)),  # m0 v0 for v0; the product overwrites v2
        program(add=2),  # v1 v3 for v1, around; m0 v0 overwrites v2
    ]
    config = demo(
        sizes=Sizes(2, 4, 2, 4), population=1, mutate=1.0, begin=(1, 3, 3), most=(1, 3, 3),
        mutations=Mutations(0, 0, 0, 0, splice=1),
    )  # fmt: skip
    tasks, found = straight(2, 5, 5), set()
    for seed in range(200):
        island = evolution.settled(seed, config, children[0], tasks)
        found.add(listing(evolution.evolve(config, island, tasks, 1).state.individual(0), 4))
    assert found == {listing(child, 4) for child in children}


def test_migrants_are_the_youngest():
    config, tasks = demo(), straight(5, 20, 20)
    home, abroad = (
        evolution.evolve(config, evolution.begin(seed, config), tasks, 1030).state for seed in range(2)
    )
    with pytest.raises(ValueError, match="migrants: "):
        evolution.immigrate(abroad, evolution.emigrants(home, 101, 0))
    migrants = evolution.emigrants(home, 80, 5)
    there = evolution.immigrate(abroad, migrants)
    rows = np.arange(1030, 1110) % 100
    assert there.born == 1110 and (there.code[rows] == migrants.code).all()
    kept = np.setdiff1d(np.arange(100), rows)
    assert (there.fitness[kept] == abroad.fitness[kept]).all()
    assert evolution.evolve(config, there, tasks, 500).state.born == 1610


def test_ancestors_are_those_of_a_replay():
    """One individual at a time, its parent drawn again from the state before: the last improvement in every
    line is known, on three islands that exchange migrants."""
    config, tasks, islands = demo(population=30, tournament=3), straight(3, 10, 10), 3
    begun = [evolution.begin(seed, config, seed, islands) for seed in range(islands)]
    states, lines = list(begun), [[-1] * 30 for _ in begun]
    whole, beyond, found, told = list(begun), 0, [], []
    for time in range(6):
        for k in range(islands):
            for _ in range(100):
                before = states[k]
                states[k], better, _ = evolution.evolve(config, before, tasks, 1)
                ancestor = -1 if before.born < 30 else lines[k][tournament(before, config.tournament)]
                if better:
                    found += better
                    assert (better[0].id, better[0].ancestor) == (islands * before.born + k, ancestor)
                    beyond += ancestor >= 0 and ancestor % islands != k
                lines[k][before.born % 30] = better[0].id if better else ancestor
        chunks = [evolution.evolve(config, each, tasks, 100) for each in whole]
        whole = [each.state for each in chunks]
        told += [better for each in chunks for better in each.improvements]
        assert [each.ancestor.tolist() for each in states] == lines and all(map(equal, states, whole))
        leaving = [evolution.emigrants(each, 12, 7 * time + k) for k, each in enumerate(states)]
        moved = []
        for k in range(islands):
            source = (k + 1) % islands
            rows = np.random.default_rng(7 * time + source).integers(30, size=12)
            moved.append([lines[source][row] for row in rows])
            states[k] = whole[k] = evolution.immigrate(states[k], leaving[source])
        for k in range(islands):
            for n, line in enumerate(moved[k]):
                lines[k][(states[k].born - 12 + n) % 30] = line
    assert [i.id for i in found] == [i.id for i in told] and beyond > 0


def tournament(state: State, size: int) -> int:
    """The row of the next parent, by SplitMix64 as the kernel has it."""
    random, rows = state.random, []
    for _ in range(size):
        random = (random + 0x9E3779B97F4A7C15) % 2**64
        x = (random ^ random >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
        rows.append(((x ^ x >> 31) >> 32) * len(state.code) >> 32)
    fitness = state.fitness[:, 0]
    return max(rows, key=lambda row: fitness[row])


def test_caches_spare_work_and_change_no_fitness():
    tasks = straight(5, 20, 20)
    config = demo(print_train=0, print_valid=0, combine="mean")
    with_cache = evolution.evolve(config, evolution.begin(1, config), tasks, 3000)
    without = replace(config, cache=0)
    other = evolution.evolve(without, evolution.begin(1, without), tasks, 3000)
    assert with_cache.state.fitness.tobytes() == other.state.fitness.tobytes()
    assert with_cache.counts.run < 0.8 * other.counts.run == 2400
    # Every fitness is that of the program it stands beside.
    state = with_cache.state
    rows = [state.individual(row) for row in range(config.population)]
    fitness = kernel.evaluate(rows, config.sizes, tasks)
    np.testing.assert_allclose(fitness.mean(1), state.fitness[:, 0], rtol=1e-15)
    assert state.best is not None
    best = kernel.evaluate([state.best], config.sizes, tasks).mean()
    assert best == pytest.approx(state.best_fitness, rel=1e-15)


def test_improvements_tell_a_lineage():
    config, tasks = demo(**FULL | {"hurdle_tasks": 0}), straight(5, 20, 20)
    done = evolution.evolve(config, evolution.begin(4, config), tasks, 5000)
    scores = [i.fitness for i in done.improvements]
    assert scores == sorted(set(scores)) and len(scores) > 3 and scores[-1] == done.state.best_fitness
    assert done.improvements[0].parent == -1 and done.improvements[0].parent_program is None
    for each in done.improvements:
        each.program.check(config.sizes)
        assert all(n <= most for n, most in zip(each.program.lengths, config.most, strict=True))
        if each.parent >= 0:
            assert each.id - config.population <= each.parent < each.id
            parent = kernel.evaluate([each.parent_program], config.sizes, tasks)
            assert np.median(parent) == pytest.approx(each.parent_fitness, rel=1e-12)


def test_evolution_finds_what_random_search_does_not():
    """As many individuals from the same seeds: over six of them the means differed by 0.26."""
    tasks = straight(5, 100, 50)
    bred = demo(combine="mean", population=1000)
    drawn = replace(bred, population=60_000)  # that many are random programs
    best, best_drawn = (
        np.mean(
            [
                evolution.evolve(config, evolution.begin(seed, config), tasks, 60_000).state.best_fitness
                for seed in range(3)
            ]
        )
        for config in (bred, drawn)
    )
    assert best > best_drawn + 0.05


def test_what_costs_too_much_is_not_run():
    room = Sizes(5, 9, 2, 4)
    most = evolution.budget(room, Rules(), 20, 1.0)
    cost = kernel.compiled([known.linear(), known.network()], room).cost @ [1, 20]
    assert cost[0] < cost[1] == most and evolution.budget(room, Rules(), 20) == 4 * most
    config = demo(**FULL | {"budget": cost[0] / 3})
    done = evolution.evolve(config, evolution.begin(0, config), straight(5, 20, 20), 2000)
    rows = [done.state.individual(row) for row in range(config.population)]
    over = kernel.compiled(rows, SIZES).cost @ [1, 20] > cost[0] / 3
    assert done.counts.costly > 50 and (done.state.fitness[over] == 0).all()


words = st.integers(0, 255)
floats = st.floats(allow_nan=True, allow_infinity=True)


@st.composite
def garbage(draw: Any) -> Program:
    lengths = draw(st.tuples(*[st.integers(0, 4)] * 3))
    count = sum(lengths)
    code = draw(
        st.lists(
            st.lists(st.one_of(st.integers(0, 3), words), min_size=4, max_size=4),
            min_size=count,
            max_size=count,
        )
    )
    data = draw(st.lists(st.lists(floats, min_size=3, max_size=3), min_size=count, max_size=count))
    return Program(
        np.array(code, np.uint8).reshape(-1, 4), np.array(data, np.float64).reshape(-1, 3), lengths
    )


@settings(max_examples=150, deadline=None)
@given(
    garbage(),
    st.integers(2, 5),
    st.integers(1, 5),
    st.integers(0, 2),
    st.sampled_from([1, 2, 3, 4, 8]),
    st.data(),
)
def test_garbage_is_refused_or_runs(program, scalars, vectors, matrices, features, data):
    sizes = Sizes(scalars, vectors, matrices, features)
    x = np.array(data.draw(st.lists(floats, min_size=features * 2, max_size=features * 2))).reshape(
        1, 2, features
    )
    y = np.array(data.draw(st.lists(floats, min_size=2, max_size=2))).reshape(1, 2)
    try:
        program.check(sizes)
    except ValueError as refused:
        with pytest.raises(ValueError, match="^" + str(refused).split(":")[0]):
            kernel.evaluate([program], sizes, Tasks(x, y, x, y))
        return
    fitness = kernel.evaluate([program], sizes, Tasks(x, y, x, y), Rules(limit=np.inf))
    assert ((fitness >= 0) & (fitness <= 1)).all()


def test_what_does_not_fit_is_named():
    tasks = noise()
    a = [known.linear()]
    cases: list[tuple[str, Any]] = [
        ("train_y: ", lambda: kernel.evaluate(a, SIZES, replace(tasks, train_y=tasks.train_y[:2]))),
        ("valid_x: ", lambda: kernel.evaluate(a, SIZES, replace(tasks, valid_x=tasks.valid_x[:, :, :3]))),
        ("train_x: 3 axes", lambda: kernel.evaluate(a, SIZES, replace(tasks, train_x=tasks.train_y))),
        ("lanes: ", lambda: kernel.evaluate(a, SIZES, tasks, lanes=3)),
        ("instruction_set: one of", lambda: kernel.evaluate(a, SIZES, tasks, instruction_set="mmx")),
        ("epochs: ", lambda: kernel.evaluate(a, SIZES, tasks, Rules(epochs=0))),
        ("limit: ", lambda: kernel.evaluate(a, SIZES, tasks, Rules(limit=np.nan))),
        (
            "code: u8",
            lambda: kernel.evaluate([replace(a[0], code=a[0].code.astype(int) + 256)], SIZES, tasks),
        ),
        ("score: ", lambda: Rules(score="loss")),
        ("setup 0: out from 1 to 1", lambda: kernel.evaluate(a, Sizes(2, 3, 0, 4), tasks)),
    ]
    state = evolution.begin(0, demo())
    for name, value in {
        "tournament": 0, "mutate": 1.5, "least": (11, 0, 0), "begin": (11, 2, 8), "hurdle_tasks": 3,
        "setup_ops": (65,), "predict_ops": (300,), "forget": "often", "learn_ops": (),
        "mutations": Mutations(0, 0, 0, 0), "population": 99,
    }.items():  # fmt: skip
        starts = "code: " if name == "population" else f"{name}: "
        cases.append((starts, partial(evolution.evolve, demo(**{name: value}), state, tasks, 1)))
    lacking = demo(sizes=Sizes(4, 3, 0, 4), predict_ops=(NUMBER["m norm"],))
    cases.append(("predict_ops: ", lambda: evolution.evolve(lacking, evolution.begin(0, lacking), tasks, 1)))
    for starts, call in cases:
        with pytest.raises(ValueError, match=starts):
            call()
    spoilt = replace(state, lengths=state.lengths + 200)
    with pytest.raises(ValueError, match="lengths: "):
        evolution.evolve(demo(), spoilt, tasks, 1)
    assert {f.name for f in fields(Mutations)} == {
        "insert",
        "remove",
        "randomise",
        "alter",
        "trade",
        "replace",
        "splice",
    }


@pytest.mark.proof
@pytest.mark.parametrize("name", _programs.instruction_sets())
def test_sanitizers_have_no_complaint(name, tmp_path):
    """Hostile programs, tasks and searches, the kernel built with AddressSanitizer and UBSan."""
    compiler = os.environ.get("CXX", "c++")
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    flags = {"avx2": ["-mavx2"], "avx512": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl"]}
    root = Path(__file__).parent.parent
    sources = [root / f"native/programs/{part}.cpp" for part in ("lanes", "compile", "evaluate", "search")]
    driver = tmp_path / "sanitized"
    subprocess.run(
        [
            compiler, "-std=c++17", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
            "-ffp-contract=off", "-Wno-psabi", f"-DAIGA_ISA={name}", *flags.get(name, []),
            root / "tests/sanitized.cpp", *sources, "-o", driver,
        ],
        check=True,
    )  # fmt: skip
    done = subprocess.run([driver], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "9600 programs ran, 8000 were bred" in done.stdout


def test_a_component_without_operations_is_given_and_stays():
    """Whatever is bred, setup and predict are those of the linear regressor; in copies nothing is random."""
    mine, tasks = known.linear(0.2), noise(2)
    config = evolution.Config(
        sizes=SIZES, population=50, begin=(0, 0, 4), most=(1, 1, 6), setup_ops=(), predict_ops=(), cache=0
    )
    state = evolution.evolve(config, evolution.begin(3, config, given=mine), tasks, 300).state
    programs = [state.individual(row) for row in range(50)]
    for program in programs:
        assert program.lengths[:2] == (1, 1)
        np.testing.assert_array_equal(program.code[:2], mine.code[:2])
        np.testing.assert_array_equal(program.data[:2], mine.data[:2])
    assert len({program.code[2:].tobytes() for program in programs}) > 10
    with pytest.raises(ValueError, match=r"^given: at most"):
        evolution.begin(3, replace(config, most=(0, 1, 6)), given=mine)
    settled = evolution.settled(3, config, mine, tasks)
    again = kernel.evaluate([settled.individual(7)], SIZES, tasks)[0]
    assert settled.born == 50 and settled.best_fitness == settled.fitness[7, 0] == np.median(again)
