"""A run of AutoML-Zero on the page: what the server says of a program, and the panel in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import schemathesis
from starlette.testclient import TestClient

import browser
import walkers
from aiga import found_programs
from aiga.brains.programs import kernel
from aiga.brains.programs.ops import Program
from aiga.runs import codec
from aiga.runs.loop import drive
from aiga.runs.store import Run
from aiga.systems.architectures.automl_zero import AutoMLZero
from aiga.viewer import app
from aiga.viewer.app import application
from aiga.viewer.serving import LOOPBACK
from browser import PATIENCE, Served, Tab
from stores import Place
from test_automl_zero import SMALL

NAME = "found"
CONFIG = replace(SMALL, islands=3, chunk=400, migrants=20)
QUESTION = f"/api/runs/{NAME}/programs"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("searched"))
    with place.open(NAME, write=True) as store:
        drive(AutoMLZero(CONFIG), store, Run("automl-zero", 4, codec.plain(CONFIG)), iterations=8)
    return place


@pytest.fixture
def found(searched: Place) -> Iterator[Served]:
    with browser.served(searched.folder) as served:
        yield served


def client(place: Place) -> TestClient:
    return TestClient(application(walkers.page(place), hosts=LOOPBACK), base_url="http://127.0.0.1:8421")


def told(place: Place) -> list[dict[str, Any]]:
    with place.open(NAME) as store:
        return [row["data"] for row in store.rows("events") if row["kind"] == "improvement"]


def line(improvements: list[dict[str, Any]], number: int) -> list[int]:
    ancestors = {each["id"]: each["ancestor"] for each in improvements}
    found = [number]
    while (before := ancestors[found[-1]]) is not None:
        found.append(before)
    return found[::-1]


def test_what_is_in_a_program(searched: Place) -> None:
    page, improvements, before = client(searched), told(searched), searched.dump(NAME)
    described = schemathesis.openapi.from_path(Path(app.__file__).parent / "schema.json")
    question: Any = described["/api/runs/{run}/programs/{id}"]["GET"]
    for each in improvements[:: max(1, len(improvements) // 8)]:
        answer = page.get(f"{QUESTION}/{each['id']}")
        assert answer.status_code == 200, answer.text
        question.validate_response(answer)
        said = answer.json()
        assert said["tasks"] == CONFIG.select_tasks
        assert said == page.get(f"{QUESTION}/{each['id']}").json() and said["problem"] is None
        # What is shown beside the listing belongs to it, line by line.
        listing = [row for row in each["listing"].splitlines() if not row.startswith("def ")]
        squeezed = [" ".join(row.split()) for row in listing]
        assert [" ".join(row["text"].split()) for row in said["instructions"]] == squeezed
        assert [row["live"] for row in said["instructions"]] == each["program"]["live"]
        assert all(row["loss"] == 0 for row in said["instructions"] if not row["live"])
        whole = line(improvements, each["id"])
        steps = [step["id"] for step in said["line"]]
        assert steps[0] == whole[0] and steps[-1] == each["id"]
        assert [number for number in whole if number in steps] == steps
        assert np.isclose(sum(step["gain"] for step in said["line"]), each["fitness"])
    assert searched.dump(NAME) == before


def test_what_would_take_long_is_judged_on_fewer_tasks(
    searched: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = told(searched)[-1]
    number, program = last["id"], last["program"]
    whole = client(searched).get(f"{QUESTION}/{number}").json()
    code, data = np.array(program["code"], np.uint8), np.array(program["data"], float)
    bred = Program(code.reshape(-1, 4), data.reshape(-1, 3), tuple(program["lengths"]))
    setup, step = kernel.compiled([bred], CONFIG.sizes).cost[0]
    each = (sum(program["live"]) + 1) * (setup + step * CONFIG.epochs * (CONFIG.train + CONFIG.valid))
    monkeypatch.setattr("aiga.found_programs.MOST_ADDITIONS", 5.5 * each)
    fewer = client(searched).get(f"{QUESTION}/{number}").json()
    assert (whole["tasks"], fewer["tasks"]) == (CONFIG.select_tasks, 5)
    assert [row["text"] for row in fewer["instructions"]] == [row["text"] for row in whole["instructions"]]
    monkeypatch.setattr("aiga.found_programs.MOST_ADDITIONS", 0.5 * each)
    monkeypatch.setattr("aiga.found_programs.MOST_INSTRUCTIONS", 0)
    none = client(searched).get(f"{QUESTION}/{number}").json()
    assert (none["tasks"], none["instructions"], none["ideas"]) == (0, [], [])
    assert none["problem"].count("would take too long") == 2 and none["line"] == whole["line"]


def test_a_passing_problem_is_not_kept(searched: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    number, page = told(searched)[-1]["id"], client(searched)

    def gone(name: str) -> None:
        raise ValueError(f"task: {name}: no such folder")

    with monkeypatch.context() as broken:
        broken.setattr("aiga.worlds.supervised.images", gone)
        assert page.get(f"{QUESTION}/{number}").json()["problem"] == f"task: {CONFIG.task}: no such folder"
    assert page.get(f"{QUESTION}/{number}").json()["problem"] is None


def test_other_images_are_refused(searched: Place, tmp_path: Path) -> None:
    place = searched.copy(tmp_path)
    with place.open(NAME) as store:
        run = store.run()
        (row,) = [row for row in store.rows("events") if row["kind"] == "tasks"]
    place.edit(
        f"UPDATE events SET data = '{json.dumps({**row['data'], 'data': 'another'})}' WHERE kind = 'tasks'",
        NAME,
    )
    refused = f"task: {CONFIG.task}: not the images that this run began with"
    said = client(place).get(f"{QUESTION}/{told(place)[-1]['id']}").json()
    assert (said["problem"], said["instructions"], said["ideas"]) == (refused, [], [])
    with place.open(NAME) as store:
        assert run is not None and refused in found_programs.told(run.config, store.rows("events"))


def test_events_are_paged_within_an_iteration(searched: Place) -> None:
    page, some, last = client(searched), [], {"after": 0}
    whole = page.get(f"/api/runs/{NAME}/events", params={"kinds": "improvement", "limit": 500}).json()[
        "events"
    ]
    assert len({each["iteration"] for each in whole}) < len(whole)
    while True:
        query = {"kinds": "improvement", "limit": 1, **last}
        more = page.get(f"/api/runs/{NAME}/events", params=query).json()["events"]
        some += more
        if not more:
            break
        last = {"after": more[-1]["iteration"], "seq": more[-1]["seq"]}
    assert some == whole


@pytest.mark.parametrize("number", ["99999999", "x", "-1", "1e3", "9" * 17, "9" * 5000, "%D9%A3", "%00"])
def test_programs_that_there_are_not(searched: Place, number: str) -> None:
    answer = client(searched).get(f"{QUESTION}/{number}")
    assert (answer.status_code, answer.json()) == (404, {"error": "id: no such program"})


def test_runs_without_programs_say_so(walked: Place) -> None:
    answer = client(walked).get(f"/api/runs/{walkers.NAME}/programs/0")
    assert (answer.status_code, answer.json()) == (404, {"error": "run: its system finds no programs"})


def test_the_panel(found: Served, tab: Tab) -> None:
    from playwright.sync_api import expect

    improvements = told(Place(found.folder))
    best = [each for each in improvements if each["chosen"]][-1]
    tab.page.goto(f"{found.address}/#/{NAME}/programs")
    panel = tab.page.locator(".programs")
    expect(panel.locator("header .soft")).to_have_text(f"{len(improvements)} improvements")
    numbered = f"Number {best['id']:,}, "
    expect(panel.locator(".one")).to_contain_text(numbered)
    live = sum(best["program"]["live"])
    expect(panel.locator(".code .worth")).to_have_count(live, timeout=1000 * PATIENCE)
    ancestors = line(improvements, best["id"])
    expect(panel.locator(".story > li")).to_have_count(min(len(ancestors), 10))
    panel.get_by_role("button", name="without effect").click()
    expect(panel.locator(".code .line")).to_have_count(len(best["program"]["live"]) + 3)

    tree = panel.locator("canvas.family")
    expect(tree).to_have_attribute("aria-label", re.compile(f"of {len(improvements)} improvements; .* with "))
    before = tree.screenshot()
    tree.focus()
    for number in reversed(ancestors[:-1]):
        tab.page.keyboard.press("ArrowLeft")
        expect(panel.locator(".one")).to_contain_text(f"Number {number:,}, ")
    tab.page.wait_for_timeout(100)
    assert tree.screenshot() != before
    # A click where nobody is changes nothing; the end of the tree is found by the pointer too.
    first = panel.locator(".one").inner_text()
    tree.click(position={"x": 2, "y": 2})
    assert panel.locator(".one").inner_text() == first
    tab.page.keyboard.press("End")
    expect(panel.locator(".one")).not_to_have_text(first)
    panel.locator("summary", has_text="All improvements").click()
    panel.locator(".steps button").last.click()
    expect(panel.locator('.steps button[aria-pressed="true"]')).to_have_count(1)
    assert tab.problems == []


@pytest.mark.parametrize("width", [390, 900])
def test_the_panel_fits(found: Served, chrome: Any, width: int) -> None:
    with browser.opened(chrome, viewport={"width": width, "height": 800}) as tab:
        tab.page.goto(f"{found.address}/#/{NAME}/programs")
        tab.page.locator(".programs .worth").first.wait_for()
        assert tab.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert tab.problems == []


def test_the_panel_in_a_file(searched: Place, chrome: Any, tmp_path: Path) -> None:
    """Of the best program the file has everything, of others the listing."""
    from playwright.sync_api import expect

    file = tmp_path / "found.html"
    file.write_text(client(searched).get(f"/api/runs/{NAME}/share").text)
    improvements = told(searched)
    best = [each for each in improvements if each["chosen"]][-1]
    with browser.opened(chrome, offline=True) as tab:
        tab.page.goto(f"{file.as_uri()}#/{NAME}/programs")
        panel = tab.page.locator(".programs")
        expect(panel.locator("header .soft")).to_have_text(f"{len(improvements)} improvements")
        expect(panel.locator(".code .worth")).to_have_count(sum(best["program"]["live"]))
        panel.locator("canvas.family").focus()
        tab.page.keyboard.press("ArrowLeft")
        expect(panel.locator(".one")).to_contain_text(f"Number {best['ancestor']:,}, ")
        expect(panel.locator(".over")).to_contain_text("this file does not hold that")
        expect(panel.locator(".code .line").first).to_be_visible()
        assert panel.locator(".story > li").count() > 0 and tab.problems == []


def test_a_file_of_a_long_run(
    searched: Place, chrome: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the latest and the ancestors of the best, and says that others are left out."""
    from playwright.sync_api import expect

    monkeypatch.setattr("aiga.viewer.share.MOST_FOUND", 2)
    file = tmp_path / "long.html"
    file.write_text(client(searched).get(f"/api/runs/{NAME}/share").text)
    improvements = told(searched)
    best = [each for each in improvements if each["chosen"]][-1]
    ancestors = line(improvements, best["id"])
    kept = {*ancestors, *(each["id"] for each in improvements[-2:])}
    assert len(kept) < len(improvements)
    with browser.opened(chrome, offline=True) as tab:
        tab.page.goto(f"{file.as_uri()}#/{NAME}/programs")
        panel = tab.page.locator(".programs")
        expect(panel.locator("header .soft")).to_contain_text(
            f"{len(kept)} of {len(improvements)} improvements: "
        )
        expect(panel.locator(".story > li")).to_have_count(min(len(ancestors), 10))
        assert tab.problems == []


def test_the_panel_asks_page_by_page(found: Served, tab: Tab) -> None:
    """Here of three events each, so that pages end within an iteration."""
    from playwright.sync_api import expect

    improvements = told(Place(found.folder))
    source = "const MOST = 500;"
    script = (Path(app.__file__).parent / "static/source.js").read_text()
    assert source in script
    tab.page.route(
        "**/source.js",
        lambda route: route.fulfill(
            body=script.replace(source, "const MOST = 3;"), content_type="text/javascript"
        ),
    )
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url) if "/events?" in request.url else None)
    tab.page.goto(f"{found.address}/#/{NAME}/programs")
    panel = tab.page.locator(".programs")
    expect(panel.locator("header .soft")).to_have_text(
        f"{len(improvements)} improvements", timeout=1000 * PATIENCE
    )
    assert len(asked) == len(improvements) // 3 + 1 and tab.problems == []


def test_runs_of_earlier_versions_are_shown(searched: Place, chrome: Any, tmp_path: Path) -> None:
    """Their events name no ancestors and no individuals, and not the tasks."""
    place = searched.copy(tmp_path)
    with place.open(NAME) as store:
        rows = [row for row in store.rows("events") if row["kind"] == "improvement"]
    place.edit("DELETE FROM events WHERE kind = 'tasks'", NAME)
    for row in rows:
        data = {k: v for k, v in row["data"].items() if k not in ("ancestor", "individuals")}
        text = json.dumps(data).replace("'", "''")
        where = f"iteration = {row['iteration']} AND seq = {row['seq']}"
        place.edit(f"UPDATE events SET data = '{text}' WHERE {where}", NAME)
    with browser.served(place.folder) as served, browser.opened(chrome) as tab:
        tab.page.goto(f"{served.address}/#/{NAME}/programs")
        panel = tab.page.locator(".programs")
        panel.get_by_text("This run does not say what it descends from.").wait_for()
        panel.get_by_text("the run does not say which tasks it had").wait_for()
        assert panel.locator(".code .line").count() > 3 and tab.problems == []
