"""The experiments of AutoML-Zero, at the scale of a laptop.

Real et al. 2020, arXiv 2003.03384: how much more does evolution find than random search, the rarer what is
looked for (section 4.1)? Does what is found beat a linear model by hand (section 4.2)? Does evolution adapt a
network to what its tasks lack (section 4.3)? And, before the third is believed: are ideas named where they
are, and only there? docs/results.md says what came out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from aiga.brains.programs import evolution, kernel, known
from aiga.brains.programs.ideas import NAMES, ideas, mean_rates
from aiga.brains.programs.ops import NUMBER, Program, Sizes
from aiga.experiments import results
from aiga.experiments.disguises import CASES, disguised
from aiga.experiments.disguises import SIZES as ROOM
from aiga.experiments.lab import Experiment, Lab, OutOfTime
from aiga.machine import threads_here
from aiga.runs.codec import decode
from aiga.runs.store import Store
from aiga.systems.architectures.automl_zero import AutoMLZero, Config, Found, State
from aiga.worlds import supervised

Presets = Mapping[str, Config]

# -- section 4.1: evolution and random search ---------------------------------------------------------------

ACCEPTABLE = 0.9999  # mean fitness, on the tasks of the search and on FRESH others
FRESH = 100
FEATURES = 4
LIMIT = 300_000  # individuals of one search; then another one begins, on other tasks
BATCH = 50_000  # random programs
BRED = 5_000_000  # individuals of a trial


@dataclass(frozen=True)
class Level:
    """What is to be found: `begin` random instructions of each component; where none, `given` has them."""

    task: str
    given: Program
    begin: tuple[int, int, int]
    scalars: int = 4
    more: tuple[str, ...] = ()  # operations besides the demo's
    train: int = 100  # examples, enough for `given` to be acceptable


def _affine(rate: float) -> Program:
    """The linear regressor with a bias, s4."""
    predict = [("v dot", 1, 0, 1), ("s add", 1, 4, 1)]
    learn = [("s subtract", 0, 1, 3), ("s multiply", 2, 3, 3), ("s times v", 3, 0, 2), ("v add", 1, 2, 1)]
    return Program.of([("s constant", 2, rate)], predict, [*learn, ("s add", 4, 3, 4)])


LEVELS = {
    "linear, learn": Level("linear", known.linear(0.2), (0, 0, 8)),
    "linear, predict and learn": Level("linear", known.linear(0.2), (0, 2, 8)),
    "linear, all three": Level("linear", known.linear(0.2), (10, 2, 8)),
    "affine, learn": Level("affine", _affine(0.15), (0, 0, 8), 5, ("s add",), 150),
}
SEARCHES = ("evolution", "random search")


def difficulty(lab: Lab, presets: Presets) -> None:
    """Acceptable programs for each individual, bred or random, with as many individuals to each search."""
    budget = lab.budget(BRED)
    trials = [(f"{level}: {search}", seed) for seed in lab.seeds for level in LEVELS for search in SEARCHES]

    def measure(arm: str, seed: int) -> Mapping[str, float]:
        level, search = arm.split(": ")
        config = _searching(LEVELS[level], presets["demo"])
        run = _evolved if search == "evolution" else _random
        return run(lab, config, LEVELS[level], [seed, *arm.encode()], budget)

    lab.measure(trials, measure, threads_here())


def _searching(level: Level, demo: Config) -> evolution.Config:
    """The demo's search for what `level` asks."""
    most = tuple(n or m for n, m in zip(level.begin, level.given.lengths, strict=True))
    operations: dict[str, Any] = {
        f"{part}_ops": tuple(NUMBER[name] for name in (*demo.setup_ops, *level.more)) if count else ()
        for part, count in zip(("setup", "predict", "learn"), level.begin, strict=True)
    }
    sizes = replace(demo.sizes, scalars=level.scalars, features=FEATURES)
    return replace(demo.search(0.0), sizes=sizes, begin=level.begin, most=most, **operations)


def _made(level: Level, kind: str, count: int, seed: int) -> kernel.Tasks:
    shape = supervised.Shape(FEATURES, level.train, 100)
    return kernel.Tasks(*supervised.tasks(level.task, kind, count, shape, seed))


def _acceptable(programs: Sequence[Program], level: Level, sizes: Sizes, seed: int) -> int:
    """How many also solve tasks that they were not chosen by."""
    if not programs:
        return 0
    scores = kernel.evaluate(programs, sizes, _made(level, "test", FRESH, seed)).mean(1)
    return int(np.sum(scores > ACCEPTABLE))


def _evolved(
    lab: Lab, config: evolution.Config, level: Level, entropy: Sequence[int], budget: int
) -> Mapping[str, float]:
    """Searches one after the other, each until it has found an acceptable program or is at its limit."""
    rng, found, spent = np.random.default_rng(entropy), 0, 0
    while spent < budget:
        seed = int(rng.integers(2**63))
        tasks, state = _made(level, "search", 8, seed), evolution.begin(seed, config, given=level.given)
        limit, solved = min(LIMIT, budget - spent), None
        while state.born < limit and solved is None:
            if lab.over:
                raise OutOfTime
            chunk = min(20_000, limit - state.born)
            state, better, _ = evolution.evolve(config, state, tasks, chunk)
            for each in better:
                if each.fitness > ACCEPTABLE and _acceptable([each.program], level, config.sizes, seed):
                    solved = each.id + 1
                    break
        found += solved is not None
        spent += solved or state.born
    return {"found": found, "individuals": spent}


def _random(
    lab: Lab, config: evolution.Config, level: Level, entropy: Sequence[int], budget: int
) -> Mapping[str, float]:
    """First populations alone: nobody has a parent."""
    rng, found, spent = np.random.default_rng(entropy), 0, 0
    while spent < budget:
        if lab.over:
            raise OutOfTime
        seed, some = int(rng.integers(2**63)), min(BATCH, budget - spent)
        whole = replace(config, population=some)
        state = evolution.evolve(
            whole, evolution.begin(seed, whole, given=level.given), _made(level, "search", 8, seed), some
        ).state
        rows = np.flatnonzero(state.fitness[:, 0] > ACCEPTABLE)
        found += _acceptable([state.individual(int(row)) for row in rows], level, config.sizes, seed)
        spent += some
    return {"found": found, "individuals": spent}


def _sums(lab: Lab) -> dict[str, list[tuple[int, float]]]:
    """By level: acceptable programs and individuals, of evolution and of random search."""
    values = lab.results.values()
    sums = {}
    for level in LEVELS:
        both = []
        for search in SEARCHES:
            arm = f"{level}: {search}"
            found, spent = (
                sum(values.get(name, {}).get(arm, {}).values()) for name in ("found", "individuals")
            )
            both.append((round(found), spent))
        if all(spent for _, spent in both):
            sums[level] = both
    return sums


def _efficiency(lab: Lab) -> str:
    lines = [["", *SEARCHES, "evolution finds so many times as many"]]
    for level, ((ours, mine), (theirs, of)) in _sums(lab).items():
        ratio, low, high = results.rate_ratio(ours, mine, theirs, of)
        said = f"{ratio:.3g} ({low:.3g} to {high:.3g})" if np.isfinite(ratio) else f"at least {low:.3g}"
        lines.append([level, f"{ours} in {mine / 1e6:.3g} M", f"{theirs} in {of / 1e6:.3g} M", said])
    return results.markdown(lines)


def _draw_efficiency(lab: Lab, file: Path) -> None:
    """How many times as much evolution finds, level by level; arrows where one end is all that is known."""
    figure, axes = _panel()
    sums = _sums(lab)
    for place, ((ours, mine), (theirs, of)) in enumerate(sums.values()):
        ratio, low, high = results.rate_ratio(ours, mine, theirs, of)
        if theirs and ours:
            axes.errorbar(place, ratio, [[ratio - low], [high - ratio]], fmt="o", color="C0")
        elif ours or theirs:
            end, mark = (low, "^") if ours else (high, "v")
            axes.plot(place, end, marker=mark, color="C0")
    axes.axhline(1, color="0.7", linewidth=1)
    axes.set(yscale="log", ylabel="times as many as random search")
    axes.set_xticks(range(len(sums)), [level.replace(", ", "\n") for level in sums], fontsize=8)
    figure.savefig(file, dpi=120)


# -- are ideas named where they are? ------------------------------------------------------------------------


def recogniser(lab: Lab, presets: Presets) -> None:
    """What `ideas` names in programs with every idea, without it and in look-alikes, each in disguise."""

    def measure(arm: str, seed: int) -> Mapping[str, float]:
        rng = np.random.default_rng([seed, *arm.encode()])
        found = {idea.name for idea in ideas(disguised(CASES[arm].make(rng), ROOM, rng), ROOM, key=seed)}
        return {name: float(name in found) for name in NAMES}

    lab.measure([(arm, seed) for seed in lab.seeds for arm in CASES], measure)


def _count(values: Mapping[str, Mapping[str, Mapping[int, float]]], name: str, arm: str) -> tuple[int, int]:
    """In how many trials of `arm` the idea was named, of how many."""
    by = values.get(name, {}).get(arm, {})
    return round(sum(by.values())), len(by)


def _named(lab: Lab) -> dict[str, dict[str, tuple[int, int]]]:
    """By case and idea: in how many disguises it was named, of how many."""
    values = lab.results.values()
    return {
        arm: {name: _count(values, name, arm) for name in NAMES}
        for arm in CASES
        if any(arm in by_arm for by_arm in values.values())
    }


def _recalled(lab: Lab) -> str:
    """Recall, false alarms, and what was named wrongly where."""
    named = _named(lab)

    def over(name: str, arms: Sequence[str]) -> str:
        # No interval: disguises of one case are no independent trials.
        return "{} of {}".format(*(sum(named[arm][name][k] for arm in arms if arm in named) for k in (0, 1)))

    lines = [["idea", "named where it is", "named in its ablation", "named where it is not"]]
    for name in NAMES:
        mine = [arm for arm, case in CASES.items() if name in case.has]
        others = [arm for arm, case in CASES.items() if name not in case.has | case.may]
        lines.append([name, over(name, mine), over(name, [f"{name}: ablation"]), over(name, others)])
    said = [results.markdown(lines), ""]
    for arm, by_idea in named.items():
        case = CASES[arm]
        for name, (hits, of) in by_idea.items():
            if name in case.has and hits < of:
                said.append(f"{arm}: {name} not named in {of - hits} of {of}")
            if name not in case.has | case.may and hits:
                said.append(f"{arm}: {name} named in {hits} of {of}")
    return "\n".join(said).rstrip()


def _draw_confusion(lab: Lab, file: Path) -> None:
    """Cases down, ideas across: the share of disguises in which an idea was named; frames where it is."""
    named = _named(lab)
    figure, axes = _panel(5.4, 0.22 * len(named) + 1.6)
    axes.imshow(
        [[hits / max(of, 1) for hits, of in by.values()] for by in named.values()],
        cmap="Blues", vmin=0, vmax=1, aspect="auto",
    )  # fmt: skip
    for row, arm in enumerate(named):
        for column, name in enumerate(NAMES):
            if name in CASES[arm].has:
                axes.plot(column, row, "s", markersize=9, markerfacecolor="none", color="C1")
    axes.set_xticks(range(len(NAMES)), NAMES, rotation=35, ha="right", fontsize=7)
    axes.set_yticks(range(len(named)), list(named), fontsize=7)
    figure.savefig(file, dpi=120)


# -- section 4.3: adaptations -------------------------------------------------------------------------------

ADAPTED = 200_000  # individuals of a trial
MANY = Config(
    task="digits", tasks=18, select_tasks=18, train=140, valid=100, epochs=10, combine="mean",
    sizes=Sizes(8, 14, 3, 8), most=(21, 21, 45), population=100, tournament=10, islands=1, hurdle_tasks=4,
    migrate_every=0, budget=4.0,
)  # fmt: skip
# Each differs from the control in one condition. Programs predict a number, so of ten classes one is told
# from the nine others.
CONDITIONS = {
    "control": MANY,
    "few examples": replace(MANY, train=20),
    "few epochs": replace(MANY, epochs=1),
    "ten classes": replace(MANY, task="digits-rest"),
}
START = known.network(0.1)
RATE = "rate from a mean"
ADAPTED_IDEAS = (*NAMES, RATE)
# What the paper saw under each condition, by the name of its measure.
EXPECTED = {"few examples": NAMES[4], "few epochs": NAMES[2], "ten classes": RATE}


def adaptations(lab: Lab, presets: Presets) -> None:
    """From the paper's network, under three conditions and a control: what does the best program have?"""
    budget = lab.budget(ADAPTED)
    trials = [(arm, seed) for seed in lab.seeds for arm in CONDITIONS]
    lab.measure(trials, partial(_adapted, lab, budget), threads_here())


def _adapted(lab: Lab, budget: int, arm: str, number: int) -> Mapping[str, float]:
    """One island of copies of the network; of what got better the best on the tasks to select by."""
    config = CONDITIONS[arm]
    # Fisher's test wants arms that share nothing, so their trials have other pairs and other chances.
    seed = int(np.random.default_rng([number, *arm.encode()]).integers(2**63))
    system = AutoMLZero(config, threads=1)
    tasks, rules, search = system.tasks("search", seed), system.rules(seed), system.search(seed)
    island = evolution.settled(seed, search, START, tasks, rules)
    (selected,) = system.judge([START], "select", seed)
    best = Found(0, None, None, 0, island.best_fitness, 0.0, float(selected), START)
    goal = island.born + budget
    while island.born < goal:
        if lab.over:
            raise OutOfTime
        evolved = evolution.evolve(search, island, tasks, min(1000, goal - island.born), rules)
        island = evolved.state
        best = max([best, *system.select(seed, [evolved])], key=lambda found: found.selected)
    network, program = system.judge([START, best.program], "test", seed)
    named = {idea.name for idea in ideas(best.program, config.sizes, accuracy=True, key=seed)}
    named |= {idea.name for idea in mean_rates(best.program, config.sizes, accuracy=True, key=seed)}
    return {
        **{name: float(name in named) for name in ADAPTED_IDEAS},
        "network": network,
        "program": program,
        "gain": program - network,
        "fitness": best.fitness,
    }


def _told_adaptations(lab: Lab) -> str:
    """Under each condition how often what the paper saw is found, against the control; and all counts."""
    values = lab.results.values()
    count = partial(_count, values)
    lines = [["condition", "idea", "with it", "in the control", "Fisher's exact p, one-sided"]]
    for arm, name in EXPECTED.items():
        (a, n), (b, m) = count(name, arm), count(name, "control")
        _, p = stats.fisher_exact([[a, n - a], [b, m - b]], alternative="greater")
        lines.append([arm, name, f"{a} of {n}", f"{b} of {m}", f"{p:.3g}"])
    every = [["", *ADAPTED_IDEAS]]
    for arm in CONDITIONS:
        cells = [count(name, arm) for name in ADAPTED_IDEAS]
        every.append([arm, *(f"{a} of {n}" for a, n in cells)])
    accuracy = {name: values[name] for name in ("network", "program", "gain") if name in values}
    return "\n\n".join(
        [results.markdown(lines), results.markdown(every), results.table(accuracy, lab.arms, apart=False)]
    )


def _draw_adaptations(lab: Lab, file: Path) -> None:
    """For each condition the share of programs with its idea, and beside it the control's."""
    values = lab.results.values()
    figure, axes = _panel()
    for place, (arm, name) in enumerate(EXPECTED.items()):
        for side, each in enumerate((arm, "control")):
            hits, of = _count(values, name, each)
            if not of:
                continue
            low, high = results.binomial_interval(hits, of)
            x, height = place + 0.36 * side - 0.18, hits / of
            axes.bar(x, height, 0.34, color="C0" if not side else "0.7")
            axes.errorbar(x, height, [[height - low], [high - height]], color="0.2", linewidth=1)
            axes.text(x, high + 0.02, f"{hits} of {of}", ha="center", fontsize=8)
    axes.set_xticks(range(len(EXPECTED)), [f"{name}\n{arm}" for arm, name in EXPECTED.items()], fontsize=8)
    axes.set(ylim=(0, 1.12), ylabel="programs with it; grey: control")
    figure.savefig(file, dpi=120)


# -- section 4.2: digits, against logistic regression -------------------------------------------------------

PROJECTIONS = 40  # of each pair to test on
RATES = (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0)


def digits(lab: Lab, presets: Presets) -> None:
    """Searches of preset digits, each judged beside logistic regression and the network on pairs that chose
    nothing."""
    config = presets["digits"]
    for seed in lab.seeds:
        measure = partial(_beside, config)
        lab.trial("digits", seed, AutoMLZero(config), config, measure, name="automl-zero")


def logistic(tasks: kernel.Tasks, rates: Sequence[float]) -> np.ndarray:
    """Accuracy f64[R, N] of logistic regression with a bias, from zeros, on N tasks at R rates.

    One step of gradient descent for each example, in the order of the examples, as programs learn.
    """
    train_x, train_y, valid_x, valid_y = tasks.arrays
    ones = [np.ones((*x.shape[:2], 1)) for x in (train_x, valid_x)]
    train, valid = (np.concatenate(both, 2) for both in zip((train_x, valid_x), ones, strict=True))
    rate = np.asarray(rates, float)[:, None]
    weights = np.zeros((len(rate), *train[:, 0].shape))
    for t in range(train.shape[1]):
        said = 1 / (1 + np.exp(-np.clip((weights * train[:, t]).sum(-1), -500, 500)))
        weights += (rate * (train_y[:, t] - said))[..., None] * train[:, t]
    return ((np.einsum("rnf,nvf->rnv", weights, valid) > 0) == (valid_y > 0.5)).mean(2)


def _beside(config: Config, store: Store) -> Mapping[str, float]:
    """The chosen program of a run, logistic regression and the network, the rates of both chosen on the tasks
    of the search; the difference to logistic regression with 95 % over the pairs."""
    _, stored = store.load()
    state = decode(State, stored.tree, stored.arrays)
    assert state.chosen  # whoever comes first is an improvement
    images = supervised.images(config.task)
    assert images  # digits are no made-up task
    pairs = len(supervised.pairs(images.y, "test", state.seed))
    # All epochs as one, so that programs are judged after the last and by no other.
    once = replace(config, repeats=config.repeats * config.epochs, epochs=1, select_tasks=pairs * PROJECTIONS)
    system, program = AutoMLZero(once), state.chosen.program
    rules, search, test = (
        system.rules(state.seed), system.tasks("search", state.seed), system.tasks("test", state.seed)
    )  # fmt: skip
    rate = RATES[int(logistic(search, RATES).mean(1).argmax())]
    networks = [known.network(each) for each in RATES]
    room = known.room(config.sizes)
    tried = kernel.evaluate(networks, room, search, rules).mean(1)
    network = int(tried.argmax())
    judged = [program, networks[network]]
    mine, deep = kernel.evaluate(judged, room, test, rules)
    theirs = logistic(test, [rate])[0]
    low, high = results.t_interval((mine - theirs).reshape(PROJECTIONS, pairs).mean(0))
    named = {idea.name for idea in ideas(program, config.sizes, accuracy=True)}
    return {
        "program": mine.mean(),
        "logistic regression": theirs.mean(),
        "network": deep.mean(),
        "difference": (mine - theirs).mean(),
        "low": low,
        "high": high,
        "logistic rate": rate,
        "network rate": RATES[network],
        "individuals": float(state.individuals),
        **{name: float(name in named) for name in NAMES},
    }


def _told_digits(lab: Lab) -> str:
    values = lab.results.values()
    of = {name: by.get("digits", {}) for name, by in values.items()}
    lines = [["seed", "individuals", "program", "logistic regression", "network", "difference", "ideas"]]
    for seed, difference in of.get("difference", {}).items():
        lines.append(
            [
                str(seed),
                f"{of['individuals'][seed] / 1e6:.1f} M",
                f"{of['program'][seed]:.4f}",
                f"{of['logistic regression'][seed]:.4f} (rate {of['logistic rate'][seed]:g})",
                f"{of['network'][seed]:.4f} (rate {of['network rate'][seed]:g})",
                f"{difference:+.4f} ({of['low'][seed]:+.4f} to {of['high'][seed]:+.4f})",
                ", ".join(name for name in NAMES if of[name][seed]) or "none",
            ]
        )
    said = results.markdown(lines)
    if len(lines) > 1:
        median, low, high, sure = results.median_interval(list(of["difference"].values()))
        said += f"\n\nMedian difference {median:+.4f} ({low:+.4f} to {high:+.4f}, {sure:.1%} over seeds)"
    return said


def _draw_digits(lab: Lab, file: Path) -> None:
    """Every seed's difference to logistic regression, with 95 % over the pairs to test on."""
    values = lab.results.values()
    figure, axes = _panel()
    for seed, difference in values["difference"]["digits"].items():
        low, high = (values[name]["digits"][seed] for name in ("low", "high"))
        axes.errorbar(seed, difference, [[difference - low], [high - difference]], fmt="o", color="C0")
    axes.axhline(0, color="0.7", linewidth=1)
    axes.set(xlabel="seed", ylabel="accuracy over logistic regression's")
    axes.set_xticks(list(values["difference"]["digits"]))
    figure.savefig(file, dpi=120)


def _panel(width: float = 6, height: float = 3.6) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes: Any = figure.subplots()
    results.plain(axes)
    return figure, axes


def _experiment(name: str, summary: str, arms: Iterable[str], run: Any, draw: Any, tell: Any, **more: Any):
    return Experiment(
        summary, tuple(arms), run, draw, tell=tell, system="automl-zero", unit="individuals",
        folder=f"experiment-{name}", **more,
    )  # fmt: skip


EXPERIMENTS: dict[str, Experiment] = {
    "difficulty": _experiment(
        "difficulty",
        "AutoML-Zero's evolution against random search, the rarer what is looked for",
        [f"{level}: {search}" for level in LEVELS for search in SEARCHES],
        difficulty, _draw_efficiency, _efficiency, seeds=20, minutes=30,
    ),
    "recogniser": _experiment(
        "recogniser",
        "are ideas named in disguised programs that have them, and in no others",
        CASES, recogniser, _draw_confusion, _recalled, seeds=20,
    ),
    "adaptations": _experiment(
        "adaptations",
        "what evolution adds to a network under three conditions",
        CONDITIONS, adaptations, _draw_adaptations, _told_adaptations, seeds=20, minutes=60,
    ),
    "digits": _experiment(
        "digits",
        "programs found for pairs of digits against logistic regression",
        ["digits"], digits, _draw_digits, _told_digits, minutes=300,
    ),
}  # fmt: skip
