"""ANML and OML: their networks, what holds still and what learns, the meta-test, and that they learn."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aiga.experiments import anml as experiment
from aiga.experiments.lab import Lab, OutOfTime
from aiga.learners import inner_loop
from aiga.learners.inner_loop import InnerLoop, Meta
from aiga.registry import SYSTEMS
from aiga.runs.loop import drive
from aiga.runs.store import Run, Store
from aiga.systems.learning.anml import ANML, Config
from aiga.worlds import glyphs

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
WORLD = glyphs.Config(alphabets=10, characters=8)  # 48 characters to train on, 8 to choose by, 24 to test on
STEPS = inner_loop.Config(steps=3, stream=True)
TINY = Config(
    filters=4, gate_filters=3, writings=4, remember=5, iterations=2, test_every=2, sizes=(8,), world=WORLD,
    rates=(0.01, 0.1), inner=STEPS,
)  # fmt: skip
X = RNG.random((8, 28, 28)).astype(np.float32)
Y = np.array([3, 3, 3, 0, 1, 2, 3, 4], np.int32)


def close(one: Any, other: Any, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol, atol), one, other)


def moved(one: Any, other: Any) -> bool:
    return any(jax.tree.leaves(jax.tree.map(lambda a, b: bool(np.any(a != b)), one, other)))


def squared(weights: Any, told: Any) -> Any:
    x, y = told
    return jnp.mean((jnp.tanh(x @ weights) - y) ** 2)


def test_a_stream_is_seen_one_example_a_step() -> None:
    """Against a loop in Python, and its slope against autodiff through that loop."""
    x, y = RNG.normal(size=(4, 1, 3)).astype(np.float32), RNG.normal(size=(4, 1)).astype(np.float32)
    valid = RNG.normal(size=(6, 3)).astype(np.float32), RNG.normal(size=6).astype(np.float32)
    start = RNG.normal(size=3).astype(np.float32)

    def by_hand(weights: Any) -> Any:
        for one in zip(x, y, strict=True):
            weights = weights - 0.3 * jax.grad(squared)(weights, one)
        return weights

    meta = Meta(start, inner_loop.alike(start, 0.3), inner_loop.alike(start, 1.0))
    kinds: tuple[inner_loop.Config, ...] = (
        inner_loop.Config(steps=4, stream=True),
        inner_loop.Config("truncated", steps=4, last=4, stream=True, checkpoint=True),
    )
    for config in kinds:
        loop = InnerLoop(squared, config)
        close(loop.learn(meta, KEY, loop.init(KEY, start), (x, y))[0].weights, by_hand(start))
        slope, loss = loop.gradient(meta, KEY, (x, y), valid)
        close(slope.start, jax.grad(lambda weights: squared(by_hand(weights), valid))(start))
        close(loss, squared(by_hand(start), valid))
        close(loop.curve(meta, (x, y), valid, 4)[-1], loss)
    first, _ = InnerLoop(squared, inner_loop.Config("first", steps=4, stream=True)).gradient(
        meta, KEY, (x, y), valid
    )
    close(first.start, jax.grad(squared)(by_hand(start), valid))
    with pytest.raises(ValueError, match=r"^steps: "):
        InnerLoop(squared, inner_loop.Config(steps=5, stream=True)).gradient(meta, KEY, (x, y), valid)
    with pytest.raises(ValueError, match=r"^gradient: "):
        inner_loop.Config("implicit", stream=True)


def test_a_gate_of_ones_is_no_gate() -> None:
    system = ANML(TINY)
    start = system.init(KEY).start
    convolutions, (matrix, bias) = start.gate
    features, worth, adapted = (jax.jit(each) for each in (system.features, system.worth, system.adapted))
    before, after = features(start, X)
    assert moved(before, after)
    # A sigmoid of 30 is 1 in float32.
    opened = start._replace(gate=(convolutions, (0 * matrix, bias + 30)))
    np.testing.assert_array_equal(*features(opened, X))
    none = start._replace(gate=())
    close(worth(opened, X, Y), worth(none, X, Y))
    close(adapted(opened, X, Y).body, adapted(none, X, Y).body)


def test_what_holds_still_while_a_class_is_learnt() -> None:
    """OML's representation, and ANML's gate; Adam moves both all the same."""
    for config, still, learns in (
        (replace(TINY, learner="oml", hidden=(6,)), ("gate", "body"), ("head",)),
        (replace(TINY, learner="oml"), ("body",), ("head",)),
        (TINY, ("gate",), ("body", "head")),
    ):
        system = ANML(replace(config, test_every=1000))
        state = system.init(KEY)
        adapted = jax.jit(system.adapted)(state.start, X, Y)
        for name in still:
            assert not moved(getattr(adapted, name), getattr(state.start, name))
        for name in learns:
            assert moved(getattr(adapted, name), getattr(state.start, name))
        after, _ = system.step(KEY, state)
        for name in ("body", "head", *(["gate"] if state.start.gate else [])):
            assert moved(getattr(after.start, name), getattr(state.start, name))


@pytest.mark.parametrize("changes", [{}, {"normalised": True}, {"levelled": True, "classes": 2, "others": 1}])
@pytest.mark.parametrize("learner", ["anml", "oml"])
def test_the_meta_gradient_is_what_finite_differences_say(learner: Any, changes: Any) -> None:
    """Of everything that is learnt, along a random direction; float64."""
    system = ANML(replace(TINY, learner=learner, **changes))
    start = system.init(KEY).start
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        x, start = np.float64(X), jax.tree.map(np.float64, start)
        way = jax.tree.map(lambda leaf: RNG.normal(size=leaf.shape), start)
        worth = jax.jit(lambda size: system.worth(jax.tree.map(lambda a, d: a + size * d, start, way), x, Y))
        found = float(jax.jit(jax.grad(worth))(0.0))
        assert abs(found) > 1e-3
        # Small, so that no rectifier changes sides.
        assert found == pytest.approx(float(worth(1e-7) - worth(-1e-7)) / 2e-7, rel=1e-4)


def test_a_few_images_at_a_time_have_the_same_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one core finds them; and so have their slopes."""
    system = ANML(replace(TINY, learner="oml", normalised=True))
    start, way = system.init(KEY).start, RNG.normal(size=(len(X), system.features_count)).astype(np.float32)

    def along(body: Any) -> Any:
        features = system.features(start._replace(body=body), X)[0]
        return (features * way).sum(), features

    found = []
    for cramped in (False, True):
        monkeypatch.setattr(ANML, "_cramped", cramped)
        found.append(jax.jit(jax.grad(along, has_aux=True))(start.body))
    close(*found)


@pytest.mark.parametrize("reset", ["random", "zero"])
def test_classes_are_forgotten_and_no_others(reset: Any) -> None:
    system = ANML(replace(TINY, reset=reset, hidden=(6,)))
    head = jax.tree.map(lambda leaf: leaf + 1, system.init(KEY).start.head)
    which = np.array([5, 2])
    *hidden, (matrix, bias) = system.forgetting(KEY, head, which)
    assert not moved(hidden, list(head[:-1]))
    others = ~np.isin(np.arange(len(bias)), which)
    np.testing.assert_array_equal(matrix[:, others], head[-1][0][:, others])
    np.testing.assert_array_equal(bias[others], head[-1][1][others])
    assert not bias[which].any() and (matrix[:, which] == 0).all() == (reset == "zero")


@pytest.mark.parametrize("others", [0, 1])
def test_a_sequence_of_classes_is_a_loop_over_images(others: int) -> None:
    """Two classes, three images each: against steps in NumPy, and what they come to on what is asked for."""
    system = ANML(replace(TINY, learner="oml", levelled=True, classes=2, others=others))
    start = system.init(KEY).start
    y = np.array([3, 3, 3, 7, 7, 7, 3, 0], np.int32)
    features = np.asarray(system.features(start, X)[0], np.float64)
    x = (features - features.mean(1, keepdims=True)) / np.sqrt(features.var(1, keepdims=True) + 1e-5)

    def shares(matrix: Any, bias: Any, x: Any) -> Any:
        power = np.exp(x @ matrix + bias)
        return power / power.sum(-1, keepdims=True)

    matrix, bias = (np.array(part, np.float64) for part in start.head[0])
    for one, label in zip(x[:6], y[:6], strict=True):
        error = shares(matrix, bias, one) - np.eye(48)[label]
        matrix, bias = matrix - 0.1 * np.outer(one, error), bias - 0.1 * error
    adapted = jax.jit(system.adapted)(start, X, y)
    close(adapted.head[0], (matrix, bias))
    asked = slice(6, None) if others else slice(None)
    wanted = -np.log(shares(matrix, bias, x[asked])[np.arange(len(y[asked])), y[asked]]).mean()
    assert float(jax.jit(system.worth)(start, X, y)) == pytest.approx(wanted, rel=1e-4)


def test_without_images_to_remember_there_are_no_other_outputs() -> None:
    """Three classes whose features say nothing of them: the loss is the logarithm of three."""
    system = ANML(replace(TINY, learner="oml", classes=3, others=1, remember=0, inner_rate=1e-9))
    state = system.init(KEY)
    assert state.start.head[0][1].shape == (3,)
    assert system.step(KEY, replace(state, iteration=1))[1][0].data["loss"] == pytest.approx(np.log(3))
    assert ANML(replace(TINY, learner="pretrained", remember=0)).init(KEY).start.head[0][1].shape == (48,)


def test_adams_rate_falls_to_nothing() -> None:
    system = ANML(replace(TINY, learner="oml", iterations=1, test_every=1000, decay=2))
    states = [system.init(KEY)]
    for _ in range(3):
        states.append(system.step(KEY, states[-1])[0])
    strides = [
        max(float(np.abs(a - b).max()) for a, b in zip(*map(jax.tree.leaves, pair), strict=True))
        for pair in pairwise(state.start.body for state in states)
    ]
    assert strides[0] == pytest.approx(0.001, rel=1e-3) and 0 < strides[1] < 0.0007 and strides[2] == 0


def test_further_alphabets_are_none_of_the_meta_tests() -> None:
    system = ANML(replace(TINY, further=2))
    assert len(system.images) == (6 + 2) * 8
    known, own = (set(map(tuple, each)) for each in (system.config.known, TINY.known))
    assert own < known and {alphabet for alphabet, _ in known - own} == {10, 11}


def test_a_meta_iteration_of_one_class_is_the_papers() -> None:
    """A meta-iteration as the papers have it, put together by hand from the same keys."""
    system = ANML(replace(TINY, learner="oml", iterations=1, test_every=1000))
    state, images = system.init(KEY), np.asarray(system.images) / np.float32(255)
    choosing, ordering, resetting, remembering = jax.random.split(jax.random.split(KEY, 1)[0], 4)
    which = jax.random.randint(choosing, (), 0, 48, jnp.int32)
    some = np.asarray(jax.random.randint(remembering, (5,), 0, 48 * 4, jnp.int32))
    own = images[which, np.asarray(jax.random.permutation(ordering, 4))[:3]]
    x = np.concatenate([own, images[some // 4, some % 4]])
    y = np.concatenate([np.full(3, which), some // 4]).astype(np.int32)
    start = state.start._replace(head=system.forgetting(resetting, state.start.head, which[None]))
    _, (metric,) = system.step(KEY, state)
    assert metric.data["loss"] == pytest.approx(float(jax.jit(system.worth)(start, x, y)), rel=1e-4)


@pytest.mark.parametrize("hidden", [(), (7,)])
def test_the_online_phase_is_a_loop_over_images(hidden: tuple[int, ...]) -> None:
    system = ANML(replace(TINY, hidden=hidden))
    learn, ask = RNG.normal(size=(2, 6, 4, 36)).astype(np.float32)
    order = RNG.permutation(24)
    sizes = (36, *hidden, 6)
    head = tuple(
        (RNG.normal(size=shape).astype(np.float32) / 6, np.zeros(shape[1], np.float32))
        for shape in pairwise(sizes)
    )

    def answers(head: Any, x: Any) -> Any:
        for matrix, bias in head[:-1]:
            x = jax.nn.relu(x @ matrix + bias)
        return x @ head[-1][0] + head[-1][1]

    slope = jax.jit(jax.grad(lambda head, x, c: -jax.nn.log_softmax(answers(head, x))[c]))

    def stepped(rate: float, head: Any, place: int) -> Any:
        moves = slope(head, learn[place // 4, place % 4], place // 4)
        return jax.tree.map(lambda w, g: w - np.float32(rate) * g, head, moves)

    wanted = []
    for rate in (0.003, 0.03):
        now = head
        for place in order:
            now = stepped(rate, now, place)
        wanted.append([(answers(now, x).argmax(-1) == np.arange(6)[:, None]).mean(1) for x in (learn, ask)])
    found = jax.jit(system.online)(head, learn, ask, order, (0.003, 0.03))
    close(np.stack(found, 1), np.array(wanted))
    assert np.ptp(np.array(wanted)[:, 0]) > 0


def test_what_does_not_fit_is_named() -> None:
    for changes, field in (
        ({"learner": "omml"}, "learner"),
        ({"writings": 2}, "inner.steps"),
        ({"inner": inner_loop.Config(steps=3)}, "inner.stream"),
        ({"inner": inner_loop.Config("es", steps=3, stream=True)}, "inner.gradient"),
        ({"rates": ()}, "rates"),
        ({"classes": 0}, "classes"),
        ({"classes": 49}, "classes"),
        ({"others": 2}, "others"),
        ({"remember": -1}, "remember"),
        ({"remember": 0}, "remember"),
        ({"further": 10_001}, "further"),
        ({"world": replace(WORLD, size=16)}, "world.size"),
    ):
        with pytest.raises(ValueError, match=f"^{field}: "):
            replace(TINY, **changes)


def test_the_meta_test_asks_for_what_was_never_seen() -> None:
    system = ANML(TINY)
    valid, test = (system.exam(part, 8) for part in ("valid", "test"))
    assert valid.shape == test.shape == (8, 20, 28, 28)
    known = {image.tobytes() for image in np.asarray(system.images).reshape(-1, 28, 28)}
    assert not known & {image.tobytes() for part in (valid, test) for image in part.reshape(-1, 28, 28)}
    # Three alphabets of eight have no thirty characters, unless they are longer.
    assert len({image.tobytes() for image in system.exam("test", 30)[:, 0]}) == 30


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path) -> None:
    system, ends = ANML(TINY), []
    for name, stops in (("whole", (3,)), ("stopped", (1, 2, 3))):
        for iterations in stops:
            with Store.open(tmp_path / name, write=True) as store:
                drive(system, store, Run("anml", 4, {}), iterations=iterations)
                ends.append(store.load()[1].arrays)
    assert ends[0].keys() == ends[-1].keys()
    for name, array in ends[0].items():
        np.testing.assert_array_equal(array, ends[-1][name])
    with Store.open(tmp_path / "whole") as store:
        told, rows = SYSTEMS["anml"].told, store.rows("events")
    assert told
    _, test, firing = (row["data"] for row in rows[-3:])
    (exam,) = test["tests"]
    assert exam["looks"] == list(range(1, 9)) and exam["along"][-1] == pytest.approx(exam["held_out"])
    assert exam["along"][0] > exam["along"][-1]  # one class alone is no question
    fires = np.array([[int(digit) for digit in row] for row in firing["before"]])
    # 8 classes and 36 units, on nine writings and not on two.
    assert fires.shape == (8, 36) and fires.mean() / 9 == pytest.approx(np.mean(test["before"]), abs=0.1)
    assert fires.mean(0) / 9 == pytest.approx(np.array(test["before"]), abs=0.5)
    said = told({"learner": "anml", "test_every": 2}, rows)
    assert said.startswith("anml after 6 meta-iterations") and "8 classes one after the other: " in said


def test_the_experiment_measures_every_arm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "SIZES", (8, 12))
    presets = {
        "oml-linear": replace(TINY, learner="oml"),
        "pretrained": replace(TINY, learner="pretrained"),
        "random": replace(TINY, learner="random"),
    }
    chosen = experiment.EXPERIMENTS["anml"]
    with Lab(tmp_path, "anml", tuple(presets), range(1), 3, 600, steps=4, unit=chosen.unit) as lab:
        chosen.run(lab, presets)
        values, said = lab.results.values(), chosen.tell(lab)
        chosen.draw(lab, tmp_path / "anml.png")
    assert set(values["accuracy 12"]) == set(presets) and values["active before"]["random"][0] > 0
    better = max(values["accuracy 8"][arm][0] for arm in ("pretrained", "random"))
    wanted = values["accuracy 8"]["oml-linear"][0] - better
    assert f"| oml-linear | {wanted:.4g}" in said.split("More than the best control")[1]


def test_seeds_abreast_come_to_what_each_comes_to_alone(tmp_path: Path) -> None:
    """And go on from where they were stopped."""
    ends = {}

    def iterations(store: Store) -> dict[str, float]:
        return {"iterations": store.summary().iteration}

    def work(name: str, abreast: bool, most: int) -> None:
        asked = iter(range(most))
        with Lab(
            tmp_path / name, "x", ("a",), range(3), 1, 600, 6, lambda: next(asked, None) is None,
            unit="meta_iterations", abreast=abreast,
        ) as lab:  # fmt: skip
            for seeds in lab.groups(ANML):
                lab.trials("a", seeds, system, TINY, iterations, name="anml")
            assert lab.results.values()["iterations"]["a"] == {0: 3, 1: 3, 2: 3}
            for seed in lab.seeds:
                with Store.open(lab.folder_of("a", seed)) as store:
                    ends[name, seed] = store.load()[1].arrays

    system = ANML(TINY)
    work("alone", False, 1000)
    with pytest.raises(OutOfTime):
        work("together", True, 5)
    work("together", True, 1000)
    for seed in range(3):
        for leaf, array in ends["alone", seed].items():
            np.testing.assert_allclose(ends["together", seed][leaf], array, rtol=1e-4, atol=1e-5)


LEARNS = replace(
    TINY, filters=16, writings=20, remember=32, iterations=250, test_every=250, sizes=(24,),
    rates=(0.001, 0.003, 0.01, 0.03, 0.1), inner=inner_loop.Config(steps=10, stream=True),
)  # fmt: skip


def test_meta_learning_makes_what_forgets_less() -> None:
    """More right answers after 24 new classes than features that nobody trained; some 120 images, so that
    chance alone makes ten points of difference in one case of forty."""
    scores = {}
    for learner in ("oml", "random"):
        system = ANML(replace(LEARNS, learner=learner))
        _, events = system.step(KEY, system.init(KEY))
        scores[learner] = events[0].data["accuracy_24"]
    assert scores["oml"] > scores["random"] + 0.15, scores
