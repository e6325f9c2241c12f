"""Slopes, slippery and soft ground, and a load: against Box2D, closed forms, and the reference beside the
kernel."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import ImageChops
from scipy import stats

import box2d
from aiga.runs.codec import decode, plain
from aiga.worlds.walker import body, kernel
from aiga.worlds.walker.course import BASE, CELL, CELLS, PAD, Course, Genes
from aiga.worlds.walker.draw import draw
from aiga.worlds.walker.episode import observe
from aiga.worlds.walker.space import grow
from aiga.worlds.walker.words import in_words
from test_walker_physics import CHASM, airborne, one_step_errors, swing
from test_walker_world import COUNT, begin, bodies, stacked, step  # noqa: F401

ROUGH = grow(Genes(roughness=0.6, seed=3))
CHANGED = {
    "slope": ROUGH.inclined(np.deg2rad(6)),
    "slippery": replace(ROUGH, friction=0.2),
    "load": replace(ROUGH, load=4.0),
    "all": replace(ROUGH.inclined(np.deg2rad(-4)), friction=0.5, load=2.0),
}
MASS = body.MASS.astype(float)
WEIGHT = MASS.sum() * 10  # N


# Box2D -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(CHANGED))
def test_one_step_along_a_walk_in_box2d(name: str):
    """With the bounds of the same test on the ground of Gymnasium; a heavy hull takes Box2D longer."""
    place, speed, flags = one_step_errors(CHANGED[name], 0, 400)
    for seed in range(1, 4):
        more = one_step_errors(CHANGED[name], seed, 400)
        place, speed, flags = (np.concatenate(both) for both in zip((place, speed, flags), more, strict=True))
    assert np.median(place) < 2e-4 and np.quantile(place, 0.9) < 1e-3 and (place > 0.01).mean() < 0.03
    assert np.median(speed) < 5e-4 and np.quantile(speed, 0.9) < 4e-3
    assert flags.mean() > 0.99


def test_one_step_of_random_actions_in_box2d():
    random, course = np.random.default_rng(4), CHANGED["all"]
    walks = [
        box2d.record(box2d.make(course, seed), lambda _: random.uniform(-1, 1, 4), 120) for seed in range(6)
    ]
    before = np.concatenate([walk["bodies"][:-1] for walk in walks])
    states = np.repeat(kernel.begin([course], [0], [0]), len(before), 0)
    states[:, :30] = before.reshape(-1, 30)
    for name, at in (("flags", slice(30, 32)), ("cells", slice(32, 34))):
        states[:, at] = np.concatenate([np.float32(walk[name][:-1]) for walk in walks])
    actions = np.concatenate([walk["actions"] for walk in walks])
    done = kernel.step(states, actions, [course], np.zeros(len(states), int))
    error = np.abs(bodies(done.state) - np.concatenate([walk["bodies"][1:] for walk in walks]))
    place, speed = error[:, :, :3].max((1, 2)), error[:, 0, 3:].max(1)
    assert np.median(place) < 5e-4 and np.quantile(place, 0.9) < 1e-2
    assert np.median(speed) < 2e-3


def test_the_heuristic_gets_as_far_as_in_box2d():
    """48 terrains: one distribution of distances at 99 % confidence, and not that of Gymnasium's ground.

    Under a load Box2D's 180 iterations have not converged; with twenty times as many it walks as we do.
    """
    rough = [grow(Genes(roughness=1.0, seed=seed)) for seed in range(48)]
    changed = [replace(course.inclined(np.deg2rad(1)), friction=1.5, load=1.0) for course in rough]
    pushes = np.random.default_rng(0).uniform(-body.PUSH, body.PUSH, 48)
    envs = [box2d.make(c, i, p, effort=20) for i, (c, p) in enumerate(zip(changed, pushes, strict=True))]
    theirs = box2d.distances(envs, box2d.Heuristic(48), 400)
    ours, others = (distances(courses, pushes, 400) for courses in (changed, rough))
    assert stats.ks_2samp(ours, theirs).pvalue > 0.01
    assert stats.ks_2samp(others, theirs).pvalue < 0.01


def distances(courses: list[Course], pushes: np.ndarray, steps: int) -> np.ndarray:
    """How far the heuristic gets with each push on each course, f[N] m."""
    count = len(courses)
    states = body.start(pushes, np.array([c.left[kernel.START_CELL] for c in courses], np.float32))
    seen = np.stack([observe(s, c) for s, c in zip(states, courses, strict=True)])
    walk, alive = box2d.Heuristic(count), np.ones(count, bool)
    for _ in range(steps):
        done = kernel.step(states, walk(seen), courses, np.arange(count))
        states, seen = np.where(alive[:, None], done.state, states), done.observation
        alive &= ~done.terminated
    return states[:, 0]


def test_a_loaded_walker_flies_as_in_box2d():
    count, course = 8, replace(CHASM, load=5.0)
    states = airborne(np.random.default_rng(1).uniform([-0.3, -1.2] * 2, [0.6, -0.5] * 2, (count, 4)))
    envs = [box2d.make(course, 0) for _ in range(count)]
    for env, state in zip(envs, states, strict=True):
        box2d.set_bodies(env, state[:30].reshape(5, 6))
    for t in range(80):
        action = swing(states, t)
        states = kernel.step(states, action, [course], np.zeros(count, int)).state
        for env, a in zip(envs, action, strict=True):
            env.step(a)
    apart = np.abs(bodies(states) - np.stack([box2d.get_bodies(env) for env in envs]))
    assert apart[:, :, :3].max() < 5e-4  # m and rad, after 80 steps
    assert apart[:, :, 3:].max() < 5e-3  # m/s and rad/s


# Closed forms ----------------------------------------------------------------------------------------------


def frame(course: Course, x: float) -> np.ndarray:
    """States f32[1, 36]: legs apart at the hips' limits, knees stretched, both feet 1 mm above the ground and
    the hull over x m. With the actions of `HOLD` that is a block on two feet."""
    posed = airborne(np.array([[-0.8, -0.1, 1.1, -0.1]]))[0, :30].reshape(5, 6).astype(float)
    feet = [min(corners(posed[part]), key=lambda corner: corner[1]) for part in (2, 4)]
    turn = course.slope - np.arctan2(*(feet[1] - feet[0])[::-1])
    c, s = np.cos(turn), np.sin(turn)
    away = posed[:, :2] - posed[0, :2]
    posed[:, :2] = away @ np.array([[c, s], [-s, c]]) + [x, height(course, x) + 3]
    posed[:, 2] += turn
    posed[:, 1] -= (clearances(course, posed).min() - 0.021) / np.cos(course.slope)
    return np.concatenate([posed.reshape(1, 30), np.zeros((1, 6))], 1).astype(np.float32)


HOLD = np.array([[-1, 1, 1, 1]], np.float32)


def corners(part: np.ndarray) -> np.ndarray:
    """Those of a lower leg f[6] in the world, f[4, 2] m."""
    c, s = np.cos(part[2]), np.sin(part[2])
    signs = np.array([(a, b) for a in (-1, 1) for b in (-1, 1)])
    return part[:2] + signs * (body.LEG_HALF_WIDTH[1], body.LEG_HALF) @ np.array([[c, s], [-s, c]])


def height(course: Course, x: float | np.ndarray) -> np.ndarray:
    return np.interp(x, np.arange(CELLS + 1) * CELL, np.append(course.left, course.right[-1]))


def clearances(course: Course, posed: np.ndarray) -> np.ndarray:
    """Distances f[8] m of the cores of the lower legs' corners from evenly sloping ground."""
    points = np.concatenate([corners(posed[part]) for part in (2, 4)])
    return (points[:, 1] - height(course, points[:, 0])) * np.cos(course.slope)


def centre(state: np.ndarray, load: float, columns: slice) -> np.ndarray:
    """Columns of the bodies' mean by mass: the walker's centre of mass or its speed."""
    mass = MASS + np.array([load, 0, 0, 0, 0])
    return mass @ bodies(state)[0, :, columns].astype(float) / mass.sum()


@pytest.mark.parametrize(("softness", "load"), [(0.01, 0.0), (0.03, 0.0), (0.03, 4.0), (0.05, 0.0)])
def test_feet_sink_as_deep_as_the_springs_say(softness: float, load: float):
    """Two springs bear the weight, so what they sink comes to weight / stiffness, however it is shared."""
    course = replace(Course.flat(), softness=softness, load=load)
    state = frame(course, 40.1)
    depths = []
    for t in range(180):
        state = kernel.step(state, HOLD, [course], [0]).state
        if t >= 80:  # the damper has died away; a joint that is mended at a time stirs it a little
            sunk = 0.02 - clearances(course, bodies(state)[0].astype(float))
            depths.append(sunk[sunk > 0].sum())
    expected = softness * (WEIGHT + 10 * load) / WEIGHT
    assert np.median(depths) == pytest.approx(expected, rel=0.04)


@pytest.mark.parametrize("softness", [0.0, 0.03])
@pytest.mark.parametrize("grip", [0.05, 0.1, 0.15, 0.45])
def test_a_block_slides_where_the_slope_is_steeper_than_its_friction(grip: float, softness: float):
    """At g (sin - mu cos), or not at all. 20 degrees are a mu of 0.364."""
    angle = np.deg2rad(20)
    course = replace(Course.flat().inclined(angle), friction=grip**2 / 0.2, softness=softness)
    state, speeds = frame(course, 55.0), []
    down = -np.array([np.cos(angle), np.sin(angle)])
    for _ in range(130):
        state = kernel.step(state, HOLD, [course], [0]).state
        speeds.append(centre(state, 0.0, slice(3, 5)) @ down)
    expected = max(10 * (np.sin(angle) - grip * np.cos(angle)), 0.0)
    gained = np.polyfit(np.arange(30, 130) * body.DT, speeds[30:], 1)[0]
    assert gained == pytest.approx(expected, abs=0.05)
    assert (expected > 0) == (speeds[-1] > 0.05)


def test_momentum_of_a_loaded_walker():
    """In the air its centre of mass feels gravity alone, and its motors change nothing."""
    load = 7.0
    course, random = replace(CHASM, load=load), np.random.default_rng(5)
    state = airborne(np.array([[0.2, -0.9, -0.3, -0.6]]))
    for _ in range(40):
        before = centre(state, load, slice(3, 5))
        state = kernel.step(state, random.uniform(-1, 1, (1, 4)), [course], [0]).state
        before += np.array([0, -10 * body.DT])
        np.testing.assert_allclose(centre(state, load, slice(3, 5)), before, atol=2e-4)
    assert np.abs(bodies(state)[0, :, 5]).max() > 1  # it did swing


def test_soft_ground_has_no_steps_at_the_borders_of_cells():
    """A foot that slides along without friction feels nothing but the spring."""
    course = replace(Course.flat(), softness=0.03, friction=0.0)
    state, speeds = frame(course, 40.0), []
    for t in range(150):
        state = kernel.step(state, HOLD, [course], [0]).state
        if t == 60:
            state[:, 3:30:6] += 2
        speeds.append(centre(state, 0.0, slice(3, 4))[0])
    assert centre(state, 0.0, slice(0, 1))[0] > 40 + 5 * CELL
    np.testing.assert_allclose(speeds[61:], speeds[61], atol=5e-3)


def test_nothing_falls_through_soft_ground():
    """Legs that come down at 3 m/s, in any posture, stay above what lies 10 cm below the surface."""
    count, course = 256, replace(ROUGH, softness=0.05)
    states = airborne(np.random.default_rng(6).uniform([-0.7, -1.5] * 2, [1.0, -0.2] * 2, (count, 4)))
    states[:, 0:30:6] += 30
    states[:, 4:30:6] = -3
    alive = np.ones(count, bool)
    for _ in range(60):
        done = kernel.step(states, np.zeros((count, 4)), [course], np.zeros(count, int))
        states, parts = done.state, bodies(done.state)[:, 1:]
        assert (parts[alive, :, 1] > height(course, parts[alive, :, 0])).all()
        alive &= ~done.terminated
    assert np.isfinite(states).all()


# One algorithm ---------------------------------------------------------------------------------------------

SOFT = replace(ROUGH, softness=0.03, friction=0.4)


@pytest.mark.parametrize("name", [*CHANGED, "soft", "soft, loaded, uphill"])
def test_the_reference_and_the_kernel_are_one(step, name: str):  # noqa: F811
    """One step from moments of 64 walks of the heuristic, within the bounds of Gymnasium's ground."""
    extra = {"soft": SOFT, "soft, loaded, uphill": replace(SOFT.inclined(np.deg2rad(5)), load=3.0)}
    course, which = {**CHANGED, **extra}[name], np.zeros(COUNT, int)
    states = kernel.begin([course], which, np.arange(COUNT))
    seen = np.stack([observe(state, course) for state in states])
    walk, several = box2d.Heuristic(COUNT), stacked([course] * COUNT)
    places, same = [], []
    for t in range(90):
        action = walk(seen)
        done = kernel.step(states, action, [course], which)
        if t > 2 and t % 6 == 0:
            ours, view = step(begin(states, several)[0], jnp.asarray(action), several)
            places.append(np.abs(np.asarray(ours.bodies) - bodies(done.state))[:, :, :3].max((1, 2)))
            same.append(np.asarray(view.observation)[:, [8, 13]] == done.observation[:, [8, 13]])
        states, seen = done.state, done.observation
    place = np.concatenate(places)
    assert np.median(place) < 1e-5 and np.quantile(place, 0.95) < 1e-4 and place.max() < 0.05
    assert np.concatenate(same).mean() > 0.99


def test_an_episode_does_not_depend_on_the_ground_of_others():
    courses = [Course.flat(), SOFT, CHANGED["all"], replace(Course.flat(), load=10.0)]
    weights = np.random.default_rng(0).normal(0, 0.4, (48, 2804)).astype(np.float32)
    which = np.arange(48) % 4
    together = kernel.rollout(weights, courses, which, np.arange(48), max_steps=200)
    for k, course in enumerate(courses):
        own = which == k
        alone = kernel.rollout(weights[own], [course], which[own] * 0, np.arange(48)[own], max_steps=200)
        assert alone.returns.tobytes() == together.returns[own].tobytes()
    assert len(set(together.returns.tolist())) > 40


# Courses ---------------------------------------------------------------------------------------------------


def test_a_slope_is_in_the_heights():
    course = ROUGH.inclined(np.deg2rad(5))
    assert (course.left[:PAD] == np.float32(BASE)).all()
    rise = course.right[-1] - ROUGH.right[-1]
    assert rise == pytest.approx(np.tan(np.deg2rad(5)) * (CELLS - PAD) * CELL, abs=1e-4)
    back = course.inclined(np.deg2rad(-5))
    np.testing.assert_allclose(back.left, ROUGH.left, atol=1e-5)
    with pytest.raises(ValueError, match=r"^course\.slope: must lie within"):
        course.inclined(1.0)


def test_courses_of_earlier_runs_are_read():
    stored = plain(ROUGH)
    for name in ("slope", "friction", "softness", "load"):
        del stored[name]
    read = decode(Course, stored).check()
    assert (read.slope, read.friction, read.softness, read.load) == (0.0, 2.5, 0.0, 0.0)
    again = decode(Course, plain(SOFT)).check()
    assert (again.softness, again.friction) == (0.03, 0.4)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("friction", -0.1),
        ("friction", np.nan),
        ("softness", 0.06),
        ("softness", "grass"),
        ("load", 21),
        ("load", None),
        ("slope", 1.0),
        ("slope", [0.1]),
        ("load", True),
    ],
)
def test_bad_ground_is_named(field: str, value: object):
    with pytest.raises(ValueError, match=rf"^course\.{field}: must lie within"):
        replace(Course.flat(), **{field: value}).check()


def test_ground_in_words():
    course = replace(Course.flat().inclined(np.deg2rad(5)), softness=0.03, friction=0.3, load=2.0)
    assert in_words(course) == (
        "on a slope of 5 degrees, soft ground (3 cm), slippery (friction 0.3), with a load of 2 kg"
    )
    assert in_words(Course.flat()) == "level ground"
    assert in_words(replace(ROUGH, friction=5.0)) == "slightly uneven ground, gripping (friction 5)"
    assert in_words(Course.flat().inclined(-0.1)) == "on a slope of -5.7 degrees"


def test_soft_ground_and_a_load_are_drawn():
    pose = airborne(np.array([[0.2, -0.9, -0.3, -0.6]]))[0, :30].reshape(5, 6)[:, :3]
    plainly = draw(Course.flat(), pose)
    for change in ({"softness": 0.03}, {"load": 3.0}):
        other = draw(replace(Course.flat(), **change), pose)
        assert ImageChops.difference(plainly, other).getbbox()
