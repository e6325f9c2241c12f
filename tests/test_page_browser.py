"""The page in a browser: a real server, a real run, a real Chromium."""

from __future__ import annotations

import re

import walkers
from browser import Served, Tab
from stores import Place


def test_the_first_view_of_a_run(served: Served, tab: Tab) -> None:
    from playwright.sync_api import expect

    tab.page.goto(served.address)
    # One run alone is opened at once.
    tab.page.wait_for_url(re.compile(re.escape(f"#/{walkers.NAME}") + "$"))
    tab.says(f"at rest · iteration {walkers.ITERATIONS}")
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
    tab.says(f"at rest · iteration {walkers.ITERATIONS}")
    served.kill()
    tab.says(f"no connection; trying again · iteration {walkers.ITERATIONS}")
    later = walkers.ITERATIONS + 3
    walkers.work(place, later)
    served.start()
    tab.says(f"at rest · iteration {later}")
    # The browser says that nobody answered; the page itself had no trouble.
    assert [problem for problem in tab.problems if "net::ERR_" not in problem] == []
    with place.open(walkers.NAME, write=True):
        tab.says(f"running · iteration {later}")
    tab.says(f"at rest · iteration {later}")
