"""The experiment of RL^2: what a memory that was taught makes of tasks, beside what is known to do well.

Duan et al. 2016 (arXiv 1611.02779) and Wang et al. 2016 (arXiv 1611.05763). All strategies play the tasks
that RL^2 is tested on, of which nothing was trained on. docs/results.md says what came out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from aiga.experiments import results
from aiga.experiments.lab import Experiment, Lab, last
from aiga.play import exact, strategies
from aiga.play.collecting import Experience
from aiga.play.posterior_sampling import PSRL, plan
from aiga.play.strategies import Counting, Filter, RescorlaWagner, Strategy, played
from aiga.runs.store import Store
from aiga.systems.learning.rl2 import RL2, Config, regrets, world
from aiga.worlds.bandits import DEPENDENT
from aiga.worlds.tabular import Tabular

Presets = Mapping[str, Config]
TASKS = 10_000  # to test on
FEW = 2_000  # where a strategy plans
RATES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)  # of Rescorla and Wagner's rule
ARM = 10  # the informative one
BEST = "Bayes-optimal"
KNOWS = "knows the MDP"
BESIDES = ("informative arm first", "interaction", KNOWS)


class Rival(NamedTuple):
    """A number that is known, or a strategy to be played."""

    name: str
    worth: float | Strategy


class Asked(NamedTuple):
    """A task, how it is counted, and who is to be beaten; where one of `rivals` is the best there can be, it
    comes last."""

    config: Callable[[Presets], Config]
    measure: str  # "regret", or "return" of a trial
    rivals: Callable[[], Sequence[Rival]]
    tasks: int = TASKS


def _two_arms() -> list[Rival]:
    known, best = partial(exact.two_arms, 100), 200 / 3
    return [
        Rival("Thompson", Counting(2, strategies.thompson)),
        Rival("greedy", best - known(partial(strategies.greedy, None))),
        Rival("UCB1", best - known(partial(strategies.ucb1(), None))),
        Rival(BEST, best - known()),
    ]


def _dependent(draw: str) -> list[Rival]:
    better = DEPENDENT.get(draw)
    best = 100 * (better or 0.75)  # the better of two uniform chances that sum to 1 is 3/4
    return [
        Rival("Thompson", Counting(2, strategies.thompson)),
        Rival(BEST, best - exact.dependent(100, better)),
    ]


def _restless() -> list[Rival]:
    rules = [Rival(f"Rescorla-Wagner, {rate}", RescorlaWagner(rate)) for rate in RATES]
    return [*rules, Rival(BEST, Filter(0.8, (0.02, 0.2)))]


def _preset(name: str, **changes: Any) -> Callable[[Presets], Config]:
    return lambda presets: replace(presets[name], **changes)


def _mdp(preset: str, **changes: Any) -> Asked:
    rivals = [Rival("PSRL", PSRL()), Rival("greedy", PSRL(greedy=True))]
    return Asked(_preset(preset, **changes), "return", lambda: rivals, FEW)


ASKED = {
    "two arms": Asked(_preset("arms"), "regret", _two_arms),
    "two arms, not told": Asked(
        _preset("arms", tells_reward=False), "regret", lambda: [Rival("chance", 50 / 3)]
    ),
    **{
        f"dependent, {draw}": Asked(_preset("dependent", draw=draw), "regret", partial(_dependent, draw))
        for draw in ("uniform", *DEPENDENT)
    },
    "informative": Asked(
        _preset("informative"), "return", lambda: [Rival("asks first", float(exact.informative(5)))]
    ),
    "restless": Asked(_preset("restless"), "return", _restless),
    "two steps": Asked(
        _preset("two-step"), "return", lambda: [Rival(BEST, Filter(0.9, (0.025,), True))]
    ),
    "Harlow": Asked(_preset("harlow"), "return", lambda: [Rival("guesses once, then knows", 5.0)]),
    "MDP, 10 episodes": _mdp("mdp"),
    "MDP, 25 episodes": _mdp("mdp-25"),
    "MDP, 10 episodes, LSTM": _mdp("mdp-lstm"),
    "MDP, 25 episodes, LSTM": _mdp("mdp-lstm", episodes=25, trials=512),
}  # fmt: skip
STEPS = 38_400_000  # of a trial; in MDPs an LSTM needs eight times as many to play as PSRL does


def rl2(lab: Lab, presets: Presets) -> None:
    """Every task with every seed, at the end of whose steps what falls has fallen."""
    budget = lab.budget(STEPS)
    for arm in lab.arms:
        asked = ASKED[arm]
        config = annealed(asked.config(presets), budget)
        for seed in lab.seeds:
            measure = partial(_measured, asked, config)
            lab.trial(arm, seed, RL2(config), config, measure, name="rl2")


def annealed(config: Config, steps: int) -> Config:
    """`config` with which all that falls has fallen after so many `steps`."""
    return replace(config, anneal=max(steps // RL2(config).steps(1), 1))


def _measured(asked: Asked, config: Config, store: Store) -> Mapping[str, float]:
    """RL^2 and its rivals on the same tasks; where it is asked, what its choices go by."""
    system = RL2(config)
    state = last(store, system)
    # Never those of the run's own tests.
    key = jax.random.fold_in(jax.random.wrap_key_data(state.test, impl="threefry2x32"), 1)
    courses, seen = system.judge(state.learner, key, asked.tasks)
    regret = asked.measure == "regret"
    ours = regrets(courses, seen.action) if regret else seen.reward.sum(0)
    found = {asked.measure: float(ours.mean()), "error": float(ours.std(ddof=1) / len(ours) ** 0.5)}
    steps = len(seen.reward)
    for name, worth in asked.rivals():
        if not isinstance(worth, int | float):
            total = np.asarray(played(world(config)[0], worth, jax.random.fold_in(key, 2), courses, steps))
            best = float(np.asarray(courses).max(1).mean() * config.pulls) if regret else 0.0
            worth = best - float(total.mean()) if regret else float(total.mean())
        found[name] = float(worth)
    if config.task == "informative":
        found["informative arm first"] = float((seen.action[0] == ARM).mean())
    if config.task == "two-step":
        found["interaction"] = interaction(seen)
    if config.task == "mdp":
        values = jax.jit(jax.vmap(lambda course: plan(course, Tabular().horizon)[1][0, 0]))(courses)
        found[KNOWS] = config.episodes * float(values.mean())
    return found


def interaction(seen: Experience) -> float:
    """Of two-step trials: how much more a reward makes one stay after the usual way than after the other,
    less the same for no reward. 0 for whoever goes by rewards alone, positive for who knows the ways."""
    choice, reward = np.asarray(seen.action)[::2], np.asarray(seen.reward)[1::2] > 0
    place = np.asarray(seen.observation)[1::2, :, 1:3].argmax(-1)
    usual, stayed = (place == choice)[:-1], choice[1:] == choice[:-1]

    def stays(paid: bool, common: bool) -> float:
        return float(stayed[(reward[:-1] == paid) & (usual == common)].mean())

    return stays(True, True) - stays(True, False) - stays(False, True) + stays(False, False)


def _told(lab: Lab) -> str:
    values = lab.results.values()
    lines = [["task", "measure", "RL^2", "rivals on the same tasks", "besides"]]
    for arm, asked in ASKED.items():
        ours = list(values.get(asked.measure, {}).get(arm, {}).values())
        if not ours:
            continue
        if len(ours) > 1:
            low, high = results.t_interval(ours)
        else:  # over tasks, as there is nothing else
            wide = 1.96 * next(iter(values["error"][arm].values()))
            low, high = ours[0] - wide, ours[0] + wide
        rivals = {name: values[name][arm] for name, _ in asked.rivals()}
        besides = {name: values.get(name, {}).get(arm, {}) for name in BESIDES}
        lines.append(
            [
                arm,
                asked.measure,
                f"{np.mean(ours):.3f} ({low:.3f} to {high:.3f}), {len(ours)} seed{'s' * (len(ours) > 1)}",
                "; ".join(f"{name} {np.mean(list(by.values())):.3f}" for name, by in rivals.items()),
                "; ".join(f"{name} {np.mean(list(by.values())):.3f}" for name, by in besides.items() if by),
            ]
        )
    return results.markdown(lines)


def _draw_share(lab: Lab, file: Path) -> None:
    """How far RL^2 gets from its first rival to the best there can be: every seed a dot. Of MDPs the best is
    who knows them, which nobody can be."""
    from matplotlib.figure import Figure

    values, figure = lab.results.values(), Figure(figsize=(7, 3.8), layout="constrained")
    axes: Any = figure.subplots()
    results.plain(axes)
    shown = []
    for arm, asked in ASKED.items():
        first, *others = (rival.name for rival in asked.rivals())
        best = values.get(BEST if BEST in others else KNOWS, {}).get(arm, {})
        for seed, bound in best.items():
            ours, rival = values[asked.measure][arm][seed], values[first][arm][seed]
            axes.plot(len(shown), (rival - ours) / (rival - bound), "o", color="C0", alpha=0.7)
        if best:
            shown.append(f"{arm}, {first}".replace(", ", "\n"))
    axes.axhline(0, color="0.7", linewidth=1)
    axes.axhline(1, color="0.7", linewidth=1, linestyle="--")
    axes.set_xticks(range(len(shown)), shown, fontsize=8)
    axes.set(
        xlim=(-0.5, max(len(shown), 1) - 0.5),
        ylabel="0: the rival named below, 1: the best possible\n(in MDPs: who knows them)",
    )
    figure.savefig(file, dpi=120)


EXPERIMENTS = {
    "rl2": Experiment(
        "RL^2 on bandits, the two-step task, Harlow's and MDPs, beside strategies that are known to do well",
        tuple(ASKED), rl2, _draw_share, tell=_told, system="rl2", alone=True,
        folder="experiment-rl2", minutes=600,
    ),
}  # fmt: skip
