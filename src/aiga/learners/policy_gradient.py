"""The plain policy gradient of whole episodes, as a loss that an inner loop can descend and differentiate.

Williams 1992, "Simple statistical gradient-following algorithms for connectionist reinforcement learning"
(REINFORCE); Duan, Chen, Houthooft, Schulman, Abbeel 2016, "Benchmarking Deep Reinforcement Learning for
Continuous Control", arXiv 1604.06778, for the baseline and for advantages in standard units. What is
minimised is

    - E[min(ratio A, clip(ratio, 1 - c, 1 + c) A)],  ratio = pi(a | s) / pi_old(a | s),

whose slope where the episodes were played, at ratio 1, is that of - E[log pi(a | s) A]. Its second derivative
there has the outer product of the slopes of log pi too, as Rothfuss, Lee, Clavera, Asfour, Abbeel 2019
(ProMP, arXiv 1810.06784) have it; that of the logarithm alone lacks it. With c infinite it is the policy
gradient, with a finite one PPO's (`learners/ppo`, whose advantages these are). Axis letters: E episodes, T
time, O observation, A action.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aiga.interfaces import Brain
from aiga.learners.ppo import advantages
from aiga.play.rollouts import Trajectory, returns

RIDGE = 1e-4  # of the baseline's regression, beside features of mean square 1; float32 bears no less


class Batch(NamedTuple):
    """Episodes of one policy, ready to be learnt from."""

    observation: Any  # f32[E, T, O]
    action: Any  # [E, T, A]
    log_prob: Any  # f32[E, T], of the action when it was chosen
    advantage: Any  # f32[E, T], in standard units
    alive: Any  # bool[E, T]; where false the other fields are 0 and mean nothing
    clip: Any  # f32[], how far the ratio may leave 1


def batch(
    brain: Brain, weights: Any, seen: Trajectory, clip: Any, discount: Any = 0.99, trace: Any = 1.0
) -> Batch:
    """What there is to learn from `seen`, each field [E, T, ...] of episodes that `brain`, which has no
    memory and answers with a `Judgement`, played with `weights`; with `trace` 1 the advantages are
    discounted returns less the baseline."""
    alive = seen.alive
    observation, action = (jnp.where(_wide(alive, leaf), leaf, 0) for leaf in (seen.observation, seen.action))
    value = baseline(observation, jax.vmap(lambda reward: returns(reward, discount))(seen.reward), alive)
    # The baseline knows the time, so an episode cut short by it is as much at its end as any other.
    following = jnp.concatenate([value[:, 1:], jnp.zeros_like(value[:, :1])], 1)
    ended = alive & (seen.terminated | seen.truncated)
    advantage = advantages(
        *(each.T for each in (seen.reward, value, following, ended)), discount=discount, trace=trace
    ).T
    policy = brain.act(weights, brain.begin(), observation)[0].policy
    log_prob = jnp.where(alive, policy.log_prob(action), 0)
    fields = Batch(observation, action, log_prob, _standard(advantage, alive), alive, jnp.float32(clip))
    return jax.lax.stop_gradient(fields)


def loss(brain: Brain, weights: Any, seen: Batch) -> Any:
    """What is minimised, f32[]: the mean over the steps of `seen`."""
    policy = brain.act(weights, brain.begin(), seen.observation)[0].policy
    ratio = jnp.exp(jnp.where(seen.alive, policy.log_prob(seen.action) - seen.log_prob, 0))
    bounded = jnp.clip(ratio, 1 - seen.clip, 1 + seen.clip)
    return -_mean(jnp.minimum(ratio * seen.advantage, bounded * seen.advantage), seen.alive)


def baseline(observation: Any, target: Any, alive: Any) -> jax.Array:
    """Values f32[E, T], 0 where not `alive` bool[E, T]: a linear function of features of `observation`
    f32[E, T, O] and time, fitted to `target` f32[E, T], the returns still to come."""
    count, steps = alive.shape
    time = jnp.broadcast_to(jnp.linspace(0, 1, steps, dtype=jnp.float32)[:, None], (count, steps, 1))
    seen = jnp.clip(observation, -10, 10)
    features = jnp.concatenate([seen, seen**2, time, time**2, time**3, jnp.ones_like(time)], -1)
    features = jnp.where(alive[..., None], features, 0).reshape(count * steps, -1)
    number = alive.sum(dtype=jnp.float32)
    features = features / jnp.maximum(jnp.sqrt((features**2).sum(0) / number), 1e-6)
    # Features of contact are their own squares, so the matrix alone cannot be inverted.
    squares = features.T @ features / number + RIDGE * jnp.eye(features.shape[1], dtype=jnp.float32)
    toward = features.T @ jnp.where(alive, target, 0).reshape(-1) / number
    fitted = jax.scipy.linalg.solve(squares, toward, assume_a="pos")
    return (features @ fitted).reshape(count, steps)


def _standard(advantage: Any, alive: Any) -> Any:
    """In deviations from the mean, both over what is `alive`, and 0 elsewhere."""
    centred = jnp.where(alive, advantage - _mean(advantage, alive), 0)
    return centred / (jnp.sqrt(_mean(centred**2, alive)) + 1e-8)


def _mean(each: Any, alive: Any) -> Any:
    return jnp.where(alive, each, 0).sum() / alive.sum(dtype=jnp.float32)


def _wide(alive: Any, leaf: Any) -> Any:
    return alive.reshape(alive.shape + (1,) * (leaf.ndim - alive.ndim))
