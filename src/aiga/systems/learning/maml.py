"""MAML: first weights from which a few examples of a new task are enough.

Finn, Abbeel, Levine 2017, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", arXiv
1703.03400, on the sinusoids of its section 5.1. `MAML.step` is the paper's Algorithm 2 for regression, many
meta-iterations in one compiled scan: draw tasks, adapt to each on `shots` examples, judge on `queries`
others, and move what is learnt by Adam against the mean meta-gradient. The inner loop is
`learners/inner_loop`, and its switches make of this file first-order MAML, iMAML, ES-MAML, Meta-SGD, ANIL and
Reptile. The losses after every step, instead of the last one's alone, are those of Antoniou, Edwards, Storkey
2019, "How to train your MAML", arXiv 1810.09502.

The two baselines of the paper's section 5.1 are configurations too: a network pre-trained on all tasks is
MAML with no inner step, the oracle is that with amplitude and phase among the inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax

from aiga.brains import MLP
from aiga.interfaces import Array, Event, Key
from aiga.learners import inner_loop
from aiga.learners.inner_loop import UNROLLED, InnerLoop, Meta
from aiga.worlds.sine import Examples, SineSpace, examples

TOLD = (0, 1, 5, 10)  # steps after which a metric tells the loss
Adapts = Literal["all", "head"]
Losses = Literal["last", "every"]


@dataclass(frozen=True)
class Config:
    """MAML's numbers; the defaults are the paper's. ValueError, naming the field, for one out of range."""

    tasks: int = 25  # in a meta-iteration
    shots: int = 10  # examples of a task to learn from
    queries: int = 10  # and to be judged on
    rate: float = 0.001  # Adam's, of what is learnt
    clip: float = 0.0  # the most a mean meta-gradient may be long; 0: anything, as in the paper
    inner_rate: float = 0.01  # of a task; where rates are learnt the first one of each weight
    learn_rates: bool = False  # one for every weight: Meta-SGD
    adapts: Adapts = "all"  # head: the last layer alone, ANIL
    losses: Losses = "last"  # every: those after all inner steps count
    anneal: int = 0  # meta-iterations in which the weight of `every` moves to the last one; 0: it stays
    oracle: bool = False  # amplitude and phase are inputs
    hidden: tuple[int, ...] = (40, 40)
    iterations: int = 1000  # of the meta-learner, in one step of the system
    test_tasks: int = 600  # the same ones throughout a run, drawn apart from those to learn on
    test_queries: int = 100
    inner: inner_loop.Config = field(default_factory=inner_loop.Config)

    def __post_init__(self) -> None:
        for name in ("tasks", "shots", "queries", "iterations", "test_tasks", "test_queries"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: at least 1, not {getattr(self, name)!r}")
        for name in ("rate", "inner_rate"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name}: greater than 0, not {getattr(self, name)!r}")
        for name, kind in (("adapts", Adapts), ("losses", Losses)):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"{name}: one of {', '.join(get_args(kind))}, not {getattr(self, name)!r}")
        for name in ("anneal", "clip"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name}: at least 0, not {getattr(self, name)!r}")
        if any(size < 1 for size in self.hidden):
            raise ValueError(f"hidden: numbers of at least 1, not {self.hidden}")
        for name, asked in (("learn_rates", self.learn_rates), ("losses", self.losses == "every")):
            if asked and self.inner.gradient not in UNROLLED:
                raise ValueError(
                    f"{name}: {getattr(self, name)} needs a gradient of {', '.join(UNROLLED)}, "
                    f"not {self.inner.gradient}"
                )


def baselines(config: Config) -> dict[str, Config]:
    """What the paper holds MAML against, on the same tasks and as many examples."""
    plain = replace(
        config, learn_rates=False, losses="last", adapts="all", inner=inner_loop.Config("second", steps=0)
    )
    return {"pretrained": plain, "oracle": replace(plain, oracle=True)}


@dataclass(frozen=True)
class State:
    """The meta-learner between two steps."""

    iteration: int  # meta-iterations so far
    meta: Meta
    adam: Any
    test: Array  # u32[2], the key of the tasks to test on


@dataclass(frozen=True)
class MAML:
    """The system."""

    config: Config = Config()

    def init(self, key: Key) -> State:
        """Weights as He et al. 2015 (arXiv 1502.01852) draw them for rectifiers, biases 0."""
        config = self.config
        drawing, testing = jax.random.split(key)
        layers = self._brain.init(drawing)
        start = tuple((w * np.sqrt(2 / w.shape[0]).astype(np.float32), jnp.zeros_like(b)) for w, b in layers)
        rates = (inner_loop.each if config.learn_rates else inner_loop.alike)(start, config.inner_rate)
        adapts = inner_loop.head(start) if config.adapts == "head" else inner_loop.alike(start, 1.0)
        meta = Meta(start, rates, adapts)
        adam = self._adam.init(self._learnt(meta))
        return jax.device_get(State(0, meta, adam, jax.random.key_data(testing)))

    def step(self, key: Key, state: State) -> tuple[State, list[Event]]:
        """`iterations` meta-iterations, then the tasks to test on."""
        config = self.config
        meta, adam, loss = jax.device_get(self._learn(key, state.meta, state.adam, state.iteration))
        state = replace(state, iteration=state.iteration + config.iterations, meta=meta, adam=adam)
        curves = self.judge(meta, jax.random.wrap_key_data(jnp.asarray(state.test), impl="threefry2x32"))
        after = {f"mse_{k}": float(curves[:, k].mean()) for k in TOLD}
        count = {"meta_iterations": state.iteration, "tasks": state.iteration * config.tasks}
        return state, [Event("metric", {**count, "loss": float(loss), **after})]

    def judge(self, meta: Meta, key: Key, rate: float | None = None) -> np.ndarray:
        """Mean squared errors f32[test_tasks, 11] on tasks of `key` after 0 to 10 inner steps.

        `rate` takes the place of all inner rates: a baseline is fine-tuned with the one that suits it.
        """
        if rate is not None:
            meta = replace(meta, rates=jax.tree.map(lambda old: np.full_like(old, rate), meta.rates))
        return np.asarray(self._judge(meta, key))

    @cached_property
    def _brain(self) -> MLP:
        return MLP((3 if self.config.oracle else 1, *self.config.hidden, 1), "relu", "identity", scale=1.0)

    @cached_property
    def _adam(self) -> optax.GradientTransformation:
        clip = self.config.clip
        bounded = optax.clip_by_global_norm(clip) if clip else optax.identity()
        return optax.chain(bounded, optax.scale_by_adam())

    @cached_property
    def _loop(self) -> InnerLoop:
        return InnerLoop(self._loss, self.config.inner)

    def _loss(self, weights: Any, told: Examples) -> jax.Array:
        return jnp.mean((self._brain.act(weights, (), told.x)[0] - told.y) ** 2)

    def _learnt(self, meta: Meta) -> tuple[Any, ...]:
        """What Adam moves."""
        return (meta.start, meta.rates) if self.config.learn_rates else (meta.start,)

    def _task(self, key: Key, queries: int) -> tuple[Examples, Examples]:
        """One sinusoid: what to learn it from, and what to be judged on."""
        drawing, showing = jax.random.split(key)
        sine, shots = SineSpace().sample(drawing), self.config.shots
        told = examples(showing, sine, shots + queries)
        if self.config.oracle:
            known = jnp.broadcast_to(jnp.stack(sine), (shots + queries, 2))
            told = told._replace(x=jnp.concatenate([told.x, known], axis=1))
        return Examples(told.x[:shots], told.y[:shots]), Examples(told.x[shots:], told.y[shots:])

    def _importance(self, iteration: Any) -> Any:
        """Of the losses after each inner step f32[K], or nothing where the last one alone counts."""
        config, steps = self.config, self.config.inner.steps
        if config.losses == "last" or not steps:
            return None
        even, last = jnp.full(steps, 1 / steps, jnp.float32), jnp.zeros(steps, jnp.float32).at[-1].set(1)
        if not config.anneal:
            return even
        moved = jnp.minimum(jnp.float32(iteration) / config.anneal, 1)
        return (1 - moved) * even + moved * last

    def _iterate(self, now: tuple[Meta, Any, Any], key: Key) -> tuple[tuple[Meta, Any, Any], Any]:
        """One meta-iteration."""
        meta, adam, iteration = now
        importance = self._importance(iteration)

        def slope(key: Key) -> Any:
            drawing, finding = jax.random.split(key)
            train, valid = self._task(drawing, self.config.queries)
            if not self.config.inner.steps:
                # Who learns no task has these examples to learn from too.
                valid = jax.tree.map(lambda *both: jnp.concatenate(both), train, valid)
            return self._loop.gradient(meta, finding, train, valid, importance)

        slopes, losses = jax.vmap(slope)(jax.random.split(key, self.config.tasks))
        mean = self._learnt(jax.tree.map(lambda each: each.mean(0), slopes))
        with jax.numpy_dtype_promotion("standard"):  # optax mixes number types
            stride, adam = self._adam.update(mean, adam)
        moved = jax.tree.map(lambda w, d: w - self.config.rate * d, self._learnt(meta), stride)
        meta = replace(meta, **dict(zip(("start", "rates"), moved, strict=False)))
        return (meta, adam, iteration + 1), losses.mean()

    @cached_property
    def _learn(self) -> Any:
        def learn(key: Key, meta: Meta, adam: Any, iteration: Any) -> tuple[Meta, Any, Any]:
            keys = jax.random.split(key, self.config.iterations)
            (meta, adam, _), losses = jax.lax.scan(self._iterate, (meta, adam, jnp.int32(iteration)), keys)
            return meta, adam, losses.mean()

        return jax.jit(learn)

    @cached_property
    def _judge(self) -> Any:
        def judge(meta: Meta, key: Key) -> Any:
            def curve(key: Key) -> Any:
                train, valid = self._task(key, self.config.test_queries)
                return self._loop.curve(meta, train, valid, max(TOLD))

            return jax.vmap(curve)(jax.random.split(key, self.config.test_tasks))

        return jax.jit(judge)


def compared(
    system: MAML, state: State, others: Sequence[tuple[MAML, State]] = (), seed: int = 2**31
) -> list[np.ndarray]:
    """Curves f32[test_tasks, 11] of a system and of others, all on the same new tasks."""
    key = jax.random.key(seed, impl="threefry2x32")
    return [one.judge(its.meta, key) for one, its in ((system, state), *others)]
