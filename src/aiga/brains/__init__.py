"""How a brain is wired: pure init and act functions over pytrees of weights.

The classes are imported when they are asked for: `brains.layers` does without JAX, and so can who needs no
more.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiga.brains.actor_critic import ActorCritic
    from aiga.brains.associative import Associative
    from aiga.brains.conv_net import ConvNet
    from aiga.brains.mlp import MLP
    from aiga.brains.wrappers import Drawn, Greedy, Noisy, Standardised

__all__ = ["MLP", "ActorCritic", "Associative", "ConvNet", "Drawn", "Greedy", "Noisy", "Standardised"]

_HOME = {
    "MLP": "mlp",
    "ActorCritic": "actor_critic",
    "Associative": "associative",
    "ConvNet": "conv_net",
    "Drawn": "wrappers",
    "Greedy": "wrappers",
    "Noisy": "wrappers",
    "Standardised": "wrappers",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
