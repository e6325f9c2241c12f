"""What the page's curves are drawn from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

import toy
from aiga.runs.loop import drive
from aiga.runs.store import Run
from aiga.viewer import reading
from stores import Place

RUN = Run("toy", 3, dataclasses.asdict(toy.Config()))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A run of 40 iterations, `night`."""
    found = Place(tmp_path)
    with found.open(write=True) as store:
        drive(toy.Toy(toy.Config()), store, RUN, iterations=40)
    return found


def ask(place: Place, points: int) -> dict[str, Any]:
    with place.open() as store:
        return reading.series(store, points)


def test_points_are_spread_evenly_and_end_with_the_last_iteration(place: Place) -> None:
    found = ask(place, 12)
    assert found["iteration"] == [*range(4, 40, 4), 40]
    columns = (found["hours"], *found["values"].values(), *found["population"].values())
    assert {len(column) for column in columns} == {10}


def test_hours_are_those_of_all_iterations_before(place: Place) -> None:
    place.edit("UPDATE clock SET seconds = 36 * iteration")
    assert ask(place, 5)["hours"] == pytest.approx([0.36, 1.36, 3.0, 5.28, 8.2])


def test_what_is_told_now_and_then_is_the_last_of_its_stretch(place: Place) -> None:
    whole = ask(place, 1000)
    name = next(iter(whole["values"]))
    place.edit("DELETE FROM scores WHERE iteration % 5 != 1")
    place.edit(f"UPDATE metrics SET value = NULL WHERE name = '{name}' AND iteration % 5 != 1")
    found = ask(place, 8)
    assert found["iteration"] == [5, 10, 15, 20, 25, 30, 35, 40]
    assert found["values"][name] == [whole["values"][name][i] for i in range(0, 40, 5)]
    assert found["population"]["median"] == [whole["population"]["median"][i] for i in range(0, 40, 5)]


def test_a_feed_tells_the_population_as_the_series_has_it(place: Place) -> None:
    with place.open() as store:
        told = reading.changes(store, 30)["population"]
    assert told == {name: column[-1] for name, column in ask(place, 1000)["population"].items()}


def test_runs_that_differ_in_their_seeds_have_the_same_settings() -> None:
    assert reading.settings(RUN) == reading.settings(dataclasses.replace(RUN, seed=4))
    assert reading.settings(RUN) != reading.settings(dataclasses.replace(RUN, system="other"))
    assert reading.settings(RUN) != reading.settings(dataclasses.replace(RUN, config={"more": 1}))
