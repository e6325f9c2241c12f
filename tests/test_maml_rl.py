"""MAML with policy gradients on a toy whose gradients can be worked out, and on the walker for a moment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aiga import testing, walker_maml_rl
from aiga.brains import Drawn, Noisy
from aiga.interfaces import View
from aiga.learners import inner_loop, policy_gradient
from aiga.learners.inner_loop import InnerLoop
from aiga.play.rollouts import Trajectory, rollout
from aiga.systems.learning.maml_rl import MAMLRL, Config, State, baselines
from aiga.worlds.walker.ground import HELD_OUT, KINDS
from aiga.worlds.walker.native import NativeWalker

KEY = jax.random.key(0)
FAR, DEVIATION = 3.0, 0.5


@dataclass(frozen=True)
class Target:
    """One step: an action f32[1] pays less the further it is from the course, f32[]. What is seen then is no
    number, so that whoever learns from it notices."""

    def reset(self, key: Any, course: Any) -> tuple[Any, View]:
        return jnp.float32(0), View(jnp.ones(1), jnp.float32(0), jnp.asarray(False), jnp.asarray(False))

    def step(self, key: Any, state: Any, action: Any, course: Any) -> tuple[Any, View]:
        reward = -((action[0] - course) ** 2)
        return state, View(jnp.full(1, jnp.nan), reward, jnp.asarray(True), jnp.asarray(False))


@dataclass(frozen=True)
class Aims:
    """Tasks: targets around FAR."""

    def sample(self, key: Any) -> np.ndarray:
        return np.asarray(FAR + jax.random.uniform(key, (), jnp.float32, -1.0, 1.0))

    def mutate(self, key: Any, item: Any) -> np.ndarray:
        return self.sample(key)

    def describe(self, item: Any) -> np.ndarray:
        return np.asarray(item)[None]

    def valid(self, item: Any) -> bool:
        return bool(np.isfinite(item))


@dataclass(frozen=True)
class Point:
    """A brain of one number: what it makes of the observation 1."""

    def init(self, key: Any) -> Any:
        return jnp.zeros(1, jnp.float32)

    def begin(self) -> Any:
        return ()

    def act(self, weights: Any, memory: Any, observation: Any) -> Any:
        return weights * observation, memory


TESTS = {"low": np.float32(FAR - 1), "high": np.float32(FAR + 1)}
SMALL = Config(
    tasks=20,
    episodes=40,
    judged=20,
    inner_rate=0.15,
    rate=0.1,
    clip=0.5,
    passes=2,
    trials=30,
    test_episodes=1,
)
TWICE = replace(SMALL, iterations=2, trials=1, inner=inner_loop.Config(steps=2))
BRAIN = Noisy(Point(), 1, DEVIATION)


def toy(config: Config = SMALL) -> MAMLRL:
    return MAMLRL(config, Aims(), TESTS, np.float32(0), BRAIN, Target(), horizon=3)


def at(aim: float, system: MAMLRL) -> State:
    """A state whose policy aims there."""
    state = system.init(KEY)
    start = (np.full(1, aim, np.float32), state.meta.start[1])
    return replace(state, meta=replace(state.meta, start=start))


def steepness(away: float) -> float:
    """How the expected advantage of the toy, in standard units, rises with the aim, `away` from the target:
    rewards -(d + s z)^2 covary by 2 d s with z, and their variance is 4 d^2 s^2 + 2 s^4."""
    return 2 * away / np.sqrt(4 * away**2 * DEVIATION**2 + 2 * DEVIATION**4)


def test_an_inner_step_is_the_policy_gradient_worked_out_by_hand():
    system = toy(replace(SMALL, episodes=20_000))
    meta, course = at(1.5, system).meta, np.float32(2.0)
    after, (seen, steps, total) = jax.jit(system._adapt, static_argnums=3)(KEY, meta, course, 1)
    action = np.asarray(seen.action[0, :, 0, 0], np.float64)
    reward = -((action - 2) ** 2)
    advantage = (reward - reward.mean()) / reward.std()
    away = action - 1.5
    slope = np.mean(advantage * away / DEVIATION**2)
    widening = np.mean(advantage * (away**2 / DEVIATION**2 - 1))
    assert float(after[0][0]) == pytest.approx(1.5 + 0.15 * slope, abs=1e-4)
    assert float(after[1][0]) == pytest.approx(np.log(DEVIATION) + 0.15 * widening, abs=1e-4)
    assert slope == pytest.approx(steepness(0.5), rel=0.05)
    assert int(steps[0]) == 20_000 and float(total[0]) == pytest.approx(reward.mean(), rel=1e-4)
    assert not np.asarray(seen.alive[0, :, 1:]).any() and not np.asarray(seen.advantage[0, :, 1:]).any()


@pytest.mark.parametrize("gradient", ["second", "first"])
def test_the_meta_gradient_is_the_one_worked_out_by_hand(gradient: Any):
    """Of the aim alone: the deviation does not adapt, so a step has one derivative, 1 - rate x curvature."""
    system = toy()
    meta, course = at(1.5, system).meta, np.float32(2.0)
    meta = replace(meta, adapts=(np.float32(1), np.float32(0)))
    after, (train, _, _) = jax.jit(system._adapt, static_argnums=3)(KEY, meta, course, 1)
    valid, _, _ = jax.jit(system._learnable, static_argnums=3)(jax.random.key(9), after, course, 20, 0.2)
    loop = InnerLoop(system._loss, inner_loop.Config(gradient, stream=True))
    found, gained = jax.jit(loop.gradient)(meta, KEY, train, valid)

    def told(seen: Any) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(seen.action[..., 0, 0], float).ravel(), np.asarray(seen.advantage[..., 0]).ravel()

    action, advantage = told(train)
    away, variance = action - 1.5, DEVIATION**2
    curvature = -np.mean(advantage * (away**2 / variance**2 - 1 / variance))
    later, worth = told(valid)
    outer = -np.mean(worth * (later - float(after[0][0])) / variance)
    inner = 1 - 0.15 * curvature if gradient == "second" else 1.0
    assert abs(0.15 * curvature) > 0.02
    assert float(found.start[0][0]) == pytest.approx(inner * outer, rel=1e-3)
    assert float(gained) == pytest.approx(0, abs=1e-5)  # advantages where they were played add up to nothing


def test_the_baseline_is_taken_from_what_is_still_to_come():
    random, alive = np.random.default_rng(0), np.arange(7) < np.arange(1, 41)[:, None] % 7 + 1
    observation = random.normal(size=(40, 7, 2)).astype(np.float32)
    reward = np.where(alive, observation[..., 0] + random.normal(size=(40, 7)), 0).astype(np.float32)
    ended = alive & ~np.roll(alive, -1, 1) | (np.arange(7) == 6) & alive
    seen = Trajectory(observation, observation[..., :1], reward, ended & False, ended, alive)
    brain = Noisy(Point(), 1)
    batch = policy_gradient.batch(brain, (jnp.ones(1), jnp.zeros(1)), seen, 0.2, 0.9)

    coming = np.zeros((40, 8))
    for t in range(6, -1, -1):
        coming[:, t] = reward[:, t] + 0.9 * coming[:, t + 1]
    time = np.broadcast_to(np.linspace(0, 1, 7)[:, None], (40, 7, 1))
    features = np.concatenate([observation, observation**2, time, time**2, time**3, np.ones((40, 7, 1))], 2)
    fitted = np.linalg.lstsq(features[alive], coming[:, :7][alive], rcond=None)[0]
    left = coming[:, :7][alive] - features[alive] @ fitted
    np.testing.assert_allclose(batch.advantage[alive], (left - left.mean()) / left.std(), atol=0.02)
    assert left.std() < 0.95 * coming[:, :7][alive].std()
    assert (np.asarray(batch.advantage)[~alive] == 0).all()


def test_it_learns_where_to_start_from():
    """To the middle of all targets, with a deviation that makes of one inner step the whole way; from the
    middle with the first deviation a step leads as far as can be worked out. One key of six ends a whole unit
    from the middle; this one is as near however XLA rounds."""
    system, key = toy(replace(SMALL, iterations=50)), jax.random.key(2)
    state = system.init(key)
    first = system.judge(state, key)
    state, events = system.step(key, state)
    told = events[-1].data
    aim = float(state.meta.start[0][0])
    assert aim == pytest.approx(FAR, abs=0.25)
    assert first[:, :, 0].mean() < -8 and told["return_0"] > -1.3
    assert told["return_0"] + 0.5 < told["return_1"] and told["return_1"] > -0.3
    assert float(state.meta.start[1][0]) < np.log(DEVIATION)
    assert list(events[0].data) == list(TESTS)
    assert told["return_1"] == pytest.approx(np.mean([each[1] for each in events[0].data.values()]))

    middle = at(FAR, system)
    left = 1 - SMALL.inner_rate * steepness(1.0)
    assert system.judge(middle, KEY)[:, :, 1].mean() == pytest.approx(-(left**2), abs=0.05)
    assert system.judge(middle, KEY, rate=1e-9)[:, :, 3] == pytest.approx(-1, abs=1e-5)


def test_rates_are_learnt_where_they_are_to_be():
    """In the middle all that can be gained is by going further at once."""
    system = toy(replace(SMALL, learn_rates=True, rate=0.02, inner_rate=0.05))
    state = at(FAR, system)
    meta, adam = state.meta, state.adam
    for key in jax.random.split(KEY, 10):
        meta, adam, _ = system._learn(key, meta, adam, system._courses(key))
    assert meta.rates[0].shape == (1,) and float(meta.rates[0][0]) > 0.1


def test_the_baselines_have_as_many_episodes():
    counts = {}
    for name, one in {"maml": TWICE, **baselines(TWICE)}.items():
        system = toy(one)
        state, events = system.step(KEY, system.init(KEY))
        # An episode of the toy is one step, and steps are counted where they are played.
        assert events[-1].data["episodes"] == events[-1].data["steps"] == state.steps
        counts[name] = state.steps
        start = float(state.meta.start[0][0])
        assert (start == 0) == (name == "scratch")
        if name in ("maml", "mixture"):
            assert start > 0.2
        elif name == "plain":
            assert abs(start) < 0.2
    assert counts == {"maml": 4000, "mixture": 4000, "plain": 4000, "scratch": 0}


def test_chance_is_the_keys_alone():
    brain, weights = Noisy(Point(), 1, 0.3), (jnp.ones(1), jnp.log(jnp.full(1, 0.3)))
    played = jax.vmap(lambda key: rollout(Target(), Drawn(brain, key), weights, KEY, 1.0, 1)[1].action)
    action = np.asarray(played(jax.random.split(KEY, 4000)))[:, 0, 0]
    assert action.mean() == pytest.approx(1, abs=0.02) and action.std() == pytest.approx(0.3, rel=0.05)
    assert np.array_equal(action, np.asarray(played(jax.random.split(KEY, 4000)))[:, 0, 0])


def test_it_conforms_and_resumes_to_the_same_bytes():
    testing.check_system(toy(TWICE), 3, require={"metric", "tasks"})


def test_the_walker_adapts():
    assert walker_maml_rl.Config().inner.gradient == "first"
    config = walker_maml_rl.Config(
        tasks=2, episodes=3, judged=2, iterations=1, passes=1, trials=1, test_episodes=1, max_steps=25
    )
    system = walker_maml_rl.build(config, NativeWalker(25, threads=1))
    events = testing.check_system(system, 2, require={"metric", "tasks"})
    told = events[-1].data
    assert {"return_0", "return_1", "return_2", "return_3", "adapted"} <= set(told)
    assert told["steps"] == 25 * told["episodes"] == 2 * 2 * 25 * 5  # nobody falls so soon
    tasks = [event.data for event in events if event.kind == "tasks"]
    assert [len(each) for each in tasks] == [len(KINDS) * len(HELD_OUT)] * 2


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Config(train="all"), "train"),  # pyright: ignore[reportArgumentType]
        (lambda: Config(tasks=0), "tasks"),
        (lambda: Config(judged=0), "judged"),
        (lambda: Config(inner_rate=0), "inner_rate"),
        (lambda: Config(clip=float("nan")), "clip"),
        (lambda: Config(discount=1.1), "discount"),
        (lambda: Config(inner=inner_loop.Config("es")), "inner.gradient"),
        (lambda: Config(inner=inner_loop.Config(stream=True)), "inner.stream"),
        (lambda: walker_maml_rl.Config(max_steps=0), "max_steps"),
        (lambda: walker_maml_rl.Config(start="old"), "start"),  # pyright: ignore[reportArgumentType]
        (lambda: walker_maml_rl.Config(deviation=0), "deviation"),
        (lambda: Noisy(Point(), 0), "actions"),
        (lambda: Noisy(Point(), 1, -1), "deviation"),
    ],
)
def test_what_does_not_fit_is_named(make: Any, field: str):
    with pytest.raises(ValueError, match=f"^{field}: "):
        make()
