"""ES-MAML on a toy with a known answer, and on the walker for a moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aiga import testing, walker_maml
from aiga.experiments import adapting
from aiga.experiments.lab import Lab
from aiga.interfaces import Outcome
from aiga.learners import evolution_strategy as es
from aiga.learnt import walks
from aiga.systems.learning.es_maml import ESMAML, Config, Inner, Prior, State, baselines
from aiga.worlds.walker.course import Course
from aiga.worlds.walker.ground import HELD_OUT, KINDS, GroundSpace

KEY = jax.random.key(0)
FAR = 3.0


@dataclass(frozen=True)
class Peaks:
    """Tasks: a hill of height 1 and width 1 around (FAR, y), y to be found. A course is its top f32[2]."""

    def sample(self, key: Any) -> np.ndarray:
        return np.array([FAR, np.float32(jax.random.uniform(key, (), jnp.float32, -1.5, 1.5))], np.float32)

    def mutate(self, key: Any, item: np.ndarray) -> np.ndarray:
        return self.sample(key)

    def describe(self, item: np.ndarray) -> np.ndarray:
        return item

    def valid(self, item: np.ndarray) -> bool:
        return bool(np.isfinite(item).all())


@dataclass(frozen=True)
class Point:
    """A brain of two numbers."""

    def init(self, key: Any) -> Any:
        return jnp.zeros(2, jnp.float32)

    def begin(self) -> Any:
        return ()

    def act(self, weights: Any, memory: Any, observation: Any) -> Any:
        return weights, memory


@dataclass
class Play:
    """`evaluate` of the hills; remembers how many episodes it was asked for."""

    asked: list[int] = field(default_factory=list)
    rows: list[np.ndarray] = field(default_factory=list)

    def __call__(self, weights: Any, courses: Sequence[Any], which: Any, seeds: Any) -> Outcome:
        weights, tops = np.asarray(weights), np.stack(courses)[np.asarray(which)]
        self.asked.append(len(weights))
        self.rows.append(weights)
        returns = 1 / (1 + ((weights - tops) ** 2).sum(1))
        return Outcome(
            returns.astype(np.float32), np.ones(len(weights), np.int32), np.ones(len(weights), bool)
        )


TESTS = {"low": np.array([FAR, -1], np.float32), "high": np.array([FAR, 1], np.float32)}
SMALL = Config(
    iterations=20,
    inner=Inner(steps=1, candidates=8, sigma=0.5),
    es=es.Config(population=16, sigma=0.3, rate=0.1, rate_decay=1.0, l2=0.0, seeds="pair"),
)


def toy(config: Config = SMALL, play: Play | None = None) -> ESMAML:
    return ESMAML(config, Peaks(), TESTS, np.zeros(2, np.float32), Point(), play or Play())


def at(weights: np.ndarray, system: ESMAML | None = None) -> State:
    """A state that stands at `weights`."""
    state = (system or toy()).init(KEY)
    return replace(state, learner=replace(state.learner, weights=weights))


@pytest.mark.parametrize("climb", ["es", "best"])
def test_it_learns_where_to_start_from(climb: Any):
    """To the middle of all hills; from there every inner step leads further up."""
    system = toy(replace(SMALL, inner=replace(SMALL.inner, climb=climb, rate=0.5)))
    state = system.init(KEY)
    first = system.judge(state, KEY)
    for key in jax.random.split(KEY, 3):
        state, events = system.step(key, state)
    told = events[-1].data
    assert state.learner.weights == pytest.approx([FAR, 0], abs=0.6)
    assert told["return_0"] > first[:, :, 0].mean() + 0.2
    assert told["return_0"] < told["return_1"] < told["return_3"]
    assert list(events[0].data) == list(TESTS)
    assert told["return_1"] == pytest.approx(np.mean([each[1] for each in events[0].data.values()]))


def test_the_best_is_never_worse():
    """Where an episode says the same every time, a step that takes the best one cannot lead down."""
    curves = toy().judge(at(np.array([1.0, 0.0], np.float32)), KEY)
    assert curves.shape == (2, 4, 4)
    assert (np.diff(curves) >= 0).all() and np.ptp(curves[0, :, 1]) > 0
    stuck = toy().judge(at(TESTS["low"]), KEY)
    assert (stuck[0] == 1).all()  # at the top nothing is better


def test_both_halves_of_a_pair_try_the_same_noise():
    play = Play()
    system = toy(play=play)
    starts = np.arange(12, dtype=np.float32).reshape(6, 2)
    courses, which = [TESTS["low"]], np.zeros(6, int)
    system.adapt(KEY, starts, courses, which, system._arena(), SMALL.inner, twins=2)
    tried = play.rows[0].reshape(6, 8, 2) - starts[:, None]
    np.testing.assert_allclose(tried[:3], tried[3:], atol=1e-5)
    assert np.abs(tried[0] - tried[1]).max() > 0.1
    assert (tried[:, -1] == 0).all()  # the present weights are among them


def test_the_prior_is_the_covariance_of_what_tasks_asked_for():
    asked = np.array([[3.0, 1.0, 0.0], [-1.0, 2.0, 0.5], [0.5, 0.0, 1.0]], np.float32)
    mean = asked.T @ asked / 3
    for rank in (1, 3):
        ways = toy(replace(SMALL, prior=Prior(tasks=3, rank=rank))).ways(asked)
        assert ways is not None and ways.shape == (rank, 3)
        values, vectors = np.linalg.eigh(mean)
        kept = vectors[:, -rank:] * values[-rank:] @ vectors[:, -rank:].T
        np.testing.assert_allclose(ways.T @ ways, kept, atol=1e-5)
    # Places that wait for a task do not count.
    half = np.concatenate([np.zeros_like(asked), asked])
    ways = toy(replace(SMALL, prior=Prior(tasks=6, rank=3))).ways(half)
    assert ways is not None
    np.testing.assert_allclose(ways.T @ ways, mean, atol=1e-5)


@pytest.mark.parametrize("climb", ["es", "best"])
def test_with_a_prior_it_goes_where_tasks_differ(climb: Any):
    """Hills differ in one of the two numbers, so that is where a step goes; before, nothing is known."""
    inner = Inner(0, climb, 8, 1.0, 2.0)
    config = replace(SMALL, inner=inner, prior=Prior(8, 1, 8, 30, 16, sigma=0.3, rate=0.3))
    system = toy(config)
    state = at(np.array([FAR, 0], np.float32), system)
    assert (system.judge(state, KEY)[:, :, 1:] == system.judge(state, KEY)[:, :, :1]).all()
    state, events = system.step(KEY, state)
    ways = system.ways(state.asked)
    assert ways is not None and abs(ways[0, 1]) > 10 * abs(ways[0, 0])
    assert 0.5 < abs(ways[0, 1]) < 1.5  # uniform from -1.5 to 1.5 deviates by 0.87
    told = events[-1].data
    assert told["return_0"] + 0.1 < told["return_1"] < told["return_3"] + 0.02


@pytest.mark.parametrize(("steps", "prior"), [(1, Prior()), (2, Prior()), (1, Prior(4, 1, 1, 2, 16))])
def test_the_baselines_have_as_many_episodes(steps: int, prior: Prior):
    config = replace(SMALL, judged=2, iterations=2, inner=replace(SMALL.inner, steps=steps), prior=prior)
    counts = {}
    for name, one in {"maml": config, **baselines(config)}.items():
        play = Play()
        system = toy(one, play)
        state, events = system.step(KEY, system.init(KEY))
        tested = Play()
        toy(one, tested).judge(state, KEY)
        counts[name] = sum(play.asked) - sum(tested.asked)
        assert events[-1].data["episodes"] == counts[name] == state.steps
    assert counts.pop("scratch") == 0
    assert all(abs(count - counts["maml"]) <= 8 for count in counts.values()) and len(set(counts)) == 3


def test_what_is_trained_on_is_a_switch():
    for train, seen in (("tasks", 16), ("plain", 1)):
        courses: list[int] = []

        def play(weights: Any, given: Any, which: Any, seeds: Any, courses: Any = courses) -> Outcome:
            courses.append(len(given))
            return Play()(weights, given, which, seeds)

        config = replace(baselines(SMALL)["mixture"], train=train, iterations=1)
        config = replace(config, es=replace(config.es, population=32))
        system = replace(toy(config), evaluate=play)
        system.step(KEY, system.init(KEY))
        assert courses[0] == seen
    still = toy(baselines(SMALL)["scratch"])
    state, _ = still.step(KEY, still.init(KEY))
    assert (state.learner.weights == 0).all()


def test_small_batches_change_nothing():
    config = replace(SMALL, iterations=1)
    ends = []
    for batch in (5, 4096):
        play = Play()
        system = toy(replace(config, batch=batch), play)
        ends.append(system.step(KEY, system.init(KEY))[0].learner.weights)
        assert max(play.asked) <= batch
    assert np.array_equal(*ends)


def test_it_conforms_and_resumes_to_the_same_bytes():
    for prior in (Prior(), Prior(2, 1, 1, 2, 4)):
        testing.check_system(toy(replace(SMALL, iterations=2, prior=prior)), 3, require={"metric"})
    testing.check_space(GroundSpace())


def test_the_walker_adapts():
    config = walker_maml.Config(
        iterations=1,
        trials=1,
        test_episodes=1,
        max_steps=30,
        inner=Inner(steps=2, candidates=2),
        es=es.Config(population=4, seeds="pair"),
    )
    system = walker_maml.build(config)
    events = testing.check_system(system, 2, require={"metric"})
    told = events[-1].data
    assert {"return_0", "return_1", "return_2", "return_3", "adapted"} <= set(told)
    assert 0 < told["steps"] <= 2 * config.episodes * 30
    rows = [{"iteration": 1, "name": name, "value": value} for name, value in told.items()]
    assert walks({}, rows).splitlines()[-1].split() == [
        "2", *(f"{told[f'return_{k}']:.1f}" for k in range(4))
    ]  # fmt: skip
    assert walks({}, []) == "nothing learnt yet"
    tasks = [event.data for event in events if event.kind == "tasks"]
    assert len(tasks) == 2 and len(tasks[0]) == len(KINDS) * len(HELD_OUT)
    walking = walker_maml.build(replace(config, start="walker", max_steps=300))
    assert walking.judge(walking.init(KEY), KEY)[:, :, 0].mean() > 20


def test_the_experiment_holds_every_arm_against_the_controls_at_their_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(adapting, "TRIALS", 1)
    monkeypatch.setattr(adapting, "EPISODES", 1)
    preset = walker_maml.Config(
        iterations=1, trials=1, test_episodes=1, max_steps=20, start="walker",
        inner=Inner(0, "es", 2, 1.0, 2.0), prior=Prior(2, 1, 1, 1, 2),
        es=es.Config(population=36, seeds="pair"),
    )  # fmt: skip
    chosen = adapting.EXPERIMENTS["es-maml"]
    with Lab(tmp_path, "es-maml", adapting.ARMS, range(2), 5, 600, steps=1) as lab:
        chosen.run(lab, {"prior": preset})
        values, said = lab.results.values(), chosen.tell(lab)
        chosen.draw(lab, tmp_path / "walkers.png")
    assert set(values["after 0"]) == set(adapting.ARMS)
    assert all(f"{task} after 3" in said for task in GroundSpace().held_out())
    best = [max(values[f"after {k}"]["mixture"][seed] for k in range(4)) for seed in range(2)]
    more = np.mean([values["after 2"]["prior"][seed] - best[seed] for seed in range(2)])
    (line,) = (line for line in said.splitlines() if line.startswith("| after 2, over mixture"))
    assert line.split("|")[2].split()[0] == f"{more:.1f}"
    assert (tmp_path / "walkers.png").stat().st_size > 10_000


def test_what_is_tested_on_is_never_trained_on():
    space = GroundSpace()
    held = [space.describe(course) for course in space.held_out().values()]
    drawn = [space.sample(key) for key in range(400)]
    assert all(space.valid(course) for course in drawn)
    told = np.array([space.describe(course) for course in drawn])
    scale = np.array([8.0, 0.04, 2.5, 3.0])
    assert min(np.abs((told - one) / scale).max(1).min() for one in held) > 0.04
    changed = np.abs(told - space.describe(Course.flat())) > 1e-6
    assert (changed.sum(0) > 50).all()
    assert (changed[:, [0, 3]].sum(1) <= 1).all()  # one thing at a time
    assert np.array_equal(changed[:, 1], changed[:, 2])


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Inner(candidates=3), "candidates"),
        (lambda: Inner(climb="up"), "climb"),  # pyright: ignore[reportArgumentType]
        (lambda: Inner(steps=-1), "steps"),
        (lambda: Prior(tasks=-1), "tasks"),
        (lambda: Prior(tasks=2), "rank"),
        (lambda: Prior(candidates=3), "candidates"),
        (lambda: Config(train="plain", prior=Prior(4)), "prior.tasks"),
        (lambda: Config(train="all"), "train"),  # pyright: ignore[reportArgumentType]
        (lambda: Config(trials=0), "trials"),
        (lambda: walker_maml.Config(max_steps=0), "max_steps"),
        (lambda: walker_maml.Config(start="old"), "start"),  # pyright: ignore[reportArgumentType]
        (lambda: GroundSpace(load=50), "load"),
        (lambda: GroundSpace(slope=80), "slope"),
        (lambda: GroundSpace().task("ice", 0.5), "kind"),
    ],
)
def test_what_does_not_fit_is_named(make: Any, field: str):
    with pytest.raises(ValueError, match=f"^{field}: "):
        make()
