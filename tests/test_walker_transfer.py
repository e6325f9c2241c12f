"""A policy trained on the kernel walks in the world it was copied from."""

from __future__ import annotations

import gymnasium
import jax
import numpy as np

from aiga.benchmarks.walker import trained
from aiga.brains.mlp import MLP
from aiga.worlds.walker import kernel
from aiga.worlds.walker.course import Genes
from aiga.worlds.walker.space import grow


def in_gymnasium(weights: np.ndarray, episodes: int = 20) -> tuple[np.ndarray, int]:
    """Returns f64[K] of K episodes of the real BipedalWalker-v3, and how many reached the end."""
    brain, env, returns, ends = MLP(), gymnasium.make("BipedalWalker-v3"), [], 0
    act = jax.jit(lambda seen: brain.act(brain.unflatten(weights), (), seen)[0])
    for seed in range(episodes):
        seen, _ = env.reset(seed=seed)
        total, reward, terminated, over = 0.0, 0.0, False, False
        while not over:
            seen, reward, terminated, truncated, _ = env.step(np.asarray(act(seen)))
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
        ends += int(terminated and float(reward) > -100)
    return np.array(returns), ends


def on_the_kernel(weights: np.ndarray) -> kernel.Rollouts:
    """64 episodes on ground of the same kind."""
    courses = [grow(Genes(roughness=1.0, seed=seed)) for seed in range(64)]
    episodes, one = np.arange(64), np.zeros(64, int)
    return kernel.rollout(weights[None], courses, episodes, episodes, rows=one, max_steps=1600)


def test_it_finishes_gymnasiums_bipedal_walker():
    """At least 19 of 20 episodes, with a mean return within 3 % of ours."""
    theirs, ends = in_gymnasium(trained())
    ours = on_the_kernel(trained())
    assert ends >= 19 and ours.finished.mean() >= 0.95
    assert abs(theirs.mean() / ours.returns.mean() - 1) < 0.03
    assert theirs.mean() > 300
