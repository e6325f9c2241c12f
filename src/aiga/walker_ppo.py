"""A walker taught by PPO on one course: what POET's courses are held against, and `aiga run ppo`.

The learner is `learners/ppo.py` (Schulman et al. 2017, arXiv 1707.06347), the network POET's, 24-40-40-4,
with a critic of the same size; the agent that is kept is the likeliest action, the units of what it sees
folded into its first layer. Axis letters: N weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aiga.brains import ActorCritic
from aiga.brains.wrappers import fold
from aiga.interfaces import Array, Event
from aiga.learners import ppo
from aiga.play import Arena, evaluation_seeds
from aiga.play.collecting import Stage, enter
from aiga.worlds.walker import kernel
from aiga.worlds.walker.course import Course, Genes
from aiga.worlds.walker.native import NativeWalker
from aiga.worlds.walker.space import WalkerSpace, grow

BRAIN = ActorCritic(24, 4, continuous=True, hidden=(40, 40), deviation=0.5)


@dataclass(frozen=True)
class Config:
    """PPO's numbers for the walker. ValueError, naming the field, for one out of range."""

    course: Genes = field(default_factory=Genes)
    environments: int = 128  # played at once
    steps: int = 256  # of each, between updates
    rate: float = 3e-4  # Adam's
    rate_decay: float = 0.997  # factor after every update
    rate_floor: float = 3e-5
    discount: float = 0.99
    evaluate_every: int = 10  # updates
    episodes: int = 10  # of one evaluation, each on its own seed
    solve_score: float = 230.0  # with every episode finished
    max_steps: int = 2000  # of an episode, 1/50 s each
    ppo: ppo.Config = field(default_factory=lambda: ppo.Config(minibatches=16, scale_rewards=True))

    def __post_init__(self) -> None:
        for name in ("environments", "steps", "evaluate_every", "episodes", "max_steps"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name}: at least 1, not {getattr(self, name)!r}")
        for name in ("rate", "rate_decay", "discount"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name}: greater than 0, at most 1, not {getattr(self, name)!r}")
        if not 0 <= self.rate_floor < np.inf:
            raise ValueError(f"rate_floor: at least 0, not {self.rate_floor!r}")
        if not np.isfinite(self.solve_score):
            raise ValueError(f"solve_score: a finite number, not {self.solve_score!r}")
        if self.environments * self.steps % self.ppo.minibatches:
            raise ValueError(
                f"minibatches: a divisor of environments x steps, {self.environments * self.steps}, "
                f"not {self.ppo.minibatches}"
            )
        if not WalkerSpace().valid(grow(self.course)):
            raise ValueError("course: must lie within the limits of the walker's space")


@dataclass(frozen=True)
class State:
    """The learner and its walkers between two updates."""

    updates: int
    steps: int  # of all episodes so far, evaluations included
    learner: ppo.State
    stage: Stage
    solved: bool = False


@dataclass(frozen=True)
class Alone:
    """The system: one course, one learner."""

    config: Config = Config()

    def init(self, key: jax.Array) -> State:
        """New weights, and every walker at the start."""
        weights, entering = jax.random.split(key)
        learner = self._learner.init(weights, BRAIN.init(weights))
        stage = enter(self._world, self._learner.player, entering, self._courses)
        return State(0, 0, jax.device_get(learner), jax.device_get(stage))

    def step(self, key: jax.Array, state: State) -> tuple[State, list[Event]]:
        """One update, and now and then an evaluation of the likeliest actions on the native kernel."""
        config, now, log = self.config, state.updates, []
        updating, judging, proof = jax.random.split(key, 3)
        rate = max(config.rate * config.rate_decay**now, config.rate_floor)
        knobs = ppo.Knobs(rate=jnp.float32(rate), discount=config.discount)
        learner, stage, metrics = jax.device_get(self._update(knobs, updating, state.learner, state.stage))
        steps = state.steps + config.environments * config.steps
        state = replace(state, updates=now + 1, steps=steps, learner=learner, stage=stage)
        if now % config.evaluate_every == 0:
            arena = Arena(self._evaluate, config.episodes, evaluation_seeds(judging, config.episodes))
            agent = self.agent(learner)
            score, share = arena.score([agent], [self._ground])[0]
            shown = {"id": 0, "score": score, "agent": agent}
            if now == 0:
                described = {"course": self._ground, "description": WalkerSpace().describe(self._ground)}
                log.append(Event("birth", {**shown, "parent": None, **described}))
            if not state.solved and self._passes(score, share):
                # On other seeds once more, as these ones were waited for.
                again = arena.score([agent], [self._ground], evaluation_seeds(proof, config.episodes))[0]
                if self._passes(*again):
                    state = replace(state, solved=True)
                    log.append(Event("solve", {**shown, "score": again[0]}))
            state = replace(state, steps=state.steps + arena.steps)
            log.append(Event("score", {**shown, "finished": share}))
        known = {name: float(value) for name, value in metrics.items()}
        counts = {"steps": state.steps, "active": 1, "archived": 0, "solved": int(state.solved)}
        return state, [*log, Event("metric", {**known, **counts})]

    def agent(self, learner: ppo.State) -> Array:
        """The likeliest action as weights of `BRAIN.actor`, f32[N]."""
        return np.asarray(BRAIN.actor.flatten(fold(learner.seen, learner.weights.actor)))

    def _passes(self, score: float, share: float) -> bool:
        return score >= self.config.solve_score and share == 1

    @cached_property
    def _world(self) -> NativeWalker:
        return NativeWalker(self.config.max_steps)

    @cached_property
    def _learner(self) -> ppo.PPO:
        return ppo.PPO(BRAIN, (24,), self.config.ppo)

    @cached_property
    def _ground(self) -> Course:
        return grow(self.config.course)

    @cached_property
    def _courses(self) -> Any:
        """As often as there are environments."""
        count = self.config.environments
        ground = replace(self._ground, genes=Genes())
        return jax.tree.map(
            lambda leaf: jnp.broadcast_to(jnp.asarray(leaf), (count, *np.shape(leaf))), ground
        )

    @cached_property
    def _evaluate(self) -> Any:
        return kernel.evaluator(BRAIN.actor.sizes, BRAIN.actor.activations, self.config.max_steps)

    @cached_property
    def _update(self) -> Any:
        def update(knobs: ppo.Knobs, key: jax.Array, state: ppo.State, stage: Stage) -> Any:
            return self._learner.update(
                self._world, knobs, key, state, stage, self._courses, self.config.steps
            )

        return jax.jit(update)
