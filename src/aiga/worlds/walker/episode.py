"""Episodes of walkers, step by step, with everything there is to see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    return walks([course], lambda seen, _: act(seen[0]), [seed], max_steps, threads)[0]


def walks(
    courses: Sequence[Course],
    act: Callable[[np.ndarray, np.ndarray], Any],
    seeds: Sequence[int],
    max_steps: int = 2000,
    threads: int = 1,
) -> list[Walk]:
    """Plays E episodes in lock step: episode i on `courses[i]` with `seeds[i]` (u32).

    `act(observations f32[P, 24], rows i[P])` gives the actions f32[P, 4] of the P episodes `rows` that still
    go on. What becomes of an episode does not depend on the others, if what `act` says does not.
    Raises ValueError, naming the field, for a course that does not fit and for seeds that are not E.
    """
    courses, rows = [course.check() for course in courses], np.arange(len(courses))
    if not len(rows):
        return []
    heights, given = kernel.heights(courses), kernel.settings(courses)
    state = kernel.begin(courses, rows, seeds)
    seen = np.stack([observe(s, course) for s, course in zip(state, courses, strict=True)])
    poses = np.empty((max_steps + 1, len(rows), 5, 3), np.float32)
    observations = np.empty((max_steps + 1, len(rows), body.OBSERVATION), np.float32)
    total, finished, length = np.zeros(len(rows)), np.zeros(len(rows), bool), np.ones(len(rows), int)
    poses[0], observations[0] = state[:, :30].reshape(-1, 5, 6)[..., :3], seen
    for t in range(1, max_steps + 1):
        action = np.asarray(act(seen, rows), np.float32).reshape(-1, body.ACTION)
        done = kernel.step(state, action, heights, rows, given=given, threads=threads)
        poses[t, rows] = done.state[:, :30].reshape(-1, 5, 6)[..., :3]
        observations[t, rows] = done.observation
        total[rows] += done.reward
        finished[rows], length[rows] = done.finished, t + 1
        on = ~done.terminated
        state, seen, rows = done.state[on], done.observation[on], rows[on]
        if not len(rows):
            break
    # Copies, so that a short walk does not keep the memory of all of them.
    return [
        Walk(poses[:n, i].copy(), observations[:n, i].copy(), float(total[i]), bool(finished[i]))
        for i, n in enumerate(length)
    ]


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
