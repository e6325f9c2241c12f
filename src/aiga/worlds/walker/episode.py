"""One episode of a walker, step by step, with everything there is to see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from aiga.worlds.walker import body, kernel
from aiga.worlds.walker.course import Course, rays


class Walk(NamedTuple):
    """T moments of an episode, the first one before the first action."""

    poses: np.ndarray  # f32[T, 5, 3]: x, y (m) of the centre of mass and angle (rad) of each body
    observations: np.ndarray  # f32[T, 24]
    total: float  # the return
    finished: bool  # the walker reached the end of its course


def walk(
    course: Course, act: Callable[[np.ndarray], Any], seed: int, max_steps: int = 2000, threads: int = 1
) -> Walk:
    """Plays the episode of `seed` (u32), with actions f32[4] that `act` gives to observations f32[24].

    Raises ValueError for a course that does not fit, naming the field.
    """
    course = course.check()
    heights, state = kernel.heights([course]), kernel.begin([course], [0], [seed])
    observation, total, finished = observe(state[0], course), 0.0, False
    states, observations = [state[0]], [observation]
    for _ in range(max_steps):
        action = np.asarray(act(observation), np.float32).reshape(1, body.ACTION)
        done = kernel.step(state, action, heights, [0], threads=threads)
        state, observation = done.state, done.observation[0]
        total, finished = total + float(done.reward[0]), bool(done.finished[0])
        states.append(state[0])
        observations.append(observation)
        if done.terminated[0]:
            break
    poses = np.stack(states)[:, :30].reshape(-1, 5, 6)[:, :, :3]
    return Walk(poses, np.stack(observations), total, finished)


def observe(state: np.ndarray, course: Course) -> np.ndarray:
    """What a walker in `state` f32[36] sees, f32[24], in Gymnasium's order and scalings."""
    b, flags = state[:30].reshape(5, 6), state[30:32]
    joint = (b[list(body.CHILD)] - b[list(body.PARENT)])[:, [2, 5]]
    angle = joint[:, 0] - body.REFERENCE + np.array([0, 1, 0, 1], np.float32)
    speed = joint[:, 1] / body.RATED
    seen = [b[0, 2], b[0, 5] * 2 * body.DT, b[0, 3] * 0.12, b[0, 4] * 0.08]
    for leg in (0, 1):
        seen += [angle[2 * leg], speed[2 * leg], angle[2 * leg + 1], speed[2 * leg + 1], flags[leg]]
    c, s = np.cos(b[0, 2]), np.sin(b[0, 2])
    cx, cy = body.HULL_CENTRE
    x, y = b[0, 0] - (c * cx - s * cy), b[0, 1] - (s * cx + c * cy)
    return np.array([*seen, *rays(course, x, y)], np.float32)
