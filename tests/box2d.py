"""The oracle: real Box2D, through Gymnasium's BipedalWalker, on our courses and from states of our choosing.

`python tests/box2d.py` prints what the bodies weigh and where they start.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import Box2D
import numpy as np
from gymnasium.envs.box2d.bipedal_walker import TERRAIN_STEP, BipedalWalker

from aiga.worlds.walker import body as ours
from aiga.worlds.walker.course import CELLS, Course

PARTS = ("hull", "upper leg -1", "lower leg -1", "upper leg +1", "lower leg +1")


class _Fixed:
    """Stands in for a random generator where Gymnasium draws the hull's push."""

    def __init__(self, value: float):
        self.value = value

    def uniform(self, low: float, high: float) -> float:
        return self.value


class _World(Box2D.b2World):
    """Box2D that goes over the velocities `effort` times as often as it is asked to."""

    effort = 1

    def Step(self, dt: float, velocity: int, position: int) -> None:
        super().Step(dt, velocity * self.effort, position)


class Oracle(BipedalWalker):
    """BipedalWalker whose ground is a Course and whose first push can be chosen.

    The course's friction is that of the ground, its load makes the hull denser once it has begun; soft ground
    is not to be had.

    A cell is one edge fixture, as Gymnasium's own smooth ground; a vertical face is one more edge between the
    two heights. Edges collide from both sides, so a face is solid however it is met. Gymnasium builds its
    stumps as solid polygons instead: the same upper surface, with the same 0.01 m skin.
    """

    def __init__(
        self,
        course: Course | None = None,
        push: float | None = None,
        hardcore: bool = False,
        effort: int = 1,
    ):
        super().__init__(hardcore=hardcore)
        self.world = _World()
        self.world.effort = effort
        self.course, self.push = course, push
        self.start = np.zeros(24, np.float32)  # the observation of the last reset

    def _generate_terrain(self, hardcore: bool) -> None:
        if self.course is None:
            return super()._generate_terrain(hardcore)
        course = self.course.check()
        self.fd_edge.friction = course.friction
        self.terrain, self.terrain_poly = [], []
        for (x0, y0), (x1, y1) in surface(course):
            self.fd_edge.shape.vertices = [(x0, y0), (x1, y1)]
            body = self.world.CreateStaticBody(fixtures=self.fd_edge)
            body.color1 = body.color2 = (76, 204, 76)
            self.terrain.append(body)
            self.terrain_poly.append(([(x0, y0), (x1, y1), (x1, 0), (x0, 0)], (102, 153, 76)))
        self.terrain.reverse()

    def _generate_clouds(self) -> None:
        super()._generate_clouds()
        if self.push is not None:
            self._np_random: Any = _Fixed(self.push)  # the next draw is the push

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        if isinstance(self._np_random, _Fixed):
            self._np_random = None
        self.start, info = super().reset(seed=seed, options=options)
        if self.course is not None and self.course.load:
            hull: Any = self.hull
            hull.fixtures[0].density *= float(1 + self.course.load / ours.MASS[0])
            hull.ResetMassData()
        return self.start, info


def surface(course: Course) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The ground as segments from left to right, slopes and vertical faces."""
    segments = []
    for i in range(CELLS):
        x0, x1 = i * TERRAIN_STEP, (i + 1) * TERRAIN_STEP
        l, r = float(course.left[i]), float(course.right[i])  # noqa: E741
        if i and l != float(course.right[i - 1]):
            segments.append(((x0, float(course.right[i - 1])), (x0, l)))
        segments.append(((x0, l), (x1, r)))
    return segments


def make(
    course: Course | None,
    seed: int,
    hull_push: float | None = None,
    hardcore: bool = False,
    effort: int = 1,
) -> Oracle:
    """A Box2D walker, reset: on `course`, or (None) on Gymnasium's own terrain of this seed.

    `hull_push` N is the first force on the hull in place of U(-5, 5), `effort` multiplies Gymnasium's 180
    iterations over the velocities.
    """
    env = Oracle(course, hull_push, hardcore, effort)
    env.reset(seed=seed)
    return env


def course_from(env: Oracle) -> Course:
    """The upper surface of the ground of a Gymnasium terrain, smooth or Hardcore."""
    if env.course is not None:
        return env.course
    line = np.array(env.terrain_y, np.float64)
    left, right = line[:-1].copy(), line[1:].copy()
    for body in env.terrain:
        vertices = getattr(body.fixtures[0].shape, "vertices", [])
        if len(vertices) != 4:
            continue
        xs, top = [v[0] for v in vertices], max(v[1] for v in vertices)
        first, last = round(min(xs) / TERRAIN_STEP), round(max(xs) / TERRAIN_STEP)
        left[first:last] = np.maximum(left[first:last], top)
        right[first:last] = np.maximum(right[first:last], top)
    return Course.from_heights(left, right)


def parts(env: BipedalWalker) -> list[Any]:
    """Box2D's bodies in our order: hull, then upper and lower of leg -1, then of leg +1."""
    return [env.hull, *env.legs]


def get_bodies(env: BipedalWalker) -> np.ndarray:
    """f64[5, 6]: x, y of the centre of mass, angle, velocity x, y of the centre of mass, angular velocity."""
    rows = [(*b.worldCenter, b.angle, *b.linearVelocity, b.angularVelocity) for b in parts(env)]
    return np.array(rows, np.float64)


def set_bodies(env: BipedalWalker, bodies: np.ndarray) -> None:
    """Teleports the bodies to f[5, 6] (as `get_bodies`); impulses kept for warm starting stay as they are."""
    for body, (x, y, angle, vx, vy, spin) in zip(parts(env), np.asarray(bodies, float), strict=True):
        cx, cy = body.localCenter
        c, s = math.cos(angle), math.sin(angle)
        body.transform = ((x - (c * cx - s * cy), y - (s * cx + c * cy)), angle)
        body.linearVelocity = (vx, vy)
        body.angularVelocity = spin
        body.awake = True


def step_from(env: BipedalWalker, bodies: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step from `bodies` f[5, 6]: the bodies after it and the observation.

    The walker is made anew first, so no impulse is left from elsewhere; flags of contacts that already touch
    are true.
    """
    env.reset(seed=0)
    set_bodies(env, bodies)
    observation = env.step(np.asarray(action))[0]
    return get_bodies(env), observation


def flags(env: BipedalWalker) -> list[bool]:
    """Gymnasium's contact flags of the lower leg -1 and the lower leg +1."""
    lower: list[Any] = [env.legs[1], env.legs[3]]
    return [bool(leg.ground_contact) for leg in lower]


def touching(env: BipedalWalker) -> list[bool]:
    """Whether the lower leg -1 and the lower leg +1 really touch ground: Gymnasium's flag may have been
    cleared."""
    return [any(e.contact.touching for e in leg.contacts) for leg in (env.legs[1], env.legs[3])]


def cells(env: Oracle) -> list[int]:
    """The cells of ground that the lower legs touch, a bit each modulo 16: ours to compare with, not
    Gymnasium's."""
    touched = []
    for leg in (env.legs[1], env.legs[3]):
        bits = 0
        for edge in leg.contacts:
            start, end = (vertex[0] for vertex in edge.contact.fixtureA.shape.vertices[:2])
            if edge.contact.touching and start != end:
                bits |= 1 << round(min(start, end) / TERRAIN_STEP) % 16
        touched.append(bits)
    return touched


def record(env: Oracle, policy: Callable[[np.ndarray], np.ndarray], steps: int) -> dict[str, np.ndarray]:
    """A walk of at most `steps` T: bodies f64[T+1, 5, 6], actions f32[T, 4], observations f32[T+1, 24],
    rewards f64[T], flags bool[T+1, 2] (Gymnasium's), touching bool[T+1, 2] (Box2D's), terminated bool."""
    observation, ended = env.start, False
    bodies, observations, actions, rewards = [get_bodies(env)], [observation], [], []
    flagged, touches, grounds = [flags(env)], [touching(env)], [cells(env)]
    while not ended and len(actions) < steps:
        action = np.asarray(policy(observation), np.float32)
        observation, reward, ended, _, _ = env.step(action)
        bodies.append(get_bodies(env))
        observations.append(observation)
        actions.append(action)
        rewards.append(float(reward))
        flagged.append(flags(env))
        touches.append(touching(env))
        grounds.append(cells(env))
    return {
        "bodies": np.array(bodies),
        "observations": np.array(observations, np.float32),
        "actions": np.array(actions, np.float32).reshape(-1, 4),
        "rewards": np.array(rewards),
        "flags": np.array(flagged, bool),
        "touching": np.array(touches, bool),
        "cells": np.array(grounds),
        "terminated": np.array(ended),
    }


def distances(envs: list[Oracle], policy: Callable[[np.ndarray], np.ndarray], steps: int) -> np.ndarray:
    """How far the hull's centre of mass gets in each of N walks, f[N] m; the policy speaks f32[N, ...]."""
    observations, alive = np.stack([env.start for env in envs]), np.ones(len(envs), bool)
    for _ in range(steps):
        actions = policy(observations)
        for i in np.flatnonzero(alive):
            observations[i], _, ended, _, _ = envs[i].step(actions[i])
            alive[i] = not ended
    return np.array([get_bodies(env)[0, 0] for env in envs])


class Heuristic:
    """Gymnasium's hand-written walk (`bipedal_walker.py`, BipedalWalkerHeuristics), for N walkers at once.

    Three moods a leg pair goes through: swing one leg forward while standing on the other, put it down, push
    off. `heuristic(observation[N, 24]) -> action[N, 4]`; with N None it speaks single observations, for
    Box2D. The first action is all zeros, as in Gymnasium's own loop.
    """

    SWING, DOWN, PUSH = 0, 1, 2
    SPEED, BENT = 0.29, 0.1

    def __init__(self, n: int | None = None):
        self.single, self.rows = n is None, np.arange(n or 1)
        count = len(self.rows)
        self.mood = np.full(count, self.SWING)
        self.moving = np.zeros(count, int)
        self.knee = np.full(count, self.BENT)
        self.begun = np.zeros(count, bool)

    def restart(self, which: np.ndarray) -> None:
        """Forget the past of the walkers `which` bool[N]: their episodes begin anew."""
        self.mood[which], self.moving[which] = self.SWING, 0
        self.knee[which], self.begun[which] = self.BENT, False

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        s = np.atleast_2d(np.asarray(observation, np.float64))
        old = (self.mood.copy(), self.moving.copy(), self.knee.copy())
        rows, moving = self.rows, self.moving.copy()
        standing = 1 - moving
        joints = s[:, 4:14].reshape(-1, 2, 5)  # leg: hip, its speed, knee + 1, its speed, contact
        mover, stander = joints[rows, moving], joints[rows, standing]
        hip = np.full((len(rows), 2), np.nan)
        knee = np.full((len(rows), 2), np.nan)

        swing = self.mood == self.SWING
        hip[rows[swing], moving[swing]] = 1.1
        knee[rows[swing], moving[swing]] = -0.6
        bend = np.minimum(self.knee + 0.03 * (1 + (s[:, 2] > self.SPEED)), self.BENT)
        self.knee = np.where(swing, bend, self.knee)
        knee[rows[swing], standing[swing]] = self.knee[swing]
        self.mood[swing & (stander[:, 0] < 0.10)] = self.DOWN

        down = self.mood == self.DOWN
        hip[rows[down], moving[down]] = 0.1
        knee[rows[down], moving[down]] = self.BENT
        knee[rows[down], standing[down]] = self.knee[down]
        landed = down & (mover[:, 4] > 0)
        self.mood[landed] = self.PUSH
        self.knee = np.where(landed, np.minimum(mover[:, 2], self.BENT), self.knee)

        push = self.mood == self.PUSH
        knee[rows[push], moving[push]] = self.knee[push]
        knee[rows[push], standing[push]] = 1.0
        done = push & ((stander[:, 2] > 0.88) | (s[:, 2] > 1.2 * self.SPEED))
        self.mood[done] = self.SWING
        self.moving[done] = 1 - moving[done]

        # A knee target of exactly zero counts as none in Gymnasium.
        driven_hip, driven_knee = ~np.isnan(hip), ~np.isnan(knee) & (knee != 0)
        hip = np.where(driven_hip, 0.9 * (hip - joints[:, :, 0]) - 0.25 * joints[:, :, 1], 0.0)
        knee = np.where(driven_knee, 4.0 * (knee - joints[:, :, 2]) - 0.25 * joints[:, :, 3], 0.0)
        hip += (0.9 * s[:, 0] + 1.5 * s[:, 1])[:, None]
        knee -= 15.0 * s[:, 3:4]
        action = np.clip(0.5 * np.stack([hip[:, 0], knee[:, 0], hip[:, 1], knee[:, 1]], 1), -1, 1)

        fresh = ~self.begun
        self.mood[fresh], self.moving[fresh], self.knee[fresh] = (o[fresh] for o in old)
        action[fresh] = 0.0
        self.begun[:] = True
        action = action.astype(np.float32)
        return action[0] if self.single else action


def describe(env: BipedalWalker) -> str:
    """Mass, inertia about the centre of mass, local centre and present state of each body."""
    lines = []
    for name, body, state in zip(PARTS, parts(env), get_bodies(env), strict=True):
        c = body.localCenter
        inertia = body.inertia - body.mass * (c[0] ** 2 + c[1] ** 2)  # Box2D reports it about the origin
        lines.append(
            f"{name:13s} mass {body.mass:.9g}  inertia {inertia:.9g}  centre ({c[0]:.9g}, {c[1]:.9g})  "
            f"friction {body.fixtures[0].friction:.3g}  at {np.array2string(state, precision=6)}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    for push in (0.0, 5.0):
        print(f"after reset, push {push:g} N\n{describe(make(Course.flat(), 0, push))}")
