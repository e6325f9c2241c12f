"""Proximal policy optimisation, the learner that everything with a policy gradient here shares.

Schulman, Wolski, Dhariwal, Radford, Klimov 2017, "Proximal Policy Optimization Algorithms", arXiv 1707.06347;
advantages by Schulman, Moritz, Levine, Jordan, Abbeel 2016, "High-Dimensional Continuous Control Using
Generalized Advantage Estimation", arXiv 1506.02438. `update` is one iteration of the paper's Algorithm 1.

    delta[t] = r[t] + discount V(s[t + 1]) - V(s[t]),  A[t] = delta[t] + discount trace A[t + 1]
    maximise  E[min(ratio A, clip(ratio, 1 - c, 1 + c) A)] - value (V - R)^2 + entropy H,
    with ratio = pi(a | s) / pi_old(a | s) and R = A + V_old,

for some epochs over the same experience, in minibatches, by Adam on gradients of bounded norm. Beyond the
paper, as is usual (Andrychowicz et al. 2021, arXiv 2006.05990): observations in running standard units,
advantages standardised in each minibatch. An episode that was truncated is worth what its last view promises;
one that terminated, nothing.

A brain with memory learns from whole sequences, from the memory with which they began; its minibatches are of
rows. Without memory every step is a sequence of its own. Several agents are rows of the batch, and rows that
are masked out change nothing. Axis letters: T time, B rows, O observation, R sequences, S their steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from aiga.brains.wrappers import Moments, Standardised
from aiga.interfaces import Brain, World
from aiga.play.collecting import Experience, Stage, collect, fresh
from aiga.play.shards import summed


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Knobs:
    """The numbers that may change from update to update or be searched. ValueError, naming the field, for one
    out of range; what JAX traces is not looked at."""

    rate: Any = 3e-4  # of Adam
    clip: Any = 0.2  # how far the ratio may leave 1
    value: Any = 0.5  # weight of the value's loss
    entropy: Any = 0.0  # weight of the entropy
    discount: Any = 0.99
    trace: Any = 0.95  # lambda of GAE

    def __post_init__(self) -> None:
        for name, most in (
            ("rate", np.inf),
            ("clip", np.inf),
            ("value", np.inf),
            ("entropy", np.inf),
            ("discount", 1),
            ("trace", 1),
        ):
            number = getattr(self, name)
            if isinstance(number, int | float) and not 0 <= number <= most:
                raise ValueError(f"{name}: at least 0{', at most 1' if most == 1 else ''}, not {number!r}")


@dataclass(frozen=True)
class Config:
    """What is fixed when the learner is compiled. ValueError, naming the field, for one out of range."""

    epochs: int = 10  # over the same experience
    minibatches: int = 4  # in each; they have to divide the number of sequences
    gradient_norm: float = 0.5  # the most a gradient may be long
    clip_value: bool = False  # the value may not leave the old one by more than `clip` either
    standardise: bool = True  # observations, by all that were seen so far
    scale_rewards: bool = False  # to a discounted return of unit variance

    def __post_init__(self) -> None:
        for name in ("epochs", "minibatches"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: at least 1, not {getattr(self, name)!r}")
        if not self.gradient_norm > 0:
            raise ValueError(f"gradient_norm: greater than 0, not {self.gradient_norm!r}")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """What the learner keeps."""

    weights: Any  # the brain's
    adam: Any
    seen: Moments  # of observations f32[O]
    gains: Moments  # of discounted returns f32[]


class Batch(NamedTuple):
    """R sequences of S steps."""

    observation: Any  # f32[R, S, O], in standard units
    begun: Any  # bool[R, S]
    mask: Any  # bool[R, S]
    action: Any  # [R, S, ...]
    log_prob: Any  # f32[R, S]
    value: Any  # f32[R, S], when it was played
    advantage: Any  # f32[R, S]
    memory: Any  # the brain's before each sequence, [R, ...]


def advantages(
    reward: Any, value: Any, following: Any, ended: Any, discount: Any = 0.99, trace: Any = 0.95
) -> jax.Array:
    """GAE f32[T, ...] of rewards, values and the values of what followed (zero after a termination), all
    f32[T, ...]; `ended` bool[T, ...] says where nothing later counts."""
    delta = reward + discount * following - value

    def earlier(later: Any, now: Any) -> tuple[Any, Any]:
        error, end = now
        advantage = error + jnp.where(end, 0, discount * trace * later)
        return advantage, advantage

    return jax.lax.scan(earlier, jnp.zeros_like(delta[0]), (delta, ended), reverse=True)[1]


def loss(
    brain: Brain, knobs: Knobs, clip_value: bool, weights: Any, batch: Batch, whole: Moments | None = None
) -> tuple[Any, dict]:
    """What is minimised, f32[], and figures about it; means over the steps that `batch.mask` counts.

    `whole` are the moments of the minibatch's advantages where `batch` is a part of it: what the parts come
    to is to be summed.
    """
    policy, value = replay(brain, weights, batch)
    whole = whole or Moments.none(()).merge(batch.advantage, batch.mask)

    def mean(each: Any) -> Any:
        return jnp.where(batch.mask, each, 0).sum() / jnp.maximum(whole.count, 1)

    advantage = (batch.advantage - whole.mean) / (jnp.sqrt(whole.variance) + 1e-8)
    change = jnp.where(batch.mask, policy.log_prob(batch.action) - batch.log_prob, 0)
    ratio = jnp.exp(change)
    bounded = jnp.clip(ratio, 1 - knobs.clip, 1 + knobs.clip)
    gain = mean(jnp.minimum(ratio * advantage, bounded * advantage))

    target = batch.advantage + batch.value
    error = (value - target) ** 2
    if clip_value:
        near = batch.value + jnp.clip(value - batch.value, -knobs.clip, knobs.clip)
        error = jnp.maximum(error, (near - target) ** 2)
    missed, entropy = mean(error), mean(policy.entropy())
    return knobs.value * missed - gain - knobs.entropy * entropy, {
        "gain": gain,
        "value_loss": missed,
        "entropy": entropy,
        "kl": mean(ratio - 1 - change),
        "clipped": mean((jnp.abs(ratio - 1) > knobs.clip).astype(jnp.float32)),
    }


def replay(brain: Any, weights: Any, batch: Batch) -> tuple[Any, Any]:
    """What the brain would say now, policy and value f32[R, S], its memory carried as it was in play.

    A brain with a method `unroll`, as `ActorCritic` has it, is asked for all steps at once.
    """
    if hasattr(brain, "unroll"):
        turned = (jnp.swapaxes(each, 0, 1) for each in (batch.observation, batch.begun))
        judged = brain.unroll(weights, batch.memory, *turned)
        return jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), judged)

    def step(memory: Any, now: Any) -> tuple[Any, Any]:
        observation, begun = now
        judged, memory = brain.act(weights, fresh(brain, memory, begun), observation)
        return memory, judged

    def sequence(memory: Any, observation: Any, begun: Any) -> Any:
        return jax.lax.scan(step, memory, (observation, begun))[1]

    return jax.vmap(sequence)(batch.memory, batch.observation, batch.begun)


@dataclass(frozen=True)
class PPO:
    """The learner of `brain`, whose `act` answers with a `Judgement`; `observations` is the shape of one.

    Where `across` names mapped axes (`play/shards`), each learns from rows of its own, all come to the same
    weights, and a minibatch is one of each."""

    brain: Brain
    observations: tuple[int, ...]
    config: Config = Config()
    across: tuple[str, ...] = ()

    @property
    def player(self) -> Standardised:
        """The brain as it plays and is to be evaluated: `playing` gives its weights."""
        return Standardised(self.brain, self.observations)

    def playing(self, state: State) -> tuple[Moments, Any]:
        """The weights of `player`."""
        return state.seen, state.weights

    def init(self, key: jax.Array, weights: Any) -> State:
        """A learner at `weights` that has seen nothing. Nothing here is random."""
        del key
        weights = jax.tree.map(jnp.asarray, weights)
        return State(weights, self._adam.init(weights), Moments.none(self.observations), Moments.none(()))

    def learn(
        self, meta: Knobs | None, key: jax.Array, state: State, experience: Experience
    ) -> tuple[State, dict[str, Any]]:
        """Some epochs on `experience`; `meta` are the numbers to go by, `Knobs()` if none.

        Raises ValueError when the minibatches do not divide the sequences.
        """
        knobs, config = meta or Knobs(), self.config
        reward, seen, gains = experience.reward, state.seen, state.gains
        if config.standardise:
            seen = seen.merge(experience.observation, experience.mask, self.across)
        if config.scale_rewards:
            gains = gains.merge(experience.discounted, experience.mask, self.across)
            reward = jnp.clip(reward * jax.lax.rsqrt(gains.variance + 1e-8), -10, 10)
        ended = experience.terminated | experience.truncated
        advantage = advantages(
            reward, experience.value, experience.following, ended, knobs.discount, knobs.trace
        )
        # In the units in which they were played, not in `seen`'s: so the ratio starts at 1.
        batch = self._batch(
            experience._replace(observation=state.seen.standard(experience.observation)), advantage
        )
        sequences = len(batch.mask)
        if sequences % config.minibatches:
            raise ValueError(f"minibatches: a divisor of {sequences} sequences, not {config.minibatches}")

        def minibatch(now: tuple, given: tuple) -> tuple[tuple, dict]:
            (weights, adam), (rows, whole) = now, given
            some = jax.tree.map(lambda leaf: leaf[rows], batch)
            lost = partial(loss, self.brain, knobs, config.clip_value)
            parts = jax.grad(lost, has_aux=True)(weights, some, whole)
            slope, figures = summed(parts, self.across)
            with jax.numpy_dtype_promotion("standard"):  # optax mixes number types
                stride, adam = self._adam.update(slope, adam)
            weights = jax.tree.map(lambda weight, change: weight - knobs.rate * change, weights, stride)
            return (weights, adam), figures | {"gradient": optax.tree.norm(slope)}

        def epoch(now: tuple, key: jax.Array) -> tuple[tuple, dict]:
            order = jax.random.permutation(key, sequences).reshape(config.minibatches, -1)
            # For all minibatches at once: shards wait for each other whenever they sum.
            merge = partial(Moments.none(()).merge, across=self.across)
            whole = jax.vmap(merge)(batch.advantage[order], batch.mask[order])
            return jax.lax.scan(minibatch, now, (order, whole))

        start = state.weights, state.adam
        (weights, adam), figures = jax.lax.scan(epoch, start, jax.random.split(key, config.epochs))
        return State(weights, adam, seen, gains), jax.tree.map(jnp.mean, figures) | self._episodes(experience)

    def update(
        self,
        world: World,
        meta: Knobs | None,
        key: jax.Array,
        state: State,
        stage: Stage,
        courses: Any,
        steps: int,
    ) -> tuple[State, Stage, dict[str, Any]]:
        """One iteration, to be jitted: `steps` steps of all environments of `stage`, then `learn`."""
        playing, learning = jax.random.split(key)
        stage, experience = collect(
            world,
            self.player,
            self.playing(state),
            playing,
            stage,
            courses,
            steps,
            (meta or Knobs()).discount,
        )
        state, metrics = self.learn(meta, learning, state, experience)
        return state, stage, metrics

    @property
    def _adam(self) -> optax.GradientTransformation:
        bounded = optax.clip_by_global_norm(self.config.gradient_norm)
        return optax.chain(bounded, optax.scale_by_adam(eps=1e-5))

    def _batch(self, experience: Experience, advantage: Any) -> Batch:
        """All sequences: the B rows, each T steps long; for a brain without memory T B single steps."""
        remembers = bool(jax.tree.leaves(experience.memory))
        fields = {name: getattr(experience, name) for name in Batch._fields if hasattr(experience, name)}
        fields = jax.tree.map(
            lambda leaf: jnp.swapaxes(leaf, 0, 1), fields | {"memory": (), "advantage": advantage}
        )
        if not remembers:
            fields = jax.tree.map(lambda leaf: leaf.reshape(-1, 1, *leaf.shape[2:]), fields)
        return Batch(**fields | {"memory": experience.memory})

    def _episodes(self, experience: Experience) -> dict[str, Any]:
        """How many episodes ended, by rows, and their mean return (NaN for none)."""
        ended = (experience.terminated | experience.truncated) & experience.mask
        earned = jnp.where(ended, experience.total, 0).sum()
        count, earned = jax.lax.psum((ended.sum(), earned), self.across)
        return {"episodes": count, "return": earned / count.astype(jnp.float32)}
