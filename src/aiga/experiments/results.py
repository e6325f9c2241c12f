"""What experiments measured, one row per experiment, arm, seed and measure in one database; tables and plots.

Intervals are bootstrap intervals of the mean over seeds (Efron and Tibshirani 1993; percentile, 95 %). Of
five seeds they are too narrow: for normal numbers about 85 % of such intervals hold the mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from scipy import stats

RESAMPLES = 10_000
metadata = sa.MetaData()
results = sa.Table(
    "results",
    metadata,
    sa.Column("experiment", sa.String, primary_key=True),
    sa.Column("arm", sa.String, primary_key=True),
    sa.Column("seed", sa.BigInteger, primary_key=True),
    sa.Column("measure", sa.String, primary_key=True),
    sa.Column("value", sa.Float),
)
budget = sa.Table("budget", metadata, sa.Column("steps", sa.BigInteger, primary_key=True))


class Results:
    """What the database `results.db` holds of one experiment; several share it, and their trials' budget."""

    def __init__(self, file: Path, experiment: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.experiment = experiment
        self._engine = sa.create_engine(f"sqlite:///{file}")
        metadata.create_all(self._engine)

    def close(self) -> None:
        self._engine.dispose()

    def put(self, arm: str, seed: int, measures: Mapping[str, float]) -> None:
        """Keeps a trial's measures, in one transaction, in the place of earlier ones."""
        place = {"experiment": self.experiment, "arm": arm, "seed": seed}
        rows = [
            {**place, "measure": measure, "value": None if np.isnan(value) else float(value)}
            for measure, value in measures.items()
        ]
        with self._engine.begin() as db:
            db.execute(results.delete().filter_by(**place))
            db.execute(results.insert(), rows)

    def has(self, arm: str, seed: int) -> bool:
        place = {"experiment": self.experiment, "arm": arm, "seed": seed}
        with self._engine.begin() as db:
            return db.execute(sa.select(results.c.arm).filter_by(**place)).first() is not None

    def steps(self) -> int | None:
        """The budget of every trial, in steps of the world, once it is known."""
        with self._engine.begin() as db:
            return db.execute(sa.select(budget.c.steps)).scalar()

    def set_steps(self, steps: int) -> None:
        with self._engine.begin() as db:
            if db.execute(sa.select(budget.c.steps)).first() is None:
                db.execute(budget.insert(), {"steps": steps})

    def values(self) -> dict[str, dict[str, dict[int, float]]]:
        """By measure, arm and seed; a value that is not a number is NaN."""
        found: dict[str, dict[str, dict[int, float]]] = {}
        mine = sa.select(results).filter_by(experiment=self.experiment).order_by(results.c.seed)
        with self._engine.begin() as db:
            for row in db.execute(mine):
                value = float("nan") if row.value is None else row.value
                found.setdefault(row.measure, {}).setdefault(row.arm, {})[row.seed] = value
        return found


def measured(
    found: Mapping[str, Mapping[str, Mapping[int, float]]], arms: Sequence[str]
) -> dict[str, Mapping[str, Mapping[int, float]]]:
    """Of what `Results.values` gives, the measures that any of `arms` has."""
    return {name: by_arm for name, by_arm in found.items() if any(arm in by_arm for arm in arms)}


def interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean; the same on every call. NaN below two values."""
    numbers = np.asarray(values, float)
    if len(numbers) < 2:
        return float("nan"), float("nan")
    draws = np.random.RandomState(0).randint(len(numbers), size=(RESAMPLES, len(numbers)))
    low, high = np.percentile(numbers[draws].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def t_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean by Student's t. NaN below two values."""
    numbers = np.asarray(values, float)
    if len(numbers) < 2:
        return float("nan"), float("nan")
    wide = stats.t.ppf(0.975, len(numbers) - 1) * numbers.std(ddof=1) / np.sqrt(len(numbers))
    return float(numbers.mean() - wide), float(numbers.mean() + wide)


def binomial_interval(count: int, total: int) -> tuple[float, float]:
    """The exact 95 % interval of a probability (Clopper and Pearson 1934) that `count` of `total` show."""
    low = stats.beta.ppf(0.025, count, total - count + 1) if count else 0.0
    high = stats.beta.ppf(0.975, count + 1, total - count) if count < total else 1.0
    return float(low), float(high)


def rate_ratio(count: int, total: float, other: int, of: float) -> tuple[float, float, float]:
    """How many times as often something came in `total` as another thing in `of`, and its 95 % interval.

    Both are taken to come at constant rates. Given how many came in all, those of the first kind are
    binomial, so the interval is exact (Przyborowski and Wilenski 1940). Where the other never came, the ratio
    and its upper end are infinite. NaN, and no bounds, where nothing came.
    """
    if not count + other:
        return float("nan"), 0.0, float("inf")
    low, high = (
        p / (1 - p) * of / total if p < 1 else float("inf") for p in binomial_interval(count, count + other)
    )
    return (count * of / (other * total) if other else float("inf")), low, high


def median_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float, float, float]:
    """The median, an interval of it from one of the values to another, and how sure that is.

    No distribution is assumed: the ends are the values that come k-th from both sides, the narrowest pair
    that is sure by 95 %, or the least and the largest (sure by 94 % for five).
    """
    numbers = np.sort(np.asarray(values, float))
    count, cut = len(numbers), 0
    sure = [1 - 2 * float(stats.binom.cdf(k, count, 0.5)) for k in range((count + 1) // 2)]
    while cut + 1 < len(sure) and sure[cut + 1] >= 0.95:
        cut += 1
    return (
        float(np.median(numbers)),
        float(numbers[cut]),
        float(numbers[count - 1 - cut]),
        max(sure[cut], 0.0),
    )


def table(
    found: Mapping[str, Mapping[str, Mapping[int, float]]], arms: Sequence[str], apart: bool = True
) -> str:
    """Mean and interval of every measure for every arm, a Markdown table; below, unless they are not to be
    told apart, for each arm after the first, what it has more than the first, seed by seed."""
    found = measured(found, arms)
    rows: list[tuple[str, list[Mapping[int, float]]]] = [
        (arm, [by_arm.get(arm, {}) for by_arm in found.values()]) for arm in arms
    ]
    for arm, mine in rows[1 : len(arms)] if apart else []:
        more: list[Mapping[int, float]] = [
            {seed: by[seed] - theirs[seed] for seed in by.keys() & theirs.keys()}
            for by, theirs in zip(mine, rows[0][1], strict=True)
        ]
        rows.append((f"{arm} - {arms[0]}", more))
    lines = [["", *found, "seeds"]]
    for name, cells in rows:
        numbers = [[value for value in by.values() if not np.isnan(value)] for by in cells]
        if seeds := max(map(len, numbers), default=0):
            lines.append([name, *map(_spoken, numbers), str(seeds)])
    return markdown(lines)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table of cells, its columns as wide as they must be; the first line is its head."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in (lines[0], rule, *lines[1:])
    )


def _spoken(numbers: Sequence[float]) -> str:
    if not numbers:
        return "none"
    low, high = interval(numbers)
    mean = f"{np.mean(numbers):.4g}"
    return mean if np.isnan(low) else f"{mean} ({low:.4g} to {high:.4g})"


def dots(found: Mapping[str, Mapping[str, Mapping[int, float]]], arms: Sequence[str], file: Path) -> None:
    """One panel per measure: every seed a dot, the mean a line, its interval a bar."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * len(found), 3.4), layout="constrained")
    for axes, (measure, by_arm) in zip(
        np.atleast_1d(figure.subplots(1, len(found))), found.items(), strict=True
    ):
        shown = [arm for arm in arms if arm in by_arm]
        for place, arm in enumerate(shown):
            numbers = np.array([v for v in by_arm[arm].values() if not np.isnan(v)])
            if not len(numbers):
                continue
            spread = place + np.linspace(-0.12, 0.12, len(numbers))
            axes.plot(spread, numbers, "o", color=f"C{place}", alpha=0.6, markeredgewidth=0)
            axes.hlines(numbers.mean(), place - 0.25, place + 0.25, color=f"C{place}", linewidth=2)
            low, high = interval(numbers)
            axes.vlines(place, low, high, color=f"C{place}", linewidth=1)
        axes.set_xticks(range(len(shown)), shown, rotation=20, ha="right")
        axes.set_title(measure, fontsize=10)
        plain(axes)
    figure.savefig(file, dpi=120)


def curves(
    runs: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]], across: str, up: str, file: Path
) -> None:
    """One line per arm: the mean over its runs, each a staircase (x f[T], y f[T]), its interval as a band."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes: Any = figure.subplots()
    for place, (arm, lines) in enumerate(runs.items()):
        if not lines:
            continue
        # Only as far as every run got, so that the mean is always over the same ones.
        grid = np.linspace(0, min(x[-1] for x, _ in lines), 200)
        heights = np.array([y[np.clip(np.searchsorted(x, grid, "right") - 1, 0, None)] for x, y in lines])
        axes.plot(grid, heights.mean(axis=0), color=f"C{place}", label=arm)
        if len(lines) > 1:
            low, high = np.array([interval(column) for column in heights.T]).T
            axes.fill_between(grid, low, high, color=f"C{place}", alpha=0.2, linewidth=0)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.legend(frameon=False)
    plain(axes)
    figure.savefig(file, dpi=120)


def plain(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
