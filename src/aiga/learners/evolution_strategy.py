"""OpenAI's evolution strategy, as POET uses it.

Salimans, Ho, Chen, Sidor, Sutskever 2017, "Evolution Strategies as a Scalable Alternative to Reinforcement
Learning", arXiv 1703.03864; settings of Wang, Lehman, Clune, Stanley 2019, arXiv 1901.01753.

Antithetic pairs w +- sigma e, centred ranks, the gradient estimate
    g = mean over pairs of (rank(w + sigma e) - rank(w - sigma e)) e / sigma,
minus `l2` times w inside the gradient (not decoupled), then one step of Adam uphill. Sigma and the learning
rate decay by a factor after every step, down to a floor. The estimate is twice that of Salimans et al.
(POET's code divides by pairs, not by rollouts); with Adam this matters only against `l2`.

Unlike the code published with POET, equal returns get equal ranks, and a return that is not a number ranks
below all others.

Axis letters: P population (both halves), N weights, K learners.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from aiga.interfaces import Array, Evaluate

Share = Literal["generation", "pair", "episode"]


@dataclass(frozen=True)
class Config:
    """The learner's numbers; the defaults are POET's. ValueError, naming the field, for one out of range."""

    population: int = 512  # rollouts in a generation, two per antithetic pair
    sigma: float = 0.1  # standard deviation of the noise on the weights
    sigma_decay: float = 0.999  # factor after every step
    sigma_floor: float = 0.01
    rate: float = 0.01  # Adam's learning rate
    rate_decay: float = 0.9999  # factor after every step
    rate_floor: float = 0.001
    l2: float = 0.01  # share of the weights that is taken off the gradient
    seeds: Share = "generation"  # who shares an episode seed: all of a generation, an antithetic pair, nobody

    def __post_init__(self) -> None:
        for name, fine, allowed in (
            ("population", self.population >= 2 and self.population % 2 == 0, "an even number, at least 2"),
            ("sigma", 0 < self.sigma < np.inf, "greater than 0"),
            ("sigma_decay", 0 < self.sigma_decay <= 1, "greater than 0, at most 1"),
            ("sigma_floor", 0 < self.sigma_floor < np.inf, "greater than 0"),
            ("rate", 0 < self.rate < np.inf, "greater than 0"),
            ("rate_decay", 0 < self.rate_decay <= 1, "greater than 0, at most 1"),
            ("rate_floor", 0 <= self.rate_floor < np.inf, "at least 0"),
            ("l2", 0 <= self.l2 < np.inf, "at least 0"),
            ("seeds", self.seeds in get_args(Share), "one of " + ", ".join(get_args(Share))),
        ):
            if not fine:
                raise ValueError(f"{name}: {allowed}, not {getattr(self, name)!r}")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """Weights and Adam's memory. Sigma and the rate follow from `steps`, which may start ahead of `seen`."""

    weights: Array  # f32[N]
    first: Array  # f32[N], Adam's mean of the gradient
    second: Array  # f32[N], Adam's mean of its square
    steps: int
    seen: int = 0  # gradients that Adam's means are of


class Generation(NamedTuple):
    """What is to be played before the next step."""

    weights: Any  # f32[P, N]: first all w + sigma e, then all w - sigma e
    seeds: Any  # u32[P], all below 2^31: the upper half is left to evaluation
    noise: Any  # f32[P / 2, N], the e


class Experience(NamedTuple):
    """What came of a generation."""

    noise: Any  # f32[P / 2, N]
    returns: Any  # f32[P], in the order of `Generation.weights`


def centred_ranks(returns: Array) -> jax.Array:
    """Ranks of f32[P] spread over [-0.5, 0.5]; ties share their mean rank, NaN ranks lowest."""
    worst_last = jnp.where(jnp.isnan(returns), -jnp.inf, returns)
    below = (worst_last[:, None] > worst_last).sum(axis=1).astype(jnp.float32)
    equal = (worst_last[:, None] == worst_last).sum(axis=1).astype(jnp.float32)
    return (below + (equal - 1) / 2) / (len(returns) - 1) - 0.5


def gradient(experience: Experience, sigma: Array | float) -> jax.Array:
    """The estimate f32[N] of the module's formula, uphill."""
    ranks = centred_ranks(experience.returns)
    pairs = len(experience.noise)
    return (ranks[:pairs] - ranks[pairs:]) @ experience.noise / pairs / sigma


@partial(jax.jit, static_argnames=("config", "count"))
def _draw(config: Config, key: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """Noise f32[P / 2, count] and seeds u32[P] of a generation."""
    noise_key, seed_key = jax.random.split(key)
    pairs = config.population // 2
    distinct = {"generation": 1, "pair": pairs, "episode": config.population}[config.seeds]
    seeds = jax.random.bits(seed_key, (distinct,), jnp.uint32) >> 1
    noise = jax.random.normal(noise_key, (pairs, count), jnp.float32)
    return noise, jnp.tile(seeds, config.population // distinct)


@partial(jax.jit, static_argnames="config")
def _spread(config: Config, noise: jax.Array, weights: Array, steps: Any) -> jax.Array:
    """The population f32[P, N] around `weights`."""
    spread = _decayed(config.sigma, config.sigma_decay, config.sigma_floor, steps) * noise
    return jnp.concatenate([weights + spread, weights - spread])


@partial(jax.jit, static_argnames="config")
def _learn(config: Config, state: State, experience: Experience) -> tuple[State, dict[str, Any]]:
    sigma = _decayed(config.sigma, config.sigma_decay, config.sigma_floor, state.steps)
    rate = _decayed(config.rate, config.rate_decay, config.rate_floor, state.steps)
    uphill = gradient(experience, sigma) - config.l2 * state.weights
    time = jnp.float32(1) + state.seen
    first = 0.9 * state.first + 0.1 * uphill
    second = 0.999 * state.second + 0.001 * uphill**2
    stride = rate * (first / (1 - 0.9**time)) / (jnp.sqrt(second / (1 - 0.999**time)) + 1e-8)
    learned = replace(state, weights=state.weights + stride, first=first, second=second)
    return learned, {
        "mean": jnp.nanmean(experience.returns),
        "best": jnp.nanmax(experience.returns),
        "gradient": jnp.linalg.norm(uphill),
        "sigma": sigma,
    }


def _decayed(first: float, decay: float, floor: float, steps: Any) -> jax.Array:
    return jnp.maximum(first * jnp.float32(decay) ** steps, floor)


@dataclass(frozen=True)
class EvolutionStrategy:
    """The learner: `ask` for a generation, play it, `learn` from its returns."""

    config: Config = Config()

    def init(self, key: jax.Array, weights: Array) -> State:
        """A learner that has made no step, standing at `weights` f32[N]. Nothing here is random."""
        del key
        start = jnp.asarray(weights, jnp.float32)
        return State(start, jnp.zeros_like(start), jnp.zeros_like(start), 0)

    def ask(self, key: jax.Array, state: State, meta: Config | None = None) -> Generation:
        """The antithetic population around the learner's weights, and who plays which episode."""
        config = meta or self.config
        noise, seeds = _draw(config, key, len(state.weights))
        return Generation(_spread(config, noise, state.weights, state.steps), seeds, noise)

    def learn(
        self, meta: Config | None, key: jax.Array, state: State, experience: Experience
    ) -> tuple[State, dict[str, Any]]:
        """One step of Adam; `meta` takes the place of the learner's own Config. Nothing here is random."""
        del key
        learned, metrics = _learn(meta or self.config, state, experience)
        return replace(learned, steps=state.steps + 1, seen=state.seen + 1), metrics

    def generation(
        self,
        key: jax.Array,
        states: Sequence[State],
        courses: Sequence[Any],
        evaluate: Evaluate,
        batch: int,
    ) -> list[State]:
        """One step of each of K learners on a course each, their populations played together.

        All of them use the noise and seeds of `key`: drawing these would otherwise cost more than all the
        rest here, and learners on different courses need no different ones. No call of `evaluate` asks for
        more than `batch` episodes unless one population alone does: it bounds memory, and does not change the
        result. The states returned hold NumPy arrays.
        """
        if not states:
            return []
        config, learned = self.config, []
        noise, seeds = _draw(config, key, len(states[0].weights))
        together = max(1, batch // config.population)
        for at in range(0, len(states), together):
            some = states[at : at + together]
            outcome = evaluate(
                np.concatenate([_spread(config, noise, state.weights, state.steps) for state in some]),
                courses[at : at + together],
                np.repeat(np.arange(len(some), dtype=np.int32), config.population),
                np.tile(seeds, len(some)),
            )
            returns = np.asarray(outcome.returns, np.float32).reshape(len(some), -1)
            for state, come in zip(some, returns, strict=True):
                learned.append(self.learn(None, key, state, Experience(noise, come))[0])
        return jax.device_get(learned)
