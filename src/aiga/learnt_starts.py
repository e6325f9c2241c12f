"""How a run of MAML went, as text, from its stored metrics. None of this imports JAX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ROWS = 12  # of the table, at most
SCORES = {"mse": "mean squared error", "accuracy": "accuracy"}


def told(config: Mapping[str, Any], metrics: Sequence[Any]) -> str:
    """The score after so many inner steps on tasks held out, and how it moved with the meta-iterations.

    `config` is the run's configuration and `metrics` are rows of iteration, name and value, both as they are
    stored.
    """
    by: dict[int, dict[str, float | None]] = {}
    for metric in metrics:
        by.setdefault(metric["iteration"], {})[metric["name"]] = metric["value"]
    seen = [row for _, row in sorted(by.items()) if "meta_iterations" in row]
    if not seen:
        return "nothing learnt yet"
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


def _number(value: float | None, kind: str) -> str:
    if value is None:
        return "not finite"
    return f"{100 * value:.1f} %" if kind == "accuracy" else f"{value:.4f}"


def _some(rows: Sequence[Any]) -> list[Any]:
    """The first and the last, and others evenly between."""
    if len(rows) <= ROWS:
        return list(rows)
    return [rows[round(k * (len(rows) - 1) / (ROWS - 1))] for k in range(ROWS)]
