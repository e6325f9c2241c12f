"""The controls of POET and of Enhanced POET, at the scale of a laptop.

Wang et al. 2019, arXiv 1901.01753, section 4, and Wang et al. 2020, arXiv 2003.08536: can what POET makes be
reached directly, along a hand-made path, or without transfers? Does the enhanced system go on longer? And the
story told of the first runs: a walker that shuffles on flat ground comes back from rougher ground with a
better gait. docs/results.md says what came out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path as File

import jax
import numpy as np

from aiga import walker_poet, walker_ppo
from aiga.brains import MLP
from aiga.experiments import results
from aiga.experiments.lab import Experiment, Lab, environments
from aiga.interfaces import Evaluate
from aiga.play import Arena, evaluation_seeds
from aiga.runs.loop import Step
from aiga.runs.store import Store
from aiga.walker_poet import Config
from aiga.worlds.walker import kernel
from aiga.worlds.walker.course import Course, Genes
from aiga.worlds.walker.draw import gallery
from aiga.worlds.walker.episode import Walk, walk
from aiga.worlds.walker.gait import gait
from aiga.worlds.walker.path import Path
from aiga.worlds.walker.space import LIMITS, genes_of, grow

NEVER = 10**9  # iterations
ANY_SCORE = {"minimal_low": -1e6, "minimal_high": 1e6}
SOLVED = 230.0  # mean return; POET's runs also ask that every episode reaches the end, of twenty
EPISODES = 50  # of a final score, on seeds that nothing else has played
GAIT = ("return", "hull height", "knee use", "steps per metre", "speed")
GIVEN = ("difficulty", "million steps")  # what a trial was given rather than what came of it
HARD = {"stump_height": 2.4, "gap_width": 6.0, "roughness": 4.5}  # the paper's bounds


@dataclass(frozen=True)
class Led(Config):
    """POET on the direct path to `target`."""

    target: Genes = field(default_factory=Genes)


def difficulty(course: Course) -> float:
    """How far each kind of obstacle is from none (0) to its limit (1), their mean; as the paper bounds it, by
    the highest value."""
    genes = genes_of(course)
    stairs = genes.step_height[1] / LIMITS["step_height"] * genes.steps / LIMITS["steps"]
    kinds = [getattr(genes, name)[1] / LIMITS[name] for name in ("stump_height", "gap_width")]
    return float(np.mean([*kinds, stairs, genes.roughness / LIMITS["roughness"]]))


def challenges(course: Course) -> int:
    """How many of the paper's three bounds a course passes: 1 challenging, 2 very, 3 extremely."""
    genes = genes_of(course)
    return sum(np.max(getattr(genes, name)) >= bound for name, bound in HARD.items())


# -- 1 and 2: can it be reached directly, or along a path? --------------------------------------------------


def direct(lab: Lab, presets: Mapping[str, Config]) -> None:
    """The hardest course a POET run solved, and learners that begin on it. PPO, whose steps cost more, also
    ends when its share of the time is over."""
    for seed in lab.seeds:
        config, target = _target(lab, seed, presets)
        alone = replace(config, first=target, reproduce_every=NEVER)
        lab.trial("ES", seed, walker_poet.build(alone), alone, partial(_on, target))
        taught = walker_ppo.Config(course=target)
        by_ppo = partial(_on, target, output="identity")
        lab.trial("PPO", seed, walker_ppo.Alone(taught), taught, by_ppo, name="ppo", patient=False)


def curriculum(lab: Lab, presets: Mapping[str, Config]) -> None:
    """The same course, and a learner that is led there: the next one comes when it is fit to have a child."""
    for seed in lab.seeds:
        config, target = _target(lab, seed, presets)
        led = Led(**{each.name: getattr(config, each.name) for each in fields(config)}, target=target)
        led = replace(led, capacity=1, children=1, reproduce_every=1, transfer="none", **ANY_SCORE)
        path = walker_poet.over(Path(target), led, grow(Genes(seed=target.seed)))
        lab.trial("curriculum", seed, path, led, partial(_on, target), name="poet-path")


def _target(lab: Lab, seed: int, presets: Mapping[str, Config]) -> tuple[Config, Genes]:
    """POET's configuration, and what its run of `seed` has to show."""
    config = presets["laptop"]
    lab.trial("POET", seed, walker_poet.build(config), config, lambda store: _on(hardest(store), store))
    with Store.open(lab.folder_of("POET", seed)) as store:
        return config, hardest(store)


def solved(store: Store) -> list[Course]:
    """The courses that a run made and solved."""
    return [row["course"] for row in environments(store) if row["id"] > 0 and row["solved"] is not None]


def hardest(store: Store) -> Genes:
    """Of the courses that a run made and solved the one of the highest difficulty; level ground if there is
    none."""
    return genes_of(max(solved(store), key=difficulty, default=Course.flat()))


def _on(target: Genes, store: Store, output: str = "tanh") -> Mapping[str, float]:
    """How well a run's agent does on the course `target`, in episodes it was not chosen by.

    It is the one at home there, as it is now or as it was when it solved the course, whichever does better in
    ten other episodes; where nobody ever got there, the one at home on the youngest course.
    """
    course, brain = grow(target), MLP(output=output)
    evaluate = kernel.evaluator(brain.sizes, brain.activations)
    rows = list(environments(store))
    homes = {row["id"] for row in rows if genes_of(row["course"]) == target} or {rows[-1]["id"]}
    names = [row["agent"] for row in rows if row["id"] in homes]
    names += [
        row["data"]["agent"]
        for row in store.rows("events")
        if row["kind"] == "solve" and row["data"]["id"] in homes
    ]
    agents = np.stack([store.array(name) for name in names])
    best = int(np.nanargmax(_play(evaluate, agents, course, 1, 10)[0]))
    (score,), (share,) = _play(evaluate, agents[best : best + 1], course, 2, EPISODES)
    return {
        "score": score,
        "reaches the end": share,
        "solved": float(score >= SOLVED),
        "difficulty": difficulty(course),
        "million steps": (store.summary().metrics["steps"] or 0) / 1e6,
    }


def _play(
    evaluate: Evaluate, agents: np.ndarray, course: Course, draw: int, count: int
) -> tuple[list[float], list[float]]:
    """Mean return and share of finished episodes of agents f32[K, N] in `count` episodes each."""
    arena = Arena(evaluate, len(agents) * count, evaluation_seeds(jax.random.key(draw), count))
    scores, shares = zip(*arena.score(list(agents), [course] * len(agents)), strict=True)
    return list(scores), list(shares)


# -- 3 and 4: without transfers; original and enhanced ------------------------------------------------------


def no_transfer(lab: Lab, presets: Mapping[str, Config]) -> None:
    """POET with and without transfers."""
    for seed in lab.seeds:
        for arm, rule in (("POET", "best"), ("no transfer", "none")):
            config = replace(presets["laptop"], transfer=rule)
            lab.trial(arm, seed, walker_poet.build(config), config, _made)


def _made(store: Store) -> Mapping[str, float]:
    summary, courses = store.summary(), solved(store)
    return {
        "made": summary.environments - 1,
        "solved": len(courses),
        "ANNECS": summary.metrics["annecs"] or 0,
        "hardest solved": max(map(difficulty, courses), default=0.0),
        "challenging": sum(challenges(course) >= 1 for course in courses),
    }


def open_endedness(lab: Lab, presets: Mapping[str, Config]) -> None:
    """How many environments that were new when they came are solved later, by both systems."""
    for seed in lab.seeds:
        for arm, preset in (("POET", "laptop"), ("Enhanced POET", "enhanced-laptop")):
            config = presets[preset]
            lab.trial(arm, seed, walker_poet.build(config), config, _annecs)


def _annecs(store: Store) -> Mapping[str, float]:
    steps, annecs = (
        np.array([row["value"] or 0 for row in store.rows("metrics") if row["name"] == name])
        for name in ("steps", "annecs")
    )
    early = annecs[np.searchsorted(steps, steps[-1] * 2 / 3)]
    return {
        "made": store.summary().environments - 1,
        "ANNECS": annecs[-1],
        "in the last third of the steps": annecs[-1] - early,
    }


# -- 5: the shuffle -----------------------------------------------------------------------------------------


def shuffle(lab: Lab, presets: Mapping[str, Config]) -> None:
    """Agents of flat ground just before and just after one from other ground moved in; means over the moves.

    Twice the capacity, so that flat ground stays active while rougher ground is learnt. The move that gained
    most on flat ground is drawn.
    """
    config = replace(presets["laptop"], capacity=2 * presets["laptop"].capacity)
    for seed in lab.seeds:
        at_home: dict[str, np.ndarray] = {}

        def watch(step: Step, seed: int = seed, at_home: dict[str, np.ndarray] = at_home) -> None:
            for event in step.events:
                if event.kind == "transfer" and event.data["target"] == 0 and "agent" in at_home:
                    # At once, as an agent that was replaced is not kept.
                    _move(lab, seed, step.iteration, at_home["agent"], np.asarray(event.data["agent"]))
                if event.kind == "score" and event.data["id"] == 0:
                    at_home["agent"] = np.asarray(event.data["agent"])

        lab.trial("twice the places", seed, walker_poet.build(config), config, _made, watch=watch)
        for when, means in zip(("before", "after"), _means(_moves(lab, seed)), strict=True):
            lab.results.put(when, seed, means)


def _move(lab: Lab, seed: int, iteration: int, before: np.ndarray, after: np.ndarray) -> None:
    """Keeps the gaits of both agents, and a picture if no earlier move gained as much."""
    gains = [two["return"] - one["return"] for one, two in _moves(lab, seed)]
    walks = {"before": _on_flat(before), "after": _on_flat(after)}
    for when, walked in walks.items():
        lab.results.put(f"{when} {iteration}", seed, gait_of(walked))
    if walks["after"].total - walks["before"].total > max(gains, default=-np.inf):
        # A second and a half of each, well into the walk.
        strips = [
            (Course.flat(), walked.poses[200:275:12] if len(walked.poses) > 275 else walked.poses[-1:], words)
            for when, walked in walks.items()
            for words in [f"{when} move {iteration} of seed {seed}: return {walked.total:.0f}"]
        ]
        gallery(strips).save(lab.folder / f"shuffle-{seed}.png")


def _moves(lab: Lab, seed: int) -> list[tuple[dict[str, float], dict[str, float]]]:
    """What was measured before and after each move that both are known of, by the names of GAIT."""
    by_arm: dict[str, dict[str, float]] = {}
    for name, arms in lab.results.values().items():
        for arm, by_seed in arms.items():
            if seed in by_seed:
                by_arm.setdefault(arm, {})[name] = by_seed[seed]
    numbers = sorted(
        int(arm.removeprefix("after ")) for arm in by_arm if arm.removeprefix("after ").isdecimal()
    )
    return [(by_arm[f"before {n}"], by_arm[f"after {n}"]) for n in numbers if f"before {n}" in by_arm]


def _means(moves: list[tuple[dict[str, float], dict[str, float]]]) -> list[dict[str, float]]:
    """Before and after, over the moves of which a number is known on both sides; NaN for none."""
    means: list[dict[str, float]] = [{}, {}]
    for name in GAIT:
        pairs = np.array([(one[name], two[name]) for one, two in moves]).reshape(-1, 2)
        known = pairs[~np.isnan(pairs).any(axis=1)]
        for mean, values in zip(means, known.T, strict=True):
            mean[name] = float(values.mean()) if len(values) else float("nan")
    return means


def _on_flat(agent: np.ndarray) -> Walk:
    brain = MLP()
    layers = brain.unflatten(agent)
    act = jax.jit(lambda observation: brain.act(layers, (), observation)[0])
    return walk(Course.flat(), act, int(evaluation_seeds(jax.random.key(3), 1)[0]))


def gait_of(walked: Walk) -> Mapping[str, float]:
    """Of a walk on flat ground, by the names of GAIT."""
    return dict(zip(GAIT, (walked.total, *gait(Course.flat(), walked)), strict=True))


# -- pictures -----------------------------------------------------------------------------------------------


def _dots(lab: Lab, file: File) -> None:
    found = results.measured(lab.results.values(), lab.arms)
    results.dots({name: by for name, by in found.items() if name not in GIVEN}, lab.arms, file)


def _curves(lab: Lab, file: File) -> None:
    runs = {
        arm: [(steps / 1e6, height) for steps, height in lines] for arm, lines in lab.curves("annecs").items()
    }
    results.curves(runs, "million steps", "environments made and solved (ANNECS)", file)


EXPERIMENTS: dict[str, Experiment] = {
    "direct": Experiment(
        "POET's hardest solved course, learnt from scratch", ("POET", "ES", "PPO"), direct, _dots
    ),
    "curriculum": Experiment(
        "the same course, reached along a hand-made path", ("POET", "curriculum"), curriculum, _dots
    ),
    "no-transfer": Experiment("POET without transfers", ("POET", "no transfer"), no_transfer, _curves),
    "open-endedness": Experiment(
        "ANNECS of POET and of Enhanced POET", ("POET", "Enhanced POET"), open_endedness, _curves
    ),
    "shuffle": Experiment(
        "the gait on flat ground before and after transfers back", ("before", "after"), shuffle, _dots, runs=1
    ),
}
