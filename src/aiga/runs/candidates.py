"""Courses that people send into a run: what may be sent, and how.

The run's own process takes a candidate over before its next iteration and decides on it by its own criterion;
`Store.rows("candidates")` says what became of each. Nothing but the insert is written from here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiga.runs.errors import RunError
from aiga.runs.store import Store

LARGEST = 64_000  # bytes of a course as JSON
DEEPEST = 32  # tables and lists within each other; far from where reading it back would exhaust a stack


def propose(
    folder: str | Path, course: dict[str, Any], *, parent: int | None = None, url: str | None = None
) -> int:
    """Sends `course`, plain data, into the run in `folder` (or in the database of `url`, under that name).

    `parent` is the environment it was drawn from. The run may be worked on by another process meanwhile.
    Returns the candidate's id. Raises `RunError` naming what is wrong: no such run, not begun, made by an
    older version, too many wait already, no such parent, a course that is no table of finite plain data of
    at most 64 kB.
    """
    text = _json(course)
    if parent is not None and (type(parent) is not int or not 0 <= parent < 2**31):
        raise RunError(f"parent: the id of an environment, not {str(parent)[:40]!r}")
    with Store.beside(folder, url=url) as store:
        return store.propose(text, parent)


def _json(course: Any) -> str:
    if not isinstance(course, dict):
        raise RunError(f"course: a table of plain data, not a {type(course).__name__}")
    if not shallow(course, DEEPEST):
        raise RunError(f"course: at most {DEEPEST} tables and lists within each other")
    try:
        text = json.dumps(course, allow_nan=False, separators=(",", ":"))
        json.dumps(course, ensure_ascii=False).encode()  # half a surrogate pair is no text for any store
    except (TypeError, ValueError) as error:
        raise RunError(f"course: finite numbers and plain data are expected ({error})") from None
    if "\\u0000" in text:
        raise RunError("course: NUL is no text for every store")
    if len(text) > LARGEST:
        raise RunError(f"course: at most {LARGEST // 1000} kB of JSON, not {len(text) / 1000:.0f} kB")
    return text


def shallow(value: Any, most: int) -> bool:
    """Whether tables and lists within each other are at most `most`."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return most >= 0 and all(shallow(part, most - 1) for part in parts)
