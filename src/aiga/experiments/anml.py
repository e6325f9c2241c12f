"""Is what ANML and OML learn worth more than a network that was trained, or drawn, without regard to order?

Beaulieu et al. 2020, arXiv 2002.09571, figures 2 and 3, on glyphs: all learners get as many meta-iterations,
then learn hundreds of new classes one after the other. The control is the best one of the networks that did
not learn to learn, seed by seed, the oracle each learner's own on the same images shuffled. Whether features
are standardised is chosen as the rate is, for every learner alike: no one is to win by their scale.
Experiment `anml-sequence` has OML in sequences of many classes, and controls that share its network.
docs/results.md and docs/anml.md say what came out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aiga.experiments import results
from aiga.experiments.lab import Experiment, Lab, last
from aiga.runs.store import Store
from aiga.systems.learning.anml import ANML, Config

PRESETS = {
    "anml": "lite",
    "oml": "oml",
    "oml-linear": "oml-linear",
    "pretrained": "pretrained",
    "random": "random",
}
SEQUENCE = ("oml-sequence", "pretrained-sequence", "pretrained-many", "random-sequence")  # arms and presets
CONTROLS = ("pretrained", "random", *SEQUENCE[1:])
SIZES = (100, 200, 400, 600)  # classes of a meta-test
BUDGET = 20_000  # meta-iterations, as the paper's
SEQUENCE_BUDGET = 6_000  # eight minutes of one core for each


def forgetting(lab: Lab, presets: Mapping[str, Config], wider: int = 1) -> None:
    """Each learner's meta-tests after as many meta-iterations, with so many times the presets' filters."""
    small = set(lab.arms) <= set(SEQUENCE) and wider == 1
    budget = lab.budget(SEQUENCE_BUDGET if small else BUDGET)
    for seeds in lab.groups(ANML):
        for arm in lab.arms:
            # Tests on the way are not what is measured here, and cost as much as meta-iterations.
            config = replace(presets[PRESETS.get(arm, arm)], test_every=5000)
            if wider > 1:
                config = _widened(config, wider)
            if config.decay:
                config = replace(config, decay=budget)
            system = ANML(config)
            lab.trials(arm, seeds, system, config, partial(_tested, system), name="anml")


def _widened(config: Config, times: int) -> Config:
    """With more features an answer moves more by a step of the head; the inner rate makes up for it. Steps
    between two commits are more, as the weights of a head for all classes are a hundred megabytes."""
    return replace(
        config,
        filters=config.filters * times,
        gate_filters=config.gate_filters * times,
        inner_rate=config.inner_rate / times,
        iterations=500,
        test_every=BUDGET,
    )


def _tested(system: ANML, store: Store) -> Mapping[str, float]:
    """Shares of right answers for each number of classes, and of units that fire."""
    state = last(store, system)
    scale = system.scale(state)
    found: dict[str, float] = {}
    for count in SIZES:
        exams = system.sit(state, count)
        both = exams, tuple(exam.scaled(*scale) for exam in exams)
        judged, oracle = (
            max((system.judged(each, mixed) for each in both), key=lambda one: one.chosen_by)
            for mixed in (False, True)
        )
        found |= {
            f"accuracy {count}": float(judged.held_out.mean()),
            f"learnt {count}": float(judged.learnt.mean()),
            f"oracle {count}": float(oracle.held_out.mean()),
            f"rate {count}": judged.rate,
        }
    before, after = (float(part.mean()) for part in system.firing(state))
    return {**found, "active before": before, "active after": after}


def _over_control(lab: Lab) -> dict[str, dict[str, dict[int, float]]]:
    """By number of classes and learner: the accuracy above the better control's, for each seed."""
    values = lab.results.values()
    found: dict[str, dict[str, dict[int, float]]] = {}
    for count in SIZES:
        by_arm = values.get(f"accuracy {count}", {})
        controls = [by_arm.get(arm, {}) for arm in CONTROLS if arm in lab.arms]
        seeds = set.intersection(*map(set, controls)) if controls else set()
        found[f"{count} classes"] = {
            arm: {
                seed: by_arm[arm][seed] - max(each[seed] for each in controls)
                for seed in seeds & set(by_arm[arm])
            }
            for arm in lab.arms
            if arm in by_arm and arm not in CONTROLS
        }
    return found


def _to_oracle(lab: Lab) -> dict[str, dict[str, dict[int, float]]]:
    """By number of classes and learner: the accuracy as a share of the oracle's."""
    values = lab.results.values()
    found: dict[str, dict[str, dict[int, float]]] = {}
    for count in SIZES:
        mine, theirs = (values.get(f"{name} {count}", {}) for name in ("accuracy", "oracle"))
        found[f"{count} classes"] = {
            arm: {seed: value / max(theirs[arm][seed], 1e-9) for seed, value in by.items()}
            for arm, by in mine.items()
        }
    return found


def _told(lab: Lab) -> str:
    values, said = lab.results.values(), []
    for title, measure in (
        ("Right answers to held-out images", "accuracy"),
        ("Right answers to the images that were learnt from", "learnt"),
        ("The oracle's to held-out images: the same images shuffled", "oracle"),
        ("Learning rate of the meta-test", "rate"),
    ):
        by = {f"{count} classes": values.get(f"{measure} {count}", {}) for count in SIZES}
        said += [title, "", results.table(by, lab.arms, apart=False), ""]
    over = _over_control(lab)
    said += ["More than the best control", "", results.table(over, lab.arms, apart=False), ""]
    said += ["Share of the oracle's", "", results.table(_to_oracle(lab), lab.arms, apart=False), ""]
    firing = {name: values.get(name, {}) for name in ("active before", "active after")}
    said += ["Share of units that fire, before and after the gate", ""]
    return "\n".join([*said, results.table(firing, lab.arms, apart=False)])


def _draw(lab: Lab, file: Path) -> None:
    """Accuracy by number of classes; dashed the oracles."""
    from matplotlib.figure import Figure

    values = lab.results.values()
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes: Any = figure.subplots()
    for place, arm in enumerate(lab.arms):
        for measure, style in (("accuracy", "-o"), ("oracle", "--")):
            by_size = [values.get(f"{measure} {count}", {}).get(arm, {}) for count in SIZES]
            if not all(by_size):
                continue
            means = [float(np.mean(list(by.values()))) for by in by_size]
            axes.plot(SIZES, means, style, color=f"C{place}", label=arm if measure == "accuracy" else None)
            if measure == "accuracy":
                ends = np.array([results.interval(list(by.values())) for by in by_size])
                axes.fill_between(SIZES, *ends.T, color=f"C{place}", alpha=0.2, linewidth=0)
    axes.plot([], [], "--", color="0.5", label="oracle: the same images shuffled")
    axes.set(xlabel="classes learnt one after the other", ylabel="right answers, new images", ylim=(0, 1))
    axes.legend(frameon=False)
    results.plain(axes)
    figure.savefig(file, dpi=120)


EXPERIMENTS: dict[str, Experiment] = {
    "anml": Experiment(
        "ANML and OML against networks that did not learn to learn, on hundreds of new classes in sequence",
        tuple(PRESETS),
        forgetting,
        _draw,
        tell=_told,
        system="anml",
        alone=True,
        unit="meta_iterations",
        folder="experiment-anml",
        minutes=600,
    ),
    "anml-sequence": Experiment(
        "OML in sequences of fifty classes against networks as wide and trained as long, as in `anml`",
        SEQUENCE,
        forgetting,
        _draw,
        tell=_told,
        system="anml",
        alone=True,
        unit="meta_iterations",
        folder="experiment-anml-sequence",
        minutes=300,
    ),
    "anml-wide": Experiment(
        "As `anml-sequence`, with four times as many filters and the paper's meta-iterations; for a GPU",
        SEQUENCE,
        partial(forgetting, wider=4),
        _draw,
        tell=_told,
        system="anml",
        alone=True,
        unit="meta_iterations",
        folder="experiment-anml-wide",
        minutes=600,
    ),
}
