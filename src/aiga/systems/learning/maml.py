"""MAML: first weights from which a few examples of a new task are enough.

Finn, Abbeel, Levine 2017, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", arXiv
1703.03400, on the sinusoids of its section 5.1 and the few-shot images of its section 5.2. `MAML.step` is the
paper's Algorithm 2, many meta-iterations in one compiled scan: draw tasks, adapt to each on `shots` examples,
judge on `queries` others, and move what is learnt by Adam against the mean meta-gradient. What a task is, and
the network that learns it, is a kind of `play/lessons`. The inner loop is
`learners/inner_loop`, and its switches make of this file first-order MAML, iMAML, ES-MAML, Meta-SGD, ANIL and
Reptile. The losses after every step, instead of the last one's alone, are those of Antoniou, Edwards, Storkey
2019, "How to train your MAML", arXiv 1810.09502.

The two baselines of the paper's section 5.1 are configurations too: a network pre-trained on all tasks is
MAML with no inner step, the oracle is that with amplitude and phase among the inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax

from aiga.brains.conv_net import Halves
from aiga.interfaces import Array, Event, Key
from aiga.learners import inner_loop
from aiga.learners.inner_loop import UNROLLED, InnerLoop, Meta
from aiga.play.lessons import Characters, Lessons, Sinusoids
from aiga.play.shards import AXIS, spread, summed
from aiga.worlds import few_shot, sine

TOLD = (0, 1, 5, 10)  # steps after which a metric tells the score
DRAWN = (0, 1, 10)  # and after which the page draws what the network says
SHOWN = 3  # sinusoids that it draws; of images it shows one task
CLASSES = 5  # of that task, at most: an image of each to learn from and one to be told
SIDE = 28  # pixels of such an image, at most
ABREAST = 32  # large tasks side by side on a GPU
WHOLE = 5  # inner steps of large tasks, at most, that are compiled without a loop
Adapts = Literal["all", "head"]
Losses = Literal["last", "every"]
Part = Literal["valid", "test"]


@dataclass(frozen=True)
class Config:
    """MAML's numbers; the defaults are the paper's. ValueError, naming the field, for one out of range."""

    task: str = "sine"  # or glyphs, omniglot:PATH, miniimagenet:PATH (docs/maml.md)
    tasks: int = 25  # in a meta-iteration
    shots: int = 10  # examples of a task to learn from; of images, those of each class
    queries: int = 10  # and to be judged on
    rate: float = 0.001  # Adam's, of what is learnt
    clip: float = 0.0  # the most a mean meta-gradient may be long; 0: anything, as in the paper
    inner_rate: float = 0.01  # of a task; where rates are learnt the first one of each weight
    learn_rates: bool = False  # one for every weight: Meta-SGD
    adapts: Adapts = "all"  # head: the last layer alone, ANIL
    losses: Losses = "last"  # every: those after all inner steps count
    anneal: int = 0  # meta-iterations in which the weight of `every` moves to the last one; 0: it stays
    oracle: bool = False  # of a sinusoid amplitude and phase are inputs
    hidden: tuple[int, ...] = (40, 40)  # the network for sinusoids
    ways: int = 5  # classes of a task of images
    turns: bool = False  # quarter turns of a class are classes to learn on, too
    filters: int = 64  # the network for images, of each of its four blocks
    halves: Halves = "stride"  # what makes its images smaller: stride as for Omniglot, pool for miniImageNet
    part: Part = "test"  # of the images' classes, that they are judged on; valid: those to choose by
    iterations: int = 1000  # meta-iterations in a step; by --config alone, as the flag bounds the run
    shards: int = 1  # parts of its tasks, each on a core of its own where there are as many
    test_tasks: int = 600  # the same ones throughout a run, drawn apart from those to learn on
    test_queries: int = 100
    inner: inner_loop.Config = field(default_factory=inner_loop.Config)

    def __post_init__(self) -> None:
        if self.task != "sine":
            try:
                few_shot.check(self.task)
            except ValueError:
                known = ", ".join(["sine", *few_shot.NAMES])
                raise ValueError(f"task: one of {known}, not {self.task!r}") from None
            if self.oracle:
                raise ValueError(f"oracle: with sinusoids alone, not with {self.task}")
        for name in (
            "tasks", "shots", "queries", "iterations", "shards", "test_tasks", "test_queries", "ways",
            "filters",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: at least 1, not {getattr(self, name)!r}")
        if self.tasks % self.shards:
            raise ValueError(f"shards: a divisor of {self.tasks} tasks, not {self.shards}")
        for name in ("rate", "inner_rate"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name}: greater than 0, not {getattr(self, name)!r}")
        kinds = {"adapts": Adapts, "losses": Losses, "halves": Halves, "part": Part}
        for name, kind in kinds.items():
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"{name}: one of {', '.join(get_args(kind))}, not {getattr(self, name)!r}")
        for name in ("anneal", "clip"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name}: at least 0, not {getattr(self, name)!r}")
        if any(size < 1 for size in self.hidden):
            raise ValueError(f"hidden: numbers of at least 1, not {self.hidden}")
        if self.inner.stream:
            raise ValueError("inner.stream: False, as all examples of a task are seen at once, not True")
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
    if config.task != "sine":
        return {"pretrained": plain}
    return {"pretrained": plain, "oracle": replace(plain, oracle=True)}


@dataclass(frozen=True)
class State:
    """The meta-learner between two steps."""

    iteration: int  # meta-iterations so far
    meta: Meta
    adam: Any
    test: Array  # u32[2], the key of the tasks to test on
    data: str = ""  # SHA-256 of the images


@dataclass(frozen=True)
class MAML:
    """The system."""

    config: Config = Config()

    def init(self, key: Key) -> State:
        """Nothing learnt yet. ValueError, naming the field, where the images lack what is asked for."""
        self.check()
        config, lessons = self.config, self._lessons
        drawing, testing = jax.random.split(key)
        start = lessons.start(drawing)
        rates = (inner_loop.each if config.learn_rates else inner_loop.alike)(start, config.inner_rate)
        adapts = inner_loop.head(start) if config.adapts == "head" else inner_loop.alike(start, 1.0)
        meta = Meta(start, rates, adapts)
        adam = self._adam.init(self._learnt(meta))
        return jax.device_get(State(0, meta, adam, jax.random.key_data(testing), lessons.data))

    def check(self) -> None:
        """ValueError, naming the field, where the task's images do not have what is asked for."""
        if isinstance(self._lessons, Characters):
            self._lessons.check(self.config.queries, self.config.test_queries)

    def fits(self, state: State) -> None:
        """ValueError, naming `task`, where the images are not those that the run began with, and for weights
        of another network."""
        inner_loop.check_shapes(state.meta.start, self._lessons.start)
        if state.data != self._lessons.data:
            raise ValueError(f"task: {self.config.task}: not the images that this run began with")

    def step(self, key: Key, state: State) -> tuple[State, list[Event]]:
        """`iterations` meta-iterations, then the tasks to test on."""
        config = self.config
        learnt = self._learn(key, self._lessons.train, state.meta, state.adam, state.iteration)
        meta, adam, loss = jax.device_get(learnt)
        state = replace(state, iteration=state.iteration + config.iterations, meta=meta, adam=adam)
        testing = jax.random.wrap_key_data(jnp.asarray(state.test), impl="threefry2x32")
        curves, said = jax.device_get(self._judge(meta, self._lessons.held, testing))
        after = {f"{self._lessons.told}_{k}": float(curves[:, k].mean()) for k in TOLD}
        count = {"meta_iterations": state.iteration, "tasks": state.iteration * config.tasks}
        shown = self._shown(testing, curves, said, first=state.iteration == config.iterations)
        return state, [Event("metric", {**count, "loss": float(loss), **after}), *shown]

    def judge(self, meta: Meta, key: Key, rate: float | None = None) -> np.ndarray:
        """Mean squared errors, or of images the share told right, f32[test_tasks, 11] on tasks of `key` after
        0 to 10 inner steps.

        `rate` takes the place of all inner rates: a baseline is fine-tuned with the one that suits it.
        """
        if rate is not None:
            meta = replace(meta, rates=jax.tree.map(lambda old: np.full_like(old, rate), meta.rates))
        return np.asarray(self._judge(meta, self._lessons.held, key)[0])

    def _shown(self, key: Key, curves: np.ndarray, said: np.ndarray, first: bool) -> list[Event]:
        """A test for the page: quartiles of `judge`'s curves of `key`, and what was `said` [N, 11, T] in the
        first of its N tasks. Their images are always the same, and told with the `first` test alone."""
        # A task whose inner loop diverged is worse than all others, and those still have quartiles.
        ranked = np.where(np.isnan(curves), np.inf, curves)
        low, middle, high = np.quantile(ranked, (0.25, 0.5, 0.75), axis=0, method="nearest")
        curve = {"low": _short(low), "middle": _short(middle), "high": _short(high)}
        shown = {"score": self._lessons.told, **curve, "steps": DRAWN}
        train, asked = jax.device_get(self._first(self._lessons.held, key))
        if isinstance(self._lessons, Sinusoids):
            points, true = np.concatenate([train.x[..., :1], train.y], 2), asked.y[..., 0]
            sines = [
                {"points": _short(points[k]), "true": _short(true[k]), "said": _short(said[k, DRAWN])}
                for k in range(len(true))
            ]
            return [Event("adaptation", {**shown, "span": sine.X, "sines": sines})]
        some = np.arange(min(self.config.ways, CLASSES))
        learnt, told = some * self.config.shots, some * self.config.test_queries
        images = {
            "learnt": [_inked(image) for image in train.x[0, learnt]],
            "asked": [_inked(image) for image in asked.x[0, told]],
        }
        test = Event("adaptation", {**shown, "said": said[0, DRAWN][:, told]})
        return [Event("images", images), test] if first else [test]

    @cached_property
    def _lessons(self) -> Lessons:
        c = self.config
        if c.task == "sine":
            return Sinusoids(c.hidden, c.shots, c.oracle)
        return Characters(c.task, c.part, c.ways, c.shots, c.turns, c.filters, c.halves)

    @cached_property
    def _adam(self) -> optax.GradientTransformation:
        clip = self.config.clip
        bounded = optax.clip_by_global_norm(clip) if clip else optax.identity()
        return optax.chain(bounded, optax.scale_by_adam())

    @cached_property
    def _loop(self) -> InnerLoop:
        return InnerLoop(self._lessons.loss, self.config.inner, unrolled=WHOLE if self._lessons.large else 1)

    def _learnt(self, meta: Meta) -> tuple[Any, ...]:
        """What Adam moves."""
        return (meta.start, meta.rates) if self.config.learn_rates else (meta.start,)

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

    def _iterate(
        self, material: Any, now: tuple[Meta, Any, Any], key: Key
    ) -> tuple[tuple[Meta, Any, Any], Any]:
        """One meta-iteration."""
        meta, adam, iteration = now
        importance = self._importance(iteration)

        def slope(key: Key) -> tuple[Any, Any]:
            drawing, finding = jax.random.split(key)
            train, valid = self._lessons.draw(drawing, material, self.config.queries)
            if not self.config.inner.steps:
                # Who learns no task has these examples to learn from too.
                valid = jax.tree.map(lambda *both: jnp.concatenate(both), train, valid)
            found, loss = self._loop.gradient(meta, finding, train, valid, importance)
            return self._learnt(found), loss

        count = self.config.tasks
        mine = jax.random.split(key, count).reshape(self.config.shards, -1)[jax.lax.axis_index(AXIS)]
        mean, loss = summed(jax.tree.map(lambda total: total / count, self._total(slope, mine)))
        with jax.numpy_dtype_promotion("standard"):  # optax mixes number types
            stride, adam = self._adam.update(mean, adam)
        moved = jax.tree.map(lambda w, d: w - self.config.rate * d, self._learnt(meta), stride)
        meta = replace(meta, **dict(zip(("start", "rates"), moved, strict=False)))
        return (meta, adam, iteration + 1), loss

    def _for_each(self, task: Any, keys: Any) -> Any:
        """`task` of every key, side by side; of `large` ones a processor does one alone, a GPU some."""
        if not self._lessons.large:
            return jax.vmap(task)(keys)
        return jax.lax.map(task, keys, batch_size=None if self._alone else ABREAST)

    def _total(self, task: Any, keys: Any) -> Any:
        """The sum over all keys of what `task` comes to."""
        if not self._alone:
            return jax.tree.map(lambda each: each.sum(0), self._for_each(task, keys))
        # One by one: where XLA has several threads it is slow to add up many large ones.
        shapes = jax.eval_shape(task, keys[0])
        nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

        def add(sofar: Any, key: Any) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, sofar, task(key)), None

        return jax.lax.scan(add, nothing, keys)[0]

    @property
    def _alone(self) -> bool:
        return self._lessons.large and jax.default_backend() == "cpu"

    @cached_property
    def _learn(self) -> Any:
        def learn(key: Key, material: Any, meta: Meta, adam: Any, iteration: Any) -> tuple[Meta, Any, Any]:
            keys, begin = jax.random.split(key, self.config.iterations), (meta, adam, jnp.int32(iteration))
            (meta, adam, _), losses = jax.lax.scan(partial(self._iterate, material), begin, keys)
            return meta, adam, losses.mean()

        return jax.jit(spread(learn, self.config.shards))

    @cached_property
    def _judge(self) -> Any:
        lessons, config = self._lessons, self.config

        def judge(meta: Meta, material: Any, key: Key) -> Any:
            def curve(key: Key) -> Any:
                train, valid = lessons.draw(key, material, config.test_queries)
                asked = lessons.asked(key, valid)

                def score(weights: Any, valid: Any) -> Any:
                    return lessons.judged(weights, valid, asked)

                return self._loop.curve(meta, train, valid, max(TOLD), score)

            return self._for_each(curve, jax.random.split(key, config.test_tasks))

        return jax.jit(judge)

    @cached_property
    def _first(self) -> Any:
        lessons, config = self._lessons, self.config

        def first(material: Any, key: Key) -> Any:
            def draw(key: Key) -> Any:
                train, valid = lessons.draw(key, material, config.test_queries)
                return train, lessons.asked(key, valid)

            return jax.vmap(draw)(jax.random.split(key, config.test_tasks)[:SHOWN])

        return jax.jit(first)


def _short(values: Any) -> np.ndarray:
    """f32 of four digits or so: a line of the page's is a few hundred pixels high."""
    rounded = [float(f"{value:.4g}") for value in np.ravel(values)]
    return np.array(rounded, np.float32).reshape(np.shape(values))


def _inked(image: Any) -> str:
    """f32[H, W, F], from 0 to 1, as grey: a hexadecimal digit for each pixel, rows of equal length between
    spaces."""
    grey, step = image.mean(2), -(-max(image.shape[:2]) // SIDE)
    high, wide = (side // step * step for side in grey.shape)
    small = grey[:high, :wide].reshape(high // step, step, wide // step, step).mean((1, 3))
    return " ".join("".join(f"{round(15 * float(pixel)):x}" for pixel in row) for row in small)
