"""The walker through Gymnasium's doors."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import aiga.worlds.walker.gym as walker_gym
import box2d
from aiga.worlds.walker.course import Course, Genes
from aiga.worlds.walker.space import grow


def rough(seed: int) -> Course:
    return grow(Genes(stump_height=(0.0, 0.4), roughness=1.0, seed=seed))


def test_gymnasium_accepts_it():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make("aiga/Walker-v0", course=rough(1), render_mode="rgb_array")
        check_env(env.unwrapped)
        assert env.spec is not None and env.spec.max_episode_steps == 2000
        env.reset(seed=0)
        picture = env.render()
    assert np.shape(picture) == (400, 600, 3)


def test_the_first_observation_is_box2ds():
    bump = np.full(200, 3.0)
    bump[14] += 0.5
    for course in (rough(2), Course.from_heights(bump + 1 / 3)):
        env = walker_gym.WalkerEnv()
        first, _ = env.reset(seed=3, options={"course": course})
        assert np.array_equal(first, env.reset(seed=3)[0])
        # The push that the seed draws is not told, so some of them all must fit.
        seen = [box2d.make(course, 0, push).start for push in np.linspace(-5, 5, 41)]
        assert min(np.abs(first - other).max() for other in seen) < 2e-3


def test_the_vector_form_walks_as_single_ones_do():
    courses = [rough(1), rough(2)]
    many = gymnasium.make_vec(
        "aiga/Walker-v0", 3, vectorization_mode="vector_entry_point", course=courses, threads=2
    )
    assert many.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.NEXT_STEP
    alone = [gymnasium.make("aiga/Walker-v0", course=courses[i % 2]) for i in range(3)]
    seen, _ = many.reset(seed=5)
    assert seen in many.observation_space
    expected = [env.reset(seed=5 + i)[0] for i, env in enumerate(alone)]
    assert np.array_equal(seen, expected)
    over, ends = np.zeros(3, bool), 0
    for t in range(400):
        action = np.sin(0.21 * t + np.arange(12)).reshape(3, 4).astype(np.float32)
        seen, reward, terminated, truncated, _ = many.step(action)
        for i, env in enumerate(alone):
            if over[i]:
                assert np.array_equal(seen[i], env.reset()[0]) and reward[i] == 0 and not terminated[i]
            else:
                one = env.step(action[i])
                assert np.array_equal(seen[i], one[0]) and reward[i] == np.float32(one[1])
                assert (terminated[i], truncated[i]) == one[2:4]
        over = terminated | truncated
        ends += over.sum()
    assert ends >= 3


def test_time_runs_out():
    many = walker_gym.WalkerVectorEnv(2, max_episode_steps=5)
    many.reset(seed=0)
    ends = [many.step(np.zeros((2, 4), np.float32))[3].all() for _ in range(12)]
    assert [t for t, end in enumerate(ends, 1) if end] == [5, 11]


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="render_mode"):
        walker_gym.WalkerEnv(render_mode="human")
    with pytest.raises(ValueError, match="num_envs"):
        walker_gym.WalkerVectorEnv(0)
    with pytest.raises(ValueError, match=r"course\.left: must be finite"):
        walker_gym.WalkerEnv(Course(np.full(199, np.nan), np.zeros(199)))
    with pytest.raises(gymnasium.error.ResetNeeded):
        walker_gym.WalkerEnv().step(np.zeros(4, np.float32))
