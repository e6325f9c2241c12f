"""The worlds of RL^2 do what their papers say, and the ceilings are the ceilings."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from itertools import product
from math import factorial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aiga.play import exact, strategies
from aiga.play.posterior_sampling import PSRL, plan
from aiga.play.strategies import Counting, Filter, RescorlaWagner, played
from aiga.worlds.bandits import Bernoulli, Informative, Restless
from aiga.worlds.harlow import Harlow
from aiga.worlds.tabular import MDP, Tabular
from aiga.worlds.two_step import TwoStep

KEY = jax.random.key(7)


def drawn(world: Any, count: int) -> Any:
    return jax.vmap(world.sample)(jax.random.split(KEY, count))


def rewards(world: Any, course: Any, actions: Any) -> np.ndarray:
    """One episode of `actions`."""
    state, _ = world.reset(KEY, course)

    def step(state: Any, given: Any) -> Any:
        state, view = world.step(given[0], state, given[1], course)
        return state, view

    actions = jnp.asarray(actions, jnp.int32)
    return jax.lax.scan(step, state, (jax.random.split(KEY, len(actions)), actions))[1]


def near(share: float, chance: float, count: int) -> bool:
    """Within 4 standard errors: wrong once in 16,000."""
    return abs(share - chance) < 4 * (chance * (1 - chance) / count) ** 0.5


def test_arms_pay_as_often_as_they_should() -> None:
    for arm, chance in enumerate((0.1, 0.5, 0.9)):
        paid = rewards(Bernoulli(3, 4000), jnp.array([0.1, 0.5, 0.9]), [arm] * 4000)
        assert near(float(paid.reward.mean()), chance, 4000)
        assert paid.terminated.tolist() == [False] * 3999 + [True]


@pytest.mark.parametrize(("draw", "better"), {"easy": 0.9, "medium": 0.75, "hard": 0.6}.items())
def test_dependent_arms_sum_to_one(draw: str, better: float) -> None:
    chances = np.asarray(drawn(Bernoulli(draw=draw), 2000))
    assert np.allclose(chances.sum(1), 1) and np.allclose(chances.max(1), better)
    assert near((chances[:, 0] > 0.5).mean(), 0.5, 2000)
    uniform = np.asarray(drawn(Bernoulli(draw="uniform"), 2000))
    assert np.allclose(uniform.sum(1), 1) and near((uniform[:, 0] < 0.3).mean(), 0.3, 2000)


def test_the_last_arm_names_the_target() -> None:
    for target in range(10):
        paid = rewards(Informative(3), jnp.int32(target), [10, target, (target + 3) % 10]).reward
        assert np.allclose(paid, [(target + 1) / 10, 5, 1])


def test_restless_arms_swap() -> None:
    world = Restless(4000, 1.0, (0.1,))
    paid = np.asarray(rewards(world, world.sample(KEY), [0] * 4000).reward)
    assert near((paid[1:] != paid[:-1]).mean(), 0.1, 3999)


def test_two_steps_lead_where_they_say_and_places_swap() -> None:
    world = TwoStep(4000, high=1.0, reversal=0.1)
    views = rewards(world, jnp.int32(0), [0] * 8000)
    places = np.asarray(views.observation).argmax(1)
    assert near((places[::2] == 1).mean(), 0.8, 4000) and (places[1::2] == 0).all()
    paid = np.asarray(views.reward)
    assert not paid[::2].any()
    good = np.where(places[::2] == 1, paid[1::2], 1 - paid[1::2])
    assert near((good[1:] != good[:-1]).mean(), 0.1, 3999)
    assert np.asarray(views.terminated).nonzero()[0].tolist() == [7999]


def test_the_right_object_pays_on_either_side() -> None:
    world, course = Harlow(3, 200), jnp.array([[1.0, 2, 3], [4, 5, 6]])
    state, view = world.reset(KEY, course)
    sides = []
    for time in range(40):
        side = 0 if view.observation[0] == 1 else 1
        sides.append(side)
        state, view = world.step(jax.random.fold_in(KEY, time), state, jnp.int32(side), course)
        assert view.reward == 1
    assert 8 < sum(sides) < 32


def test_mdps_are_as_drawn() -> None:
    mdp = drawn(Tabular(), 200)
    assert np.allclose(mdp.transitions.sum(-1), 1, atol=1e-5)
    # Of a flat Dirichlet of ten, the square's mean is 2 / 110.
    assert abs(float((mdp.transitions**2).mean()) - 2 / 110) < 0.001
    assert abs(float(mdp.means.mean()) - 1) < 0.04 and abs(float(mdp.means.var()) - 1) < 0.06


@pytest.mark.parametrize(
    ("message", "make"),
    [
        ("arms: at least 1", lambda: Bernoulli(0)),
        ("pulls: at least 1", lambda: Informative(0)),
        ("draw: one of", lambda: Bernoulli(draw="nice")),
        ("arms: 2 where", lambda: Bernoulli(3, draw="easy")),
        ("chance: from 0.5", lambda: Restless(chance=0.2)),
        ("hazards: one or more", lambda: Restless(hazards=())),
        ("reversal: a chance", lambda: TwoStep(reversal=2)),
        ("trials: at least 1", lambda: TwoStep(0)),
        ("features: at least 1", lambda: Harlow(0)),
        ("horizon: at least 1", lambda: Tabular(horizon=0)),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(message: str, make: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def enumerated(pulls: int, share: Callable[..., Any]) -> Fraction:
    """The value of two arms over all histories, in fractions; `share(counts, values, time)` of the first."""

    def value(counts: tuple[int, ...], time: int) -> Fraction:
        if time == pulls:
            return Fraction(0)
        values = []
        for arm in range(2):
            wins, losses = counts[2 * arm : 2 * arm + 2]
            chance, worth = Fraction(wins + 1, wins + losses + 2), Fraction(0)
            for place, likely, paid in ((2 * arm, chance, 1), (2 * arm + 1, 1 - chance, 0)):
                after = tuple(count + (place == i) for i, count in enumerate(counts))
                worth += likely * (paid + value(after, time + 1))
            values.append(worth)
        one = share(counts, values, time)
        return one * values[0] + (1 - one) * values[1]

    return value((0, 0, 0, 0), 0)


def test_the_optimal_value_is_that_of_all_histories() -> None:
    def best(counts: Any, values: Any, time: int) -> Fraction:
        return Fraction(values[0] >= values[1])

    for pulls in range(6):
        assert exact.two_arms(pulls) == pytest.approx(float(enumerated(pulls, best)), abs=1e-12)


def test_regrets_of_two_arms_and_a_hundred_pulls() -> None:
    assert 200 / 3 - exact.two_arms(100) == pytest.approx(1.748, abs=0.0005)
    greedy = 200 / 3 - exact.two_arms(100, partial(strategies.greedy, None))
    ucb1 = 200 / 3 - exact.two_arms(100, partial(strategies.ucb1(), None))
    assert (greedy, ucb1) == pytest.approx((2.68, 5.60), abs=0.1)


def test_thompson_is_as_good_as_in_fractions() -> None:
    def beta(x: int, y: int) -> Fraction:
        return Fraction(factorial(x - 1) * factorial(y - 1), factorial(x + y - 1))

    def likelier(counts: Any, values: Any, time: int) -> Fraction:
        # The chance that a beta variable is above another, for whole parameters (Cook 2005).
        c, d, a, b = (count + 1 for count in counts)
        above = (beta(a + i, b + d) / ((d + i) * beta(1 + i, d) * beta(a, b)) for i in range(c))
        return sum(above, Fraction(0))

    world = Bernoulli(2, 6)
    total = np.asarray(played(world, Counting(2, strategies.thompson), KEY, drawn(world, 20000), 6))
    error = total.std() / len(total) ** 0.5
    assert abs(total.mean() - float(enumerated(6, likelier))) < 3 * error


def test_indices_are_those_of_the_tables() -> None:
    # As printed in Christian, Griffiths 2016, "Algorithms to Live By", for a discount of 0.9.
    found = exact.gittins([0, 1, 2, 9], [0, 1, 2, 1], 150, 0.9)
    assert found == pytest.approx([0.7029, 0.6346, 0.6010, 0.8695], abs=6e-5)
    table = exact.gittins_table(20)
    for left, wins, losses in ((20, 0, 0), (5, 3, 2), (1, 4, 9)):
        assert table[left, wins, losses] == pytest.approx(exact.gittins([wins], [losses], left)[0], abs=1e-4)


def test_ceilings_that_are_known_in_full() -> None:
    # Ask the last arm once, then the target: 0.55 and four times 5.
    assert exact.informative(5) == Fraction(411, 20)
    # One pull of arms that sum to 1 is a guess; the second repeats what paid: (p^2 + q^2) and so on.
    assert exact.dependent(2, 0.9) == pytest.approx(0.5 + 0.9**2 + 0.1**2)
    assert exact.dependent(2) == pytest.approx(0.5 + 2 / 3)


def test_the_filter_is_as_good_as_it_can_be_and_better_than_a_fixed_rate() -> None:
    world = Restless(60)
    courses = drawn(world, 4000)
    best = np.asarray(played(world, Filter(0.8, world.hazards), KEY, courses, 60))
    for rate in (0.1, 0.3, 0.6):
        fixed = np.asarray(played(world, RescorlaWagner(rate), KEY, courses, 60))
        gain = best - fixed
        assert gain.mean() > -3 * gain.std() / len(gain) ** 0.5
    # Arms that never swap are dependent arms, whose value is exact.
    still = Restless(60, 0.75, (0.0,))
    total = np.asarray(played(still, Filter(0.75, (0.0,)), KEY, drawn(still, 4000), 60))
    assert abs(total.mean() - exact.dependent(60, 0.75)) < 3 * total.std() / len(total) ** 0.5


def test_a_plan_is_the_best_of_all_plans() -> None:
    mdp = Tabular(2, 2, 2).sample(KEY)
    actions, values = plan(mdp, 2)
    moves, means = np.asarray(mdp.transitions, float), np.asarray(mdp.means, float)
    every = [
        means[0, now] + sum(moves[0, now, to] * means[to, later[to]] for to in range(2))
        for now, *later in product(range(2), repeat=3)
    ]
    assert float(values[0, 0]) == pytest.approx(max(every), abs=1e-5)
    assert actions.shape == (2, 2)


def test_posterior_sampling_learns_and_stays_below_knowing() -> None:
    world = Tabular(4, 3, 5)
    courses = drawn(world, 300)
    total = np.asarray(played(world, PSRL(4, 3, 5), KEY, courses, 200)).mean()
    known = float(jax.vmap(lambda mdp: plan(MDP(*mdp), 5)[1][0, 0])(courses).mean()) * 40
    assert 200 + 0.7 * (known - 200) < total < known
