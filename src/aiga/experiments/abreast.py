"""Several runs of one system whose steps are taken together, as an accelerator is idle with one alone."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from aiga.interfaces import Event, Key


class Abreast:
    """Stands in for `system` in so many `runs`, each driven in a thread of its own.

    `step` waits until every run that is left wants its next one; then `system.abreast(keys, states)` takes
    them all. Runs that `leave` are made up for, so that nothing is compiled anew for fewer.
    """

    def __init__(self, system: Any, runs: int) -> None:
        self._system, self._runs, self._left = system, runs, runs
        self._waiting: list[tuple[Key, Any, Future[tuple[Any, list[Event]]]]] = []
        self._error: BaseException | None = None
        self._lock = threading.Lock()

    def init(self, key: Key) -> Any:
        return self._system.init(key)

    def __getattr__(self, name: str) -> Any:
        """What a system may have besides."""
        return getattr(self._system, name)

    def step(self, key: Key, state: Any) -> tuple[Any, list[Event]]:
        """As the system's. Raises what another run has left with."""
        mine: Future[tuple[Any, list[Event]]] = Future()
        with self._lock:
            if self._error is not None:
                raise self._error
            self._waiting.append((key, state, mine))
            self._go()
        return mine.result()

    def leave(self, error: BaseException | None = None) -> None:
        """One run less to wait for; where it ends with an `error`, so do the others."""
        with self._lock:
            self._left, self._error = self._left - 1, self._error or error
            if self._error is not None:
                for *_, future in self._waiting:
                    future.set_exception(self._error)
                self._waiting = []
            self._go()

    def _go(self) -> None:
        if not self._waiting or len(self._waiting) < self._left:
            return
        waiting, self._waiting = self._waiting, []
        lanes = waiting + waiting[-1:] * (self._runs - len(waiting))
        keys, states, _ = zip(*lanes, strict=True)
        try:
            taken = self._system.abreast(keys, states)
        except BaseException as error:
            for *_, future in waiting:
                future.set_exception(error)
            return
        for (*_, future), found in zip(waiting, taken, strict=False):
            future.set_result(found)
