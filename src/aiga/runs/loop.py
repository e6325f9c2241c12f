"""The loop: drives anything with `init` and `step`, one commit per iteration.

Iteration 0 is the system's `init`; iteration i draws everything random from `fold_in(key(seed), i)`. So a run
that was killed and resumed goes on exactly as it would have gone on.

A system with a method `offer(state, id, parent, data) -> state` takes candidates: courses that people send
into the run (`candidates.propose`). Each goes into the state before the first iteration that finds it. One
with a method `fits(state)` is asked before a stored state goes on.
"""

from __future__ import annotations

import platform
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from aiga.interfaces import Event, System
from aiga.runs.codec import CodecError, Encoded, decode, encode, types_in
from aiga.runs.store import Run, RunError, Store, Waiting


@dataclass(frozen=True)
class Step:
    """One committed iteration, as told to listeners."""

    iteration: int
    events: list[Event]
    seconds: float


def drive(
    system: System[Any],
    store: Store,
    run: Run,
    *,
    iterations: int | None = None,
    seconds: float | None = None,
    stop: Callable[[], bool] = lambda: False,
    listen: Iterable[Callable[[Step], None]] = (),
    begun: Callable[[int, list[str]], None] = lambda iteration, changed: None,
) -> int:
    """Works on the run in `store` until a bound is met; starts it if `store` is empty.

    Returns the last iteration. Stops after the one in which the run reaches `iterations` in all, `seconds`
    have passed since the call, or `stop()` turned true. `system` must be what `run.config` describes. `begun`
    is told the iteration it goes on from and the versions that changed since the last session. Raises
    `RunError` when the store cannot be written, holds a run of another system or seed, or a state that this
    version of the system does not know or that does not fit what it has here.
    """
    import jax

    start = time.monotonic()
    # Named, so that the numbers do not depend on how JAX is configured.
    key = jax.random.key(run.seed, impl="threefry2x32")
    state = system.init(jax.random.fold_in(key, 0))
    kind, known = type(state), types_in(state)
    stored = store.run()
    if stored is None:
        iteration, encoded = 0, _encode(state)
        store.begin(run, encoded)
    elif (stored.system, stored.seed) != (run.system, run.seed):
        raise RunError(f"{store.name}: a run of {stored.system} with seed {stored.seed}")
    else:
        iteration, encoded = store.load()
    try:
        state = decode(kind, encoded.tree, encoded.arrays, known)
    except CodecError as error:
        raise RunError(f"{store.name}: its state does not fit this version of the system: {error}") from None
    if stored is not None and (fits := getattr(system, "fits", None)):
        try:
            fits(state)
        except ValueError as error:
            raise RunError(str(error)) from None
    now = versions()
    begun(iteration, differing(store.open_session(now) or {}, now))
    while not stop():
        if iterations is not None and iteration >= iterations:
            break
        if seconds is not None and time.monotonic() - start >= seconds:
            break
        begin = time.monotonic()
        state, taken = _take_over(system, state, store.waiting())
        state, events = system.step(jax.random.fold_in(key, iteration + 1), state)
        encoded = _encode(state)
        iteration += 1
        took = time.monotonic() - begin
        store.commit(iteration, events, encoded, took, taken)
        # What a resumed run would go on with, so that both go on with the same.
        known |= types_in(state)
        state = decode(kind, encoded.tree, encoded.arrays, known)
        for tell in listen:
            tell(Step(iteration, events, took))
    return iteration


def _take_over(
    system: System[Any], state: Any, waiting: Iterable[Waiting]
) -> tuple[Any, dict[int, str | None]]:
    """The state with all that it can use, and by id what is wrong with the others."""
    offer = getattr(system, "offer", None)
    taken: dict[int, str | None] = {}
    for candidate in waiting:
        try:
            if offer is None:
                raise ValueError("this system takes no courses from outside")
            state = offer(state, candidate.id, candidate.parent, candidate.course)
            taken[candidate.id] = None
        except Exception as error:
            # Whatever a course from outside does to a system's own code, the run goes on.
            taken[candidate.id] = _line(str(error)) or f"the system cannot use it ({type(error).__name__})"
    return state, taken


def _line(said: str) -> str:
    """One line that every store can hold; what was sent may stand in it."""
    return " ".join(said.replace("\0", " ").encode("utf-8", "replace").decode().split())[:250]


def _encode(state: Any) -> Encoded:
    try:
        return encode(state)
    except CodecError as error:
        raise TypeError(f"the state of this system cannot be stored: {error}") from None


def versions() -> dict[str, str]:
    """What the numbers of a run depend on besides its seed."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in ("aiga", "numpy", "jax", "jaxlib"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "unknown"
    return found


def differing(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The versions that changed, as "jax 0.10.2 -> 0.11.0"."""
    both = sorted(before.keys() & now.keys())
    return [f"{name} {before[name]} -> {now[name]}" for name in both if before[name] != now[name]]


@contextmanager
def stop_on_signals(notice: Callable[[], None] = lambda: None) -> Iterator[Callable[[], bool]]:
    """Turns the first SIGINT, SIGTERM or SIGHUP into a wish to stop; the second one ends the process at once.

    Yields the `stop` that `drive` asks for. `notice` is called when the wish comes in. A hang-up that is
    ignored, as under nohup, stays so. Outside the main thread, where Python handles no signals, nothing is
    changed.
    """
    asked = threading.Event()

    def handle(number: int, frame: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        notice()

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
