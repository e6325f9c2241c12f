"""MAML with policy gradients on the walker: what `aiga run maml-rl` runs. It is to adapt to slopes, grass and
loads, the tasks of `walker_maml`.

The policy is POET's network, 24-40-40-4 with tanh after its last layer too, with Gaussian noise around it
whose deviation is learnt; the native kernel moves the walkers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from aiga.brains import Noisy
from aiga.interfaces import World
from aiga.learners import inner_loop
from aiga.systems.learning import maml_rl
from aiga.walker_maml import check, network
from aiga.worlds.walker.ground import GroundSpace
from aiga.worlds.walker.native import NativeWalker
from aiga.worlds.walker.space import grow


@dataclass(frozen=True)
class Config(maml_rl.Config):
    """MAML's numbers and the walker's. ValueError, naming the field, for one out of range."""

    max_steps: int = 600  # of an episode, 1/50 s each
    start: Literal["random", "walker"] = "walker"  # first weights; walker: of one that POET trained
    deviation: float = 0.15  # of the policy, at first
    # Of so few episodes the second derivative is mostly noise: docs/maml.md.
    inner: inner_loop.Config = field(default_factory=lambda: inner_loop.Config("first"))
    space: GroundSpace = field(default_factory=GroundSpace)

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.max_steps, self.start)
        if not 0 < self.deviation < float("inf"):
            raise ValueError(f"deviation: greater than 0, not {self.deviation!r}")


def build(config: Config, world: World | None = None) -> maml_rl.MAMLRL:
    """MAML, the walkers moved by the native kernel on all cores, or by a `world` of your own."""
    brain = Noisy(network(config.start), 4, config.deviation)
    return maml_rl.MAMLRL(
        config,
        config.space,
        config.space.held_out(),
        grow(config.space.genes),
        brain,
        world or NativeWalker(config.max_steps),
        config.max_steps,
    )
