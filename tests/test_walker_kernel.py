"""The native kernel's own promises: the same bytes however it is run, any network, clear refusals."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from aiga import _walker
from aiga.worlds.walker import body, kernel
from aiga.worlds.walker.course import Course, Genes
from aiga.worlds.walker.episode import walk
from aiga.worlds.walker.space import grow

COURSES = [
    Course.flat(),
    grow(Genes((0.0, 0.4), (0.0, 0.8), (0.0, 0.4), 1, 0.8, 1)),
    grow(Genes(roughness=2.0)),
]


def population(count: int, sizes: tuple[int, ...] = (24, 40, 40, 4)) -> np.ndarray:
    numbers = sum((rows + 1) * columns for rows, columns in pairwise(sizes))
    return np.random.default_rng(0).normal(0, 0.4, (count, numbers)).astype(np.float32)


def forward(
    weights: np.ndarray, sizes: tuple[int, ...], activations: tuple[str, ...], x: np.ndarray
) -> np.ndarray:
    functions = {"tanh": np.tanh, "relu": lambda v: np.maximum(v, 0), "identity": lambda v: v}
    for (rows, columns), name in zip(pairwise(sizes), activations, strict=True):
        matrix, bias = weights[: rows * columns].reshape(rows, columns), weights[rows * columns :][:columns]
        x, weights = functions[name](x @ matrix + bias), weights[(rows + 1) * columns :]
    return x


def test_same_bytes_whatever_the_threads_and_the_company():
    weights, count = population(90), 90
    which, seeds = np.arange(count) % 3, np.arange(count)
    one = kernel.rollout(weights, COURSES, which, seeds, max_steps=300, threads=1)
    for threads in (2, 5):
        other = kernel.rollout(weights, COURSES, which, seeds, max_steps=300, threads=threads)
        for a, b in zip(one[:4], other[:4], strict=True):
            assert a.tobytes() == b.tobytes()
    some = np.random.default_rng(1).permutation(count)[:37]
    fewer = kernel.rollout(weights, COURSES, which[some], seeds[some], rows=some, max_steps=300)
    for a, b in zip(one[:4], fewer[:4], strict=True):
        assert a[some].tobytes() == b.tobytes()
    assert len(set(one.lengths)) > 10


def test_instruction_sets_agree_at_first_and_in_the_long_run():
    states = kernel.begin(COURSES, np.arange(90) % 3, np.arange(90))
    which, results, returns = np.arange(90) % 3, [], []
    for name in _walker.instruction_sets():
        now = states
        for t in range(12):
            action = np.sin(0.3 * t + np.arange(360)).reshape(90, 4)
            now = kernel.step(now, action, COURSES, which, instruction_set=name).state
        results.append(now[:, :30])
        done = kernel.rollout(population(90), COURSES, which, which, max_steps=300, instruction_set=name)
        returns.append(done.returns.mean())
    for result, mean in zip(results, returns, strict=True):
        assert np.quantile(np.abs(result - results[0]).max(1), 0.8) < 1e-2
        assert mean == pytest.approx(returns[0], abs=8)


@pytest.mark.parametrize(
    ("sizes", "activations"),
    [
        ((24, 40, 40, 4), ("tanh", "tanh", "tanh")),
        ((24, 4), ("identity",)),
        ((24, 7, 33, 5, 4), ("relu", "tanh", "identity", "tanh")),
    ],
)
def test_a_rollout_is_its_steps_with_any_network(sizes, activations):
    weights = population(3, sizes)
    for steps, tolerance in ((1, 1e-4), (4, 1e-2), (15, 1.0)):  # the last bits of a network grow
        done = kernel.rollout(
            weights, COURSES, [0, 1, 2], [5, 6, 7], sizes=sizes, activations=activations, max_steps=steps
        )
        for i, course in enumerate(COURSES):
            seen = walk(course, lambda o, i=i: forward(weights[i], sizes, activations, o), 5 + i, steps)
            assert done.lengths[i] == len(seen.poses) - 1 == steps
            assert done.returns[i] == pytest.approx(seen.total, abs=tolerance)
            assert done.distance[i] == pytest.approx(seen.poses[-1, 0, 0], abs=tolerance)


def test_weights_that_are_no_numbers_never_win():
    weights = population(2)
    weights[1, 7] = np.nan
    done = kernel.rollout(weights, COURSES, [0, 0, 0], [1, 1, 2], rows=[0, 1, 1], max_steps=50)
    assert np.array_equal(np.isnan(done.returns), [False, True, True]) and not done.finished[1:].any()


def test_the_end_of_the_course_and_of_time():
    states = kernel.begin(COURSES[:1], [0], [0])
    states[:, 0:30:6] += 84.2
    states[:, 34] += 84.2 * 130 / 30
    forward_speed = states.copy()
    forward_speed[:, 3:30:6] += 8
    done = kernel.step(forward_speed, np.zeros((1, 4)), COURSES[:1], [0])
    assert done.terminated[0] and done.finished[0] and done.reward[0] > 0
    behind = kernel.begin(COURSES[:1], [0], [0])
    behind[:, 0:30:6] -= 4.7
    fallen = kernel.step(behind, np.zeros((1, 4)), COURSES[:1], [0])
    assert fallen.terminated[0] and not fallen.finished[0] and fallen.reward[0] == -100
    assert kernel.rollout(population(1) * 0, COURSES, [0], [0], max_steps=9).lengths[0] == 9


def test_pushes_are_spread_evenly():
    push = body.push_of(np.arange(4096))
    assert -body.PUSH <= push.min() < -4.9 and 4.9 < push.max() < body.PUSH
    assert abs(push.mean()) < 2.6 * body.PUSH / np.sqrt(3 * 4096)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.zeros((2, 7))}, "weights"),
        ({"which": [0, 9]}, "which"),
        ({"seeds": [1]}, "seeds"),
        ({"sizes": (24, 3)}, "sizes"),
        ({"activations": ("tanh", "sine", "tanh")}, "activations"),
        ({"max_steps": 0}, "max_steps"),
        ({"instruction_set": "z80"}, "instruction_set"),
        ({"courses": [Course(np.zeros(199), np.r_[np.zeros(198), np.inf])], "which": [0, 0]}, "heights"),
    ],
)
def test_bad_arguments_are_named(change, message):
    good = {"weights": population(2), "courses": COURSES, "which": [0, 1], "seeds": [1, 2]}
    with pytest.raises(ValueError, match=message):
        kernel.rollout(**{**good, **change})
