"""The walker as a `World` whose steps are the native kernel's: on a CPU a hundred times as fast as in JAX.

A `jit`ted function calls back to the host, once a step for all environments of a `vmap`. Courses, actions,
observations, rewards and ends are those of `WalkerWorld`, whose numbers are the kernel's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aiga.interfaces import View
from aiga.worlds.walker import body, kernel
from aiga.worlds.walker.course import Course
from aiga.worlds.walker.world import WalkerWorld

DEFAULT = kernel.Quality()
# What the kernel answers for one walker, in the order of `kernel.Stepped`.
FIELDS = [
    ((body.STATE,), np.float32),
    ((body.OBSERVATION,), np.float32),
    ((), np.float32),
    ((), bool),
    ((), bool),
]


class State(NamedTuple):
    """One walker between two steps."""

    numbers: Any  # f32[36], the kernel's
    finished: Any  # bool[], the end of the course was reached


@dataclass(frozen=True)
class NativeWalker:
    """`WalkerWorld` by way of the kernel; `threads` 0 means all that this process may use."""

    max_steps: int = 2000
    threads: int = 0
    quality: kernel.Quality = DEFAULT

    def reset(self, key: jax.Array, course: Course) -> tuple[State, View]:
        """The walker as Gymnasium's `reset` leaves it, given a push of U(-5, 5) N."""
        push = jax.random.uniform(key, (1,), jnp.float32, -body.PUSH, body.PUSH)
        start = kernel.START_CELL
        numbers = body.start(push, jnp.asarray(course.left)[start : start + 1], jnp)[0]
        return State(numbers, jnp.asarray(False)), WalkerWorld().begin(numbers, course)[1]

    def step(self, key: jax.Array | None, state: State, action: Any, course: Course) -> tuple[State, View]:
        """One fiftieth of a second. Nothing in it is random: `key` is not used."""
        shapes = [jax.ShapeDtypeStruct(shape, kind) for shape, kind in FIELDS]
        ground = jnp.stack([jnp.asarray(course.left), jnp.asarray(course.right)], 1)
        given = jnp.stack(body.setting(course.friction, course.softness, course.load, jnp))
        told = state.numbers, jnp.asarray(action, jnp.float32), ground, given
        done = kernel.Stepped(*jax.pure_callback(self._step, shapes, *told, vmap_method="broadcast_all"))
        late = ~done.terminated & (done.state[-1] >= self.max_steps)
        return State(done.state, done.finished), View(done.observation, done.reward, done.terminated, late)

    def finished(self, state: State) -> Any:
        """Whether the walker reached the end of the course, bool[]."""
        return state.finished

    def _step(self, numbers: Any, action: Any, ground: Any, given: Any) -> list[np.ndarray]:
        """`kernel.step` for arrays with any leading axes."""
        lead = numbers.shape[:-1]
        numbers, action, ground, given = (np.asarray(each) for each in (numbers, action, ground, given))
        done = kernel.step(
            numbers.reshape(-1, body.STATE),
            action.reshape(-1, body.ACTION),
            ground.reshape(-1, *ground.shape[-2:]),
            np.arange(max(1, int(np.prod(lead))), dtype=np.int32),
            given=given.reshape(-1, given.shape[-1]),
            threads=self.threads,
            quality=self.quality,
        )
        return [part.reshape((*lead, *part.shape[1:])) for part in done]
