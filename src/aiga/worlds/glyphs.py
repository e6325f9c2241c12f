"""Procedural handwriting: alphabets of characters, each written as often as one likes, as in Omniglot.

After Omniglot (Lake, Salakhutdinov, Tenenbaum 2015, Science 350), whose images Finn et al. 2017 (MAML) and
Beaulieu et al. 2020 (ANML) resize to 28 x 28; nothing here is taken from it. An alphabet is a few cubic
strokes, its primitives, and a hand that prefers some sizes and slants. A character joins one to five of them
at ends or mid-points. Four characters in a row are siblings: three differ from the first by one edit. A
writing of a character, an instance, has its control points shaken, is sheared, turned, stretched, moved and
bent, in pen strokes of one width, and at times lacks a stroke.

Every glyph has an address (alphabet, character, instance), of any size, from which alone it follows: numbers
are hashes of the seed, the address and a counter. Only operations that IEEE 754 rounds exactly are used, so
that the bytes are the same on every machine. Axis letters: N glyphs, S strokes, P points of a stroke.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

STROKES = 5  # S, at most
FAMILY = 4  # characters in a row that are siblings
PRIMITIVES = 7  # of an alphabet
POINTS = 13  # P: a stroke is drawn as twelve straight pieces
MARGIN = 0.06  # of an image, empty but for the pen's width
GRID = 4  # control points of the elastic warp, each way
BATCH = 512  # glyphs drawn at a time, so that what is worked on stays in the cache
LIMIT = 2**32  # of an address


@dataclass(frozen=True)
class Config:
    """The world. Counts say what is handed out by default; addresses beyond them are as good. Lengths are in
    units of half an image. ValueError, naming the field, for what cannot be."""

    alphabets: int = 50
    characters: int = 32  # of an alphabet
    instances: int = 20  # of a character
    size: int = 28  # pixels, each way
    seed: int = 0
    jitter: float = 0.03  # of control points
    turn: float = 0.3  # half the greatest angle, as a tangent
    shear: float = 0.25
    scale: float = 0.25  # a writing is up to this much smaller or larger, each way by itself
    shift: float = 0.2
    elastic: float = 0.1
    pen: tuple[float, float] = (0.02, 0.045)  # radius, least and greatest
    missing: float = 0.05  # how often a writing of three strokes or more lacks one

    def __post_init__(self) -> None:
        for name, least in (("alphabets", 3), ("characters", 1), ("instances", 1), ("size", 8), ("seed", 0)):
            value = getattr(self, name)
            if not _whole(value) or not least <= value < LIMIT:
                raise ValueError(f"{name}: a whole number from {least} to 2^32 - 1, not {value!r}")
        for name in ("jitter", "turn", "shear", "scale", "shift", "elastic", "missing"):
            value = getattr(self, name)
            if not _real(value) or not 0 <= value < 1:
                raise ValueError(f"{name}: a number of at least 0 and below 1, not {value!r}")
        pen = self.pen
        numbers = isinstance(pen, tuple) and len(pen) == 2 and all(map(_real, pen))
        if not numbers or not 0 < pen[0] <= pen[1] < 1:
            raise ValueError(f"pen: two numbers, 0 < least <= greatest < 1, not {pen!r}")


class Split(NamedTuple):
    """Alphabets, each in one part."""

    train: np.ndarray  # i64[alphabets]
    valid: np.ndarray
    test: np.ndarray


def split(config: Config) -> Split:
    """Three fifths of the alphabets to train on, a tenth to choose by and the rest, three tenths, to test on:
    30, 5 and 15 of 50. Alphabets are drawn independently, so these are in order."""
    every = np.arange(config.alphabets)
    first = config.alphabets * 6 // 10
    second = first + max(1, config.alphabets // 10)
    return Split(every[:first], every[first:second], every[second:])


def classes(config: Config, alphabets: np.ndarray) -> np.ndarray:
    """All default characters of `alphabets` [A] as addresses i64[A * characters, 2], alphabet by alphabet."""
    alphabets = _addresses("alphabets", alphabets, 1)
    within = np.tile(np.arange(config.characters), len(alphabets))
    return np.stack([np.repeat(alphabets, config.characters), within], axis=1)


def glyph(config: Config, alphabet: int, character: int, instance: int) -> np.ndarray:
    """One writing, u8[size, size], ink 255 on 0. ValueError, naming the field, for no address."""
    where = {"alphabet": alphabet, "character": character, "instance": instance}
    parts = [_addresses(name, value, 0).reshape(1) for name, value in where.items()]
    return _drawn(config, *parts)[0]


def images(config: Config, classes: np.ndarray, instances: np.ndarray) -> np.ndarray:
    """Writings u8[C, K, size, size] of `classes` i[C, 2], alphabet and character, by `instances` i[K].
    ValueError, naming the field, for what are no addresses."""
    classes, instances = _addresses("classes", classes, 2), _addresses("instances", instances, 1)
    count, each = len(classes), len(instances)
    a, c = (np.repeat(column, each) for column in classes.T)
    i = np.tile(instances, count)
    made = np.empty((count * each, config.size, config.size), np.uint8)
    for begin in range(0, len(made), BATCH):
        some = slice(begin, begin + BATCH)
        made[some] = _drawn(config, a[some], c[some], i[some])
    return made.reshape(count, each, config.size, config.size)


# What a character is.


def _primitives(config: Config, a: np.ndarray) -> np.ndarray:
    """The alphabets' strokes [N, PRIMITIVES, 4, 2], each in a box of about one unit around its middle.

    A primitive is straight, an arc, a hook or an S: along x from -1/2 to 1/2, its inner points off the line.
    """
    u = _uniform(config, 1, [a], PRIMITIVES * 5).reshape(-1, PRIMITIVES, 5)
    bend = 1.1 * u[..., 0] - 0.55
    # Two are nearly straight and side by side, so that no sibling changes one for the other.
    bend = np.where(np.arange(PRIMITIVES) < 2, 0.2 * bend, np.where(bend < 0, bend - 0.3, bend + 0.3))
    other = np.where(u[..., 1] < 0.6, bend, -bend) * (0.4 + u[..., 2])
    ends = np.full_like(bend, 0.5)
    x = np.stack([-ends, -0.45 + 0.6 * u[..., 3], 0.45 - 0.6 * u[..., 4], ends], -1)
    y = np.stack([0 * bend, bend, other, 0 * bend], -1)
    return np.stack([x, y], -1)


class _Plan(NamedTuple):
    """How N characters are put together. Numbers from 0 to 1 stand for choices."""

    strokes: np.ndarray  # i[N], how many
    which: np.ndarray  # f[N, S], primitive
    turn: np.ndarray  # f[N, S], one of eight directions
    length: np.ndarray  # f[N, S]
    onto: np.ndarray  # f[N, S], an earlier stroke
    joint: np.ndarray  # f[N, S], where on it
    end: np.ndarray  # f[N, S], with what of itself


def _plans(config: Config, a: np.ndarray, c: np.ndarray) -> _Plan:
    """Those of characters `c` of alphabets `a`: that of the family's first, with an edit for its siblings."""
    first, place = c // FAMILY, c % FAMILY
    u = _uniform(config, 2, [a, first], 1 + 6 * STROKES)
    strokes = 1 + (u[:, 0, None] >= np.array([0.08, 0.34, 0.66, 0.9])).sum(-1)
    rows = [part.copy() for part in np.moveaxis(u[:, 1:].reshape(-1, 6, STROKES), 1, 0)]
    plan = _Plan(strokes.copy(), *rows)
    # Each sibling has an edit of another kind: a stroke more or less, another primitive, another direction.
    edit = _uniform(config, 3, [a, c], 2)
    kind = np.where(place > 0, (place - 1 + _below(_uniform(config, 4, [a, first], 1)[:, 0], 3)) % 3, -1)
    many = (kind == 0) & (strokes > 2) & ((edit[:, 0] < 0.4) | (strokes == STROKES))
    plan.strokes[many] -= 1
    plan.strokes[(kind == 0) & ~many] += 1
    changed = np.arange(len(a)), _below(edit[:, 1], plan.strokes)
    for row, other, step in ((plan.which, 1, 3 / PRIMITIVES), (plan.turn, 2, 3 / 8)):
        moved = row[changed] + step
        row[changed] = np.where(kind == other, np.where(moved < 1, moved, moved - 1), row[changed])
    return plan


def _characters(config: Config, a: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Control points [N, S, 4, 2], centred and in a box of two thirds of the image, and how many strokes."""
    primitives, plan, n = _primitives(config, a), _plans(config, a, c), np.arange(len(a))
    hand = _uniform(config, 5, [a], 3)
    made, turns = np.zeros((len(a), STROKES, 4, 2)), np.zeros((len(a), STROKES), np.int64)
    for s in range(STROKES):
        stroke = primitives[n, _below(plan.which[:, s], PRIMITIVES)]
        x, y = stroke[..., 0], stroke[..., 1]
        eighth, target = _below(plan.turn[:, s], 8), _below(plan.onto[:, s], max(s, 1))
        if s:  # across what it joins and never along it, where it would not be seen
            eighth = np.where((eighth - turns[n, target]) % 4 == 0, (eighth + 2) % 8, eighth)
        turns[:, s] = eighth
        half = np.where(eighth % 2 == 1, np.sqrt(0.5), 0.0)[:, None]
        x, y = np.where(half > 0, half * (x - y), x), np.where(half > 0, half * (x + y), y)
        quarter = (eighth // 2)[:, None]
        x, y = (
            np.where(quarter == 0, x, np.where(quarter == 1, -y, np.where(quarter == 2, -x, y))),
            np.where(quarter == 0, y, np.where(quarter == 1, x, np.where(quarter == 2, -y, -x))),
        )
        # Lengths are few, so that a character is more than its longest stroke.
        length = np.array([0.5, 0.75, 1.0])[_below(plan.length[:, s], 3)]
        stroke = np.stack([x, y], -1) * length[:, None, None]
        if s:
            at = _cubic(made[n, target], np.array([0.0, 0.5, 1.0])[_below(plan.joint[:, s], 3)])
            mine = _cubic(stroke, np.array([0.0, 0.0, 0.5])[_below(plan.end[:, s], 3)])
            stroke = stroke + (at - mine)[:, None]
        made[:, s] = stroke
    present = (np.arange(STROKES) < plan.strokes[:, None])[..., None, None]
    low = np.where(present, made, np.inf).min((1, 2))
    high = np.where(present, made, -np.inf).max((1, 2))
    # A hand is wide or tall; its characters are as large, unless that would stretch them out of shape.
    grow = (1.1 + 0.4 * hand[:, :2]) / np.maximum(high - low, 0.1)
    grow = np.minimum(grow, 1.6 * grow.min(-1, keepdims=True))
    made = (made - (low + high)[:, None, None] / 2) * grow[:, None, None]
    made[..., 0] += (0.4 * hand[:, 2, None, None] - 0.2) * made[..., 1]
    return made, plan.strokes


def _cubic(control: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Points of cubic Bezier curves [N, 4, 2] at t [N]: [N, 2]."""
    t, s = t[:, None], 1 - t[:, None]
    p, q, r, z = (control[:, k] for k in range(4))
    return s * s * s * p + 3 * s * s * t * q + 3 * s * t * t * r + t * t * t * z


# How it is written.


def _lines(config: Config, a: np.ndarray, c: np.ndarray, i: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The strokes of writings as points [N, S, P, 2], -1 to 1 being the image, and which there are [N, S]."""
    control, strokes = _characters(config, a, c)
    address, n = [a, c, i], np.arange(len(a))
    bell = _bell(_uniform(config, 6, address, 3 * STROKES * 8)).reshape(-1, STROKES, 4, 2)
    control = control + config.jitter * bell
    t = (np.arange(POINTS) / (POINTS - 1))[:, None]
    s = 1 - t
    p, q, r, z = (control[:, :, k, None] for k in range(4))
    points = s * s * s * p + 3 * s * s * t * q + 3 * s * t * t * r + t * t * t * z

    u = 2 * _uniform(config, 7, address, 6) - 1
    grow = 1 + config.scale * u[:, 0:2]
    half = config.turn * u[:, 2] * (u[:, 2] * u[:, 2])  # most hands hardly turn
    cos, sin = (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)
    x, y = points[..., 0] * _each(grow[:, 0]), points[..., 1] * _each(grow[:, 1])
    x = x + _each(config.shear * u[:, 3]) * y
    x, y = _each(cos) * x - _each(sin) * y, _each(sin) * x + _each(cos) * y
    warp = _bell(_uniform(config, 8, address, 3 * GRID * GRID * 2)).reshape(-1, GRID, GRID, 2)
    x, y = _bent(x, y, config.elastic * warp)
    there = np.arange(STROKES) < strokes[:, None]
    x, y = _placed(x, there, config.shift * u[:, 4]), _placed(y, there, config.shift * u[:, 5])

    lost = _uniform(config, 9, address, 2)
    gone = (strokes > 2) & (lost[:, 0] < config.missing)
    there[n[gone], _below(lost[gone, 1], strokes[gone])] = False
    return np.stack([x, y], -1), there


def _placed(x: np.ndarray, there: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """One coordinate [N, S, P], moved by `shift` [N] from the middle as far as there is room,
    shrunk where there is none."""
    low = np.where(there[:, :, None], x, np.inf).min((1, 2))
    high = np.where(there[:, :, None], x, -np.inf).max((1, 2))
    half, most = (high - low) / 2, 1 - MARGIN
    fits = np.minimum(1.0, most / np.maximum(half, 1e-9))
    room = most - half * fits
    return (x - _each((low + high) / 2)) * _each(fits) + _each(np.minimum(np.maximum(shift, -room), room))


def _each(value: np.ndarray) -> np.ndarray:
    return value[:, None, None]


def _bent(x: np.ndarray, y: np.ndarray, warp: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points moved by a smooth field: a quadratic B-spline with coefficients [N, GRID, GRID, 2]."""
    cells, n = GRID - 2, _each(np.arange(len(x)))
    across, bases = [], []
    for value in (x, y):
        at = np.clip((value + 1) * (cells / 2), 0, cells)
        cell = np.minimum(at.astype(np.int64), cells - 1)
        f = at - cell
        across.append(cell)
        bases.append(((1 - f) * (1 - f) / 2, 0.5 + f * (1 - f), f * f / 2))
    for j in range(3):
        for k in range(3):
            field = warp[n, across[1] + j, across[0] + k]
            weight = bases[1][j] * bases[0][k]
            x, y = x + weight * field[..., 0], y + weight * field[..., 1]
    return x, y


def _drawn(config: Config, a: np.ndarray, c: np.ndarray, i: np.ndarray) -> np.ndarray:
    """Writings u8[N, size, size]: a pixel's ink is how far the pen covers it, by its distance to the line."""
    points, there = _lines(config, a, c, i)
    size, unit = config.size, config.size / 2
    wide = _uniform(config, 10, [a, c, i], 1)[:, 0]
    radius = unit * (config.pen[0] + (config.pen[1] - config.pen[0]) * wide)
    points = (points + 1) * unit - 0.5
    who, stroke = np.nonzero(there)
    line = points[who, stroke]
    start, step = line[:, :-1].reshape(-1, 2), (line[:, 1:] - line[:, :-1]).reshape(-1, 2)
    who = np.repeat(who, POINTS - 1)
    radius = radius[who]
    # A piece reaches the pixels of a window around its middle only; long ones need a larger one.
    reach = (np.abs(step).max(-1) / 2 + radius + 0.5).astype(np.int64)
    made = np.zeros(len(a) * size * size, np.uint8)
    for each in np.unique(reach):
        some = reach == each
        place, ink = _inked(start[some], step[some], radius[some], int(each) + 1, size)
        seen = (place >= 0) & (ink > 0)
        place = place + _each(who[some] * size * size)
        np.maximum.at(made, place[seen], (ink[seen] * 255 + 0.5).astype(np.uint8))
    return made.reshape(-1, size, size)


def _inked(
    start: np.ndarray, step: np.ndarray, radius: np.ndarray, reach: int, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Around straight pieces from `start` [M, 2] by `step`: pixels i64[M, W, W], -1 outside the image, and
    their ink f64[M, W, W], none where it is not positive."""
    window = np.arange(-reach, reach + 2)
    corner = np.floor(start + step / 2).astype(np.int64)
    column, row = _each(corner[:, 0]) + window, _each(corner[:, 1]) + window[:, None]
    (sx, sy), (dx, dy) = map(_each, start.T), map(_each, step.T)
    fx, fy = column - sx, row - sy
    along = (fx * dx + fy * dy) / np.maximum(dx * dx + dy * dy, 1e-12)
    along = np.minimum(np.maximum(along, 0.0), 1.0)
    fx, fy = fx - along * dx, fy - along * dy
    ink = np.minimum(_each(radius) + 0.5 - np.sqrt(fx * fx + fy * fy), 1.0)
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    return np.where(inside, row * size + column, -1), ink


# Numbers.


def _uniform(config: Config, tag: int, address: list[np.ndarray], count: int) -> np.ndarray:
    """Numbers from 0 to below 1, [N, count], of an address: SplitMix64 (Steele et al. 2014) as a hash."""
    key = _mixed(np.full(address[0].shape, config.seed * 64 + tag, np.uint64))
    for part in address:
        key = _mixed(key ^ _mixed(part.astype(np.uint64) + np.uint64(1)))
    counter = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (_mixed(key[:, None] + counter) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _bell(u: np.ndarray) -> np.ndarray:
    """Three numbers to one of variance 1: no logarithm, whose last bit depends on the library."""
    u = u.reshape(len(u), -1, 3)
    return 2 * (u[..., 0] + u[..., 1] + u[..., 2] - 1.5)


def _below(u: np.ndarray, count: np.ndarray | int) -> np.ndarray:
    return (u * count).astype(np.int64)


def _whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _real(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _addresses(name: str, value: object, axes: int) -> np.ndarray:
    """i64 of that many axes."""
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    fits = array.dtype.kind in "iu" and array.ndim == axes and (axes < 2 or array.shape[1] == 2)
    if not fits or (array.size and not 0 <= array.min() <= array.max() < LIMIT):
        shape = ("one whole number", "whole numbers [K]", "whole numbers [C, 2]")[axes]
        raise ValueError(f"{name}: {shape} from 0 to 2^32 - 1, not {value!r}")
    return array.astype(np.int64)
