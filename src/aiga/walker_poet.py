"""POET on the walker: what `aiga run poet` runs. The paper's system, its courses, its network, our kernel."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiga.brains import MLP
from aiga.systems.environments import poet
from aiga.worlds.walker import kernel
from aiga.worlds.walker.course import Course
from aiga.worlds.walker.space import WalkerSpace


@dataclass(frozen=True)
class Config(poet.Config):
    """POET's numbers and the walker's. ValueError, naming the field, for one out of range."""

    max_steps: int = 2000  # of an episode, 1/50 s each
    space: WalkerSpace = field(default_factory=WalkerSpace)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.max_steps >= 1:
            raise ValueError(f"max_steps: at least 1, not {self.max_steps!r}")


def build(config: Config) -> poet.POET[Course]:
    """POET from flat ground, played by the native kernel on all cores."""
    brain = MLP()
    activations = [brain.activation] * (len(brain.sizes) - 2) + [brain.output]
    evaluate = kernel.evaluator(brain.sizes, activations, config.max_steps)
    return poet.POET(config, config.space, brain, evaluate, first=Course.flat())
