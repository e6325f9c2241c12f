"""The controls of POET and of Enhanced POET, at the scale of a laptop.

Wang et al. 2019, arXiv 1901.01753, section 4, and Wang et al. 2020, arXiv 2003.08536: can what POET makes be
reached directly, along a hand-made path, or without transfers? Does the enhanced system go on longer? And the
story told of the first runs: a walker that shuffles on flat ground comes back from rougher ground with a
better gait. docs/results.md says what came out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path as File

import jax
import numpy as np

from aiga import walker_poet, walker_ppo
from aiga.brains import MLP
from aiga.experiments import results
from aiga.experiments.lab import Lab, environments
from aiga.interfaces import Evaluate
from aiga.play import evaluation_seeds
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
SOLVED = 230.0
EPISODES = 50  # of a final score, on seeds that nothing else has played
GAIT = ("return", "hull height", "knee use", "steps per metre", "speed")
GIVEN = ("difficulty", "million steps")  # what a trial was given rather than what came of it
HARD = {"stump_height": 2.4, "gap_width": 6.0, "roughness": 4.5}  # the paper's bounds


@dataclass(frozen=True)
class Led(Config):
    """POET on the direct path to `target`."""

    target: Genes = field(default_factory=Genes)


@dataclass(frozen=True)
class Experiment:
    """`run` works through a lab's trials; `draw` puts what it found so far into a picture."""

    summary: str
    arms: tuple[str, ...]
    run: Callable[[Lab, Mapping[str, Config]], None]
    draw: Callable[[Lab, File], None]
    runs: int = 0  # for each seed; 0 where each arm is one


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
    highest = {
        **{n: getattr(genes, n)[1] for n in ("stump_height", "gap_width")},
        "roughness": genes.roughness,
    }
    return sum(highest[name] >= bound for name, bound in HARD.items())


# -- 1 and 2: can it be reached directly, or along a path? --------------------------------------------------


def direct(lab: Lab, presets: Mapping[str, Config]) -> None:
    """The hardest course a POET run solved, and learners that begin on it."""
    for seed in lab.seeds:
        config, target = _target(lab, seed, presets)
        alone = replace(config, first=target, reproduce_every=NEVER)
        lab.trial("ES", seed, walker_poet.build(alone), alone, partial(_on, target))
        taught = walker_ppo.Config(course=target)
        lab.trial(
            "PPO",
            seed,
            walker_ppo.Alone(taught),
            taught,
            partial(_on, target, activations=walker_ppo.ACTIVATIONS),
            name="ppo",
            patient=False,
        )


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
    lab.trial("POET", seed, walker_poet.build(config), config, _on_the_hardest)
    with Store.open(lab.folder_of("POET", seed)) as store:
        return config, genes_of(hardest(store))


def hardest(store: Store) -> Course:
    """Of the courses a run made and solved the one with the highest difficulty; flat ground where there is
    none."""
    solved = [row["course"] for row in environments(store) if row["id"] > 0 and row["solved"] is not None]
    return max(solved, key=difficulty, default=Course.flat())


def _on_the_hardest(store: Store) -> Mapping[str, float]:
    return _on(genes_of(hardest(store)), store)


def _on(target: Genes, store: Store, activations: Sequence[str] = ("tanh",) * 3) -> Mapping[str, float]:
    """How well the best of a run's agents does on a course, in episodes it was not chosen by."""
    course, brain = grow(target), MLP()
    evaluate = kernel.evaluator(brain.sizes, activations)
    agents = np.stack([store.array(sha) for sha in {row["agent"] for row in store.rows("environments")}])
    best = int(np.argmax(_play(evaluate, agents, course, 1, 10)[0]))
    (score,), (share,) = _play(evaluate, agents[best : best + 1], course, 2, EPISODES)
    solved = score >= SOLVED and share >= 0.9
    return {
        "score": float(score),
        "solved": float(solved),
        "difficulty": difficulty(course),
        "million steps": (store.summary().metrics["steps"] or 0) / 1e6,
    }


def _play(
    evaluate: Evaluate, agents: np.ndarray, course: Course, draw: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean return and share of finished episodes f64[K] of agents f32[K, N] in `count` episodes each."""
    seeds = evaluation_seeds(jax.random.key(draw), count)
    which, tiled = np.zeros(len(agents) * count, np.int32), np.tile(seeds, len(agents))
    played = evaluate(np.repeat(agents, count, axis=0), [course], which, tiled)
    means = np.asarray(played.returns, float).reshape(-1, count).mean(axis=1)
    return means, np.asarray(played.finished, float).reshape(-1, count).mean(axis=1)


# -- 3 and 4: without transfers; original and enhanced ------------------------------------------------------


def no_transfer(lab: Lab, presets: Mapping[str, Config]) -> None:
    """POET with and without transfers."""
    for seed in lab.seeds:
        for arm, rule in (("POET", "best"), ("no transfer", "none")):
            config = replace(presets["laptop"], transfer=rule)
            lab.trial(arm, seed, walker_poet.build(config), config, _solved)


def _solved(store: Store) -> Mapping[str, float]:
    courses = [row["course"] for row in environments(store) if row["id"] > 0 and row["solved"] is not None]
    return {
        "ANNECS": len(courses),
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
    rows = [row for row in store.rows("metrics") if row["name"] == "annecs"]
    by_third = [rows[len(rows) * third // 3 - 1]["value"] or 0 for third in (1, 2, 3)]
    return {"ANNECS": by_third[2], "in the last third": by_third[2] - by_third[1]}


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

        lab.trial("twice the places", seed, walker_poet.build(config), config, _solved, watch=watch)
        for when in ("before", "after"):
            means = {name: _mean(by) for name, by in _moves(lab, seed, when).items()}
            if means:
                lab.results.put(when, seed, means)


def _move(lab: Lab, seed: int, iteration: int, before: np.ndarray, after: np.ndarray) -> None:
    """Keeps the gaits of both agents, and a picture if no earlier move gained as much."""
    known = [_moves(lab, seed, when).get("return", []) for when in ("before", "after")]
    walks = {"before": _on_flat(before), "after": _on_flat(after)}
    for when, walked in walks.items():
        lab.results.put(f"{when} {iteration}", seed, gait_of(walked))
    gain = walks["after"].total - walks["before"].total
    if gain > max((b - a for a, b in zip(*known, strict=True)), default=-np.inf):
        # A second and a half of each, well into the walk.
        strips = [
            (Course.flat(), walked.poses[200:275:12] if len(walked.poses) > 275 else walked.poses[-1:], words)
            for when, walked in walks.items()
            for words in [f"{when} move {iteration} of seed {seed}: return {walked.total:.0f}"]
        ]
        gallery(strips).save(lab.folder / f"shuffle-{seed}.png")


def _moves(lab: Lab, seed: int, when: str) -> dict[str, list[float]]:
    """By the names of GAIT: what was measured before or after each move, in order."""
    found: dict[str, list[float]] = {}
    for name, arms in lab.results.values().items():
        moves = {arm.removeprefix(f"{when} "): by[seed] for arm, by in arms.items() if seed in by}
        found[name] = [moves[number] for number in sorted(filter(str.isdecimal, moves), key=int)]
    return {name: values for name, values in found.items() if values}


def _on_flat(agent: np.ndarray) -> Walk:
    brain = MLP()
    layers = brain.unflatten(agent)
    act = jax.jit(lambda observation: brain.act(layers, (), observation)[0])
    return walk(Course.flat(), act, int(evaluation_seeds(jax.random.key(3), 1)[0]))


def gait_of(walked: Walk) -> Mapping[str, float]:
    """Of a walk on flat ground, by the names of GAIT."""
    return dict(zip(GAIT, (walked.total, *gait(Course.flat(), walked)), strict=True))


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


# -- pictures -----------------------------------------------------------------------------------------------


def _dots(lab: Lab, file: File) -> None:
    found = lab.results.values()
    results.dots({name: by for name, by in found.items() if name not in GIVEN}, lab.arms, file)


def _curves(lab: Lab, file: File) -> None:
    results.curves(lab.curves("annecs"), "steps", "environments made and solved (ANNECS)", file)


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
