"""The page in a real browser: frames a second, first paint, memory, and what looking costs a run.

A made-up run with 10,000 environments and 40 active ones stands for weeks of POET. What looking costs is
measured on a real run: the same iterations, played alone and beside the page in turn. They are the same work,
so the ratio of their times is the cost. The browser's own is measured apart from the server's, as it may be
on another machine.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from aiga.interfaces import Event

BORN, ACTIVE = 10_000, 40
SECONDS = 5.0  # that frames are counted
ROUNDS = 5
MINUTES = 1.0  # that memory is watched; AIGA_MINUTES sets another number
# A run that has eight active environments after a few iterations, whatever its walkers can do.
BUSY = [
    "--preset=laptop",
    "--reproduce-every=2",
    "--reproduce-score=-1000",
    "--minimal-low=-1000",
    "--minimal-high=1000",
    "--admit=4",
    "--transfer-every=6",
    "--iterations=30",
]
HIDE = """yes => {
  Object.defineProperty(document, "hidden", { value: yes, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
FRAMES = """seconds => { window.counted = new Promise(done => {
  const begin = performance.now(); let frames = 0, last = begin, longest = 0;
  const count = now => {
    frames++; longest = Math.max(longest, now - last); last = now;
    if (now - begin < seconds * 1000) requestAnimationFrame(count);
    else done([(frames - 1) / (now - begin) * 1000, longest]);
  };
  requestAnimationFrame(count);
}); }"""


def history(
    folder: Path, born: int, active: int, seed: int = 0, pause: Callable[[], object] = lambda: None
) -> None:
    """Makes a run in which `born` environments came to be, `active` of them at a time: births, first
    solutions, transfers and scores as POET tells them, on courses as it mutates them. Nobody learnt
    anything: agents are random, those that stay on their feet longest. `pause` is called between
    iterations; true ends the run."""
    from aiga.runs.codec import encode
    from aiga.runs.store import Run, Store
    from aiga.worlds.walker.space import WalkerSpace

    random, space = np.random.RandomState(seed), WalkerSpace(genes_per_mutation=1)
    agents = _standing(random, active)
    living: list[dict[str, Any]] = []
    count, iteration = 0, 0
    with Store.open(folder, write=True) as store:
        state = encode({"iteration": 0})
        store.begin(Run("poet", seed, {"capacity": active, "max_steps": 2000}), state)
        while count < born:
            iteration, log = iteration + 1, []
            for _ in range(1 if count == 0 else random.randint(1, 4) if iteration % 4 == 0 else 0):
                parent = living[int(len(living) * random.beta(3, 1.5))] if living else None
                course = (
                    space.mutate(int(random.randint(2**31)), parent["course"]) if parent else space.sample(0)
                )
                agent = agents[count % active]
                each = {
                    "id": count,
                    "course": course,
                    "score": float(random.uniform(60, 180)),
                    "solved": False,
                }
                described = [float(x) for x in np.asarray(space.describe(course))]
                told = {"parent": parent["id"] if parent else None, "description": described, "agent": agent}
                log.append(Event("birth", {**{k: each[k] for k in ("id", "course", "score")}, **told}))
                living.append(each)
                count += 1
            while len(living) > active:
                old = living.pop(0)
                told = {"id": old["id"], "score": old["score"], "agent": agents[old["id"] % active]}
                log.append(Event("extinction", told))
            for each in living:
                each["score"] += float(random.uniform(0, 0.04)) * (260 - each["score"])
                if not each["solved"] and each["score"] > 230:
                    each["solved"] = True
                    told = {"id": each["id"], "score": each["score"], "agent": agents[each["id"] % active]}
                    log.append(Event("solve", told))
            if iteration % 8 == 0 and len(living) > 2:
                log += _moves(random, living, agents)
                log += [
                    Event("score", {"id": each["id"], "score": each["score"], "finished": 0.5})
                    for each in living
                ]
                log.append(
                    Event("metric", {"steps": iteration * 1e6, "active": len(living), "solved": count * 0.7})
                )
            store.commit(iteration, log, state, 1.0)
            if pause():
                return


def _standing(random: np.random.RandomState, count: int) -> list[np.ndarray]:
    """Of random agents f32[N] those whose episodes on level ground last longest."""
    from aiga.worlds.walker import kernel
    from aiga.worlds.walker.course import Course

    tried = (0.3 * random.standard_normal((40 * count, 2804))).astype(np.float32)
    rows = np.zeros(len(tried), np.int32)
    lengths = kernel.rollout(tried, [Course.flat()], rows, rows.astype(np.uint32)).lengths
    return list(tried[np.argsort(-lengths, kind="stable")[:count]])


def _moves(
    random: np.random.RandomState, living: list[dict[str, Any]], agents: list[np.ndarray]
) -> Iterator[Event]:
    for target in living:
        if random.uniform() < 0.15:
            source = living[random.randint(len(living))]
            gain = float(min(random.exponential(18), 200))
            if source is not target:
                target["score"] = min(target["score"] + gain, 330.0)
                told = {"source": source["id"], "target": target["id"], "kind": "direct", "gain": gain}
                yield Event(
                    "transfer",
                    {**told, "score": target["score"], "agent": agents[source["id"] % len(agents)]},
                )


@contextmanager
def page_server(runs: Path, *options: str) -> Iterator[str]:
    """`aiga view` on the runs in a folder, in a process of its own; gives its address."""
    command = [sys.executable, "-m", "aiga", "view", "--runs-dir", str(runs), "--port", "0", "--no-browser"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip().partition("#")[0]
        finally:
            process.terminate()


def chromium() -> str:
    """The browser's program: AIGA_CHROMIUM, or the first of its usual names; else FileNotFoundError."""
    for name in (os.environ.get("AIGA_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"):
        if name and (found := shutil.which(name)):
            return found
    raise FileNotFoundError(
        "Chromium is not installed: apt-get install chromium, or name one in AIGA_CHROMIUM"
    )


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium without a window (playwright.sync_api.Browser), for the tests too. ImportError without
    Playwright, FileNotFoundError without Chromium."""
    from playwright.sync_api import sync_playwright

    # As root Chromium has no sandbox to offer, and a container has little shared memory.
    arguments = ["--disable-dev-shm-usage", "--enable-precise-memory-info"]
    arguments += ["--no-sandbox"] if os.geteuid() == 0 else []
    path = chromium()
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=arguments)
        try:
            yield opened
        finally:
            opened.close()


def bench() -> tuple[dict[str, Any], str]:
    """All of it, as data and as text."""
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        history(runs / "weeks", BORN, ACTIVE)
        with browser() as opened, page_server(runs) as address:
            cases = [*_frames(opened, address), *_memory(opened, address, runs)]
    cases += _costs()
    data = {"benchmark": "page", "machine": {"cores": os.cpu_count()}, "cases": cases}
    width = max(len(case["case"]) for case in cases)
    lines = [f"{case['case']:{width}}  {_said(case)}" for case in cases]
    return data, "\n".join(lines)


def _said(case: dict[str, Any]) -> str:
    spread = case.get("range")
    return f"{case['ours']:.4g} {case['unit']}" + (f" ({spread[0]:.4g} to {spread[1]:.4g})" if spread else "")


def _frames(opened: Any, address: str) -> Iterator[dict[str, Any]]:
    """First paint, then frames a second of each view, still and while the tree is dragged."""
    page = opened.new_page(viewport={"width": 1600, "height": 1200})
    paints = []
    for _ in range(ROUNDS):
        page.goto("about:blank")
        page.goto(f"{address}#/weeks")
        page.wait_for_selector(".menagerie canvas")
        paints.append(
            page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000")
        )
    yield _case("first paint, 10,000 environments", "s", paints)
    views = {"menagerie of 40": "menagerie", "home": "", "tree": "tree"}
    for name, panel in views.items():
        page.goto("about:blank")
        page.goto(f"{address}#/weeks/{panel}")
        page.wait_for_timeout(4000)
        yield _case(
            f"{name}, frames a second", "/s", [_count(page, lambda: page.wait_for_timeout(SECONDS * 1000))]
        )
        if panel != "menagerie":
            canvas = page.locator(".tree canvas").first
            canvas.scroll_into_view_if_needed()
            page.wait_for_timeout(500)
            yield _case(
                f"{name}, tree dragged and zoomed", "/s", [_count(page, lambda c=canvas: _drag(page, c))]
            )
    page.close()


def _count(page: Any, act: Callable[[], None]) -> float:
    page.evaluate(FRAMES, SECONDS)
    act()
    return page.evaluate("window.counted")[0]


def _drag(page: Any, canvas: Any) -> None:
    box = canvas.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    end, i = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        page.mouse.wheel(0, -40 if i % 60 < 30 else 40)
        page.mouse.down()
        for j in range(10):
            page.mouse.move(middle[0] + 12 * j * math.cos(i), middle[1] + 6 * j * math.sin(i))
        page.mouse.up()
        page.mouse.move(*middle)
        i += 1


def _memory(opened: Any, address: str, runs: Path) -> Iterator[dict[str, Any]]:
    """Megabytes of the page's heap after a collection, at the beginning and at the end of some minutes on a
    run that goes on, five iterations a second."""
    minutes = float(os.environ.get("AIGA_MINUTES", MINUTES))
    over = threading.Event()
    pause = partial(over.wait, 0.2)
    writer = threading.Thread(target=history, args=(runs / "live", 10**9, ACTIVE), kwargs={"pause": pause})
    writer.start()
    page = opened.new_page(viewport={"width": 1600, "height": 1200})
    page.wait_for_timeout(5_000)
    page.goto(f"{address}#/live")
    client = page.context.new_cdp_session(page)

    def held() -> float:
        client.send("HeapProfiler.collectGarbage")
        return page.evaluate("performance.memory.usedJSHeapSize") / 2**20

    page.wait_for_timeout(15_000)
    first = held()
    page.wait_for_timeout(minutes * 60_000)
    last = held()
    page.close()
    over.set()
    writer.join()
    yield _case("memory of the page", "MiB", [first])
    yield _case(f"memory after {minutes:g} min more", "MiB", [last])


def _costs() -> Iterator[dict[str, Any]]:
    """Seconds of the same iterations: beside the server and a page on another machine, and beside the server
    and a browser here, each as a ratio to those of the run alone."""
    ways: dict[str, Callable[[Path], Any]] = {
        "alone": lambda runs: ExitStack(),
        "page": _visited,
        "browser": _looked_at,
        "resting": partial(_looked_at, resting=True),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                runs = Path(folder)
                _run(runs, "--iterations=8")  # compiled, and something to look at
                with way(runs):
                    begin = time.monotonic()
                    _run(runs)
                    seconds[name].append(time.monotonic() - begin)
    for name, said in (
        ("page", "a run beside an open page"),
        ("resting", "a run beside a page on its machine, hidden or left alone"),
        ("browser", "a run beside a page on its machine, looked at"),
    ):
        ratios = [ours / alone for ours, alone in zip(seconds[name], seconds["alone"], strict=True)]
        yield _case(f"{said}, time", "x alone", ratios)


def _run(runs: Path, *more: str) -> None:
    command = [
        sys.executable,
        "-m",
        "aiga",
        "run",
        "poet",
        "--name",
        "busy",
        "--runs-dir",
        str(runs),
        *BUSY,
        *more,
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _visited(runs: Path) -> Iterator[None]:
    """The server, and a client that asks what an open home view asks."""
    import httpx

    done = threading.Event()

    def visit(address: str) -> None:
        # The server may be ended in the middle of an answer.
        with suppress(httpx.HTTPError), httpx.Client(base_url=f"{address}api/runs/busy", timeout=30) as ask:
            for what in ("", "/environments", "/digest?after=0", "/strangest"):
                ask.get(what)
            turn = 0
            with ask.stream("GET", "/feed?after=0") as feed:
                for _ in feed.iter_lines():
                    if done.is_set():
                        return
                    # A message is some lines; films and digest are asked for as often as the page does.
                    turn += 1
                    if turn % 24 == 0:
                        ask.get("/digest?after=0")
                    if turn % 100 == 1:
                        ids = ask.get("/environments").json()["environments"]["id"][-8:]
                        ask.get("/films?" + "&".join(f"pair={n}~{n}~0" for n in ids))

    with page_server(runs) as address:
        visitor = threading.Thread(target=visit, args=(address,), daemon=True)
        visitor.start()
        try:
            yield
        finally:
            done.set()


@contextmanager
def _looked_at(runs: Path, resting: bool = False) -> Iterator[None]:
    """A page in a browser here; `resting`, it is as when its tab is hidden or nobody touched it for long."""
    with page_server(runs) as address, browser() as opened:
        page = opened.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{address}#/busy")
        if resting:
            page.wait_for_timeout(3000)
            page.evaluate(HIDE, True)
        yield


def _case(name: str, unit: str, values: list[float]) -> dict[str, Any]:
    return {
        "case": name,
        "unit": unit,
        "ours": median(values),
        "range": [min(values), max(values)],
        "rivals": {},
    }
