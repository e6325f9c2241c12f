"""Walks for the page, played when they are asked for and kept for a while.

Sent are poses, not pictures: a film is T moments of K numbers, and the page draws it. One thread plays at a
time, so that a page that asks for much cannot take the cores from a run.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from aiga.registry import Film, Shown

KEPT = 64 << 20  # bytes of films


class Asked(NamedTuple):
    """One episode: `course` is plain data, `agent` the SHA-256 of `weights` f32[N]."""

    course: Any
    agent: str
    weights: np.ndarray
    seed: int


class Films:
    """Plays and keeps films; safe to call from several threads."""

    def __init__(self) -> None:
        self.one_at_a_time = threading.Lock()
        self._kept: OrderedDict[str, Film] = OrderedDict()

    def play(self, shown: Shown, config: Any, asked: Sequence[Asked]) -> list[Film]:
        """A film of each, all that are not known yet together. ValueError for a course that does not fit."""
        names = [_name(config, each) for each in asked]
        with self.one_at_a_time:
            new = {name: each for name, each in zip(names, asked, strict=True) if name not in self._kept}
            episodes = [(each.course, each.weights, each.seed) for each in new.values()]
            played = dict(zip(new, shown.film(config, episodes), strict=True)) if new else {}
            for name in names:
                self._kept[name] = played.get(name) or self._kept[name]
                self._kept.move_to_end(name)
            found = [self._kept[name] for name in names]
            while len(self._kept) > 1 and sum(film.moments.nbytes for film in self._kept.values()) > KEPT:
                self._kept.popitem(last=False)
        return found

    def strangest(
        self, shown: Shown, config: Any, asked: Sequence[tuple[dict[str, Any], Asked]]
    ) -> dict[str, Any]:
        """How the agents behave, and how far each is from the others: its mean distance to them, every
        measure in standard deviations of all. The strangest comes first."""
        assert shown.behaviour is not None
        with self.one_at_a_time:
            measures, found = shown.behaviour(config, [(e.course, e.weights, e.seed) for _, e in asked])
        able = [i for i in range(len(asked)) if np.isfinite(found[i]).all()]
        spread = found[able].std(0) if able else 1.0
        scaled = found[able] / np.where(spread > 0, spread, 1.0)
        apart = np.linalg.norm(scaled[:, None] - scaled[None], axis=2).sum(1) / max(len(able) - 1, 1)
        ranked = [(float(apart[i]), able[i]) for i in np.argsort(-apart, kind="stable")] if able else []
        rows = [
            {**asked[i][0], "distance": distance, "measures": [float(x) for x in found[i]]}
            for distance, i in ranked
        ]
        middle = [float(x) for x in np.median(found[able], 0)] if able else []
        return {"measures": list(measures), "median": middle, "agents": rows}


def _name(config: Any, asked: Asked) -> str:
    said = json.dumps([config, asked.course, asked.agent, asked.seed], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def packed(films: Sequence[tuple[dict[str, Any], Film]]) -> bytes:
    """Films as one body: the length of what follows as u32, JSON about each, then all moments as f32; all
    little-endian, the JSON padded with spaces to a multiple of four bytes."""
    about = [
        {
            **told,
            "kind": film.kind,
            "rate": film.rate,
            "count": film.moments.shape[0],
            "width": film.moments.shape[1],
            "total": film.total,
            "finished": film.finished,
        }
        for told, film in films
    ]
    head = json.dumps(about, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 4)
    body = b"".join(np.ascontiguousarray(film.moments, "<f4").tobytes() for _, film in films)
    return len(head).to_bytes(4, "little") + head + body
