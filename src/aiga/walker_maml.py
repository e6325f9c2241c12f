"""ES-MAML on the walker: what `aiga run es-maml` runs. It is to adapt to slopes, grass and loads.

From random weights most of a run goes into learning to walk at all; `start` "walker" begins with the weights
that POET trained on obstacles (docs/log.md) and leaves the run what adaptation adds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import jax.numpy as jnp

from aiga.benchmarks.walker import trained
from aiga.brains import MLP
from aiga.interfaces import Evaluate
from aiga.systems.learning import es_maml
from aiga.walker_poet import played
from aiga.worlds.walker.course import Course
from aiga.worlds.walker.ground import GroundSpace
from aiga.worlds.walker.space import grow


@dataclass(frozen=True)
class Config(es_maml.Config):
    """ES-MAML's numbers and the walker's. ValueError, naming the field, for one out of range."""

    max_steps: int = 600  # of an episode, 1/50 s each
    start: Literal["random", "walker"] = "random"  # first weights; walker: of a trained one
    space: GroundSpace = field(default_factory=GroundSpace)

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.max_steps, self.start)


def check(max_steps: int, start: str) -> None:
    """ValueError, naming the field, for what no walker that adapts may have."""
    if not max_steps >= 1:
        raise ValueError(f"max_steps: at least 1, not {max_steps!r}")
    if start not in ("random", "walker"):
        raise ValueError(f"start: one of random, walker, not {start!r}")


@dataclass(frozen=True)
class Trained(MLP):
    """The walker's network, its first weights those of a trained walker."""

    def init(self, key: Any) -> Any:
        """The same weights whatever the key."""
        del key
        return self.unflatten(jnp.asarray(trained()))


def network(start: Literal["random", "walker"]) -> MLP:
    """The walker's, with the first weights that `start` names."""
    return Trained() if start == "walker" else MLP()


def evaluator(config: Config, engine: Literal["native", "jax"] = "native", threads: int = 0) -> Evaluate:
    """How the walkers' episodes are played: as `walker_poet.played`."""
    return played(config.max_steps, config.batch, engine, threads)


def build(config: Config, evaluate: Evaluate | None = None) -> es_maml.ESMAML:
    """ES-MAML, played by the native kernel on all cores, or by an `evaluate` of your own."""
    plain: Course = grow(config.space.genes)
    tasks = config.space.held_out()
    brain = network(config.start)
    return es_maml.ESMAML(config, config.space, tasks, plain, brain, evaluate or evaluator(config))
