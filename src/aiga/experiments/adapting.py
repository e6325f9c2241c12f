"""Do walkers that learnt to adapt walk better on slopes, on grass and under loads than those that did not?

ES-MAML (Song et al. 2020, arXiv 1910.01215), with and without a learnt prior, against the same evolution
strategy on the mixture of tasks, on level ground alone, and against none; all from the same trained walker,
with as many steps of the world, and with as many episodes to adapt. Who has no prior adapts in the better of
two ways, chosen on the very tasks that count, at every number of steps. docs/maml.md says what came out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from aiga.experiments import results
from aiga.experiments.lab import Experiment, Lab, last
from aiga.runs.store import Store
from aiga.systems.learning.es_maml import TOLD, Inner, baselines
from aiga.walker_maml import Config, build

STEPS = 100_000_000  # of a trial
TRIALS, EPISODES = 24, 16  # adaptations to each task, and episodes after each of their steps
WAYS = (Inner(0, "es", 16, 0.05, 0.1), Inner(0, "best", 16, 0.03))  # in which who has no prior adapts
CONTROLS = ("mixture", "plain", "scratch")
ARMS = ("prior", "es-maml", *CONTROLS)


def _arms(preset: Config) -> dict[str, Config]:
    """With as many episodes in a step each. ES-MAML adapts one step of eight episodes while it learns."""
    controls = baselines(preset)
    many = controls["mixture"].es.population // 9
    inner, outer = Inner(1, "es", 8, 0.05, 0.1), replace(preset.es, population=many - many % 2)
    return {
        "prior": preset,
        "es-maml": replace(controls["mixture"], inner=inner, es=outer),
        **controls,
    }


def adapting(lab: Lab, presets: Mapping[str, Config]) -> None:
    """Every arm's returns on the tasks held out after 0 to 3 steps."""
    lab.budget(STEPS)
    arms = _arms(presets["prior"])
    for seed in lab.seeds:
        for arm in lab.arms:
            measure = partial(_tested, arms[arm], seed)
            if arm == "scratch":  # has nothing to run for
                lab.measure([(arm, seed)], lambda arm, seed, measure=measure: measure(None))
            else:
                lab.trial(arm, seed, build(arms[arm]), arms[arm], measure, name="es-maml")


def _tested(config: Config, seed: int, store: Store | None) -> Mapping[str, float]:
    """Mean returns after each number of steps, over all tasks and of each."""
    key = jax.random.fold_in(jax.random.key(0x7E57), seed)  # apart from that of the run's own tests
    ways = (config.inner,) if config.prior.tasks else WAYS
    curves = []
    for inner in ways:
        system = build(replace(config, inner=inner, trials=TRIALS, test_episodes=EPISODES))
        state = system.init(key) if store is None else last(store, system)
        curves.append(system.judge(state, key).mean(1))
    found = {}
    for k in range(TOLD + 1):
        best = max(curves, key=lambda curve: curve[:, k].mean())[:, k]
        found[f"after {k}"] = float(best.mean())
        found |= {
            f"{name} after {k}": float(value) for name, value in zip(system.held_out, best, strict=True)
        }
    return found


def _over_controls(lab: Lab) -> dict[str, dict[str, dict[int, float]]]:
    """How much more than a control, after whichever number of steps is best for it, for each seed."""
    values, steps = lab.results.values(), range(TOLD + 1)
    best = {
        arm: {
            seed: max(values[f"after {k}"][arm][seed] for k in steps)
            for seed in values.get("after 0", {}).get(arm, {})
        }
        for arm in lab.arms
    }
    return {
        f"after {k}, over {control}": {
            arm: {
                seed: value - best[control][seed]
                for seed, value in values.get(f"after {k}", {}).get(arm, {}).items()
                if seed in best[control]
            }
            for arm in lab.arms
            if arm not in CONTROLS
        }
        for control in ("mixture", "plain")
        for k in steps[1:]
    }


def _told(lab: Lab) -> str:
    values = lab.results.values()
    names = [name for name in values if name.startswith("after ")]
    said = ["Mean return on the tasks held out", ""]
    said += [results.table({name: values[name] for name in sorted(names)}, lab.arms, apart=False), ""]
    said += ["More than a control after its best number of steps, 95 % by Student's t over seeds", ""]
    lines = [["", *(arm for arm in lab.arms if arm not in CONTROLS)]]
    for name, by in _over_controls(lab).items():
        more = [list(seeds.values()) for seeds in by.values()]
        lines.append(
            [
                name,
                *(
                    f"{np.mean(m):.1f} ({low:.1f} to {high:.1f})"
                    for m in more
                    for low, high in [results.t_interval(m)]
                ),
            ]
        )
    said += [results.markdown(lines), "", f"Each task after {TOLD} steps", ""]
    tasks = {name: by for name, by in values.items() if name.endswith(f" after {TOLD}")}
    return "\n".join([*said, results.table(tasks, lab.arms, apart=False)])


def _draw(lab: Lab, file: Path) -> None:
    """Returns by number of steps, every seed a line."""
    from matplotlib.figure import Figure

    values, steps = lab.results.values(), range(TOLD + 1)
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes: Any = figure.subplots()
    for place, arm in enumerate(lab.arms):
        for seed in values.get("after 0", {}).get(arm, {}):
            curve = [values[f"after {k}"][arm][seed] for k in steps]
            axes.plot(steps, curve, "-o", color=f"C{place}", markersize=3, alpha=0.4)
        known = [np.mean(list(values.get(f"after {k}", {}).get(arm, {0: np.nan}).values())) for k in steps]
        axes.plot(steps, known, "-", color=f"C{place}", linewidth=2.5, label=arm)
    axes.set(xlabel="steps of adaptation, 16 episodes each", ylabel="return on tasks held out")
    axes.set_xticks(steps)
    axes.legend(frameon=False)
    results.plain(axes)
    figure.savefig(file, dpi=120)


EXPERIMENTS = {
    "es-maml": Experiment(
        "walkers that learnt to adapt to slopes, grass and loads, against those that learnt on all or none",
        ARMS, adapting, _draw, tell=_told, system="es-maml", alone=True,
        folder="experiment-es-maml", minutes=120,
    ),
}  # fmt: skip
