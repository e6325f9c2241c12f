"""What a meta-learner needs of a kind of tasks: a network, tasks to draw, a loss to descend, a score to tell.

`Lessons` is the shape of it; `Sinusoids` are the regression of `worlds/sine`, `Characters` the classification
of `worlds/few_shot`. What tasks are drawn from, `material`, is handed in with every draw, so that images
reach compiled code as data. Axis letters: T examples.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from aiga.brains import MLP, ConvNet
from aiga.brains.conv_net import Halves
from aiga.interfaces import Key
from aiga.worlds import few_shot, sine

PLACES = 41  # of a sinusoid that is looked at as a whole


class Lessons(Protocol):
    """A kind of tasks. `loss` is f32[], a mean over examples."""

    told: str  # what the score is: mse, accuracy
    data: str  # SHA-256 of the images tasks are drawn from; empty for tasks that are made up
    large: bool  # what one task works on fills a processor's cache

    @property
    def train(self) -> Any:
        """The material of tasks to learn on."""

    @property
    def held(self) -> Any:
        """The material of tasks to be judged on."""

    def start(self, key: Key) -> Any:
        """First weights, a sequence of layers."""

    def draw(self, key: Key, material: Any, queries: int) -> tuple[Any, Any]:
        """A task: examples to learn it from, and others to be judged on."""
        ...

    def asked(self, key: Key, valid: Any) -> Any:
        """What to ask to see what was learnt of the task that `key` draws, `valid` to be judged on."""
        ...

    def loss(self, weights: Any, told: Any) -> jax.Array: ...

    def judged(self, weights: Any, valid: Any, asked: Any) -> tuple[jax.Array, jax.Array]:
        """The score f32[] on `valid`, a mean over examples, and what the network says to `asked`, [T]."""
        ...


class Sinusoids:
    """Points of sinusoids for a perceptron with rectifiers; with `oracle` amplitude and phase are inputs."""

    told, data, large = "mse", "", False
    train = held = ()

    def __init__(self, hidden: tuple[int, ...], shots: int, oracle: bool) -> None:
        self.shots, self.oracle = shots, oracle
        self.brain = MLP((3 if oracle else 1, *hidden, 1), "relu", "identity", scale=1.0)

    def start(self, key: Key) -> Any:
        """Weights as He et al. 2015 (arXiv 1502.01852) draw them for rectifiers, biases 0."""
        layers = self.brain.init(key)
        return tuple((w * np.sqrt(2 / w.shape[0]).astype(np.float32), jnp.zeros_like(b)) for w, b in layers)

    def draw(self, key: Key, material: Any, queries: int) -> tuple[sine.Examples, sine.Examples]:
        """One sinusoid."""
        drawing, showing = jax.random.split(key)
        drawn, shots = sine.SineSpace().sample(drawing), self.shots
        told = self._known(drawn, sine.examples(showing, drawn, shots + queries))
        return sine.Examples(told.x[:shots], told.y[:shots]), sine.Examples(told.x[shots:], told.y[shots:])

    def asked(self, key: Key, valid: sine.Examples) -> sine.Examples:
        """The sinusoid at `PLACES` places, evenly from end to end."""
        drawn = sine.SineSpace().sample(jax.random.split(key)[0])
        return self._known(drawn, sine.at(drawn, jnp.linspace(*sine.X, PLACES, dtype=jnp.float32)[:, None]))

    def loss(self, weights: Any, told: sine.Examples) -> jax.Array:
        """Mean squared error."""
        return jnp.mean((self.brain.act(weights, (), told.x)[0] - told.y) ** 2)

    def judged(self, weights: Any, valid: Any, asked: sine.Examples) -> tuple[jax.Array, jax.Array]:
        """The loss, and heights f32[T]."""
        return self.loss(weights, valid), self.brain.act(weights, (), asked.x)[0][:, 0]

    def _known(self, drawn: sine.Sine, told: sine.Examples) -> sine.Examples:
        if not self.oracle:
            return told
        known = jnp.broadcast_to(jnp.stack(drawn), (len(told.x), 2))
        return told._replace(x=jnp.concatenate([told.x, known], axis=1))


class Characters:
    """Images of `ways` classes for a convolutional network; `shots` and queries are numbers of each class.

    ValueError, naming the field, for a source that cannot be read and numbers that it does not have.
    """

    told, large = "accuracy", True

    def __init__(
        self, source: str, part: str, ways: int, shots: int, turns: bool, filters: int, halves: Halves
    ) -> None:
        self.ways, self.shots = ways, shots
        seen, held = few_shot.images(source, "train"), few_shot.images(source, part)
        self.data = few_shot.digest(seen, held)
        self._train, self._held = few_shot.turned(seen) if turns else seen, held
        high, wide, colours = seen.shape[2:]
        self.brain = ConvNet((high, wide, colours), ways, filters, halves)

    @cached_property
    def train(self) -> jax.Array:
        """u8[C, I, H, W, F]."""
        return jnp.asarray(self._train)

    @cached_property
    def held(self) -> jax.Array:
        """u8[C, I, H, W, F]."""
        return jnp.asarray(self._held)

    def check(self, queries: int, held_queries: int) -> None:
        """ValueError, naming the field, where the images are too few for a task."""
        few_shot.check_enough(self._train, self.ways, self.shots, queries)
        few_shot.check_enough(self._held, self.ways, self.shots, held_queries, "test_queries")

    def start(self, key: Key) -> Any:
        """As `ConvNet.init` draws them."""
        return self.brain.init(key)

    def draw(self, key: Key, material: Any, queries: int) -> tuple[few_shot.Examples, few_shot.Examples]:
        """Some classes of u8[C, I, H, W, F]."""
        return few_shot.draw(key, material, self.ways, self.shots, queries)

    def asked(self, key: Key, valid: few_shot.Examples) -> few_shot.Examples:
        """The images to be judged on, as they are told together."""
        return valid

    def loss(self, weights: Any, told: few_shot.Examples) -> jax.Array:
        """Cross entropy in nats."""
        said = jax.nn.log_softmax(self.brain.act(weights, (), told.x)[0])
        return -jnp.mean(jnp.take_along_axis(said, told.y[:, None], axis=1))

    def judged(self, weights: Any, valid: few_shot.Examples, asked: Any) -> tuple[jax.Array, jax.Array]:
        """The share told right, and the classes i32[T] told."""
        said = self.brain.act(weights, (), valid.x)[0].argmax(1)
        return jnp.mean((said == valid.y).astype(jnp.float32)), said
