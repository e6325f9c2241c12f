"""What lives in a run, as data and as text."""

from __future__ import annotations

from typing import Any

from aiga.runs.store import Store
from aiga.runs.words import counted, course_in_words


def as_data(store: Store) -> dict[str, Any]:
    """The object of `aiga show --json`."""
    summary = store.summary()
    environments = [
        {key: row[key] for key in ("id", "parent", "born", "ended", "solved", "score", "agent", "course")}
        for row in store.rows("environments")
    ]
    transfers = [
        {key: row[key] for key in ("iteration", "source", "target", "kind", "gain")}
        for row in store.rows("transfers")
    ]
    return {
        "environments": environments,
        "transfers": transfers,
        "annecs": int(summary.metrics.get("annecs") or 0),
        "iteration": summary.iteration,
        "steps": int(summary.metrics.get("steps") or 0),
    }


def as_text(store: Store, width: int, colour: bool) -> str:
    """The tree of environments, each with its score, below a line about the whole run."""
    run, summary = store.run(), store.summary()
    assert run is not None
    rows = store.rows("environments")
    parts = [f"{store.name}: {run.system}, seed {run.seed}, iteration {summary.iteration}"]
    if steps := summary.metrics.get("steps"):
        parts.append(f"{steps:,.0f} steps")
    lines = [", ".join(parts)]
    if not rows:
        from aiga.registry import SYSTEMS

        entry = SYSTEMS.get(run.system)
        told = "no environments yet"
        if entry and entry.told:
            told = entry.told(run.config, store.rows(entry.told_of))
        return "\n".join([*lines, told])
    living = f"{summary.active} active, {summary.archived} archived, {summary.solved} solved"
    born, moved = counted(summary.environments, "environment"), counted(summary.transfers, "transfer")
    lines.append(f"{born}: {living}; {moved}")
    if summary.best_transfer:
        source, target, gain, kind = summary.best_transfer
        lines.append(f"best transfer: {source} -> {target}, {gain:+.1f}, {kind}")
    lines.append("")
    lines += _tree(rows, width, colour)
    lines += ["", "each: id, score, iteration it was born in, what its course has; * solved, ~ archived;"]
    lines += ["right below its parent, or on a branch of it"]
    return "\n".join(lines)


def _tree(rows: list[dict[str, Any]], width: int, colour: bool) -> list[str]:
    children: dict[int | None, list[dict[str, Any]]] = {}
    ids = {row["id"] for row in rows}
    for row in rows:
        children.setdefault(row["parent"] if row["parent"] in ids else None, []).append(row)
    lines = []
    # A stack, not recursion: a line of descent can be thousands long.
    stack = [(row, "", "", "") for row in reversed(children.get(None, []))]
    while stack:
        row, before, branch, under = stack.pop()
        lines.append(_line(before + branch, row, width, colour))
        young = children.get(row["id"], [])
        for i, child in reversed(list(enumerate(young))):
            last = i == len(young) - 1
            # An only child stands right below its parent, so that long lines of descent stay on the page.
            if len(young) == 1:
                stack.append((child, before + under, "", ""))
            else:
                stack.append((child, before + under, "└ " if last else "├ ", "  " if last else "│ "))
    return lines


def _line(indent: str, row: dict[str, Any], width: int, colour: bool) -> str:
    mark = ("*" if row["solved"] is not None else " ") + ("~" if row["ended"] is not None else " ")
    score = "    none" if row["score"] is None else f"{row['score']:8.1f}"
    text = f"{row['id']:>4} {mark} {score}  {row['born']:>6}  {course_in_words(row['course'])}"
    text = f"{indent}{text}".rstrip()
    text = text if len(text) <= width else text[: width - 3] + "..."
    if not colour:
        return text
    code = "32" if row["solved"] is not None else "2" if row["ended"] is not None else None
    head, tail = text[: len(indent)], text[len(indent) :]
    return f"\x1b[2m{head}\x1b[0m\x1b[{code}m{tail}\x1b[0m" if code else f"\x1b[2m{head}\x1b[0m{tail}"
