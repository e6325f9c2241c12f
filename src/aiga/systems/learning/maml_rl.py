"""MAML with policy gradients: first weights from which a few episodes on a new task are enough.

Finn, Abbeel, Levine 2017, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", arXiv
1703.03400, section 5.3. `MAMLRL._iterate` is the paper's Algorithm 3, one compiled call: K times play
`episodes` episodes of each of some tasks and take a step of the policy gradient on them; play `judged` others
with what came out, and move what is learnt against the mean meta-gradient of their loss. Each step has
episodes of its own, so the inner loop (`learners/inner_loop`) takes them as a stream. The loss, the linear
baseline and the advantages are those of `learners/policy_gradient`.

The outer step is not the paper's TRPO. It is PPO's, some passes of Adam over the same episodes, the ratio of
those judged clipped and those learnt from reweighed, as Rothfuss, Lee, Clavera, Asfour, Abbeel 2019 have it
(ProMP, arXiv 1810.06784), here without their penalty on the inner steps.

What is learnt on is a switch, so that the controls are configurations: no inner step on the mixture of tasks,
no inner step on the plain course alone, and no learning at all. Axis letters: M tasks, K inner steps, E
episodes, T time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal, TypeVar, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax

from aiga.brains import Drawn, Greedy
from aiga.interfaces import Array, Brain, Event, Key, Space, World
from aiga.learners import inner_loop, policy_gradient
from aiga.learners.inner_loop import UNROLLED, InnerLoop, Meta
from aiga.learners.policy_gradient import Batch
from aiga.play.rollouts import rollout

TOLD = 3  # inner steps after which a metric tells the return, at most
Train = Literal["tasks", "plain", "nothing"]


@dataclass(frozen=True)
class Config:
    """The system's numbers. ValueError, naming the field, for one out of range."""

    train: Train = "tasks"  # plain: the course on which nothing is changed; nothing: first weights stay
    tasks: int = 10  # M, of a meta-iteration
    episodes: int = 8  # E, of an inner step
    judged: int = 8  # episodes that say what an adaptation came to
    discount: float = 0.99
    trace: float = 1.0  # lambda of the advantages; 1: discounted returns less the baseline
    inner_rate: float = 0.03  # where rates are learnt the first one of each weight
    learn_rates: bool = False  # one for every weight: Meta-SGD
    rate: float = 0.001  # Adam's, of what is learnt
    clip: float = 0.2  # how far the ratio of the episodes judged may leave 1
    passes: int = 5  # of Adam over the same episodes
    iterations: int = 10  # meta-iterations before each test; by --config alone, as the flag bounds the run
    trials: int = 4  # adaptations to each held-out task
    test_episodes: int = 4  # after every inner step of each, by the likeliest actions
    inner: inner_loop.Config = field(default_factory=inner_loop.Config)

    def __post_init__(self) -> None:
        if self.train not in get_args(Train):
            raise ValueError(f"train: one of {', '.join(get_args(Train))}, not {self.train!r}")
        for name in ("tasks", "episodes", "judged", "passes", "iterations", "trials", "test_episodes"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name}: at least 1, not {getattr(self, name)!r}")
        for name in ("inner_rate", "rate", "clip"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name}: greater than 0, not {getattr(self, name)!r}")
        for name in ("discount", "trace"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: at least 0, at most 1, not {getattr(self, name)!r}")
        if self.inner.gradient not in UNROLLED:
            raise ValueError(f"inner.gradient: one of {', '.join(UNROLLED)}, not {self.inner.gradient!r}")
        if self.inner.stream:
            raise ValueError("inner.stream: False, as every step plays episodes of its own, not True")


AnyConfig = TypeVar("AnyConfig", bound=Config)


def baselines(config: AnyConfig) -> dict[str, AnyConfig]:
    """What MAML is held against, with as many episodes in a step.

    `mixture` learns on the same tasks and `plain` on none, both without an inner step; `scratch` never
    learns.
    """
    whole = config.inner.steps * config.episodes + config.judged
    # `episodes` stays: the tests adapt with it.
    mixture = replace(
        config, judged=whole, learn_rates=False, inner=replace(config.inner, gradient="second", steps=0)
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
    episodes: int  # those of tests left out
    steps: int  # of the world, in these episodes
    meta: Meta
    adam: Any
    test: Array  # u32[2], the key of what is random in the tests


@dataclass(frozen=True)
class MAMLRL:
    """The system: `space` gives the tasks to learn on, `held_out` names those to test on, `plain` is the
    course on which nothing is changed; courses are pytrees of one structure. `brain` has no memory and
    answers with a `Judgement`; an episode of `world` has `horizon` steps at most."""

    config: Config
    space: Space[Any]
    held_out: Mapping[str, Any]
    plain: Any
    brain: Brain
    world: World
    horizon: int

    def init(self, key: Key) -> State:
        """The brain's own first weights."""
        drawing, testing = jax.random.split(key)
        start = jax.tree.map(jnp.asarray, self.brain.init(drawing))
        alike = inner_loop.each if self.config.learn_rates else inner_loop.alike
        meta = Meta(start, alike(start, self.config.inner_rate), inner_loop.alike(start, 1.0))
        adam = self._adam.init(self._learnt(meta))
        return jax.device_get(State(0, 0, 0, meta, adam, jax.random.key_data(testing)))

    def step(self, key: Key, state: State) -> tuple[State, list[Event]]:
        """`iterations` meta-iterations, then the tasks to test on."""
        config, seen = self.config, []
        if config.train != "nothing":
            for one in jax.random.split(key, config.iterations):
                drawing, learning = jax.random.split(one)
                learnt = self._learn(learning, state.meta, state.adam, self._courses(drawing))
                meta, adam, figures = jax.device_get(learnt)
                episodes = config.tasks * (config.inner.steps * config.episodes + config.judged)
                steps = state.steps + int(figures.pop("steps"))
                state = replace(state, episodes=state.episodes + episodes, steps=steps, meta=meta, adam=adam)
                seen.append(figures)
        state = replace(state, iteration=state.iteration + config.iterations)
        curves = self.judge(state, jax.random.wrap_key_data(jnp.asarray(state.test), impl="threefry2x32"))
        told: dict[str, Any] = {
            "meta_iterations": state.iteration,
            "steps": state.steps,
            "episodes": state.episodes,
        }
        told |= {f"return_{k}": float(curves[:, :, k].mean()) for k in range(TOLD + 1)}
        told |= {name: float(np.mean([each[name] for each in seen])) for name in (seen[0] if seen else ())}
        each = {name: curves[place].mean(0).tolist() for place, name in enumerate(self.held_out)}
        return state, [Event("tasks", each), Event("metric", told)]

    def judge(self, state: State, key: Key, rate: float | None = None) -> np.ndarray:
        """Mean returns f64[tasks, trials, 4] of what was learnt, by its likeliest actions, on each held-out
        task after 0 to 3 inner steps on `episodes` episodes each; the same chance for whoever is judged with
        `key`.

        `rate` takes the place of all inner rates: who learnt without an inner step adapts with the one that
        suits it.
        """
        meta, many = state.meta, self.config.trials
        if rate is not None:
            meta = replace(meta, rates=jax.tree.map(lambda old: np.full_like(old, rate), meta.rates))
        courses = _stacked([course for course in self.held_out.values() for _ in range(many)])
        curves = np.asarray(self._judge(key, meta, courses), np.float64)
        return curves.reshape(len(self.held_out), many, TOLD + 1)

    def _courses(self, key: Key) -> Any:
        """Those of a meta-iteration, [M, ...]."""
        count = self.config.tasks
        if self.config.train == "plain":
            return _stacked([self.plain] * count)
        return _stacked([self.space.sample(one) for one in jax.random.split(key, count)])

    def _iterate(self, key: Key, meta: Meta, adam: Any, courses: Any) -> tuple[Meta, Any, dict[str, Any]]:
        """One meta-iteration on `courses` [M, ...]."""
        adapting, playing = jax.random.split(key)
        count, loop = self.config.tasks, InnerLoop(self._loss, replace(self.config.inner, stream=True))

        def play(adapting: Key, playing: Key, course: Any) -> tuple[Batch, Batch, Any, Any]:
            adapted, (train, taken, _) = self._adapt(adapting, meta, course, self.config.inner.steps)
            valid, more, total = self._learnable(
                playing, adapted, course, self.config.judged, self.config.clip
            )
            return train, valid, taken.sum() + more, total

        train, valid, steps, totals = jax.vmap(play)(
            jax.random.split(adapting, count), jax.random.split(playing, count), courses
        )

        def update(now: tuple[Meta, Any], _: None) -> tuple[tuple[Meta, Any], Any]:
            meta, adam = now
            slopes, losses = jax.lax.map(lambda seen: loop.gradient(meta, key, *seen), (train, valid))
            mean = self._learnt(jax.tree.map(lambda each: each.mean(0), slopes))
            with jax.numpy_dtype_promotion("standard"):  # optax mixes number types
                stride, adam = self._adam.update(mean, adam)
            moved = jax.tree.map(lambda w, d: w - self.config.rate * d, self._learnt(meta), stride)
            return (replace(meta, **dict(zip(("start", "rates"), moved, strict=False))), adam), losses.mean()

        (meta, adam), losses = jax.lax.scan(update, (meta, adam), length=self.config.passes)
        return meta, adam, {"steps": steps.sum(), "adapted": totals.mean(), "gain": -losses[-1]}

    def _adapt(self, key: Key, meta: Meta, course: Any, steps: int) -> tuple[Any, tuple[Batch, Any, Any]]:
        """Weights after `steps` inner steps on one course, each on episodes of its own; what was learnt from
        [K, ...], the world's steps i32[K] and mean returns f32[K]."""
        once = InnerLoop(self._loss, replace(self.config.inner, steps=1, stream=False))

        def step(now: Any, key: Key) -> tuple[Any, tuple[Batch, Any, Any]]:
            seen, taken, total = self._learnable(key, now, course, self.config.episodes, np.inf)
            return once.learn(meta, key, inner_loop.State(now), seen)[0].weights, (seen, taken, total)

        return jax.lax.scan(step, meta.start, jax.random.split(key, steps), length=steps)

    def _learnable(
        self, key: Key, weights: Any, course: Any, count: int, clip: float
    ) -> tuple[Batch, Any, Any]:
        """`count` episodes on one course, actions drawn; steps of the world i32[], and mean return f32[]."""

        def episode(key: Key) -> Any:
            playing, choosing = jax.random.split(key)
            return rollout(self.world, Drawn(self.brain, choosing), weights, playing, course, self.horizon)[1]

        config = self.config
        seen = jax.vmap(episode)(jax.random.split(key, count))
        batch = policy_gradient.batch(self.brain, weights, seen, clip, config.discount, config.trace)
        return batch, seen.alive.sum(dtype=jnp.int32), seen.reward.sum(1).mean()

    def _curve(self, key: Key, meta: Meta, course: Any) -> Any:
        """Mean returns f32[4] of the likeliest actions on one course, after 0 to 3 inner steps."""
        adapting, playing = jax.random.split(key)

        def total(weights: Any, key: Key) -> Any:
            return rollout(self.world, Greedy(self.brain), weights, key, course, self.horizon)[1].reward.sum()

        def told(weights: Any) -> Any:
            keys = jax.random.split(playing, self.config.test_episodes)
            return jax.vmap(partial(total, weights))(keys).mean()

        def stage(now: Any, key: Key) -> tuple[Any, Any]:
            return self._adapt(key, replace(meta, start=now), course, 1)[0], told(now)

        last, before = jax.lax.scan(stage, meta.start, jax.random.split(adapting, TOLD))
        return jnp.append(before, told(last))

    def _loss(self, weights: Any, seen: Batch) -> Any:
        return policy_gradient.loss(self.brain, weights, seen)

    def _learnt(self, meta: Meta) -> tuple[Any, ...]:
        """What Adam moves."""
        return (meta.start, meta.rates) if self.config.learn_rates else (meta.start,)

    @cached_property
    def _adam(self) -> optax.GradientTransformation:
        return optax.scale_by_adam()

    @cached_property
    def _learn(self) -> Any:
        return jax.jit(self._iterate)

    @cached_property
    def _judge(self) -> Any:
        def judge(key: Key, meta: Meta, courses: Any) -> Any:
            keys = jax.random.split(key, len(self.held_out) * self.config.trials)
            return jax.vmap(self._curve, (0, None, 0))(keys, meta, courses)

        return jax.jit(judge)


def _stacked(courses: list[Any]) -> Any:
    """As one pytree with a leading axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *courses)
