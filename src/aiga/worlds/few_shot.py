"""Tasks of few images: tell N classes apart after K images of each, "N-way K-shot".

Vinyals et al. 2016 (Matching Networks, arXiv 1606.04080), as Finn, Abbeel, Levine 2017 (MAML, arXiv
1703.03400, section 5.2) have it: a task draws classes without repetition, labels them in the order drawn, and
draws of each class as many images as are to be learnt from and judged on. `glyphs` are those of
`worlds/glyphs`, split by alphabet; `omniglot:PATH` and `miniimagenet:PATH` the published sets in files of
yours (`few_shot_files`). Axis letters: C classes, I images of each, H and W pixels, F colours, N ways, T
examples.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aiga.interfaces import Key
from aiga.worlds import few_shot_files, glyphs

NAMES = ("glyphs", "omniglot:PATH", "miniimagenet:PATH")
PARTS = ("train", "valid", "test")  # classes to learn on, to choose by, to test on


class Examples(NamedTuple):
    """T images of one task, class after class."""

    x: Any  # f32[T, H, W, F], from 0 to 1
    y: Any  # i32[T], from 0 to N - 1


def check(name: str) -> str:
    """Itself. ValueError, naming `task`, for the name of no source."""
    kind, colon, path = name.partition(":")
    if name != "glyphs" and not (colon and path and f"{kind}:PATH" in NAMES):
        raise ValueError(f"task: one of {', '.join(NAMES)}, not {name!r}")
    return name


def images(name: str, part: str) -> np.ndarray:
    """u8[C, I, H, W, F], read-only: the classes of a part; no class is in two parts.

    ValueError, one line that names the field and the file, for what is not there, damaged or too large.
    """
    kind, _, path = check(name).partition(":")
    if part not in PARTS:
        raise ValueError(f"part: one of {', '.join(PARTS)}, not {part!r}")
    if kind == "glyphs":
        return _glyphs(part)
    found = (few_shot_files.omniglot if kind == "omniglot" else few_shot_files.miniimagenet)(path, part)
    found.flags.writeable = False
    return found


@cache
def _glyphs(part: str) -> np.ndarray:
    config = glyphs.Config()
    some = glyphs.classes(config, getattr(glyphs.split(config), part))
    drawn = glyphs.images(config, some, np.arange(config.instances))[..., None]
    drawn.flags.writeable = False
    return drawn


def turned(images: np.ndarray) -> np.ndarray:
    """u8[4 C, I, H, W, F]: every quarter turn of a class is a class of its own, as MAML has it for Omniglot.
    ValueError, naming `turns`, for images that are not square."""
    if images.shape[2] != images.shape[3]:
        raise ValueError(f"turns: with square images, not {images.shape[2]} x {images.shape[3]}")
    return np.concatenate([np.rot90(images, quarter, axes=(2, 3)) for quarter in range(4)])


def digest(*parts: np.ndarray) -> str:
    """SHA-256 of the images in hexadecimal: the same for the same images in whatever files."""
    told = hashlib.sha256()
    for array in parts:
        told.update(f"{array.dtype.str} {array.shape} ".encode())
        for each in array:
            told.update(each.tobytes())
    return told.hexdigest()


def check_enough(images: Any, ways: int, shots: int, queries: int, name: str = "queries") -> None:
    """ValueError, naming the field, where `images` [C, I, ...] are too few for such tasks; `name` is that of
    the field with `queries`."""
    classes, each = images.shape[:2]
    if not 1 <= ways <= classes:
        raise ValueError(f"ways: from 1 to the {classes} classes there are, not {ways}")
    if min(shots, queries) < 0 or shots + queries > each:
        raise ValueError(
            f"shots, {name}: {each} images in all is what a class has, not {shots} and {queries}"
        )


def draw(key: Key, images: Any, ways: int, shots: int, queries: int) -> tuple[Examples, Examples]:
    """A task of `ways` of the classes in `images` u8[C, I, H, W, F]: `shots` images of each to learn from and
    `queries` others to be judged on. ValueError, naming the field, where there are fewer."""
    check_enough(images, ways, shots, queries)
    classes, each, *size = images.shape
    choosing, showing = jax.random.split(key)
    # The places of the greatest of random numbers: distinct, in random order, and quicker than a permutation.
    which = jax.lax.top_k(jax.random.uniform(choosing, (classes,)), ways)[1]
    shown = jax.lax.top_k(jax.random.uniform(showing, (ways, each)), shots + queries)[1]
    x = jnp.asarray(images)[which[:, None], shown].astype(jnp.float32) / 255
    y = jnp.broadcast_to(jnp.arange(ways, dtype=jnp.int32)[:, None], shown.shape)

    def some(x: Any, y: Any) -> Examples:
        return Examples(x.reshape(-1, *size), y.reshape(-1))

    return some(x[:, :shots], y[:, :shots]), some(x[:, shots:], y[:, shots:])
