"""How a run is going: a live panel on a terminal, a plain line now and then otherwise.

A listener of the loop, which knows nothing of it.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from aiga.runs.loop import Step
from aiga.runs.store import Store, Summary
from aiga.runs.words import rough

if TYPE_CHECKING:
    from rich.live import Live

WINDOW = 30.0  # s, over which the speed is averaged
UNITS = ("individuals", "steps")  # what speed is counted in: the first that the system has as a metric
LINE_EVERY = 10.0  # s, between plain lines
LOOK_EVERY = 0.5  # s, between looks at the store for the panel


class Progress:
    """Call `begin` when the run starts or goes on, then `step` after every iteration; a context manager."""

    def __init__(
        self,
        store: Store,
        title: str,
        iterations: int | None,
        seconds: float | None,
        out: TextIO | None = None,
    ):
        self.store = store
        self.title = title
        self.iterations = iterations
        self.seconds = seconds
        self.out: TextIO | None = out or sys.stdout  # None when it went away
        self.start = self.committed = time.monotonic()
        self.first = self.iteration = 0
        self.looked = float("-inf")
        self.summary: Summary | None = None
        self.steps: deque[tuple[float, float]] = deque()
        self.live: Live | None = None
        self.message = ""
        self.unit = UNITS[-1]

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None

    def begin(self, iteration: int) -> None:
        self.first = self.iteration = iteration
        self._look()
        if self.out is not None and self.out.isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(file=self.out)
            self.live = Live(
                console=console, get_renderable=self._panel, refresh_per_second=4, transient=True
            )
            self.live.start()

    def step(self, step: Step) -> None:
        self.iteration = step.iteration
        self.committed = time.monotonic()
        wait = LOOK_EVERY if self.live else LINE_EVERY
        if self.committed - self.looked < wait and self.iteration > self.first + 1:
            return
        self._look()
        if self.live is None:
            self.say(
                ", ".join(f"{name} {value}" if name else value for name, value in self._facts(short=True))
            )

    def say(self, line: str) -> None:
        """A line of text. A terminal that went away does not end the run."""
        if self.live is not None:
            self.message = line
        elif self.out is not None:
            try:
                print(line, file=self.out, flush=True)
            except (OSError, ValueError):
                self.out = None

    def _look(self) -> None:
        self.looked = now = time.monotonic()
        self.summary = self.store.summary()
        metrics = self.summary.metrics
        self.unit = next((name for name in UNITS if name in metrics), UNITS[-1])
        self.steps.append((now, metrics.get(self.unit) or 0.0))
        while len(self.steps) > 2 and now - self.steps[0][0] > WINDOW:
            self.steps.popleft()

    def _facts(self, short: bool) -> list[tuple[str, str]]:
        """Name and value of everything shown; `short` for one line."""
        assert self.summary is not None
        now = time.monotonic()
        facts = [("iteration", str(self.iteration) + (f" of {self.iterations}" if self.iterations else ""))]
        (then, few), (last, many) = self.steps[0], self.steps[-1]
        if last > then and many > few:
            facts.append(("" if short else "speed", f"{rough((many - few) / (last - then))} {self.unit}/s"))
        for name in ("best", "selected"):  # of a search for programs
            if self.unit == UNITS[0] and (value := self.summary.metrics.get(name)) is not None:
                facts.append((name, f"{value:.4f}"))
        if self.summary.environments:
            active, archived = f"{self.summary.active} active", f"{self.summary.archived} archived"
            facts.append(("" if short else "environments", f"{active}, {archived}"))
            facts.append(("solved", str(self.summary.solved)))
        if self.summary.best_transfer:
            source, target, gain, _ = self.summary.best_transfer
            facts.append(("best transfer", f"{source} -> {target} {gain:+.1f}"))
        facts.append(("checkpoint", f"{duration(now - self.committed)} ago"))
        left = self._left(now)
        if left is not None:
            facts.append(("time left" if not short else "left", duration(left)))
        return facts

    def _left(self, now: float) -> float | None:
        """Seconds until the nearest bound, as far as one can tell."""
        bounds = []
        if self.seconds is not None:
            bounds.append(self.start + self.seconds - now)
        done = self.iteration - self.first
        if self.iterations is not None and done:
            bounds.append((self.iterations - self.iteration) * (self.committed - self.start) / done)
        return max(0.0, min(bounds)) if bounds else None

    def _panel(self) -> Any:
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim")
        grid.add_column()
        for name, value in self._facts(short=False):
            grid.add_row(name, value)
        if self.message:
            grid.add_row("", Text(self.message, style="yellow"))
        return Panel(grid, title=self.title, title_align="left", expand=False, border_style="cyan")


def duration(seconds: float) -> str:
    """ "7 s", "4:05" or "2:04:05"."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
