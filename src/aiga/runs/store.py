"""One run on disk: a folder with `run.db`, everything an iteration did in one transaction.

SQLAlchemy Core only, so that the same text serves SQLite (the default, in the folder) and PostgreSQL (by
URL, one run to a database). Every table but `clock` and `sessions` follows from configuration and seed
alone: two runs of the same seed hold the same rows, however often one of them was killed. Those two hold
what the wall clock said.

A blob is a safetensors file with one tensor, `data`, named by the SHA-256 of its bytes. Blobs stay while a
row or the checkpoint names them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, Float, Integer, LargeBinary, String, Table, Text, event
from sqlalchemy.exc import DatabaseError

from aiga.interfaces import Event
from aiga.runs.codec import CodecError, Encoded, plain

FORMAT = 1
LARGE = 1 << 20  # bytes; a larger blob is a file beside the database
_BATCH = 500  # values in one IN (...), below every database's limit

metadata = sa.MetaData()

run_table = Table(
    "run",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("format", Integer, nullable=False),
    Column("system", String, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("config", Text, nullable=False),
)
events_table = Table(
    "events",
    metadata,
    Column("iteration", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("data", Text, nullable=False),
)
environments_table = Table(
    "environments",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("parent", Integer),
    Column("born", Integer, nullable=False),
    Column("ended", Integer),
    Column("solved", Integer),
    Column("score", Float),
    Column("agent", String(64), index=True),
    Column("course", Text, nullable=False),
    Column("description", Text, nullable=False),
)
transfers_table = Table(
    "transfers",
    metadata,
    Column("iteration", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("source", Integer, nullable=False),
    Column("target", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("gain", Float),
    Column("score", Float),
    Column("agent", String(64)),
)
scores_table = Table(
    "scores",
    metadata,
    Column("iteration", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("environment", Integer, nullable=False, index=True),
    Column("score", Float),
    Column("finished", Float),
)
metrics_table = Table(
    "metrics",
    metadata,
    Column("name", String, primary_key=True),
    Column("iteration", Integer, primary_key=True, autoincrement=False),
    Column("value", Float),
)
agents_table = Table(
    "agents",
    metadata,
    Column("sha", String(64), primary_key=True),
    Column("iteration", Integer, nullable=False),
    Column("environment", Integer),
    Column("kind", String, nullable=False),
)
blobs_table = Table(
    "blobs",
    metadata,
    Column("sha", String(64), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("bytes", LargeBinary),
)
checkpoint_table = Table(
    "checkpoint",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("iteration", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("refs", Text, nullable=False),
    Column("sha", String(64), nullable=False),
)
clock_table = Table(
    "clock",
    metadata,
    Column("iteration", Integer, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("seconds", Float, nullable=False),
)
sessions_table = Table(
    "sessions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("iteration", Integer, nullable=False),
    Column("versions", Text, nullable=False),
)
_NAMING = (environments_table, transfers_table, agents_table)  # their agents have blobs
WALL_CLOCK = frozenset({"clock", "sessions"})

_JSON_COLUMNS = {
    "run": ("config",),
    "events": ("data",),
    "environments": ("course", "description"),
    "checkpoint": ("state", "refs"),
    "sessions": ("versions",),
}


class RunError(Exception):
    """Something a person can put right. The message is one line."""


class Damaged(RunError):
    """What is stored is not what was written. The message names the row."""


class Unwritable(RunError):
    """The disk is full or refuses: the run is as its last commit left it."""


@dataclass(frozen=True)
class Run:
    """What a run was started with."""

    system: str
    seed: int
    config: dict[str, Any]


@dataclass(frozen=True)
class Summary:
    """Where a run stands. Counts of environments; `gain` is that of the best transfer, `metrics` the latest
    of each."""

    iteration: int
    environments: int
    active: int
    archived: int
    solved: int
    transfers: int
    best_transfer: tuple[int, int, float, str] | None  # source, target, gain, kind
    metrics: dict[str, float | None] = field(default_factory=dict)


def blob_of(array: np.ndarray) -> bytes:
    """The bytes an array is stored as: the same array always gives the same bytes."""
    from safetensors.numpy import save

    return save({"data": np.asarray(array, order="C")})


def sha_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _dump(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _number(value: Any) -> float | None:
    """A score for a column: not finite counts as none, so that it wins no comparison there."""
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None


class Store:
    """The database of one run; `Store.open` makes one. Use it as a context manager.

    A writer holds the folder's lock: there is one at a time. Readers need none and see the last commit.
    """

    def __init__(self, folder: Path, engine: sa.Engine, lock: int | None):
        self.folder = folder
        self._engine = engine
        self._lock = lock
        self._blobs: set[str] = set()  # what the database holds
        self._refs: set[str] = set()  # what the checkpoint names
        self._snapshot: sa.Connection | None = None

    @classmethod
    def open(cls, folder: str | Path, *, write: bool = False, url: str | None = None) -> Store:
        """Opens `folder` to read, or to write, which makes it where it is missing.

        `url` is an SQLAlchemy URL of the database, by default `run.db` in the folder.
        Raises `RunError`: no such run, another process is writing it, a newer format, a damaged database.
        """
        folder = Path(folder)
        database = folder / "run.db"
        if not write and url is None and not database.exists():
            raise RunError(f"{folder.name}: no such run in {folder.parent}")
        lock = None
        try:
            if write:
                folder.mkdir(parents=True, exist_ok=True)
                lock = _take_lock(folder)
            store = cls(folder, _engine(database, url, write), lock)
        except OSError as error:
            raise Unwritable(f"{folder}: {error.strerror}") from None
        try:
            store._prepare(write)
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        try:
            self._engine.dispose()
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing --------------------------------------------------------------------------------------------

    def begin(self, run: Run, state: Encoded) -> None:
        """The first commit: what the run is, and its state before the first iteration."""
        blobs, text, refs = self._checkpoint_parts(state)
        with self._writing(blobs):
            with self._transaction() as db:
                metadata.create_all(db)
                db.execute(
                    run_table.insert().values(
                        id=1, format=FORMAT, system=run.system, seed=run.seed, config=_dump(run.config)
                    )
                )
                self._insert_blobs(db, blobs)
                db.execute(checkpoint_table.insert().values(id=1, **_checkpoint_row(0, text, refs)))
        self._blobs |= set(blobs)
        self._refs = set(refs.values())

    def open_session(self, versions: Mapping[str, str]) -> dict[str, str] | None:
        """Notes that a process starts to work on the run; returns the versions of the one before, if any."""
        with self._transaction() as db:
            last = db.execute(sa.select(sessions_table).order_by(sessions_table.c.id.desc()).limit(1)).first()
            iteration = db.execute(sa.select(checkpoint_table.c.iteration)).scalar_one()
            db.execute(
                sessions_table.insert().values(
                    id=last.id + 1 if last else 1,
                    at=time.time(),
                    iteration=iteration,
                    versions=_dump(dict(versions)),
                )
            )
        return self._parse(last.versions, f"sessions {last.id}, versions") if last else None

    def commit(self, iteration: int, events: Sequence[Event], state: Encoded, seconds: float) -> None:
        """Everything iteration `iteration` did, or nothing of it. `seconds` is how long it took.

        Raises `Unwritable` when the disk is full; what was committed before is untouched.
        """
        blobs, text, refs = self._checkpoint_parts(state)
        projection = _Projection(iteration, blobs)
        for seq, happened in enumerate(events):
            projection.add(seq, happened)
        with self._writing(blobs):
            with self._transaction() as db:
                self._insert_blobs(db, blobs)
                replaced = projection.write(db)
                db.execute(checkpoint_table.update().values(**_checkpoint_row(iteration, text, refs)))
                db.execute(clock_table.insert().values(iteration=iteration, at=time.time(), seconds=seconds))
                loose = self._delete_loose(db, (self._refs | replaced | set(blobs)) - set(refs.values()))
        self._blobs = (self._blobs | set(blobs)) - loose
        self._refs = set(refs.values())
        for sha in loose:
            self._blob_path(sha).unlink(missing_ok=True)

    def _checkpoint_parts(self, state: Encoded) -> tuple[dict[str, bytes], str, dict[str, str]]:
        blobs: dict[str, bytes] = {}
        refs = {name: _add_blob(blobs, array) for name, array in state.arrays.items()}
        return blobs, _dump(state.tree), refs

    @contextmanager
    def _writing(self, blobs: dict[str, bytes]) -> Iterator[None]:
        """Large new blobs as files before the rows that name them; a file no row came to name is removed."""
        written = []
        try:
            for sha, data in blobs.items():
                if len(data) > LARGE and sha not in self._blobs:
                    written.append(sha)
                    self._write_file(sha, data)
            yield
        except BaseException:
            for sha in written:
                self._blob_path(sha).unlink(missing_ok=True)
            raise

    def _write_file(self, sha: str, data: bytes) -> None:
        path = self._blob_path(sha)
        try:
            path.parent.mkdir(exist_ok=True)
            part = path.with_suffix(".part")
            with open(part, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            path.with_suffix(".part").unlink(missing_ok=True)
            raise Unwritable(f"{path.parent}: {error.strerror}") from None

    def _insert_blobs(self, db: sa.Connection, blobs: dict[str, bytes]) -> None:
        rows = [
            {"sha": sha, "size": len(data), "bytes": None if len(data) > LARGE else data}
            for sha, data in blobs.items()
            if sha not in self._blobs
        ]
        if rows:
            db.execute(blobs_table.insert(), rows)

    def _delete_loose(self, db: sa.Connection, candidates: set[str]) -> set[str]:
        named: set[str] = set()
        for some in _batches(sorted(candidates)):
            for column in (agents_table.c.sha, environments_table.c.agent):
                named |= set(db.execute(sa.select(column).where(column.in_(some))).scalars())
        loose = candidates - named
        for some in _batches(sorted(loose)):
            db.execute(blobs_table.delete().where(blobs_table.c.sha.in_(some)))
        return loose

    # -- reading --------------------------------------------------------------------------------------------

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read inside sees one commit, however the run goes on meanwhile."""
        with self._transaction() as db:
            self._snapshot = db
            try:
                yield
            finally:
                self._snapshot = None

    def run(self) -> Run | None:
        """What the run was started with; None while its first commit is still to come."""
        with self._transaction() as db:
            if not sa.inspect(db).has_table("run"):
                return None
            row = db.execute(sa.select(run_table)).first()
            return Run(row.system, row.seed, self._parse(row.config, "run 1, config")) if row else None

    def load(self) -> tuple[int, Encoded]:
        """The last checkpoint: its iteration and its state."""
        with self._transaction() as db:
            iteration, state, refs = self._checkpoint(db)
            return iteration, Encoded(state, {name: self._read_blob(db, sha) for name, sha in refs.items()})

    def _checkpoint(self, db: sa.Connection) -> tuple[int, Any, dict[str, str]]:
        row = db.execute(sa.select(checkpoint_table)).first()
        if row is None:
            raise Damaged(f"{self.folder.name}: damaged: checkpoint 1 is missing")
        if _checkpoint_row(row.iteration, row.state, row.refs)["sha"] != row.sha:
            raise Damaged(f"{self.folder.name}: damaged: checkpoint 1 does not match its SHA-256")
        state = self._parse(row.state, "checkpoint 1, state")
        return row.iteration, state, self._parse(row.refs, "checkpoint 1, refs")

    def array(self, sha: str) -> np.ndarray:
        """The array of a blob, its bytes checked against its name."""
        with self._transaction() as db:
            return self._read_blob(db, sha)

    def rows(self, table: str, after: tuple[int, int] | None = None) -> list[dict[str, Any]]:
        """A table in the order of its key, JSON columns parsed.

        `after` (iteration, seq) leaves out what came up to there, for tables that have both.
        """
        source = metadata.tables[table]
        query = sa.select(source).order_by(*source.primary_key.columns)
        if after is not None:
            iteration, seq = source.c.iteration, source.c.seq
            later = sa.and_(iteration == after[0], seq > after[1])
            query = query.where(sa.or_(iteration > after[0], later))
        with self._transaction() as db:
            return [self._plain_row(source, row) for row in db.execute(query).mappings()]

    def find_agent(self, text: str) -> str:
        """The SHA-256 of an agent: of an environment's present one by its id, or by at least 6 first
        digits."""
        with self._transaction() as db:
            if text.isdecimal() and len(text) < 10:
                query = sa.select(environments_table.c.agent).where(environments_table.c.id == int(text))
                row = db.execute(query).first()
                if row is not None and row.agent is not None:
                    return row.agent
            prefix = text.lower()
            if len(prefix) < 6 or set(prefix) - set("0123456789abcdef"):
                raise RunError(
                    f"agent: an environment's id or at least 6 digits of an agent's SHA-256, not '{text}'"
                )
            found: set[str] = set()
            for column in (agents_table.c.sha, environments_table.c.agent):
                found |= set(
                    db.execute(sa.select(column).where(column.startswith(prefix)).limit(2)).scalars()
                )
        if len(found) != 1:
            raise RunError(f"agent: {'more than one' if found else 'no'} agent begins with '{text}'")
        return found.pop()

    def summary(self) -> Summary:
        """Where the run stands now."""
        environments, transfers, metrics = environments_table.c, transfers_table.c, metrics_table
        with self._transaction() as db:
            iteration = db.execute(sa.select(checkpoint_table.c.iteration)).scalar_one()
            count = sa.func.count
            born, ended, solved = db.execute(
                sa.select(count(environments.id), count(environments.ended), count(environments.solved))
            ).one()
            best = db.execute(
                sa.select(transfers.source, transfers.target, transfers.gain, transfers.kind)
                .where(transfers.gain.is_not(None))
                .order_by(transfers.gain.desc(), transfers.iteration, transfers.seq)
                .limit(1)
            ).first()
            moved = db.execute(sa.select(count()).select_from(transfers_table)).scalar_one()
            last = sa.select(metrics.c.name, sa.func.max(metrics.c.iteration).label("iteration"))
            last = last.group_by(metrics.c.name).subquery()
            latest = db.execute(
                sa.select(metrics.c.name, metrics.c.value).join(
                    last, sa.and_(metrics.c.name == last.c.name, metrics.c.iteration == last.c.iteration)
                )
            )
            values = {row.name: row.value for row in latest}
        return Summary(
            iteration, born, born - ended, ended, solved, moved, tuple(best) if best else None, values
        )

    def verify(self) -> None:
        """Reads everything once. Raises `Damaged` naming the first row that is not as it was written."""
        with self._transaction() as db:
            verdict = "ok"
            if self._engine.dialect.name == "sqlite":
                verdict = db.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
            # Row by row, also where the whole is known to be damaged: the first unreadable row has a name.
            held: set[str] = set()
            named: set[str] = set()
            for source in metadata.sorted_tables:
                self._verify_table(db, source, held, named)
            if verdict != "ok":
                raise Damaged(f"{self.folder.name}: damaged: run.db: {' '.join(verdict.split())}")
            missing = (named | set(self._checkpoint(db)[2].values())) - held
            if missing:
                raise Damaged(f"{self.folder.name}: damaged: blobs {min(missing)} is missing")

    def _verify_table(self, db: sa.Connection, source: Table, held: set[str], named: set[str]) -> None:
        """Adds to `held` the blobs that are there, to `named` those that rows speak of."""
        keys = [column.name for column in source.primary_key.columns]
        query = sa.select(source).order_by(*source.primary_key.columns).execution_options(yield_per=1)
        last = "the first row"
        try:
            for row in db.execute(query).mappings():
                if source is blobs_table:
                    held.add(row["sha"])
                    if row["bytes"] is not None or not self._let_go(row["sha"]):
                        self._check_blob(row["sha"], row["size"], row["bytes"])
                else:
                    self._plain_row(source, row)
                if source in _NAMING:
                    named |= {row[column] for column in ("agent", "sha") if row.get(column)}
                last = f"the row after {' '.join(str(row[key]) for key in keys)}"
        except DatabaseError as error:
            problem = " ".join(str(error.orig).split())
            raise Damaged(f"{self.folder.name}: damaged: {source.name}, {last}: {problem}") from None

    def _plain_row(self, source: Table, row: Mapping[Any, Any]) -> dict[str, Any]:
        values = dict(row)
        key = " ".join(str(row[column.name]) for column in source.primary_key.columns)
        for column in _JSON_COLUMNS.get(source.name, ()):
            values[column] = self._parse(values[column], f"{source.name} {key}, {column}")
        return values

    def _parse(self, text: str, row: str) -> Any:
        try:
            return json.loads(text)
        except (TypeError, ValueError):
            raise Damaged(f"{self.folder.name}: damaged: {row}: not JSON") from None

    def _read_blob(self, db: sa.Connection, sha: str) -> np.ndarray:
        from safetensors.numpy import load

        row = db.execute(sa.select(blobs_table).where(blobs_table.c.sha == sha)).first()
        if row is None:
            raise Damaged(f"{self.folder.name}: damaged: blobs {sha} is missing")
        return load(self._check_blob(sha, row.size, row.bytes))["data"]

    def _let_go(self, sha: str) -> bool:
        """Whether a file may be gone because the run went on after the snapshot was taken."""
        return not self._blob_path(sha).exists() and self._lock is None and is_running(self.folder)

    def _check_blob(self, sha: str, size: int, data: bytes | None) -> bytes:
        if data is None:
            try:
                data = self._blob_path(sha).read_bytes()
            except FileNotFoundError:
                raise Damaged(f"{self.folder.name}: damaged: blobs {sha}: its file is missing") from None
        if len(data) != size or sha_of(data) != sha:
            raise Damaged(f"{self.folder.name}: damaged: blobs {sha}: its bytes do not match its SHA-256")
        return data

    def _blob_path(self, sha: str) -> Path:
        return self.folder / "blobs" / f"{sha}.safetensors"

    # -- the database ---------------------------------------------------------------------------------------

    def _prepare(self, write: bool) -> None:
        """Refuses what this version cannot read; a writer also picks up what it needs to know."""
        with self._transaction() as db:
            if not sa.inspect(db).has_table("run"):
                return
            made = db.execute(sa.select(run_table.c.format)).scalar()
            if made is None:
                raise Damaged(f"{self.folder.name}: damaged: run 1 is missing")
            if made > FORMAT:
                raise RunError(
                    f"{self.folder.name}: made by a newer aiga (format {made}; this one reads up to {FORMAT})"
                )
            if not write:
                return
            self._blobs = set(db.execute(sa.select(blobs_table.c.sha)).scalars())
            refs = db.execute(sa.select(checkpoint_table.c.refs)).scalar()
            self._refs = set(self._parse(refs or "{}", "checkpoint 1, refs").values())
        for path in (self.folder / "blobs").glob("*"):
            if path.suffix != ".safetensors" or path.stem not in self._blobs:
                path.unlink()

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        name = self.folder.name
        if self._snapshot is not None:
            yield self._snapshot
            return
        try:
            with self._engine.begin() as db:
                yield db
        except (DatabaseError, sqlite3.Error) as error:
            problem = error if isinstance(error, sqlite3.Error) else error.orig
            if not isinstance(problem, sqlite3.Error) or isinstance(problem, sqlite3.IntegrityError):
                raise
            code = getattr(problem, "sqlite_errorcode", None)
            primary = code & 0xFF if code is not None else sqlite3.SQLITE_CORRUPT
            if primary == sqlite3.SQLITE_FULL:
                raise Unwritable(f"{name}: the disk is full") from None
            if primary in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
                raise Unwritable(f"{name}: run.db cannot be read or written ({problem})") from None
            if primary == sqlite3.SQLITE_BUSY:
                raise Unwritable(f"{name}: another program holds run.db locked") from None
            if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise Damaged(f"{name}: damaged: run.db: {problem}") from None
            raise


class _Projection:
    """Turns events into rows. Scores and metrics are rows of their own and are not kept twice as events."""

    def __init__(self, iteration: int, blobs: dict[str, bytes]):
        self.iteration = iteration
        self.blobs = blobs
        self.inserts: dict[str, list[dict[str, Any]]] = {}
        self.updates: list[tuple[int, dict[str, Any]]] = []
        self.agents: dict[str, dict[str, Any]] = {}
        self.metrics: dict[str, float | None] = {}

    def add(self, seq: int, happened: Event) -> None:
        data = dict(happened.data)
        agent = data.pop("agent", None)
        sha = None if agent is None else _add_blob(self.blobs, np.asarray(agent))
        handler = getattr(self, f"_{happened.kind}", None) if happened.kind in _KINDS else None
        if handler is not None:
            handler(seq, data, sha)
        if happened.kind in ("score", "metric"):
            return
        if sha is not None:
            data["agent"] = sha
            row = {"sha": sha, "iteration": self.iteration, "environment": data.get("id", data.get("target"))}
            self.agents.setdefault(sha, {**row, "kind": happened.kind})
        self._insert("events", seq=seq, kind=happened.kind, data=_dump(_plain_event(happened.kind, data)))

    def _insert(self, table: str, **values: Any) -> None:
        self.inserts.setdefault(table, []).append({"iteration": self.iteration, **values})

    def _birth(self, seq: int, data: dict[str, Any], sha: str | None) -> None:
        self.inserts.setdefault("environments", []).append(
            {
                "id": int(data["id"]),
                "parent": None if data["parent"] is None else int(data["parent"]),
                "born": self.iteration,
                "score": _number(data["score"]),
                "agent": sha,
                "course": _dump(plain(data["course"])),
                "description": _dump(plain(data["description"])),
            }
        )

    def _transfer(self, seq: int, data: dict[str, Any], sha: str | None) -> None:
        score = _number(data["score"])
        self._insert(
            "transfers",
            seq=seq,
            source=int(data["source"]),
            target=int(data["target"]),
            kind=str(data["kind"]),
            gain=_number(data["gain"]),
            score=score,
            agent=sha,
        )
        self.updates.append((int(data["target"]), {"score": score, "agent": sha}))

    def _solve(self, seq: int, data: dict[str, Any], sha: str | None) -> None:
        values = {"score": _number(data["score"]), "agent": sha, "solved": self.iteration}
        self.updates.append((int(data["id"]), values))

    def _extinction(self, seq: int, data: dict[str, Any], sha: str | None) -> None:
        values = {"score": _number(data["score"]), "agent": sha, "ended": self.iteration}
        self.updates.append((int(data["id"]), values))

    def _score(self, seq: int, data: dict[str, Any], sha: str | None) -> None:
        score = _number(data["score"])
        self._insert(
            "scores", seq=seq, environment=int(data["id"]), score=score, finished=_number(data["finished"])
        )
        self.updates.append((int(data["id"]), {"score": score, **({"agent": sha} if sha else {})}))

    def _metric(self, seq: int, data: dict[str, Any], sha: str | None) -> None:
        self.metrics.update({name: _number(value) for name, value in data.items()})

    def write(self, db: sa.Connection) -> set[str]:
        """Writes the rows; returns the agents that environments let go of."""
        for name, value in self.metrics.items():
            self._insert("metrics", name=name, value=value)
        for table, rows in self.inserts.items():
            db.execute(metadata.tables[table].insert(), rows)
        replaced: set[str] = set()
        for number, values in self.updates:
            if "agent" in values:
                old = sa.select(environments_table.c.agent).where(environments_table.c.id == number)
                replaced |= {sha for sha in db.execute(old).scalars() if sha is not None}
            db.execute(environments_table.update().where(environments_table.c.id == number).values(**values))
        if self.agents:
            known = sa.select(agents_table.c.sha).where(agents_table.c.sha.in_(sorted(self.agents)))
            for sha in db.execute(known).scalars().all():
                del self.agents[sha]
        if self.agents:
            db.execute(agents_table.insert(), list(self.agents.values()))
        return replaced


_KINDS = frozenset({"birth", "transfer", "solve", "extinction", "score", "metric"})


def _plain_event(kind: str, data: dict[str, Any]) -> Any:
    try:
        return plain(data)
    except CodecError as error:
        raise CodecError(f"event {kind}", error.allowed) from None


def _add_blob(blobs: dict[str, bytes], array: np.ndarray) -> str:
    data = blob_of(array)
    sha = sha_of(data)
    blobs[sha] = data
    return sha


def _checkpoint_row(iteration: int, state: str, refs: dict[str, str] | str) -> dict[str, Any]:
    text = refs if isinstance(refs, str) else _dump(refs)
    sha = sha_of(f"{iteration}\n{state}\n{text}".encode())
    return {"iteration": iteration, "state": state, "refs": text, "sha": sha}


def _batches(items: list[str]) -> Iterable[list[str]]:
    return (items[i : i + _BATCH] for i in range(0, len(items), _BATCH))


def _take_lock(folder: Path) -> int:
    """Locks the folder for this process. The system lets go of the lock when the process ends, however it
    ends."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    for wait in (0.05, 0.1, 0.2, 0):  # `is_running` holds it for an instant
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            time.sleep(wait)
    else:
        holder = os.read(lock, 32).decode(errors="replace").strip()
        os.close(lock)
        raise RunError(f"{folder.name}: process {holder or '?'} is already working on this run")
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    return lock


def is_running(folder: Path) -> bool:
    """Whether a process is working on the run in `folder` now."""
    try:
        lock = os.open(folder / "lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _engine(database: Path, url: str | None, write: bool) -> sa.Engine:
    if url is not None and not url.startswith("sqlite"):
        return sa.create_engine(url)
    # On a read-only medium SQLite can make no shared memory; nobody writes there, so it needs none.
    frozen = (
        not write
        and not os.access(database.parent, os.W_OK)
        and not database.with_name("run.db-wal").exists()
    )
    options = "?immutable=1&uri=true" if frozen else "?uri=true"
    engine = sa.create_engine(
        url or f"sqlite:///file:{database.resolve()}{options}", poolclass=sa.pool.StaticPool
    )

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
