"""The walker, fast: the native kernel behind two functions.

`rollout` runs whole episodes of many brains on many courses, `step` moves many walkers by 1/50 s. Both give
the same bytes whatever the number of threads; between instruction sets the last bits differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from aiga.interfaces import Evaluate, Outcome
from aiga.machine import threads_here
from aiga.worlds.walker import body
from aiga.worlds.walker.course import FRICTION, Course

START_CELL = 10  # the cell over which the walker starts
ACTIVATIONS = {"identity": 0, "tanh": 1, "relu": 2}
PLAIN = np.stack(body.setting([FRICTION], [0], [0]), axis=1)  # f32[1, 6], `settings` of Gymnasium's ground


@dataclass(frozen=True)
class Quality:
    """How hard the solvers try. The default walks as far as Box2D does (docs/walker.md)."""

    newton: int = 9  # most Newton steps for the velocities; most states need two to four
    position: int = 4  # most passes of the position solver, unless a joint is torn; most states need one
    bug_flags: bool = True  # contact flags as Gymnasium's: cleared when any one edge is left


class Rollouts(NamedTuple):
    """What `rollout` returns, for P episodes."""

    returns: np.ndarray  # f32[P]
    lengths: np.ndarray  # i32[P], steps
    distance: np.ndarray  # f32[P], m, x of the hull's centre of mass at the end
    finished: np.ndarray  # bool[P], the walker reached the end of its course
    lane_steps: int  # steps that the lanes could have taken in the same time


class Stepped(NamedTuple):
    """What `step` returns, for E walkers."""

    state: np.ndarray  # f32[E, 36]
    observation: np.ndarray  # f32[E, 24]
    reward: np.ndarray  # f32[E]
    terminated: np.ndarray  # bool[E]
    finished: np.ndarray  # bool[E]


def heights(courses: Sequence[Course]) -> np.ndarray:
    """f32[C, cells, 2], the left and right heights of C courses."""
    return np.stack([np.stack([c.left, c.right], axis=1) for c in courses]).astype(np.float32)


def settings(courses: Sequence[Course]) -> np.ndarray:
    """f32[C, 6], what C courses make of the ground and of the hull: `body.Setting`."""
    numbers = np.array([[c.friction, c.softness, c.load] for c in courses], np.float32)
    return np.stack(body.setting(*numbers.T), axis=1)


def begin(courses: Sequence[Course], which: Any, seeds: Any) -> np.ndarray:
    """The states f32[P, 36] in which episodes begin: `which` i32[P] course, `seeds` u32[P].

    They are those of an unloaded walker: a load is put on it then.

    Raises ValueError for a course that is not there, or when the two are not of one length.
    """
    which, seeds = np.asarray(which, np.int32), np.asarray(seeds, np.uint32)
    if which.shape != seeds.shape or which.ndim != 1:
        raise ValueError(f"seeds: one for each of `which`, {which.shape}, not {seeds.shape}")
    if which.size and not 0 <= which.min() <= which.max() < len(courses):
        raise ValueError(f"which: from 0 to {len(courses) - 1}")
    ground = np.array([c.left[START_CELL] for c in courses], np.float32)
    return body.start(body.push_of(seeds), ground[which])


def rollout(
    weights: Any,
    courses: Sequence[Course],
    which: Any,
    seeds: Any,
    *,
    sizes: Sequence[int] = (24, 40, 40, 4),
    activations: Sequence[str] = ("tanh", "tanh", "tanh"),
    rows: Any = None,
    max_steps: int = 2000,
    threads: int = 0,
    quality: Quality = Quality(),
    instruction_set: str = "",
) -> Rollouts:
    """One episode each for P brains.

    `weights` f32[R, N] flat, per layer W[in, out] then b[out]; `rows` i32[P] says whose weights an episode
    uses (default: R = P, its own). `which` i32[P] the course, `seeds` u32[P] the push in the first step.
    `threads` 0 means all that this process may use; `instruction_set` "" means the best. Episodes of weights
    that are not all finite return NaN and finish nothing.
    Raises ValueError naming the argument that does not fit.
    """
    from aiga import _walker

    weights = np.ascontiguousarray(weights, np.float32)
    which = np.ascontiguousarray(which, np.int32)
    unknown = [a for a in activations if a not in ACTIVATIONS]
    if unknown:
        raise ValueError(f"activations: one of {', '.join(ACTIVATIONS)}, not {unknown[0]}")
    rows = np.ascontiguousarray(np.arange(len(which)) if rows is None else rows, np.int32)
    done = Rollouts(
        *_walker.rollout(
            weights,
            rows,
            heights(courses),
            settings(courses),
            which,
            begin(courses, which, seeds),
            list(sizes),
            [ACTIVATIONS[a] for a in activations],
            max_steps,
            threads or threads_here(),
            quality.newton,
            quality.position,
            quality.bug_flags,
            instruction_set,
        )
    )
    # The kernel's minima and maxima let no NaN through, so it would walk on as if nothing were wrong.
    broken = ~np.isfinite(weights).all(1)[rows]
    done.returns[broken], done.finished[broken] = np.nan, False
    return done


def step(
    state: Any,
    action: Any,
    courses: Sequence[Course] | np.ndarray,
    which: Any,
    *,
    given: np.ndarray | None = None,
    threads: int = 0,
    quality: Quality = Quality(),
    instruction_set: str = "",
) -> Stepped:
    """One step of 1/50 s for E walkers: `state` f32[E, 36], `action` f32[E, 4], `which` i32[E] the course.

    `courses` may be the array `heights` made of them, with what `settings` made of them as `given`; without
    that, the ground is Gymnasium's. Raises ValueError naming the one that does not fit.
    """
    from aiga import _walker

    if not isinstance(courses, np.ndarray):
        courses, given = heights(courses), settings(courses)
    elif given is None:
        given = np.repeat(PLAIN, len(courses), 0)
    return Stepped(
        *_walker.step(
            np.ascontiguousarray(state, np.float32),
            np.ascontiguousarray(action, np.float32),
            courses,
            np.ascontiguousarray(given, np.float32),
            np.ascontiguousarray(which, np.int32),
            threads or threads_here(),
            quality.newton,
            quality.position,
            quality.bug_flags,
            instruction_set,
        )
    )


def evaluator(
    sizes: Sequence[int] = (24, 40, 40, 4),
    activations: Sequence[str] = ("tanh", "tanh", "tanh"),
    max_steps: int = 2000,
    threads: int = 0,
    quality: Quality = Quality(),
) -> Evaluate:
    """`Evaluate` for systems, on all cores of this machine."""

    def evaluate(weights: Any, courses: Sequence[Course], which: Any, seeds: Any) -> Outcome:
        done = rollout(
            weights, courses, which, seeds, sizes=sizes, activations=activations, max_steps=max_steps,
            threads=threads, quality=quality,
        )  # fmt: skip
        return Outcome(done.returns, done.lengths, done.finished)

    return evaluate
