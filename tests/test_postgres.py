"""What only a server can do to a run: be away, refuse, end a connection in the middle of a commit."""

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import postgres
import toy
from aiga.interfaces import Event
from aiga.runs.loop import Step, drive
from aiga.runs.postgres import Server
from aiga.runs.store import Lost, Run, RunError, Store, Unwritable, runs_of
from stores import Place
from test_cli import refuse, say
from test_runs import config, run_toy


@pytest.fixture
def place(server: postgres.Server, tmp_path: Path) -> Place:
    return Place(tmp_path, server, server.create())


def test_rows_are_those_of_a_folder(place: Place, tmp_path: Path) -> None:
    run_toy(place, 20)
    run_toy(Place(tmp_path), 20)
    here, there = place.dump(), Place(tmp_path).dump()
    large = {row["sha"]: row for row in there["blobs"] if row["bytes"] is None}
    assert set(large) == {name.removesuffix(".safetensors") for name in there["files"]}
    for row in large.values():
        row["bytes"] = there["files"][f"{row['sha']}.safetensors"]
    assert {**here, "files": None} == {**there, "files": None}


def test_nothing_is_in_a_folder(place: Place) -> None:
    run_toy(place, 3)
    assert not list(place.folder.iterdir())


@pytest.mark.parametrize("named", [["--name", "bad"], []])
def test_a_run_that_is_refused_leaves_no_schema(
    place: Place, named: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "automl-zero", "--runs-dir", place.folder, "--store", place.url, *named]
    assert refuse(capsys, *words, "--task", "folder:/nowhere/at/all").startswith("task: /nowhere/at/all: ")
    assert runs_of(place.folder, place.url).taken() == []


@pytest.mark.parametrize("held", ["", 'CREATE TABLE "aiga_bad".notes (text text)'])
@pytest.mark.parametrize("reserved", [False, True])
def test_a_schema_that_was_there_before_stays(place: Place, held: str, reserved: bool) -> None:
    assert place.server is not None
    place.server.say(f'CREATE SCHEMA "aiga_bad"; {held}', place.database)
    with (
        pytest.raises(KeyError, match="why"),
        Store.open(place.folder / "bad", write=True, url=place.url, reserved=reserved),
    ):
        raise KeyError("why")
    there = runs_of(place.folder, place.url).taken() == ["bad"]
    assert there == bool(held or not reserved)


@pytest.mark.parametrize(
    ("url", "line"),
    [
        (
            "postgresql://aiga:{password}@127.0.0.1:1/none",
            r"store: postgresql://aiga@127\S*:1/none: .*refused",
        ),
        ("postgresql://aiga:{password}x@127.0.0.1:{port}/postgres", "store: .*authentication failed"),
        ("postgresql://aiga:{password}@127.0.0.1:{port}/none", 'store: .*database "none" does not exist'),
        ("postgresql://aiga:a@{password}@127.0.0.1:{port}/none", "store: .* is expected, with %40 for an @"),
        ("postgresql://aiga:{password}", "store: postgresql://USER@HOST:PORT/DATABASE is expected"),
        ("mysql://aiga:{password}@127.0.0.1/none", "store: .* is expected, not mysql"),
        ("{password}", "store: .* is expected"),
    ],
    ids=["unreachable", "password", "database", "two @", "no host", "another", "none"],
)
def test_what_is_wrong_with_a_server_is_one_line_without_a_password(
    server: postgres.Server, tmp_path: Path, url: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = url.format(password=postgres.PASSWORD, port=server.port)
    for words in (["list"], ["show", "night"], ["run", "toy", "--name", "night"], ["run", "toy"]):
        said = refuse(capsys, *words, "--store", url, "--runs-dir", tmp_path)
        assert postgres.PASSWORD not in said
        assert re.match(line, said), said


def test_a_missing_driver_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(RunError, match=r"^store: postgresql needs pip install 'aiga\[postgres\]'$"):
        Store.open(tmp_path / "night", url="postgresql://nobody@127.0.0.1/none")


def test_several_runs_share_a_database(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole command line on a server says what it says on folders."""
    where = ["--store", place.url, "--runs-dir", place.folder / "runs"]
    beside = ["--runs-dir", place.folder / "beside"]
    names = ["Night-1.b", "pg_night", "toy-0001"]
    for name in names:
        for at in (where, beside):
            named = [] if name == "toy-0001" else ["--name", name]
            said = say(capsys, "run", "toy", *named, "--iterations", 6, *at)
            assert f"{name}: iteration 6" in said
            assert postgres.PASSWORD not in said
    assert f"aiga show toy-0001 --store {Server(place.url or '')} --runs-dir" in say(
        capsys, "run", "toy", "--name", "toy-0001", "--iterations", 7, *where
    )
    listed = json.loads(say(capsys, "list", "--json", *where))
    assert [(row["name"], row["iteration"], row["running"]) for row in listed] == [
        ("Night-1.b", 6, False),
        ("pg_night", 6, False),
        ("toy-0001", 7, False),
    ]
    for name in names[:2]:
        shown = [say(capsys, "show", name, "--json", *at) for at in (where, beside)]
        assert shown[0] == shown[1]
    # What is reserved or begun is not taken twice, nor is what another schema holds taken for a run.
    runs = runs_of(place.folder, place.url)
    assert not runs.reserve("toy-0001")
    assert runs.reserve("toy-0002")
    assert "toy-0003: iteration 1" in say(capsys, "run", "toy", "--iterations", 1, *where)
    assert refuse(capsys, "show", "toy-0002", *where) == "toy-0002: has not begun yet"
    assert refuse(capsys, "show", "toy-0004", *where).startswith("toy-0004: no such run in postgresql://")
    assert refuse(capsys, "replay", "pg_night", 0, "--out", "a.gif", *where).endswith("cannot be drawn")
    assert refuse(capsys, "export", "pg_night", 0, "there", *where).endswith("do not stand alone")
    assert refuse(capsys, "run", "toy", "--name", "n" * 59, *where) == (
        "name: at most 58 characters on a PostgreSQL server, not 59"
    )
    assert not (place.folder / "runs").exists()


def test_the_lock_of_a_killed_writer_goes_with_it(place: Place) -> None:
    program = (
        "import sys, time; from aiga.runs.store import Store\n"
        "with Store.open('night', write=True, url=sys.argv[1]): print('open', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", program, str(place.url)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(RunError, match=rf"^night: process {other.pid} on \S+ is already working"):
            place.open(write=True)
        other.kill()
    place.open(write=True).close()


def end_session(place: Place) -> Callable[[Store], None]:
    """Ends the writer's connection between two commits, as a server that is started again does."""

    def act(store: Store) -> None:
        place.edit("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")

    return act


def trap(place: Place, action: str) -> Callable[[Store], None]:
    """Makes the server do `action` in the middle of the next commit."""
    body = f"BEGIN {action}; RETURN NEW; END"

    def set_up(store: Store) -> None:
        place.edit(f"CREATE FUNCTION trap() RETURNS trigger AS $${body}$$ LANGUAGE plpgsql")
        place.edit("CREATE TRIGGER trap BEFORE INSERT ON clock FOR EACH ROW EXECUTE FUNCTION trap()")

    return set_up


def read_only(store: Store) -> None:
    with store._engine.connect() as db:
        db.exec_driver_sql("SET default_transaction_read_only = on")
        db.commit()


@pytest.mark.parametrize(
    ("harm", "kind", "line"),
    [
        (end_session, Lost, r"the connection to postgresql://aiga@\S+ was lost \("),
        (
            lambda place: trap(place, "PERFORM pg_terminate_backend(pg_backend_pid())"),
            Lost,
            r"the connection to postgresql://aiga@\S+ was lost \(",
        ),
        (
            lambda place: trap(place, "RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'"),
            Unwritable,
            r"the disk of postgresql://aiga@\S+ is full$",
        ),
        (lambda place: read_only, Unwritable, r"\S+ cannot be read or written \(cannot execute .* read-only"),
    ],
    ids=["between commits", "in a commit", "full", "read-only"],
)
def test_what_the_server_does_ends_the_run_at_its_last_commit(
    place: Place, harm: Callable[[Place], Callable[[Store], None]], kind: type[Unwritable], line: str
) -> None:
    with place.open(write=True) as store:
        act = harm(place)

        def at_ten(step: Step) -> None:
            if step.iteration == 10:
                act(store)

        with pytest.raises(Unwritable, match=f"^night: {line}") as caught:
            drive(toy.Toy(toy.Config()), store, Run("toy", 3, config()), iterations=30, listen=[at_ten])
        assert type(caught.value) is kind
        assert postgres.PASSWORD not in str(caught.value)
        if kind is Lost:
            # The lock is gone, somebody else may be writing: never again with this one.
            with pytest.raises(Lost):
                store.summary()
    place.edit("DROP FUNCTION IF EXISTS trap CASCADE")
    with place.open() as store:
        store.verify()
        assert store.summary().iteration == 10
    # It goes on as if nothing had been.
    run_toy(place, 15)
    run_toy(place, 15, "other")
    assert place.dump() == place.dump("other")


def test_a_dropped_run_is_one_line(place: Place) -> None:
    run_toy(place, 3)
    with place.open() as store:
        place.edit("DROP SCHEMA aiga_night CASCADE")
        with pytest.raises(RunError, match=r'^night: damaged: relation "aiga_night\.\w+" does not exist$'):
            store.summary()


def test_numbers_and_names_come_back_as_they_were(server: postgres.Server, tmp_path: Path) -> None:
    """To the bit, and in the order of bytes whatever the language of the database."""
    english = "LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
    numbers = {"b_a": math.pi, "bA": 5e-324, "B": -0.0, "ba": 1e308}
    with Place(tmp_path, server, server.create("template0", english)).open(write=True) as store:
        drive(toy.Toy(toy.Config()), store, Run("toy", 3, config()), iterations=1)
        _, encoded = store.load()
        store.commit(2, [Event("metric", numbers)], encoded, 0.0)
        rows = [row for row in store.rows("metrics") if row["iteration"] == 2]
    assert [row["name"] for row in rows] == sorted(numbers)
    assert all(row["value"].hex() == numbers[row["name"]].hex() for row in rows)
