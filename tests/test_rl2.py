"""RL^2: trials by hand, the outer loop, and what a taught memory comes to."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aiga.brains import ActorCritic
from aiga.cli import settings
from aiga.experiments import memory as experiment
from aiga.experiments.lab import Lab
from aiga.experiments.memory import interaction
from aiga.interfaces import View
from aiga.learnt import memory, possible
from aiga.play import exact
from aiga.play.collecting import Experience, collect, enter
from aiga.play.shards import AXIS
from aiga.systems.learning.rl2 import RL2, Config, _beside_others, regrets
from aiga.worlds.trial import Trial

KEY = jax.random.key(3, impl="threefry2x32")
# One pull tells which of the two arms it is, so a memory is worth a quarter of the return.
QUICK = Config(
    draw="easy", pulls=6, units=16, trials=128, updates=30, rate=0.01, anneal=60, discount=0.8, test_tasks=500
)


class Place(NamedTuple):
    at: Any
    time: Any


class Counter:
    """Goes from 0 by the action, two steps an episode; pays where it is, times the course."""

    def reset(self, key: Any, course: Any) -> tuple[Place, View]:
        return Place(jnp.float32(0), jnp.int32(0)), self._view(jnp.float32(0), jnp.float32(0), False)

    def step(self, key: Any, state: Place, action: Any, course: Any) -> tuple[Place, View]:
        at, time = state.at + action.astype(jnp.float32), state.time + 1
        return Place(at, time), self._view(at, at * course, time >= 2)

    def _view(self, at: Any, reward: Any, over: Any) -> View:
        return View(at[None], reward, jnp.asarray(over), jnp.asarray(False))


@pytest.mark.parametrize("tells", [True, False])
def test_a_trial_tells_what_was_done_and_goes_on_on_the_same_course(tells: bool) -> None:
    trial, course = Trial(Counter(), 3, episodes=2, tells_reward=tells), jnp.float32(10)
    state, view = trial.reset(KEY, course)
    seen = [(view.observation, view.reward, view.terminated)]
    for action in (1, 2, 0, 2):
        state, view = trial.step(KEY, state, jnp.int32(action), course)
        seen.append((view.observation, view.reward, view.terminated))
    r = 1 if tells else 0
    # Place, the three actions, reward, end of an episode.
    np.testing.assert_array_equal(
        [row for row, _, _ in seen],
        [
            [0, 0, 0, 0, 0, 0],
            [1, 0, 1, 0, 10 * r, 0],
            [0, 0, 0, 1, 30 * r, 1],
            [0, 1, 0, 0, 0, 0],
            [0, 0, 0, 1, 20 * r, 1],
        ],
    )
    assert [float(reward) for _, reward, _ in seen] == [0, 10, 30, 0, 20]
    assert [bool(over) for _, _, over in seen] == [False, False, False, False, True]


def test_regrets_are_worked_out_from_chances() -> None:
    chances, actions = np.array([[0.2, 0.9], [0.5, 0.5]]), np.array([[0, 1], [1, 0], [0, 0]])
    np.testing.assert_allclose(regrets(chances, actions), [1.4, 0])


def test_the_interaction_is_of_staying() -> None:
    """By hand: after a reward the usual way one stays, after one the other way one leaves."""
    choice = np.array([[0], [0], [1], [1], [0]])
    place = np.array([[0], [1], [1], [0], [0]])  # usual, not, usual, not
    paid = np.array([[1], [1], [0], [0], [0]])
    action, reward = np.repeat(choice, 2, 0), np.zeros((10, 1))
    reward[1::2] = paid
    seen = np.zeros((10, 1, 7))
    seen[1::2, 0, 1:3] = np.eye(2)[place[:, 0]]
    rest = dict.fromkeys(Experience._fields)
    # Stayed: after the first (paid, usual) 1, the second (paid, not) 0, (unpaid, usual) 1, (unpaid, not) 0.
    played = Experience(**rest | {"action": action, "reward": reward, "observation": seen})
    assert interaction(played) == 1 - 0 - 1 + 0


def _trained(config: Config, steps: int) -> tuple[RL2, Any, dict[str, Any]]:
    system = RL2(config)
    state, events = system.init(KEY), []
    for number in range(steps):
        state, events = system.step(jax.random.fold_in(KEY, number), state)
    return system, state, events[0].data


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({}, 3),
        ({"learner": "a2c", "trials": 32, "updates": 200, "anneal": 600}, 3),  # a step of ascent, not eight
        ({"memory": "associative"}, 1),
    ],
)
def test_a_memory_learns_to_learn_and_without_the_reward_nothing_can_be_learnt(
    changes: dict[str, Any], steps: int
) -> None:
    """Chance is 3 of 6; who asks once and then knows expects 0.5 + 5 * 0.9 times 0.9 and a little."""
    config = replace(QUICK, **changes)
    _, _, data = _trained(config, steps)
    best = exact.dependent(6, 0.9)
    assert data["return"] > 3 + 0.8 * (best - 3), data
    assert data["regret"] == pytest.approx(5.4 - data["return"], abs=0.2)
    if changes:
        return
    _, _, blind = _trained(replace(config, tells_reward=False, updates=20), 2)
    # 500 trials of six pulls: three standard errors are 0.33 where all six are the same arm.
    assert abs(blind["return"] - 3) < 0.4, blind


def test_memory_is_kept_through_a_trial_and_is_new_in_the_next() -> None:
    """Two trials of two episodes each, on tasks that differ in what they pay alone; every step's value shows
    what is remembered, as all first observations are alike."""
    trial, brain = Trial(Counter(), 3, episodes=2), ActorCritic(6, 3, hidden=(), recurrent=5)
    courses = jnp.array([10.0, -10.0])
    weights = brain.init(KEY)
    # Sure of its action, so that trials are alike but for what they pay.
    sure = weights._replace(actor=((jnp.zeros((5, 3)), jnp.array([0.0, 50.0, 0.0])),))
    _, seen = collect(trial, brain, sure, KEY, enter(trial, brain, KEY, courses), courses, 8)
    np.testing.assert_array_equal(seen.begun, np.isin(np.arange(8), (0, 4))[:, None].repeat(2, 1))
    value = np.asarray(seen.value)
    np.testing.assert_array_equal(value[:4], value[4:])
    assert value[0, 0] == value[0, 1]
    assert abs(value[2, 0] - value[2, 1]) > 1e-3  # the second episode begins, the first one is remembered


def test_shards_play_trials_of_their_own() -> None:
    """One trial of one pull each: the mean of two returns would never be a half if they were the same."""
    system = RL2(replace(QUICK, trials=2, pulls=1, minibatches=1, updates=40))
    _, metrics = system._learn(KEY, system.init(KEY).learner, 0)
    assert {float(each) for each in metrics["return"]} == {0, 0.5, 1}


def test_rewards_count_beside_what_trials_are_paid_at_that_step() -> None:
    """By hand: two shards of two trials of two steps."""
    reward = jnp.array([[[1.0, 3], [10, 20]], [[5, 7], [30, 40]]])
    seen = Experience(**dict.fromkeys(Experience._fields) | {"reward": reward, "discounted": reward + 1})
    found = jax.vmap(_beside_others, axis_name=AXIS)(seen)
    by_hand = [[[-3, -1], [-15, -5]], [[1, 3], [5, 15]]]
    np.testing.assert_array_equal(found.reward, by_hand)
    np.testing.assert_array_equal(found.discounted, by_hand)


def test_what_is_tested_on_is_not_what_is_learnt_on_and_stays_the_same() -> None:
    system, state, _ = _trained(replace(QUICK, updates=1), 1)
    first, _ = system.judge(
        state.learner, jax.random.wrap_key_data(jnp.asarray(state.test), impl="threefry2x32")
    )
    again, _ = system.judge(
        system.init(KEY).learner, jax.random.wrap_key_data(jnp.asarray(state.test), impl="threefry2x32")
    )
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "chess"}, "task: one of arms"), ({"draw": "easy", "arms": 3}, "draw: independent"),
        ({"trials": 10}, "minibatches: a divisor of a shard's 5 trials"),
        ({"shards": 3}, "shards: a divisor of 256"), ({"trials": 1, "shards": 1}, "trials: at least 2"),
        ({"discount": 1.5}, "discount: at least 0, at most 1"),
        ({"units": 0}, "units: at least 1"), ({"learner": "sarsa"}, "learner: one of ppo, a2c"),
        ({"memory": "diary"}, "memory: one of lstm, associative"),
        ({"memory": "associative", "units": 1}, "units: at least 2"),
    ],
)  # fmt: skip
def test_bad_numbers_are_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(Config(), **changes)


def test_a_run_is_told_beside_what_is_possible() -> None:
    config = {"task": "arms", "arms": 2, "pulls": 10, "episodes": 1, "draw": "independent"}
    metrics = [
        {"iteration": k, "name": name, "value": value}
        for k in range(1, 40)
        for name, value in {"updates": 20 * k, "return": k / 10, "regret": 3.0, "entropy": 0.5}.items()
    ]
    text = memory(config, metrics)
    assert f"Bayes-optimal: regret {20 / 3 - exact.two_arms(10):.3f}" in text
    first, last = (line.split() for line in (text.splitlines()[1], text.splitlines()[12]))
    assert first == ["20", "0.1000", "3.0000", "0.5000"] and last == ["780", "3.9000", "3.0000", "0.5000"]
    assert memory(config, []) == "nothing learnt yet"
    assert possible(config | {"task": "mdp", "episodes": 10}) == {}
    assert possible(config | {"draw": "easy"}) == {"Bayes-optimal": f"return {exact.dependent(10, 0.9):.3f}"}


@pytest.mark.parametrize("arm", experiment.ASKED)
def test_what_falls_has_fallen_at_the_end_of_a_trial(arm: str) -> None:
    names = settings.presets("rl2")
    presets = {name: settings.resolve(Config(), settings.from_preset(Config, "rl2", name)) for name in names}
    config = experiment.annealed(experiment.ASKED[arm].config(presets), experiment.STEPS)
    steps = RL2(config).steps
    assert steps(config.anneal) <= experiment.STEPS < steps(config.anneal + 1)


def test_the_experiment_measures_a_run_beside_its_rivals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "ASKED", {"two arms": experiment.ASKED["two arms"]._replace(tasks=20)})
    presets = {"arms": Config(units=4, trials=16, updates=1, test_tasks=4)}
    with Lab(tmp_path, "rl2", ("two arms",), range(1), 1, 600, steps=1600, unit="steps") as lab:
        experiment.rl2(lab, presets)
        found = {name: by["two arms"][0] for name, by in lab.results.values().items()}
        text = experiment.EXPERIMENTS["rl2"].tell(lab)
    best = 200 / 3 - exact.two_arms(100)
    assert found["Bayes-optimal"] == pytest.approx(best)
    assert best < found["regret"] < 34 and 0 < found["Thompson"] < 34  # of one that has hardly learnt
    assert f"two arms | regret  | {found['regret']:.3f}" in text
