"""What the page is told of single programs, looked into when it asks and kept for a while."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from aiga.registry import Study
from aiga.runs.store import Store
from aiga.viewer import reading

KEPT = 500  # answers, of some kilobytes each
KEPT_RUNS = 2  # whose events are kept, of some ten kilobytes each


class Studies:
    """Answers are kept by run and number; safe to call from several threads, one of which works at a time."""

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._kept: OrderedDict[tuple[str, int], Mapping[str, Any]] = OrderedDict()
        self._events: OrderedDict[str, list[dict[str, Any]]] = OrderedDict()

    def tell(self, store: Store, study: Study, config: Mapping[str, Any], which: int) -> Any:
        """None where the run has nothing with this number. ValueError for events that cannot be read.

        An answer with a `problem` is not kept: what was missing may be there when it is asked for again.
        """
        run = reading.identity(store)
        with self._one_at_a_time:
            found = self._kept.pop((run, which), None)
            if found is None:
                found = study.tell(config, self._read(run, store, study), which)
            if found is not None and found.get("problem") is None:
                self._kept[run, which] = found
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found

    def events(self, store: Store, study: Study) -> list[dict[str, Any]]:
        """All that the study is made from, in order."""
        with self._one_at_a_time:
            return list(self._read(reading.identity(store), store, study))

    def _read(self, run: str, store: Store, study: Study) -> list[dict[str, Any]]:
        """Reading thousands of them takes seconds, so only those are read that came since the last time."""
        read = self._events.pop(run, [])
        after, seq = (read[-1]["iteration"], read[-1]["seq"]) if read else (0, None)
        read += reading.events(store, study.kinds, after, None, seq)
        self._events[run] = read
        if len(self._events) > KEPT_RUNS:
            self._events.popitem(last=False)
        return read
