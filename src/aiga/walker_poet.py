"""POET on the walker: what `aiga run poet` runs: the papers' system, courses and network, and our kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from aiga.brains import MLP
from aiga.interfaces import Evaluate, Outcome, Space
from aiga.systems.environments import poet
from aiga.worlds.walker import kernel
from aiga.worlds.walker.course import Course, Genes
from aiga.worlds.walker.cppn import CPPNSpace
from aiga.worlds.walker.space import WalkerSpace, grow


@dataclass(frozen=True)
class Config(poet.Config):
    """POET's numbers and the walker's. ValueError, naming the field, for one out of range."""

    max_steps: int = 2000  # of an episode, 1/50 s each
    courses: Literal["genes", "cppn"] = "genes"  # how they are encoded: POET's way or Enhanced POET's
    space: WalkerSpace = field(default_factory=WalkerSpace)  # of genes
    cppn: CPPNSpace = field(default_factory=CPPNSpace)
    first: Genes = field(default_factory=Genes)  # the course to begin with; a cppn's is level

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.max_steps >= 1:
            raise ValueError(f"max_steps: at least 1, not {self.max_steps!r}")
        if self.courses == "genes" and not self.space.valid(grow(self.first)):
            raise ValueError("first: must lie within the limits of space")


def evaluator(config: Config, engine: Literal["native", "jax"] = "native", threads: int = 0) -> Evaluate:
    """How the walkers' episodes are played: as `played`."""
    return played(config.max_steps, config.batch, engine, threads)


def played(
    max_steps: int, batch: int, engine: Literal["native", "jax"] = "native", threads: int = 0
) -> Evaluate:
    """Episodes of POET's network: by the native kernel, on `threads` threads (0: all cores), or by the JAX
    walker, `batch` at a time, on whatever device JAX has."""
    brain = MLP()
    if engine == "native":
        return kernel.evaluator(brain.sizes, brain.activations, max_steps, threads)

    import jax

    from aiga.play import evaluator as played_in_jax
    from aiga.worlds.walker.world import WalkerWorld

    # A batch is always full, if need be of copies; on a CPU width gains nothing, so a small one wastes less.
    batch = min(batch, 256) if jax.default_backend() == "cpu" else batch
    play = played_in_jax(WalkerWorld(max_steps), brain, max_steps, batch)

    def evaluate(weights: Any, courses: Sequence[Course], which: Any, seeds: Any) -> Outcome:
        # Only the ground goes to the device, not what it was made from.
        return play(weights, [replace(course, genes=Genes()) for course in courses], which, seeds)

    return evaluate


def build(config: Config, evaluate: Evaluate | None = None) -> poet.POET[Course]:
    """POET, played by the native kernel on all cores, or by an `evaluate` of your own."""
    space: Space[Any] = config.space if config.courses == "genes" else config.cppn
    first = grow(config.first) if config.courses == "genes" else config.cppn.first
    return over(space, config, first, evaluate)


def over(
    space: Space[Any], config: Config, first: Course, evaluate: Evaluate | None = None
) -> poet.POET[Course]:
    """POET over a space of walker courses of your own."""
    return poet.POET(config, space, MLP(), evaluate or evaluator(config), first=first)
