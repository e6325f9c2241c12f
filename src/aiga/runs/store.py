"""One run in its database, everything an iteration did in one transaction.

SQLAlchemy Core only, so that the same text serves SQLite (the default, `run.db` in the run's folder) and
PostgreSQL (by URL, a schema to a run); `sqlite` and `postgres` hold what differs. Every table but `clock`,
`sessions` and `candidates` follows from configuration and seed alone: two runs of the same seed hold the same
rows, however often one of them was killed. `clock` and `sessions` hold what the wall clock said, `candidates`
what people sent: a run that took some over follows from configuration, seed and those rows, each with the
iteration in which it was taken.

A blob is a safetensors file with one tensor, `data`, named by the SHA-256 of its bytes. Blobs stay while a
row or the checkpoint names them.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, Float, Integer, LargeBinary, String, Table, Text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

from aiga.interfaces import Event
from aiga.runs.codec import CodecError, Encoded, plain
from aiga.runs.errors import Damaged, Lost, RunError, Unwritable
from aiga.runs.sqlite import Folder, Folders

if TYPE_CHECKING:
    from aiga.runs.postgres import Schema, Server

__all__ = ["Damaged", "Lost", "Run", "RunError", "Store", "Summary", "Unwritable", "runs_of"]

FORMAT = 1
LARGE = 1 << 20  # bytes; a larger blob is a file, where the database has a folder
_BATCH = 500  # values in one IN (...), below every database's limit

metadata = sa.MetaData()

# Sorted by bytes, as SQLite does, whatever the language of the server.
_Name = String().with_variant(postgresql.VARCHAR(collation="C"), "postgresql")

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
    Column("name", _Name, primary_key=True),
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
# Courses from outside. Whoever sends one writes its first four columns, the run all others.
candidates_table = Table(
    "candidates",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("parent", Integer),
    Column("course", Text, nullable=False),
    Column("taken", Integer),
    Column("decided", Integer, index=True),
    Column("verdict", String),
    Column("stage", String),
    Column("score", Float),
    Column("environment", Integer),
    Column("problem", Text),
)
_NAMING = (environments_table, transfers_table, agents_table)  # their agents have blobs
FROM_OUTSIDE = frozenset({"clock", "sessions", "candidates"})  # what configuration and seed do not decide
WAITING = 20  # candidates without a verdict, at most

_JSON_COLUMNS = {
    "run": ("config",),
    "events": ("data",),
    "environments": ("course", "description"),
    "checkpoint": ("state", "refs"),
    "sessions": ("versions",),
    "candidates": ("course",),
}


@dataclass(frozen=True)
class Run:
    """What a run was started with."""

    system: str
    seed: int
    config: dict[str, Any]


@dataclass(frozen=True)
class Waiting:
    """A candidate that no iteration has taken over yet."""

    id: int
    parent: int | None  # id of the environment it was drawn from
    course: dict[str, Any]


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


def runs_of(folder: Path, url: str | None) -> Folders | Server:
    """The runs in `folder`, or in the PostgreSQL database of `url`. Raises `RunError`."""
    if url is None:
        return Folders(folder)
    from aiga.runs.postgres import Server

    return Server(url)


class Store:
    """The database of one run; `Store.open` makes one. Use it as a context manager.

    A writer holds the run's lock: there is one at a time. Readers need none and see the last commit.
    """

    def __init__(self, database: Folder | Schema, engine: sa.Engine, write: bool):
        self.name = database.name
        self._database = database
        self._engine = engine
        self._write = write
        self._files = database.files
        self._blobs: set[str] = set()  # what the database holds
        self._refs: set[str] = set()  # what the checkpoint names
        self._snapshot: sa.Connection | None = None

    @classmethod
    def open(
        cls, folder: str | Path, *, write: bool = False, url: str | None = None, reserved: bool = False
    ) -> Store:
        """Opens the run in `folder` to read, or to write, which makes it where it is missing.

        With `url`, as in postgresql://user@host/database, it is in that database under the folder's name;
        the folder itself is not touched then. `reserved` says that `reserve` took the name for this run, so
        that what it made goes too where the run does not begin. Raises `RunError`: no such run, another
        process is writing it, a newer format, a damaged database, a server that cannot be reached.
        """
        folder = Path(folder)
        database = runs_of(folder.parent, url).database(folder.name)
        return cls._opened(database, lambda: database.open(write, reserved), write)

    @classmethod
    def beside(cls, folder: str | Path, *, url: str | None = None) -> Store:
        """Opens a run as `open` does, beside the process that works on it and without its lock: to read, and
        to `propose`."""
        folder = Path(folder)
        database = runs_of(folder.parent, url).database(folder.name)
        return cls._opened(database, database.beside, False)

    @classmethod
    def _opened(cls, database: Folder | Schema, connect: Callable[[], sa.Engine], write: bool) -> Store:
        try:
            store = cls(database, connect(), write)
        except BaseException:
            database.close()
            raise
        try:
            store._prepare()
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        try:
            self._engine.dispose()
        finally:
            self._database.close()

    def __str__(self) -> str:
        """Where the run is, without a password."""
        return str(self._database)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Closes it. Of a run that an error kept from beginning nothing stays behind, of others all does."""
        try:
            if kind is not None and self._write:
                self._forget()
        finally:
            self.close()

    def _forget(self) -> None:
        # Whatever goes wrong here, the error that leads here is the one to be told.
        with suppress(RunError, DBAPIError, sqlite3.Error, OSError):
            with self._transaction() as db:
                if self._begun(db) or not self._database.vacant(db):
                    return
                if self._database.schema is not None:
                    db.execute(sa.schema.DropSchema(self._database.schema))
            self._engine.dispose()
            self._database.forget()

    # -- writing --------------------------------------------------------------------------------------------

    def begin(self, run: Run, state: Encoded) -> None:
        """The first commit: what the run is, and its state before the first iteration."""
        blobs, text, refs = self._checkpoint_parts(state)
        with self._writing(blobs):
            with self._transaction() as db:
                schema = self._database.schema
                if schema is not None and not sa.inspect(db).has_schema(schema):
                    db.execute(sa.schema.CreateSchema(schema))
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

    def commit(
        self,
        iteration: int,
        events: Sequence[Event],
        state: Encoded,
        seconds: float,
        taken: Mapping[int, str | None] | None = None,
    ) -> None:
        """Everything iteration `iteration` did, or nothing of it. `seconds` is how long it took, `taken` the
        candidates it began with: nothing where the state has taken one over, else what is wrong with it.

        Raises `Unwritable` when the disk is full; what was committed before is untouched.
        """
        blobs, text, refs = self._checkpoint_parts(state)
        projection = _Projection(iteration, blobs)
        for seq, happened in enumerate(events):
            projection.add(seq, happened)
        with self._writing(blobs):
            with self._transaction() as db:
                self._insert_blobs(db, blobs)
                self._take(db, iteration, taken or {})
                replaced = projection.write(db)
                db.execute(checkpoint_table.update().values(**_checkpoint_row(iteration, text, refs)))
                db.execute(clock_table.insert().values(iteration=iteration, at=time.time(), seconds=seconds))
                loose = self._delete_loose(db, (self._refs | replaced | set(blobs)) - set(refs.values()))
        self._blobs = (self._blobs | set(blobs)) - loose
        self._refs = set(refs.values())
        if self._files:
            for sha in loose:
                self._files.remove(sha)

    def propose(self, text: str, parent: int | None) -> int:
        """Inserts a candidate that waits for the run, its course as JSON; returns its id.

        Raises `RunError`: not begun, no table for it yet, `parent` is no environment, `WAITING` of them wait.
        """
        environments, candidates = environments_table.c, candidates_table.c
        with self._transaction() as db:
            if not self._begun(db):
                raise RunError(f"{self.name}: has not begun yet")
            if not self._has(db, candidates_table):
                raise RunError(
                    f"{self.name}: made by an older aiga: continue it once, then it takes candidates"
                )
            known = sa.select(environments.id).where(environments.id == parent)
            if parent is not None and db.execute(known).first() is None:
                raise RunError(f"parent: an environment of {self.name}, not {parent}")
            waiting = sa.select(sa.func.count()).where(candidates.decided.is_(None))
            if db.execute(waiting).scalar_one() >= WAITING:
                raise RunError(f"{self.name}: {WAITING} candidates wait already, wait until some are decided")
            row = candidates_table.insert().values(at=time.time(), parent=parent, course=text)
            [key] = list(db.execute(row).inserted_primary_key or ())
            return key

    def waiting(self) -> list[Waiting]:
        """The candidates that no iteration has taken over yet, in the order they came."""
        candidates = candidates_table.c
        query = sa.select(candidates.id, candidates.parent, candidates.course)
        query = query.where(candidates.decided.is_(None), candidates.taken.is_(None)).order_by(candidates.id)
        with self._transaction() as db:
            rows = db.execute(query).all()
        return [Waiting(i, parent, self._parse(text, f"candidates {i}, course")) for i, parent, text in rows]

    def _take(self, db: sa.Connection, iteration: int, taken: Mapping[int, str | None]) -> None:
        for candidate, problem in taken.items():
            values = {"decided": iteration, "problem": problem} if problem else {"taken": iteration}
            db.execute(candidates_table.update().where(candidates_table.c.id == candidate).values(**values))

    def _checkpoint_parts(self, state: Encoded) -> tuple[dict[str, bytes], str, dict[str, str]]:
        blobs: dict[str, bytes] = {}
        refs = {name: _add_blob(blobs, array) for name, array in state.arrays.items()}
        return blobs, _dump(state.tree), refs

    def _apart(self, data: bytes) -> bool:
        return self._files is not None and len(data) > LARGE

    @contextmanager
    def _writing(self, blobs: dict[str, bytes]) -> Iterator[None]:
        """Large new blobs as files before the rows that name them; a file no row came to name is removed."""
        if self._files is None:
            yield
            return
        written = []
        try:
            for sha, data in blobs.items():
                if self._apart(data) and sha not in self._blobs:
                    written.append(sha)
                    self._files.write(sha, data)
            yield
        except BaseException:
            for sha in written:
                self._files.remove(sha)
            raise

    def _insert_blobs(self, db: sa.Connection, blobs: dict[str, bytes]) -> None:
        rows = [
            {"sha": sha, "size": len(data), "bytes": None if self._apart(data) else data}
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
        """Everything read inside sees one commit, however the run goes on meanwhile; may stand in another."""
        with self._transaction() as db:
            before, self._snapshot = self._snapshot, db
            try:
                yield
            finally:
                self._snapshot = before

    def run(self) -> Run | None:
        """What the run was started with; None while its first commit is still to come."""
        with self._transaction() as db:
            if not self._begun(db):
                return None
            row = db.execute(sa.select(run_table)).first()
            return Run(row.system, row.seed, self._parse(row.config, "run 1, config")) if row else None

    def iteration(self) -> int:
        """The last one that was committed."""
        return self.select(sa.select(checkpoint_table.c.iteration))[0].iteration

    def load(self) -> tuple[int, Encoded]:
        """The last checkpoint: its iteration and its state."""
        with self._transaction() as db:
            iteration, state, refs = self._checkpoint(db)
            return iteration, Encoded(state, {name: self._read_blob(db, sha) for name, sha in refs.items()})

    def _checkpoint(self, db: sa.Connection) -> tuple[int, Any, dict[str, str]]:
        row = db.execute(sa.select(checkpoint_table)).first()
        if row is None:
            raise Damaged(f"{self.name}: damaged: checkpoint 1 is missing")
        if _checkpoint_row(row.iteration, row.state, row.refs)["sha"] != row.sha:
            raise Damaged(f"{self.name}: damaged: checkpoint 1 does not match its SHA-256")
        state = self._parse(row.state, "checkpoint 1, state")
        return row.iteration, state, self._parse(row.refs, "checkpoint 1, refs")

    def array(self, sha: str) -> np.ndarray:
        """The array of a blob, its bytes checked against its name."""
        with self._transaction() as db:
            return self._read_blob(db, sha)

    def rows(
        self, table: str, after: tuple[int, int] | None = None, *, without: Collection[str] = ()
    ) -> list[dict[str, Any]]:
        """A table in the order of its key, JSON columns parsed; none where the run is older than the table.

        `after` (iteration, seq) leaves out what came up to there, for tables that have both; `without` names
        columns that are left out.
        """
        source = metadata.tables[table]
        columns = [column for column in source.columns if column.name not in without]
        query = sa.select(*columns).order_by(*source.primary_key.columns)
        if after is not None:
            iteration, seq = source.c.iteration, source.c.seq
            later = sa.and_(iteration == after[0], seq > after[1])
            query = query.where(sa.or_(iteration > after[0], later))
        with self._transaction() as db:
            if not self._has(db, source):
                return []
            return [self._plain_row(source, row) for row in db.execute(query).mappings()]

    def select(self, query: sa.Select) -> list[Any]:
        """The rows of a query over the tables of this module, as it gives them: JSON columns are text."""
        with self._transaction() as db:
            return list(db.execute(query))

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
        environments, transfers = environments_table.c, transfers_table.c
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
            values = self._latest_metrics(db)
        return Summary(
            iteration, born, born - ended, ended, solved, moved, tuple(best) if best else None, values
        )

    def _latest_metrics(self, db: sa.Connection) -> dict[str, float | None]:
        """The last value of each: a few looks into the key for each, however long the run is."""
        name, found = metrics_table.c.name, {}
        query = sa.select(sa.func.min(name))
        while (following := db.execute(query).scalar_one()) is not None:
            value = sa.select(metrics_table.c.value).where(name == following)
            value = value.order_by(metrics_table.c.iteration.desc()).limit(1)
            found[following] = db.execute(value).scalar_one()
            query = sa.select(sa.func.min(name)).where(name > following)
        return found

    def verify(self) -> None:
        """Reads everything once. Raises `Damaged` naming the first row that is not as it was written."""
        with self._transaction() as db:
            wrong = self._database.check(db)
            # Row by row, also where the whole is known to be damaged: the first unreadable row has a name.
            held: set[str] = set()
            named: set[str] = set()
            for source in metadata.sorted_tables:
                if self._has(db, source):
                    self._verify_table(db, source, held, named)
            if wrong:
                raise Damaged(f"{self.name}: damaged: {wrong}")
            missing = (named | set(self._checkpoint(db)[2].values())) - held
            if missing:
                raise Damaged(f"{self.name}: damaged: blobs {min(missing)} is missing")

    def _verify_table(self, db: sa.Connection, source: Table, held: set[str], named: set[str]) -> None:
        """Adds to `held` the blobs that are there, to `named` those that rows speak of."""
        keys = [column.name for column in source.primary_key.columns]
        query = sa.select(source).order_by(*source.primary_key.columns)
        # A blob may be large: one in memory at a time.
        query = query.execution_options(yield_per=1 if source is blobs_table else self._database.batch)
        last = "the first row"
        try:
            with db.execute(query) as found:
                for row in found.mappings():
                    if source is blobs_table:
                        held.add(row["sha"])
                        if row["bytes"] is not None or not self._let_go(row["sha"]):
                            self._check_blob(row["sha"], row["size"], row["bytes"])
                    else:
                        self._plain_row(source, row)
                    if source in _NAMING:
                        named |= {row[column] for column in ("agent", "sha") if row.get(column)}
                    last = f"the row after {' '.join(str(row[key]) for key in keys)}"
        except DBAPIError as error:
            if isinstance(known := self._database.explain(error), Lost):
                raise known from None
            problem = " ".join(str(error.orig).split())
            raise Damaged(f"{self.name}: damaged: {source.name}, {last}: {problem}") from None

    def _plain_row(self, source: Table, row: Mapping[Any, Any]) -> dict[str, Any]:
        values = dict(row)
        key = " ".join(str(row[column.name]) for column in source.primary_key.columns)
        for column in values.keys() & _JSON_COLUMNS.get(source.name, ()):
            values[column] = self._parse(values[column], f"{source.name} {key}, {column}")
        return values

    def _parse(self, text: str, row: str) -> Any:
        try:
            return json.loads(text)
        except (TypeError, ValueError):
            raise Damaged(f"{self.name}: damaged: {row}: not JSON") from None

    def _read_blob(self, db: sa.Connection, sha: str) -> np.ndarray:
        from safetensors.numpy import load

        row = db.execute(sa.select(blobs_table).where(blobs_table.c.sha == sha)).first()
        if row is None:
            raise Damaged(f"{self.name}: damaged: blobs {sha} is missing")
        return load(self._check_blob(sha, row.size, row.bytes))["data"]

    def _let_go(self, sha: str) -> bool:
        """Whether a file may be gone because the run went on after the snapshot was taken."""
        gone = self._files is not None and not self._files.path(sha).exists()
        return gone and not self._write and self._database.is_running()

    def _check_blob(self, sha: str, size: int, data: bytes | None) -> bytes:
        if data is None and self._files:
            try:
                data = self._files.path(sha).read_bytes()
            except FileNotFoundError:
                raise Damaged(f"{self.name}: damaged: blobs {sha}: its file is missing") from None
        if data is None or len(data) != size or sha_of(data) != sha:
            raise Damaged(f"{self.name}: damaged: blobs {sha}: its bytes do not match its SHA-256")
        return data

    # -- the database ---------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Refuses what this version cannot read; a writer also picks up what it needs to know."""
        with self._transaction() as db:
            if not self._begun(db):
                return
            made = db.execute(sa.select(run_table.c.format)).scalar()
            if made is None:
                raise Damaged(f"{self.name}: damaged: run 1 is missing")
            if made > FORMAT:
                raise RunError(
                    f"{self.name}: made by a newer aiga (format {made}; this one reads up to {FORMAT})"
                )
            if not self._write:
                return
            if not self._has(db, candidates_table):
                candidates_table.create(db)
            self._blobs = set(db.execute(sa.select(blobs_table.c.sha)).scalars())
            refs = db.execute(sa.select(checkpoint_table.c.refs)).scalar()
            self._refs = set(self._parse(refs or "{}", "checkpoint 1, refs").values())
        if self._files:
            self._files.sweep(self._blobs)

    def _begun(self, db: sa.Connection) -> bool:
        return sa.inspect(db).has_table("run", schema=self._database.schema)

    def _has(self, db: sa.Connection, table: Table) -> bool:
        """False for what came after the run was made; that any other table is missing is damage."""
        return table is not candidates_table or sa.inspect(db).has_table(
            table.name, schema=self._database.schema
        )

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        if self._snapshot is not None:
            yield self._snapshot
            return
        try:
            with self._engine.begin() as db:
                yield db
        except (DBAPIError, sqlite3.Error) as error:
            if known := self._database.explain(error):
                raise known from None
            raise


class _Projection:
    """Turns events into rows. Scores and metrics are rows of their own and are not kept twice as events."""

    def __init__(self, iteration: int, blobs: dict[str, bytes]):
        self.iteration = iteration
        self.blobs = blobs
        self.inserts: dict[str, list[dict[str, Any]]] = {}
        self.updates: list[tuple[int, dict[str, Any]]] = []
        self.verdicts: list[tuple[int, dict[str, Any]]] = []  # by candidate
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
        self._judge(data, verdict="admitted", environment=int(data["id"]))

    def _rejection(self, seq: int, data: dict[str, Any], sha: str | None) -> None:
        self._judge(data, verdict=str(data["reason"]), stage=str(data["stage"]))

    def _judge(self, data: dict[str, Any], **values: Any) -> None:
        """What became of a candidate, where the event is about one."""
        if data.get("candidate") is not None:
            values |= {"decided": self.iteration, "score": _number(data["score"])}
            self.verdicts.append((int(data["candidate"]), values))

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
        for number, values in self.verdicts:
            db.execute(candidates_table.update().where(candidates_table.c.id == number).values(**values))
        if self.agents:
            known = sa.select(agents_table.c.sha).where(agents_table.c.sha.in_(sorted(self.agents)))
            for sha in db.execute(known).scalars().all():
                del self.agents[sha]
        if self.agents:
            db.execute(agents_table.insert(), list(self.agents.values()))
        return replaced


_KINDS = frozenset({"birth", "rejection", "transfer", "solve", "extinction", "score", "metric"})


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
