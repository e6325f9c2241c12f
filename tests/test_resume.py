"""Killed at any instant and resumed, a run ends with the same rows and weights as one that was left alone."""

import multiprocessing
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

import toy
from aiga.interfaces import Event
from aiga.runs.candidates import propose
from aiga.runs.loop import drive, stop_on_signals
from aiga.runs.store import Run, RunError, Store
from stores import Place, dump
from test_runs import config

DESK = Run("desk", 0, {})
KILLS = {"sqlite": 20, "postgresql": 8}
# Whoever starts a process asks after all others; of two threads that ask after one only the first is told.
ASKING = threading.Lock()


def work(folder: str, iterations: int | None, seed: int, url: str | None = None) -> None:
    """What each process does: begin or continue the run, as `aiga run` would."""
    with Store.open(folder, write=True, url=url) as store, stop_on_signals() as stop:
        drive(toy.Toy(toy.Config()), store, Run("toy", seed, config()), iterations=iterations, stop=stop)


def reached(folder: Path, url: str | None = None) -> int:
    """The last iteration committed; -1 before the run has begun."""
    try:
        with Store.open(folder, url=url) as store:
            return -1 if store.run() is None else store.summary().iteration
    except RunError:
        return -1


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Starts real processes from a server that has imported JAX but not used it: 0.3 s each, not 2."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["test_resume", "jax", "safetensors.numpy"])
    return context


def start(processes: ForkServerContext, *arguments: object) -> BaseProcess:
    process = processes.Process(target=work, args=arguments, daemon=True)
    with ASKING:
        process.start()
    return process


def exit_code(process: BaseProcess) -> int | None:
    """Of a process that others may be started beside; None while it lives."""
    with ASKING:
        return process.exitcode


def end(process: BaseProcess) -> int:
    """Waits for the end of a process that others may be started beside, and returns its exit code."""
    while (code := exit_code(process)) is None:
        time.sleep(0.01)
    return code


def kill_again_and_again(
    processes: ForkServerContext, folder: Path, seed: int, url: str | None, kills: int
) -> list[int]:
    """Starts the run and kills it, `kills` times over; returns the iteration that each death left it at."""
    instants = random.Random(seed)
    deaths = []
    for kill in range(kills):
        before = reached(folder, url)
        process = start(processes, str(folder), None, seed, url)
        # One kill in four falls while the process starts up, most likely, the others while it works.
        if kill % 4 < 3:
            limit = time.monotonic() + 60
            while reached(folder, url) <= before and exit_code(process) is None and time.monotonic() < limit:
                time.sleep(0.03)
            time.sleep(instants.uniform(0, 0.15))
        else:
            time.sleep(instants.uniform(0, 0.6))
        process.kill()
        assert end(process) == -signal.SIGKILL
        deaths.append(reached(folder, url))
    return deaths


def test_killed_at_random_instants(processes: ForkServerContext, place: Place) -> None:
    """Two runs at a time, half the kills each."""
    first = random.randrange(2**31)  # other instants every time; a failure names the seed
    kills = KILLS["sqlite" if place.server is None else "postgresql"]

    def live(seed: int) -> None:
        killed, alone = place.folder / f"killed-{seed}", place.folder / f"alone-{seed}"
        deaths = kill_again_and_again(processes, killed, seed, place.url, kills // 2)
        assert len(set(deaths)) > len(deaths) / 2, f"too few processes got to work: {deaths}"
        last = deaths[-1] + 5
        for folder in (killed, alone):
            assert end(start(processes, str(folder), last, seed, place.url)) == 0
        with place.open(killed.name) as store:
            store.verify()
            assert store.summary().iteration == last
            assert len(store.rows("sessions")) > len(deaths) / 2
        assert place.dump(killed.name) == place.dump(alone.name), f"seed {seed}, killed after {deaths}"

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(live, (first, first + 1)))


def kill_at(folder: str, url: str | None, moment: str) -> None:
    """Goes on with a run of `Desk`, and is killed in its next step or after the commit of that."""

    class Desk(toy.Desk):
        def step(self, key: object, state: toy.Queue) -> tuple[toy.Queue, list[Event]]:
            if moment == "in a step" and state.offered:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().step(key, state)

    with Store.open(folder, write=True, url=url) as store:
        drive(Desk(), store, DESK, listen=[lambda step: os.kill(os.getpid(), signal.SIGKILL)])


def test_a_kill_neither_loses_nor_doubles_a_candidate(processes: ForkServerContext, place: Place) -> None:
    def work(name: str, iterations: int) -> list[tuple]:
        with place.open(name, write=True) as store:
            drive(toy.Desk(), store, DESK, iterations=iterations)
            return [(row["taken"], row["decided"], row["verdict"]) for row in store.rows("candidates")]

    for name in ("killed", "alone"):
        work(name, 2)
        assert propose(place.folder / name, {}, url=place.url) == 1
    for moment, taken in (("in a step", None), ("after a commit", 3)):
        words = (str(place.folder / "killed"), place.url, moment)
        process = processes.Process(target=kill_at, args=words, daemon=True)
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        with place.open("killed") as store:
            assert [(row["taken"], row["decided"]) for row in store.rows("candidates")] == [(taken, None)]
    assert work("killed", 11) == work("alone", 11) == [(3, 5, "too easy")]
    assert place.dump("killed") == place.dump("alone")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_at_the_next_safe_point(
    processes: ForkServerContext, tmp_path: Path, number: signal.Signals
) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("started under nohup, whose wish a run respects")
    process = start(processes, str(tmp_path / "night"), None, 1)
    while reached(tmp_path / "night") < 3:
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join(120)
    assert process.exitcode == 0
    with Store.open(tmp_path / "night", write=True) as store:
        store.verify()


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        work(str(tmp_path / name), 3, seed)
    assert dump(tmp_path / "a")["scores"] != dump(tmp_path / "b")["scores"]
    with pytest.raises(RunError, match="a: a run of toy with seed 1"):
        work(str(tmp_path / "a"), 4, 2)


def test_a_time_bound_ends_it(tmp_path: Path) -> None:
    begin = time.monotonic()
    with Store.open(tmp_path / "night", write=True) as store:
        last = drive(toy.Toy(toy.Config()), store, Run("toy", 0, config()), seconds=0.5)
    assert last > 0
    assert time.monotonic() - begin < 10
