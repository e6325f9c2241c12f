"""How hard glyphs are: what learners without experience of them score, first of all frozen random features.

The control: 400 characters of the test alphabets come one after the other, fifteen writings of each, and a
softmax layer learns from one image at a time, once, on the features of a random network that never changes.
It is then asked for five other writings of each. Network and protocol are those of Beaulieu et al. 2020
(ANML, arXiv 2002.09571): three convolutions of 256 filters, 2,304 features. A learner that was taught how to
learn is worth what it scores beyond this. Of learning rates, and of features whose channels are normalised in
each image or which are in the units of other alphabets, the best counts, chosen on the very images that are
asked for: so the control is as strong as it can be.

Beside it: the same layer on the same images shuffled, once and to the end, the nearest neighbour in pixels,
and a convolutional network that learns all its weights. Chance is 1 in 400.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aiga.interfaces import Array
from aiga.worlds import glyphs

CLASSES, LEARN, ASK = 400, 15, 5
FILTERS = 256
RATES = (1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3)
BLOCK = 60  # steps
EPOCHS = 30  # of what is trained to the end
EPISODES = 1000
MOST = 0.25  # what the control may score
UNIT = "share of right answers"
CONTROL = "control: frozen random features, in sequence"


def task(config: glyphs.Config, count: int = CLASSES) -> tuple[Array, Array]:
    """Images to learn from u8[C, 15, size, size] and to be asked for u8[C, 5, ...], of the first `count`
    characters of the test alphabets."""
    classes = glyphs.classes(config, glyphs.split(config).test)[:count]
    seen = glyphs.images(config, classes, np.arange(LEARN + ASK))
    return seen[:, :LEARN], seen[:, LEARN:]


def network(seed: int, filters: int = FILTERS) -> list[Any]:
    """Three layers of 3 x 3 filters f32[3, 3, in, out], their entries of variance 2 / inputs."""
    rng = np.random.default_rng(seed)
    sizes = (1, filters), (filters, filters), (filters, filters)
    return [(rng.normal(size=(3, 3, i, o)) * (2 / (9 * i)) ** 0.5).astype(np.float32) for i, o in sizes]


def features(layers: list[Any], x: Any, normalised: bool) -> Any:
    """f32[B, 9 * filters] of images f32[B, 28, 28]: convolution and rectifier three times, between
    them the greatest of 2 x 2. Where `normalised`, each channel of an image has mean 0 and variance 1 before
    the rectifier."""
    import jax
    import jax.numpy as jnp

    x = x[..., None]
    for k, weights in enumerate(layers):
        x = jax.lax.conv_general_dilated(
            x, weights, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        if normalised:
            mean, variance = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
            x = (x - mean) * jax.lax.rsqrt(variance + 1e-5)
        x = jnp.maximum(x, 0.0)
        if k < 2:
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return x.reshape(len(x), -1)


def extracted(x: Array, normalised: bool, seed: int = 0, filters: int = FILTERS) -> Array:
    """Frozen random features f32[C, K, F] of images u8[C, K, size, size]."""
    import jax

    layers, flat = network(seed, filters), x.reshape(-1, *x.shape[2:])
    some = jax.jit(partial(features, layers, normalised=normalised))
    parts = [
        np.asarray(some(flat[at : at + 100].astype(np.float32) / 255)) for at in range(0, len(flat), 100)
    ]
    return np.concatenate(parts).reshape(*x.shape[:2], -1)


def online(learn: Array, ask: Array, order: Array, rates: tuple[float, ...] = RATES) -> list[float]:
    """What a softmax layer scores on features `ask` [C, K, F], for each rate, after one step of gradient
    descent for each image of `learn` [C, J, F] in `order` i[C * J], of which there are blocks of 60."""
    import jax
    import jax.numpy as jnp

    count, each, width = learn.shape

    @jax.jit
    def train(rate: Any, x: Any, y: Any) -> Any:
        # The weights change once in a block: until then what a step adds to later answers is its error times
        # the product of the two images. It is the same sum, without a pass through all weights at every step.
        def block(weights: Any, examples: Any) -> tuple[Any, None]:
            x, y = examples
            before, alike = x @ weights.T, x @ x.T

            def step(errors: Any, k: Any) -> tuple[Any, None]:
                answer = jax.nn.softmax(before[k] - rate * (alike[k] @ errors))
                return errors.at[k].set(answer - jax.nn.one_hot(y[k], count, dtype=jnp.float32)), None

            errors = jax.lax.scan(step, jnp.zeros((len(y), count)), jnp.arange(len(y)))[0]
            return weights - rate * (errors.T @ x), None

        return jax.lax.scan(block, jnp.zeros((count, width)), (x, y))[0]

    x = learn.reshape(-1, width)[order].reshape(-1, BLOCK, width)
    y = np.repeat(np.arange(count), each)[order].reshape(-1, BLOCK)
    return [_right(np.asarray(train(np.float32(rate), x, y)), ask) for rate in rates]


def to_the_end(learn: Array, ask: Array, seed: int = 0) -> float:
    """What a softmax layer scores after `EPOCHS` shuffled passes of Adam in batches of 64."""
    import jax.numpy as jnp

    count, each, width = learn.shape
    begin = jnp.zeros((width, count))
    weights = _trained(
        lambda w, x: x @ w, begin, learn.reshape(-1, width), np.repeat(np.arange(count), each), seed
    )
    return _right(np.asarray(weights).T, ask)


def convolutional(learn: Array, ask: Array, filters: int = 64, seed: int = 0) -> float:
    """What the network scores that learns all its weights on the images, with normalised channels."""
    import jax
    import jax.numpy as jnp

    count, each = learn.shape[:2]
    begin = {"layers": network(seed, filters), "out": jnp.zeros((9 * filters, count))}

    def logits(w: Any, x: Any) -> Any:
        return features(w["layers"], x.astype(jnp.float32) / 255, True) @ w["out"]

    x, y = learn.reshape(-1, *learn.shape[2:]), np.repeat(np.arange(count), each)
    weights = _trained(logits, begin, x, y, seed)
    answer = jax.jit(lambda x: logits(weights, x).argmax(-1))
    return float(np.mean([np.asarray(answer(each)) == c for c, each in enumerate(ask)]))


def _trained(logits: Any, weights: Any, x: Array, y: Array, seed: int, rate: float = 1e-3) -> Any:
    import jax
    import optax

    steps = len(x) // 64 * EPOCHS
    optimiser = optax.adam(optax.cosine_decay_schedule(rate, steps))
    state = optimiser.init(weights)

    @jax.jit
    def step(weights: Any, state: Any, x: Any, y: Any) -> tuple[Any, Any]:
        def loss(w: Any) -> Any:
            return optax.softmax_cross_entropy_with_integer_labels(logits(w, x), y).mean()

        change, state = optimiser.update(jax.grad(loss)(weights), state)
        return optax.apply_updates(weights, change), state

    rng = np.random.default_rng(seed)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes number types
        for _ in range(EPOCHS):
            order = rng.permutation(len(x))
            for at in range(0, len(x) - 63, 64):
                some = order[at : at + 64]
                weights, state = step(weights, state, x[some], y[some])
    return weights


def _right(weights: Array, ask: Array) -> float:
    return float(np.mean((ask @ weights.T).argmax(-1) == np.arange(len(ask))[:, None]))


def neighbour(learn: Array, ask: Array) -> float:
    """What the nearest neighbour by the cosine of pixels scores."""
    known, asked = _lengths_one(learn), _lengths_one(ask)
    nearest = (asked @ known.T).argmax(-1) // learn.shape[1]
    return float(np.mean(nearest == np.repeat(np.arange(len(ask)), ask.shape[1])))


def few_shot(images: Array, ways: int, shots: int, seed: int = 0) -> float:
    """What the nearest neighbour by the cosine of pixels scores in `EPISODES` tasks: `ways` of the characters
    of `images` u8[C, K, ...], `shots` writings of each to know and one to ask for."""
    rng, (count, each) = np.random.default_rng(seed), images.shape[:2]
    pixels = _lengths_one(images).reshape(count, each, -1)
    right = 0.0
    for _ in range(EPISODES):
        which = rng.choice(count, ways, replace=False)
        rows = np.stack([rng.choice(each, shots + 1, replace=False) for _ in which])
        seen = pixels[which[:, None], rows]
        near = seen[:, -1] @ seen[:, :-1].reshape(ways * shots, -1).T
        right += float(np.mean(near.argmax(-1) // shots == np.arange(ways)))
    return right / EPISODES


def _lengths_one(x: Array) -> Array:
    flat = x.reshape(x.shape[0] * x.shape[1], -1).astype(np.float32)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1.0)


def frozen(config: glyphs.Config, count: int = CLASSES, filters: int = FILTERS) -> dict[str, float]:
    """What frozen random features score: in sequence, which is the control, shuffled, and to the end."""
    learn, ask = task(config, count)
    elsewhere = glyphs.images(config, glyphs.classes(config, glyphs.split(config).train)[::8], np.arange(2))
    order = np.arange(learn.shape[0] * learn.shape[1])
    shuffled = np.random.default_rng(0).permutation(order)
    scores = []
    for normalised in (False, True):
        known, asked, others = (extracted(x, normalised, filters=filters) for x in (learn, ask, elsewhere))
        if normalised:
            middle, unit = np.float32(0), np.sqrt((others * others).mean())
        else:
            middle, unit = others.mean((0, 1)), others.std((0, 1)) + 0.1 * others.std()
        known, asked = (known - middle) / unit, (asked - middle) / unit
        in_turn, mixed = (max(online(known, asked, each)) for each in (order, shuffled))
        scores.append((in_turn, mixed, to_the_end(known, asked)))
    return dict(zip((CONTROL, "the same, shuffled", "the same, to the end"), map(max, *scores), strict=True))


def measured(config: glyphs.Config, count: int = CLASSES, filters: int = FILTERS) -> dict[str, float]:
    """Each learner's share of right answers."""
    learn, ask = task(config, count)
    found = frozen(config, count, filters)
    found["convolutional network, to the end"] = convolutional(learn, ask, filters // 4)
    found["nearest neighbour in pixels"] = neighbour(learn, ask)
    every = np.concatenate([learn, ask], axis=1)
    for ways, shots in ((5, 1), (5, 5), (20, 1), (20, 5)):
        name = f"nearest neighbour in pixels, {ways} ways, {shots} shot{'s' * (shots > 1)}"
        found[name] = few_shot(every, ways, shots)
    return found


def sheet(out: Path, config: glyphs.Config | None = None) -> None:
    """A picture for the eye: left ten writings of sixteen characters of an alphabet, siblings by fours;
    right one of sixteen characters of each of ten others."""
    from PIL import Image

    config = config or glyphs.Config()
    alphabets = glyphs.split(config).test[:11]
    left = glyphs.images(config, glyphs.classes(config, alphabets[:1])[:16], np.arange(10))
    right = [glyphs.images(config, glyphs.classes(config, a[None])[:16], np.arange(1)) for a in alphabets[1:]]
    rows = np.concatenate([left, np.full_like(left[:, :1], 0), *right], axis=1)
    frame = np.pad(255 - rows, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=190)
    image = Image.fromarray(np.concatenate(np.concatenate(frame, axis=1), axis=1))
    image.resize((image.width * 2, image.height * 2), Image.Resampling.BILINEAR).save(out, optimize=True)


def bench() -> tuple[dict[str, Any], str]:
    """Each learner's score, as data and as text. It takes more than four minutes on two cores."""
    cases = [
        {"case": name, "unit": UNIT, "ours": value, "rivals": {}}
        for name, value in measured(glyphs.Config()).items()
    ]
    data = {"benchmark": "glyphs", "missing": [], "cases": cases}
    return data, "\n".join(lines(data))


def lines(data: dict[str, Any]) -> Iterator[str]:
    """The table."""
    yield f"glyphs, {CLASSES} characters, {LEARN} writings to learn from and {ASK} to be asked for"
    for row in data["cases"]:
        yield f"{row['case']}: {100 * row['ours']:.1f} %"
