"""ES-MAML: first weights from which a few episodes on a new task are enough, without any derivative.

Song, Gao, Yang, Choromanski, Pacchiano, Tang 2020, "ES-MAML: Simple Hessian-Free Meta Learning", arXiv
1910.01215, Algorithms 1 to 3. With F(w) the return of weights w after adaptation to a task,

    w + rate x mean over pairs of (F(w + sigma e) - F(w - sigma e)) e / (2 sigma)

climbs what adaptation comes to. Adaptation is a few steps of the same kind on the task's own episodes
(`climb` "es"), or takes the best of some perturbations in each step ("best", the paper's hill climbing). Each
antithetic pair has a task of its own, as in the paper, and both its halves adapt with the same noise and the
same episode seeds, so that what differs is their start.

What is learnt on is a switch, so that the controls are configurations: no inner step on the mixture of tasks,
no inner step on the plain course alone, and no learning at all.

With `prior`, not the paper's, how to adapt is learnt besides where from. In all of N directions a few noisy
episodes tell nothing; but tasks of one kind ask for much the same changes. Now and then a task is gone into
for many generations, and what it came to less the start is kept. Of the latest T such changes the mean of
d d^T, cut to `rank`, is the covariance from which inner steps draw their noise and in which they go: the
Gaussian prior of task weights that Grant et al. 2018 (arXiv 1801.08930) see in MAML, its covariance learnt as
CMA-ES learns one, from tasks and not from samples.

The outer learner is `learners/evolution_strategy`; unlike the paper's it ranks returns, and so does the inner
one. Axis letters: P population, N weights, M members that adapt, Q candidates of an inner step, K inner
steps, E episodes, T tasks gone into, R directions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal, TypeVar, get_args

import jax
import jax.numpy as jnp
import numpy as np

from aiga.interfaces import Array, Brain, Evaluate, Event, Key, Space
from aiga.learners import evolution_strategy as es
from aiga.play import Arena, evaluation_seeds, flatten

TOLD = 3  # inner steps after which a metric tells the return, at most
Climb = Literal["es", "best"]
Train = Literal["tasks", "plain", "nothing"]


@dataclass(frozen=True)
class Inner:
    """How a task is adapted to. ValueError, naming the field, for a number out of range."""

    steps: int = 1  # K; 0: no task is learnt, and the start is judged as it is
    climb: Climb = "best"
    candidates: int = 8  # Q, episodes of a step: of `es` in antithetic pairs, of `best` with the present one
    sigma: float = 0.03  # standard deviation of the noise on the weights; with a prior, in units of it
    rate: float = 0.1  # of `es`, on ranks from -0.5 to 0.5; with a prior, in units of it

    def __post_init__(self) -> None:
        for name, fine, allowed in (
            ("steps", self.steps >= 0, "at least 0"),
            ("climb", self.climb in get_args(Climb), "one of " + ", ".join(get_args(Climb))),
            ("candidates", self.candidates >= 2 and self.candidates % 2 == 0, "an even number, at least 2"),
            ("sigma", 0 < self.sigma < np.inf, "greater than 0"),
            ("rate", 0 < self.rate < np.inf, "greater than 0"),
        ):
            if not fine:
                raise ValueError(f"{name}: {allowed}, not {getattr(self, name)!r}")


@dataclass(frozen=True)
class Prior:
    """What tasks ask for, and how one is gone into to find out. ValueError, naming the field, for a number
    out of range."""

    tasks: int = 0  # T, the latest ones that are kept; 0: no prior, noise is alike in all directions
    rank: int = 4  # R, directions
    fresh: int = 1  # tasks gone into in a step of the system
    steps: int = 20  # generations of each
    candidates: int = 128  # episodes of a generation
    sigma: float = 0.05
    rate: float = 0.1  # on ranks from -0.5 to 0.5

    def __post_init__(self) -> None:
        for name, fine, allowed in (
            ("tasks", self.tasks >= 0, "at least 0"),
            ("rank", self.rank >= 1, "at least 1"),
            ("fresh", self.fresh >= 1, "at least 1"),
        ):
            if not fine:
                raise ValueError(f"{name}: {allowed}, not {getattr(self, name)!r}")
        if self.tasks and self.rank > self.tasks:
            raise ValueError(f"rank: at most the {self.tasks} tasks, not {self.rank}")
        _ = self.inner  # raises for what no inner step can have

    @property
    def inner(self) -> Inner:
        """How a task is gone into: without a prior."""
        return Inner(self.steps, "es", self.candidates, self.sigma, self.rate)

    @property
    def episodes(self) -> int:
        """How many a step of the system takes."""
        return self.fresh * self.steps * self.candidates if self.tasks else 0


def _outer() -> es.Config:
    return es.Config(population=128, rate=0.02, rate_decay=0.9995, rate_floor=0.002, seeds="pair")


@dataclass(frozen=True)
class Config:
    """The system's numbers. ValueError, naming the field, for one out of range."""

    train: Train = "tasks"  # plain: the course on which nothing is changed; nothing: first weights stay
    judged: int = 1  # episodes that say what an adaptation came to
    iterations: int = 10  # meta-iterations before each test; by --config alone, as the flag bounds the run
    trials: int = 4  # adaptations to each held-out task
    test_episodes: int = 4  # after every inner step of each
    batch: int = 4096  # episodes in one call
    inner: Inner = field(default_factory=Inner)
    prior: Prior = field(default_factory=Prior)
    es: es.Config = field(default_factory=_outer)

    def __post_init__(self) -> None:
        if self.train not in get_args(Train):
            raise ValueError(f"train: one of {', '.join(get_args(Train))}, not {self.train!r}")
        for name in ("judged", "iterations", "trials", "test_episodes", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: at least 1, not {getattr(self, name)!r}")
        if self.prior.tasks and self.train != "tasks":
            raise ValueError(f"prior.tasks: 0 where train is {self.train}, not {self.prior.tasks}")

    @property
    def episodes(self) -> int:
        """How many a step of the system takes."""
        each = self.es.population * (self.inner.steps * self.inner.candidates + self.judged)
        return self.iterations * each + self.prior.episodes


AnyConfig = TypeVar("AnyConfig", bound=Config)


def baselines(config: AnyConfig) -> dict[str, AnyConfig]:
    """What ES-MAML is held against, with as many episodes in a step; none has a prior.

    `mixture` learns on the same tasks and `plain` on none, both without an inner step; `scratch` never
    learns.
    """
    whole = config.episodes // (config.iterations * config.judged)
    # The inner numbers stay: the tests adapt with them.
    mixture = replace(
        config,
        inner=replace(config.inner, steps=0),
        prior=Prior(),
        es=replace(config.es, population=whole - whole % 2),
    )
    return {
        "mixture": mixture,
        "plain": replace(mixture, train="plain"),
        "scratch": replace(mixture, train="nothing"),
    }


@dataclass(frozen=True)
class State:
    """The meta-learner between two steps."""

    iteration: int  # meta-iterations so far
    steps: int  # of the world, those of tests left out
    learner: es.State
    test: Array  # u32[2], the key of what is random in the tests
    asked: Array  # f32[T, N], how the latest tasks changed the weights; 0 where there was none yet


@dataclass(frozen=True)
class ESMAML:
    """The system: `space` gives the tasks to learn on, `held_out` names those to test on, `plain` is the
    course on which nothing is changed."""

    config: Config
    space: Space[Any]
    held_out: Mapping[str, Any]
    plain: Any
    brain: Brain
    evaluate: Evaluate

    def init(self, key: Key) -> State:
        """The brain's own first weights."""
        drawing, testing = jax.random.split(key)
        learner = self._es.init(drawing, flatten(self.brain.init(drawing)))
        asked = np.zeros((self.config.prior.tasks, len(learner.weights)), np.float32)
        return jax.device_get(State(0, 0, learner, jax.random.key_data(testing), asked))

    def step(self, key: Key, state: State) -> tuple[State, list[Event]]:
        """`iterations` meta-iterations, then the tasks to test on."""
        arena = self._arena()
        learner, asked, means = state.learner, state.asked, []
        if self.config.train != "nothing":
            ways = self.ways(asked)
            for one in jax.random.split(key, self.config.iterations):
                learner, mean = self._iterate(one, learner, ways, arena)
                means.append(mean)
        if len(asked):
            changes = self._gone_into(jax.random.fold_in(key, 1), np.asarray(learner.weights), arena)
            asked = np.concatenate([asked, changes])[-len(asked) :]
        state = replace(
            state,
            iteration=state.iteration + self.config.iterations,
            steps=state.steps + arena.steps,
            learner=jax.device_get(learner),
            asked=asked,
        )
        testing = jax.random.wrap_key_data(jnp.asarray(state.test), impl="threefry2x32")
        curves = self.judge(state, testing)
        told: dict[str, Any] = {"meta_iterations": state.iteration, "steps": state.steps}
        told["episodes"] = state.iteration // self.config.iterations * self.config.episodes if means else 0
        told |= {f"return_{k}": float(curves[:, :, k].mean()) for k in range(TOLD + 1)}
        if means:
            told["adapted"] = float(np.mean(means))
        each = {name: curves[place].mean(0).tolist() for place, name in enumerate(self.held_out)}
        return state, [Event("tasks", each), Event("metric", told)]

    def judge(self, state: State, key: Key) -> np.ndarray:
        """Mean returns f64[tasks, trials, 4] of what was learnt, on each held-out task after 0 to 3 inner
        steps, every trial with noise of its own, and the same noise for whoever is judged with `key`."""
        config, arena = self.config, self._arena()
        courses = list(self.held_out.values())
        which = np.repeat(np.arange(len(courses), dtype=np.int32), config.trials)
        adapting, playing = jax.random.split(key)
        starts = np.repeat(np.asarray(state.learner.weights, np.float32)[None], len(which), 0)
        seeds = np.tile(evaluation_seeds(playing, config.test_episodes), (len(which), 1))
        inner = replace(config.inner, steps=TOLD)
        stages = self.adapt(adapting, starts, courses, which, arena, inner, self.ways(state.asked))
        scores = [self._score(stage, courses, which, seeds, arena) for stage in stages]
        return np.stack(scores, -1).reshape(len(courses), config.trials, TOLD + 1)

    def adapt(
        self,
        key: Key,
        starts: np.ndarray,
        courses: list[Any],
        which: np.ndarray,
        arena: Arena,
        inner: Inner,
        ways: np.ndarray | None = None,
        twins: int = 1,
    ) -> list[np.ndarray]:
        """Weights f32[M, N] before and after each of `inner.steps` from `starts` f32[M, N] on the courses
        `which` i32[M], along `ways` f32[R, N] if there are any. The members are `twins` times as many, one
        lot after the other, as there are that have noise and seeds of their own."""
        now, stages = starts, [starts]
        for one in jax.random.split(key, inner.steps) if inner.steps else ():
            tried, noise, seeds = jax.device_get(_candidates(inner, one, now, ways, twins))
            members, many, numbers = tried.shape
            outcome = self._play(
                tried.reshape(-1, numbers), courses, np.repeat(which, many), seeds.ravel(), arena
            )
            returns = outcome.reshape(members, many)
            now = np.asarray(_moved(inner, now, tried, noise, returns, ways))
            stages.append(now)
        return stages

    def ways(self, asked: Array) -> np.ndarray | None:
        """The prior's factor f32[R, N] from `asked` f32[T, N]: of the sums of its rows, each times a standard
        normal number, the covariance is the mean of the outer products of what was asked, cut to R
        directions. None without a prior."""
        if not len(asked):
            return None
        known = max(int(np.any(asked, 1).sum()), 1)
        _, among = np.linalg.eigh(np.asarray(asked, np.float64) @ np.asarray(asked, np.float64).T)
        greatest = among[:, ::-1][:, : self.config.prior.rank]
        return (greatest.T @ asked / np.sqrt(known)).astype(np.float32)

    def _gone_into(self, key: Key, start: np.ndarray, arena: Arena) -> np.ndarray:
        """How `fresh` tasks, each gone into from `start` f32[N], change it, f32[fresh, N]."""
        prior = self.config.prior
        drawing, adapting = jax.random.split(key)
        courses = [self.space.sample(one) for one in jax.random.split(drawing, prior.fresh)]
        starts, which = np.repeat(start[None], prior.fresh, 0), np.arange(prior.fresh, dtype=np.int32)
        return self.adapt(adapting, starts, courses, which, arena, prior.inner)[-1] - starts

    def _iterate(
        self, key: Key, learner: es.State, ways: np.ndarray | None, arena: Arena
    ) -> tuple[es.State, float]:
        """One meta-iteration, adapting along `ways`: the learner, and the mean return after adaptation."""
        config, pairs = self.config, self.config.es.population // 2
        drawing, asking, adapting, playing = jax.random.split(key, 4)
        asked = jax.device_get(self._es.ask(asking, learner))
        if config.train == "tasks":
            courses = [self.space.sample(one) for one in jax.random.split(drawing, pairs)]
            which = np.tile(np.arange(pairs, dtype=np.int32), 2)
        else:
            courses, which = [self.plain], np.zeros(2 * pairs, np.int32)
        adapted = self.adapt(adapting, asked.weights, courses, which, arena, config.inner, ways, twins=2)[-1]
        seeds = np.asarray(jax.random.bits(playing, (pairs, config.judged), jnp.uint32)) >> 1
        returns = self._score(adapted, courses, which, np.tile(seeds, (2, 1)), arena)
        experience = es.Experience(asked.noise, np.asarray(returns, np.float32))
        learner, metrics = self._es.learn(None, playing, learner, experience)
        return learner, float(metrics["mean"])

    def _score(
        self, weights: np.ndarray, courses: list[Any], which: np.ndarray, seeds: np.ndarray, arena: Arena
    ) -> np.ndarray:
        """Mean returns f64[M] of weights f32[M, N], each on its course with its seeds u32[M, E]."""
        many = seeds.shape[1]
        rows = np.repeat(np.asarray(weights), many, 0)
        outcome = self._play(rows, courses, np.repeat(which, many), seeds.ravel(), arena)
        return outcome.astype(np.float64).reshape(-1, many).mean(1)

    def _play(
        self, weights: np.ndarray, courses: list[Any], which: np.ndarray, seeds: np.ndarray, arena: Arena
    ) -> np.ndarray:
        """Returns f32[P], no call of `evaluate` for more than `batch` episodes."""
        parts = []
        for at in range(0, len(weights), self.config.batch):
            some = slice(at, at + self.config.batch)
            outcome = arena.play(weights[some], courses, which[some], seeds[some])
            parts.append(np.asarray(outcome.returns, np.float32))
        return np.concatenate(parts)

    def _arena(self) -> Arena:
        return Arena(self.evaluate, self.config.batch, np.zeros(0, np.uint32))

    @cached_property
    def _es(self) -> es.EvolutionStrategy:
        return es.EvolutionStrategy(self.config.es)


@partial(jax.jit, static_argnames=("inner", "twins"))
def _candidates(
    inner: Inner, key: Key, now: Array, ways: Array | None, twins: int
) -> tuple[Array, Array, Array]:
    """What the M members try, f32[M, Q, N], the noise in it, and episode seeds u32[M, Q], one a member."""
    alone, many = now.shape[0] // twins, inner.candidates
    drawing, seeding = jax.random.split(key)
    count = many // 2 if inner.climb == "es" else many - 1
    width = now.shape[1] if ways is None else len(ways)
    noise = jnp.tile(jax.random.normal(drawing, (alone, count, width), jnp.float32), (twins, 1, 1))
    here, far = now[:, None], inner.sigma * (noise if ways is None else noise @ ways)
    tried = jnp.concatenate([here + far, here - far if inner.climb == "es" else here], 1)
    seeds = jnp.tile(jax.random.bits(seeding, (alone, 1), jnp.uint32) >> 1, (twins, many))
    return tried, noise, seeds


@partial(jax.jit, static_argnames="inner")
def _moved(inner: Inner, now: Array, tried: Array, noise: Array, returns: Array, ways: Array | None) -> Array:
    """Where the members f32[M, N] go after the returns f32[M, Q] of what they tried."""
    if inner.climb == "best":
        # The present weights come last; reversed, they win a tie.
        worst = jnp.where(jnp.isnan(returns), -jnp.inf, returns)[:, ::-1]
        best = returns.shape[1] - 1 - jnp.argmax(worst, 1)
        return jnp.take_along_axis(tried, best[:, None, None], 1)[:, 0]
    uphill = jax.vmap(lambda e, come: es.gradient(es.Experience(e, come), 1.0))(noise, returns)
    return now + inner.rate * (uphill if ways is None else uphill @ ways)
