"""Work on many processes and machines, by Ray (Moritz et al. 2018, arXiv 1712.05889).

A task is pure, as one that plays episodes: weights, courses and seeds in, what they came to out. So a task
whose worker dies is done again elsewhere, and nothing but the caller's own process holds the truth. `pool`
spreads calls of any pure function, `cluster` is an `Evaluate` that cuts what it is asked into such calls.
Axis letters: P episodes, N weights.
"""

from __future__ import annotations

import copy
import logging
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, Protocol

import numpy as np

from aiga.interfaces import Evaluate, Outcome

TASKS = 4  # for each worker in one call, so that none waits long for another's last
LEAST = 16  # episodes in one task: two fillings of a kernel's lanes
# A head of its own process: Ray forks, which a process that has started JAX must not. It ends with its input,
# which ends with the caller, however that ends.
HEAD = """
import logging, sys, ray
quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
ray.init(num_cpus=int(sys.argv[1]), include_dashboard=False, **quiet)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


class Spread(Protocol):
    """Calls of one pure function, wherever: `spread(make, calls)` is `[make()(*call) for call in calls]`.

    `make` is called once by whoever works, as long as it is the same object; what is large and the same in
    all calls belongs to it.
    """

    def __call__(self, make: Callable[[], Callable[..., Any]], calls: Iterable[Sequence[Any]]) -> list: ...


@contextmanager
def cluster(make: Callable[[], Evaluate], workers: int, address: str | None = None) -> Iterator[Evaluate]:
    """An `Evaluate` that plays on the workers of a `pool`.

    Each worker calls `make` once. The answers are those of `make()` itself, byte for byte, if what it makes
    plays each episode by itself. Raises what `pool` raises.
    """
    with pool(workers, address) as spread:
        yield _over(spread, make, workers)


@contextmanager
def pool(workers: int, address: str | None = None) -> Iterator[Spread]:
    """A `Spread` over `workers` processes of one core each: of the cluster at `address`, or of one that lives
    as long as this context. Ray listens on all interfaces; that one answers nobody without the token of this
    process, unless Ray was imported here before, with its own settings.

    What goes there and back is serialised by Ray. What is made stays in the workers until the context ends.
    Raises ImportError without Ray (`pip install 'aiga[ray]'`), ValueError for `workers` below 1 and
    ConnectionError where no cluster answers. An exception in a call is raised here.
    """
    if workers < 1:
        raise ValueError(f"workers: at least 1, not {workers}")
    if address is None and "ray" not in sys.modules:
        # Read when Ray is imported, and never again.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray

    with _head(workers) if address is None else nullcontext(address) as found:
        ray.init(address=found, log_to_driver=False, logging_level=logging.ERROR)
        try:
            yield _spread(ray)
        finally:
            ray.shutdown()


@contextmanager
def _head(workers: int) -> Iterator[str]:
    """A cluster of this machine's own; yields its address."""
    command = [sys.executable, "-c", HEAD, str(workers)]
    head = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert head.stdin is not None and head.stdout is not None
        address = head.stdout.readline().strip()
        if not address:
            raise ConnectionError("Ray does not start on this machine")
        yield address
        head.stdin.close()
        head.wait(timeout=30)
    finally:
        head.kill()
        head.wait()


def _spread(ray: Any) -> Spread:
    # A worker that dies is no reason to stop, however often it happens; a call that raises is.
    work = ray.remote(num_cpus=1, max_retries=-1, retry_exceptions=False)(_work)
    put: list[tuple[Any, Any]] = []  # the last `make`, and where it is

    def spread(make: Callable[[], Callable[..., Any]], calls: Iterable[Sequence[Any]]) -> list:
        if not put or put[0][0] is not make:
            put[:] = [(make, ray.put(make))]
        # In a list, so that a worker fetches it once and not with every task.
        made = [put[0][1]]
        # A copy, as arrays that Ray returns are its store's own memory, for as long as it lives.
        return copy.deepcopy(ray.get([work.remote(made, *call) for call in calls]))

    return spread


def _over(spread: Spread, make: Callable[[], Evaluate], workers: int) -> Evaluate:
    player = partial(_player, make)

    def evaluate(weights: Any, courses: Sequence[Any], which: Any, seeds: Any) -> Outcome:
        weights, which = np.asarray(weights, np.float32), np.asarray(which, np.int32)
        seeds = np.asarray(seeds, np.uint32)
        if not len(weights):
            return Outcome(np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(0, bool))
        size = max(LEAST, -(-len(weights) // (workers * TASKS)))

        def calls() -> Iterator[tuple]:
            for at in range(0, len(weights), size):
                some = slice(at, at + size)
                used, places = np.unique(which[some], return_inverse=True)
                yield weights[some], [courses[c] for c in used], places.astype(np.int32), seeds[some]

        parts = spread(player, calls())
        return Outcome(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    return evaluate


def _player(make: Callable[[], Evaluate]) -> Callable[..., tuple]:
    evaluate = make()

    def play(weights: Any, courses: Any, which: Any, seeds: Any) -> tuple:
        return tuple(np.asarray(part) for part in evaluate(weights, courses, which, seeds))

    return play


_made: dict[str, Callable[..., Any]] = {}  # in a worker: what `make` made


def _work(make: list[Any], *call: Any) -> Any:
    import ray

    name = make[0].hex()
    if name not in _made:
        build: Any = ray.get(make[0])
        _made[name] = build()
    return _made[name](*call)
