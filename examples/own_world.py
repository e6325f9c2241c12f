"""Your own world under POET, complete: a car too weak for the hills that the program invents.

    aiga run examples/own_world.py --iterations 60    with a store, resume, and any number changed by a flag
    aiga view --with examples/own_world.py            the page; kinds/car.js beside this file draws the cars
    python examples/own_world.py                      the same as a plain loop, below

A world is two functions over a course, a space is four, and neither knows POET. The car is that of Moore
1990, on ground that changes: to cross a hill steeper than its engine is strong, it has to gather speed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aiga.brains import MLP
from aiga.interfaces import Array, View
from aiga.learners import evolution_strategy as es
from aiga.play import evaluator, unflattener
from aiga.play.rollouts import advance, start
from aiga.registry import Film, Shown
from aiga.runs.codec import decode
from aiga.systems.environments.poet import POET, Config, State

HILLS = 10  # a course is the height of the ground at x = 0, 1, ... 10; the car is to reach x = 10
BRAIN = MLP((4, 8, 1))
STEPS = 150  # of an episode


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Hills:
    """The course: heights f32[HILLS + 1], straight lines between them."""

    heights: np.ndarray


class Car(NamedTuple):
    place: jax.Array
    speed: jax.Array


class CarWorld:
    """Up to 100 points for the way, the last one only at the end; a push in [-1, 1] at every step."""

    def reset(self, key: jax.Array, course: Hills) -> tuple[Car, View]:
        car = Car(jax.random.uniform(key, (), jnp.float32, 0.0, 0.5), jnp.float32(0))
        return car, self._view(car, course, jnp.float32(0))

    def step(self, key: jax.Array, state: Car, action: Array, course: Hills) -> tuple[Car, View]:
        push = jnp.clip(action[0], -1, 1)
        speed = 0.98 * state.speed + 0.1 * (push - 2 * self._slope(state.place, course))
        place = jnp.maximum(state.place + 0.2 * speed, 0.0)  # a wall at the start
        car = Car(place, jnp.where(place > 0, speed, 0.0))
        return car, self._view(car, course, 10 * (jnp.minimum(place, HILLS) - state.place))

    def finished(self, state: Car) -> jax.Array:
        return state.place >= HILLS

    def _slope(self, place: jax.Array, course: Hills) -> jax.Array:
        left = jnp.clip(place.astype(jnp.int32), 0, HILLS - 1)
        return course.heights[left + 1] - course.heights[left]

    def _view(self, car: Car, course: Hills, reward: jax.Array) -> View:
        slopes = [self._slope(car.place + ahead, course) for ahead in (0.0, 0.5, 1.0)]
        return View(jnp.stack([car.speed, *slopes]), reward, self.finished(car), jnp.bool_(False))


class HillSpace:
    """Courses: a mutation raises or lowers the ground in two places."""

    def sample(self, key: jax.Array) -> Hills:
        return Hills(np.zeros(HILLS + 1, np.float32))

    def mutate(self, key: jax.Array, item: Hills) -> Hills:
        where, change = jax.random.split(key)
        places = jax.random.choice(where, np.arange(1, HILLS), (2,), replace=False)
        heights = item.heights.copy()
        heights[np.asarray(places)] += np.asarray(jax.random.uniform(change, (2,), minval=-0.4, maxval=0.8))
        return Hills(np.clip(heights, -2, 2))

    def describe(self, item: Hills) -> np.ndarray:
        return item.heights

    def valid(self, item: Hills) -> bool:
        return bool(np.isfinite(item.heights).all() and np.abs(item.heights).max() <= 2)


# Numbers that fit this world: scores go to 100, and a few dozen iterations show it all.
CONFIG = Config(
    capacity=5,
    admit=2,
    reproduce_every=5,
    reproduce_score=60,
    minimal_low=10,
    minimal_high=97,
    transfer_every=5,
    fine_tuned=1,
    episodes=4,
    solve_score=90,
    confirm=8,
    es=es.Config(population=64, rate=0.05),
)


def system(config: Config = CONFIG) -> POET[Hills]:
    """POET in this world; `aiga run examples/own_world.py` asks for it too."""
    return POET(config, HillSpace(), BRAIN, evaluator(CarWorld(), BRAIN, max_steps=STEPS))


# What the page needs to show a car: the ground, an episode as numbers, and kinds/car.js, which draws them.
def ground(course: dict) -> np.ndarray:
    """f32[2, HILLS]: the heights at both ends of each stretch, from a course as it is stored."""
    heights = np.asarray(course["heights"], np.float32)
    return np.stack([heights[:-1], heights[1:]])


@jax.jit
def _places(flat: jax.Array, course: Hills, seed: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    world, weights = CarWorld(), unflattener(BRAIN)(flat)
    step = advance(world, BRAIN, jax.random.key(seed), course)
    first = start(world, BRAIN, jax.random.key(seed), course)
    moments = jax.lax.scan(lambda now, _: (step(weights, now)[0], now), first, length=STEPS + 1)[1]
    return moments.state.place, moments.view.reward * ~moments.done, world.finished(moments.state)


def words(course: dict) -> str:
    return f"hills of {max(course['heights']):.1f}, valleys of {min(course['heights']):.1f}"


def film(config: Mapping, pairs: Sequence[tuple[dict, np.ndarray, int]]) -> list[Film]:
    """Each episode as the places of the car, one number a moment."""
    films = []
    for course, weights, seed in pairs:
        places, rewards, finished = map(np.asarray, _places(weights, decode(Hills, course), np.uint32(seed)))
        end = int(np.argmax(finished)) + 1 if finished.any() else STEPS + 1
        moments = places[:end, None].astype(np.float32)
        films.append(Film("car", 20.0, moments, float(rewards.sum()), bool(finished.any())))
    return films


shown = Shown("car", film, ground, words)
panels = ("today", "tree", "menagerie", "stage", "curves", "transfers", "share")
files = ("kinds/car.js",)


def main(iterations: int = 60, seed: int = 0) -> State[Hills]:
    """Runs POET and prints what happens."""
    poet, key = system(), jax.random.key(seed)
    state = poet.init(key)
    for iteration in range(iterations):
        state, events = poet.step(jax.random.fold_in(key, iteration), state)
        for event in events:
            told = {name: event.data.get(name) for name in ("id", "parent", "source", "target", "score")}
            if event.kind in ("birth", "transfer", "solve", "extinction"):
                print(iteration, event.kind, {k: v for k, v in told.items() if v is not None})
    solved = sum(pair.solved for pair in (*state.active, *state.archive))
    print(f"{state.born} environments, {solved} of them solved, {state.transfers} transfers")
    return state


if __name__ == "__main__":
    main()
