"""One run on disk: what the codec brings back, what the store keeps, and what it says when it cannot."""

import fcntl
import json
import math
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np
import optax
import pytest

import toy
from aiga.interfaces import Event
from aiga.runs import store as stored
from aiga.runs.codec import CodecError, decode, encode, plain, types_in
from aiga.runs.loop import drive
from aiga.runs.store import Damaged, Run, RunError, Store, Unwritable
from stores import Place, dump

T = TypeVar("T")


class Moment(NamedTuple):
    mean: np.ndarray
    count: int


@dataclass(frozen=True)
class Leaf:
    size: float
    name: str = "leaf"


@dataclass(frozen=True)
class Tree(Generic[T]):
    leaves: tuple[T, ...]
    moment: Moment
    table: dict[int, list[float]]
    kind: Literal["oak", "elm"]
    score: float | None
    either: Leaf | Moment | None
    free: Any
    generic: T
    odd: dict[str, Any] = field(default_factory=dict)


def tree() -> Tree[Leaf]:
    return Tree(
        leaves=(Leaf(math.nan), Leaf(-math.inf), Leaf(-0.0)),
        moment=Moment(np.arange(6, dtype=np.float64).reshape(2, 3).T, 3),
        table={3: [0.1, 1e-300], -1: []},
        kind="elm",
        score=None,
        either=Moment(np.array(2, np.uint32), 0),
        free=((1, [2.5, None]), np.float32(0.1), {"a": True}),
        generic=Leaf(1.0),
        odd={"$array": 1, "a.b": np.zeros(2, bool), "a": {"b": np.ones(0)}},
    )


def same(a: Any, b: Any) -> bool:
    """Equal to the bit and of equal types, arrays and NaN included."""
    if isinstance(a, np.ndarray | np.generic):
        a, b = np.asarray(a), np.asarray(b)
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return math.copysign(1, a) == math.copysign(1, b) and (a == b or (math.isnan(a) and math.isnan(b)))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if hasattr(a, "__dataclass_fields__"):
        return all(same(getattr(a, name), getattr(b, name)) for name in a.__dataclass_fields__)
    return a == b


def test_a_state_comes_back_as_it_was() -> None:
    first = tree()
    encoded = encode(first)
    text = json.dumps(encoded.tree, allow_nan=False)
    again = decode(Tree, json.loads(text), encoded.arrays, types_in(first))
    assert same(again, first)


def test_classes_of_one_name_and_classes_of_libraries_come_back() -> None:
    """An optimiser's state says what its fields are to type checkers alone."""
    other = NamedTuple("Leaf", [("colour", Any), ("adam", Any)])  # noqa: UP014
    adam = optax.scale_by_adam().init(np.zeros(3, np.float32))
    first = {"one": other("red", adam), "two": Leaf(1.0)}
    encoded = encode(first)
    again = decode(Any, encoded.tree, encoded.arrays, types_in(first))
    assert same(again["two"], first["two"]) and type(again["one"]) is other
    assert type(again["one"].adam) is type(adam) and same(again["one"].adam.mu, np.asarray(adam.mu))


def test_numbers_settle_to_what_the_annotation_says() -> None:
    encoded = encode(Leaf(np.float32(0.1)))  # type: ignore[arg-type]
    leaf = decode(Leaf, encoded.tree, encoded.arrays)
    assert type(leaf.size) is float
    assert leaf.size == float(np.float32(0.1))


def test_plain_data_keeps_every_digit() -> None:
    numbers = np.array([0.1, 1 / 3, 1e-20, np.nan], np.float32)
    written = json.loads(json.dumps(plain({"x": numbers}), allow_nan=False))["x"]
    assert written[3] is None
    assert np.array_equal(np.array(written[:3], np.float32), numbers[:3])
    assert len(str(written[0])) == 3  # as short as can be


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        (Leaf, {"size": "big"}, "size: a number, not 'big'"),
        (Leaf, {"size": True}, "size: a number, not True"),
        (Leaf, {"siez": 1}, "siez: unknown field; Leaf has size, name"),
        (Leaf, {}, "Leaf with its fields size"),
        (tuple[Leaf, ...], [{"size": 1}, {"size": None}], "1.size: a number, not None"),
        (toy.Config, {"es": {"rate": 2}}, "es.rate: above 0, up to 1"),
        (toy.Config, {"reach": [1]}, "reach: 2 values, not 1"),
        (Any, {"$type": "Popen"}, "a known type, not Popen"),
        (dict[str, Literal["a"]], {"k": "b"}, "k: one of 'a', not 'b'"),
    ],
)
def test_data_that_does_not_fit_is_named(kind: Any, data: Any, message: str) -> None:
    with pytest.raises(CodecError) as caught:
        decode(kind, data)
    assert str(caught.value).startswith(message)


def test_what_cannot_be_stored_is_named() -> None:
    with pytest.raises(CodecError, match=r"^a\.1: dataclasses, tuples.*not a set"):
        encode({"a": [1, {2}]})


# -- the store ----------------------------------------------------------------------------------------------


def config() -> dict[str, Any]:
    return plain(toy.Config())


def run_toy(place: Place, iterations: int, name: str = "night", **options: Any) -> int:
    with place.open(name, write=True) as store:
        return drive(toy.Toy(toy.Config()), store, Run("toy", 3, config()), iterations=iterations, **options)


@pytest.fixture(scope="module")
def finished(shelf: Place) -> Place:
    """A run of 40 iterations, `night`; tests copy it before they change it."""
    assert run_toy(shelf, 40) == 40
    return shelf


@pytest.fixture
def night(finished: Place, tmp_path: Path) -> Place:
    return finished.copy(tmp_path)


@pytest.fixture(scope="module")
def finished_folder(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("folders"))
    run_toy(place, 40)
    return place


@pytest.fixture
def folder(finished_folder: Place, tmp_path: Path) -> Path:
    """The same run's, for what only folders can suffer."""
    return finished_folder.copy(tmp_path).folder / "night"


def test_every_event_becomes_its_rows(place: Place) -> None:
    log: list[tuple[int, Event]] = []
    run_toy(place, 40, listen=[lambda step: log.extend((step.iteration, e) for e in step.events)])

    def of(kind: str) -> list[tuple[int, dict[str, Any]]]:
        return [(i, event.data) for i, event in log if event.kind == kind]

    with place.open() as store:
        rows = {row["id"]: row for row in store.rows("environments")}
        for i, birth in of("birth"):
            row = rows[birth["id"]]
            assert (row["born"], row["parent"]) == (i, birth["parent"])
            assert row["course"] == plain(birth["course"])
        assert {i: row["ended"] for i, row in rows.items() if row["ended"]} == {
            data["id"]: i for i, data in of("extinction")
        }
        assert {i: row["solved"] for i, row in rows.items() if row["solved"]} == {
            data["id"]: i for i, data in of("solve")
        }
        moved = [
            (row["iteration"], row["source"], row["target"], row["kind"]) for row in store.rows("transfers")
        ]
        assert moved == [(i, data["source"], data["target"], data["kind"]) for i, data in of("transfer")]
        assert len(store.rows("scores")) == len(of("score"))
        assert all(row["score"] is None or math.isfinite(row["score"]) for row in store.rows("scores"))
        kept = [(row["iteration"], row["kind"]) for row in store.rows("events")]
        assert kept == [(i, event.kind) for i, event in log if event.kind not in ("score", "metric")]
        summary = store.summary()
        assert summary.metrics == {**of("metric")[-1][1], "loss": None}
        gains = [data["gain"] for _, data in of("transfer") if math.isfinite(data["gain"])]
        assert summary.best_transfer is not None
        assert summary.best_transfer[2] == max(gains)
        # The agents that rows name are there, the present one of an environment too.
        last = [event.data for _, event in log if event.kind == "score"][-1]
        assert np.array_equal(store.array(store.find_agent(str(last["id"]))), last["agent"])
        named = store.rows("transfers")[0]["agent"]
        assert np.array_equal(store.array(store.find_agent(named[:10])), of("transfer")[0][1]["agent"])


def test_what_nothing_names_is_deleted(night: Place) -> None:
    with night.open() as store:
        _, encoded = store.load()
        named = {row["sha"] for row in store.rows("agents")} | {
            row["agent"] for row in store.rows("environments")
        }
        held = {row["sha"] for row in store.rows("blobs")}
        in_state = {stored.sha_of(stored.blob_of(array)) for array in encoded.arrays.values()}
        assert held == named | in_state
        large = {row["sha"] for row in store.rows("blobs") if row["size"] > stored.LARGE}
        apart = {row["sha"] for row in store.rows("blobs") if row["bytes"] is None}
    # The state's one array over a megabyte is a file where there is a folder; its forerunners are gone.
    assert {path.stem for path in night.folder.glob("night/blobs/*")} == apart
    assert apart == (large if night.server is None else set())
    assert len(large) == 1


def test_a_second_writer_is_refused_and_readers_are_not(night: Place) -> None:
    runs = stored.runs_of(night.folder, night.url)
    with night.open(write=True):
        with pytest.raises(RunError, match=r"^night: process \d+( on \S+)? is already working on this run$"):
            night.open(write=True)
        assert runs.database("night").is_running()
        with night.open() as reader:
            assert reader.summary().iteration == 40
    night.open(write=True).close()


@pytest.mark.parametrize("was", ["another program's", "empty", "a folder", "nothing", "reserved"])
def test_a_run_that_does_not_begin_removes_what_it_made_alone(tmp_path: Path, was: str) -> None:
    folder = tmp_path / "night"
    if was != "nothing":
        folder.mkdir()
    if was == "another program's":
        with closing(sqlite3.connect(folder / "run.db")) as db, db:
            db.execute("CREATE TABLE notes AS SELECT 'mine' AS text")
    elif was == "empty":
        (folder / "run.db").touch()
        (folder / "blobs").mkdir()
    before = {path.name for path in folder.glob("*")}
    with pytest.raises(KeyError, match="why"), Store.open(folder, write=True, reserved=was == "reserved"):
        raise KeyError("why")
    assert folder.exists() == (was not in ("nothing", "reserved"))
    assert {path.name for path in folder.glob("*")} == before
    if was == "another program's":
        with closing(sqlite3.connect(folder / "run.db")) as db:
            assert db.execute("SELECT text FROM notes").fetchall() == [("mine",)]


def test_what_others_put_into_a_run_that_does_not_begin_stays(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "night", write=True)
    with closing(sqlite3.connect(tmp_path / "night" / "run.db")) as db, db:
        db.execute("CREATE TABLE notes (text)")
    with pytest.raises(KeyError, match="why"), store:
        raise KeyError("why")
    assert (tmp_path / "night" / "run.db").exists()


def test_an_error_is_told_also_where_nothing_can_be_removed(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "night", write=True)
    shutil.rmtree(tmp_path / "night")
    with pytest.raises(KeyError, match="why"), store:
        raise KeyError("why")


def test_the_lock_of_a_forgotten_run_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first writer forgets its run between the second one's opening of the lock and its taking it."""
    first, flock = Store.open(tmp_path / "night", write=True), fcntl.flock

    def late(lock: int, how: int) -> None:
        monkeypatch.undo()
        first.__exit__(KeyError)
        flock(lock, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with Store.open(tmp_path / "night", write=True):
        with pytest.raises(RunError, match="is already working on this run"):
            Store.open(tmp_path / "night", write=True)


def test_readers_see_one_commit(night: Place) -> None:
    """Also while the run goes on: what is let go of after the snapshot was taken is not taken for damage."""
    with night.open() as reader, reader.snapshot():
        before = reader.summary()
        with night.open(write=True) as store:
            drive(
                toy.Toy(toy.Config()),
                store,
                Run("toy", 3, config()),
                iterations=50,
                listen=[lambda step: reader.verify()],
            )
        assert reader.summary() == before
        assert before.iteration == 40
    with night.open() as reader:
        assert reader.summary().iteration == 50


def test_files_of_an_interrupted_commit_are_swept(folder: Path) -> None:
    for name in ("0" * 64 + ".safetensors", "1" * 64 + ".part"):
        (folder / "blobs" / name).write_bytes(b"half")
    Store.open(folder, write=True).close()
    assert len(list((folder / "blobs").iterdir())) == 1


def scribble(folder: Path) -> None:
    """Overwrites one page in the middle of the table of scores."""
    with sqlite3.connect(folder / "run.db") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'scores'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    db.close()
    with open(folder / "run.db", "r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xaa" * size)


FIRST = "(SELECT min(sha) FROM blobs WHERE bytes IS NOT NULL)"
LAST = "(SELECT max(sha) FROM blobs WHERE bytes IS NOT NULL)"


def verify(place: Place) -> str:
    """What is said of a damaged run."""
    with pytest.raises(Damaged) as caught, place.open() as store:
        store.verify()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            f"UPDATE blobs SET bytes = (SELECT bytes FROM blobs WHERE sha = {LAST}) WHERE sha = {FIRST}",
            r"blobs [0-9a-f]{64}: its bytes do not match its SHA-256",
        ),
        (f"DELETE FROM blobs WHERE sha = {FIRST}", r"blobs [0-9a-f]{64} is missing"),
        ("UPDATE environments SET course = '{' WHERE id = 2", "environments 2, course: not JSON"),
        (
            "UPDATE checkpoint SET state = replace(state, '2.5', '3.5')",
            "checkpoint 1 does not match its SHA-256",
        ),
        ("DELETE FROM run", "run 1 is missing"),
    ],
)
def test_damage_is_named_by_its_row(night: Place, harm: str, message: str) -> None:
    with night.open() as store:
        store.verify()
    night.edit(harm)
    assert re.match(f"night: damaged: {message}", verify(night))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            lambda folder: next((folder / "blobs").iterdir()).unlink(),
            r"blobs [0-9a-f]{64}: its file is missing",
        ),
        (
            lambda folder: Place(folder.parent).edit(
                "UPDATE events SET data = CAST(X'7BFFFE7D' AS TEXT) WHERE iteration > 20"
            ),
            r"events, the row after \d+ \d+: Could not decode to UTF-8",
        ),
        (scribble, "scores, the first row: "),
        (
            lambda folder: (folder / "run.db").write_bytes(b"not a database" * 1000),
            "run.db: file is not a database",
        ),
    ],
)
def test_damage_of_a_file_is_named(folder: Path, harm: Callable[[Path], Any], message: str) -> None:
    harm(folder)
    assert re.match(f"night: damaged: {message}", verify(Place(folder.parent)))


def test_a_run_of_a_newer_version_is_refused(night: Place) -> None:
    night.edit("UPDATE run SET format = 7")
    with pytest.raises(RunError, match=r"^night: made by a newer aiga \(format 7; this one reads up to 1\)$"):
        night.open()


def test_a_state_that_no_longer_fits_is_refused(night: Place) -> None:
    with night.open(write=True) as store:
        iteration, encoded = store.load()
        encoded.tree["best"] = "high"
        store.commit(iteration + 1, [], encoded, 0.0)
    with pytest.raises(RunError, match="its state does not fit this version of the system: best: "):
        run_toy(night, 50)


def test_a_run_on_a_medium_that_cannot_be_written_is_still_read(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with Store.open(folder) as store:
        assert store.summary().iteration == 40
    assert {path.name for path in folder.iterdir()} == {"run.db", "lock", "blobs"}


def test_a_full_database_ends_the_run_at_its_last_commit(tmp_path: Path) -> None:
    reached: list[int] = []
    with Store.open(tmp_path / "night", write=True) as store:

        def fill(step: Any) -> None:
            reached.append(step.iteration)
            with store._engine.connect() as db:
                pages = db.exec_driver_sql("PRAGMA page_count").scalar_one()
                db.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")

        with pytest.raises(Unwritable, match=r"^night: the disk is full$"):
            drive(toy.Toy(toy.Config()), store, Run("toy", 3, config()), listen=[fill])
    with Store.open(tmp_path / "night") as store:
        assert store.summary().iteration == reached[-1]
        store.verify()
    # With room again it goes on as if nothing had been.
    for name in ("night", "other"):
        run_toy(Place(tmp_path), reached[-1] + 5, name)
    assert dump(tmp_path / "night") == dump(tmp_path / "other")


def test_a_file_that_may_not_grow_ends_the_run_in_one_line(tmp_path: Path) -> None:
    """The operating system refuses to write, as it does on a full disk or beyond a quota."""

    program = (
        "import resource, sys; sys.path.insert(0, sys.argv[1]); import toy\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
        "sys.exit(toy.main(sys.argv[2:]))"
    )
    command = [sys.executable, "-c", program, str(Path(toy.__file__).parent), "run", "toy", "--name", "night"]
    ran = subprocess.run(
        [*command, "--runs-dir", str(tmp_path), "--iterations", "500"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert len(ran.stderr.splitlines()) == 1, ran.stderr
    assert ran.stderr.startswith("aiga: ")
    assert "left it" in ran.stderr
