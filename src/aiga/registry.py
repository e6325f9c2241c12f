"""The systems the command line knows, by name. Nothing heavy is imported before one of them is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiga.interfaces import System


@dataclass(frozen=True)
class Policy:
    """How an agent's flat weights are wired: layers of `sizes`, and their activations."""

    sizes: Sequence[int]
    activation: str
    output: str


@dataclass(frozen=True)
class Entry:
    """One system.

    `config` gives its frozen dataclass, `build` the system from an instance of it. `preset` is the default
    one. `replay(course, weights, seed, out, lidar)` draws one episode and says in a line how it went,
    `policy` is what `aiga export` writes down; both may be missing. `course` is plain JSON data.
    """

    summary: str
    config: Callable[[], type]
    build: Callable[[Any], System[Any]]
    preset: str | None = None
    replay: Callable[[Any, Any, int, Path, bool], str] | None = None
    policy: Callable[[Any], Policy] | None = None


SYSTEMS: dict[str, Entry] = {}

# name -> a function(arguments as text) -> the result as plain data and as text
BENCHMARKS: dict[str, Callable[[], tuple[dict[str, Any], str]]] = {}
