"""The native kernel against its oracle, real Box2D: from the same states, and over whole walks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import box2d
from aiga.worlds.walker import body, kernel
from aiga.worlds.walker.course import Course, Genes
from aiga.worlds.walker.episode import observe
from aiga.worlds.walker.space import grow

CHASM = Course.from_heights(np.full(200, -20.0))


def airborne(angles: np.ndarray) -> np.ndarray:
    """States f32[N, 36] high over the CHASM, at rest, level, with joint angles f[N, 4]."""
    bodies = np.zeros((len(angles), 5, 6))
    bodies[:, 0, :2] = 5, 6
    for leg in (0, 1):
        at = bodies[:, 0, :2] + body.HIP - body.HULL_CENTRE
        angle = np.zeros(len(angles))
        for part in (1 + 2 * leg, 2 + 2 * leg):
            angle = angle + angles[:, part - 1] + body.REFERENCE[part - 1]
            half = body.LEG_HALF * np.stack([np.sin(angle), -np.cos(angle)], 1)
            bodies[:, part, :2], bodies[:, part, 2] = at + half, angle
            at = at + 2 * half
    return np.concatenate([bodies.reshape(-1, 30), np.zeros((len(angles), 6))], 1).astype(np.float32)


def swing(states: np.ndarray, t: int) -> np.ndarray:
    """Actions f32[N, 4] that swing the joints of N walkers between angles well inside their limits."""
    bodies = states[:, :30].reshape(-1, 5, 6)
    joints = bodies[:, list(body.CHILD)] - bodies[:, list(body.PARENT)]
    goal = np.random.default_rng(t // 10).uniform([-0.4, -1.2] * 2, [0.7, -0.5] * 2, (len(states), 4))
    drive = 1.2 * (goal - joints[:, :, 2] + body.REFERENCE) - 0.05 * joints[:, :, 5]
    return np.clip(drive, -1, 1).astype(np.float32)


def test_free_flight():
    count, course = 8, CHASM
    states = airborne(np.random.default_rng(1).uniform([-0.3, -1.2] * 2, [0.6, -0.5] * 2, (count, 4)))
    envs = [box2d.make(course, 0) for _ in range(count)]
    for env, state in zip(envs, states, strict=True):
        box2d.set_bodies(env, state[:30].reshape(5, 6))
    ours = theirs = states[:, :30].reshape(-1, 5, 6)
    for t in range(80):
        action = swing(states, t)
        states = kernel.step(states, action, [course], np.zeros(count, int)).state
        for env, a in zip(envs, action, strict=True):
            env.step(a)
        ours, theirs = states[:, :30].reshape(-1, 5, 6), np.stack([box2d.get_bodies(e) for e in envs])
    joints = [bodies[:, list(body.CHILD), 2] - bodies[:, list(body.PARENT), 2] for bodies in (ours, theirs)]
    assert np.abs(joints[0] - joints[1]).max() < 5e-4  # rad, after 80 steps
    assert np.abs(ours - theirs)[:, :, :3].max() < 5e-4  # m and rad
    assert np.abs(ours - theirs)[:, :, 3:].max() < 5e-3  # m/s and rad/s


def one_step_errors(
    course: Course | None, seed: int, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Along a recorded Box2D walk: errors of one step of ours in places and in the hull's velocity, f[T], and
    whether the observations' contact flags agree, bool[T, 2]."""
    env = box2d.make(course, seed)
    course = box2d.course_from(env)
    walk = box2d.record(env, box2d.Heuristic(), steps)
    count = len(walk["actions"])
    states = np.repeat(kernel.begin([course], [0], [0]), count, 0)
    states[:, :30] = walk["bodies"][:-1].reshape(count, 30)
    states[:, 30:32] = walk["flags"][:-1]
    states[:, 32:34] = np.float32(walk["cells"][:-1])
    done = kernel.step(states, walk["actions"], [course], np.zeros(count, int))
    error = np.abs(done.state[:, :30].reshape(count, 5, 6) - walk["bodies"][1:])
    same = (done.observation[:, [8, 13]] > 0) == walk["flags"][1:]
    return error[:, :, :3].max((1, 2)), error[:, 0, 3:].max(1), same


@pytest.mark.parametrize("obstacles", [False, True])
def test_one_step_along_a_recorded_walk(obstacles):
    def course(seed: int) -> Course | None:
        return grow(Genes((0.0, 0.6), (0.0, 0.8), (0.0, 0.4), 2, 0.8, seed)) if obstacles else None

    errors = [one_step_errors(course(seed), seed, 400) for seed in range(4)]
    place, speed, flags = (np.concatenate(e) for e in zip(*errors, strict=True))
    # Steps in which a leg arrives at the ground are the hard ones: about one in a hundred.
    assert np.median(place) < 2e-4 and np.quantile(place, 0.9) < 1e-3 and (place > 0.01).mean() < 0.03
    assert np.median(speed) < 5e-4 and np.quantile(speed, 0.9) < 2e-3
    assert flags.mean() > 0.99


def test_the_heuristic_walks_as_far_as_in_box2d():
    """Over 64 terrains and pushes: one distribution of distances, at 99 % confidence."""
    pushes = np.random.default_rng(0).uniform(-body.PUSH, body.PUSH, 64)
    envs = [box2d.make(None, seed, push) for seed, push in enumerate(pushes)]
    courses = [box2d.course_from(env) for env in envs]
    theirs = box2d.distances(envs, box2d.Heuristic(64), 1600)
    ours = distances(courses, pushes, 1600)
    assert stats.ks_2samp(ours, theirs).pvalue > 0.01
    assert stats.ttest_ind(ours, theirs, equal_var=False).pvalue > 0.01
    # The same tests tell a solver that stops early from Box2D.
    poor = distances(courses, pushes, 1600, kernel.Quality(newton=2, position=1))
    assert stats.ks_2samp(poor, theirs).pvalue < 0.01


def distances(courses: list[Course], pushes: np.ndarray, steps: int, quality: Any = None) -> np.ndarray:
    """How far the heuristic gets with each push on each course, f[N] m."""
    count, quality = len(courses), quality or kernel.Quality()
    states = body.start(pushes, np.array([c.left[kernel.START_CELL] for c in courses], np.float32))
    observations = np.stack([observe(s, c) for s, c in zip(states, courses, strict=True)])
    walk, alive = box2d.Heuristic(count), np.ones(count, bool)
    heights, which = kernel.heights(courses), np.arange(count)
    for _ in range(steps):
        done = kernel.step(states, walk(observations), heights, which, quality=quality)
        states, observations = np.where(alive[:, None], done.state, states), done.observation
        alive &= ~done.terminated
    return states[:, 0]


def test_an_episodes_first_steps_get_all_passes():
    """Knees torn by 20 cm at the start need what Box2D gives them, however a walker pushes off."""
    count, courses = 256, [Course.flat()]
    actions = np.random.default_rng(0).uniform(-1, 1, (count, 4)).astype(np.float32)
    ends = []
    for quality in (kernel.Quality(), kernel.Quality(position=60)):
        states = kernel.begin(courses, np.zeros(count, int), np.arange(count))
        for _ in range(3):
            states = kernel.step(states, actions, courses, np.zeros(count, int), quality=quality).state
        ends.append(states[:, :30])
    assert np.array_equal(*ends)
