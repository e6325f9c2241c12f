"""Tasks of supervised learning for programs that learn: made up, of handwritten digits, or of your own data.

Real et al. 2020, arXiv 2003.03384: `linear` and `affine` are the regressions of its section 4.1, `teacher`
its two-layer network with rectifiers, `digits` and `folder:PATH` its projected binary classification, with
small images in the place of CIFAR-10. `digits-rest` is one digit against the nine others, as many examples of
both. Axis letters: N tasks, T examples to learn from, V to be judged on, F features, I images of D pixels
each.

Of every class a quarter of the images is kept back: tasks of `test` are judged on those and nothing else is.
The same arguments, and the same files, give the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

NAMES = ("linear", "affine", "teacher", "digits", "digits-rest", "folder:PATH")
MADE_UP = {"linear", "affine", "teacher"}
KINDS = ("search", "select", "test")
HELD_OUT = 0.2  # of all pairs of classes, to select by, and as many more to test on: 9 and 9 of 45
REST = -1  # in the place of a class: all classes but the other one
MOST_CLASSES = 1000  # whole numbers of more values are quantities
KEPT_BACK = 0.25  # of the images of every class, to test on


class Examples(NamedTuple):
    """N tasks."""

    train_x: np.ndarray  # f64[N, T, F]
    train_y: np.ndarray  # f64[N, T]; 0 or 1 where classes are told apart
    valid_x: np.ndarray  # f64[N, V, F]
    valid_y: np.ndarray  # f64[N, V]


@dataclass(frozen=True)
class Shape:
    """How large tasks are."""

    features: int = 8  # F
    train: int = 100  # T
    valid: int = 100  # V


def check(name: str) -> str:
    """Itself. ValueError, naming `task`, for the name of no task."""
    if name not in NAMES[:-1] and not (name.startswith("folder:") and name[7:]):
        raise ValueError(f"task: one of {', '.join(NAMES)}, not {name!r}")
    return name


def score(name: str) -> str:
    """What counts in this task, "rmse" or "accuracy"."""
    return "accuracy" if name not in MADE_UP and _classes(images(name)[1]) else "rmse"


def tasks(name: str, kind: str, count: int, shape: Shape, seed: int) -> Examples:
    """`count` tasks to search on, to select by or to test on, by `kind`.

    Where classes are told apart, task k is about pair k, from the beginning again when all had their turn,
    each with a projection of its own; no kind has a pair of another one, if there are five pairs or more.
    Tests have at most as many examples to judge on as were kept back. ValueError, naming the field, for what
    cannot be.
    """
    if kind not in KINDS:
        raise ValueError(f"kind: one of {', '.join(KINDS)}, not {kind!r}")
    check(name)
    streams = [np.random.default_rng([seed, KINDS.index(kind), k]) for k in range(count)]
    if name in MADE_UP:
        make = {"linear": _linear, "affine": _affine, "teacher": _teacher}[name]
        made = [make(rng, shape) for rng in streams]
    else:
        made = _of_images(name, kind, streams, shape, seed)
    x, y = (np.stack(part) for part in zip(*made, strict=True))
    train = shape.train
    return Examples(x[:, :train], y[:, :train], x[:, train:], y[:, train:])


def pairs(y: np.ndarray, kind: str, seed: int) -> list[tuple[int, int]]:
    """Pairs of the classes in `y` [I] for tasks of this kind: 27 of 45 to search on, 9 to select by, 9 to
    test on. With fewer than five pairs all are for everything."""
    return _dealt(list(combinations((int(c) for c in np.unique(y)), 2)), kind, seed)


def _dealt(every: list[tuple[int, int]], kind: str, seed: int) -> list[tuple[int, int]]:
    order = [every[k] for k in np.random.default_rng([seed, 3]).permutation(len(every))]
    held = int(HELD_OUT * len(order))
    if not held:
        return order
    return {"search": order[2 * held :], "select": order[:held], "test": order[held : 2 * held]}[kind]


def images(name: str) -> tuple[np.ndarray, np.ndarray]:
    """x [I, D] and y [I] of `digits` or a folder, of any type; y is of whole numbers where these are classes.

    A folder has x.npy, whose first axis is I, and y.npy. ValueError, naming the file, for what is wrong.
    """
    if name in ("digits", "digits-rest"):
        path = resources.files("aiga") / "worlds" / "digits.npz"
        with resources.as_file(path) as file, np.load(file, allow_pickle=False) as arrays:
            return arrays["x"], arrays["y"]
    folder = Path(name.removeprefix("folder:")).expanduser()
    x, y = (_array(folder / file) for file in ("x.npy", "y.npy"))
    if x.ndim < 2 or y.ndim != 1 or len(x) != len(y) or not x.size:
        raise ValueError(f"task: x.npy [I, ...] and y.npy [I], not {list(x.shape)} and {list(y.shape)}")
    return x.reshape(len(x), -1), y


def _array(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)  # little of it is looked at
    except (OSError, ValueError, EOFError) as error:
        why = getattr(error, "strerror", None) or "not an array of NumPy's"
        raise ValueError(f"task: {path}: {why}") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
        raise ValueError(f"task: {path}: not an array of numbers")
    if not np.isfinite(array).all():
        raise ValueError(f"task: {path}: numbers that are not finite")
    return array


def _classes(y: np.ndarray) -> bool:
    return y.dtype.kind in "bui" and 2 <= len(np.unique(y)) <= MOST_CLASSES


def _linear(rng: np.random.Generator, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    weights = rng.normal(size=shape.features)
    x = rng.normal(size=(shape.train + shape.valid, shape.features))
    return x, (x * weights).sum(-1)


def _affine(rng: np.random.Generator, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    x, y = _linear(rng, shape)
    return x, y + rng.normal()


def _teacher(rng: np.random.Generator, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    hidden, output = rng.normal(size=(shape.features, shape.features)), rng.normal(size=shape.features)
    x = rng.normal(size=(shape.train + shape.valid, shape.features))
    # Sums in one order, whatever library multiplies matrices here.
    seen = np.maximum((x[:, None, :] * hidden).sum(-1), 0.0)
    return x, (seen * output).sum(-1)


def _of_images(
    name: str, kind: str, streams: list[np.random.Generator], shape: Shape, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    x, y = images(name)
    groups: list[tuple[int | None, ...]] = [*pairs(y, kind, seed)] if _classes(y) else [(None,)]
    if name == "digits-rest":
        groups = [*_dealt([(REST, int(c)) for c in np.unique(y)], kind, seed)]
    known, kept = [], []
    for group in groups:
        halves = [_halves(label, y, seed) for label in group if label != REST]
        if REST in group:
            halves.append(_rest(group[-1], y, seed, halves[0]))
        known.append(np.concatenate([half[0] for half in halves]))
        kept.append(np.concatenate([half[1] for half in halves]))
    fewest = min(len(rows) for rows in kept)
    if kind == "test" and fewest:
        shape = replace(shape, valid=min(shape.valid, fewest))
    made = []
    for k, rng in enumerate(streams):
        at = k % len(groups)
        rows = _drawn(rng, known[at], kept[at], kind, shape)
        said = _standardised(y[rows], shape) if len(groups[at]) == 1 else y[rows] == groups[at][-1]
        made.append((_projected(rng, x[rows], shape), np.asarray(said, np.float64)))
    return made


def _halves(label: int | None, y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The images of a class, or all of them: those to search and select with, and those kept back."""
    rows = np.arange(len(y)) if label is None else np.flatnonzero(y == label)
    rows = np.random.default_rng([seed, 4, *rows[:1]]).permutation(rows)
    kept = int(KEPT_BACK * len(rows))
    return rows[kept:], rows[:kept]


def _rest(
    label: int | None, y: np.ndarray, seed: int, like: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Images of all other classes, as many as `like` has of its own."""
    others = [_halves(int(c), y, seed) for c in np.unique(y) if c != label]
    rng = np.random.default_rng([seed, 5])
    known, kept = (
        rng.permutation(np.concatenate(part))[: len(mine)]
        for part, mine in zip(zip(*others, strict=True), like, strict=True)
    )
    return known, kept


def _drawn(
    rng: np.random.Generator, known: np.ndarray, kept: np.ndarray, kind: str, shape: Shape
) -> np.ndarray:
    """T rows to learn from and V others."""
    known = rng.permutation(known)
    judged = rng.permutation(kept) if kind == "test" else known[shape.train :]
    if len(judged) < shape.valid or len(known) < shape.train:
        raise ValueError(
            f"train, valid: {len(known)} examples in all is what a task has here, "
            f"not {shape.train} and {shape.valid}"
        )
    return np.concatenate([known[: shape.train], judged[: shape.valid]])


def _projected(rng: np.random.Generator, x: np.ndarray, shape: Shape) -> np.ndarray:
    """Onto F random directions, each standardised by the examples to learn from; [T + V, F].

    Sums and not a matrix product, so that the bytes do not depend on the library that multiplies.
    """
    x = np.asarray(x, np.float64)
    directions = rng.normal(size=(shape.features, x.shape[1]))
    return _standardised(np.stack([(x * d).sum(-1) for d in directions], axis=-1), shape)


def _standardised(x: np.ndarray, shape: Shape) -> np.ndarray:
    x = np.asarray(x, np.float64)
    deviation = x[: shape.train].std(0)
    return (x - x[: shape.train].mean(0)) / np.where(deviation > 0, deviation, 1.0)
