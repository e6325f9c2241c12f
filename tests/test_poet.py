"""POET by hand: a fake `evaluate` in which everything can be worked out on paper.

A course is a number, an agent one weight: its return there is 100 minus the distance between the two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
import pytest

from aiga.brains import MLP
from aiga.interfaces import Event, Outcome
from aiga.learners import evolution_strategy as es
from aiga.play import Arena
from aiga.runs.codec import decode, encode, types_in
from aiga.searches.minimal_criterion import MinimalCriterion
from aiga.searches.novelty import nearest_distance, performance_ranks
from aiga.systems.environments import poet as module
from aiga.systems.environments.poet import (
    POET,
    Archived,
    Candidate,
    Config,
    Offer,
    Pair,
    State,
    best_candidate,
)
from aiga.testing import same
from aiga.walker_poet import Config as WalkerConfig
from aiga.worlds.walker.cppn import CPPNSpace
from aiga.worlds.walker.space import WalkerSpace

KEY = jax.random.key(0)


@dataclass(frozen=True)
class Spot:
    place: float


class Spots:
    """A space whose mutants are listed beforehand, in turn."""

    def __init__(self, *mutants: float) -> None:
        self.mutants = iter(mutants)

    def sample(self, key: Any) -> Spot:
        return Spot(0.0)

    def mutate(self, key: Any, item: Spot) -> Spot:
        return Spot(next(self.mutants))

    def adopt(self, data: dict[str, Any]) -> Spot:
        if not isinstance(data["place"], float):
            raise ValueError(f"course.place: a number, not {data['place']!r}")
        return Spot(data["place"])

    def describe(self, item: Spot) -> np.ndarray:
        return np.array([item.place], np.float32)

    def valid(self, item: Spot) -> bool:
        return item.place < 900


class Field:
    """`evaluate`; keeps what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, list[int]]] = []

    def __call__(self, weights: Any, courses: Any, which: Any, seeds: Any) -> Outcome:
        self.calls.append((len(weights), sorted(set(np.asarray(seeds).tolist()))))
        places = np.array([courses[c].place for c in which], np.float32)
        returns = 100 - np.abs(np.asarray(weights)[:, 0] - places)
        return Outcome(returns, np.full(len(weights), 10, np.int32), returns > 90)


def config(**changes: Any) -> Config:
    base = Config(
        capacity=3,
        reproduce_every=10,
        reproduce_score=80,
        children=1,
        minimal_low=20,
        minimal_high=95,
        transfer_every=5,
        solve_score=90,
        es=es.Config(
            population=4, rate=1e-6, rate_floor=0, l2=0
        ),  # stands still, so that scores stay as they are
    )
    return replace(base, **changes)


def poet(space: Spots | None = None, **changes: Any) -> POET:
    return POET(config(**changes), space or Spots(), MLP((1, 1)), Field())


def pair(number: int, place: float, agent: float, score: float = 100.0) -> Pair:
    learner = es.EvolutionStrategy().init(KEY, np.array([agent, 0], np.float32))
    return Pair(number, None, 0, Spot(place), jax.device_get(learner), score)


def at(iteration: int, *pairs: Pair, archive: tuple[Archived, ...] = ()) -> State:
    return State(iteration, 1 + max(p.id for p in pairs), 0, 0, 0.0, pairs, archive)


def told(events: list[Event], kind: str, *names: str) -> list[tuple]:
    return [tuple(event.data[name] for name in names) for event in events if event.kind == kind]


def test_children_are_judged_ranked_and_admitted() -> None:
    """Eight mutants: one invalid, one a copy, one too easy, one too hard. Of the other four, the two most
    novel are admitted."""
    space = Spots(1000.0, 8.0, 2.0, 95.0, 30.0, 60.0, 45.0, 10.0)
    system = poet(space, children=8, admit=2, nearest=1, minimal_low=10)
    state = at(10, pair(0, 0, 0, score=100), pair(1, 8, 90, score=18))  # 1 is not able to reproduce
    after, events = system.step(KEY, state)

    assert told(events, "rejection", "reason", "stage", "score") == [
        ("invalid", "before", None),
        ("not novel", "before", None),
        ("too easy", "before", 98.0),
        ("too hard", "before", 5.0),
        ("no room", "before", 70.0),
        ("no room", "before", 90.0),
    ]
    assert told(events, "birth", "id", "parent", "score", "description") == [
        (2, 0, pytest.approx(70.0), [60.0]),  # agent 1, at 90, does better there than the parent
        (3, 0, pytest.approx(55.0), [45.0]),
    ]
    assert [each.course.place for each in after.active] == [8.0, 60.0, 45.0]
    assert [each.course.place for each in after.archive] == [0.0]
    assert told(events, "extinction", "id", "score") == [(0, 100.0)]
    assert after.born == 4


def test_a_child_may_become_too_easy_or_stay_fit_by_transfer() -> None:
    """The first is fit for the parent's agent, but another one is at home there; so the second is tried."""
    system = poet(Spots(60.0, 30.0), children=2, admit=1)
    state = at(10, pair(0, 0, 0), pair(1, 8, 60, score=0))
    _, events = system.step(KEY, state)
    assert told(events, "rejection", "reason", "stage", "score") == [
        ("too easy", "after", pytest.approx(100.0))
    ]
    assert told(events, "birth", "description") == [([30.0],)]


@pytest.mark.parametrize(("iteration", "score"), [(9, 100.0), (10, 79.0), (10, float("nan"))])
def test_nobody_reproduces_too_early_or_too_weak(iteration: int, score: float) -> None:
    after, events = poet(Spots()).step(KEY, at(iteration, pair(0, 0, 0, score)))
    assert after.born == 1
    assert not told(events, "rejection", "reason")


def test_what_is_offered_joins_the_children_with_the_agent_that_does_best_on_it() -> None:
    """Offered at 50, drawn from 0: agent 1 is the best there. The mutant at 25 is less novel."""
    system = poet(Spots(25.0), nearest=1, admit=1, fine_tuned=0)
    before = at(9, pair(0, 0, 0, 100), pair(1, 8, 40, 68))
    waiting = system.offer(before, 5, 0, {"place": 50.0})
    assert waiting.offered == (Offer(5, 0, Spot(50.0)),)
    waiting, events = system.step(KEY, waiting)
    assert len(waiting.offered) == 1 and not told(events, "birth", "id")
    after, events = system.step(KEY, waiting)
    assert told(events, "birth", "id", "parent", "candidate", "score") == [(2, 0, 5, pytest.approx(90.0))]
    assert [event.data for event in events if "candidate" in event.data and event.kind != "birth"] == []
    assert told(events, "rejection", "reason", "parent") == [("no room", 0)]
    assert after.offered == ()
    np.testing.assert_allclose(after.active[-1].agent, before.active[1].agent, atol=1e-3)


@pytest.mark.parametrize("transfer", ["best", "recent-best", "none"])
def test_what_is_offered_is_tried_though_nobody_is_able(transfer: Any) -> None:
    system = poet(transfer=transfer, fine_tuned=1)
    state = at(10, pair(0, 0, 0, 10), pair(1, 8, 40, 10))
    for number, place in enumerate((50.0, 300.0)):
        state = system.offer(state, number, None, {"place": place})
    _, events = system.step(KEY, state)
    assert told(events, "birth", "candidate", "parent", "score") == [(0, None, pytest.approx(90, abs=1e-3))]
    assert told(events, "rejection", "candidate", "reason") == [(1, "too hard")]


def test_a_state_of_before_courses_could_be_offered_is_still_read() -> None:
    state = at(9, pair(0, 0.0, 0))
    encoded = encode(state)
    del encoded.tree["offered"], encoded.tree["active"]["$tuple"][0]["candidate"]
    assert same(decode(State, encoded.tree, encoded.arrays, types_in(state)), state)


def test_a_space_without_adopt_takes_none() -> None:
    system = poet(CPPNSpace())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a space that takes none from outside"):
        system.offer(at(0, pair(0, 0, 0)), 1, None, {})


def test_novelty_counts_the_archive() -> None:
    """The child at 48 is farther from all that is active, but close to what was archived at 50."""
    system = poet(Spots(48.0, 20.0), children=2, nearest=1)
    archive = (Archived(0, Spot(50.0), np.zeros(2, np.float32), 0.0, True, True),)
    _, events = system.step(KEY, at(10, pair(1, 0, 0), archive=archive))
    assert told(events, "birth", "description") == [([20.0],)]
    np.testing.assert_allclose(nearest_distance([[0.0], [4.0]], [[1.0], [3.0], [9.0]], 2), [2.0, 2.0])
    assert nearest_distance([[np.nan]], [[1.0]], 1)[0] == -np.inf


def test_agents_move_where_they_are_better_all_at_once() -> None:
    """0 and 1 stand in each other's place: both move. 2 is at home and stays."""
    system = poet()
    after, events = system.step(KEY, at(5, pair(0, 0, 30), pair(1, 30, 0), pair(2, -50, -50)))
    assert told(events, "transfer", "source", "target", "gain", "score") == [
        (1, 0, pytest.approx(30.0, abs=1e-3), pytest.approx(100.0, abs=1e-3)),
        (0, 1, pytest.approx(30.0, abs=1e-3), pytest.approx(100.0, abs=1e-3)),
    ]
    np.testing.assert_allclose([each.agent[0] for each in after.active], [0, 30, -50], atol=1e-3)
    assert [each.learner.steps for each in after.active] == [0, 0, 1]  # who moves in learns afresh
    assert after.transfers == 2
    assert after.best_transfer == pytest.approx(30.0, abs=1e-3)


def test_a_step_of_learning_can_make_the_difference() -> None:
    """With a rate of 3, a source that is 2 off is best after one step towards the target."""
    quick = es.Config(population=64, rate=3.0, rate_floor=0, l2=0, sigma=1.0)
    system = poet(es=quick, fine_tuned=1)
    targets, sources = [pair(7, 2, 50, score=90)], [pair(0, 0, 0), pair(1, 30, 30)]
    arena_seeds = np.array([2**31], np.uint32)
    (offers,) = system.candidates(KEY, targets, sources, Arena(Field(), 100, arena_seeds))
    assert [(offer.source, offer.kind) for offer in offers] == [
        (0, "direct"),
        (1, "direct"),
        (0, "fine-tuned"),
    ]
    np.testing.assert_allclose([offer.score for offer in offers], [98, 72, 99], atol=1e-3)
    best = best_candidate(1).choose(targets[0], offers)
    assert best is not None
    assert best.kind == "fine-tuned"


def test_what_is_not_a_number_never_moves_in() -> None:
    rule = best_candidate(2)
    here = pair(0, 0, 0, score=10.0)
    lost, good = (
        Candidate(1, "direct", here.agent, np.nan, 1.0),
        Candidate(2, "direct", here.agent, 10.5, 1.0),
    )
    assert rule.choose(here, [lost, good]) is good
    assert rule.choose(here, [lost]) is None
    assert rule.choose(replace(here, score=10.5), [good]) is None  # no better
    assert rule.choose(replace(here, score=np.nan), [lost, good]) is good
    assert rule.tune(here, [lost, good, good]) == [1, 2]


def test_solving_takes_the_threshold_the_end_and_a_second_look() -> None:
    """0 passes; 1 scores 89; 2 passes, but not on other seeds once more; 3 was solved before."""

    class Fickle(Field):
        def __call__(self, weights: Any, courses: Any, which: Any, seeds: Any) -> Outcome:
            outcome = super().__call__(weights, courses, which, seeds)
            lucky = np.array([courses[c].place == 20.0 for c in which]) & (
                len(set(np.asarray(seeds).tolist())) == 7
            )
            return outcome._replace(finished=outcome.finished & ~lucky)

    system = POET(config(confirm=7, capacity=4), Spots(), MLP((1, 1)), Fickle())
    state = at(
        1, pair(0, 0, 5), pair(1, 10, 21), pair(2, 20, 20), replace(pair(3, 30, 30), solved=True, new=True)
    )
    after, events = system.step(KEY, state)
    assert told(events, "solve", "id", "score") == [(0, pytest.approx(95.0, abs=1e-3))]
    assert [each.solved for each in after.active] == [True, False, False, True]
    (metrics,) = [event.data for event in events if event.kind == "metric"]
    assert metrics["solved"] == 2
    assert metrics["annecs"] == 1  # environment 0 was given, not found
    _, events = system.step(KEY, after)
    assert not told(events, "solve", "id")


def test_one_call_for_each_kind_of_episode_on_seeds_never_trained_on() -> None:
    system = poet(Spots(30.0), fine_tuned=1)
    field = system.evaluate
    state = at(5, pair(0, 0, 0, 50), pair(1, 8, 9, 50), pair(2, 30, 33, 50))
    after, _ = system.step(KEY, state)
    # Generations, evaluations, direct transfers, fine-tuning, its evaluations, a second look at the solved.
    assert [count for count, _ in field.calls] == [3 * 4, 3 * 5, 6 * 5, 3 * 4, 3 * 5, 3 * 10]
    trained = {seed for i in (0, 3) for seed in field.calls[i][1]}
    tested = [set(field.calls[i][1]) for i in (1, 2, 4, 5)]
    assert max(trained) < 2**31 <= min(map(min, tested))
    assert tested[0] == tested[1] == tested[2]  # what is compared has played the same episodes
    assert len(tested[0]) == 5
    assert after.steps == 10 * sum(count for count, _ in field.calls)


def test_a_step_is_a_pure_function_and_the_first_one_tells_of_the_first_birth() -> None:
    system = poet()
    state = system.init(KEY)
    after, events = system.step(KEY, state)
    again, same_events = system.step(KEY, state)
    assert same((after, events), (again, same_events))
    other, _ = system.step(jax.random.key(1), state)
    assert not same(after, other)
    ((number, parent, agent),) = told(events, "birth", "id", "parent", "agent")
    assert (number, parent) == (0, None)
    np.testing.assert_array_equal(agent, state.active[0].agent)
    assert [event.kind for event in events] == [
        "birth",
        *["solve"] * bool(after.active[0].solved),
        "score",
        "metric",
    ]


def test_rules_are_injected() -> None:
    """Novelty that prefers the near, and a transfer that never happens."""
    asked = []

    def novelty(courses: Any, state: State, arena: Arena) -> tuple[np.ndarray, tuple]:
        asked.append(arena.score([state.active[0].agent] * len(courses), courses))
        return np.array([-course.place for course in courses]), ()

    never = module.TransferRule(lambda *_: [], lambda *_: [], lambda *_: None)
    system = POET(
        config(children=2), Spots(60.0, 30.0), MLP((1, 1)), Field(), novelty=novelty, transfer=never
    )
    _, events = system.step(KEY, at(10, pair(0, 0, 0), pair(1, 30, 0)))
    assert asked == [[(40.0, 0.0)]]  # 30 is taken
    assert not told(events, "birth", "id")
    assert not told(events, "transfer", "source")


def test_an_environment_is_how_it_orders_the_agents() -> None:
    ranks = performance_ranks(np.array([[10, 60, 60, 400], [np.nan, 55, 70, 310]]), 50, 300)
    np.testing.assert_allclose(ranks, [[-1 / 2, 0, 0, 1 / 2], [-1 / 2, -1 / 6, 1 / 6, 1 / 2]])
    np.testing.assert_array_equal(performance_ranks(np.array([[70.0], [90.0]]), 50, 300), 0)


def test_novel_is_what_orders_the_agents_anew() -> None:
    """Agents at 0, 30 and, archived, 90. Ground at 10 orders them as that at 0 does; at 15 two are equal."""
    gone = Archived(0, Spot(90.0), np.array([90, 0], np.float32), 0.0, False, False)
    state = at(10, pair(1, 0, 0), pair(2, 30, 30), archive=(gone,))
    field = Field()
    novelty = module.performance_novelty(0, 100, nearest=1)
    for asked in (15, 14):  # a score of the archived agent in its own environment is known for good
        arena = Arena(field, 100, np.array([2**31], np.uint32))
        found, memory = novelty([Spot(10.0), Spot(15.0)], state, arena)
        np.testing.assert_allclose(found, [0, np.sqrt(2) / 4])
        np.testing.assert_array_equal(memory, [[100.0]])
        assert field.calls[-1][0] == asked
        state = replace(state, memory=memory)


def test_what_the_archive_scored_is_never_played_again_nor_forgotten() -> None:
    """Ten reproductions with room for two, against a novelty that plays everything each time."""
    mutants = (10.0, 50.0, 20.0, 40.0, 15.0, 45.0, 25.0, 35.0, 12.0, 48.0)
    systems = [poet(Spots(*mutants), novelty="performance", capacity=2, reproduce_score=20) for _ in range(2)]
    keeping, forgetting = [at(10, pair(0, 0, 0), pair(1, 8, 60))] * 2
    for n in range(10):
        key = jax.random.fold_in(KEY, n)
        keeping, told_by_one = systems[0].step(key, replace(keeping, iteration=10))
        forgetting, told_by_other = systems[1].step(key, replace(forgetting, iteration=10, memory=()))
        for kind in ("birth", "rejection", "extinction"):
            assert same(*([e for e in told if e.kind == kind] for told in (told_by_one, told_by_other)))
    assert (len(keeping.archive), len(keeping.memory)) == (10, 9)
    assert same(keeping.memory, forgetting.memory)
    assert keeping.steps < forgetting.steps


def test_enhanced_poets_transfers_must_beat_the_last_five_scores_twice() -> None:
    rule = module.recent_best(2)
    here = replace(pair(0, 0, 0, score=20.0), recent=(10.0, 50.0, np.nan, 20.0))
    direct = [Candidate(n, "direct", here.agent, score, 1.0) for n, score in ((1, 30), (2, np.nan), (3, 60))]
    tuned = [Candidate(3, "fine-tuned", here.agent, score, 1.0) for score in (50, 55)]
    assert rule.tune(here, direct) == [2]
    assert rule.choose(here, [*direct, tuned[0]]) is None
    assert rule.choose(here, [*direct, tuned[1]]) is tuned[1]
    assert rule.tune(replace(here, recent=()), direct) == [2, 0]  # nobody was evaluated there yet


def test_an_agents_recent_scores_are_its_own() -> None:
    system = poet(capacity=2)
    state = at(1, pair(0, 0, 0), pair(1, 8, 60))
    for _ in range(6):
        state, events = system.step(KEY, state)
        if told(events, "transfer", "target") == [(1,)]:
            assert state.iteration == 6
            np.testing.assert_allclose(state.active[1].recent, [92.0], atol=1e-3)
    assert [len(each.recent) for each in state.active] == [5, 2]


def test_without_transfers_a_child_keeps_its_parents_agent() -> None:
    """Agent 1 would do better on the child of 0, and much better in environment 2."""
    system = poet(Spots(30.0), transfer="none", capacity=4)
    state = at(10, pair(0, 0, 0), pair(1, 40, 33, score=10), pair(2, 36, 90, score=10))
    after, events = system.step(KEY, state)
    assert told(events, "birth", "parent", "score") == [(0, pytest.approx(70.0, abs=1e-3))]
    assert not told(events, "transfer", "source")
    np.testing.assert_allclose([float(p.agent[0]) for p in after.active], [0, 33, 90, 0], atol=1e-3)


def test_the_minimal_criterion_includes_its_ends() -> None:
    criterion = MinimalCriterion(50, 300)
    found = [criterion.judge(score) for score in (49.9, 50, 300, 300.1, float("nan"), -np.inf)]
    assert found == ["too hard", None, None, "too easy", "too hard", "too hard"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("capacity", 0),
        ("transfer_every", -1),
        ("episodes", 0),
        ("fine_tuned", -1),
        ("solve_score", float("nan")),
        ("novelty", "surprise"),
        ("transfer", "worst"),
    ],
)
def test_a_wrong_number_is_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{field}: "):
        config(**{field: value})


def test_the_presets_are_configurations() -> None:
    import tomllib
    from importlib import resources

    for name in ("paper", "laptop", "enhanced-paper", "enhanced-laptop"):
        table = tomllib.loads((resources.files("aiga") / "presets" / "poet" / f"{name}.toml").read_text())
        parts = {"es": es.Config, "space": WalkerSpace, "cppn": CPPNSpace}
        made = WalkerConfig(**table | {part: kind(**table.get(part, {})) for part, kind in parts.items()})
        if name == "paper":
            assert made == WalkerConfig()


def test_an_agent_that_moves_in_goes_on_down_the_schedule() -> None:
    """Agent 0 is far better in environment 1 than the one at home there, and moves in."""
    after, events = poet(heir_steps=700).step(KEY, at(5, pair(0, 0, 0), pair(1, 8, 60)))
    assert told(events, "transfer", "source", "target") == [(0, 1)]
    assert [p.learner.steps for p in after.active] == [1, 700]
    assert [p.learner.seen for p in after.active] == [1, 0]


@pytest.mark.parametrize(("archived", "new"), [(6.0, False), (60.0, True)])
def test_annecs_asks_the_archive_too(archived: float, new: bool) -> None:
    """The child at 8 is solved by the agent at 0, which scores 92 there: all that admission asks for. An
    agent at 6 in the archive finds it too easy."""
    old = Archived(0, Spot(500.0), np.array([archived, 0], np.float32), 0.0, False, False)
    after, events = poet(Spots(8.0)).step(KEY, at(10, pair(1, 0, 0), archive=(old,)))
    (child,) = [pair for pair in after.active if pair.id > 1]
    assert child.course == Spot(8.0) and child.solved and child.new is new
    assert told(events, "metric", "annecs") == [(int(new),)]


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    import own_world

    state = own_world.main(iterations=21, seed=1)
    assert state.iteration == 21
    assert state.active[0].solved or state.archive
    assert "environments" in capsys.readouterr().out
