"""The small standard tasks that learners are compared on: Gymnasium's numbers, step for step, in JAX.

Barto, Sutton, Anderson 1983, "Neuronlike Adaptive Elements That Can Solve Difficult Learning Control
Problems" (CartPole); Sutton 1996, "Generalization in Reinforcement Learning" (Acrobot); Gymnasium's
`CartPole-v1`, `Acrobot-v1` and `Pendulum-v1`, time limits included. The course is not used: any will do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aiga.interfaces import View


class State(NamedTuple):
    """A body between two steps."""

    body: Any  # f32[4] or f32[2], positions and velocities
    time: Any  # i32[], steps taken


def _first(body: Any, observation: Any) -> tuple[State, View]:
    view = View(observation, jnp.float32(0), jnp.asarray(False), jnp.asarray(False))
    return State(body, jnp.int32(0)), view


def _next(
    body: Any, time: Any, observation: Any, reward: Any, terminated: Any, limit: int
) -> tuple[State, View]:
    truncated = ~terminated & (time + 1 >= limit)
    return State(body, time + 1), View(observation, reward, terminated, truncated)


@dataclass(frozen=True)
class CartPole:
    """A pole on a cart, kept upright: action i32[], 0 left or 1 right; reward 1 a step, 500 steps at most.

    Observes f32[4]: x (m), its velocity, angle (rad), its velocity; without `velocities` f32[2], so that only
    a memory can know how fast it moves.
    """

    velocities: bool = True

    def reset(self, key: jax.Array, course: Any) -> tuple[State, View]:
        """All four within 0.05 of zero."""
        body = jax.random.uniform(key, (4,), jnp.float32, -0.05, 0.05)
        return _first(body, self._seen(body))

    def step(self, key: jax.Array | None, state: State, action: Any, course: Any) -> tuple[State, View]:
        """0.02 s."""
        _, speed, angle, spin = state.body
        force = jnp.where(action == 1, 10.0, -10.0).astype(jnp.float32)
        pull = (force + 0.05 * spin**2 * jnp.sin(angle)) / 1.1
        turn = (9.8 * jnp.sin(angle) - jnp.cos(angle) * pull) / (
            0.5 * (4 / 3 - 0.1 * jnp.cos(angle) ** 2 / 1.1)
        )
        push = pull - 0.05 * turn * jnp.cos(angle) / 1.1
        body = state.body + 0.02 * jnp.stack([speed, push, spin, turn])
        fallen = (jnp.abs(body[0]) > 2.4) | (jnp.abs(body[2]) > jnp.deg2rad(12.0).astype(jnp.float32))
        return _next(body, state.time, self._seen(body), jnp.float32(1), fallen, 500)

    def _seen(self, body: Any) -> Any:
        return body if self.velocities else body[::2]


@dataclass(frozen=True)
class Acrobot:
    """Two links that hang and have to swing up: action i32[], 0 to 2, the torque between them (-1, 0, 1 N m).

    Reward -1 a step until the tip is one link above the pivot, 500 steps at most. Observes f32[6]: cosine and
    sine of both angles, and their velocities (rad/s).
    """

    def reset(self, key: jax.Array, course: Any) -> tuple[State, View]:
        """Both angles and velocities within 0.1 of zero."""
        body = jax.random.uniform(key, (4,), jnp.float32, -0.1, 0.1)
        return _first(body, self._seen(body))

    def step(self, key: jax.Array | None, state: State, action: Any, course: Any) -> tuple[State, View]:
        """0.2 s, one step of Runge and Kutta."""
        torque = jnp.asarray(action, jnp.float32) - 1

        def flow(body: Any) -> Any:
            one, two, spin, turn = body
            inertia = 3.5 + jnp.cos(two)
            shared = 1.25 + 0.5 * jnp.cos(two)
            lower = 4.9 * jnp.sin(one + two)
            bend = jnp.sin(two)
            upper = -0.5 * turn**2 * bend - turn * spin * bend + 14.7 * jnp.sin(one) + lower
            second = (torque + shared / inertia * upper - 0.5 * spin**2 * bend - lower) / (
                1.25 - shared**2 / inertia
            )
            return jnp.stack([spin, turn, -(shared * second + upper) / inertia, second])

        a = flow(state.body)
        b = flow(state.body + 0.1 * a)
        c = flow(state.body + 0.1 * b)
        d = flow(state.body + 0.2 * c)
        body = state.body + 0.2 / 6 * (a + 2 * b + 2 * c + d)
        angles = (body[:2] + jnp.pi) % (2 * jnp.pi) - jnp.pi
        most = jnp.pi * jnp.array([4, 9], jnp.float32)
        body = jnp.concatenate([angles, jnp.clip(body[2:], -most, most)])
        up = -jnp.cos(body[0]) - jnp.cos(body[0] + body[1]) > 1
        reward = jnp.where(up, 0.0, -1.0).astype(jnp.float32)
        return _next(body, state.time, self._seen(body), reward, up, 500)

    def _seen(self, body: Any) -> Any:
        one, two = jnp.cos(body[:2]), jnp.sin(body[:2])
        return jnp.stack([one[0], two[0], one[1], two[1], body[2], body[3]])


@dataclass(frozen=True)
class Pendulum:
    """A pendulum to swing up and hold for 200 steps: action f32[1], a torque of at most 2 N m.

    Reward is minus what angle, velocity and torque cost; nothing terminates. Observes f32[3]: cosine and sine
    of the angle, and its velocity (rad/s).
    """

    def reset(self, key: jax.Array, course: Any) -> tuple[State, View]:
        """Any angle, velocity within 1 rad/s of zero."""
        most = jnp.array([jnp.pi, 1], jnp.float32)
        body = jax.random.uniform(key, (2,), jnp.float32, -most, most)
        return _first(body, self._seen(body))

    def step(self, key: jax.Array | None, state: State, action: Any, course: Any) -> tuple[State, View]:
        """0.05 s."""
        angle, speed = state.body
        torque = jnp.clip(jnp.asarray(action, jnp.float32)[0], -2, 2)
        bent = (angle + jnp.pi) % (2 * jnp.pi) - jnp.pi
        cost = bent**2 + 0.1 * speed**2 + 0.001 * torque**2
        speed = jnp.clip(speed + (15 * jnp.sin(angle) + 3 * torque) * 0.05, -8, 8)
        body = jnp.stack([angle + 0.05 * speed, speed])
        return _next(body, state.time, self._seen(body), -cost, jnp.asarray(False), 200)

    def _seen(self, body: Any) -> Any:
        return jnp.stack([jnp.cos(body[0]), jnp.sin(body[0]), body[1]])


@dataclass(frozen=True)
class Recall:
    """One of two cues is shown, then nothing for `delay` steps, then it has to be named.

    Action i32[], 0 or 1, counts in the last step alone: reward 1 for the cue, -1 for the other. Observes
    f32[3]: the cue's place, and whether it is time to answer. What is seen in that step does not tell the
    cues apart, so without a memory no policy expects more than 0.
    """

    delay: int = 5

    def __post_init__(self) -> None:
        if self.delay < 1:
            raise ValueError(f"delay: at least 1, not {self.delay}")

    def reset(self, key: jax.Array, course: Any) -> tuple[State, View]:
        """A cue, drawn at random; the state's body is it."""
        cue = jax.random.bernoulli(key).astype(jnp.float32)
        return _first(cue, jnp.stack([1 - cue, cue, jnp.float32(0)]))

    def step(self, key: jax.Array | None, state: State, action: Any, course: Any) -> tuple[State, View]:
        """One step of waiting, or the answer."""
        time = state.time + 1
        asked = (time == self.delay).astype(jnp.float32)
        right = jnp.where(action == state.body.astype(jnp.int32), 1.0, -1.0).astype(jnp.float32)
        over = time > self.delay
        seen = jnp.stack([jnp.float32(0), jnp.float32(0), asked])
        return _next(state.body, state.time, seen, jnp.where(over, right, 0), over, self.delay + 2)
