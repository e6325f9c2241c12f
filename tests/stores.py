"""Where a test keeps its runs: in a folder with SQLite, or in a database of a PostgreSQL server."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import postgres
from aiga.runs import store as stored
from aiga.runs.store import Store


@dataclass(frozen=True)
class Place:
    """Runs by name, in `folder` or, where there is a `server`, in its `database`."""

    folder: Path
    server: postgres.Server | None = None
    database: str = ""

    @property
    def url(self) -> str | None:
        return None if self.server is None else self.server.url(self.database)

    def open(self, name: str = "night", *, write: bool = False) -> Store:
        return Store.open(self.folder / name, write=write, url=self.url)

    def empty(self, folder: Path) -> Place:
        """Another place of the same sort."""
        return Place(folder, self.server, "" if self.server is None else self.server.create())

    def copy(self, folder: Path) -> Place:
        """Another place with the same runs."""
        if self.server is None:
            shutil.copytree(self.folder, folder, dirs_exist_ok=True)
            return Place(folder)
        return Place(folder, self.server, self.server.create(self.database))

    def edit(self, statement: str, name: str = "night") -> None:
        """Changes what a run holds behind its back."""
        if self.server is not None:
            self.server.say(f'SET search_path TO "aiga_{name}"; {statement}', self.database)
            return
        with closing(sqlite3.connect(self.folder / name / "run.db")) as db, db:
            db.execute(statement)

    def dump(self, name: str = "night") -> dict[str, Any]:
        """Every row and every file but what the wall clock said."""
        return dump(self.folder / name, self.url)


def dump(folder: Path, url: str | None = None) -> dict[str, Any]:
    """Every row and every file of a run but what the wall clock said."""
    with Store.open(folder, url=url) as store:
        rows = {name: store.rows(name) for name in stored.metadata.tables if name not in stored.FROM_OUTSIDE}
    return {**rows, "files": {path.name: path.read_bytes() for path in folder.glob("blobs/*")}}
