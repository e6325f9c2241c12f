"""A real Ray, on this machine: the same bytes as threads, whoever is killed."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

from aiga.brains import MLP
from aiga.cli import main
from aiga.play import flatten
from aiga.runs.store import FROM_OUTSIDE, Store, metadata
from aiga.testing import same
from aiga.worlds.walker import kernel
from aiga.worlds.walker.course import Course, Genes
from aiga.worlds.walker.space import grow
from stores import dump
from test_automl_zero import SMALL, bytes_of, ran

# Not imported here: Ray reads its settings when it is.
if importlib.util.find_spec("ray") is None:
    pytest.skip("Ray is not installed: pip install 'aiga[ray]'", allow_module_level=True)
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:ray", "ignore::ResourceWarning")


def processes(*names: str) -> set[int]:
    """Of Ray's own, those whose command holds one of `names`."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if any(name in command for name in names):
                found.add(int(entry.name))
    return found


@contextmanager
def killing(count: int) -> Iterator[list[int]]:
    """Kills `count` of Ray's workers at work that were not there before; yields those killed."""
    before, killed = processes("ray::"), []
    over = threading.Event()

    def kill() -> None:
        while not over.is_set() and len(killed) < count:
            if working := processes("ray::_work") - before - set(killed):
                victim = working.pop()
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)
            time.sleep(0.05)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        over.set()
        killer.join()


def test_the_same_bytes_as_threads_though_a_worker_is_killed() -> None:
    from aiga.play.cluster import cluster

    rng, brain = np.random.default_rng(0), flatten(MLP().init(jax.random.key(0)))
    weights = np.asarray(brain) + 0.1 * rng.normal(size=(2000, len(brain))).astype(np.float32)
    courses = [Course.flat(), grow(Genes(roughness=2.0, seed=3)), grow(Genes((0.2, 0.4), seed=4))]
    which, seeds = rng.integers(0, 3, 2000), rng.integers(0, 2**31, 2000)
    with killing(2) as killed, cluster(partial(kernel.evaluator, threads=1), workers=2) as evaluate:
        played = [evaluate(weights, courses, which, seeds) for _ in range(2)]
        assert same(evaluate(weights[:0], courses, which[:0], seeds[:0]).lengths, np.zeros(0, np.int32))
    assert killed, "no worker was there to be killed"
    expected = kernel.evaluator()(weights, courses, which, seeds)
    for outcome in played:
        assert same(tuple(outcome), tuple(expected))


def test_islands_have_the_bytes_of_threads_though_a_worker_is_killed() -> None:
    from aiga.play.cluster import pool

    config = replace(SMALL, islands=3, chunk=20_000, migrants=20)
    with killing(2) as killed, pool(2) as spread:
        bred = ran(config, 3, spread=spread)
        # Other examples, on the same workers.
        again = ran(config, 1, seed=1, spread=spread)
    assert killed, "no worker was there to be killed"
    assert [event.kind for event in bred[1]].count("migration") == 9
    assert bytes_of(bred) == bytes_of(ran(config, 3, threads=2))
    assert bytes_of(again) == bytes_of(ran(config, 1, seed=1, threads=2))


def test_the_command_line_breeds_programs_on_workers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "automl-zero", "--runs-dir", str(tmp_path), "--iterations", "3", "--islands", "3"]
    words += ["--population", "100", "--chunk", "500", "--cache", "500", "--migrate-every", "1"]
    assert main([*words, "--name", "ray", "--engine", "ray", "--workers", "2"]) == 0
    assert main([*words, "--name", "threads"]) == 0
    assert dump(tmp_path / "ray") == dump(tmp_path / "threads")
    capsys.readouterr()
    for flags, message in (
        (["--engine", "jax"], "engine: threads or ray, as automl-zero brings its own evaluation"),
        (["--workers", "2"], "workers: goes with --engine ray alone"),
        (["--engine", "ray", "--workers", "0"], "workers: a whole number from 1, not '0'"),
    ):
        assert main([*words, "--name", "bad", *flags]) == 2
        assert capsys.readouterr().err == f"aiga: {message}\n"


def test_a_driver_that_is_killed_leaves_nobody_behind_and_its_run_goes_on(tmp_path: Path) -> None:
    def aiga(name: str, *more: str) -> list[str]:
        code = "from aiga.cli import main; raise SystemExit(main())"
        where = ["--name", name, "--runs-dir", str(tmp_path), "--iterations", "4"]
        return [sys.executable, "-c", code, "run", "poet", "--es.population", "16", *where, *more]

    before = processes("raylet", "gcs_server", "ray::")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    driver = subprocess.Popen(aiga("ray", "--engine", "ray", "--workers", "2"), **quiet)
    database = tmp_path / "ray" / "run.db"
    while driver.poll() is None and not (database.exists() and _iteration(tmp_path / "ray") > 0):
        time.sleep(0.05)
    driver.kill()
    driver.wait()
    deadline = time.monotonic() + 60
    while (left := processes("raylet", "gcs_server", "ray::") - before) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not left
    subprocess.run(aiga("ray"), check=True, **quiet)
    subprocess.run(aiga("threads"), check=True, **quiet)
    tables = sorted(set(metadata.tables) - FROM_OUTSIDE)
    with Store.open(tmp_path / "ray") as one, Store.open(tmp_path / "threads") as other:
        for table in tables:
            assert same(one.rows(table), other.rows(table)), table


def _iteration(folder: Path) -> int:
    with Store.open(folder) as store:
        return store.summary().iteration if store.run() else 0


def test_what_is_wrong_is_said_before_anything_starts() -> None:
    from aiga.play.cluster import cluster

    with pytest.raises(ValueError, match=r"^workers: at least 1, not 0"), cluster(kernel.evaluator, 0):
        pass


def test_an_iteration_on_many_cores_by_hand() -> None:
    """1,600 episodes of 1,000 steps at a million steps a second are 1.6 s of one core."""
    from aiga.benchmarks.cluster import Cost, iteration

    cost = Cost(rate=1e6, steps=1000, least=0.05, task=0.001, byte=1e-9, writer=0.1, size=10_000)
    assert iteration(cost, 1600, 1)["seconds"] == pytest.approx(1.7)
    four = iteration(cost, 1600, 4)
    assert four["seconds"] == pytest.approx(0.5) and four["speedup"] == pytest.approx(3.4)
    assert four["waits_for"] == "episodes" and four["tasks_per_second"] == pytest.approx(16 / 0.5)
    many = iteration(cost, 1600, 1000)
    # No more than a hundred tasks, each of sixteen episodes: 0.1 s for tasks and 0.016 s for their bytes.
    assert many["seconds"] == pytest.approx(0.216) and many["waits_for"] == "handing out"
