"""Small runs of POET on walkers for the page's tests, in seconds: births, transfers, an archive."""

from __future__ import annotations

from typing import Any

from aiga import cli
from aiga.registry import SYSTEMS
from aiga.viewer.app import Page
from stores import Place
from test_cli import HASTY

NAME = "a.b-c_d"
ITERATIONS = 12
NUMBERS = {**HASTY, "capacity": 3, "episodes": 1, "max-steps": 120}


def work(place: Place, iterations: int) -> None:
    """Begins the run, or goes on with it, up to so many iterations."""
    fields = [str(word) for name, value in NUMBERS.items() for word in (f"--{name}", value)]
    store = ["--store", place.url] if place.url else []
    where = ["--runs-dir", str(place.folder), *store]
    words = ["run", "poet", "--name", NAME, *fields, "--iterations", str(iterations), *where]
    assert cli.main(words) == 0


def page(place: Place, **more: Any) -> Page:
    return Page(place.folder, place.url, more.pop("entries", SYSTEMS), **more)
