"""How a walker goes, in four numbers: enough to tell a shuffle on the knees from a stride."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from aiga.worlds.walker import body
from aiga.worlds.walker.course import CELL, CELLS, Course
from aiga.worlds.walker.episode import Walk

KNEES, FLAGS = (6, 11), (8, 13)  # places in an observation
WARM_UP = 50  # steps that a walk takes to settle


class Gait(NamedTuple):
    """Means over one walk, its first second left out."""

    height: float  # m, the hull's centre of mass above the ground below it
    knee: float  # rad, the range a knee moves in: between its 5th and 95th percentile, mean of both
    steps_per_metre: float  # how often a lower leg comes down
    speed: float  # m/s


def gait(course: Course, walk: Walk) -> Gait:
    """The gait of a walk on `course`; NaN where it ended within its first second or got nowhere."""
    poses, seen = walk.poses[WARM_UP:], walk.observations[WARM_UP:]
    covered = float(poses[-1, 0, 0] - poses[0, 0, 0]) if len(poses) > 1 else 0.0
    if covered <= 0:
        return Gait(*[float("nan")] * 4)
    x = poses[:, 0, 0] / CELL
    cell = np.clip(x.astype(int), 0, CELLS - 1)
    left, right = np.asarray(course.left)[cell], np.asarray(course.right)[cell]
    ground = left + (x - cell) * (right - left)
    low, high = np.percentile(seen[:, KNEES], (5, 95), axis=0)
    landings = int((np.diff(seen[:, FLAGS], axis=0) > 0).sum())
    return Gait(
        height=float((poses[:, 0, 1] - ground).mean()),
        knee=float((high - low).mean()),
        steps_per_metre=landings / covered,
        speed=covered / ((len(poses) - 1) * body.DT),
    )
