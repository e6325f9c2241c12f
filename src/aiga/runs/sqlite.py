"""Runs in folders: each has its database `run.db`, and blobs of more than a megabyte as files beside it.

The folder's `lock` keeps a second writer out.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from aiga.runs.errors import Damaged, RunError, Unwritable


class Folders:
    """The folders of runs in `runs`."""

    def __init__(self, runs: Path):
        self.runs = runs

    def __str__(self) -> str:
        return str(self.runs)

    def names(self) -> list[str]:
        """The runs that there are, sorted."""
        return sorted(path.parent.name for path in self.runs.glob("*/run.db"))

    def taken(self) -> list[str]:
        """Names that a new run cannot have."""
        try:
            self.runs.mkdir(parents=True, exist_ok=True)
            return [path.name for path in self.runs.iterdir()]
        except OSError as error:
            raise Unwritable(f"runs-dir: {self.runs}: {error.strerror}") from None

    def reserve(self, name: str) -> bool:
        """Takes a name for a run that is still to begin; False where somebody else has it."""
        try:
            (self.runs / name).mkdir()
        except FileExistsError:
            return False
        except OSError as error:
            raise Unwritable(f"runs-dir: {self.runs}: {error.strerror}") from None
        return True

    def database(self, name: str) -> Folder:
        return Folder(self.runs / name)


class Files:
    """Blobs as files in one folder, each named by its SHA-256."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, sha: str) -> Path:
        return self.folder / f"{sha}.safetensors"

    def write(self, sha: str, data: bytes) -> None:
        """All of it is on the disk, under its name, when this returns."""
        path = self.path(sha)
        part = path.with_suffix(".part")
        try:
            self.folder.mkdir(exist_ok=True)
            with open(part, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise Unwritable(f"{self.folder}: {error.strerror}") from None

    def remove(self, sha: str) -> None:
        self.path(sha).unlink(missing_ok=True)

    def sweep(self, keep: set[str]) -> None:
        """Removes what an interrupted commit left behind."""
        for path in self.folder.glob("*"):
            if path.suffix != ".safetensors" or path.stem not in keep:
                path.unlink()


class Folder:
    """The database of the run in one folder."""

    schema = None
    batch = 1  # rows read at a time by `verify`, so that the first unreadable one has a name

    def __init__(self, folder: Path):
        self.name = folder.name
        self.files = Files(folder / "blobs")
        self._folder = folder
        self._database = folder / "run.db"
        self._lock: int | None = None
        self._made: set[Path] = set()  # by `open`, or by `reserve` for it

    def __str__(self) -> str:
        return str(self._folder)

    def exists(self) -> bool:
        return self._database.exists()

    def open(self, write: bool, reserved: bool = False) -> sa.Engine:
        """`reserved`: the folder is `reserve`'s. Raises `RunError`: no such run, another process is writing
        it, a folder that cannot be made."""
        if not write and not self.exists():
            raise RunError(f"{self.name}: no such run in {self._folder.parent}")
        try:
            if write:
                self._made = {self._folder} if reserved else set()
                self._take_lock()
                self._made |= {path for path in (*self._parts(), self.files.folder) if not path.exists()}
            return _engine(self._database, write)
        except OSError as error:
            raise Unwritable(f"{self._folder}: {error.strerror}") from None

    def beside(self) -> sa.Engine:
        """To write beside the run's writer: no lock, whoever comes second waits. Raises `RunError`: no such
        run."""
        if not self.exists():
            raise RunError(f"{self.name}: no such run in {self._folder.parent}")
        return _engine(self._database, True)

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def vacant(self, db: sa.Connection) -> bool:
        """Whether nobody put anything into a database that `open` made; True also where it made none."""
        theirs = self._database not in self._made
        return theirs or db.exec_driver_sql("SELECT 1 FROM sqlite_master").first() is None

    def forget(self) -> None:
        """Removes what `open` made, for a database that was `vacant`; the folder only where nothing else is
        in it. Raises `OSError`."""
        parts = self._parts() if self._database in self._made else []
        for path in (*parts, self._folder / "lock"):
            if path in self._made:
                path.unlink(missing_ok=True)
        for folder in (self.files.folder, self._folder):
            if folder in self._made:
                with suppress(OSError):
                    folder.rmdir()

    def _parts(self) -> list[Path]:
        return [self._database.with_name(f"run.db{end}") for end in ("", "-wal", "-shm")]

    def is_running(self) -> bool:
        """Whether a process is working on the run now."""
        try:
            lock = os.open(self._folder / "lock", os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(lock)
        return False

    def check(self, db: sa.Connection) -> str | None:
        """What SQLite finds wrong with the file as a whole."""
        verdict = db.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
        return None if verdict == "ok" else f"run.db: {' '.join(verdict.split())}"

    def explain(self, error: DBAPIError | sqlite3.Error) -> RunError | None:
        """The driver's complaint in one line; None for what is a fault of the program."""
        problem = error.orig if isinstance(error, DBAPIError) else error
        if not isinstance(problem, sqlite3.Error) or isinstance(problem, sqlite3.IntegrityError):
            return None
        code = getattr(problem, "sqlite_errorcode", None)
        primary = code & 0xFF if code is not None else sqlite3.SQLITE_CORRUPT
        if primary == sqlite3.SQLITE_FULL:
            return Unwritable(f"{self.name}: the disk is full")
        if primary in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            return Unwritable(f"{self.name}: run.db cannot be read or written ({problem})")
        if primary == sqlite3.SQLITE_BUSY:
            return Unwritable(f"{self.name}: another program holds run.db locked")
        if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return Damaged(f"{self.name}: damaged: run.db: {problem}")
        return None

    def _take_lock(self) -> None:
        """Locks the folder, which it makes, for this process. The system lets go of the lock when the process
        ends, however it ends."""
        path, holder = self._folder / "lock", ""
        for wait in (0, 0.05, 0.1, 0.2):  # `is_running` holds it for an instant
            time.sleep(wait)
            with suppress(FileExistsError):
                self._folder.mkdir(parents=True)
                self._made.add(self._folder)
            new = not path.exists()
            # Where whoever had it forgets the run, its name is gone or another file's, and the folder may be.
            try:
                self._lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(self._lock), path.stat()):
                    break
            except FileNotFoundError:
                pass
            except BlockingIOError:
                assert self._lock is not None
                holder = os.read(self._lock, 32).decode(errors="replace").strip()
            self.close()
        else:
            raise RunError(f"{self.name}: process {holder or '?'} is already working on this run")
        self._made |= {path} if new else set()
        os.ftruncate(self._lock, 0)
        os.write(self._lock, str(os.getpid()).encode())


def _engine(database: Path, write: bool) -> sa.Engine:
    # On a read-only medium SQLite can make no shared memory; nobody writes there, so it needs none.
    frozen = (
        not write
        and not os.access(database.parent, os.W_OK)
        and not database.with_name("run.db-wal").exists()
    )
    options = "?immutable=1&uri=true" if frozen else "?uri=true"
    engine = sa.create_engine(f"sqlite:///file:{database.resolve()}{options}", poolclass=sa.pool.StaticPool)

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _: Any) -> None:
        # The driver's own BEGIN would come too late for CREATE TABLE; `on_begin` says it instead.
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout = 10000")
        if write:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        else:
            connection.execute("PRAGMA query_only = ON")

    @event.listens_for(engine, "begin")
    def on_begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine
