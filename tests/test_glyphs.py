"""Glyphs: bytes that follow from an address alone, siblings that can be confused, and how hard it all is."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiga.benchmarks import glyphs as benchmark
from aiga.worlds import glyphs
from aiga.worlds.glyphs import FAMILY, Config

CONFIG = Config()


def written(alphabets: int, instances: int) -> np.ndarray:
    """f64[alphabets, 32, instances, D]"""
    x = glyphs.images(CONFIG, glyphs.classes(CONFIG, np.arange(alphabets)), np.arange(instances))
    return x.reshape(alphabets, CONFIG.characters, instances, -1).astype(np.float64)


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[..., D] and [..., D] to f64[A, B]"""
    a, b = a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1])
    return np.sqrt(np.maximum((a * a).sum(-1)[:, None] + (b * b).sum(-1) - 2 * a @ b.T, 0))


def test_the_bytes_are_the_same_everywhere() -> None:
    x = glyphs.images(CONFIG, glyphs.classes(CONFIG, np.array([0, 49])), np.arange(20))
    digest = "575780abf9c457d1a5f70dbb938ebcefab98b40be3b1346082732087d567c9a2"
    assert hashlib.sha256(x.tobytes()).hexdigest() == digest


def test_a_glyph_follows_from_its_address_alone() -> None:
    """Whatever is drawn with it, before it, or beyond what a configuration counts."""
    rng = np.random.default_rng(0)
    where = np.concatenate([rng.integers(0, 50, (40, 2)), [[2**32 - 1, 2**32 - 1], [0, 31]]])
    which = np.array([7, 0, 2**32 - 1])
    x = glyphs.images(CONFIG, where, which)
    assert x.shape == (42, 3, 28, 28) and x.dtype == np.uint8
    order = rng.permutation(42)
    assert np.array_equal(glyphs.images(CONFIG, where[order], which[::-1]), x[order][:, ::-1])
    fewer = Config(alphabets=3, characters=1, instances=1)
    for row in (0, 40, 41):
        for k, instance in enumerate(which):
            a, c = where[row]
            assert np.array_equal(glyphs.glyph(fewer, a, c, instance), x[row, k])


def test_no_two_are_the_same() -> None:
    x = written(10, 20).reshape(-1, 28 * 28).astype(np.uint8)
    assert len(np.unique(x, axis=0)) == len(x)
    other = glyphs.images(Config(seed=1), glyphs.classes(CONFIG, np.arange(10)), np.arange(20))
    assert not (other.reshape(x.shape) == x).all(-1).any()


def test_ink_is_inside_and_pens_differ() -> None:
    x = written(50, 2).reshape(-1, 28, 28)
    assert (x.max((1, 2)) > 100).all()
    assert 0.03 < x.mean() / 255 < 0.07  # Omniglot's strokes are as thin
    border = np.concatenate([x[:, 0], x[:, -1], x[:, :, 0], x[:, :, -1]], axis=1)
    assert border.mean() < 0.1 * x.mean()


def test_larger_images_show_the_same() -> None:
    where, which = glyphs.classes(CONFIG, np.array([3])), np.arange(2)
    large = glyphs.images(Config(size=56), where, which).astype(np.float64)
    small = glyphs.images(CONFIG, where, which)
    halved = large.reshape(32, 2, 28, 2, 28, 2).mean((3, 5))
    assert np.corrcoef(halved.ravel(), small.ravel())[0, 1] > 0.95


def test_siblings_are_nearer_than_strangers() -> None:
    """The mean writings of characters, all pairs of ten alphabets."""
    mean = written(10, 20).mean(2)
    apart = distances(mean, mean)
    alphabet, character = np.divmod(np.arange(320), 32)
    family = alphabet * 100 + character // FAMILY
    kin = (family[:, None] == family) & ~np.eye(320, dtype=bool)
    strange = family[:, None] != family
    assert apart[kin].mean() < 0.9 * apart[strange].mean()
    closest = np.where(np.eye(320, dtype=bool), np.inf, apart).argmin(1)
    # By chance 3 in 319.
    assert (family[closest] == family).mean() > 0.3


def test_writings_of_a_character_are_nearest_to_each_other_more_often_than_by_chance() -> None:
    """And far from always: 320 characters, chance 1 in 320."""
    x = written(10, 6)
    near = distances(x[:, :, 5], x[:, :, :5]).argmin(1) // 5
    assert 0.03 < (near == np.arange(320)).mean() < 0.3


def test_alphabets_are_in_one_part_of_the_split_each() -> None:
    parts = glyphs.split(CONFIG)
    assert [len(part) for part in parts] == [30, 5, 15]
    for alphabets in (3, 4, 7, 50, 101):
        parts = glyphs.split(Config(alphabets=alphabets))
        assert all(map(len, parts)) and np.array_equal(np.concatenate(parts), np.arange(alphabets))
    assert len(glyphs.classes(CONFIG, parts.test[:2])) == 64


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"alphabets": 2}, "alphabets: a whole number from 3"),
    ({"characters": 0}, "characters: "),
    ({"instances": 1.5}, "instances: "),
    ({"size": 7}, "size: "),
    ({"seed": -1}, "seed: "),
    ({"seed": True}, "seed: "),
    ({"jitter": -0.1}, "jitter: "),
    ({"missing": 1}, "missing: "),
    ({"elastic": float("nan")}, "elastic: "),
    ({"scale": "much"}, "scale: "),
    ({"pen": (0.05, 0.02)}, "pen: "),
    ({"pen": 0.05}, "pen: "),
    ({"pen": (0.0, 0.02)}, "pen: "),
]


@pytest.mark.parametrize(("given", "says"), WRONG, ids=[str(given) for given, _ in WRONG])
def test_a_bad_configuration_is_named(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=f"^{says}"):
        Config(**given)


@pytest.mark.parametrize("bad", [-1, 2**32, 1.0, "1", None, np.arange(2)])
@pytest.mark.parametrize("field", ["alphabet", "character", "instance"])
def test_a_bad_address_is_named(field: str, bad: Any) -> None:
    address: dict[str, Any] = {"alphabet": 0, "character": 0, "instance": 0}
    with pytest.raises(ValueError, match=f"^{field}: one whole number"):
        glyphs.glyph(CONFIG, **(address | {field: bad}))


def test_bad_addresses_of_many_are_named() -> None:
    good, some = np.zeros((1, 2), int), np.arange(2)
    for classes in (np.zeros(2, int), np.zeros((2, 3), int), good - 1, good + 0.5, [[1, 2], [3]]):
        with pytest.raises(ValueError, match=r"^classes: whole numbers \[C"):
            glyphs.images(CONFIG, classes, some)  # pyright: ignore[reportArgumentType]
    for instances in (good, some - 1, some + 2**32):
        with pytest.raises(ValueError, match=r"^instances: whole numbers \[K"):
            glyphs.images(CONFIG, good, instances)
    assert glyphs.images(CONFIG, good, some[:0]).shape == (1, 0, 28, 28)


def test_the_layer_takes_a_step_of_gradient_descent_for_every_image() -> None:
    rng = np.random.default_rng(0)
    middle = rng.normal(size=(24, 1, 50))
    learn, ask = ((middle + 2 * rng.normal(size=(24, k, 50))).astype(np.float32) for k in (15, 5))
    order, rates = rng.permutation(360), (1e-3, 1e-2, 0.1)
    scores = []
    for rate in rates:
        weights = np.zeros((24, 50))
        for row in order:
            x = learn.reshape(-1, 50)[row]
            answer = np.exp(weights @ x)
            answer /= answer.sum()
            answer[row // 15] -= 1
            weights -= rate * np.outer(answer, x)
        scores.append((ask @ weights.T).argmax(-1) == np.arange(24)[:, None])
    found = benchmark.online(learn, ask, order, rates)
    np.testing.assert_allclose(found, [score.mean() for score in scores], atol=1.5 / 120)
    assert len(set(found)) > 1


def test_the_benchmark_measures_every_learner(tmp_path: Path) -> None:
    """Few characters and filters: chance is 1 in 24."""
    found = benchmark.measured(CONFIG, count=24, filters=16)
    for name, value in found.items():
        assert 2 / 24 < value < 1, name
    benchmark.sheet(tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(3))
def test_frozen_random_features_do_not_learn_it_in_sequence(seed: int) -> None:
    """And a layer on the same features learns more where it may look again and again."""
    found = benchmark.frozen(Config(seed=seed))
    assert 0.05 < found[benchmark.CONTROL] <= benchmark.MOST
    assert found["the same, to the end"] > 1.5 * found[benchmark.CONTROL]
