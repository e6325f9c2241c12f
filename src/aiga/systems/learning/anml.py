"""ANML and OML: representations in which one class after the other can be learnt without forgetting.

Beaulieu, Frati, Miconi, Lehman, Stanley, Clune, Cheney 2020, "Learning to Continually Learn", arXiv
2002.09571; Javed, White 2019, "Meta-Learning Representations for Continual Learning", arXiv 1905.12588. Here
they learn the characters of `worlds/glyphs`, where the papers have Omniglot.

A meta-iteration is `ANML._iterate`. The prediction network forgets one class: its output's weights are drawn
anew. It then sees twenty writings of that class, one after the other, a step of gradient descent each. What
it has come to is judged on those twenty and on 64 images of any class, and Adam moves the weights it started
from against the slope of that. In ANML a second network, the neuromodulatory one, looks at the same image and
multiplies the features before the last layers by numbers from 0 to 1: the gate. It holds still while a class
is learnt and is moved by Adam alone. In OML there is no gate, and the convolutions hold still too.

A meta-iteration may learn several `classes`, one after the other, as OML's trajectories do. Where it has no
images to `remember` its head has outputs for those classes alone, all new, as in the meta-test; then nothing
that is learnt belongs to a class, and `further` alphabets cost nothing but the drawing (`oml-sequence`).

The meta-test is `ANML.judge`: hundreds of classes that were never seen, fifteen images of each, every image
once and a class at a time, on new outputs; then it is asked for those images and for five others of each.
Only the layers after the features learn. Its learning rate is chosen on the alphabets to choose by. The
oracle is the same with the images shuffled, in one pass too, at its own best rate.

`pretrained` and `random` are the controls: the prediction network trained on as many images drawn at random,
and the one that nobody trained. The presets of these names have features `standardised`, without which every
class overwrites the others and the controls are worth next to nothing. The papers' networks are preset
`published`, but for OML's six convolutions and two layers of 1,024, where ours has ANML's prediction network
and `hidden`.

Where the papers leave a choice it is a switch. The text of Beaulieu et al. is read here as a network without
normalisation and with second-order gradients; the code they released is said to go through the inner loop in
first order (`inner.gradient first`), and to normalise each image by itself, as batches of one image under
batch normalisation come to (`normalised`).

Axis letters: B images, C classes, F features, K writings, R rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax

from aiga.brains import MLP
from aiga.brains.convolution import convolve, normalised, pooled
from aiga.interfaces import Array, Event, Key
from aiga.learners import inner_loop
from aiga.learners.inner_loop import UNROLLED, InnerLoop, Meta
from aiga.worlds import glyphs

Learner = Literal["anml", "oml", "pretrained", "random"]
Part = Literal["valid", "test"]
LEARN, ASK = 15, 5  # writings of a class in the meta-test: to learn from, and others to be asked for
CHUNK = 100  # images whose features are found at a time in a meta-test
FEW = 5  # images whose features stay in a core's cache
MOST_FURTHER = 10_000  # alphabets, of half a megabyte each
BLOCK = 60  # steps that share one pass through the weights
ACTIVE = 0.01  # of the greatest feature of an image, from where on a unit fires
LOOKS = 25  # within a sequence of classes, at most, for the page
SHOWN_CLASSES, SHOWN_UNITS = 40, 128  # whose firing the page shows, at most
WRITINGS = 9  # of each such class, so that on how many a unit fires is one digit


def _known(world: glyphs.Config, further: int) -> np.ndarray:
    """The classes to train on, i64[C, 2]."""
    alphabets = world.alphabets + np.arange(further)
    return glyphs.classes(world, np.concatenate([glyphs.split(world).train, alphabets]))


@dataclass(frozen=True)
class Config:
    """The numbers; widths are `lite`, the rest the papers'. ValueError, naming the field, for what
    cannot be."""

    learner: Learner = "anml"
    filters: int = 32  # of each of the prediction network's three convolutions
    gate_filters: int = 16  # of the neuromodulatory network's
    hidden: tuple[int, ...] = ()  # layers between the features and the outputs; none: the head is linear
    normalised: bool = False  # each channel of an image by itself, after each convolution
    standardised: bool = False  # in the meta-test features have mean 0 and deviation 1 on what was trained on
    levelled: bool = False  # an image's features have mean 0 and deviation 1 before the layers after them
    reset: Literal["random", "zero"] = "zero"  # what the weights of a class that was forgotten are
    classes: int = 1  # that a meta-iteration learns, one after the other, `inner.steps` images of each
    rate: float = 0.001  # Adam's
    decay: int = 0  # meta-iterations in which that falls to nothing, along a cosine; 0: it stays
    inner_rate: float = 0.1
    others: int = 0  # images of each of them to be judged on, in place of those that were learnt from
    remember: int = 64  # images of any class, to be judged on too; with none there are no outputs but theirs
    writings: int = 20  # of each class to train on
    further: int = 0  # alphabets to train on besides the world's, from beyond those it hands out
    iterations: int = 50  # meta-iterations in a step; by --config alone, as the flag bounds the run
    test_every: int = 500  # meta-iterations
    sizes: tuple[int, ...] = (100,)  # numbers of classes that a run is tested on
    rates: tuple[float, ...] = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)  # of the meta-test
    world: glyphs.Config = field(default_factory=glyphs.Config)
    inner: inner_loop.Config = field(default_factory=lambda: inner_loop.Config(steps=20, stream=True))

    def __post_init__(self) -> None:
        for name, kind in (("learner", Learner), ("reset", Literal["random", "zero"])):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"{name}: one of {', '.join(get_args(kind))}, not {getattr(self, name)!r}")
        least = {"others": 0, "remember": 0, "decay": 0, "further": 0}
        for name in ("filters", "gate_filters", "classes", "writings", "iterations", "test_every", *least):
            if getattr(self, name) < least.get(name, 1):
                raise ValueError(f"{name}: at least {least.get(name, 1)}, not {getattr(self, name)!r}")
        for name in ("rate", "inner_rate"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name}: greater than 0, not {getattr(self, name)!r}")
        for name in ("hidden", "sizes"):
            if any(size < 1 for size in getattr(self, name)):
                raise ValueError(f"{name}: numbers of at least 1, not {getattr(self, name)}")
        if not self.rates or not all(0 < rate < np.inf for rate in self.rates):
            raise ValueError(f"rates: numbers greater than 0, at least one, not {self.rates}")
        if self.inner.gradient not in UNROLLED:
            raise ValueError(f"inner.gradient: one of {', '.join(UNROLLED)}, not {self.inner.gradient}")
        if not self.inner.stream:
            raise ValueError("inner.stream: must be true, as every image is seen once")
        if not 1 <= self.inner.steps <= self.writings:
            raise ValueError(f"inner.steps: from 1 to the {self.writings} writings, not {self.inner.steps}")
        if self.others > self.writings - self.inner.steps:
            left = self.writings - self.inner.steps
            raise ValueError(f"others: at most the {left} writings not learnt from, not {self.others}")
        if self.alone and self.classes < 2:
            raise ValueError("remember: at least 1 where classes is 1, as an output alone is right, not 0")
        if self.further > MOST_FURTHER:
            raise ValueError(f"further: at most {MOST_FURTHER}, not {self.further}")
        if self.classes > len(self.known):
            raise ValueError(f"classes: at most the {len(self.known)} to train on, not {self.classes}")
        if self.world.size < 18:
            raise ValueError(f"world.size: at least 18 for three convolutions, not {self.world.size}")

    @property
    def alone(self) -> bool:
        """The head has outputs for the classes of a sequence and no others."""
        return not self.remember and self.learner in ("anml", "oml")

    @property
    def known(self) -> np.ndarray:
        """The classes to train on, i64[C, 2]."""
        return _known(self.world, self.further)


class Weights(NamedTuple):
    """Of both networks. A layer of convolution is filters f32[out, 3, 3, in] and biases f32[out], and scales
    f32[out] where channels are normalised; a layer of the others W f32[in, out] and b f32[out]."""

    gate: Any  # three convolutions and one layer to the F features; () where there is no gate
    body: Any  # three convolutions; () where what is given are features
    head: Any  # the layers from features to classes


class Told(NamedTuple):
    """Images, or their features, with what the gate says of them, and their classes."""

    x: Any  # f32[B, size, size], or f32[B, F]
    gate: Any  # f32[B, F]; () where there is none
    y: Any  # i32[B]


@dataclass(frozen=True)
class State:
    """The meta-learner between two steps."""

    iteration: int  # meta-iterations so far
    start: Weights
    adam: Any
    test: Array  # u32[2], the key of what is random in the meta-test


@dataclass(frozen=True)
class Judged:
    """What came of a meta-test, the share of right answers by class in the order in which they came."""

    rate: float  # the best of those on the alphabets to choose by
    chosen_by: float  # what it scores there, on images held out
    learnt: np.ndarray  # f32[C], on the images that were learnt from
    held_out: np.ndarray  # f32[C]
    looks: np.ndarray  # i[L]: after how many classes it was asked for those so far, too; none of the oracle
    along: np.ndarray  # f32[L]: the share of right answers then, on images held out


class Sat(NamedTuple):
    """A head before a meta-test, and the features of its images."""

    head: Any
    learn: Any  # f32[C, K, F]
    ask: Any  # f32[C, J, F]

    def scaled(self, mean: Any, unit: Any) -> Sat:
        """With features less `mean`, in units of `unit`, both f32[F]."""
        return Sat(self.head, (self.learn - mean) / unit, (self.ask - mean) / unit)


class Firing(NamedTuple):
    """On how many of some images each feature fires, before the gate and after it."""

    before: np.ndarray  # f32[F], shares
    after: np.ndarray  # f32[F]


@dataclass(frozen=True)
class ANML:
    """The system."""

    config: Config = Config()

    def init(self, key: Key) -> State:
        """Weights as He et al. 2015 (arXiv 1502.01852) draw them for rectifiers, biases 0, scales 1."""
        start = self._begin(key)
        *_, testing = jax.random.split(key, 4)
        return jax.device_get(State(0, start, self._adam.init(start), jax.random.key_data(testing)))

    def fits(self, state: State) -> None:
        """ValueError for weights of another network."""
        inner_loop.check_shapes(state.start, self._begin)

    def step(self, key: Key, state: State) -> tuple[State, list[Event]]:
        """`iterations` meta-iterations; whenever `test_every` of them are over, the meta-test of `sizes`."""
        if self.config.learner == "random":
            return self._after(state, state.start, state.adam)
        return self._after(state, *jax.device_get(self._learn(key, state.start, state.adam, self.images)))

    def abreast(self, keys: Sequence[Key], states: Sequence[State]) -> list[tuple[State, list[Event]]]:
        """`step` of several meta-learners that know nothing of each other, with one key each, all at once:
        an accelerator has room for more than one. Rounding may differ from theirs alone."""
        if self.config.learner == "random":
            return [self.step(key, state) for key, state in zip(keys, states, strict=True)]
        starts, adams = (
            jax.tree.map(lambda *leaves: np.stack(leaves), *(getattr(state, name) for state in states))
            for name in ("start", "adam")
        )
        learnt = jax.device_get(self._learn_abreast(jnp.stack(keys), starts, adams, self.images))
        each = (jax.tree.map(lambda leaf, place=place: leaf[place], learnt) for place in range(len(states)))
        return [self._after(state, *found) for state, found in zip(states, each, strict=True)]

    def _after(self, state: State, start: Weights, adam: Any, loss: Any = None) -> tuple[State, list[Event]]:
        """What comes of a step in which `start` and `adam` were learnt."""
        config, before = self.config, state.iteration
        state = replace(state, iteration=before + config.iterations, start=start, adam=adam)
        metrics: dict[str, Any] = {"meta_iterations": state.iteration}
        if loss is not None:
            metrics["loss"] = float(loss)
        if before // config.test_every == state.iteration // config.test_every:
            return state, [Event("metric", metrics)]
        (firing, shown), tests = self._fired(state), []
        for count in config.sizes:
            judged = self.judge(state, count)
            learnt, held_out = float(judged.learnt.mean()), float(judged.held_out.mean())
            metrics |= {f"accuracy_{count}": held_out, f"learnt_{count}": learnt}
            by_class = {"by_class": judged.held_out, "looks": judged.looks, "along": judged.along}
            said = {"classes": count, "rate": judged.rate, "learnt": learnt, "held_out": held_out}
            tests.append(said | by_class)
        for when, share in firing._asdict().items():
            metrics[f"active_{when}"] = float(share.mean())
        data = {"meta_iterations": state.iteration, "tests": tests, **firing._asdict()}
        return state, [Event("metric", metrics), Event("meta_test", data), Event("firing", shown)]

    def worth(self, start: Weights, x: Any, y: Any) -> Any:
        """What `start` is worth for learning to come: the loss f32[] on images `x` f32[B, size, size] of
        classes `y` i32[B] after a step on each of the first ones, `inner.steps` for each of the `classes`, in
        turn; on the images after those alone where there are `others`."""
        meta, train, valid = self._task(start, x, y)
        return self._loop.worth(meta, train, valid)[0]

    def adapted(self, start: Weights, x: Any, y: Any) -> Weights:
        """The weights after those steps."""
        meta, train, _ = self._task(start, x, y)
        key = jax.random.key(0)
        learnt = self._loop.learn(meta, key, self._loop.init(key, meta.start), train)[0].weights
        return start._replace(**{name: part for name, part in learnt._asdict().items() if part})

    def forgetting(self, key: Key, head: Any, which: Any) -> Any:
        """The head with the weights of classes `which` i32[N] as they are before anything is learnt of
        them."""
        *hidden, (matrix, bias) = head
        fresh = jnp.zeros((len(matrix), len(which)), jnp.float32)
        if self.config.reset == "random":
            fresh = drawn(key, fresh.shape)[0]
        return (*hidden, (matrix.at[:, which].set(fresh), bias.at[which].set(0)))

    def judge(self, state: State, count: int, mixed: bool = False) -> Judged:
        """The meta-test on `count` classes, one after the other; of the oracle where they are `mixed`."""
        exams = self.sit(state, count)
        if self.config.standardised:
            scale = self.scale(state)
            exams = tuple(exam.scaled(*scale) for exam in exams)
        return self.judged(exams, mixed)

    def sit(self, state: State, count: int) -> tuple[Sat, ...]:
        """What a meta-test on `count` classes begins with: the alphabets to choose by, and the others."""
        return tuple(self._sat(state.start, state.test, self.exam(part, count)) for part in ("valid", "test"))

    def scale(self, state: State) -> tuple[jax.Array, jax.Array]:
        """By what features are standardised, a mean and a deviation f32[F]: those of what was trained on."""
        return self._scale(state.start, self.images[:, 0])

    def judged(self, exams: tuple[Sat, ...], mixed: bool) -> Judged:
        """What comes of the meta-test that begins with these, of `sit`, as `judge`."""
        valid, test = exams
        count = len(test.learn)
        order, rates = np.arange(count * LEARN), np.asarray(self.config.rates, np.float32)
        if mixed:
            order = np.random.default_rng(count).permutation(order)
        scores = np.asarray(self._online(*valid, order, rates)[1]).mean(1)
        best = int(scores.argmax())
        learnt, held_out = (np.asarray(right)[best] for right in self._online(*test, order, rates))
        looks = along = np.zeros(0, np.float32)
        if not mixed:
            looks = _evenly(count, LOOKS) + 1
            looked = np.isin(np.arange(1, count + 1), looks)
            along = np.asarray(self._along(*test, looked, rates[best]))[looked]
        return Judged(self.config.rates[best], float(scores[best]), learnt, held_out, looks, along)

    def firing(self, state: State) -> Firing:
        """On images of the alphabets to choose by, two of each class."""
        return self._fired(state)[0]

    def _fired(self, state: State) -> tuple[Firing, dict[str, Any]]:
        """`firing`, and for the page on how many of the writings of a class a unit fires: a text for each
        class, a digit for each unit; of some classes and units, evenly chosen and the same in every test."""
        world, size = self.config.world, self.config.world.size
        classes = glyphs.classes(world, glyphs.split(world).valid)
        some = classes[_evenly(len(classes), SHOWN_CLASSES)]
        sets = [glyphs.images(world, classes, np.arange(2)), glyphs.images(world, some, np.arange(WRITINGS))]
        two, nine = (each.reshape(-1, size, size) for each in sets)
        both = jax.device_get(self._firing(state.start, np.concatenate([two, nine])))
        units = _evenly(self.features_count, SHOWN_UNITS)
        shown: dict[str, Any] = {"writings": WRITINGS, "units": units, "classes": some}
        for name, fires in zip(Firing._fields, both, strict=True):
            counts = fires[len(two) :, units].reshape(len(some), WRITINGS, -1).sum(1)
            if name == "after" or state.start.gate:
                shown[name] = ["".join(map(str, row)) for row in counts]
        return Firing(*(fires[: len(two)].mean(0, dtype=np.float32) for fires in both)), shown

    def online(
        self, head: Any, learn: Array, ask: Array, order: Array, rates: Array
    ) -> tuple[jax.Array, jax.Array]:
        """Right answers f32[R, C] to features `learn` f32[C, K, F] and to `ask` f32[C, J, F], for each rate.

        `head` takes a step of gradient descent on every entry of `learn` in `order` i[C * K].
        """
        _, each, width = learn.shape
        x, y = learn.reshape(-1, width)[order], (order // each).astype(jnp.int32)
        train = self._linear if len(head) == 1 else self._deep

        def score(rate: Any) -> tuple[Any, Any]:
            weights = train(head, x, y, rate)
            return self._right(weights, learn), self._right(weights, ask)

        return jax.lax.map(score, jnp.asarray(rates, jnp.float32))

    @property
    def features_count(self) -> int:
        """F."""
        return self._places * self.config.filters

    def features(self, start: Weights, images: Any) -> tuple[Any, Any]:
        """f32[B, F] of images f32[B, size, size] before and after the gate."""
        before = self._seen(start.body, images)
        return before, self._gated(before, self._gate(start, images))

    @property
    def _places(self) -> int:
        """Pixels that are left after three convolutions."""
        side = ((self.config.world.size - 2) // 2 - 2) // 2 - 2
        return side * side

    @property
    def _steps(self) -> int:
        """Of a meta-iteration's sequence of classes."""
        return self.config.classes * self.config.inner.steps

    @cached_property
    def _adam(self) -> optax.GradientTransformation:
        return optax.scale_by_adam()

    @cached_property
    def _loop(self) -> InnerLoop:
        return InnerLoop(self._loss, replace(self.config.inner, steps=self._steps))

    @property
    def images(self) -> Any:
        """u8[C, K, size, size] to train on."""
        return _images(self.config.world, self.config.further, self.config.writings)

    # The networks.

    def _begin(self, key: Key) -> Weights:
        config = self.config
        gating, seeing, answering, _ = jax.random.split(key, 4)
        gate: Any = ()
        if config.learner == "anml":
            *layers, last = jax.random.split(gating, 4)
            width = config.gate_filters
            convolutions = self._convolutions(layers, width)
            gate = (convolutions, drawn(last, (width * self._places, self.features_count)))
        body = self._convolutions(jax.random.split(seeing, 3), config.filters)
        head = self._head(answering, config.classes if config.alone else len(config.known))
        return Weights(gate, body, head)

    def _convolutions(self, keys: Any, filters: int) -> Any:
        layers = []
        for key, channels in zip(keys, (1, filters, filters), strict=True):
            weights, bias = drawn(key, (3, 3, channels, filters))
            layer = jnp.moveaxis(weights, -1, 0), bias
            layers.append((*layer, jnp.ones(filters, jnp.float32)) if self.config.normalised else layer)
        return tuple(layers)

    def _head(self, key: Key, classes: int) -> Any:
        sizes = (self.features_count, *self.config.hidden, classes)
        keys = jax.random.split(key, len(sizes) - 1)
        *hidden, last = (drawn(key, shape) for key, *shape in zip(keys, sizes[:-1], sizes[1:], strict=True))
        return (*hidden, jax.tree.map(jnp.zeros_like, last) if self.config.reset == "zero" else last)

    def _seen(self, layers: Any, images: Any) -> Any:
        """f32[B, H * W * filters] of images f32[B, size, size]."""
        if len(images) <= FEW or not self._cramped:
            return self._convolved(layers, images)
        # What is between layers stays in the cache; for the gradient it is found again, not fetched.
        seen = jax.checkpoint(lambda image: self._convolved(layers, image[None])[0])
        return jax.lax.map(seen, images, batch_size=FEW)

    @property
    def _cramped(self) -> bool:
        """Whether one core has it all to do: more of them share out all images at once better than few.
        Without normalisation there is too little between layers for it to be worth while."""
        return self.config.normalised and jax.default_backend() == "cpu" and len(jax.devices()) == 1

    def _convolved(self, layers: Any, images: Any) -> Any:
        x = images[..., None]
        for depth, (filters, bias, *scale) in enumerate(layers):
            # Within a scan JAX's own convolution takes ten times as long on a CPU.
            x = convolve(x, filters)
            if scale:
                x = normalised(x, (-3, -2), scale[0])
            # The rectifier comes after the pooling, which it commutes with, and has a quarter of the work.
            x = jax.nn.relu((pooled(x) if depth < 2 else x) + bias)
        return x.reshape(len(images), -1)

    def _gate(self, start: Weights, images: Any) -> Any:
        """f32[B, F], from 0 to 1."""
        if not start.gate:
            return ()
        layers, (matrix, bias) = start.gate
        return jax.nn.sigmoid(self._seen(layers, images) @ matrix + bias)

    def _gated(self, features: Any, gate: Any) -> Any:
        return features if isinstance(gate, tuple) else features * gate

    def _level(self, features: Any) -> Any:
        """What the layers after the features are given."""
        return normalised(features, (-1,)) if self.config.levelled else features

    def _answers(self, head: Any, features: Any) -> Any:
        sizes = (head[0][0].shape[0], *(bias.shape[0] for _, bias in head))
        return MLP(sizes, "relu", "identity").act(head, (), features)[0]

    def _right(self, head: Any, features: Any) -> Any:
        """Shares f32[C] of right answers to features f32[C, K, F] of all classes in order."""
        answers = self._answers(head, features).argmax(-1)
        return (answers == jnp.arange(len(features))[:, None]).mean(1, dtype=jnp.float32)

    def _loss(self, weights: Weights, told: Told) -> Any:
        """Cross entropy, f32[]."""
        features = told.x
        if weights.body:
            features = self._level(self._gated(self._seen(weights.body, told.x), told.gate))
        answers = self._answers(weights.head, features)
        return optax.softmax_cross_entropy_with_integer_labels(answers, told.y).mean()

    # Meta-training.

    def _iterate(self, now: tuple[Weights, Any], key: Key, images: Any) -> tuple[tuple[Weights, Any], Any]:
        """One meta-iteration."""
        start, adam = now
        choosing, ordering, resetting, remembering = jax.random.split(key, 4)
        config, count = self.config, self.config.classes
        steps, others, remember = config.inner.steps, config.others, config.remember
        if config.learner == "pretrained":
            told = self._some(remembering, images, count * (steps + others) + remember)
            loss, slope = jax.value_and_grad(self._loss)(start, told)
        else:
            which = self._chosen(choosing, len(images))
            # A writing's number says nothing, so that all classes may have the same ones.
            turns = jax.random.permutation(ordering, images.shape[1])[: steps + others]
            own = _scaled(images[which[:, None], turns])
            some = self._some(remembering, images, remember)
            names = which if remember else jnp.arange(count, dtype=jnp.int32)
            parts = (part.reshape(-1, *images.shape[2:]) for part in (own[:, :steps], own[:, steps:]))
            x = jnp.concatenate([*parts, some.x])
            y = jnp.concatenate([jnp.repeat(names, steps), jnp.repeat(names, others), some.y])
            start = start._replace(head=self.forgetting(resetting, start.head, names))
            loss, slope = jax.value_and_grad(self.worth)(start, x, y)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes number types
            stride, after = self._adam.update(slope, adam)
            falls = optax.cosine_decay_schedule(config.rate, config.decay) if config.decay else None
            rate = falls(adam.count) if falls else config.rate
        start = jax.tree.map(lambda w, d: w - rate * d, start, stride)
        return (start, after), loss

    def _chosen(self, key: Key, known: int) -> Any:
        """Classes i32[N] of a sequence, out of so many, no two the same."""
        first = jax.random.randint(key, (), 0, known, jnp.int32)
        further = jax.random.permutation(jax.random.fold_in(key, 1), known - 1)[: self.config.classes - 1]
        return (first + jnp.pad(further.astype(jnp.int32) + 1, (1, 0))) % known

    def _task(self, start: Weights, x: Any, y: Any) -> tuple[Meta, Told, Told]:
        """What adapts, to what, and what it is judged on."""
        gate, adapting = self._gate(start, x), start._replace(gate=())
        if self.config.learner == "oml":
            # What does not adapt is the same at every step.
            x, adapting = self._level(self._seen(start.body, x)), Weights((), (), start.head)
        every, steps = Told(x, gate, y), self._steps
        train = jax.tree.map(lambda leaf: leaf[:steps, None], every)
        valid = jax.tree.map(lambda leaf: leaf[steps:], every) if self.config.others else every
        rates, adapts = (inner_loop.alike(adapting, each) for each in (self.config.inner_rate, 1.0))
        return Meta(adapting, rates, adapts), train, valid

    def _some(self, key: Key, images: Any, count: int) -> Told:
        """Images of any class, `count` of them."""
        classes, each = images.shape[:2]
        drawn = jax.random.randint(key, (count,), 0, classes * each, jnp.int32)
        return Told(_scaled(images[drawn // each, drawn % each]), (), drawn // each)

    @cached_property
    def _learn(self) -> Any:
        return jax.jit(self._learning)

    @cached_property
    def _learn_abreast(self) -> Any:
        return jax.jit(jax.vmap(self._learning, (0, 0, 0, None)))

    def _learning(self, key: Key, start: Weights, adam: Any, images: Any) -> tuple[Weights, Any, Any]:
        """After a step's meta-iterations, with their mean loss."""
        keys = jax.random.split(key, self.config.iterations)
        (start, adam), losses = jax.lax.scan(
            lambda now, key: self._iterate(now, key, images), (start, adam), keys
        )
        return start, adam, losses.mean()

    # The meta-test.

    def exam(self, part: Part, count: int) -> Array:
        """Images u8[C, 20, size, size] of the first `count` characters of a part's alphabets, the last five
        to be asked for. Where the world's characters are too few, alphabets have more."""
        return _exam(self.config.world, part, count)

    @cached_property
    def _sat(self) -> Any:
        def sat(start: Weights, key: Any, images: Any) -> Sat:
            count, each = images.shape[:2]
            features = self._level(self._in_chunks(start, images.reshape(-1, *images.shape[2:]))[1])
            features = features.reshape(count, each, -1)
            *_, last = self._head(jax.random.wrap_key_data(key, impl="threefry2x32"), count)
            return Sat((*start.head[:-1], last), features[:, :LEARN], features[:, LEARN:])

        return jax.jit(sat)

    @cached_property
    def _scale(self) -> Any:
        def scale(start: Weights, images: Any) -> tuple[jax.Array, jax.Array]:
            features = self._level(self._in_chunks(start, images)[1])
            # Units that hardly ever fire are not to count for more than the others.
            return features.mean(0), features.std(0) + 0.1 * features.std()

        return jax.jit(scale)

    @cached_property
    def _online(self) -> Any:
        return jax.jit(self.online)

    @cached_property
    def _along(self) -> Any:
        def along(head: Any, learn: Any, ask: Any, looked: Any, rate: Any) -> Any:
            """After each class that is `looked` at, bool[C], the share of right answers to those so far."""
            train = self._linear if len(head) == 1 else self._deep

            def follow(head: Any, now: Any) -> tuple[Any, Any]:
                k, x, look = now
                head = train(head, x, jnp.full(len(x), k), rate)

                def right() -> Any:
                    learnt = jnp.arange(len(ask)) <= k
                    return self._right(head, ask).mean(where=learnt)

                return head, jax.lax.cond(look, right, lambda: jnp.float32(0))

            every = jnp.arange(len(learn), dtype=jnp.int32), learn, looked
            return jax.lax.scan(follow, head, every)[1]

        return jax.jit(along)

    @cached_property
    def _firing(self) -> Any:
        def firing(start: Weights, images: Any) -> Any:
            both = self._in_chunks(start, images)
            return tuple(features > ACTIVE * features.max(-1, keepdims=True) for features in both)

        return jax.jit(firing)

    def _in_chunks(self, start: Weights, images: Any) -> tuple[Any, Any]:
        """Features of u8[B, size, size] before and after the gate. All at once would take too much memory."""
        count = len(images)
        whole = jnp.pad(images, [(0, -count % CHUNK), (0, 0), (0, 0)])
        chunks = whole.reshape(-1, CHUNK, *images.shape[1:])
        both = jax.lax.map(lambda some: self.features(start, _scaled(some)), chunks)
        before, after = (part.reshape(len(whole), -1)[:count] for part in both)
        return before, after

    def _linear(self, head: Any, x: Any, y: Any, rate: Any) -> Any:
        """One layer after a step on each of `x` f32[B, F] in turn.

        The weights change once in a block: until then what a step adds to later answers is its error times
        the product of the two images. The sums are those of single steps.
        """
        ((matrix, bias),) = head
        size = max(size for size in range(1, BLOCK + 1) if len(y) % size == 0)

        def block(now: Any, examples: Any) -> tuple[Any, None]:
            (matrix, bias), (x, y) = now, examples
            before, alike = x @ matrix + bias, x @ x.T + 1

            def step(errors: Any, k: Any) -> tuple[Any, None]:
                answer = jax.nn.softmax(before[k] - rate * (alike[k] @ errors))
                return errors.at[k].set(answer - jax.nn.one_hot(y[k], len(answer), dtype=jnp.float32)), None

            errors = jax.lax.scan(step, jnp.zeros_like(before), jnp.arange(size))[0]
            return (matrix - rate * (x.T @ errors), bias - rate * errors.sum(0)), None

        blocks = x.reshape(-1, size, x.shape[-1]), y.reshape(-1, size)
        return (jax.lax.scan(block, (matrix, bias), blocks)[0],)

    def _deep(self, head: Any, x: Any, y: Any, rate: Any) -> Any:
        """Several layers after a step on each of `x` f32[B, F] in turn."""
        loop = InnerLoop(self._loss, inner_loop.Config(steps=len(y), stream=True))
        weights = Weights((), (), head)
        meta = Meta(weights, jax.tree.map(lambda _: rate, weights), inner_loop.alike(weights, 1.0))
        key, told = jax.random.key(0), Told(x[:, None], (), y[:, None])
        return loop.learn(meta, key, loop.init(key, weights), told)[0].weights.head


def drawn(key: Key, shape: Any) -> tuple[jax.Array, jax.Array]:
    """Weights f32[..., in, out] of variance 2 / inputs, and biases f32[out] of 0."""
    inputs = int(np.prod(shape[:-1]))
    weights = jax.random.normal(key, tuple(shape), jnp.float32) * np.float32(np.sqrt(2 / inputs))
    return weights, jnp.zeros(shape[-1], jnp.float32)


@lru_cache(maxsize=2)  # thousands of classes take half a minute to draw
def _images(world: glyphs.Config, further: int, writings: int) -> Any:
    return jnp.asarray(glyphs.images(world, _known(world, further), np.arange(writings)))


@lru_cache(maxsize=8)
def _exam(world: glyphs.Config, part: Part, count: int) -> np.ndarray:
    alphabets = getattr(glyphs.split(world), part)
    longer = replace(world, characters=max(world.characters, -(-count // len(alphabets))))
    return glyphs.images(world, glyphs.classes(longer, alphabets)[:count], np.arange(LEARN + ASK))


def _evenly(count: int, most: int) -> np.ndarray:
    """At most so many of the numbers below `count`, the first and the last among them."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def _scaled(images: Any) -> Any:
    """Ink from 0 to 1."""
    return images.astype(jnp.float32) / 255
