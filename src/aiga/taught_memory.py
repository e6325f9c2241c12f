"""What a run of RL^2 came to, from its stored events, in words.

`config` is a run's configuration and `events` its events, both as they are stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiga.play import exact

LINES = 12  # of the course that learning took
MOST_PULLS = 200  # of two arms, for which what is possible is worked out at once


def told(config: Mapping[str, Any], events: Sequence[Any]) -> str:
    """Returns of trials on the tasks to test on over updates, and the best that is possible where that is
    known."""
    rows = [event["data"] for event in events if event["kind"] == "metric" and "return" in event["data"]]
    if not rows:
        return "nothing learnt yet"
    measures = [name for name in ("return", "regret", "entropy") if name in rows[-1]]
    kept = rows[:: max(1, -(-len(rows) // LINES))]
    kept = kept if kept[-1] is rows[-1] else [*kept, rows[-1]]
    lines = ["   ".join(f"{name:>9}" for name in ("updates", *measures))]
    for row in kept:
        numbers = "   ".join(f"{row[name]:9.3f}" for name in measures)
        lines.append(f"{int(row['updates']):>9}   {numbers}")
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
        better = {"uniform": None, "easy": 0.9, "medium": 0.75, "hard": 0.6}[config["draw"]]
        return {"Bayes-optimal": f"return {exact.dependent(pulls, better):.3f}"}
    best = 2 / 3 * pulls

    def greedy(wins: Any, losses: Any, time: Any) -> Any:
        return (wins + 1) / (wins + losses + 2)

    return {
        name: f"regret {best - value:.3f}"
        for name, value in (
            ("Bayes-optimal", exact.two_arms(pulls)),
            ("greedy", exact.two_arms(pulls, greedy)),
        )
    }
