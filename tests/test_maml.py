"""The inner loop's gradients against closed forms, hand derivatives and each other; MAML on sinusoids."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aiga.learners import inner_loop
from aiga.learners.inner_loop import Config, Gradient, InnerLoop, Meta
from aiga.systems.learning import maml
from aiga.worlds import sine

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X, OTHER_X = RNG.normal(size=(2, 8, 3)).astype(np.float32)
Y, OTHER_Y = RNG.normal(size=(2, 8)).astype(np.float32)
TRAIN, VALID = (X, Y), (OTHER_X, OTHER_Y)
START = RNG.normal(size=3).astype(np.float32)
# Of the quadratic 1/2 |x w - y|^2 / T: Hessian and linear part, of what is learnt from and judged on.
H, G = X.T @ X / 8, X.T @ Y / 8
H2, G2 = OTHER_X.T @ OTHER_X / 8, OTHER_X.T @ OTHER_Y / 8


def quadratic(weights: Any, told: Any) -> Any:
    (layer,) = weights
    x, y = told
    return 0.5 * jnp.mean((x @ layer - y) ** 2)


def curved(weights: Any, told: Any) -> Any:
    """Two layers with a tanh, so that derivatives of every order differ from 0."""
    inner, outer = weights
    x, y = told
    return jnp.mean((jnp.tanh(x @ inner) @ outer - y) ** 2)


def meta(weights: Any, rate: float = 0.3) -> Meta:
    return Meta(weights, inner_loop.each(weights, rate), inner_loop.alike(weights, 1.0))


def slope(loss: Any, config: Config, about: Meta, importance: Any = None) -> Meta:
    return jax.jit(InnerLoop(loss, config).gradient)(about, KEY, TRAIN, VALID, importance)[0]


def close(one: Any, other: Any, rtol: float = 1e-4, atol: float = 1e-6) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol, atol), one, other)


LAYERS = (
    RNG.normal(size=(3, 4)).astype(np.float32) / 2,
    RNG.normal(size=4).astype(np.float32) / 2,
)


@pytest.mark.parametrize("steps", [1, 3])
def test_on_a_quadratic_the_gradients_are_the_closed_forms(steps: int) -> None:
    """w[K] = A^K w[0] + ..., A = I - rate H: second order is (A^K)^T grad, first order grad, at w[K]."""
    end = START
    for _ in range(steps):
        end = end - 0.3 * (H @ end - G)
    wanted = H2 @ end - G2
    shrink = np.linalg.matrix_power(np.eye(3) - 0.3 * H, steps)
    about = meta((START,))
    close(slope(quadratic, Config("second", steps=steps), about).start, (shrink.T @ wanted,))
    close(slope(quadratic, Config("first", steps=steps), about).start, (wanted,))
    close(slope(quadratic, Config("reptile", steps=steps), about).start, (START - end,))
    short = np.linalg.matrix_power(np.eye(3) - 0.3 * H, 1)
    close(slope(quadratic, Config("truncated", steps=steps, last=1), about).start, (short.T @ wanted,))


def test_the_slope_of_a_rate_is_minus_gradient_times_gradient() -> None:
    """One step of Meta-SGD: d L_valid / d rate[i] = -grad L_valid[i] grad L_train[i]."""
    train = H @ START - G
    wanted = -(H2 @ (START - 0.3 * train) - G2) * train
    for kind in ("second", "first"):
        close(slope(quadratic, Config(kind), meta((START,))).rates, (wanted,))


def test_second_order_is_what_finite_differences_say() -> None:
    """With every step's loss counted, of start and rates along a random direction; float64."""
    config, weigh = Config("second", steps=3), np.array([0.2, 0.3, 0.5])
    with jax.enable_x64(True):
        about = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), meta(LAYERS))
        train, valid = (tuple(np.float64(part) for part in told) for told in (TRAIN, VALID))
        loop = InnerLoop(curved, config)

        def worth(size: float) -> float:
            start, rates = (
                jax.tree.map(lambda a, d: a + size * d, *both)
                for both in ((about.start, way.start), (about.rates, way.rates))
            )
            moved = Meta(start, rates, about.adapts)
            return float(weigh @ loop.curve(moved, train, valid, 3)[1:])

        way = jax.tree.map(lambda leaf: RNG.normal(size=leaf.shape), about)
        found, _ = loop.gradient(about, KEY, train, valid, weigh)
        leaves = zip(jax.tree.leaves((found.start, found.rates)), jax.tree.leaves((way.start, way.rates)),
                     strict=True)  # fmt: skip
        along = sum(float((a * b).sum()) for a, b in leaves)
        assert along == pytest.approx((worth(1e-5) - worth(-1e-5)) / 2e-5, rel=1e-6)


def test_truncated_at_all_steps_is_second_and_at_none_first() -> None:
    about = meta(LAYERS)
    cases: tuple[tuple[int, Gradient], ...] = ((3, "second"), (0, "first"))
    for last, kind in cases:
        close(
            slope(curved, Config("truncated", steps=3, last=last), about),
            slope(curved, Config(kind, steps=3), about),
        )
    kinds: tuple[Gradient, ...] = ("second", "first")
    second, first = (slope(curved, Config(kind, steps=3), about).start[0] for kind in kinds)
    assert np.abs(second - first).max() > 1e-3


def test_a_checkpointed_loop_has_the_same_gradient() -> None:
    plain, saved = (
        slope(curved, Config(steps=3, checkpoint=checkpoint), meta(LAYERS)) for checkpoint in (False, True)
    )
    close(plain, saved, rtol=1e-5)


def test_the_implicit_gradient_is_that_of_ridge_regression() -> None:
    """w* = (H + pull I)^-1 (G + pull w[0]), so d L_valid / d w[0] = pull (H + pull I)^-1 grad L_valid(w*)."""
    system = H + 0.5 * np.eye(3)
    optimum = np.linalg.solve(system, G + 0.5 * START)
    wanted = 0.5 * np.linalg.solve(system, H2 @ optimum - G2)
    found = slope(quadratic, Config("implicit", steps=100, pull=0.5), meta((START,)))
    close(found.start, (wanted,), rtol=1e-3, atol=1e-5)


def test_the_implicit_gradient_knows_what_does_not_adapt() -> None:
    """Where the head alone adapts, long descent on the pulled loss and its own derivative say the same."""
    about = replace(meta(LAYERS, 0.2), adapts=inner_loop.head(LAYERS))
    config = Config("implicit", steps=150, pull=0.5)
    loop = InnerLoop(curved, config)
    through = jax.jit(jax.grad(lambda start: loop.curve(replace(about, start=start), TRAIN, VALID, 150)[-1]))
    close(slope(curved, config, about).start, through(about.start), rtol=1e-2, atol=1e-4)


def test_the_gradient_of_an_evolution_strategy_is_second_orders() -> None:
    """On a quadratic antithetic pairs have no bias: within five standard errors of the mean, per weight."""
    about, config = meta((START,)), Config("es", steps=2, pairs=4000, sigma=0.5)
    exact = np.asarray(slope(quadratic, Config(steps=2), about).start[0])
    found = np.asarray(slope(quadratic, config, about).start[0])
    # Of one pair g[j] e[j] e[i], summed over j: variance |g|^2 + g[i]^2.
    error = np.sqrt((exact @ exact + exact**2) / config.pairs)
    assert (np.abs(found - exact) < 5 * error).all()


def test_anil_moves_the_head_alone() -> None:
    about = replace(meta(LAYERS), adapts=inner_loop.head(LAYERS))
    loop = InnerLoop(curved, Config(steps=3))
    body, last = loop.learn(about, KEY, loop.init(KEY, LAYERS), TRAIN)[0].weights
    np.testing.assert_array_equal(body, LAYERS[0])
    assert np.abs(last - LAYERS[1]).max() > 1e-3
    # Its body learns all the same, between tasks.
    assert np.abs(slope(curved, Config(steps=3), about).start[0]).max() > 1e-3


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Config("third"), "gradient"),  # type: ignore[arg-type]
        (lambda: Config(steps=-1), "steps"),
        (lambda: Config("reptile", steps=0), "steps"),
        (lambda: Config("implicit", steps=0), "steps"),
        (lambda: maml.Config(inner=Config(stream=True)), "inner.stream"),
        (lambda: maml.Config(inner_rate=0), "inner_rate"),
        (lambda: maml.Config(shards=2), "shards"),
        (lambda: maml.Config(learn_rates=True, inner=Config("es")), "learn_rates"),
        (lambda: maml.Config(losses="every", inner=Config("reptile")), "losses"),
        (lambda: slope(quadratic, Config("implicit"), meta((START,)), np.ones(1, np.float32)), "importance"),
    ],
)
def test_what_does_not_fit_is_named(make: Any, field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        make()


def test_sinusoids_are_the_papers() -> None:
    keys = jax.random.split(KEY, 2000)
    drawn = jax.vmap(sine.SineSpace().sample)(keys)
    for values, (low, high) in ((drawn.amplitude, sine.AMPLITUDE), (drawn.phase, sine.PHASE)):
        assert low <= values.min() < values.max() <= high
        # Five standard errors of a uniform mean.
        assert abs(values.mean() - (low + high) / 2) < 5 * (high - low) / np.sqrt(12 * 2000)
    told = sine.examples(KEY, sine.Sine(2.0, 0.5), 1000)
    assert -5 <= told.x.min() < -4.9 < 4.9 < told.x.max() <= 5
    close(told.y, 2 * np.sin(told.x - 0.5), atol=1e-5)


SMALL = maml.Config(hidden=(20,), iterations=300, test_tasks=50, test_queries=400, rate=0.01)


def test_maml_learns_to_learn_and_meta_sgd_learns_its_rates() -> None:
    system = maml.MAML(replace(SMALL, learn_rates=True, losses="every", inner=Config(steps=2)))
    state = system.init(KEY)
    before = system.judge(state.meta, KEY)[:, 1].mean()
    after, (event, shown) = system.step(KEY, state)
    told_of_the_first_tasks(system, after, shown.data, 2)
    assert event.data["mse_1"] < 0.6 * before and event.data["mse_1"] < 0.8 * event.data["mse_0"]
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), after.meta.rates, state.meta.rates)
    assert min(jax.tree.leaves(moved)) > 1e-3


def test_tasks_over_shards_teach_what_they_do_together() -> None:
    small = replace(SMALL, tasks=6, iterations=3, test_tasks=2, learn_rates=True)
    begun = maml.MAML(small).init(KEY)
    one, two = (maml.MAML(replace(small, shards=shards)).step(KEY, begun)[0] for shards in (1, 2))
    close(one.meta, two.meta)
    assert not np.allclose(one.meta.start[0][0], begun.meta.start[0][0], atol=1e-3)


def told_of_the_first_tasks(system: maml.MAML, state: maml.State, shown: dict[str, Any], count: int) -> None:
    """What is drawn are the tasks that the test is on, and the network that it judges; after the first
    `count` of the steps that are drawn, as others may diverge."""
    curves = system.judge(state.meta, jax.random.wrap_key_data(jnp.asarray(state.test)))
    np.testing.assert_allclose(shown["middle"][:count], np.median(curves, 0)[:count], rtol=0.1)
    assert (shown["low"] <= shown["middle"]).all() and (shown["middle"] <= shown["high"]).all()
    steps = list(shown["steps"])[:count]
    x = np.linspace(*shown["span"], len(shown["sines"][0]["true"]))
    for told, curve in zip(shown["sines"], curves, strict=False):
        points = told["points"]
        np.testing.assert_allclose(points[:, 1], np.interp(points[:, 0], x, told["true"]), atol=0.05)
        off = ((told["said"] - told["true"]) ** 2).mean(1)[:count]
        # Places from end to end against random ones.
        np.testing.assert_allclose(off, curve[steps], rtol=0.5, atol=0.02)


def test_the_oracle_knows_what_the_pretrained_cannot() -> None:
    scores = {}
    for name, config in maml.baselines(replace(SMALL, iterations=1000)).items():
        system = maml.MAML(config)
        state, (event, shown) = system.step(KEY, system.init(KEY))
        scores[name] = event.data["mse_0"]
        told_of_the_first_tasks(system, state, shown.data, 1)
    assert scores["oracle"] < 0.5 * scores["pretrained"]
