"""The JAX walker and the native kernel are one algorithm."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import box2d
from aiga.worlds.walker import body, kernel
from aiga.worlds.walker.course import Course, Genes
from aiga.worlds.walker.space import grow
from aiga.worlds.walker.world import WalkerWorld
from test_walker_physics import CHASM, airborne, swing

WORLD = WalkerWorld()
LEVEL = Course.flat()
COUNT = 64


@pytest.fixture(scope="module")
def step():
    """Many walkers on a course each, one step: compiled once for this file, without spending long on it."""
    state = jax.eval_shape(begin, np.zeros((COUNT, body.STATE), np.float32), stacked([LEVEL] * COUNT))
    action = jax.ShapeDtypeStruct((COUNT, 4), jnp.float32)
    several = jax.jit(jax.vmap(partial(WORLD.step, None)))
    lowered = several.lower(state[0], action, stacked([LEVEL] * COUNT))
    return lowered.compile(compiler_options={"xla_backend_optimization_level": 0})


def stacked(courses: list[Course]) -> Course:
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *courses)


@jax.jit
@jax.vmap
def begin(state, course):
    return WORLD.begin(state, course)


def bodies(state: np.ndarray) -> np.ndarray:
    return state[:, :30].reshape(-1, 5, 6)


def test_80_steps_without_contact(step):
    states = airborne(np.random.default_rng(2).uniform([-0.3, -1.2] * 2, [0.6, -0.5] * 2, (COUNT, 4)))
    several, which = stacked([CHASM] * COUNT), np.zeros(COUNT, int)
    ours, _ = begin(states, several)
    for t in range(80):
        action = swing(states, t)
        done = kernel.step(states, action, [CHASM], which)
        ours, view = step(ours, jnp.asarray(action), several)
        states = done.state
    places = np.abs(np.asarray(ours.bodies) - bodies(states))[:, :, :3].max((1, 2))  # m and rad
    observations = np.abs(np.asarray(view.observation) - done.observation).max(1)
    rewards = np.abs(np.asarray(view.reward) - done.reward)
    for error in (places, observations, rewards):
        # The last bits differ, and a swinging leg doubles them now and then.
        assert np.quantile(error, 0.95) < 1e-4 and error.max() < 1e-3


def test_one_step_along_a_recorded_walk(step):
    course = grow(Genes((0.0, 0.6), (0.0, 0.8), (0.0, 0.4), 2, 0.8, 1))
    walk = box2d.record(box2d.make(course, 1), box2d.Heuristic(), 5 * COUNT)
    count = len(walk["actions"]) // COUNT * COUNT
    states = np.repeat(kernel.begin([course], [0], [0]), count, 0)
    states[:, :30] = walk["bodies"][:count].reshape(count, 30)
    states[:, 30:32], states[:, 32:34] = walk["flags"][:count], walk["cells"][:count]
    done = kernel.step(states, walk["actions"][:count], [course], np.zeros(count, int))
    places, same = [], []
    for i in range(0, count, COUNT):
        some = slice(i, i + COUNT)
        several = stacked([course] * COUNT)
        ours, view = step(begin(states[some], several)[0], jnp.asarray(walk["actions"][some]), several)
        places.append(np.abs(np.asarray(ours.bodies) - bodies(done.state[some]))[:, :, :3].max((1, 2)))
        same.append(np.asarray(view.observation)[:, [8, 13]] == done.observation[some][:, [8, 13]])
        assert np.array_equal(view.terminated, done.terminated[some])
    place = np.concatenate(places)
    # A leg wedged between contacts has several answers: there the two may choose differently.
    assert np.median(place) < 1e-5 and np.quantile(place, 0.95) < 1e-4 and place.max() < 0.05
    assert np.concatenate(same).mean() > 0.99


def test_the_first_step(step):
    """From the start, where joints are torn by 20 cm and each foot has a corner of the ground under it."""
    states = kernel.begin([LEVEL], np.zeros(COUNT, int), np.arange(COUNT))
    actions = np.random.default_rng(3).uniform(-1, 1, (COUNT, 4)).astype(np.float32)
    several = stacked([LEVEL] * COUNT)
    ours, view = step(begin(states, several)[0], jnp.asarray(actions), several)
    done = kernel.step(states, actions, [LEVEL], np.zeros(COUNT, int))
    apart = np.abs(np.asarray(ours.bodies) - bodies(done.state))
    place, speed = apart[:, :, :3].max((1, 2)), apart[:, :, 3:].max((1, 2))
    # Sixty turns of a leg are each one of the third order in the kernel; a wedged leg has several answers.
    assert np.quantile(place, 0.9) < 1e-3 and np.quantile(speed, 0.9) < 1e-3
    assert np.quantile(np.abs(np.asarray(view.reward) - done.reward), 0.9) < 1e-3


def test_one_distribution_of_walks(step):
    """Where the heuristic has taken 64 walkers on 64 courses after 120 steps, at 99 % confidence."""
    courses = [grow(Genes((0.0, 0.4), (0.0, 0.0), (0.0, 0.0), 0, 0.6, seed)) for seed in range(COUNT)]
    several, which = stacked(courses), np.arange(COUNT)
    states = kernel.begin(courses, which, which)
    ours, view = begin(states, several)
    seen, ours_walk, theirs_walk = (
        np.asarray(view.observation),
        box2d.Heuristic(COUNT),
        box2d.Heuristic(COUNT),
    )
    ours_seen = theirs_seen = seen
    for _ in range(120):
        ours, view = step(ours, jnp.asarray(ours_walk(ours_seen)), several)
        done = kernel.step(states, theirs_walk(theirs_seen), courses, which)
        states, theirs_seen, ours_seen = done.state, done.observation, np.asarray(view.observation)
    for column in (0, 1, 2, 3):  # the hull's x, y, angle and speed
        ks = stats.ks_2samp(np.asarray(ours.bodies)[:, 0, column], bodies(states)[:, 0, column])
        assert ks.pvalue > 0.01
    assert np.std(bodies(states)[:, 0, 0]) > 0.05  # they did walk, not all alike


def test_reset_is_gymnasiums():
    keys = jax.random.split(jax.random.key(0), 200)
    state, view = jax.jit(jax.vmap(WORLD.reset, in_axes=(0, None)))(keys, LEVEL)
    speeds = np.asarray(state.bodies)[:, 0, 3]
    for push, limit in ((-body.PUSH, speeds.min()), (body.PUSH, speeds.max())):
        assert box2d.get_bodies(box2d.make(LEVEL, 0, push))[0, 3] == pytest.approx(limit, abs=5e-4)
    assert abs(speeds.mean()) < 2.6 * speeds.std() / np.sqrt(200)
    still = np.argmin(np.abs(speeds))
    assert np.allclose(view.observation[still], box2d.make(LEVEL, 0, 0.0).start, atol=1e-3)
    assert not np.any(view.terminated) and not np.any(view.truncated)
