"""The experiments of AutoML-Zero: their statistics by hand, their parts, and each with a tiny budget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats

from aiga.brains.programs import interpreter, kernel, known
from aiga.brains.programs.ideas import mean_rates
from aiga.brains.programs.ops import OPERATIONS, Program, Sizes
from aiga.cli import main
from aiga.experiments import programs
from aiga.experiments.disguises import CASES, SIZES, disguised
from aiga.experiments.lab import Lab, OutOfTime
from aiga.experiments.programs import LEVELS, logistic
from aiga.experiments.results import binomial_interval, median_interval, rate_ratio, t_interval
from aiga.worlds import supervised


def test_shares_and_ratios_are_those_worked_out_by_hand() -> None:
    low, high = binomial_interval(0, 100)
    assert low == 0 and (1 - high) ** 100 == pytest.approx(0.025)
    low, high = binomial_interval(7, 20)
    assert stats.binom.sf(6, 20, low) == pytest.approx(0.025)
    assert stats.binom.cdf(7, 20, high) == pytest.approx(0.025)
    # Twelve in 10 and four in 20: six times as often; equal rates would give the first a third of all.
    ratio, low, high = rate_ratio(12, 10.0, 4, 20.0)
    assert ratio == 6
    for bound, tail in ((low, stats.binom.sf(11, 16, low / (low + 2))), (high, 0.025)):
        assert tail == pytest.approx(0.025) and bound > 0
    ratio, low, high = rate_ratio(3, 1.0, 0, 1.0)
    assert ratio == high == np.inf and (low / (1 + low)) ** 3 == pytest.approx(0.025)
    ratio, low, high = rate_ratio(0, 1.0, 3, 1.0)
    assert ratio == low == 0 and high == pytest.approx(1 / rate_ratio(3, 1.0, 0, 1.0)[1])
    assert np.isnan(rate_ratio(0, 1.0, 0, 1.0)[0])


def test_medians_and_means_have_their_intervals() -> None:
    assert median_interval([5, 1, 4, 2, 3]) == (3, 1, 5, 1 - 2 / 32)
    assert median_interval(np.arange(6)) == (2.5, 0, 5, 1 - 2 / 64)
    assert median_interval(np.arange(9))[1:] == (1, 7, 1 - 2 * 10 / 512)
    values = [1.0, 2.0, 4.0, 8.0]
    theirs = stats.ttest_1samp(values, 0).confidence_interval()
    np.testing.assert_allclose(t_interval(values), theirs)


def test_logistic_regression_is_the_kernels_and_reaches_the_best_there_is() -> None:
    """One step at a time it is a linear program's; after many its loss is the least."""
    shape = supervised.Shape(8, 100, 60, repeats=3)
    tasks = kernel.Tasks(*supervised.tasks("digits", "search", 6, shape, 0))
    rates, ones = [0.02, 0.2], np.ones((6, 300, 1))
    made = replace(
        tasks,
        train_x=np.concatenate([tasks.train_x, ones], 2),
        valid_x=np.concatenate([tasks.valid_x, ones[:, :60]], 2),
    )
    theirs = kernel.evaluate(
        [known.linear(rate) for rate in rates], Sizes(4, 3, 1, 9), made, kernel.Rules("accuracy")
    )
    np.testing.assert_allclose(logistic(tasks, rates), theirs, atol=1e-12)

    x, y = made.train_x[0, :100], tasks.train_y[0, :100] * 0.8 + 0.1 * (np.arange(100) % 3 == 0)

    def loss(w: np.ndarray) -> float:
        z = x @ w
        return float(np.mean(np.logaddexp(0, z) - y * z))

    least = optimize.minimize(loss, np.zeros(9))
    weights = np.zeros(9)
    for _ in range(400):
        for row, label in zip(x, y, strict=True):
            weights += 0.01 * (label - 1 / (1 + np.exp(-row @ weights))) * row
    assert loss(weights) == pytest.approx(least.fun, abs=1e-3)


def test_a_disguise_changes_nothing_but_the_dress() -> None:
    rng = np.random.default_rng(0)
    chance = [k for k, o in enumerate(OPERATIONS) if {"low", "mean"} & set(o.data)]
    x, y = rng.normal(size=(12, 4)), rng.normal(size=12)
    dressed = 0
    for case in CASES.values():
        program = case.make(rng)
        if np.isin(program.code[:, 0], chance).any():
            continue
        other = disguised(program, SIZES, rng)
        traces: list[list[float]] = [[], []]
        for each, trace in zip((program, other), traces, strict=True):
            interpreter.fitness(each, SIZES, (x[:8], y[:8]), (x[8:], y[8:]), limit=np.inf, trace=trace)
        assert traces[0] == traces[1]
        dressed += len(other.code) == len(program.code) + 12 and not np.array_equal(program.code, other.code)
    assert dressed > 10


def test_given_programs_are_acceptable() -> None:
    for level in LEVELS.values():
        sizes = Sizes(level.scalars, 3, 1, 4)
        assert programs._acceptable([level.given, known.constant()], level, sizes, 3) == 1, level


def test_a_rate_from_a_mean_is_measured() -> None:
    """As the paper's: the sine of the mean of a matrix. Its norm, or no such thing, is none."""
    sizes = Sizes(6, 6, 2, 4)

    def learner(how: str) -> Program:
        setup = [("m gaussian", 0, 0.1, 0.1)]
        step = [("s subtract", 0, 1, 3), ("s multiply", 2, 3, 3), ("s times v", 3, 0, 2), ("v add", 1, 2, 1)]
        rate = [("s constant", 2, 0.05)] if not how else [(how, 0, 2), ("s sin", 2, 2)]
        return Program.of(setup, [("v dot", 1, 0, 1)], [*rate, *step])

    assert [idea.where for idea in mean_rates(learner("m mean"), sizes)] == ["v1"]
    assert not mean_rates(learner("m deviation"), sizes) and not mean_rates(learner(""), sizes)
    assert not mean_rates(known.network(), Sizes(5, 9, 2, 4))


def test_measures_are_kept_one_by_one_and_what_is_left_is_done_later(tmp_path: Path) -> None:
    asked, begun = iter(range(100)), []

    def measure(arm: str, seed: int) -> dict[str, float]:
        begun.append((arm, seed))
        return {"seed": seed}

    trials = [(arm, seed) for seed in range(3) for arm in ("a", "b")]
    with Lab(tmp_path, "x", ("a", "b"), range(3), 2, 60, stop=lambda: next(asked) > 3) as lab:
        with pytest.raises(OutOfTime):
            lab.measure(trials, measure, 2)
    assert len(begun) == 4
    with Lab(tmp_path, "x", ("a", "b"), range(3), 2, 60) as lab:
        assert lab.budget(7) == 7 and lab.budget(9) == 7
        lab.measure(trials, measure)
        assert lab.results.values()["seed"] == {arm: {0: 0, 1: 1, 2: 2} for arm in "ab"}
    assert len(begun) == 6 and set(begun) == set(trials)


@pytest.mark.parametrize(
    ("name", "steps", "said"),
    [
        ("difficulty", 3000, "| linear, all three "),
        ("recogniser", 1, "| weight averaging "),
        ("adaptations", 100, "| few epochs "),
        ("digits", 12_000, "Median difference"),
    ],
)
def test_each_runs_and_goes_on(
    name: str, steps: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if name == "adaptations":
        small = {arm: replace(c, tasks=5, select_tasks=3) for arm, c in programs.CONDITIONS.items()}
        monkeypatch.setattr(programs, "CONDITIONS", small)
    if name == "recogniser":
        monkeypatch.setattr(programs, "CASES", dict(list(CASES.items())[:4]))
    words = ["experiment", name, "--runs-dir", str(tmp_path), "--seeds", "1", "--steps", str(steps)]
    assert main(words) == 0
    first = capsys.readouterr().out
    assert said in first and (tmp_path / f"experiment-{name}" / f"{name}.png").stat().st_size > 5000
    assert main(words) == 0
    again = capsys.readouterr().out
    assert again.strip() in first
