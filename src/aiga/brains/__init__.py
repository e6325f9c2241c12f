"""How a brain is wired: pure init and act functions over pytrees of weights."""

from aiga.brains.mlp import MLP

__all__ = ["MLP"]
