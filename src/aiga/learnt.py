"""How runs of MAML, ES-MAML and RL^2 went, as text, from their stored metrics.

`config` is a run's configuration and `metrics` are rows of iteration, name and value, as they are stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from aiga.play import exact, strategies
from aiga.worlds.bandits import DEPENDENT

ROWS = 12  # of the table, at most
MOST_PULLS = 200  # of two arms, for which what is possible is worked out at once
NOTHING = "nothing learnt yet"
SCORES = {"mse": "mean squared error", "accuracy": "accuracy"}


def starts(config: Mapping[str, Any], metrics: Sequence[Any]) -> str:
    """MAML: the score after so many inner steps on tasks held out, and how it moved with the
    meta-iterations."""
    seen = _by_iteration(metrics, "meta_iterations")
    if not seen:
        return NOTHING
    kind = next(kind for kind in SCORES if f"{kind}_0" in seen[-1])
    steps = sorted(int(name.rpartition("_")[2]) for name in seen[-1] if name.startswith(f"{kind}_"))
    if config.get("task", "sine") == "sine":
        what = f"sinusoids, {config['shots']} examples of each"
    else:
        what = f"{config['task']}, {config['ways']}-way {config['shots']}-shot"
    lines = [
        f"{what}: {SCORES[kind]} on {config['test_tasks']} tasks that are never learnt on, after inner steps",
        "",
        "meta-iterations" + "".join(f"{f'after {step}':>11}" for step in steps) + f"{'loss':>11}",
    ]
    for row in _some(seen):
        scores = [_number(row[f"{kind}_{step}"], kind) for step in steps]
        numbers = [*scores, _number(row["loss"], "loss")]
        lines.append(f"{row['meta_iterations']:>15,.0f}" + "".join(f"{number:>11}" for number in numbers))
    return "\n".join([*lines, "", "loss: of the tasks learnt on, the mean of that iteration of the run"])


def walks(config: Mapping[str, Any], metrics: Sequence[Any]) -> str:
    """ES-MAML: the mean return on the tasks held out after so many steps of adaptation."""
    del config
    seen = _by_iteration(metrics, "return_0")
    if not seen:
        return NOTHING
    steps = sorted(int(name.rpartition("_")[2]) for name in seen[-1] if name.startswith("return_"))
    lines = [
        "mean return on tasks that are never learnt on, after so many steps of adaptation",
        "",
        "meta-iterations" + "".join(f"{f'after {step}':>11}" for step in steps),
    ]
    for row in _some(seen):
        numbers = "".join(f"{row[f'return_{step}']:>11.1f}" for step in steps)
        lines.append(f"{row['meta_iterations']:>15,.0f}{numbers}")
    return "\n".join(lines)


def memory(config: Mapping[str, Any], metrics: Sequence[Any]) -> str:
    """RL^2: returns of trials on the tasks to test on over updates, and the best that is possible where that
    is known."""
    seen = _by_iteration(metrics, "return")
    if not seen:
        return NOTHING
    measures = [name for name in ("return", "regret", "entropy") if name in seen[-1]]
    lines = ["updates".rjust(9) + "".join(f"{name:>12}" for name in measures)]
    for row in _some(seen):
        numbers = [_number(row[name], name) for name in measures]
        lines.append(f"{row['updates']:>9,.0f}" + "".join(f"{number:>12}" for number in numbers))
    known = possible(config)
    if known:
        lines += ["", "The same tasks, exactly, for players who know how they are drawn:"]
        lines += [f"{name}: {text}" for name, text in known.items()]
    return "\n".join(lines)


def possible(config: Mapping[str, Any]) -> dict[str, str]:
    """What is known exactly of the task, by name; nothing where nothing is."""
    task, pulls, many = config["task"], config["pulls"], config["episodes"]
    if many > 1:
        return {}
    if task == "informative":
        return {"Bayes-optimal": f"return {float(exact.informative(pulls)):.3f}"}
    if task == "harlow":
        return {"Bayes-optimal": f"return {pulls - 1:.3f}"}
    if task != "arms" or config["arms"] != 2 or pulls > MOST_PULLS:
        return {}
    if config["draw"] != "independent":
        return {"Bayes-optimal": f"return {exact.dependent(pulls, DEPENDENT.get(config['draw'])):.3f}"}
    best = 2 / 3 * pulls
    return {
        name: f"regret {best - value:.3f}"
        for name, value in (
            ("Bayes-optimal", exact.two_arms(pulls)),
            ("greedy", exact.two_arms(pulls, partial(strategies.greedy, None))),
        )
    }


def _by_iteration(metrics: Sequence[Any], wanted: str) -> list[dict[str, Any]]:
    """The metrics of each iteration that has the `wanted` one, by name."""
    by: dict[int, dict[str, Any]] = {}
    for metric in metrics:
        by.setdefault(metric["iteration"], {})[metric["name"]] = metric["value"]
    return [row for _, row in sorted(by.items()) if wanted in row]


def _number(value: float | None, kind: str) -> str:
    if value is None:
        return "not finite"
    return f"{100 * value:.1f} %" if kind == "accuracy" else f"{value:.4f}"


def _some(rows: Sequence[Any]) -> list[Any]:
    """The first and the last, and others evenly between."""
    if len(rows) <= ROWS:
        return list(rows)
    return [rows[round(k * (len(rows) - 1) / (ROWS - 1))] for k in range(ROWS)]
