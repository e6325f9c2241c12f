"""How a brain is wired: pure init and act functions over pytrees of weights."""

from aiga.brains.actor_critic import ActorCritic
from aiga.brains.mlp import MLP
from aiga.brains.wrappers import Greedy, Standardised

__all__ = ["MLP", "ActorCritic", "Greedy", "Standardised"]
