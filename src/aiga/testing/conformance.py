"""The checks. They play with small numbers and take about a second each, most of it compiling."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aiga.interfaces import Brain, Evaluate, Event, Learner, Search, Space, System, View, World
from aiga.play import flatten, unflattener
from aiga.runs.codec import decode, encode, types_in

# What events of each kind carry at least; other kinds are free.
EVENTS = {
    "birth": {"id", "parent", "course", "description", "score", "agent"},
    "rejection": {"parent", "course", "reason", "stage", "score"},
    "transfer": {"source", "target", "kind", "gain", "score", "agent"},
    "solve": {"id", "score", "agent"},
    "extinction": {"id", "score", "agent"},
    "score": {"id", "score", "finished"},
    "metric": set(),
}


def same(one: Any, other: Any) -> bool:
    """Equal to the last bit, NaN equal to NaN, through dataclasses, containers and arrays of any library."""
    if hasattr(one, "dtype") and hasattr(other, "dtype"):
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        one, other = np.asarray(one), np.asarray(other)
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if type(one) is not type(other):
        return False
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (one != one and other != other)


def check_world(world: World, course: Any, action: Any, steps: int = 8) -> None:
    """Pure, typed alike at every step, compiled once for all steps, ends of two kinds kept apart."""
    key = jax.random.key(0)
    before = copy.deepcopy(course)
    traced = []

    def step(key: Any, state: Any, action: Any, course: Any) -> Any:
        traced.append(None)
        return world.step(key, state, action, course)

    reset, compiled = jax.jit(world.reset), jax.jit(step)
    state, view = reset(key, course)
    _must(same((state, view), reset(key, course)), "reset: the same key must give the same state and view")
    for time in range(steps):
        _must_be_view(view, f"view {time}")
        again = jax.tree.map(jnp.copy, state)
        after = compiled(jax.random.fold_in(key, time), state, action, course)
        _must(
            same(after, compiled(jax.random.fold_in(key, time), again, action, course)),
            "step: the same arguments must give the same state and view",
        )
        _must(
            _shapes(after) == _shapes((state, view)),
            f"step: shapes and types must be those of reset, {_shapes((state, view))}, not {_shapes(after)}",
        )
        state, view = after
    _must(len(traced) == 1, f"step: must compile once, not {len(traced)} times (is a type weak after reset?)")
    _must(same(course, before), "step: must leave the course as it is")
    if finished := getattr(world, "finished", None):
        _must_be(finished(state), (), bool, "finished")
    several = jax.jit(jax.vmap(world.reset, in_axes=(0, None)))
    together = several(jax.random.split(key, 3), course)[1].observation
    _must(together.shape == (3, *view.observation.shape), "reset: must run under vmap")


def check_space(space: Space, count: int = 20) -> None:
    """Samples and `count` generations of mutants are valid, reproducible and describable in one shape."""
    key = jax.random.key(0)
    item = space.sample(key)
    _must(same(item, space.sample(key)), "sample: the same key must give the same item")
    shape, changed = np.shape(space.describe(item)), False
    _must(len(shape) == 1, f"describe: must be a vector, not of shape {shape}")
    for generation in range(count):
        described = np.asarray(space.describe(item))
        _must(described.shape == shape, f"describe: must always be of shape {shape}, not {described.shape}")
        _must(bool(np.isfinite(described).all()), "describe: must be finite")
        _must(bool(space.valid(item)), f"mutate: must give valid items; generation {generation} is not")
        before = copy.deepcopy(item)
        child_key = jax.random.fold_in(key, generation)
        child = space.mutate(child_key, item)
        _must(same(item, before), "mutate: must leave its item as it is")
        _must(same(child, space.mutate(child_key, item)), "mutate: the same key must give the same child")
        _must_encode(child, "item")
        changed |= not same(child, item)
        item = child
    _must(changed, f"mutate: must change something in {count} generations")


def check_brain(brain: Brain, observation: Any) -> None:
    """Weights are float32 and survive flattening; `act` is pure, finite and keeps its memory's type."""
    key = jax.random.key(0)
    weights = brain.init(key)
    _must(same(weights, brain.init(key)), "init: the same key must give the same weights")
    _must(not same(weights, brain.init(jax.random.key(1))), "init: other keys must give other weights")
    kinds = {str(leaf.dtype) for leaf in jax.tree.leaves(weights)}
    _must(kinds == {"float32"}, f"init: weights must be float32, not {', '.join(sorted(kinds))}")
    flat = flatten(weights)
    _must(
        same(unflattener(brain)(flat), weights),
        "init: weights must be one pytree of the same shapes for any key",
    )
    if hasattr(brain, "flatten"):
        flat_method, unflat_method = brain.flatten, brain.unflatten  # type: ignore[attr-defined]
        _must(same(flat_method(weights), flat), "flatten: must be the order of the weights' pytree")
        _must(same(unflat_method(flat), weights), "unflatten: must be the inverse of flatten")

    act = jax.jit(brain.act)
    memory = brain.begin()
    output, after = act(weights, memory, observation)
    _must(same((output, after), act(weights, memory, observation)), "act: must be pure")
    _must_be_finite(output, "act: the output")
    _must(_shapes(after) == _shapes(memory), "act: must keep the shapes and types of its memory")


def check_learner(
    learner: Learner, weights: Any, experience: Callable[[Any, Any], Any], steps: int = 3
) -> None:
    """`experience(key, state)` makes what it learns from. Pure; the state stays finite and can be stored."""
    key = jax.random.key(0)
    state = learner.init(key, weights)
    _must(same(state, learner.init(key, weights)), "init: the same arguments must give the same state")
    first = _shapes(state)
    for time in range(steps):
        step_key = jax.random.fold_in(key, time)
        lesson = experience(step_key, state)
        before = copy.deepcopy((state, lesson))
        after, metrics = learner.learn(None, step_key, state, lesson)
        _must(same((state, lesson), before), "learn: must leave state and experience as they are")
        again = learner.learn(None, step_key, state, lesson)
        _must(same((after, metrics), again), "learn: the same arguments must give the same state")
        _must(_shapes(after) == first, "learn: must keep the shapes and types of its state")
        _must_be_finite(after, "learn: the state")
        _must_encode(after, "state")
        _must(not same(after, state), "learn: must change the state")
        state = after


def check_search(search: Search, outcome: Callable[[Any], Any], steps: int = 3) -> None:
    """`outcome(items)` is what `tell` hears. Asking and telling are pure and the state can be stored."""
    key = jax.random.key(0)
    state = search.init(key)
    _must(same(state, search.init(key)), "init: the same key must give the same state")
    for time in range(steps):
        ask_key = jax.random.fold_in(key, time)
        before = copy.deepcopy(state)
        items, asked = search.ask(ask_key, state)
        _must(
            same((items, asked), search.ask(ask_key, state)),
            "ask: the same arguments must give the same items",
        )
        came = outcome(items)
        told = search.tell(asked, items, came)
        _must(
            same(told, search.tell(asked, items, came)), "tell: the same arguments must give the same state"
        )
        _must(same(state, before), "ask, tell: must leave the state as it is")
        _must_encode(told, "state")
        state = told


def check_evaluate(evaluate: Evaluate, weights: Any, courses: Sequence[Any]) -> None:
    """Idempotent, one answer per episode in its place, the same whoever else is asked about.

    `weights` f32[P, N] with P at least 2; all play all courses.
    """
    weights = np.asarray(weights)
    count = len(weights) * len(courses)
    which = np.repeat(np.arange(len(courses), dtype=np.int32), len(weights))
    seeds = np.arange(count, dtype=np.uint32) + np.uint32(2**31)
    played = np.tile(weights, (len(courses), 1))
    outcome = evaluate(played, courses, which, seeds)
    for name, value, kind in zip(outcome._fields, outcome, (np.floating, np.integer, np.bool_), strict=True):
        array = np.asarray(value)
        _must(
            array.shape == (count,) and np.issubdtype(array.dtype, kind),
            f"{name}: must be {kind.__name__}[{count}], not {array.dtype}{list(array.shape)}",
        )
    lengths = np.asarray(outcome.lengths)
    _must(bool((lengths >= 0).all()), "lengths: must not be negative")
    _must(
        same(tuple(outcome), tuple(evaluate(played, courses, which, seeds))), "evaluate: must be idempotent"
    )
    order = np.random.default_rng(0).permutation(count)
    mixed = evaluate(played[order], courses, which[order], seeds[order])
    for name, value, other in zip(outcome._fields, outcome, mixed, strict=True):
        _must(
            same(np.asarray(value)[order], np.asarray(other)),
            f"{name}: an episode's must not depend on its place among the others",
        )


def check_system(system: System, steps: int = 3, require: Iterable[str] = ()) -> list[Event]:
    """`step` is pure, its state can be stored and taken up again, its events carry what they must.

    Returns the events of all steps; `require` names kinds that must be among them.
    """
    key = jax.random.key(0)
    state = system.init(key)
    _must(same(state, system.init(key)), "init: the same key must give the same state")
    seen: list[Event] = []
    for time in range(steps):
        step_key = jax.random.fold_in(key, time)
        before = copy.deepcopy(state)
        after, events = system.step(step_key, state)
        _must(same(state, before), f"step {time}: must leave its state as it is")
        stored = _must_encode(state, "state")
        resumed = decode(type(state), stored.tree, stored.arrays, types_in(state))
        _must(
            same(_must_encode((after, events), "events"), encode(system.step(step_key, resumed))),
            f"step {time}: from a stored state must do the same",
        )
        for event in events:
            missing = EVENTS.get(event.kind, set()) - event.data.keys()
            _must(not missing, f"event {event.kind}: must carry {', '.join(sorted(missing))}")
        seen += events
        state = after
    kinds = {event.kind for event in seen}
    _must(set(require) <= kinds, f"events: must include {', '.join(sorted(set(require) - kinds))}")
    return seen


def _must(fine: bool, otherwise: str) -> None:
    if not fine:
        raise AssertionError(otherwise)


def _must_be(value: Any, shape: tuple[int, ...], kind: type, name: str) -> None:
    array = np.asarray(value)
    wanted = np.dtype(kind).kind
    _must(
        array.shape == shape and array.dtype.kind == wanted,
        f"{name}: must be {kind.__name__}{list(shape)}, not {array.dtype}{list(array.shape)}",
    )


def _must_be_view(view: View, name: str) -> None:
    _must(isinstance(view, View), f"{name}: must be a View, not {type(view).__name__}")
    _must_be(view.reward, (), float, f"{name}: reward")
    _must_be(view.terminated, (), bool, f"{name}: terminated")
    _must_be(view.truncated, (), bool, f"{name}: truncated")
    _must(not (view.terminated and view.truncated), f"{name}: must end in one of two ways, not in both")
    _must_be_finite((view.observation, view.reward), name)


def _must_be_finite(value: Any, name: str) -> None:
    for leaf in jax.tree.leaves(value):
        _must(bool(np.isfinite(np.asarray(leaf)).all()), f"{name}: must be finite")


def _must_encode(value: Any, name: str) -> Any:
    try:
        return encode(value)
    except ValueError as error:
        raise AssertionError(f"{name}: must be plain data, so that a run can store it: {error}") from None


def _shapes(value: Any) -> Any:
    return jax.tree.map(
        lambda leaf: f"{getattr(leaf, 'dtype', type(leaf).__name__)}{list(np.shape(leaf))}", value
    )
