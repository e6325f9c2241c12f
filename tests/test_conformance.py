"""Everything here that implements an interface keeps to it, and the suites notice what does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aiga import testing, walker_ppo
from aiga.brains import MLP, ActorCritic, Associative, ConvNet, Drawn, Greedy, Noisy
from aiga.brains.programs import known
from aiga.brains.programs.ops import Sizes
from aiga.brains.programs.traced import Machine
from aiga.interfaces import Event, Outcome, View
from aiga.learners import inner_loop, ppo
from aiga.learners.evolution_strategy import Config, EvolutionStrategy, Experience
from aiga.learners.ppo import PPO
from aiga.learners.ppo import Config as Steps
from aiga.learners.program import Experience as Examples
from aiga.learners.program import ProgramLearner
from aiga.play import evaluator, flatten
from aiga.play.collecting import collect, enter
from aiga.systems.architectures import automl_zero
from aiga.systems.learning import anml, maml, rl2
from aiga.worlds import glyphs, sine
from aiga.worlds.bandits import Bernoulli, Informative, Restless
from aiga.worlds.control import Acrobot, CartPole, Pendulum, Recall
from aiga.worlds.harlow import Harlow
from aiga.worlds.tabular import Tabular
from aiga.worlds.two_step import TwoStep
from aiga.worlds.walker import kernel
from aiga.worlds.walker.course import Course, Genes
from aiga.worlds.walker.cppn import CPPNSpace
from aiga.worlds.walker.native import NativeWalker
from aiga.worlds.walker.path import Path
from aiga.worlds.walker.space import WalkerSpace
from own_world import BRAIN, CarWorld, HillSpace, system

KEY = jax.random.key(0)
FLAT = HillSpace().sample(KEY)
LEVEL = Course.flat()
WEIGHTS = np.stack([flatten(BRAIN.init(key)) for key in jax.random.split(KEY, 3)])


@dataclass(frozen=True)
class Climber:
    """A search, as small as one can be: the better of the point and a neighbour."""

    def init(self, key: Any) -> Any:
        return np.float32(0)

    def ask(self, key: Any, state: Any) -> Any:
        return np.array([state, state + np.float32(jax.random.normal(key))]), state

    def tell(self, state: Any, items: Any, outcome: Any) -> Any:
        return items[np.argmax(outcome)]


def lesson(key: Any, state: Any) -> Experience:
    """What an evolution strategy hears of a generation in which the first episode went wrong."""
    asked = EvolutionStrategy(Config(population=8)).ask(key, state)
    return Experience(asked.noise, -jnp.sum(asked.weights**2, axis=1).at[0].set(jnp.nan))


PUPIL = PPO(ActorCritic(2, 2, hidden=(4,), recurrent=3), (2,), Steps(epochs=2, minibatches=2))


@jax.jit
def episodes(key: Any, state: Any) -> Any:
    """Forty steps of two poles whose velocities are hidden."""
    world, courses = CartPole(velocities=False), jnp.zeros(2)
    stage = enter(world, PUPIL.player, key, courses)
    return collect(world, PUPIL.player, PUPIL.playing(state), key, stage, courses, 40)[1]


NETWORK = known.network()
FOUND = ProgramLearner(Machine(Sizes(5, 9, 2, 4), NETWORK.lengths), NETWORK)


LINE = MLP((1, 1), "relu", "identity")


def missed(weights: Any, told: Any) -> Any:
    return jnp.mean((LINE.act(weights, (), told.x)[0] - told.y) ** 2)


def examples(key: Any, state: Any) -> Examples:
    x = jax.random.normal(key, (5, 4))
    return Examples(x, x.sum(1))


DRAWN = {
    "independent arms": Bernoulli(5, 10),
    "dependent arms": Bernoulli(draw="easy"),
    "informative arm": Informative(),
    "restless arms": Restless(),
    "two steps": TwoStep(),
    "Harlow": Harlow(),
    "tabular": Tabular(),
}

CONFORM = {
    **{
        f"world: {name}": lambda world=world: testing.check_world(world, world.sample(KEY), np.int32(1))
        for name, world in DRAWN.items()
    },
    "world: car": lambda: testing.check_world(CarWorld(), FLAT, np.ones(1, np.float32)),
    "world: cart and pole": lambda: testing.check_world(CartPole(), 0, np.int32(1), 40),
    "world: acrobot": lambda: testing.check_world(Acrobot(), 0, np.int32(2)),
    "world: pendulum": lambda: testing.check_world(Pendulum(), 0, np.ones(1, np.float32)),
    "world: recall": lambda: testing.check_world(Recall(3), 0, np.int32(0)),
    "world: walker by the kernel": lambda: testing.check_world(
        NativeWalker(threads=1), replace(LEVEL, genes=Genes()), np.ones(4, np.float32)
    ),
    "space: hills": lambda: testing.check_space(HillSpace()),
    "space: walker": lambda: testing.check_space(WalkerSpace()),
    "space: sinusoids": lambda: testing.check_space(sine.SineSpace()),
    "space: CPPN": lambda: testing.check_space(CPPNSpace()),
    "space: direct path": lambda: testing.check_space(Path(Genes((0.2, 0.6), (0, 1.2), (0, 0.4), 2, 1.3, 7))),
    "brain: walker's": lambda: testing.check_brain(MLP(), np.ones(24, np.float32)),
    "brain: relu": lambda: testing.check_brain(MLP((3, 5, 2), "relu", "identity"), np.ones(3, np.float32)),
    "brain: one layer": lambda: testing.check_brain(MLP((3, 2)), np.ones(3, np.float32)),
    "brain: actor and critic": lambda: testing.check_brain(
        ActorCritic(3, 2, continuous=True, hidden=(5,), recurrent=4), np.ones(3, np.float32)
    ),
    "brain: associative": lambda: testing.check_brain(Associative(5, 2, 3, 8, 4), np.ones(5, np.float32)),
    "brain: greedy": lambda: testing.check_brain(Greedy(PUPIL.player), np.ones(2, np.float32)),
    "brain: noisy": lambda: testing.check_brain(Noisy(MLP((3, 2)), 2, 0.5), np.ones(3, np.float32)),
    "brain: drawn": lambda: testing.check_brain(Drawn(Noisy(MLP((3, 2)), 2), KEY), np.ones(3, np.float32)),
    "brain: convolutional": lambda: testing.check_brain(
        ConvNet((8, 9, 2), 3, filters=4, halves="pool", blocks=2),
        np.random.default_rng(0).random((5, 8, 9, 2), np.float32),
    ),
    "brain: a program": lambda: testing.check_brain(FOUND.brain(), np.ones(4, np.float32)),
    "learner: a program": lambda: testing.check_learner(FOUND, None, examples),
    "learner: PPO": lambda: testing.check_learner(PUPIL, jax.jit(PUPIL.brain.init)(KEY), episodes),
    "learner": lambda: testing.check_learner(EvolutionStrategy(Config(population=8)), WEIGHTS[0], lesson),
    "learner: inner loop": lambda: testing.check_learner(
        inner_loop.InnerLoop(missed, inner_loop.Config(steps=2)),
        LINE.init(KEY),
        lambda key, state: sine.examples(key, sine.SineSpace().sample(key), 5),
    ),
    "learner: inner loop on a stream": lambda: testing.check_learner(
        inner_loop.InnerLoop(missed, inner_loop.Config(steps=3, stream=True)),
        LINE.init(KEY),
        lambda key, state: sine.examples(key, sine.SineSpace().sample(key), 3),
    ),
    "search": lambda: testing.check_search(Climber(), lambda items: -((items - 1) ** 2)),
    "evaluate": lambda: testing.check_evaluate(
        evaluator(CarWorld(), BRAIN, 20, batch=4), WEIGHTS, [FLAT, HillSpace().mutate(KEY, FLAT)]
    ),
    "evaluate: walker": lambda: testing.check_evaluate(
        kernel.evaluator(max_steps=200, threads=2),
        np.stack([flatten(MLP().init(key)) for key in jax.random.split(KEY, 40)]),
        [LEVEL, WalkerSpace().mutate(KEY, LEVEL)],
    ),
    "system: PPO alone": lambda: testing.check_system(
        walker_ppo.Alone(
            walker_ppo.Config(
                environments=4,
                steps=8,
                evaluate_every=2,
                episodes=2,
                max_steps=60,
                ppo=ppo.Config(epochs=1, minibatches=2),
            )
        ),
        3,
        require={"birth", "score", "metric"},
    ),
    "system: AutoML-Zero": lambda: testing.check_system(
        automl_zero.AutoMLZero(
            automl_zero.Config("digits", train=40, valid=20, population=60, chunk=150, cache=100)
        ),
        3,
        require={"improvement", "migration", "metric"},
    ),
    "system: MAML": lambda: testing.check_system(
        maml.MAML(
            maml.Config(
                tasks=3,
                hidden=(5,),
                iterations=4,
                test_tasks=7,
                test_queries=5,
                learn_rates=True,
                losses="every",
                anneal=6,
                clip=1.0,
                inner=inner_loop.Config(steps=2),
            )
        ),
        3,
        require={"metric"},
    ),
    "system: ANML": lambda: testing.check_system(
        anml.ANML(
            anml.Config(
                filters=3,
                gate_filters=2,
                normalised=True,
                remember=4,
                writings=3,
                iterations=2,
                test_every=4,
                sizes=(4,),
                rates=(0.01, 0.1),
                world=glyphs.Config(alphabets=4, characters=4),
                inner=inner_loop.Config(steps=2, stream=True),
            )
        ),
        2,
        require={"metric", "meta_test"},
    ),
    "system: RL^2": lambda: testing.check_system(
        rl2.RL2(rl2.Config("mdp", episodes=2, units=4, trials=16, updates=2, test_tasks=3)),
        3,
        require={"metric"},
    ),
    "system: MAML on glyphs": lambda: testing.check_system(
        maml.MAML(
            maml.Config(
                "glyphs",
                tasks=5,
                shots=1,
                queries=2,
                ways=3,
                filters=3,
                adapts="head",
                learn_rates=True,
                iterations=2,
                test_tasks=6,
                test_queries=2,
                inner=inner_loop.Config("first"),
            )
        ),
        2,
        require={"metric"},
    ),
    "system: POET": lambda: testing.check_system(system(), 6, require={"birth", "solve", "score", "metric"}),
}


@pytest.mark.parametrize("case", CONFORM)
def test_ours_conform(case: str) -> None:
    CONFORM[case]()


class Drifting(CarWorld):
    def step(self, key: Any, state: Any, action: Any, course: Any) -> Any:
        car, view = super().step(key, state, action, course)
        return car, view._replace(reward=view.reward.astype(jnp.float16))


class BothEnds(CarWorld):
    def _view(self, car: Any, course: Any, reward: Any) -> View:
        return (
            super()._view(car, course, reward)._replace(terminated=jnp.bool_(True), truncated=jnp.bool_(True))
        )


class Overwriting(HillSpace):
    def mutate(self, key: Any, item: Any) -> Any:
        item.heights[1] += 0.1
        return item


class Reckless(HillSpace):
    def mutate(self, key: Any, item: Any) -> Any:
        return replace(item, heights=item.heights * np.float32(np.nan))


class Forgetful(MLP):
    def act(self, weights: Any, memory: Any, observation: Any) -> Any:
        return super().act(weights, memory, observation)[0], jnp.zeros(2)


class Unruly:
    """A system that counts in itself, not in its state."""

    count = 0

    def init(self, key: Any) -> int:
        return 0

    def step(self, key: Any, state: int) -> tuple[int, list[Event]]:
        self.count += 1
        return self.count, []


class Terse:
    def init(self, key: Any) -> int:
        return 0

    def step(self, key: Any, state: int) -> tuple[int, list[Event]]:
        return state + 1, [Event("birth", {"id": 1})]


def placed(weights: Any, courses: Any, which: Any, seeds: Any) -> Outcome:
    """An `evaluate` whose answers depend on the order of the questions."""
    count = len(weights)
    return Outcome(np.arange(count, dtype=np.float32), np.ones(count, np.int32), np.ones(count, bool))


BROKEN = {
    "types must be those of reset": lambda: testing.check_world(Drifting(), FLAT, np.ones(1, np.float32)),
    "not in both": lambda: testing.check_world(BothEnds(), FLAT, np.ones(1, np.float32)),
    "must leave its item as it is": lambda: testing.check_space(Overwriting()),
    "must be finite|must give valid items": lambda: testing.check_space(Reckless()),
    "types of its memory": lambda: testing.check_brain(Forgetful(), np.ones(24, np.float32)),
    "from a stored state must do the same": lambda: testing.check_system(Unruly()),
    "must carry agent, course": lambda: testing.check_system(Terse()),
    "must include solve": lambda: testing.check_system(system(), 1, require={"solve"}),
    "must not depend on its place": lambda: testing.check_evaluate(placed, WEIGHTS, [FLAT]),
}


@pytest.mark.parametrize("message", BROKEN)
def test_the_suites_notice(message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        BROKEN[message]()


def test_flat_ground_is_in_the_walkers_space() -> None:
    assert WalkerSpace().valid(LEVEL)
