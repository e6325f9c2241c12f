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


class Studies:
    """Answers are kept by run and number; safe to call from several threads, one of which works at a time."""

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._kept: OrderedDict[tuple[str, int], Mapping[str, Any]] = OrderedDict()

    def tell(self, store: Store, study: Study, config: Mapping[str, Any], which: int) -> Any:
        """None where the run has nothing with this number. ValueError for events that cannot be read."""
        name = reading.identity(store), which
        with self._one_at_a_time:
            found = self._kept.pop(name, None)
            if found is None:
                found = study.tell(config, reading.every(store, study.kinds), which)
            if found is not None:
                self._kept[name] = found
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found
