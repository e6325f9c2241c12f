"""The walker as a Gymnasium environment, `aiga/Walker-v0`, and as a vector environment over the native
kernel.

Importing this module registers both: `gymnasium.make("aiga.worlds.walker.gym:aiga/Walker-v0",
course=course)`, or `gymnasium.make_vec(..., num_envs=512, vectorization_mode="vector_entry_point")`.
Observations, actions, rewards and ends are those of `BipedalWalker-v3`; courses are aiga's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector.utils import batch_space

from aiga.worlds.walker import body, kernel
from aiga.worlds.walker.course import Course
from aiga.worlds.walker.episode import observe

MAX_STEPS = 2000
RENDER_MODES = ("rgb_array",)
_most = np.array([100.0] * 8 + [1.0] + [100.0] * 4 + [1.0] * 11, np.float32)
_least = np.where(_most > 1, -_most, 0).astype(np.float32)
OBSERVATIONS = gymnasium.spaces.Box(_least, _most)
ACTIONS = gymnasium.spaces.Box(-1.0, 1.0, (body.ACTION,), np.float32)


class WalkerEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One walker on `course` (default: flat ground). `reset(options={"course": ...})` changes it for good.

    `render_mode` "rgb_array" gives pictures u8[400, 600, 3], `lidar` true with the rays. Raises ValueError
    naming the argument that does not fit.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 50}  # noqa: RUF012

    def __init__(
        self,
        course: Course | None = None,
        render_mode: str | None = None,
        lidar: bool = False,
        quality: kernel.Quality = kernel.Quality(),  # noqa: B008
    ):
        self.render_mode, self.lidar, self.quality = _mode(render_mode), lidar, quality
        self.observation_space, self.action_space = OBSERVATIONS, ACTIONS
        self.course = (course or Course.flat()).check()
        self._ground = kernel.heights([self.course]), kernel.settings([self.course])
        self._state: np.ndarray | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """The first observation f32[24], and nothing to tell."""
        super().reset(seed=seed)
        if options and "course" in options:
            self.course = options["course"].check()
            self._ground = kernel.heights([self.course]), kernel.settings([self.course])
        self._state = kernel.begin([self.course], [0], [_episode(self.np_random)])
        return observe(self._state[0], self.course), {}

    def step(self, action: np.ndarray):
        """One fiftieth of a second; info tells `distance` (m) and `finished`, the end of the course was
        reached."""
        if self._state is None:
            raise gymnasium.error.ResetNeeded("step: call reset first")
        heights, given = self._ground
        done = kernel.step(
            self._state,
            np.reshape(action, (1, -1)),
            heights,
            [0],
            given=given,
            threads=1,
            quality=self.quality,
        )
        self._state = done.state
        info = {"distance": float(done.state[0, 0]), "finished": bool(done.finished[0])}
        return done.observation[0], float(done.reward[0]), bool(done.terminated[0]), False, info

    def render(self) -> np.ndarray | None:
        """The walker on its course, u8[400, 600, 3]; None without a render mode."""
        if self.render_mode is None or self._state is None:
            return None
        return picture(self.course, self._state[0], self.lidar)


class WalkerVectorEnv(gymnasium.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """`num_envs` walkers stepped together; environment i walks on `course`, or on course i modulo their
    number.

    An episode that ended is begun anew in the step after it, whose action and reward do not count (next-step
    autoreset). `threads` 0 means all that this process may use.
    """

    metadata = {  # noqa: RUF012
        "render_modes": list(RENDER_MODES),
        "render_fps": 50,
        "autoreset_mode": gymnasium.vector.AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        course: Course | Sequence[Course] | None = None,
        max_episode_steps: int = MAX_STEPS,
        render_mode: str | None = None,
        lidar: bool = False,
        threads: int = 0,
        quality: kernel.Quality = kernel.Quality(),  # noqa: B008
    ):
        for name, value in (("num_envs", num_envs), ("max_episode_steps", max_episode_steps)):
            if value < 1:
                raise ValueError(f"{name}: at least 1, not {value!r}")
        courses = [course or Course.flat()] if course is None or isinstance(course, Course) else list(course)
        if not courses:
            raise ValueError("course: at least one")
        self.num_envs, self.max_episode_steps = num_envs, max_episode_steps
        self.render_mode, self.lidar, self.threads, self.quality = _mode(render_mode), lidar, threads, quality
        self.single_observation_space, self.single_action_space = OBSERVATIONS, ACTIONS
        self.observation_space = batch_space(OBSERVATIONS, num_envs)
        self.action_space = batch_space(ACTIONS, num_envs)
        self.courses = [c.check() for c in courses]
        self.which = np.arange(num_envs, dtype=np.int32) % np.int32(len(courses))
        self._ground = kernel.heights(self.courses), kernel.settings(self.courses)
        self._randoms: list[np.random.Generator] = []
        self._state = np.zeros((num_envs, body.STATE), np.float32)
        self._over = np.zeros(num_envs, bool)

    def reset(self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None):
        """The first observations f32[E, 24]. Environment i is seeded with `seed` + i, or with the i-th of a
        list.

        `options["reset_mask"]` bool[E] begins some anew and leaves the others as they are.
        """
        seeds = (
            [None if seed is None else seed + i for i in range(self.num_envs)]
            if seed is None or isinstance(seed, int)
            else list(seed)
        )
        if len(seeds) != self.num_envs:
            raise ValueError(f"seed: {self.num_envs} of them, not {len(seeds)}")
        mask = (
            np.ones(self.num_envs, bool)
            if not options
            else options.get("reset_mask", np.ones(self.num_envs, bool))
        )
        if not self._randoms:
            self._randoms = [seeding.np_random(s)[0] for s in seeds]
        else:
            for i in np.flatnonzero(mask):
                if seeds[i] is not None:
                    self._randoms[i] = seeding.np_random(seeds[i])[0]
        observation = np.stack(
            [observe(s, self.courses[w]) for s, w in zip(self._state, self.which, strict=True)]
        )
        self._restart(np.flatnonzero(mask), observation)
        return observation, {}

    def step(self, actions: np.ndarray):
        """Observations f32[E, 24], rewards f32[E], terminated and truncated bool[E]; info has `distance`
        f32[E] in m and `finished` bool[E], the end of the course was reached."""
        if not self._randoms:
            raise gymnasium.error.ResetNeeded("step: call reset first")
        anew = np.flatnonzero(self._over)
        heights, given = self._ground
        done = kernel.step(
            self._state,
            actions,
            heights,
            self.which,
            given=given,
            threads=self.threads,
            quality=self.quality,
        )
        self._state = done.state
        self._restart(anew, done.observation)
        done.reward[anew] = 0
        done.terminated[anew] = done.finished[anew] = False
        truncated = ~done.terminated & (self._state[:, -1] >= self.max_episode_steps)
        self._over = done.terminated | truncated
        info = {"distance": self._state[:, 0].copy(), "finished": done.finished}
        return done.observation, done.reward, done.terminated, truncated, info

    def render(self) -> tuple[np.ndarray, ...] | None:
        """A picture u8[400, 600, 3] of each walker; None without a render mode."""
        if self.render_mode is None:
            return None
        return tuple(
            picture(self.courses[w], s, self.lidar) for s, w in zip(self._state, self.which, strict=True)
        )

    def _restart(self, rows: np.ndarray, observation: np.ndarray) -> None:
        """New episodes in `rows`, their first observations written into `observation` f32[E, 24]."""
        if not len(rows):
            return
        seeds = [_episode(self._randoms[i]) for i in rows]
        self._state[rows] = kernel.begin(self.courses, self.which[rows], seeds)
        for i in rows:
            observation[i] = observe(self._state[i], self.courses[self.which[i]])
        self._over[rows] = False


def picture(course: Course, state: np.ndarray, lidar: bool) -> np.ndarray:
    """The walker in `state` f32[36] on its course, u8[400, 600, 3]."""
    from aiga.worlds.walker.draw import draw

    return np.asarray(draw(course, state[:30].reshape(5, 6)[:, :3], (600, 400), lidar))


def _episode(random: np.random.Generator) -> int:
    """The seed u32 of the next episode."""
    return int(random.integers(2**32))


def _mode(render_mode: str | None) -> str | None:
    if render_mode is not None and render_mode not in RENDER_MODES:
        raise ValueError(f"render_mode: None or one of {', '.join(RENDER_MODES)}, not {render_mode!r}")
    return render_mode


gymnasium.register(
    "aiga/Walker-v0",
    entry_point="aiga.worlds.walker.gym:WalkerEnv",
    vector_entry_point="aiga.worlds.walker.gym:WalkerVectorEnv",
    max_episode_steps=MAX_STEPS,
)
