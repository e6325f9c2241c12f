"""Conformance suites: what a World, Space, Brain, Learner, Search, System or `evaluate` must keep to.

For our own parts and for yours. Each raises AssertionError with one line that says what was broken.
"""

from aiga.testing.conformance import (
    EVENTS,
    check_brain,
    check_evaluate,
    check_learner,
    check_search,
    check_space,
    check_system,
    check_world,
    same,
)

__all__ = [
    "EVENTS",
    "check_brain",
    "check_evaluate",
    "check_learner",
    "check_search",
    "check_space",
    "check_system",
    "check_world",
    "same",
]
