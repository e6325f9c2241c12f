"""What the page asks of a run's store, as plain data. Everything here reads, no more than is shown.

Tables that grow with every iteration are sampled or bounded: a page on a run of a week costs little more
than one on a run of an hour. Environments and candidates are told all. A cursor is the iteration up to which
a page has been told.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from aiga.runs.store import (
    Run,
    Store,
    clock_table,
    environments_table,
    events_table,
    metrics_table,
    scores_table,
    sessions_table,
    transfers_table,
)

FIELDS = ("id", "parent", "born", "ended", "solved", "score")
MOVES = ("iteration", "source", "target", "gain", "kind")
MOST_MOVES = 5000  # transfers told at once, the greatest gains of all
MOST_EVENTS = 500
MOST_SCORES = 400  # of one environment
LATELY, FLAT = 20, 8.0  # a plateau: so many scores of an environment within so much

_e, _t, _s, _m, _c = (
    table.c for table in (environments_table, transfers_table, scores_table, metrics_table, clock_table)
)
# PostgreSQL would put those without a gain first.
_MOST_GAIN = _t.gain.desc().nulls_last()


def overview(store: Store, running: bool) -> dict[str, Any]:
    """A run in one line, with its configuration and latest metrics."""
    run = store.run()
    if run is None:
        return {"name": store.name, "begun": False, "running": running}
    summary = store.summary()
    last = store.select(sa.select(_c.at).order_by(_c.iteration.desc()).limit(1))
    return {
        "name": store.name,
        "begun": True,
        "running": running,
        "system": run.system,
        "seed": run.seed,
        "config": run.config,
        "settings": settings(run),
        "identity": identity(store),
        "iteration": summary.iteration,
        "environments": summary.environments,
        "active": summary.active,
        "solved": summary.solved,
        "transfers": summary.transfers,
        "metrics": summary.metrics,
        "at": last[0].at if last else None,
    }


def identity(store: Store) -> str:
    """Tells a run from another that has its name: when it was begun, and what it is."""
    first = store.select(sa.select(sessions_table.c.at).order_by(sessions_table.c.id).limit(1))
    run = store.run()
    said = json.dumps([first[0].at if first else None, run and [run.system, run.seed]])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def settings(run: Run) -> str:
    """The same for runs that differ in nothing but their seeds."""
    config = {name: value for name, value in run.config.items() if name != "seed"}
    return hashlib.sha256(json.dumps([run.system, config], sort_keys=True).encode()).hexdigest()[:16]


def environments(store: Store) -> dict[str, Any]:
    """Every environment ever admitted and the transfers that gained most, by column, up to `cursor`."""
    with store.snapshot():
        cursor = store.summary().iteration
        rows = store.select(sa.select(*(_e[name] for name in FIELDS)).order_by(_e.id))
        best = sa.select(*(_t[name] for name in MOVES)).order_by(_MOST_GAIN, _t.iteration, _t.seq)
        moves = store.select(best.limit(MOST_MOVES))
    return {"cursor": cursor, "environments": _columns(FIELDS, rows), "transfers": _columns(MOVES, moves)}


def changes(store: Store, after: int, kinds: Iterable[str] = ()) -> dict[str, Any]:
    """What came after the cursor `after`, and the next cursor: environments that changed, as they are now,
    transfers, latest metrics, the `population` as `series` has it, and the events of `kinds`.

    Where there are more events than are told at once, the cursor stops at the last iteration that was told
    whole; of transfers those that gained most are told.
    """
    with store.snapshot():
        summary = store.summary()
        scored = sa.select(_s.environment).where(_s.iteration > after).distinct()
        entered = sa.select(_t.target).where(_t.iteration > after).distinct()
        changed = sa.or_(
            *(_e.born > after, _e.ended > after, _e.solved > after), _e.id.in_(scored), _e.id.in_(entered)
        )
        rows = store.select(sa.select(*(_e[name] for name in FIELDS)).where(changed).order_by(_e.id))
        moves = sa.select(*(_t[name] for name in MOVES)).where(_t.iteration > after)
        moves = store.select(moves.order_by(_MOST_GAIN, _t.iteration, _t.seq).limit(MOST_EVENTS))
        past = sa.select(sa.func.max(_c.at), sa.func.sum(_c.seconds)).where(_c.iteration > after)
        ((at, seconds),) = store.select(past)
        population = _population(store, [summary.iteration], after)
        told, cursor = _events_to_cursor(store, kinds, after, summary.iteration) if kinds else ([], None)
    return {
        "cursor": summary.iteration if cursor is None else cursor,
        "environments": _columns(FIELDS, rows),
        "transfers": _columns(MOVES, moves),
        "metrics": summary.metrics,
        "population": {name: column[0] for name, column in population.items()},
        "at": at,
        "seconds": seconds or 0.0,
        "events": told,
    }


def _events_to_cursor(
    store: Store, kinds: Iterable[str], after: int, last: int
) -> tuple[list[dict[str, Any]], int]:
    told = events(store, kinds, after)
    if len(told) < MOST_EVENTS:
        return told, last
    # The last iteration may go on behind the limit; one that alone has more than that is told in part.
    cut = told[-1]["iteration"]
    whole = [event for event in told if event["iteration"] < cut]
    return (whole, cut - 1) if whole else (told, cut)


def own_kinds(store: Store) -> list[str]:
    """The kinds of events that only this run's system has."""
    rows = store.select(sa.select(events_table.c.kind).distinct())
    return sorted({row.kind for row in rows} - {"birth", "rejection", "transfer", "solve", "extinction"})


def events(
    store: Store,
    kinds: Iterable[str],
    after: int,
    limit: int | None = MOST_EVENTS,
    seq: int | None = None,
) -> list[dict[str, Any]]:
    """The first `limit` events of these kinds after an iteration, or after the event `seq` in it, as the
    system told them and in that order; all of them where `limit` is None."""
    c = events_table.c
    later = c.iteration > after
    if seq is not None:
        later = sa.or_(later, sa.and_(c.iteration == after, c.seq > seq))
    query = sa.select(events_table).where(later, c.kind.in_(list(kinds))).order_by(c.iteration, c.seq)
    rows = store.select(query if limit is None else query.limit(min(limit, MOST_EVENTS)))
    return [
        {"iteration": row.iteration, "seq": row.seq, "kind": row.kind, "data": json.loads(row.data)}
        for row in rows
    ]


def environment(store: Store, number: int, say: Callable[[Any], str]) -> dict[str, Any] | None:
    """One environment with all there is to say of it; None where there is none of this id."""
    with store.snapshot():
        rows = store.select(sa.select(environments_table).where(_e.id == number))
        if not rows:
            return None
        (row,) = rows
        near = sa.select(*(_t[name] for name in MOVES)).where(
            sa.or_(_t.source == number, _t.target == number)
        )
        moves = store.select(near.order_by(_MOST_GAIN, _t.iteration, _t.seq).limit(200))
        children = store.select(sa.select(_e.id).where(_e.parent == number).order_by(_e.id))
        first, last = store.select(
            sa.select(sa.func.min(_s.iteration), sa.func.max(_s.iteration)).where(_s.environment == number)
        )[0]
        scores = sa.select(_s.iteration, _s.score, _s.finished).where(_s.environment == number)
        if first is not None:
            stride = max(1, (last - first) // MOST_SCORES)
            scores = scores.where(sa.or_((_s.iteration - first) % stride == 0, _s.iteration == last))
        scores = store.select(scores.order_by(_s.iteration))
    return {
        **{name: getattr(row, name) for name in FIELDS},
        "agent": row.agent,
        "words": say(json.loads(row.course)),
        "children": [child.id for child in children],
        "transfers": _columns(MOVES, moves),
        "scores": _columns(("iteration", "score", "finished"), scores),
    }


def courses(store: Store, numbers: Sequence[int]) -> dict[int, Any]:
    """The courses of some environments, as plain data."""
    rows = store.select(sa.select(_e.id, _e.course).where(_e.id.in_(list(numbers))))
    return {row.id: json.loads(row.course) for row in rows}


def active(store: Store, most: int) -> list[int]:
    """The active environments that have an agent, the youngest first."""
    living = sa.select(_e.id).where(_e.ended.is_(None), _e.agent.is_not(None))
    rows = store.select(living.order_by(_e.id.desc()).limit(most))
    return [row.id for row in rows]


def agents(store: Store, numbers: Sequence[int]) -> dict[int, str | None]:
    """The present agents of some environments, by SHA-256."""
    rows = store.select(sa.select(_e.id, _e.agent).where(_e.id.in_(list(numbers))))
    found = {row.id: row.agent for row in rows}
    return {number: found[number] for number in numbers if number in found}


def rounded(ground: np.ndarray) -> dict[str, list[float]]:
    """Heights f32[2, C] to the millimetre, as the page takes them."""
    return {
        "left": np.round(ground[0].astype(float), 3).tolist(),
        "right": np.round(ground[1].astype(float), 3).tolist(),
    }


def series(store: Store, points: int) -> dict[str, Any]:
    """All metrics and the scores of the active environments at `points` iterations, evenly spread.

    `hours` is time worked, pauses left out; `rate` steps per second since the point before. `population` has
    the least, quartiles and greatest of the scores, and the mean share of episodes that were finished. What
    is not told in every iteration is the last that was told since the point before.
    """
    with store.snapshot():
        summary = store.summary()
        stride = math.ceil(max(summary.iteration, 1) / points)
        wanted = [*range(stride, summary.iteration, stride), summary.iteration]
        worked = _worked(store, stride, len(wanted))
        values = {name: _metric(store, name, wanted) for name in summary.metrics}
        population = _population(store, wanted)
    return {
        "cursor": summary.iteration,
        "iteration": wanted,
        "hours": [seconds / 3600 for seconds in worked],
        "values": values,
        "rate": _rate(values.get("steps", []), worked),
        "population": population,
    }


def _metric(store: Store, name: str, wanted: list[int]) -> list[float | None]:
    found: dict[int, float] = {}
    told = (_m.name == name, _m.value.is_not(None))
    for some in _batches(wanted):
        rows = store.select(sa.select(_m.iteration, _m.value).where(*told, _m.iteration.in_(some)))
        found.update({row.iteration: row.value for row in rows})
    for before, iteration in _missing(wanted, found):
        between = sa.select(_m.value).where(*told, _m.iteration > before, _m.iteration < iteration)
        for row in store.select(between.order_by(_m.iteration.desc()).limit(1)):
            found[iteration] = row.value
    return [found.get(iteration) for iteration in wanted]


def _missing(wanted: list[int], found: Container[int], after: int = 0) -> list[tuple[int, int]]:
    """The stretches (after, end] whose end was not found but that may hold something."""
    stretches = zip([after, *wanted[:-1]], wanted, strict=True)
    return [(before, end) for before, end in stretches if end not in found and end - before > 1]


def _worked(store: Store, stride: int, count: int) -> list[float]:
    """Seconds of work up to the end of each stretch of `stride` iterations."""
    stretch = ((_c.iteration - 1) // stride).label("stretch")
    rows = store.select(sa.select(stretch, sa.func.sum(_c.seconds)).group_by(stretch).order_by(stretch))
    seconds = dict(map(tuple, rows))
    return np.cumsum([seconds.get(i, 0.0) for i in range(count)]).tolist()


def _rate(steps: list[float | None], worked: list[float]) -> list[float | None]:
    rates: list[float | None] = [None] * len(steps)
    last = None
    for i, (count, seconds) in enumerate(zip(steps, worked, strict=False)):
        if count is None:
            continue
        if last is not None and seconds > last[1]:
            rates[i] = (count - last[0]) / (seconds - last[1])
        last = (count, seconds)
    return rates


def _population(store: Store, wanted: list[int], after: int = 0) -> dict[str, list[float | None]]:
    groups: dict[int, list[tuple[float, float]]] = {}
    scored = sa.select(_s.iteration, _s.score, _s.finished).where(_s.score.is_not(None))
    for some in _batches(wanted):
        for row in store.select(scored.where(_s.iteration.in_(some))):
            groups.setdefault(row.iteration, []).append((row.score, row.finished or 0.0))
    for before, iteration in _missing(wanted, groups, after):
        last = sa.select(sa.func.max(_s.iteration))
        last = last.where(_s.score.is_not(None), _s.iteration > before, _s.iteration < iteration)
        rows = store.select(scored.where(_s.iteration == last.scalar_subquery()))
        if rows:
            groups[iteration] = [(row.score, row.finished or 0.0) for row in rows]
    names = ("least", "lower", "median", "upper", "greatest", "finished")
    found: dict[str, list[float | None]] = {name: [] for name in names}
    for iteration in wanted:
        group = np.array(groups.get(iteration, []))
        numbers = (
            [*np.quantile(group[:, 0], (0, 0.25, 0.5, 0.75, 1)), group[:, 1].mean()] if len(group) else None
        )
        for i, name in enumerate(names):
            found[name].append(None if numbers is None else float(numbers[i]))
    return found


def matrix(store: Store) -> dict[str, Any]:
    """Who helped whom: per source and target the number of transfers, their gains' sum and the greatest."""
    count, gain, best = sa.func.count(), sa.func.sum(_t.gain), sa.func.max(_t.gain)
    query = sa.select(_t.source, _t.target, count.label("count"), gain.label("gain"), best.label("best"))
    rows = store.select(query.group_by(_t.source, _t.target).order_by(count.desc()).limit(20_000))
    return _columns(("source", "target", "count", "gain", "best"), rows)


def iteration_at(store: Store, at: float) -> int:
    """The last iteration that was committed before a moment of the wall clock; 0 where none was."""
    rows = store.select(sa.select(sa.func.max(_c.iteration)).where(_c.at < at))
    return rows[0][0] or 0


def digest(store: Store, after: int, say: Callable[[Any], str], most: int = 12) -> dict[str, Any]:
    """What happened after an iteration: counts, and the `most` of each kind that matter most. `say` puts a
    course into words."""
    with store.snapshot():
        summary = store.summary()
        count = sa.select(sa.func.count()).select_from(environments_table)
        counts = {
            "births": store.select(count.where(_e.born > after))[0][0],
            "solves": store.select(count.where(_e.solved > after))[0][0],
            "extinctions": store.select(count.where(_e.ended > after))[0][0],
            "transfers": store.select(
                sa.select(sa.func.count()).select_from(transfers_table).where(_t.iteration > after)
            )[0][0],
        }
        lists = {
            "births": _told(store, _e.born, after, most, say),
            "solves": _told(store, _e.solved, after, most, say),
            "extinctions": _told(store, _e.ended, after, most, say),
        }
        found = {
            "cursor": summary.iteration,
            "after": after,
            "since": _when(store, after),
            "now": _when(store, summary.iteration),
            "counts": counts,
            **lists,
            "breakthroughs": _breakthroughs(store, after, most),
        }
    return found


def _when(store: Store, iteration: int) -> float | None:
    at = store.select(sa.select(_c.at).where(_c.iteration >= iteration).order_by(_c.iteration).limit(1))
    return at[0].at if at else None


def _told(
    store: Store, moment: Any, after: int, most: int, say: Callable[[Any], str]
) -> list[dict[str, Any]]:
    columns = [*(_e[name] for name in FIELDS), _e.course]
    rows = store.select(
        sa.select(*columns).where(moment > after).order_by(moment.desc(), _e.id.desc()).limit(most)
    )
    return [
        {**{name: getattr(row, name) for name in FIELDS}, "words": say(json.loads(row.course))}
        for row in rows
    ]


def _breakthroughs(store: Store, after: int, most: int) -> list[dict[str, Any]]:
    """Transfers into environments whose scores had been flat, greatest gain first."""
    gained = sa.select(*(_t[name] for name in (*MOVES, "score"))).where(
        _t.iteration > after, _t.gain > 2 * FLAT
    )
    found: list[dict[str, Any]] = []
    for row in store.select(gained.order_by(_t.gain.desc()).limit(10 * most)):
        before = sa.select(_s.score).where(_s.environment == row.target, _s.iteration < row.iteration)
        before = store.select(before.order_by(_s.iteration.desc()).limit(2 * LATELY))
        scores = [each.score for each in before if each.score is not None]
        if len(scores) == 2 * LATELY and max(scores[:LATELY]) <= max(scores[LATELY:]) + FLAT:
            found.append({**{name: getattr(row, name) for name in (*MOVES, "score")}, "flat": 2 * LATELY})
        if len(found) == most:
            break
    return found


def candidates(store: Store) -> list[dict[str, Any]]:
    """The courses that were sent in and what became of each, without the courses themselves."""
    return store.rows("candidates", without=["course"])


def _columns(names: Sequence[str], rows: Sequence[Any]) -> dict[str, list[Any]]:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return {
        name: [None if isinstance(v, float) and not math.isfinite(v) else v for v in column]
        for name, column in zip(names, columns, strict=True)
    }


def _batches(numbers: list[int]) -> Iterable[list[int]]:
    return (numbers[i : i + 400] for i in range(0, len(numbers), 400))
