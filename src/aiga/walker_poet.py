"""POET on the walker: what `aiga run poet` runs: the papers' system, courses and network, and our kernel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from aiga.brains import MLP
from aiga.interfaces import Space
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


def build(config: Config) -> poet.POET[Course]:
    """POET, played by the native kernel on all cores."""
    space: Space[Any] = config.space if config.courses == "genes" else config.cppn
    first = grow(config.first) if config.courses == "genes" else config.cppn.first
    return over(space, config, first)


def over(space: Space[Any], config: Config, first: Course) -> poet.POET[Course]:
    """POET over a space of walker courses of your own."""
    brain = MLP()
    activations = [brain.activation] * (len(brain.sizes) - 2) + [brain.output]
    evaluate = kernel.evaluator(brain.sizes, activations, config.max_steps)
    return poet.POET(config, space, brain, evaluate, first=first)
