"""Courses from outside: sent while a run goes on, taken once whatever happens, decided by the run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiga import walker_poet
from aiga.learners import evolution_strategy as es
from aiga.runs.candidates import propose
from aiga.runs.loop import drive
from aiga.runs.store import Run, RunError
from aiga.worlds.walker.course import Course, Genes
from aiga.worlds.walker.space import grow
from stores import Place
from test_poet import POET, Spots, poet
from test_runs import run_toy

RUN = Run("spots", 0, {})


def spots() -> POET:
    """Environment 0 is at 0, its agent too or nearly so; a reproduction after iterations 10, 20 and so on."""
    return poet(Spots(*[30.0] * 100), capacity=9)


def work(place: Place, iterations: int, system: Any = None, **options: Any) -> None:
    with place.open(write=True) as store:
        drive(system or spots(), store, RUN, iterations=iterations, **options)


def sent(place: Place, course: Any, parent: Any = None, name: str = "night") -> int:
    return propose(place.folder / name, course, parent=parent, url=place.url)


def candidates(place: Place) -> list[dict[str, Any]]:
    with place.open() as store:
        return [{k: v for k, v in row.items() if k != "at"} for row in store.rows("candidates")]


def heights(course: Course) -> dict[str, Any]:
    return {"left": course.left.tolist(), "right": course.right.tolist()}


def test_a_course_sent_by_another_process_becomes_an_environment(tmp_path: Path) -> None:
    place = Place(tmp_path)
    small = walker_poet.Config(
        max_steps=50,
        reproduce_every=4,
        reproduce_score=1000,  # nobody is able: it comes in all the same
        minimal_low=-1000,
        minimal_high=1000,
        episodes=1,
        es=es.Config(population=4),
    )
    drawn = heights(grow(Genes(roughness=1.0, seed=4)))
    program = (
        "import json, sys; from aiga.runs.candidates import propose\n"
        "print(propose(sys.argv[1], json.loads(sys.argv[2]), parent=0))"
    )
    words = [str(place.folder / "night"), json.dumps(drawn)]

    def send(step: Any) -> None:
        if step.iteration == 2:
            ran = subprocess.run(
                [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False
            )
            assert (ran.stdout, ran.stderr) == ("1\n", "")

    system = walker_poet.build(small, walker_poet.evaluator(small, threads=1))
    work(place, 4, system, listen=[send])
    (row,) = candidates(place)
    assert (row["parent"], row["course"], row["taken"], row["decided"]) == (0, drawn, 3, None)
    work(place, 6, system)
    (row,) = candidates(place)
    assert (row["taken"], row["decided"], row["verdict"], row["environment"]) == (3, 5, "admitted", 1)
    with place.open() as store:
        store.verify()
        environment = store.rows("environments")[1]
        told = [each["data"] for each in store.rows("events") if each["data"].get("candidate") == 1]
    assert (environment["parent"], environment["born"]) == (0, 5)
    assert np.array_equal(np.float32(environment["course"]["left"]), np.float32(drawn["left"]))
    assert environment["course"]["genes"]["roughness"] == pytest.approx(1.0, abs=0.5)
    assert [data["score"] for data in told] == [row["score"]]


def test_the_run_decides_by_its_own_criterion(place: Place) -> None:
    work(place, 3)
    places: list[Any] = [99.0, 2.0, 0.0, 1000.0, "far", 50.0]
    assert [sent(place, {"place": each}, 0) for each in places] == [1, 2, 3, 4, 5, 6]
    work(place, 11)
    rows = [
        (row["taken"], row["decided"], row["verdict"], row["stage"], row["environment"], row["problem"])
        for row in candidates(place)
    ]
    assert rows == [
        (4, 11, "too hard", "before", None, None),
        (4, 11, "too easy", "before", None, None),
        (4, 11, "not novel", "before", None, None),
        (None, 4, None, None, None, "course: not one of this run's space"),
        (None, 4, None, None, None, "course.place: a number, not 'far'"),
        (4, 11, "admitted", None, 1, None),
    ]
    assert candidates(place)[0]["score"] == pytest.approx(1.0, abs=3.0)


class Strict(Spots):
    """A space whose `adopt` does not mind its manners, and says what was sent."""

    def adopt(self, data: dict[str, Any]) -> Any:
        raise KeyError(f"no \ud800 \0 {data['spot']}\nwas expected")


def test_a_course_that_breaks_the_systems_own_code_does_not_end_the_run(place: Place) -> None:
    system = poet(Strict(*[30.0] * 100), capacity=9)
    work(place, 2, system)
    sent(place, {"spot": 3})
    work(place, 4, system)
    (row,) = candidates(place)
    assert row["decided"] == 3 and "3" in row["problem"] and "\n" not in row["problem"]


def test_a_run_older_than_the_table(place: Place) -> None:
    run_toy(place, 2)
    place.edit("DROP TABLE candidates")
    with place.open() as store:
        store.verify()
        assert store.rows("candidates") == []
        assert store.summary().iteration == 2
    with pytest.raises(RunError, match=r"^night: made by an older aiga: continue it once"):
        sent(place, {})
    run_toy(place, 3)
    assert sent(place, {}) == 1
    run_toy(place, 4)
    (row,) = candidates(place)
    assert (row["decided"], row["problem"]) == (4, "this system takes no courses from outside")


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else []


@pytest.mark.parametrize(
    ("course", "parent", "line"),
    [
        ([1.0], None, "course: a table of plain data, not a list"),
        ({"left": [float("nan")]}, None, r"course: finite numbers and plain data are expected \("),
        ({"left": {1, 2}}, None, r"course: finite numbers and plain data are expected \("),
        ({"left": nested(40)}, None, "course: at most 32 tables and lists within each other"),
        ({"left": "x" * 70_000}, None, "course: at most 64 kB of JSON, not 70 kB"),
        ({"\ud800": 1}, None, r"course: finite numbers and plain data are expected \("),
        ({"a\0b": 1}, None, "course: NUL is no text for every store"),
        ({}, 7, "parent: an environment of night, not 7"),
        ({}, True, "parent: the id of an environment, not 'True'"),
        ({}, 2**70, "parent: the id of an environment, not '1180591620717411303424'"),
    ],
)
def test_what_cannot_be_sent_is_named(finished: Place, course: Any, parent: Any, line: str) -> None:
    with pytest.raises(RunError, match=f"^{line}"):
        sent(finished, course, parent)
    assert candidates(finished) == []


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("runs"))
    run_toy(place, 2)
    return place


def test_no_run_no_beginning_and_no_more_room(place: Place) -> None:
    with pytest.raises(RunError, match=r"^night: no such run in "):
        sent(place, {})
    with place.open(write=True):
        if place.server is None:
            with pytest.raises(RunError, match=r"^night: has not begun yet$"):
                sent(place, {})
    run_toy(place, 1)
    assert [sent(place, {}, 0) for _ in range(20)] == list(range(1, 21))
    with pytest.raises(RunError, match=r"^night: 20 candidates wait already, wait until some are decided$"):
        sent(place, {})
    run_toy(place, 2)
    assert sent(place, {}) == 21
