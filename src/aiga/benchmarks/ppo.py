"""PPO's learning curves beside Stable-Baselines3's: the same tasks, numbers, networks and steps, five seeds.

A curve is the mean return of the episodes that ended in each tenth of the training steps. Stable-Baselines3
(Raffin et al. 2021, JMLR 22) plays Gymnasium's own environments, ours plays `worlds/control.py`; the memory
task takes its recurrent PPO from sb3-contrib.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from aiga.interfaces import Array

SEEDS = 5
BINS = 10
UNIT = "mean return of training episodes"


@dataclass(frozen=True)
class Task:
    """What is learnt, and the numbers that both learners are given."""

    env: str  # Gymnasium's name
    world: str  # ours, a class of `worlds/control.py`
    updates: int
    environments: int
    steps: int  # of each environment between updates
    minibatches: int
    epochs: int
    rate: float
    discount: float
    trace: float  # GAE's lambda
    recurrent: int = 0  # units of the LSTM; then velocities are hidden
    continuous: bool = False

    @property
    def total(self) -> int:
        """Environment steps of one run."""
        return self.updates * self.environments * self.steps


TASKS = {
    "CartPole": Task("CartPole-v1", "CartPole", 80, 8, 128, 4, 10, 1e-3, 0.99, 0.95),
    "Acrobot": Task("Acrobot-v1", "Acrobot", 50, 16, 128, 8, 10, 1e-3, 0.99, 0.95),
    "Pendulum": Task("Pendulum-v1", "Pendulum", 25, 4, 1024, 64, 10, 1e-3, 0.9, 0.95, continuous=True),
    "CartPole without velocities": Task(
        "CartPole-v1", "CartPole", 200, 8, 32, 1, 20, 1e-3, 0.98, 0.8, recurrent=64
    ),
}


def binned(ends: Array | list[int], returns: Array | list[float], total: int) -> list[float]:
    """The curve: mean of the `returns` whose episodes ended in each tenth of `total` steps, the last known
    one where none did."""
    where = (np.asarray(ends, int) - 1) * BINS // total
    curve: list[float] = []
    for place in range(BINS):
        some = np.asarray(returns)[where == place]
        curve.append(float(some.mean()) if len(some) else (curve[-1] if curve else float("nan")))
    return curve


def rival(task: Task, seed: int) -> list[float]:
    """Stable-Baselines3's curve on `task`. Raises ImportError where it is not installed."""
    import gymnasium
    import torch  # pyright: ignore[reportMissingImports]
    from stable_baselines3 import PPO  # pyright: ignore[reportMissingImports]
    from stable_baselines3.common.callbacks import BaseCallback  # pyright: ignore[reportMissingImports]
    from stable_baselines3.common.env_util import make_vec_env  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    ends: list[int] = []
    returns: list[float] = []

    class Watch(BaseCallback):
        def _on_step(self) -> bool:
            for info in self.locals["infos"]:
                if "episode" in info:
                    ends.append(self.num_timesteps)
                    returns.append(info["episode"]["r"])
            return True

    def blind(env: Any) -> Any:
        box = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        return gymnasium.wrappers.TransformObservation(env, lambda seen: seen[::2], box)

    envs = make_vec_env(task.env, task.environments, seed, wrapper_class=blind if task.recurrent else None)
    numbers: dict[str, Any] = {
        "n_steps": task.steps,
        "batch_size": task.environments * task.steps // task.minibatches,
        "n_epochs": task.epochs,
        "learning_rate": task.rate,
        "gamma": task.discount,
        "gae_lambda": task.trace,
        "ent_coef": 0.0,
    }
    if task.recurrent:
        from sb3_contrib import RecurrentPPO  # pyright: ignore[reportMissingImports]

        memory = {"lstm_hidden_size": task.recurrent, "shared_lstm": True, "enable_critic_lstm": False}
        learner: Any = RecurrentPPO("MlpLstmPolicy", envs, seed=seed, policy_kwargs=memory, **numbers)
    else:
        learner = PPO("MlpPolicy", envs, seed=seed, device="cpu", **numbers)
    learner.learn(task.total, callback=Watch())
    return binned(ends, returns, task.total)


def ours(task: Task) -> list[list[float]]:
    """Our curves on `task`, one for each seed, learnt side by side."""
    import jax
    import jax.numpy as jnp

    from aiga.brains import ActorCritic
    from aiga.learners.ppo import PPO, Config, Knobs
    from aiga.play.collecting import collect, enter
    from aiga.worlds import control

    world = control.CartPole(velocities=False) if task.recurrent else getattr(control, task.world)()
    sizes = {"CartPole": (2 if task.recurrent else 4, 2), "Acrobot": (6, 3), "Pendulum": (3, 1)}[task.world]
    brain = ActorCritic(*sizes, continuous=task.continuous, recurrent=task.recurrent)
    config = Config(epochs=task.epochs, minibatches=task.minibatches, standardise=False)
    learner, courses = PPO(brain, sizes[:1], config), jnp.zeros(task.environments)
    knobs = Knobs(rate=task.rate, discount=task.discount, trace=task.trace)

    def once(now: tuple, key: Any) -> tuple[tuple, tuple]:
        state, stage = now
        playing, learning = jax.random.split(key)
        stage, seen = collect(
            world, learner.player, learner.playing(state), playing, stage, courses, task.steps, task.discount
        )
        state, _ = learner.learn(knobs, learning, state, seen)
        return (state, stage), (seen.total, seen.terminated | seen.truncated)

    @jax.jit
    @jax.vmap
    def train(key: Any) -> Any:
        begin, play, learn = jax.random.split(key, 3)
        start = learner.init(key, brain.init(begin)), enter(world, learner.player, play, courses)
        return jax.lax.scan(once, start, jax.random.split(learn, task.updates))[1]

    totals, ended = map(np.asarray, train(jax.random.split(jax.random.key(0), SEEDS)))
    curves = []
    for total, end in zip(totals, ended, strict=True):
        update, step, row = np.nonzero(end)
        at = (update * task.steps + step + 1) * task.environments
        curves.append(binned(at, total[update, step, row], task.total))
    return curves


def bench() -> tuple[dict[str, Any], str]:
    """Both learners' curves on every task, as data and as text. It takes an hour, theirs nearly all."""
    cases, missing = [], []
    for name, task in TASKS.items():
        rivals = {}
        try:
            rivals["stable-baselines3"] = [rival(task, seed) for seed in range(SEEDS)]
        except ImportError:
            missing = ["stable-baselines3"]
        cases.append(case(name, task, ours(task), rivals))
    data = {"benchmark": "ppo", "missing": missing, "cases": cases}
    return data, "\n".join(lines(data))


def case(
    name: str, task: Task, mine: list[list[float]], rivals: dict[str, list[list[float]]]
) -> dict[str, Any]:
    """One task's result: curves [seed][tenth], how far ours is from each rival, and in how many tenths both
    agree."""
    found: dict[str, Any] = {"case": name, "unit": UNIT, "steps": task.total, "ours": mine, "rivals": {}}
    for rival_name, theirs in rivals.items():
        gaps = apart(mine, theirs)
        found["rivals"][rival_name] = {
            "curves": theirs,
            "apart": [gap["apart"] for gap in gaps],
            "agree": sum(gap["agree"] for gap in gaps),
        }
    return found


def apart(mine: list[list[float]], theirs: list[list[float]]) -> list[dict[str, Any]]:
    """For each tenth the difference of the means, ours less theirs, and whether it is within the seeds'
    spread: one standard deviation of theirs, or two standard errors of the difference."""
    gaps = []
    for a, b in zip(zip(*mine, strict=True), zip(*theirs, strict=True), strict=True):
        gap = mean(a) - mean(b)
        error = (stdev(a) ** 2 / len(a) + stdev(b) ** 2 / len(b)) ** 0.5
        gaps.append({"apart": gap, "agree": abs(gap) <= max(stdev(b), 2 * error)})
    return gaps


def lines(data: dict[str, Any]) -> Iterator[str]:
    """The table: mean and standard deviation over seeds in each tenth of the steps."""
    yield f"ppo, {UNIT} in each tenth of the steps: mean and standard deviation over seeds"
    for found in data["cases"]:
        yield f"{found['case']}, {found['steps']:,} steps"
        learners = {"aiga": found["ours"]} | {n: each["curves"] for n, each in found["rivals"].items()}
        for name, curves in learners.items():
            tenths = list(zip(*curves, strict=True))
            yield f"  {name:18}" + "".join(f"{mean(tenth):7.0f}" for tenth in tenths)
            yield f"  {f'{len(curves)} seeds':>18}" + "".join(f"{f'+-{stdev(t):.0f}':>7}" for t in tenths)
        for name, each in found["rivals"].items():
            yield f"  within the seeds' spread of {name} in {each['agree']} of {BINS} tenths"
    for name in data["missing"]:
        yield f"not installed, so not compared: {name} (pip install stable-baselines3 sb3-contrib)"


def draw(data: dict[str, Any], out: Path) -> None:
    """The curves as a picture: each seed thin, the mean thick."""
    from matplotlib.figure import Figure

    cases = data["cases"]
    figure = Figure(figsize=(4 * len(cases), 3.4), layout="constrained")
    for axes, found in zip(figure.subplots(1, len(cases), squeeze=False)[0], cases, strict=True):
        steps = (np.arange(BINS) + 1) / BINS * found["steps"] / 1000
        learners = {"aiga": found["ours"]} | {n: each["curves"] for n, each in found["rivals"].items()}
        for (name, curves), colour in zip(learners.items(), ("tab:blue", "tab:orange"), strict=False):
            axes.plot(steps, np.transpose(curves), color=colour, alpha=0.3, linewidth=0.8)
            axes.plot(
                steps, np.mean(curves, 0), color=colour, linewidth=2, label=f"{name}, {len(curves)} seeds"
            )
        axes.set_title(found["case"])
        axes.set_xlabel("thousand steps")
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("return of training episodes")
    figure.savefig(out, dpi=100)
