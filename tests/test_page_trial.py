"""A run of RL^2 on the page: one of its trials in a browser."""

from __future__ import annotations

from pathlib import Path

import browser
from aiga.runs import codec
from aiga.runs.loop import drive
from aiga.runs.store import Run
from aiga.systems.learning.rl2 import RL2, Config
from browser import Tab
from stores import Place

CONFIG = Config(pulls=12, units=8, trials=16, updates=2, test_tasks=20)


def test_a_trial_is_shown_with_what_can_be_known(tmp_path: Path, tab: Tab) -> None:
    from playwright.sync_api import expect

    place = Place(tmp_path)
    with place.open("arms", write=True) as store:
        drive(RL2(CONFIG), store, Run("rl2", 4, codec.plain(CONFIG)), iterations=3)
        shown = [row["data"] for row in store.rows("events") if row["kind"] == "trial"]
    assert [len(each["actions"]) for each in shown] == [12] * 3
    assert shown[0]["chances"] == shown[2]["chances"]
    with browser.served(tmp_path) as served:
        page = tab.page
        page.goto(f"{served.address}/#/arms/trial")
        paid = int(sum(shown[2]["rewards"]))
        expect(page.locator(".trial")).to_contain_text(f"paid {paid} times in 12 pulls")
        pulled = shown[2]["actions"].count(0)
        label = page.locator(".trial .pulls canvas").get_attribute("aria-label")
        assert f"arm 1 pulled {pulled} times" in label
        slider = page.get_by_label("which iteration")
        slider.press("Home")
        expect(page.locator(".trial")).to_contain_text(f"paid {int(sum(shown[0]['rewards']))} times")
    assert tab.problems == []
