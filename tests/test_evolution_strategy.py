"""The evolution strategy against evosax, against closed forms, and at its edges."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aiga.interfaces import Outcome
from aiga.learners.evolution_strategy import (
    Config,
    EvolutionStrategy,
    Experience,
    centred_ranks,
    gradient,
)

KEY = jax.random.key(3)
PLAIN = Config(population=64, sigma_decay=1.0, rate_decay=1.0, l2=0.0)
START = np.linspace(-1, 1, 7, dtype=np.float32)


def bowl(weights: Any) -> Any:
    return -jnp.sum((weights - 0.5) ** 2, axis=-1)


def test_generations_are_evosaxs() -> None:
    """Ten generations of a bowl: the same ranks, gradients and Adam steps from the same noise."""
    import optax
    from evosax.algorithms.distribution_based.open_es import Open_ES

    ours = EvolutionStrategy(PLAIN)
    theirs = Open_ES(
        PLAIN.population,
        jnp.zeros(7),
        optimizer=optax.adam(PLAIN.rate),
        std_schedule=optax.constant_schedule(PLAIN.sigma),
    )
    with jax.numpy_dtype_promotion("standard"):
        params = theirs.default_params
        their_state = theirs.init(KEY, jnp.zeros(7), params).replace(mean=jnp.asarray(START))
        state = ours.init(KEY, START)
        for generation in range(10):
            asked = ours.ask(jax.random.fold_in(KEY, generation), state)
            returns = bowl(asked.weights)
            state, _ = ours.learn(None, KEY, state, Experience(asked.noise, returns))
            # evosax minimises.
            their_state, _ = theirs.tell(KEY, asked.weights, -returns, their_state, params)
            np.testing.assert_allclose(state.weights, their_state.mean, rtol=2e-4, atol=2e-6)


def test_ranks_are_evosaxs_and_ties_share() -> None:
    from evosax.core.fitness_shaping import centered_rank_fitness_shaping_fn

    returns = jnp.array([3.0, 1.0, 3.0, -2.0, 8.0, 3.0, -jnp.inf])
    with jax.numpy_dtype_promotion("standard"):
        theirs = centered_rank_fitness_shaping_fn(None, returns, None, None)
    np.testing.assert_allclose(centred_ranks(returns), theirs, atol=1e-6)
    np.testing.assert_allclose(
        centred_ranks(returns), [1 / 6, -1 / 6, 1 / 6, -1 / 3, 0.5, 1 / 6, -0.5], atol=1e-6
    )


def test_what_is_not_a_number_never_wins() -> None:
    returns = jnp.array([jnp.nan, 1.0, jnp.nan, -jnp.inf, 5.0])
    ranks = np.asarray(centred_ranks(returns))
    assert ranks[4] == 0.5 and ranks[1] == 0.25
    assert ranks[0] == ranks[2] == ranks[3] == -0.25  # the worst, together
    noise = jnp.ones((1, 3))
    assert (np.asarray(gradient(Experience(noise, jnp.array([jnp.nan, -1e9])), 0.1)) < 0).all()
    np.testing.assert_array_equal(gradient(Experience(noise, jnp.array([jnp.nan, jnp.nan])), 0.1), 0)


def test_the_gradient_is_the_formula() -> None:
    """Two pairs by hand: ranks 2, 0 | 1, 3 of 4 become 1/6, -1/2 | -1/6, 1/2."""
    noise = jnp.array([[1.0, 0.0], [0.0, 2.0]])
    returns = jnp.array([7.0, 1.0, 3.0, 9.0])
    expected = np.array([1 / 6 + 1 / 6, 2 * (-1 / 2 - 1 / 2)]) / 2 / 0.5
    np.testing.assert_allclose(gradient(Experience(noise, returns), 0.5), expected, rtol=1e-6)


def test_the_gradient_points_up_a_slope() -> None:
    """In a linear world the expected gradient of ranks is along the slope; the rest is noise."""
    slope = jnp.array([3.0, -4.0, 0.0, 0.0])
    strategy = EvolutionStrategy(Config(population=2048))
    asked = strategy.ask(KEY, strategy.init(KEY, np.zeros(4, np.float32)))
    found = gradient(Experience(asked.noise, asked.weights @ slope), 0.1)
    cosine = found @ slope / jnp.linalg.norm(found) / jnp.linalg.norm(slope)
    assert cosine > 0.995
    # Ranks of a Gaussian are its distribution function, whose covariance with it is 1 / (2 sqrt(pi)).
    assert float(jnp.linalg.norm(found)) == pytest.approx(2 / (2 * np.sqrt(np.pi)) / 0.1, rel=0.06)


def test_it_finds_the_bottom_of_a_bowl() -> None:
    strategy = EvolutionStrategy(Config(population=128, rate=0.05, sigma_decay=0.98, rate_decay=0.98, l2=0))
    state = strategy.init(KEY, START)
    for generation in range(200):
        asked = strategy.ask(jax.random.fold_in(KEY, generation), state)
        state, metrics = strategy.learn(None, KEY, state, Experience(asked.noise, bowl(asked.weights)))
    np.testing.assert_allclose(state.weights, 0.5, atol=0.02)
    assert state.steps == 200
    assert float(metrics["sigma"]) == pytest.approx(max(0.1 * 0.98**199, 0.01))


def test_the_first_step_and_the_decays_are_the_published_ones() -> None:
    """Adam's first step is the rate, along the sign of gradient minus l2 times weights; then both decay."""
    strategy = EvolutionStrategy(Config(population=2, rate=0.01, rate_decay=0.5, sigma_decay=0.5))
    state = strategy.init(KEY, np.array([2.0, -3.0], np.float32))
    flat = Experience(jnp.ones((1, 2)), jnp.zeros(2))  # no slope: only l2 pulls, towards zero
    steps = []
    for _ in range(6):
        after, metrics = strategy.learn(None, KEY, state, flat)
        steps.append((float(state.weights[0] - after.weights[0]), float(metrics["sigma"])))
        state = after
    rates, sigmas = zip(*steps, strict=True)
    np.testing.assert_allclose(rates, [0.01, 0.005, 0.0025, 0.00125, 0.001, 0.001], rtol=0.02)
    np.testing.assert_allclose(sigmas, [0.1, 0.05, 0.025, 0.0125, 0.01, 0.01], rtol=1e-5)
    assert float(state.weights[1]) > -3


@pytest.mark.parametrize(("seeds", "distinct"), [("generation", 1), ("pair", 4), ("episode", 8)])
def test_who_shares_an_episode_is_a_choice(seeds: Any, distinct: int) -> None:
    strategy = EvolutionStrategy(Config(population=8, seeds=seeds))
    asked = strategy.ask(KEY, strategy.init(KEY, START))
    found = np.asarray(asked.seeds)
    assert found.shape == (8,) and len(set(found.tolist())) == distinct
    assert (found < 2**31).all()
    if seeds == "pair":
        assert (found[:4] == found[4:]).all()
    half = np.asarray(asked.weights[:4]) + np.asarray(asked.weights[4:])
    np.testing.assert_allclose(half / 2, np.tile(START, (4, 1)), atol=1e-6)


def test_learners_taught_together_learn_what_they_learn_alone() -> None:
    """Whatever the batch: three learners in one call, in two, and each by itself."""
    calls = []

    def evaluate(weights: Any, courses: Any, which: Any, seeds: Any) -> Outcome:
        calls.append(len(weights))
        goals = np.asarray([courses[c] for c in which], np.float32)
        returns = -((np.asarray(weights) - goals[:, None]) ** 2).sum(axis=1)
        return Outcome(returns, np.ones(len(weights), np.int32), np.ones(len(weights), bool))

    strategy = EvolutionStrategy(Config(population=16))
    states = [strategy.init(KEY, START * scale) for scale in (1, 2, 3)]
    results = [strategy.generation(KEY, states, [0.0, 1.0, 2.0], evaluate, batch) for batch in (48, 32, 1)]
    assert calls == [48, 32, 16, 16, 16, 16]
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one.weights, two.weights)
    asked = strategy.ask(KEY, states[1])
    returns = evaluate(asked.weights, [1.0], np.zeros(16, np.int32), asked.seeds).returns
    alone, _ = strategy.learn(None, KEY, states[1], Experience(asked.noise, returns))
    np.testing.assert_array_equal(alone.weights, results[0][1].weights)
    assert strategy.generation(KEY, [], [], evaluate, 16) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("population", 3),
        ("population", 0),
        ("sigma", 0.0),
        ("sigma", float("nan")),
        ("sigma_decay", 1.5),
        ("rate", -1.0),
        ("l2", float("inf")),
        ("seeds", "none"),
    ],
)
def test_a_wrong_number_is_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{field}: "):
        Config(**{field: value})
