"""What benchmarks with rivals share: the machine's name, and ratios with their spread."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from statistics import median
from typing import Any


def spread(mine: list[float], theirs: list[float]) -> dict[str, float]:
    """Median, least and greatest of the ratios, round by round."""
    ratios = [a / b for a, b in zip(mine, theirs, strict=True)]
    return {"median": median(ratios), "min": min(ratios), "max": max(ratios)}


def processor() -> str:
    """Its name."""
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def told(name: str, ratio: Mapping[str, Any], about: str, rounds: int, digits: int = 0) -> str:
    """A line about a rival: the `spread` of ratios, and what is to be known `about` it."""
    return (
        f"  {ratio['median']:6.{digits}f} x {name}{about}; "
        f"{ratio['min']:.{digits}f} to {ratio['max']:.{digits}f} over {rounds} rounds"
    )
