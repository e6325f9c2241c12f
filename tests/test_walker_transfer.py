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


def test_it_finishes_gymnasiums_bipedal_walker():
    """At least 19 of 20 episodes, with a mean return within 3 % of ours on ground of the same kind."""
    weights, brain = trained(), MLP()
    act = jax.jit(lambda seen: brain.act(brain.unflatten(weights), (), seen)[0])
    env, returns, ends = gymnasium.make("BipedalWalker-v3"), [], []
    for seed in range(20):
        seen, _ = env.reset(seed=seed)
        total, over = 0.0, False
        while not over:
            seen, reward, terminated, truncated, _ = env.step(np.asarray(act(seen)))
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
        ends.append(terminated and reward > -100)
    courses = [grow(Genes(roughness=1.0, seed=seed)) for seed in range(64)]
    episodes, one = np.arange(64), np.zeros(64, int)
    ours = kernel.rollout(weights[None], courses, episodes, episodes, rows=one, max_steps=1600)
    assert sum(ends) >= 19 and ours.finished.mean() >= 0.95
    assert abs(np.mean(returns) / ours.returns.mean() - 1) < 0.03
    assert np.mean(returns) > 300
