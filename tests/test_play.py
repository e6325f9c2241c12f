"""Worlds meeting brains: the compiled evaluation is the plain rollout, summed."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aiga.brains import MLP
from aiga.play import Arena, evaluation_seeds, evaluator, flatten, returns, rollout, unflattener
from own_world import BRAIN, CarWorld, Hills, HillSpace

KEY = jax.random.key(7)
FLAT = HillSpace().sample(KEY)
COURSES = [FLAT, HillSpace().mutate(KEY, FLAT)]
# Scaled up, so that some of these cars reach the end and some run into the wall.
WEIGHTS = np.stack([8 * flatten(BRAIN.init(key)) for key in jax.random.split(KEY, 6)])
STEPS = 40


class Aimless:
    """No goal, and plain Python numbers in its views."""

    def reset(self, key: Any, course: Any) -> Any:
        return course, _view(course)

    def step(self, key: Any, state: Any, action: Any, course: Any) -> Any:
        return state + 1, _view(state)


def _view(state: Any) -> Any:
    from aiga.interfaces import View

    return View(jnp.zeros(4) + state, 1.0, False, state >= 4)


def test_evaluation_is_the_rollout_summed() -> None:
    seeds = np.arange(12, dtype=np.uint32)
    which = np.repeat(np.int32([0, 1]), 6)
    evaluate = evaluator(CarWorld(), BRAIN, STEPS, batch=5)  # 12 episodes: two full batches and one padded
    outcome = evaluate(np.tile(WEIGHTS, (2, 1)), COURSES, which, seeds)
    assert outcome.finished.any() and not outcome.finished.all()
    assert len(set(outcome.lengths.tolist())) > 1
    play = jax.jit(
        lambda flat, seed, heights: rollout(
            CarWorld(), BRAIN, unflattener(BRAIN)(flat), jax.random.key(seed), Hills(heights), STEPS
        )
    )
    for i in range(12):
        last, seen = play(WEIGHTS[i % 6], seeds[i], COURSES[which[i]].heights)
        assert outcome.returns[i] == pytest.approx(float(returns(seen.reward)[0]), abs=1e-3)
        assert outcome.lengths[i] == int(last.time) == int(seen.alive.sum())
        assert outcome.finished[i] == bool(seen.terminated[-1])


def test_a_world_without_a_goal_is_always_finished() -> None:
    world, brain = Aimless(), MLP((4, 1))
    weights = np.zeros((2, brain.count), np.float32)
    outcome = evaluator(world, brain, 100, batch=2)(weights, [np.float32(0)], [0, 0], [1, 2])
    assert outcome.finished.all()
    assert outcome.lengths.tolist() == [5, 5]
    assert outcome.returns.tolist() == [5.0, 5.0]


def test_bad_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="max_steps: at least 1"):
        evaluator(CarWorld(), BRAIN, 0)
    with pytest.raises(ValueError, match="one of each per episode, not 6, 6 and 5"):
        evaluator(CarWorld(), BRAIN, 5)(WEIGHTS, [FLAT], np.zeros(6, np.int32), np.zeros(5, np.uint32))
    with pytest.raises(ValueError, match="activation: one of tanh"):
        MLP(activation="sine")
    with pytest.raises(ValueError, match="sizes: two or more"):
        MLP((3,))


def test_discounted_returns() -> None:
    np.testing.assert_allclose(returns(jnp.array([1.0, 0.0, 4.0]), 0.5), [2.0, 2.0, 4.0])


def test_the_walkers_brain_is_two_matrix_products_more() -> None:
    """Against the plain formula, and in the order of weights that the native kernel reads."""
    brain = MLP()
    flat = np.asarray(flatten(brain.init(KEY)))
    assert flat.shape == (2804,) and abs(flat.std() - 0.1) < 0.005
    view, at = np.linspace(-1, 1, 24, dtype=np.float32), 0
    expected = view
    for rows, columns in ((24, 40), (40, 40), (40, 4)):
        matrix = flat[at : at + rows * columns].reshape(rows, columns)
        at += rows * columns
        expected = np.tanh(expected @ matrix + flat[at : at + columns])
        at += columns
    np.testing.assert_allclose(brain.act(brain.unflatten(flat), (), view)[0], expected, rtol=1e-5)


def test_scores_are_means_over_common_seeds_within_the_batch() -> None:
    calls = []

    def evaluate(weights: Any, courses: Any, which: Any, seeds: Any) -> Any:
        from aiga.interfaces import Outcome

        calls.append((len(weights), len(courses), seeds.tolist()))
        value = weights[:, 0] + np.asarray([courses[c] for c in which]) + np.float32(seeds)
        return Outcome(value, np.full(len(weights), 3, np.int32), np.float32(seeds) > 1)

    arena = Arena(evaluate, 4, np.array([0, 2], np.uint32))
    agents = [np.float32([n]) for n in (10, 20, np.nan)]
    easy, hard = 100.0, 200.0
    scores = arena.score(agents, [easy, hard, easy])
    np.testing.assert_array_equal(scores, [(111.0, 0.5), (221.0, 0.5), (np.nan, 0.5)])
    assert calls == [(4, 2, [0, 2, 0, 2]), (2, 2, [0, 2])]
    assert arena.steps == 18
    assert arena.score([], []) == []


def test_evaluation_seeds_differ_and_are_never_trained_on() -> None:
    for seed in range(50):
        seeds = evaluation_seeds(jax.random.key(seed), 5)
        assert seeds.dtype == np.uint32 and len(set(seeds.tolist())) == 5
        assert (seeds >= 2**31).all()
