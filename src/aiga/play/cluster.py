"""`Evaluate` on many processes and machines, by Ray (Moritz et al. 2018, arXiv 1712.05889).

A call is cut into tasks. A task is pure: weights, courses and seeds in, what the episodes came to out; so a
task whose worker dies is played again elsewhere, and nothing but the caller's own process holds the truth.
Axis letters: P episodes, N weights.
"""

from __future__ import annotations

import logging
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

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


@contextmanager
def cluster(make: Callable[[], Evaluate], workers: int, address: str | None = None) -> Iterator[Evaluate]:
    """An `Evaluate` that plays on `workers` processes of one core each: of the cluster at `address`, or of
    one that lives as long as this context. Ray listens on all interfaces; that one answers nobody without
    the token of this process, unless Ray was imported here before, with its own settings.

    Each worker calls `make` once. The answers are those of `make()` itself, byte for byte, if what it makes
    plays each episode by itself. Raises ImportError without Ray (`pip install 'aiga[ray]'`), ValueError for
    `workers` below 1 and ConnectionError where no cluster answers.
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
            yield _over(ray, make, workers)
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


def _over(ray: Any, make: Callable[[], Evaluate], workers: int) -> Evaluate:
    # A worker that dies is no reason to stop, however often it happens; an episode that raises is.
    play = ray.remote(num_cpus=1, max_retries=-1, retry_exceptions=False)(_play)
    made = ray.put(make)

    def evaluate(weights: Any, courses: Sequence[Any], which: Any, seeds: Any) -> Outcome:
        weights, which = np.asarray(weights, np.float32), np.asarray(which, np.int32)
        seeds = np.asarray(seeds, np.uint32)
        if not len(weights):
            return Outcome(np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(0, bool))
        size = max(LEAST, -(-len(weights) // (workers * TASKS)))
        tasks = []
        for at in range(0, len(weights), size):
            some = slice(at, at + size)
            used, places = np.unique(which[some], return_inverse=True)
            ground = [courses[c] for c in used]
            # In a list, so that a worker fetches it once and not with every task.
            tasks.append(play.remote([made], weights[some], ground, places.astype(np.int32), seeds[some]))
        parts = ray.get(tasks)
        return Outcome(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    return evaluate


_made: dict[str, Evaluate] = {}  # in a worker: what `make` made


def _play(make: list[Any], weights: Any, courses: Any, which: Any, seeds: Any) -> tuple:
    import ray

    name = make[0].hex()
    if name not in _made:
        build: Any = ray.get(make[0])
        _made[name] = build()
    return tuple(np.asarray(part) for part in _made[name](weights, courses, which, seeds))
