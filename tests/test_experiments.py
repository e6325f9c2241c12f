"""The laboratory with a toy system, and the parts the controls are made of, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from scipy import stats

from aiga import walker_poet
from aiga.experiments import EXPERIMENTS
from aiga.experiments.controls import challenges, difficulty
from aiga.experiments.lab import Lab, OutOfTime
from aiga.experiments.results import interval, table
from aiga.learners.evolution_strategy import Config as Strategy
from aiga.runs.store import RunError
from aiga.runs.words import NAME
from aiga.worlds.walker.course import CELL, Course, Genes
from aiga.worlds.walker.episode import Walk
from aiga.worlds.walker.gait import gait
from aiga.worlds.walker.path import Path as DirectPath
from aiga.worlds.walker.space import grow
from toy import Config, Toy


def test_every_trial_gets_the_first_ones_steps_and_an_interrupted_one_goes_on(tmp_path: Path) -> None:
    def work(lab: Lab) -> None:
        for seed in lab.seeds:
            for arm in lab.arms:
                lab.trial(arm, seed, Toy(Config()), Config(), last)

    def last(store: Any) -> dict[str, float]:
        summary = store.summary()
        return {"iterations": summary.iteration, "steps": summary.metrics["steps"]}

    asked = iter(range(10**6))
    with Lab(
        tmp_path / "x", "toy", ("a", "b"), range(2), 2, 3600, 2000, stop=lambda: next(asked) > 60
    ) as lab:
        with pytest.raises(OutOfTime):
            work(lab)
        assert 0 < len(lab.results.values()["steps"]) < 4
    with Lab(tmp_path / "x", "toy", ("a", "b"), range(2), 2, 3600) as lab:
        work(lab)
        found = lab.results.values()["steps"]
        assert {arm: sorted(seeds) for arm, seeds in found.items()} == {"a": [0, 1], "b": [0, 1]}
        assert len({steps for seeds in found.values() for steps in seeds.values()}) == 1
        assert lab.curves("steps")["a"][0][0][-1] >= 2000
    with pytest.raises(RunError, match=r"^steps: 2,000 in x"):
        Lab(tmp_path / "x", "toy", ("a", "b"), range(2), 2, 3600, 60)


def test_trials_abreast_wait_for_each_other_and_one_that_fails_ends_all(tmp_path: Path) -> None:
    lanes = []

    class Together(Toy):
        def abreast(self, keys: Any, states: Any) -> list[Any]:
            lanes.append(len(keys))
            return [self.step(key, state) for key, state in zip(keys, states, strict=True)]

    def work(name: str) -> dict[int, float]:
        with Lab(tmp_path / name, "toy", ("a",), range(3), 1, 3600, 600, abreast=True) as lab:
            for group in lab.groups(Together):
                lab.trials("a", group, Together(Config()), Config(), last, name="toy")
            return lab.results.values()["steps"]["a"]

    def last(store: Any) -> dict[str, float]:
        return {"steps": store.summary().metrics["steps"]}

    assert set(work("x").values()) == {600} and set(lanes) == {3}
    with Lab(tmp_path / "y", "toy", ("a",), range(1), 1, 3600, 600) as lab:
        lab.trial("a", 0, Toy(Config(every=4)), Config(every=4), last, name="toy")
    (tmp_path / "y" / "results.db").unlink()
    with pytest.raises(RunError, match=r"^a-0: was begun with another configuration"):
        work("y")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_trial_is_a_run_of_its_own_that_the_commands_take(name: str, tmp_path: Path) -> None:
    arms = EXPERIMENTS[name].arms
    with Lab(tmp_path, name, arms, range(1), 1, 60) as lab:
        folders = {lab.folder_of(arm, 0).name for arm in arms}
    assert len(folders) == len(arms) and all(map(NAME.fullmatch, folders))


def test_the_interval_is_scipys() -> None:
    values = np.random.default_rng(0).normal(3, 2, 12)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", random_state=0).confidence_interval
    np.testing.assert_allclose(interval(values), theirs, atol=0.06)
    assert np.isnan(interval([3.0])).all()


def test_a_table_says_how_many_seeds() -> None:
    found = {"score": {"one": {0: 1.0, 1: 3.0}, "two": {0: 5.0}, "four": {0: 1.5, 1: 4.5}}}
    lines = [
        [cell.strip() for cell in line.split("|")[1:4]]
        for line in table(found, ("one", "two", "three", "four")).splitlines()[2:]
    ]
    assert lines == [
        ["one", "2 (1 to 3)", "2"],
        ["two", "5", "1"],
        ["four", "3 (1.5 to 4.5)", "2"],
        ["two - one", "4", "1"],
        ["four - one", "1 (0.5 to 1.5)", "2"],
    ]


def test_the_direct_path_takes_the_papers_steps_and_ends_at_its_target() -> None:
    target = Genes((0.4, 0.8), (0.0, 0.0), (0.2, 0.4), 2, 1.3, 7)
    path, course, seen = DirectPath(target), grow(Genes(seed=7)), []
    for _ in range(5):
        course = path.mutate(None, course)
        seen.append(course.genes)
    assert [genes.stump_height for genes in seen] == [
        (0, 0.4),
        (0.2, 0.6),
        (0.4, 0.8),
        (0.4, 0.8),
        (0.4, 0.8),
    ]
    assert [genes.step_height for genes in seen][:3] == [(0, 0.4), (0.2, 0.4), (0.2, 0.4)]
    assert [genes.roughness for genes in seen] == [0.6, 1.2, 1.3, 1.3, 1.3]
    assert [genes.steps for genes in seen][:3] == [1, 2, 2]
    assert seen[-1] == target


def test_difficulty_and_the_papers_three_bounds() -> None:
    assert difficulty(Course.flat()) == 0
    assert challenges(Course.flat()) == 0
    hard = grow(Genes((0, 2.4), (0, 6.0), (0, 5.0), 9, 4.4))
    assert difficulty(hard) == pytest.approx((0.48 + 0.6 + 1 + 0.44) / 4)
    assert challenges(hard) == 2


def test_a_gait_in_numbers() -> None:
    """Two metres a second, half a metre up, knees that swing by 0.8 rad, and four landings."""
    poses = np.zeros((151, 5, 3))
    poses[:, 0, 0], poses[:, 0, 1] = 30 * CELL + 0.04 * np.arange(151), Course.flat().left[0] + 0.5
    seen = np.zeros((151, 24))
    seen[:, [6, 11]] = 0.4 * np.sign(np.sin(np.arange(151) / 5))[:, None]
    seen[[60, 61, 100], 8] = seen[[80, 120], 13] = 1
    found = gait(Course.flat(), Walk(poses, seen, 0.0, False))
    np.testing.assert_allclose(found, [0.5, 0.8, 4 / 4.0, 2.0], rtol=1e-5)
    assert np.isnan(gait(Course.flat(), Walk(poses[:40], seen[:40], 0.0, False))).all()


def test_enhanced_poet_runs_on_the_kernel() -> None:
    """Two iterations of the real thing: painted courses are born from level ground."""
    config = walker_poet.Config(
        courses="cppn", novelty="performance", transfer="recent-best", reproduce_every=1, fine_tuned=1,
        reproduce_score=-1e6, minimal_low=-1e6, minimal_high=1e6, es=Strategy(population=4), max_steps=20,
    )  # fmt: skip
    system = walker_poet.build(config)
    state = system.init(jax.random.key(0))
    for step in range(2):
        state, events = system.step(jax.random.key(step), state)
    (birth,) = [event.data for event in events if event.kind == "birth"]
    assert birth["parent"] == 0 and birth["course"].genes.links
