"""The interfaces every part of aiga speaks, and nothing else.

All of them are pairs of pure functions with the state outside: frozen dataclasses that are JAX pytrees,
`key` first, nothing mutated. Axis letters in shapes: P population, N weights, O observation, A action,
C courses, D descriptor.

The modules import one way:
interfaces <- {worlds | brains} <- play <- {learners | searches} <- systems <- {cli, viewer};
`runs` imports this file alone and drives anything that has `init` and `step`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    import jax
    import numpy as np

    Key = jax.Array
    Array = jax.Array | np.ndarray
else:
    Key = Array = Any

S = TypeVar("S")  # a state
I = TypeVar("I")  # an item of a space: a course, a wiring, a program  # noqa: E741


class View(NamedTuple):
    """What a world shows after `reset` or `step`."""

    observation: Any  # f32[O]
    reward: Any  # f32[]
    terminated: Any  # bool[]; the episode ended by the world's own rules
    truncated: Any  # bool[]; the episode ran out of time


class Outcome(NamedTuple):
    """What `P` episodes came to."""

    returns: Any  # f32[P], the sum of rewards
    lengths: Any  # i32[P], steps taken
    finished: Any  # bool[P], the episode reached the world's goal (all true where a world has none)


class World(Protocol[S]):
    """Where a brain lives. `course` is data: the same compiled world runs every course."""

    def reset(self, key: Key, course: Any) -> tuple[S, View]: ...

    def step(self, key: Key, state: S, action: Array, course: Any) -> tuple[S, View]: ...


class Space(Protocol[I]):
    """A set of things that can be searched: courses, wirings, programs.

    A space that takes items from outside has a fifth method, `adopt(data: dict) -> item`: a valid item from
    plain data that a person or another program sent. ValueError, naming the field, for whatever is wrong with
    `data`, which may be anything that JSON can say. Whoever needs `adopt` looks for it.
    """

    def sample(self, key: Key) -> I: ...

    def mutate(self, key: Key, item: I) -> I: ...

    def describe(self, item: I) -> Array:
        """A vector f32[D]; distances between items are measured in it."""
        ...

    def valid(self, item: I) -> bool: ...


class Brain(Protocol):
    """How a brain is wired: weights are a pytree, memory is what it carries from step to step."""

    def init(self, key: Key) -> Any: ...

    def begin(self) -> Any: ...

    def act(self, weights: Any, memory: Any, observation: Any) -> tuple[Any, Any]: ...


class Learner(Protocol[S]):
    """How a brain is taught. `meta` is data, so that whatever can be learned can itself be searched."""

    def init(self, key: Key, weights: Any) -> S: ...

    def learn(self, meta: Any, key: Key, state: S, experience: Any) -> tuple[S, dict[str, Any]]: ...


class Search(Protocol[S]):
    """How new things are found. A teacher is a search over courses."""

    def init(self, key: Key) -> S: ...

    def ask(self, key: Key, state: S) -> tuple[Any, S]: ...

    def tell(self, state: S, items: Any, outcome: Any) -> S: ...


@dataclass(frozen=True)
class Event:
    """Something that happened: plain data, the only thing a system tells the world outside.

    `data` holds str, int, float, bool, None, lists and dicts of them, NumPy arrays and dataclasses. A run
    keeps every event; the kinds of `docs/architecture.md` it also knows how to tell apart.
    """

    kind: str
    data: dict[str, Any] = field(default_factory=dict)


class System(Protocol[S]):
    """A published system: its outer loop. One system can be another's inner loop.

    A system that people can send courses to has a third method, `offer(state, id, parent, data) -> state`:
    the state with candidate `id`, plain data drawn from environment `parent` (or None). ValueError, in one
    line, where it cannot be used. The event that decides on it, a birth or a rejection, carries `candidate`.

    A system may have `fits(state)`: ValueError, in one line, where a stored state cannot go on with what its
    files hold now, or with this version of the system.

    It may have `abreast(keys, states)`: `step` of several runs of one configuration at once, a key for each,
    for accelerators, which one run leaves idle.
    """

    def init(self, key: Key) -> S: ...

    def step(self, key: Key, state: S) -> tuple[S, list[Event]]: ...


class Evaluate(Protocol):
    """Runs episodes. Injected into systems, so that none of them knows where the work runs.

    `weights` f32[P, N] (flat), `courses` C of them, `which` i32[P] the course of each episode,
    `seeds` u32[P] its randomness. Idempotent: the same arguments give the same bytes.
    """

    def __call__(self, weights: Array, courses: Sequence[Any], which: Array, seeds: Array) -> Outcome: ...
