"""Where worlds and brains meet: rollouts, returns, evaluation."""

from aiga.play.arena import Arena, evaluation_seeds
from aiga.play.evaluation import evaluator, flatten, unflattener
from aiga.play.rollouts import Trajectory, returns, rollout

__all__ = [
    "Arena",
    "Trajectory",
    "evaluation_seeds",
    "evaluator",
    "flatten",
    "returns",
    "rollout",
    "unflattener",
]
