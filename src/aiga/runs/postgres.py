"""Runs on a PostgreSQL server: one database holds many, each in a schema of its own, `aiga_NAME`.

A schema to a run lets every query be the same text as with SQLite, and a run be dropped, dumped or granted
as a whole. Everything is in the database, blobs of any size too, so that a run can go on from another host.

The writer's lock is an advisory lock of its session (PostgreSQL manual, 13.3.5): the server keeps a second
writer out wherever it is, and lets go of the lock when the connection ends, however it ends. So a writer has
one connection and never a second: without the lock nothing more is written. The lock belongs to a session,
hence a pooler in between has to be in session mode. PostgreSQL 14 or newer.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError

from aiga.runs.errors import Damaged, Lost, RunError, Unwritable

PREFIX = "aiga_"  # keeps runs apart from other schemas, and from names that the server reserves
LONGEST = 63 - len(PREFIX)  # an identifier has at most 63 bytes
_SECRET = ("password", "sslpassword")
_PATIENCE = "1s"  # for the lock: the server may still be ending the session of a writer that was killed

# A connection that is idle for the minutes of an iteration must survive, and one whose other end is gone must
# be noticed on both ends: within a minute, not in the two hours of the system's defaults.
_DEFAULTS = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
_WRITER = (
    "SET synchronous_commit = on; SET idle_session_timeout = 0; SET statement_timeout = 0;"
    "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"
)


class Server:
    """A database on a PostgreSQL server, and the runs in it. `str` of it has no password.

    Raises `RunError` where `url` is not one of PostgreSQL's, or the driver is not installed.
    """

    def __init__(self, url: str):
        expected = "store: postgresql://USER@HOST:PORT/DATABASE is expected"
        try:
            parsed = sa.make_url(url)
        except (ArgumentError, ValueError):
            raise RunError(expected) from None  # not what was given: a password may be in it
        if url.count("@") > 1:
            raise RunError(f"{expected}, with %40 for an @ within a part of it")
        if parsed.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
            raise RunError(f"{expected}, not {parsed.drivername}")
        public = {name: value for name, value in parsed.query.items() if name not in _SECRET}
        self._shown = sa.URL.create(
            "postgresql", parsed.username, None, parsed.host, parsed.port, parsed.database, public
        )
        who = f"aiga: process {os.getpid()} on {platform.node()}"[:63]
        query = {**_DEFAULTS, "application_name": who, **parsed.query}
        self._url = parsed.set(drivername="postgresql+psycopg", query=query)

    def __str__(self) -> str:
        return str(self._shown)

    def names(self) -> list[str]:
        """The runs that there are, sorted: those that whoever asks may read."""
        query = "SELECT table_schema FROM information_schema.tables WHERE table_name = 'run'"
        with self.asking() as db:
            return sorted(_names(db.execute(sa.text(query)).scalars()))

    def taken(self) -> list[str]:
        """Names that a new run cannot have."""
        with self.asking() as db:
            return list(_names(db.execute(sa.text("SELECT nspname FROM pg_namespace")).scalars()))

    def reserve(self, name: str) -> bool:
        """Takes a name for a run that is still to begin; False where somebody else has it."""
        with self.asking() as db:
            try:
                db.execute(sa.schema.CreateSchema(PREFIX + name))
            except DBAPIError as error:
                if _state(error) == "42P06":  # duplicate_schema
                    return False
                raise
        return True

    def database(self, name: str) -> Schema:
        if len(name) > LONGEST:
            raise RunError(f"name: at most {LONGEST} characters on a PostgreSQL server, not {len(name)}")
        return Schema(self, name)

    def engine(self, write: bool) -> sa.Engine:
        """One connection, whose transactions each see one commit."""
        try:
            engine = sa.create_engine(
                self._url, poolclass=sa.pool.StaticPool, isolation_level="REPEATABLE READ"
            )
        except ImportError:
            raise RunError("store: postgresql needs pip install 'aiga[postgres]'") from None

        if not write:

            @event.listens_for(engine, "connect")
            def on_connect(connection: Any, _: Any) -> None:
                connection.read_only = True

        return engine

    @contextmanager
    def asking(self) -> Iterator[sa.Connection]:
        """A connection for one question, each statement a transaction. Complaints become `RunError`."""
        engine = self.engine(write=True)
        try:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
                yield db
        except DBAPIError as error:
            raise RunError(f"store: {self}: {_said(error)}") from None
        finally:
            engine.dispose()


class Schema:
    """The database of one run: a schema of its own."""

    files = None
    batch = 50  # rows read at a time by `verify`: a journey to the server each

    def __init__(self, server: Server, name: str):
        self.name = name
        self.schema = PREFIX + name
        self._server = server
        self._reserved = False
        self._lock = int.from_bytes(hashlib.sha256(self.schema.encode()).digest()[:8], "big", signed=True)

    def __str__(self) -> str:
        return f"{self._server} {self.name}"

    def exists(self) -> bool:
        with self._server.asking() as db:
            return self._there(db)

    def open(self, write: bool, reserved: bool = False) -> sa.Engine:
        """`reserved`: the schema is `reserve`'s. Raises `RunError`: no connection, no such run,
        another process is writing it."""
        self._reserved = reserved
        engine = self._connected(write, self._take_lock if write else self._must_be_there)
        if write:

            @event.listens_for(engine, "do_connect")
            def on_another(*_: Any) -> None:
                raise Lost(f"{self.name}: the connection to {self._server} was lost, and the lock with it")

        return engine

    def beside(self) -> sa.Engine:
        """To write beside the run's writer, without its lock. Raises `RunError`: no connection, no such
        run."""
        return self._connected(True, self._must_be_there)

    def close(self) -> None:
        """The lock went with the connection."""

    def vacant(self, db: sa.Connection) -> bool:
        """Whether the schema was made for this run. One with anything in it the server does not drop."""
        return self._reserved and self._there(db)

    def forget(self) -> None:
        """Nothing: the schema was all that there was."""

    def is_running(self) -> bool:
        """Whether a process is working on the run now, wherever it is."""
        with self._server.asking() as db:
            return self._holder(db) is not None

    def check(self, db: sa.Connection) -> str | None:
        """Nothing: the server's pages are the server's to check, each row speaks for itself."""

    def explain(self, error: Any) -> RunError | None:
        """The server's complaint in one line; None for what is a fault of the program.

        By SQLSTATE: PostgreSQL manual, appendix A.
        """
        if not isinstance(error, DBAPIError):
            return None
        state, said = _state(error), _said(error)
        if error.connection_invalidated or state.startswith(("08", "57P")):
            return Lost(f"{self.name}: the connection to {self._server} was lost ({said})")
        if state == "53100":
            return Unwritable(f"{self.name}: the disk of {self._server} is full")
        if state.startswith(("53", "25006", "42501", "54", "55", "57", "58", "40")):
            return Unwritable(f"{self.name}: {self._server} cannot be read or written ({said})")
        if state.startswith(("XX", "3F", "42P01", "42703")):
            return Damaged(f"{self.name}: damaged: {said}")
        return None

    def _connected(self, write: bool, begin: Callable[[sa.Connection], None]) -> sa.Engine:
        engine = self._server.engine(write).execution_options(schema_translate_map={None: self.schema})
        try:
            with engine.connect() as db:
                begin(db)
                db.commit()
        except BaseException as error:
            engine.dispose()
            if not isinstance(error, DBAPIError):
                raise
            raise RunError(f"store: {self._server}: {_said(error)}") from None
        return engine

    def _must_be_there(self, db: sa.Connection) -> None:
        if not self._there(db):
            raise RunError(f"{self.name}: no such run in {self._server}")

    def _there(self, db: sa.Connection) -> bool:
        return sa.inspect(db).has_schema(self.schema)

    def _take_lock(self, db: sa.Connection) -> None:
        """Locks the run for this session."""
        db.exec_driver_sql(f"{_WRITER}; SET lock_timeout = '{_PATIENCE}'")
        db.commit()
        try:
            db.execute(sa.select(sa.func.pg_advisory_lock(self._lock)))
        except DBAPIError as error:
            if _state(error) != "55P03":  # lock_not_available
                raise
            db.rollback()
            holder = (self._holder(db) or "").removeprefix("aiga: ") or "another process"
            raise RunError(f"{self.name}: {holder} is already working on this run") from None
        db.exec_driver_sql("SET lock_timeout = 0")

    def _holder(self, db: sa.Connection) -> str | None:
        """What the session that holds the lock calls itself; None where there is none. pg_locks shows the
        lock's number in halves."""
        query = sa.text(
            "SELECT coalesce(application_name, '') FROM pg_locks LEFT JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'advisory' AND granted AND objsubid = 1"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND (classid::bigint << 32) | objid::bigint = :lock"
        )
        return db.execute(query, {"lock": self._lock}).scalar()


def _names(schemas: Any) -> Iterator[str]:
    return (schema.removeprefix(PREFIX) for schema in schemas if schema.startswith(PREFIX))


def _state(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _said(error: DBAPIError) -> str:
    """What the server or the driver says, in one line."""
    diagnosis = getattr(error.orig, "diag", None)
    said = getattr(diagnosis, "message_primary", None) or str(error.orig)
    return " ".join(said.split()).removeprefix("connection failed: ")
