"""The ceilings of RL^2's tasks, as rows of docs/bandits.md: `python examples/bandit_ceilings.py [TASKS]`."""

import sys
from functools import partial
from typing import Any

import jax
import numpy as np

from aiga.play import exact, strategies
from aiga.play.posterior_sampling import PSRL, plan
from aiga.play.strategies import Counting, Filter, RescorlaWagner, Strategy, played
from aiga.worlds.bandits import Bernoulli, Restless
from aiga.worlds.tabular import Tabular
from aiga.worlds.two_step import TwoStep


def row(task: str, name: str, world: Any, strategy: Strategy, steps: int, tasks: int, seed: int = 0) -> float:
    """Prints mean and standard error of the sum of rewards, and gives the mean."""
    courses = jax.vmap(world.sample)(jax.random.split(jax.random.key(seed), tasks))
    total = np.asarray(played(world, strategy, jax.random.key(seed + 1), courses, steps), float)
    print(f"| {task} | {name} | {total.mean():.2f} ± {total.std(ddof=1) / tasks**0.5:.2f} |", flush=True)
    return total.mean()


def main(tasks: int) -> None:
    for name, score in {"greedy": strategies.greedy, "UCB1, 1": strategies.ucb1()}.items():
        print(f"| 2 arms, 100 pulls | {name} | {exact.two_arms(100, partial(score, None)):.3f}, exact |")
    print(f"| 2 arms, 100 pulls | Bayes-optimal | {exact.two_arms(100):.3f}, exact |")
    row("2 arms, 100 pulls", "Thompson", Bernoulli(2, 100), Counting(2, strategies.thompson), 100, tasks)
    for draw, better in {"uniform": None, "easy": 0.9, "medium": 0.75, "hard": 0.6}.items():
        print(f"| dependent, {draw} | Bayes-optimal | {exact.dependent(100, better):.3f}, exact |")
    for pulls in (10, 100):
        world = Bernoulli(5, pulls)
        for name, score in {
            "random": strategies.random,
            "greedy": strategies.greedy,
            "Thompson": strategies.thompson,
            "optimistic Thompson": strategies.optimistic,
            "UCB1, 1": strategies.ucb1(),
            "UCB1, 0.2": strategies.ucb1(0.2),
            "Gittins, to the end": strategies.gittins(pulls),
        }.items():
            row(f"5 arms, {pulls} pulls", name, world, Counting(5, score), pulls, tasks)
    world = Restless()
    row("restless, 100 pulls", "Bayes-optimal", world, Filter(0.8, world.hazards), 100, tasks)
    for rate in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7):
        row("restless, 100 pulls", f"Rescorla-Wagner, {rate}", world, RescorlaWagner(rate), 100, tasks)
    row("two steps, 100 trials", "Bayes-optimal", TwoStep(), Filter(0.9, (0.025,), True), 200, tasks)
    few = max(tasks // 10, 2)
    row("MDP, 10 episodes", "PSRL", Tabular(), PSRL(), 100, few)
    row("MDP, 10 episodes", "greedy", Tabular(), PSRL(greedy=True), 100, few)
    row("MDP, 25 episodes", "PSRL", Tabular(), PSRL(), 250, few)
    courses = jax.vmap(Tabular().sample)(jax.random.split(jax.random.key(0), few))
    known = np.asarray(jax.vmap(lambda mdp: plan(mdp, 10)[1][0, 0])(courses), float)
    error = known.std(ddof=1) / few**0.5
    print(f"| MDP, an episode | the MDP known | {known.mean():.2f} ± {error:.2f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20000)
