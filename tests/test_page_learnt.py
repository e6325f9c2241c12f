"""Runs that learn to learn on the page: a trial of RL^2, MAML's adaptation, ANML's sequence of classes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import browser
from aiga.interfaces import Event
from aiga.runs import codec
from aiga.runs.loop import drive
from aiga.runs.store import Run
from aiga.systems.learning.rl2 import RL2, Config
from browser import Tab
from stores import Place

CONFIG = Config(pulls=12, units=8, trials=16, updates=2, test_tasks=20)

SINE = {
    "points": [[1.0, 2.0], [-3.0, 0.5]],
    "true": [0.0, 1.0, 2.0],
    "said": [[0.0, 0.0, 0.0], [0.0, 1.0, 2.5], [0.0, 1.0, None]],
}
ADAPTED = {
    "score": "mse", "steps": [0, 1, 10], "span": [-5, 5], "sines": [SINE],
    "low": [1.0] * 11, "middle": [3.0, 0.75, *[0.25] * 9], "high": [9.0, 2.0, *[None] * 9],
}  # fmt: skip
TOLD = {"score": "accuracy", "steps": [0, 1], **{name: [0.2, 0.6] for name in ("low", "middle", "high")}}
SEQUENCE = {
    "meta_iterations": 500, "before": [0.5] * 3, "after": [0.25] * 3,
    "tests": [{"classes": 10, "learnt": 0.9, "held_out": 0.4, "by_class": [0.2, *[0.4] * 8, 0.6],
               "looks": [1, 10], "along": [1.0, 0.4]}],
}  # fmt: skip
FIRING = {
    "writings": 9, "units": [0, 4, 8], "classes": [[30, 0], [31, 2]],
    "before": ["909", "990"], "after": ["009", "019"],
}  # fmt: skip


@dataclass(frozen=True)
class Recorded:
    """A system that tells at each step what it was given."""

    log: list[list[Event]]

    def init(self, key: Any) -> int:
        return 0

    def step(self, key: Any, state: int) -> tuple[int, list[Event]]:
        return state + 1, self.log[state]


def test_what_learns_to_learn_is_shown(tmp_path: Path, tab: Tab) -> None:
    from playwright.sync_api import expect

    place = Place(tmp_path)
    with place.open("arms", write=True) as store:
        drive(RL2(CONFIG), store, Run("rl2", 4, codec.plain(CONFIG)), iterations=3)
        shown = [row["data"] for row in store.rows("events") if row["kind"] == "trial"]
    rows = "0f0 00f f00"
    runs: dict[str, tuple[str, list[list[Event]]]] = {
        "sines": ("maml", [
            [Event("adaptation", {**ADAPTED, "middle": [3.0] * 11})],
            [Event("adaptation", ADAPTED)],
        ]),
        "images": ("maml", [
            [Event("images", {"learnt": [rows] * 2, "asked": [rows] * 2}),
             Event("adaptation", {**TOLD, "said": [[1, 1], [0, 0]]})],
            [Event("adaptation", {**TOLD, "said": [[1, 0], [0, 1]]})],
        ]),
        "legs": ("es-maml", [
            [Event("tasks", {"grass 0.5": [20.0, 30.0], "grass 1": [0.0, 10.0], "load 1": [10.0, 20.0]})],
            [Event("tasks", {"grass 0.5": [40.0, 50.0], "grass 1": [0.0, 50.0], "load 1": [20.0, 35.0]})],
        ]),
        "gate": ("anml", [[Event("meta_test", SEQUENCE), Event("firing", FIRING)]]),
    }  # fmt: skip
    for name, (system, log) in runs.items():
        with place.open(name, write=True) as store:
            drive(Recorded(log), store, Run(system, 4, {}), iterations=len(log))
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

        page.goto(f"{served.address}/#/sines/adaptation")
        panel = page.locator(".adaptation")
        expect(panel).to_contain_text("below 3 before, 0.75 after one step and 0.25 after ten")
        far = "before 1, after 1 step 0.167, after 10 steps .$"
        expect(panel.locator(".sines canvas")).to_have_attribute("aria-label", re.compile(far))
        slider.press("Home")
        expect(panel).to_contain_text("below 3 before, 3 after one step")

        page.goto(f"{served.address}/#/images/adaptation")
        expect(panel.locator("tbody tr").last).to_have_text("after 1 step1 ✓2 ✓")
        expect(panel.locator("td canvas")).to_have_count(4)
        slider.press("Home")
        expect(panel.locator("tbody tr").last).to_have_text("after 1 step1 ✓1 ✗")

        page.goto(f"{served.address}/#/gate/sequence")
        panel = page.locator(".sequence")
        expect(panel).to_contain_text("of 10 classes 40 % of new images are told right")
        expect(panel).to_contain_text("first tenth of the classes 20 %, of the last 60 %")
        expect(panel).to_contain_text("50 % of all units fire before the gate and 25 % after it")
        labels = [each.get_attribute("aria-label") for each in panel.locator("figure canvas").all()]
        assert labels[0].startswith(
            "before the gate: a unit fires on 67 % of the writings; 0 of 3 units on none, 1"
        )
        assert labels[1].startswith(
            "after the gate: a unit fires on 35 % of the writings; 1 of 3 units on none, 1"
        )

        page.goto(f"{served.address}/#/legs/grounds")
        panel = page.locator(".grounds")
        expect(panel).to_contain_text("all tasks 20 before, 45 after one step of adaptation, 45 after 1")
        expect(panel.locator("canvas")).to_have_count(2)
        slider.press("Home")
        expect(panel).to_contain_text("all tasks 10 before, 20 after one step")

        # A file of the run says the same, and that it was told no images is no fault.
        shared = page.request.get(f"{served.address}/api/runs/sines/share").text()
        (tmp_path / "sines.html").write_text(shared)
        page.goto(f"{(tmp_path / 'sines.html').as_uri()}#/sines/adaptation")
        expect(page.locator(".adaptation")).to_contain_text("below 3 before, 0.75 after one step")
    assert tab.problems == []
