"""Bandits: the tasks on which a memory learns to learn, as RL^2 met them.

Duan et al. 2016, "RL^2: Fast Reinforcement Learning via Slow Reinforcement Learning" (arXiv 1611.02779):
independent Bernoulli arms. Wang et al. 2016, "Learning to reinforcement learn" (arXiv 1611.05763): dependent
arms, the arm that informs, restless arms. A course is the task drawn, `sample(key)` draws one, and an episode
is all pulls of it.

Actions are i32[], the arm. Observed is f32[1], the share of the pulls that are over: action and reward before
are for a learner's wrapper to add. An episode terminates and is not truncated: how many pulls there are is
part of the task, and nothing is worth anything after the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aiga.interfaces import View

# Of Wang's two dependent arms, the better one's chance to pay.
DEPENDENT = {"easy": 0.9, "medium": 0.75, "hard": 0.6}


def _view(time: Any, pulls: int, reward: Any) -> View:
    seen = (time.astype(jnp.float32) / pulls)[None]
    return View(seen, reward.astype(jnp.float32), time >= pulls, jnp.asarray(False))


def _begun(pulls: int) -> tuple[Any, View]:
    return jnp.int32(0), _view(jnp.int32(0), pulls, jnp.float32(0))


def _at_least_one(**fields: int) -> None:
    for name, value in fields.items():
        if value < 1:
            raise ValueError(f"{name}: at least 1, not {value}")


@dataclass(frozen=True)
class Bernoulli:
    """Arms that pay 1 or nothing. The course is f32[arms], their chances; the state i32[], pulls so far.

    `draw` says how `sample` draws them: `independent`, each uniform (Duan); or two dependent arms that sum to
    1 (Wang): `uniform`, or `easy` 0.9, `medium` 0.75 and `hard` 0.6 for either of them.
    """

    arms: int = 2
    pulls: int = 100
    draw: str = "independent"

    def __post_init__(self) -> None:
        _at_least_one(arms=self.arms, pulls=self.pulls)
        allowed = ("independent", "uniform", *DEPENDENT)
        if self.draw not in allowed:
            raise ValueError(f"draw: one of {', '.join(allowed)}, not {self.draw}")
        if self.draw != "independent" and self.arms != 2:
            raise ValueError(f"arms: 2 where they are dependent, not {self.arms}")

    def sample(self, key: jax.Array) -> Any:
        """The chances of a task, f32[arms]."""
        if self.draw == "independent":
            return jax.random.uniform(key, (self.arms,), jnp.float32)
        if self.draw == "uniform":
            one = jax.random.uniform(key, (), jnp.float32)
        else:
            better = jnp.float32(DEPENDENT[self.draw])
            one = jnp.where(jax.random.bernoulli(key), better, 1 - better)
        return jnp.stack([one, 1 - one])

    def reset(self, key: jax.Array, course: Any) -> tuple[Any, View]:
        """Before the first pull."""
        return _begun(self.pulls)

    def step(self, key: jax.Array, state: Any, action: Any, course: Any) -> tuple[Any, View]:
        """One pull."""
        paid = jax.random.bernoulli(key, jnp.asarray(course)[action])
        return state + 1, _view(state + 1, self.pulls, paid)


@dataclass(frozen=True)
class Informative:
    """Eleven arms; the last pays a tenth of the target's number, 1 to 10, the target 5, the others 1.

    The course is i32[], the target, 0 to 9. Whoever knows the game pulls the last arm once.
    """

    pulls: int = 5

    def __post_init__(self) -> None:
        _at_least_one(pulls=self.pulls)

    def sample(self, key: jax.Array) -> Any:
        """A target, i32[]."""
        return jax.random.randint(key, (), 0, 10, jnp.int32)

    def reset(self, key: jax.Array, course: Any) -> tuple[Any, View]:
        """Before the first pull."""
        return _begun(self.pulls)

    def step(self, key: jax.Array, state: Any, action: Any, course: Any) -> tuple[Any, View]:
        """One pull; nothing is left to chance."""
        number = (jnp.asarray(course, jnp.int32) + 1).astype(jnp.float32)
        other = jnp.where(action == course, 5.0, 1.0).astype(jnp.float32)
        return state + 1, _view(state + 1, self.pulls, jnp.where(action == 10, number / 10, other))


class Volatile(NamedTuple):
    """A restless task: which arm is good at first, and how often they swap."""

    good: Any  # i32[]
    hazard: Any  # f32[], the chance that the arms swap after a pull


class Swapping(NamedTuple):
    """A restless bandit between two pulls."""

    good: Any  # i32[]
    time: Any  # i32[], pulls so far


@dataclass(frozen=True)
class Restless:
    """Two arms that pay with chances `chance` and 1 - `chance` and swap now and then, unannounced.

    After Wang, where some episodes are stable and some volatile; the numbers are ours: a course's hazard is
    one of `hazards`, each as likely as the others.
    """

    pulls: int = 100
    chance: float = 0.8
    hazards: tuple[float, ...] = (0.02, 0.2)

    def __post_init__(self) -> None:
        _at_least_one(pulls=self.pulls)
        if not 0.5 <= self.chance <= 1:
            raise ValueError(f"chance: from 0.5 to 1, not {self.chance}")
        if not self.hazards or not all(0 <= hazard <= 1 for hazard in self.hazards):
            raise ValueError(f"hazards: one or more chances from 0 to 1, not {self.hazards}")

    def sample(self, key: jax.Array) -> Volatile:
        """Either arm, any of the hazards."""
        one, two = jax.random.split(key)
        good = jax.random.randint(one, (), 0, 2, jnp.int32)
        return Volatile(good, jax.random.choice(two, jnp.array(self.hazards, jnp.float32)))

    def reset(self, key: jax.Array, course: Volatile) -> tuple[Swapping, View]:
        """Before the first pull."""
        time, view = _begun(self.pulls)
        return Swapping(jnp.asarray(course.good, jnp.int32), time), view

    def step(self, key: jax.Array, state: Swapping, action: Any, course: Volatile) -> tuple[Swapping, View]:
        """One pull, then perhaps a swap."""
        paying, swapping = jax.random.split(key)
        chance = jnp.where(action == state.good, self.chance, 1 - self.chance)
        paid = jax.random.bernoulli(paying, chance)
        swapped = jax.random.bernoulli(swapping, course.hazard)
        good = jnp.where(swapped, 1 - state.good, state.good)
        return Swapping(good, state.time + 1), _view(state.time + 1, self.pulls, paid)
