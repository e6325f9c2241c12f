"""The page in a browser: a real server, a real run, a real Chromium."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import browser
import walkers
from aiga.benchmarks.page import HIDE
from browser import PATIENCE, Served, Tab
from stores import Place

PANELS = ("", "today", "tree", "menagerie", "stage", "curves", "transfers", "workshop", "share")
MENAGERIE, STAGE, TREE = ".menagerie canvas", ".stage .frame canvas", ".tree-frame canvas"


def says(tab: Tab, text: str) -> None:
    """Waits until the line about the run's state reads so."""
    from playwright.sync_api import expect

    expect(tab.page.locator(".top .state")).to_have_text(text, timeout=1000 * PATIENCE)


def visit(served: Served, tab: Tab, *parts: object) -> None:
    """Opens a part of the page on the run, and waits until its title is there."""
    tab.page.goto("/".join([f"{served.address}/#", walkers.NAME, *map(str, parts)]))
    tab.page.locator("main section h2").first.wait_for()


def rows(served: Served, table: str) -> list[dict[str, Any]]:
    with Place(served.folder).open(walkers.NAME) as store:
        return store.rows(table)


def picture(tab: Tab, canvas: str) -> bytes:
    return tab.page.locator(canvas).first.screenshot()


def drawn(tab: Tab, canvas: str) -> bytes:
    """The canvas when walkers are on it: what is drawn has more than a few colours."""
    limit = time.monotonic() + PATIENCE
    while colours(seen := picture(tab, canvas)) < 40:
        assert time.monotonic() < limit, f"nothing is drawn on {canvas}"
        tab.page.wait_for_timeout(100)
    return seen


def colours(png: bytes) -> int:
    return len(Image.open(io.BytesIO(png)).convert("RGB").getcolors(1 << 24) or [])


def test_the_first_view_of_a_run(served: Served, tab: Tab) -> None:
    from playwright.sync_api import expect

    tab.page.goto(served.address)
    # One run alone is opened at once.
    tab.page.wait_for_url(re.compile(re.escape(f"#/{walkers.NAME}") + "$"))
    says(tab, f"at rest · iteration {walkers.ITERATIONS}")
    expect(tab.page.get_by_role("navigation")).to_contain_text("Home")
    for section in tab.page.locator("main section").all():
        expect(section).not_to_be_empty()
    assert tab.page.locator("main section").count() >= 2
    assert tab.page.get_by_role("alert").count() == 0
    tab.page.wait_for_timeout(1000)  # long enough for what comes late to fail
    assert tab.problems == []


def test_a_server_that_is_killed_and_comes_back(served: Served, tab: Tab) -> None:
    place = Place(served.folder)
    tab.page.goto(f"{served.address}/#/{walkers.NAME}")
    says(tab, f"at rest · iteration {walkers.ITERATIONS}")
    served.kill()
    says(tab, f"no connection; trying again · iteration {walkers.ITERATIONS}")
    later = walkers.ITERATIONS + 3
    walkers.work(place, later)
    served.start()
    says(tab, f"at rest · iteration {later}")
    # The browser says that nobody answered; the page itself had no trouble.
    assert [problem for problem in tab.problems if "net::ERR_" not in problem] == []
    with place.open(walkers.NAME, write=True):
        says(tab, f"running · iteration {later}")
    says(tab, f"at rest · iteration {later}")


@pytest.mark.parametrize("width", [390, 900, 1440])
def test_every_part_at_every_width(served: Served, chrome: Any, width: int) -> None:
    with browser.opened(chrome, viewport={"width": width, "height": 800}) as tab:
        for panel in PANELS:
            visit(served, tab, *([panel] if panel else []))
            tab.page.wait_for_timeout(300)
            assert tab.page.get_by_role("alert").count() == 0, panel
            wider = tab.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wider <= 0, f"{panel} is {wider} px wider than a window of {width}"
        assert tab.problems == []


def test_a_hidden_page_asks_nothing_and_catches_up_when_it_is_seen(served: Served, tab: Tab) -> None:
    from playwright.sync_api import expect

    visit(served, tab)
    says(tab, f"at rest · iteration {walkers.ITERATIONS}")
    expect(tab.page.locator(".today .lead")).to_contain_text("6 environments")
    tab.page.evaluate(HIDE, True)
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    walkers.work(Place(served.folder), walkers.ITERATIONS + 6)
    born = len(rows(served, "environments"))
    tab.page.wait_for_timeout(1500)
    assert asked == [] and born > 6
    tab.page.evaluate(HIDE, False)
    says(tab, f"at rest · iteration {walkers.ITERATIONS + 6}")
    expect(tab.page.locator(".today .lead")).to_contain_text(f"{born} environments", timeout=1000 * PATIENCE)
    assert tab.problems == []


def test_a_page_left_alone_beside_a_run_rests_until_it_is_touched(served: Served, tab: Tab) -> None:
    tab.page.clock.install()
    visit(served, tab, "menagerie")
    with Place(served.folder).open(walkers.NAME, write=True):
        says(tab, f"running · iteration {walkers.ITERATIONS}")
        tab.page.clock.fast_forward(130_000)
        says(tab, f"resting beside the run; move to wake it · iteration {walkers.ITERATIONS}")
        tab.page.mouse.move(40, 300)
        says(tab, f"running · iteration {walkers.ITERATIONS}")
        tab.page.get_by_role("button", name="rests when nobody is there").click()
        tab.page.clock.fast_forward(130_000)
        tab.page.wait_for_timeout(300)
        says(tab, f"running · iteration {walkers.ITERATIONS}")


def test_another_run_that_took_the_name_is_shown_as_it_is(served: Served, tab: Tab) -> None:
    visit(served, tab, "tree")
    says(tab, f"at rest · iteration {walkers.ITERATIONS}")
    (served.folder / walkers.NAME).rename(served.folder / "before")
    walkers.work(Place(served.folder), 3)
    says(tab, "at rest · iteration 3")
    assert f"#/{walkers.NAME}/tree" in tab.page.url


def test_the_tree_is_walked_by_keys_and_read_as_a_list(served: Served, tab: Tab) -> None:
    from playwright.sync_api import expect

    visit(served, tab, "tree")
    tab.page.locator(TREE).focus()
    whole = drawn(tab, TREE)
    for key in ("End", ",", "["):
        tab.page.keyboard.press(key)
    tab.page.wait_for_timeout(500)
    assert picture(tab, TREE) != whole
    tab.page.keyboard.press("Enter")
    sheet = tab.page.get_by_role("complementary")
    sheet.get_by_role("heading", name="Environment").wait_for()
    tab.page.keyboard.press("Escape")
    assert sheet.count() == 0

    environments = rows(served, "environments")
    tab.page.locator("details.tree-list summary").click()
    lines = tab.page.get_by_role("table", name="environments").locator("tbody tr")
    expect(lines).to_have_count(len(environments))
    lines.first.get_by_role("button").first.click()
    sheet.wait_for()
    assert tab.problems == []


def test_the_menagerie_moves_until_it_is_told_not_to(served: Served, tab: Tab) -> None:
    visit(served, tab, "menagerie")
    before = drawn(tab, MENAGERIE)
    tab.page.wait_for_timeout(300)
    assert picture(tab, MENAGERIE) != before
    tab.page.get_by_role("button", name="Pause").click()
    tab.page.mouse.move(0, 0)
    tab.page.wait_for_timeout(200)
    still = picture(tab, MENAGERIE)
    tab.page.wait_for_timeout(300)
    assert picture(tab, MENAGERIE) == still
    assert tab.problems == []


def test_a_walk_is_scrubbed_also_of_a_pair_that_never_met(served: Served, tab: Tab) -> None:
    last = rows(served, "environments")[-1]["id"]
    visit(served, tab, "stage", last, 0, 5)
    drawn(tab, STAGE)
    moment = tab.page.get_by_role("slider", name="Moment of the walk")

    def seek(to: int) -> bytes:
        moment.fill(str(to))
        tab.page.wait_for_timeout(150)
        return picture(tab, STAGE)

    early, late = seek(100), seek(900)
    assert early != late
    assert seek(100) == early
    tab.page.get_by_role("button", name="Lidar").click()
    tab.page.wait_for_timeout(150)
    assert picture(tab, STAGE) != early
    assert f"In environment {last}, the agent of 0" in tab.page.locator(".stage p[role=status]").inner_text()
    assert tab.problems == []


def test_a_course_of_ones_own_is_walked_and_judged(served: Served, tab: Tab) -> None:
    from playwright.sync_api import expect

    visit(served, tab, "workshop")
    tab.page.locator("[data-tool=gap]").click()
    canvas = tab.page.locator(".workshop .place canvas")
    box = canvas.bounding_box()
    assert box is not None
    tab.page.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + 0.6 * box["height"])
    expect(tab.page.locator(".obstacles li[data-kind=gap]")).to_have_count(1)
    tab.page.locator(".workshop .go").click()
    active = [row for row in rows(served, "environments") if row["ended"] is None]
    expect(tab.page.locator(".ranking > *")).to_have_count(len(active), timeout=1000 * PATIENCE)
    tab.page.locator(".workshop .send").click()
    sent = tab.page.locator(".sent li")
    expect(sent).to_contain_text("the run is at rest: it waits", timeout=1000 * PATIENCE)
    walkers.work(Place(served.folder), walkers.ITERATIONS + 6)
    expect(sent).to_contain_text(re.compile("admitted as environment|turned down"), timeout=1000 * PATIENCE)
    (row,) = rows(served, "candidates")
    assert row["decided"] and any(height < 3 for height in row["course"]["left"])
    assert tab.problems == []


def test_a_run_as_a_file_needs_no_network(served: Served, chrome: Any, tmp_path: Path) -> None:
    with browser.opened(chrome) as tab:
        visit(served, tab, "share")
        with tab.page.expect_download() as download:
            tab.page.get_by_role("link", name=f"{walkers.NAME}.html").click()
        file = tmp_path / "run.html"
        download.value.save_as(file)
    served.kill()
    with browser.opened(chrome, offline=True) as tab:
        asked: list[str] = []
        tab.page.on("request", lambda request: asked.append(request.url.partition(":")[0]))
        tab.page.goto(file.as_uri())
        says(tab, f"a file of the run · iteration {walkers.ITERATIONS}")
        before = drawn(tab, MENAGERIE)
        tab.page.wait_for_timeout(300)
        assert picture(tab, MENAGERIE) != before
        for panel in PANELS:
            tab.page.goto(f"{file.as_uri()}#/{walkers.NAME}/{panel}")
            tab.page.locator("main section h2").first.wait_for()
            tab.page.wait_for_timeout(300)
            assert tab.page.get_by_role("alert").count() == 0, panel
        assert set(asked) <= {"file", "data", "blob"}
        assert tab.problems == []
