"""A program that was found, as a learner: its `meta` is the program itself.

Real, Liang, So, Le 2020, "AutoML-Zero: Evolving Machine Learning Algorithms From Scratch", arXiv 2003.03384,
evolve programs that learn: setup once, then predict and learn, an example after the other. The program is
plain arrays, so a search can change it, and a gradient can change its constants, as that of Finn, Abbeel,
Levine 2017, "Model-Agnostic Meta-Learning", arXiv 1703.03400, changes first weights.

Axis letters: T examples, F features, L rows of a program.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aiga.brains.programs.ops import Program
from aiga.brains.programs.traced import Machine, Memory, Predictor, Rule, drawn
from aiga.interfaces import Key


class Experience(NamedTuple):
    """T examples, in the order in which they are learnt."""

    x: Any  # f[T, F]
    y: Any  # f[T]; where accuracy counts 0 or 1


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """All that lasts from one call to the next."""

    memory: Memory
    seed: Any  # u32[2], of the random numbers that the program draws
    time: Any  # u32[], component functions run so far; 0: setup is still to come
    alive: Any  # bool[], no error was NaN or beyond the limit


@dataclass(frozen=True)
class ProgramLearner:
    """The learner. `program` is what it goes by where `learn` is given no `meta`.

    An error that is NaN or beyond `limit` ends the task: memory stays as it is from then on. `learn` and
    `judge` are compiled when first called, once for all programs of L rows. Raises ValueError for a limit
    that is no positive number, and for a program that does not fit the machine.
    """

    machine: Machine
    program: Program | None = None
    limit: float = 100.0

    def __post_init__(self) -> None:
        if not self.limit > 0:
            raise ValueError(f"limit: greater than 0, not {self.limit!r}")
        if self.program is not None:
            self.machine.rule(self.program)

    def init(self, key: Key, weights: Memory | None = None) -> State:
        """A learner that has seen nothing; what its program draws follows from `key`.

        Without `weights` memory is zeros and setup runs before the first example. `weights` are memory that
        setup has been over, as `Predictor.init` gives it.
        """
        memory = self.machine.begin() if weights is None else jax.tree.map(jnp.asarray, weights)
        return State(memory, drawn(key), jnp.uint32(weights is not None), jnp.bool_(True))

    def learn(
        self, meta: Rule | None, key: Key, state: State, experience: Experience
    ) -> tuple[State, dict[str, Any]]:
        """Predicts and learns T examples. Half of them twice is the same as all at once: `key` is not used.

        Facts: `prediction` and `error` f[T], label minus prediction, both made before the example was learnt;
        NaN after the end of the task. Raises ValueError for `meta` with lengths beyond the machine's `most`.
        """
        del key
        return self._run(meta, state, experience, teach=True)

    def judge(self, meta: Rule | None, state: State, experience: Experience) -> tuple[State, dict[str, Any]]:
        """Predicts T examples, one after the other, and learns from none; facts as those of `learn`."""
        return self._run(meta, state, experience, teach=False)

    def brain(self, meta: Rule | None = None) -> Predictor:
        """What plays with what was learnt: its weights are `state.memory`."""
        return Predictor(self.machine, self._rule(meta))

    def _rule(self, meta: Rule | None) -> Rule:
        if meta is not None:
            return meta
        if self.program is None:
            raise ValueError("meta: a program, as this learner has none of its own")
        return self.machine.rule(self.program)

    def _run(
        self, meta: Rule | None, state: State, experience: Experience, teach: bool
    ) -> tuple[State, dict[str, Any]]:
        rule = self.machine.check(self._rule(meta))
        return _taught(self.machine, self.limit, teach, rule, state, experience)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _taught(
    machine: Machine, limit: float, teach: bool, rule: Rule, state: State, experience: Experience
) -> tuple[State, dict[str, Any]]:
    """Setup if it is still to come, then the examples in turn."""
    one, fresh = jnp.uint32(1), state.time == 0
    memory = jax.lax.cond(
        fresh,
        lambda memory: machine.setup(rule, memory, state.seed, jnp.uint32(0)),
        lambda memory: memory,
        state.memory,
    )
    state = replace(state, memory=memory, time=jnp.where(fresh, one, state.time))

    def step(state: State, example: tuple) -> tuple[State, tuple]:
        features, label = example
        predicted = machine.predict(rule, _quiet(state.alive, state.memory), state.seed, state.time, features)
        prediction = predicted.scalars[1]
        error = label - prediction
        alive = state.alive & (jnp.abs(error) <= limit)
        # Whoever is dead stands still, the clock too.
        memory = _chosen(state.alive, predicted, state.memory)
        time = state.time + state.alive.astype(jnp.uint32)
        if teach:
            learnt = machine.learn(rule, _quiet(alive, predicted), state.seed, time, label)
            memory, time = _chosen(alive, learnt, memory), time + alive.astype(jnp.uint32)
        told = [jnp.where(state.alive, each, jnp.nan) for each in (prediction, error)]
        return State(memory, state.seed, time, alive), tuple(told)

    x, y = (jnp.asarray(part).astype(memory.scalars.dtype) for part in experience)
    state, (prediction, error) = jax.lax.scan(step, state, (x, y))
    return state, {"prediction": prediction, "error": error}


def _chosen(which: Any, memory: Memory, other: Memory) -> Memory:
    return jax.tree.map(lambda a, b: jnp.where(which, a, b), memory, other)


def _quiet(alive: Any, memory: Memory) -> Memory:
    """Zeros after the end: infinities that nobody reads would make gradients NaN."""
    return jax.tree.map(lambda part: jnp.where(alive, part, 0.0), memory)
