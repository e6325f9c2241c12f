"""How a run of MAML went, in words, from its stored events. None of this imports JAX.

`config` is the run's configuration and `events` its events, both as they are stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ROWS = 12  # of the table, at most
SCORES = {"mse": "mean squared error", "accuracy": "accuracy"}


def told(config: Mapping[str, Any], events: Sequence[Any]) -> str:
    """The score after so many inner steps on tasks held out, and how it moved with the meta-iterations."""
    seen = [event["data"] for event in events if event["kind"] == "metric"]
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
        "meta-iterations" + "".join(f"{f'{step} steps':>11}" for step in steps) + f"{'loss':>11}",
    ]
    for row in _some(seen):
        scores = [row[f"{kind}_{step}"] for step in steps]
        numbers = [f"{100 * score:.1f} %" if kind == "accuracy" else f"{score:.4f}" for score in scores]
        lines.append(
            f"{row['meta_iterations']:>15,}"
            + "".join(f"{number:>11}" for number in [*numbers, f"{row['loss']:.4f}"])
        )
    return "\n".join([*lines, "", "loss: of the tasks learnt on, the mean of that iteration of the run"])


def _some(rows: Sequence[Any]) -> list[Any]:
    """The first and the last, and others evenly between."""
    if len(rows) <= ROWS:
        return list(rows)
    return [rows[round(k * (len(rows) - 1) / (ROWS - 1))] for k in range(ROWS)]
