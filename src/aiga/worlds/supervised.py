"""Tasks of supervised learning for programs that learn: made up, of handwritten digits, or of your own data.

Real et al. 2020, arXiv 2003.03384: `linear` and `affine` are the regressions of its section 4.1, `teacher`
its two-layer network with rectifiers, `digits` and `folder:PATH` its projected binary classification, on
small images or on those of a folder: arrays, or a published set in its own files (`image_files`).
`digits-rest` is one digit against the nine others, as many examples of both. Axis letters: N tasks, T
examples to learn from, V to be judged on, F features, I images of D pixels each.

The images of a published set's test files are kept back, else a quarter of every class: tasks of `test` are
judged on those and nothing else is. The same arguments, and the same files, give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from aiga.worlds import image_files
from aiga.worlds.image_files import Images, wrong

NAMES = ("linear", "affine", "teacher", "digits", "digits-rest", "folder:PATH")
MADE_UP = {"linear", "affine", "teacher"}
KINDS = ("search", "select", "test")
HELD_OUT = 0.2  # of all pairs of classes, to select by, and as many more to test on: 9 and 9 of 45
MOST_CLASSES = 1000  # whole numbers of more values are quantities
KEPT_BACK = 0.25  # of the images of every class, to test on


class Examples(NamedTuple):
    """N tasks."""

    train_x: np.ndarray  # f64[N, T, F]; with `Shape.repeats` T times as many
    train_y: np.ndarray  # f64[N, T]; 0 or 1 where classes are told apart
    valid_x: np.ndarray  # f64[N, V, F]
    valid_y: np.ndarray  # f64[N, V]


@dataclass(frozen=True)
class Shape:
    """How large tasks are."""

    features: int = 8  # F
    train: int = 100  # T
    valid: int = 100  # V
    repeats: int = 1  # times that the T are given, one after the other


def check(name: str) -> str:
    """Itself. ValueError, naming `task`, for the name of no task."""
    if name not in NAMES[:-1] and not (name.startswith("folder:") and name[7:]):
        raise ValueError(f"task: one of {', '.join(NAMES)}, not {name!r}")
    return name


def score(images: Images | None) -> str:
    """What counts in tasks of these images, or in made-up ones: "rmse" or "accuracy"."""
    return "accuracy" if images is not None and _classes(_known(images)) else "rmse"


def digest(images: Images) -> str:
    """SHA-256 of the images in hexadecimal: the same for the same images in whatever files."""
    told = hashlib.sha256()
    for array in images:
        if array is not None:
            told.update(f"{array.dtype.str} {array.shape} ".encode())
            for begin in range(0, len(array), 1024):
                told.update(array[begin : begin + 1024].tobytes())
    return told.hexdigest()


def tasks(name: str, kind: str, count: int, shape: Shape, seed: int, given: Images | None = None) -> Examples:
    """`count` tasks to search on, to select by or to test on, by `kind`.

    Where classes are told apart, task k is about pair k, from the beginning again when all had their turn,
    each with a projection of its own; no kind has a pair of another one, if there are five pairs or more.
    Tests have at most as many examples to judge on as were kept back. `given` is what `images(name)` gave, so
    that it need not be read again. ValueError, naming the field, for what cannot be.
    """
    if kind not in KINDS:
        raise ValueError(f"kind: one of {', '.join(KINDS)}, not {kind!r}")
    streams = [np.random.default_rng([seed, KINDS.index(kind), k]) for k in range(count)]
    given = images(name) if given is None else given
    if given is None:
        make = {"linear": _linear, "affine": _affine, "teacher": _teacher}[name]
        made = [make(rng, shape) for rng in streams]
    else:
        made = _of_images(name, given, kind, streams, shape, seed)
    x, y = (np.stack(part) for part in zip(*made, strict=True))
    train, times = shape.train, (1, shape.repeats)
    repeated = np.tile(x[:, :train], (*times, 1)), np.tile(y[:, :train], times)
    return Examples(*repeated, x[:, train:], y[:, train:])


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


def images(name: str) -> Images | None:
    """Those of `digits` or of a folder, of any type; None for tasks that are made up.

    A folder has x.npy, whose first axis is I, and y.npy, or else what `image_files` reads. ValueError, naming
    `task` and the file, for what is wrong.
    """
    check(name)
    if name in MADE_UP:
        return None
    if name in ("digits", "digits-rest"):
        path = resources.files("aiga") / "worlds" / "digits.npz"
        with resources.as_file(path) as file, np.load(file, allow_pickle=False) as arrays:
            return Images(arrays["x"], arrays["y"])
    folder = Path(name.removeprefix("folder:"))
    try:
        folder = folder.expanduser()
        names = {path.name for path in folder.iterdir()}
    except (OSError, ValueError, RuntimeError) as error:
        raise wrong(folder, getattr(error, "strerror", None) or "no such folder") from None
    if not names & {"x.npy", "y.npy"}:
        return image_files.read(folder, names)
    x, y = (_array(folder / file) for file in ("x.npy", "y.npy"))
    if x.ndim < 2 or y.ndim != 1 or len(x) != len(y) or not x.size:
        raise wrong(folder, f"x.npy [I, ...] and y.npy [I], not {list(x.shape)} and {list(y.shape)}")
    return Images(x.reshape(len(x), -1), y)


def _array(path: Path) -> np.ndarray:
    try:
        image_files.bytes_of(path)  # no pipe is waited for
        array = np.load(path, mmap_mode="r", allow_pickle=False)  # little of it is looked at
    except (OSError, ValueError, EOFError) as error:
        why = getattr(error, "strerror", None) or "not an array of NumPy's"
        raise wrong(path, why) from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
        raise wrong(path, "not an array of numbers")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise wrong(path, "numbers that are not finite")
    return array


def _known(given: Images) -> np.ndarray:
    """`y` without the images kept back: what only tests have is no class."""
    return given.y if given.kept is None else given.y[~given.kept]


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
    name: str, given: Images, kind: str, streams: list[np.random.Generator], shape: Shape, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    x, y, known = given.x, given.y, _known(given)
    groups: list[tuple[int | None, ...]] = [*pairs(known, kind, seed)] if _classes(known) else [(None,)]
    labels: list[int] = np.unique(known).tolist() if _classes(known) else []
    halves: dict[Any, tuple[np.ndarray, np.ndarray]] = {
        label: _halves(label, given, seed) for label in labels or [None]
    }
    if name == "digits-rest":
        groups = [*_dealt([(~label, label) for label in labels], kind, seed)]
        halves |= {~label: _others(label, halves, seed) for label in labels}
    # Those of the smallest classes, in whichever tasks they are, so that no seed decides what is too few.
    few = sum(sorted(len(half[0]) for half in halves.values())[:2])
    if few < shape.train + (0 if kind == "test" else shape.valid):
        sizes = f"{shape.train} and {shape.valid}"
        raise ValueError(f"train, valid: {few} examples in all is what a task has here, not {sizes}")
    if kind == "test":
        if not all(len(half[1]) for half in halves.values()):
            raise ValueError("task: of some class no images are kept back to test on")
        fewest = min(sum(len(halves[label][1]) for label in group) for group in groups)
        shape = replace(shape, valid=min(shape.valid, fewest))
    made = []
    for k, rng in enumerate(streams):
        group = groups[k % len(groups)]
        mine, back = (np.concatenate([halves[label][part] for label in group]) for part in (0, 1))
        rows = _drawn(rng, mine, back, kind, shape)
        said = _standardised(y[rows], shape) if len(group) == 1 else y[rows] == group[-1]
        made.append((_projected(rng, x[rows], shape), np.asarray(said, np.float64)))
    return made


def _halves(label: int | None, given: Images, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The images of a class, or all of them: those to search and select with, and those kept back."""
    _, y, kept = given
    rows = np.arange(len(y)) if label is None else np.flatnonzero(y == label)
    if kept is not None:
        return rows[~kept[rows]], rows[kept[rows]]
    rows = np.random.default_rng([seed, 4, *rows[:1]]).permutation(rows)
    count = int(KEPT_BACK * len(rows))
    return rows[count:], rows[:count]


def _others(
    label: int, halves: Mapping[Any, tuple[np.ndarray, np.ndarray]], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of all other classes as many as there are of this one."""
    rng, others = np.random.default_rng([seed, 5]), [half for c, half in halves.items() if c != label]
    known, kept = (
        rng.permutation(np.concatenate(part))[: len(mine)]
        for part, mine in zip(zip(*others, strict=True), halves[label], strict=True)
    )
    return known, kept


def _drawn(
    rng: np.random.Generator, known: np.ndarray, kept: np.ndarray, kind: str, shape: Shape
) -> np.ndarray:
    """T rows to learn from and V others."""
    known = rng.permutation(known)
    judged = rng.permutation(kept) if kind == "test" else known[shape.train :]
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
