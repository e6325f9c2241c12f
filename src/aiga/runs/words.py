"""What runs may be called, and what their rows say in words."""

from __future__ import annotations

import math
import re
from typing import Any

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


def course_in_words(course: Any) -> str:
    """The few numbers of a course that say what it is; long lists, zeros and seeds say little."""
    found: list[str] = []

    def visit(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                visit(key, item)
        elif name == "seed" or value in (None, 0, [0, 0], ""):
            return
        elif isinstance(value, list):
            if value and all(isinstance(item, dict) for item in value):
                found.append(f"{len(value)} {_spoken(name)}")
            elif len(value) <= 3 and all(isinstance(item, int | float) for item in value):
                found.append(f"{_spoken(name)} {' to '.join(_short(item) for item in value)}")
        elif isinstance(value, int | float | str):
            found.append(f"{_spoken(name)} {_short(value)}")

    visit("", course)
    return ", ".join(found) or "flat"


def counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def rough(number: float) -> str:
    """Three digits of a number of at least 0: "119", "6 k" or "38.4 M"."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) and math.isfinite(value) else str(value)
