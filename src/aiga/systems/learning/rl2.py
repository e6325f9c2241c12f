"""RL^2: a memory that is taught, slowly, to learn a new task fast.

Duan et al. 2016, "RL^2: Fast Reinforcement Learning via Slow Reinforcement Learning" (arXiv 1611.02779);
Wang et al. 2016, "Learning to reinforcement learn" (arXiv 1611.05763). A recurrent network plays trials, each
some episodes of a task never met before, is told what it did and what that brought, and keeps its memory for
the whole trial. Weights change between trials alone, by a policy gradient, so what is learnt about a task
within a trial is learnt by the memory. `RL2.step` is that outer loop, many updates in one compiled scan:
draw tasks, play one trial of each, learn. Then trials on tasks to test on are played, actions drawn as in
training.

The policy gradient is PPO (`learners/ppo`) where Duan et al. have TRPO; with `learner` a2c it is one step of
gradient ascent an update as Wang et al. have it, by Adam in the place of RMSProp. Rewards count beside what
the other trials of an update are paid at that step. The memory is theirs, an LSTM (Duan et al. have gated
recurrent units), or one that files what happened (`brains/associative`). The tasks are in `worlds`, what is
possible on them in docs/bandits.md. Axis letters: N trials, T steps, K arms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from aiga.brains import ActorCritic, Associative
from aiga.interfaces import Array, Event, Key
from aiga.learners import ppo
from aiga.play.collecting import Experience, collect, enter
from aiga.play.shards import AXIS, spread
from aiga.worlds.bandits import Bernoulli, Informative, Restless
from aiga.worlds.harlow import Harlow
from aiga.worlds.tabular import Tabular
from aiga.worlds.trial import Trial
from aiga.worlds.two_step import TwoStep

Task = Literal["arms", "informative", "restless", "two-step", "harlow", "mdp"]
Draw = Literal["independent", "uniform", "easy", "medium", "hard"]
Learner = Literal["ppo", "a2c"]
Memory = Literal["lstm", "associative"]


@dataclass(frozen=True)
class Config:
    """RL^2's numbers. ValueError, naming the field, for one out of range."""

    task: Task = "arms"
    arms: int = 2  # of `arms`
    pulls: int = 100  # of an episode of bandits; choices in it of the two-step task and Harlow's
    draw: Draw = "independent"  # of `arms`; others are Wang's two dependent ones
    episodes: int = 1  # of a trial
    tells_reward: bool = True  # False: the control, for which nothing is to be found out
    memory: Memory = "lstm"  # the papers'; `associative` is for tasks that show where one is
    units: int = 48  # of the memory
    learner: Learner = "ppo"
    trials: int = 256  # of an update, each on a task of its own
    updates: int = 50  # in one step of the system
    rate: float = 0.003  # Adam's, falling to a tenth
    entropy: float = 0.05  # its weight, falling to nothing
    anneal: int = 1500  # updates in which both fall
    clip: float = 0.2  # of `ppo`
    epochs: int = 1  # of `ppo`: new trials cost less than what a second pass over old ones does
    minibatches: int = 8  # of `ppo`, in each epoch
    shards: int = 2  # parts of a batch, each on a core of its own where there are as many
    discount: float = 1.0
    trace: float = 0.9  # lambda of the advantages
    test_tasks: int = 2000  # the same ones throughout a run, drawn apart from those to learn on

    def __post_init__(self) -> None:
        for name, kind in (("task", Task), ("draw", Draw), ("learner", Learner), ("memory", Memory)):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"{name}: one of {', '.join(get_args(kind))}, not {getattr(self, name)!r}")
        for name in (
            "arms", "pulls", "episodes", "units", "updates", "anneal", "epochs", "minibatches", "shards",
            "test_tasks",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: at least 1, not {getattr(self, name)!r}")
        for name, most in (
            ("rate", np.inf), ("entropy", np.inf), ("clip", np.inf), ("discount", 1), ("trace", 1),
        ):  # fmt: skip
            if not 0 <= getattr(self, name) <= most or not np.isfinite(getattr(self, name)):
                said = "at least 0" + (", at most 1" if most == 1 else "")
                raise ValueError(f"{name}: {said}, not {getattr(self, name)!r}")
        if self.trials < 2:
            raise ValueError(f"trials: at least 2, as each counts beside the others, not {self.trials!r}")
        if self.memory == "associative" and self.units < 2:
            raise ValueError(f"units: at least 2 of an associative memory, not {self.units}")
        if self.trials % self.shards:
            raise ValueError(f"shards: a divisor of {self.trials} trials, not {self.shards}")
        each = self.trials // self.shards
        if self.learner == "ppo" and each % self.minibatches:
            raise ValueError(f"minibatches: a divisor of a shard's {each} trials, not {self.minibatches}")
        if self.draw != "independent" and (self.task != "arms" or self.arms != 2):
            raise ValueError(f"draw: independent but for two arms, not {self.draw!r}")


def world(config: Config) -> tuple[Any, int, int]:
    """The task's world, how many actions it has, and how many steps its episodes."""
    if config.task == "arms":
        return Bernoulli(config.arms, config.pulls, config.draw), config.arms, config.pulls
    if config.task == "informative":
        return Informative(config.pulls), 11, config.pulls
    if config.task == "restless":
        return Restless(config.pulls), 2, config.pulls
    if config.task == "two-step":
        return TwoStep(config.pulls), 2, 2 * config.pulls
    if config.task == "harlow":
        return Harlow(trials=config.pulls), 2, config.pulls
    return Tabular(), Tabular().actions, Tabular().horizon


@dataclass(frozen=True)
class State:
    """The outer learner between two steps."""

    updates: int
    learner: ppo.State
    test: Array  # u32[2], the key of the tasks to test on


@dataclass(frozen=True)
class RL2:
    """The system."""

    config: Config = Config()

    def init(self, key: Key) -> State:
        """New weights. ValueError, naming the field, where the task cannot be made."""
        drawing, testing = jax.random.split(key)
        learner = self._learner.init(drawing, self._weights(drawing))
        return jax.device_get(State(0, learner, jax.random.key_data(testing)))

    def step(self, key: Key, state: State) -> tuple[State, list[Event]]:
        """`updates` updates, each on new tasks, then the tasks to test on."""
        config = self.config
        learner, metrics = jax.device_get(self._learn(key, state.learner, state.updates))
        state = replace(state, updates=state.updates + config.updates, learner=learner)
        courses, seen = self.judge(
            learner, jax.random.wrap_key_data(jnp.asarray(state.test), impl="threefry2x32")
        )
        counts = {
            "updates": state.updates,
            "trials": state.updates * config.trials,
            "steps": self.steps(state.updates),
        }
        learning = {name: float(metrics[name].mean()) for name in ("entropy", "value_loss", "kl")}
        log = [Event("metric", {**counts, **self._figures(courses, seen), **learning})]
        if config.task == "arms":
            log.append(Event("trial", _shown(courses, seen)))
        return state, log

    def steps(self, updates: int) -> int:
        """How many steps so many updates play."""
        return updates * self.config.trials * self._trial_steps

    def judge(self, learner: ppo.State, key: Key, tasks: int | None = None) -> tuple[Any, Experience]:
        """Courses of N `tasks` of `key`, `test_tasks` of them if not said, and one trial of each as it was
        played, [T, N, ...]; its memory is left out."""
        courses, seen = self._play(key, learner, tasks or self.config.test_tasks)
        return jax.device_get((courses, seen._replace(memory=None)))

    def _figures(self, courses: Any, seen: Experience) -> dict[str, float]:
        """The mean return of a trial, and the regret where chances are known: what the best arm would have
        paid in expectation, less what the pulled ones would have."""
        figures = {"return": float(seen.reward.sum(0).mean())}
        if self.config.task == "arms":
            figures["regret"] = float(regrets(courses, seen.action).mean())
        return figures

    @cached_property
    def _trial(self) -> Trial:
        inner, actions, _ = world(self.config)
        return Trial(inner, actions, self.config.episodes, self.config.tells_reward)

    @property
    def _trial_steps(self) -> int:
        return self.config.episodes * world(self.config)[2]

    @cached_property
    def _learner(self) -> ppo.PPO:
        config, trial = self.config, self._trial
        _, view = jax.eval_shape(lambda key: trial.reset(key, trial.world.sample(key)), jax.random.key(0))
        (told,) = view.observation.shape
        if config.memory == "associative":
            brain: Any = Associative(told, trial.actions, told - trial.extra, config.units)
        else:
            brain = ActorCritic(told, trial.actions, hidden=(), recurrent=config.units, shared=True)
        epochs, minibatches = (config.epochs, config.minibatches) if config.learner == "ppo" else (1, 1)
        fixed = ppo.Config(epochs, minibatches, standardise=False, scale_rewards=True)
        return ppo.PPO(brain, (told,), fixed, (AXIS,))

    def _weights(self, key: jax.Array) -> Any:
        """First ones: the brain's. But an LSTM forgets less (Jozefowicz et al. 2015, PMLR 37) and its policy
        is not scaled down, as what goes back through it would be lost in Adam's epsilon."""
        units, weights = self.config.units, self._learner.brain.init(key)
        if self.config.memory == "associative":
            return weights
        matrix, bias = weights.memory
        actor = tuple((100 * each, offset) for each, offset in weights.actor)
        return weights._replace(actor=actor, memory=(matrix, bias.at[units : 2 * units].add(1)))

    def _knobs(self, update: Any) -> ppo.Knobs:
        """Those of an update. In a single pass no ratio leaves 1, so of `a2c` nothing is clipped."""
        config = self.config
        left = jnp.maximum(1 - jnp.float32(update) / config.anneal, 0)
        return ppo.Knobs(
            rate=config.rate * jnp.maximum(left, 0.1),
            clip=config.clip,
            entropy=config.entropy * left,
            discount=config.discount,
            trace=config.trace,
        )

    def _trials(self, key: Key, learner: ppo.State, count: int) -> tuple[Any, Experience]:
        """`count` trials, each on a course of its own."""
        drawing, entering, playing = jax.random.split(key, 3)
        trial, player, weights = self._trial, self._learner.player, self._learner.playing(learner)
        courses = jax.vmap(trial.world.sample)(jax.random.split(drawing, count))
        stage = enter(trial, player, entering, courses)
        steps, discount = self._trial_steps, self.config.discount
        _, seen = collect(trial, player, weights, playing, stage, courses, steps, discount)
        return courses, seen

    def _update(self, now: tuple[ppo.State, Any], key: Key) -> tuple[tuple, Any]:
        learner, update = now
        playing, learning = jax.random.split(key)
        playing = jax.random.fold_in(playing, jax.lax.axis_index(AXIS))
        _, seen = self._trials(playing, learner, self.config.trials // self.config.shards)
        learner, metrics = self._learner.learn(self._knobs(update), learning, learner, _beside_others(seen))
        return (learner, update + 1), metrics

    @cached_property
    def _learn(self) -> Any:
        def learn(key: Key, learner: ppo.State, update: Any) -> Any:
            """`updates` updates."""
            keys = jax.random.split(key, self.config.updates)
            (learner, _), metrics = jax.lax.scan(self._update, (learner, jnp.int32(update)), keys)
            return learner, metrics

        return jax.jit(spread(learn, self.config.shards))

    @cached_property
    def _play(self) -> Any:
        return jax.jit(self._trials, static_argnums=2)


def _beside_others(seen: Experience) -> Experience:
    """Rewards less the mean of what all trials were paid at that step.

    But for a factor of 1 - 1 / N, which scaled rewards do not show, that is less what the others were paid: a
    baseline of time alone, which makes no gradient wrong (Greensmith, Bartlett, Baxter 2004, "Variance
    Reduction Techniques for Gradient Estimates in Reinforcement Learning", JMLR 5). Without it most of a
    value is how long the trial still lasts, which nobody tells the critic.
    """
    paid = seen.reward, seen.discounted
    means = jax.lax.pmean(tuple(each.mean(1, keepdims=True) for each in paid), AXIS)
    reward, discounted = (each - mean for each, mean in zip(paid, means, strict=True))
    return seen._replace(reward=reward, discounted=discounted)


def _shown(courses: Any, seen: Experience) -> dict[str, list[Any]]:
    """The first of the trials as it was played, for the page."""
    said = np.asarray(seen.log_prob[:, 0], float)
    return {
        "chances": np.asarray(courses[0], float).tolist(),
        "actions": np.asarray(seen.action[:, 0]).tolist(),
        "rewards": np.asarray(seen.reward[:, 0], float).tolist(),
        "taken": np.exp(said).round(4).tolist(),
    }


def regrets(chances: Any, actions: Any) -> np.ndarray:
    """The regret f64[N] of N trials: `chances` f32[N, K] of K arms to pay, `actions` i32[T, N], the pulls."""
    chances = np.asarray(chances, float)
    pulled = np.take_along_axis(chances, np.asarray(actions).T, 1)
    return (chances.max(1, keepdims=True) - pulled).sum(1)
