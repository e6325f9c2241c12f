"""Tasks of few images, the network and the loaders for them, and MAML on glyphs."""

from __future__ import annotations

import os
import re
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from aiga.brains.conv_net import ConvNet
from aiga.brains.convolution import EPSILON
from aiga.cli import main
from aiga.experiments import few_shot as experiment
from aiga.learners import inner_loop
from aiga.learners.inner_loop import InnerLoop, Meta
from aiga.play.lessons import Characters
from aiga.runs.errors import RunError
from aiga.systems.learning import maml
from aiga.worlds import few_shot, few_shot_files

KEY = jax.random.key(0)


# Tasks.


def numbered(classes: int, each: int) -> np.ndarray:
    """u8[C, I, 2, 3, 1]: every pixel says 10 class + image."""
    number = 10 * np.arange(classes)[:, None] + np.arange(each)
    return np.broadcast_to(number[..., None, None, None], (classes, each, 2, 3, 1)).astype(np.uint8)


def test_a_task_is_different_classes_and_different_images() -> None:
    train, valid = few_shot.draw(KEY, numbered(6, 5), ways=3, shots=2, queries=3)
    assert train.x.shape == (6, 2, 3, 1) and valid.x.shape == (9, 2, 3, 1)
    assert train.y.tolist() == [0, 0, 1, 1, 2, 2] and valid.y.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    seen = np.rint(np.concatenate([train.x, valid.x])[:, 0, 0, 0] * 255).astype(int)
    classes, of_label = seen // 10, np.concatenate([train.y, valid.y])
    # One class for each label, another for another, and every image once: all five of each class here.
    assert len({*zip(classes.tolist(), of_label.tolist(), strict=True)}) == len({*classes.tolist()}) == 3
    assert sorted(seen % 10) == sorted([0, 1, 2, 3, 4] * 3)


def test_tasks_are_drawn_evenly_and_from_the_key_alone() -> None:
    keys, images = jax.random.split(KEY, 3000), numbered(6, 5)
    drawn = jax.jit(jax.vmap(lambda key: few_shot.draw(key, images, 2, 1, 1)))(keys)
    again = few_shot.draw(keys[7], images, 2, 1, 1)
    for one, other in zip(jax.tree.leaves(drawn), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one[7], other)
    first, second = (np.rint(part.x[:, 0, 0, 0, 0] * 255).astype(int) for part in drawn)
    other = np.rint(drawn[0].x[:, 1, 0, 0, 0] * 255).astype(int)
    # 30 pairs of classes and 20 of images, each within five standard deviations of its even share.
    for pairs, count in ((first // 10 * 6 + other // 10, 30), (first % 10 * 5 + second % 10, 20)):
        numbers = np.unique(pairs, return_counts=True)[1]
        assert len(numbers) == count and np.abs(numbers - 3000 / count).max() < 5 * np.sqrt(3000 / count)


def test_quarter_turns_are_classes_of_their_own() -> None:
    image = np.array([[1, 2], [3, 4]], np.uint8)
    turned = few_shot.turned(image[None, None, :, :, None])[:, 0, :, :, 0]
    assert turned.tolist() == [[[1, 2], [3, 4]], [[2, 4], [1, 3]], [[4, 3], [2, 1]], [[3, 1], [4, 2]]]
    with pytest.raises(ValueError, match=r"^turns: with square images, not 2 x 3$"):
        few_shot.turned(numbered(2, 2))


def test_no_alphabet_is_in_two_parts() -> None:
    parts = [few_shot.images("glyphs", part) for part in few_shot.PARTS]
    assert [part.shape for part in parts] == [(count, 20, 28, 28, 1) for count in (960, 160, 480)]
    firsts = [{image.tobytes() for image in part[:, 0]} for part in parts]
    assert not (firsts[0] & firsts[1] or firsts[0] & firsts[2] or firsts[1] & firsts[2])


# The network.


@pytest.mark.parametrize("halves", ["stride", "pool"])
def test_the_network_is_its_layers_by_jaxs_own_convolutions(halves: Any) -> None:
    net = ConvNet((13, 11, 2), outputs=3, filters=4, halves=halves, blocks=2)
    weights = jax.tree.map(lambda w: w + 0.3 * jax.random.normal(KEY, w.shape), net.init(KEY))
    x = jax.random.normal(KEY, (6, 13, 11, 2))
    signal = x
    for filters, scale, shift in weights[:-1]:
        step = 2 if halves == "stride" else 1
        signal = jax.lax.conv_general_dilated(
            signal, filters, (step, step), [(1, 1)] * 2, dimension_numbers=("NHWC", "OHWI", "NHWC")
        )
        mean, variance = np.mean(signal, (0, 1, 2)), np.var(signal, (0, 1, 2))
        signal = np.maximum((signal - mean) / np.sqrt(variance + EPSILON) * scale + shift, 0)
        if halves == "pool":
            signal = jax.lax.reduce_window(signal, -np.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    assert signal.shape[1:3] == net.left
    flat = np.mean(signal, (1, 2)) if halves == "stride" else np.reshape(signal, (6, -1))
    wanted = flat @ weights[-1][0] + weights[-1][1]
    np.testing.assert_allclose(net.act(weights, (), x)[0], wanted, rtol=1e-4, atol=1e-4)


def test_the_meta_gradient_of_the_network_is_what_finite_differences_say() -> None:
    """Two steps, through normalisation and all; float64. So small a step meets no rectifier's corner."""
    net = ConvNet((8, 8, 1), outputs=3, filters=4, blocks=2)
    lessons = object.__new__(Characters)
    lessons.brain, lessons.ways, lessons.shots = net, 3, 2
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        train, valid = (few_shot.Examples(rng.normal(size=(6, 8, 8, 1)), np.arange(6) // 2) for _ in range(2))
        start = jax.tree.map(lambda w: np.asarray(w, np.float64), net.init(KEY))
        loop = InnerLoop(lessons.loss, inner_loop.Config(steps=2))
        way = jax.tree.map(lambda w: rng.normal(size=w.shape), start)
        rates = jax.tree.map(lambda w: np.float64(0.1), start)
        ones = jax.tree.map(lambda w: np.float64(1), start)

        def meta(size: float) -> Meta:
            return Meta(jax.tree.map(lambda w, d: w + size * d, start, way), rates, ones)

        found, _ = jax.jit(loop.gradient)(meta(0), KEY, train, valid)
        pairs = zip(jax.tree.leaves(found.start), jax.tree.leaves(way), strict=True)
        along = sum(float((a * b).sum()) for a, b in pairs)
        worth = jax.jit(lambda about: loop.curve(about, train, valid, 2)[-1])
        slope = (float(worth(meta(1e-6))) - float(worth(meta(-1e-6)))) / 2e-6
        assert along == pytest.approx(slope, rel=1e-4)


# MAML.


SMALL = maml.Config(
    "glyphs",
    tasks=8,
    shots=1,
    queries=3,
    filters=16,
    inner_rate=0.4,
    rate=0.003,
    iterations=50,
    test_tasks=60,
    test_queries=5,
)


def test_maml_learns_to_tell_glyphs_apart_after_one_of_each() -> None:
    """From alphabets it never saw. Chance is a fifth; before an inner step no network can do better."""
    system = maml.MAML(SMALL)
    state = system.init(KEY)
    untaught = system.judge(state.meta, KEY)[:, 1].mean()
    for step in range(2):
        state, (event, *shown) = system.step(jax.random.fold_in(KEY, step), state)
        # Images stay the same, so they are told once.
        assert [one.kind for one in shown] == [["images", "adaptation"], ["adaptation"]][step]
        for text in [text for one in shown for text in one.data.get("learnt", [])]:
            assert {len(row) for row in text.split(" ")} == {28} and set(text) - set("0 ")
    said, told = event.data, shown[-1].data
    assert told["said"].shape == (3, 5) and set(told["said"].flat) <= set(range(5))
    assert told["low"][1] <= told["middle"][1] <= told["high"][1]
    assert set(said) == {"meta_iterations", "tasks", "loss"} | {f"accuracy_{k}" for k in maml.TOLD}
    # 60 tasks, whose answers may go together: five standard errors of a share are 0.26 at most, and of one
    # that varies by 0.15 between tasks 0.1.
    assert abs(said["accuracy_0"] - 0.2) < 0.1
    assert said["accuracy_1"] > untaught + 0.1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: maml.Config("glyph"), "task: one of sine, glyphs, omniglot:PATH, "),
        (lambda: maml.Config("omniglot:"), "task: one of sine, glyphs, omniglot:PATH, "),
        (lambda: maml.Config("glyphs", oracle=True), "oracle: with sinusoids alone"),
        (lambda: maml.Config("glyphs", ways=0), "ways: at least 1"),
        (lambda: maml.Config("glyphs", halves="third"), "halves: one of stride, pool"),  # type: ignore[arg-type]
        (lambda: maml.MAML(replace(SMALL, ways=961)).check(), "ways: from 1 to the 960 classes"),
        (lambda: maml.MAML(replace(SMALL, ways=481)).check(), "ways: from 1 to the 480 classes"),
        (lambda: maml.MAML(replace(SMALL, test_queries=20)).check(), "shots, test_queries: 20 images"),
        (lambda: ConvNet((8, 8, 1), halves="pool"), "image: H, W, F, enough for 4 blocks"),
        (lambda: few_shot.images("glyphs", "all"), "part: one of train, valid, test"),
    ],
)
def test_what_does_not_fit_is_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


# The published sets in files of the user's.


def drawing(number: int, size: int = 105) -> Image.Image:
    """Black ink on white in one bit, as Omniglot's are: a square that depends on the number."""
    ink = np.ones((size, size), bool)
    ink[number % 50 : number % 50 + 40, 20:60] = False
    return Image.fromarray(ink)


def omniglot(folder: Path, drawings: int = 4) -> None:
    for k, name in enumerate(("background", "evaluation")):
        inside = f"images_{name}"
        with zipfile.ZipFile(folder / f"{inside}.zip", "w") as file:
            for c in range(6):
                for i in range(drawings):
                    place = f"{inside}/Alphabet_{c // 3}/character{c % 3 + 1:02}/{c:04}_{i + 1:02}.png"
                    with file.open(place, "w") as out:
                        drawing(40 * k + 5 * c + i).save(out, "PNG")


def miniimagenet(folder: Path) -> None:
    for p, part in enumerate(("train", "val", "test")):
        for c in range(6):
            home = folder / part / f"n{p}{c:07}"
            home.mkdir(parents=True)
            for i in range(4 + c % 2):
                colour = Image.new("RGB", (84, 84) if i % 2 else (60, 90), (40 * p, 40 * c, 40 * i))
                colour.save(home / f"{i}.{'png' if i % 2 else 'jpg'}")


def test_omniglots_drawings_come_back_as_ink(tmp_path: Path) -> None:
    omniglot(tmp_path)
    read = few_shot.images(f"omniglot:{tmp_path}", "train")
    assert read.shape == (6, 4, 28, 28, 1) and read.dtype == np.uint8 and not read.flags.writeable
    small = drawing(5 * 4 + 2).convert("L").resize((28, 28), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(read[4, 2, :, :, 0], 255 - np.asarray(small))
    other = few_shot.images(f"omniglot:{tmp_path}", "test")
    assert few_shot.digest(read) != few_shot.digest(other)
    with pytest.raises(ValueError, match=r"^part: Omniglot has train and test, not valid$"):
        few_shot.images(f"omniglot:{tmp_path}", "valid")


def test_miniimagenets_pictures_come_back_in_colour(tmp_path: Path) -> None:
    miniimagenet(tmp_path)
    for p, part in enumerate(few_shot.PARTS):
        read = few_shot.images(f"miniimagenet:{tmp_path}", part)
        assert read.shape == (6, 4, 84, 84, 3)
        # JPEG is not exact.
        wanted = np.stack(np.broadcast_arrays(40 * p, 40 * np.arange(6)[:, None], 40 * np.arange(4)), -1)
        assert np.abs(read.mean((2, 3)) - wanted).max() < 4


def rewritten(change: Callable[[str, bytes], bytes]) -> Callable[[Path], None]:
    """A zip of the same names with other contents."""

    def write(folder: Path) -> None:
        path = folder / "images_background.zip"
        with zipfile.ZipFile(path) as file:
            held = {name: change(name, file.read(name)) for name in file.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in held.items():
                file.writestr(name, data)

    return write


def shortened(folder: Path) -> None:
    path = folder / "images_background.zip"
    path.write_bytes(path.read_bytes()[:-40])


def flipped(folder: Path) -> None:
    """One bit in a drawing, so that its checksum does not hold."""
    path = folder / "images_background.zip"
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 20] ^= 1
    path.write_bytes(bytes(data))


def one_less(folder: Path) -> None:
    path = folder / "images_background.zip"
    with zipfile.ZipFile(path) as file:
        held = {name: file.read(name) for name in file.namelist()[:-1]}
    with zipfile.ZipFile(path, "w") as file:
        for name, data in held.items():
            file.writestr(name, data)


def enormous(size: int) -> bytes:
    """A PNG that says it is so large, and holds a few bytes."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    packed = zlib.compress(bytes(100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def piped(folder: Path) -> None:
    path = folder / "images_background.zip"
    path.unlink()
    os.mkfifo(path)


def empty(folder: Path) -> None:
    with zipfile.ZipFile(folder / "images_background.zip", "w") as file:
        file.writestr("readme.txt", "nothing")


def misnamed(folder: Path) -> None:
    """A name that says of itself that it is UTF-8 and is not."""
    path = folder / "images_background.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("é.txt", "nothing")
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xff"))


OMNIGLOT_WRONG = {
    "No such file or directory": lambda folder: (folder / "images_background.zip").unlink(),
    "no zip that can be read here, or damaged": shortened,
    "no zip that can be read": misnamed,
    "damaged or cut short": flipped,
    "not a file": piped,
    "no drawings named": empty,
    "character03: 3 drawings, and 4 of": one_less,
    r"\.png: no image, or damaged": rewritten(lambda name, data: b"GIF89a" + data),
    r"\.png: no image, or damaged or cut short": rewritten(lambda name, data: data[:-30]),
    r"\.png: more than \d+ pixels": rewritten(lambda name, data: enormous(5000)),
    r"\.png: more than \d+ pixels, which": rewritten(lambda name, data: enormous(60_000)),
    r"\.png: 1000000 bytes, and 65536 is the most": rewritten(lambda name, data: bytes(1_000_000)),
}


@pytest.mark.parametrize("message", OMNIGLOT_WRONG)
def test_a_zip_that_is_not_as_published_is_refused_in_a_line(message: str, tmp_path: Path) -> None:
    omniglot(tmp_path)
    OMNIGLOT_WRONG[message](tmp_path)
    with pytest.raises(ValueError, match=rf"^task: .*images_background\.zip: .*{message}") as refused:
        few_shot.images(f"omniglot:{tmp_path}", "train")
    assert "\n" not in str(refused.value)


def replaced(data: bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / "train" / "n00000002" / "1.png").write_bytes(data)


def emptied(folder: Path) -> None:
    for file in (folder / "train" / "n00000003").iterdir():
        file.unlink()


MINI_WRONG = {
    "train: No such file": lambda folder: (folder / "train").rename(folder / "elsewhere"),
    "train: folders of images, one for each class, not n00000003 without any": emptied,
    "1.png: no image, or damaged": replaced(b"GIF89a"),
    r"1.png: more than \d+ pixels": replaced(enormous(5000)),
}


@pytest.mark.parametrize("message", MINI_WRONG)
def test_folders_that_are_not_as_published_are_refused_in_a_line(message: str, tmp_path: Path) -> None:
    miniimagenet(tmp_path)
    MINI_WRONG[message](tmp_path)
    with pytest.raises(ValueError, match=rf"^task: .*{message}") as refused:
        few_shot.images(f"miniimagenet:{tmp_path}", "train")
    assert "\n" not in str(refused.value)


def test_a_picture_of_too_many_bytes_is_not_read(tmp_path: Path) -> None:
    miniimagenet(tmp_path)
    with open(tmp_path / "train" / "n00000002" / "1.png", "r+b") as file:
        file.truncate(few_shot_files.MOST_SEEN + 1)
    with pytest.raises(ValueError, match=r"^task: .*1\.png: \d+ bytes, and \d+ is the most$"):
        few_shot.images(f"miniimagenet:{tmp_path}", "train")


# Runs.


def test_a_run_is_told_and_does_not_go_on_with_other_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    omniglot(tmp_path)
    (tmp_path / "small.toml").write_text("iterations = 2\n")
    words = [
        "run", "maml", "--config", str(tmp_path / "small.toml"), "--runs-dir", str(tmp_path / "runs"),
        "--task", f"omniglot:{tmp_path}", "--ways", "3", "--shots", "2", "--queries", "1", "--tasks", "5",
        "--filters", "3", "--turns", "--test-tasks", "4", "--test-queries", "2",
        "--inner.gradient", "first", "--name", "mine", "--iterations",
    ]  # fmt: skip
    assert main([*words, "1"]) == 0
    capsys.readouterr()
    assert main(["show", "mine", "--runs-dir", str(tmp_path / "runs")]) == 0
    said = capsys.readouterr().out
    assert f"omniglot:{tmp_path}, 3-way 2-shot: accuracy on 4 tasks" in said
    assert re.search(r"^ +2( +\d+\.\d %){4} +\d\.\d{4}$", said, re.M)
    omniglot(tmp_path, drawings=5)
    assert main([*words, "2"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("aiga: task: omniglot:") and said.count("\n") == 1
    assert "not the images that this run began with" in said
    (tmp_path / "images_background.zip").unlink()
    assert main([*words, "2"]) == 2
    assert "images_background.zip: No such file" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_tasks_are_the_same_however_many_are_side_by_side(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: device)
    system = maml.MAML(SMALL)
    for count in (1, 32, 35):
        keys = jax.random.split(KEY, count)
        found = system._for_each(jax.random.uniform, keys)
        np.testing.assert_array_equal(found, jax.vmap(jax.random.uniform)(keys))
        total = system._total(jax.random.uniform, keys)
        np.testing.assert_allclose(total, found.sum(), rtol=1e-5)


def test_a_run_with_filters_in_another_order_does_not_go_on() -> None:
    small = maml.MAML(SMALL)
    begun = small.init(KEY)
    small.fits(begun)
    (filters, *rest), *layers = begun.meta.start
    turned = replace(begun.meta, start=((np.moveaxis(filters, 0, -1), *rest), *layers))
    with pytest.raises(ValueError, match=r"^weights: of other shapes; .*another version"):
        small.fits(replace(begun, meta=turned))


RIVAL = """#!{python}
import json, shutil, sys
if sys.argv[1] != "-c":
    asked = json.loads(sys.stdin.readline())
    assert (asked["seed"], asked["iterations"], asked["case"]["ways"]) == (3, 2, 5)
    shutil.copy({weights!r}, asked["weights"])
    print("{{}}", flush=True)
"""


def test_a_rivals_weights_come_in_our_order_of_axes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch has filters [D, C, h, w] and matrices [outputs, inputs]; a script stands for its Python."""
    rng, theirs = np.random.default_rng(0), []
    for channels in (1, 64, 64, 64):
        theirs += [rng.random((64, channels, 3, 3)), rng.random(64), rng.random(64)]
    theirs += [rng.random((5, 64)), rng.random(5)]
    weights, python = tmp_path / "theirs.npz", tmp_path / "python"
    np.savez(weights, *theirs)
    python.write_text(RIVAL.format(python=sys.executable, weights=str(weights)))
    python.chmod(0o755)
    monkeypatch.setenv("AIGA_LEARN2LEARN", str(python))
    first = inner_loop.Meta(ConvNet().init(KEY), (), ())
    *blocks, (matrix, bias) = experiment._theirs(first, 3, 2).start
    for k, (filters, scale, shift) in enumerate(blocks):
        for d, c, y, x in ((0, 0, 0, 1), (1, 0, 2, 0), (63, -1, 1, 2)):
            assert filters[d, y, x, c] == np.float32(theirs[3 * k][d, c, y, x])
        np.testing.assert_array_equal([scale, shift], np.float32(theirs[3 * k + 1 : 3 * k + 3]))
    assert matrix[7, 2] == np.float32(theirs[-2][2, 7]) and bias[4] == np.float32(theirs[-1][4])
    shapes = [jax.tree.map(np.shape, start) for start in (first.start, (*blocks, (matrix, bias)))]
    assert shapes[0] == shapes[1]
    monkeypatch.setenv("AIGA_LEARN2LEARN", str(tmp_path / "none"))
    with pytest.raises(RunError, match="AIGA_LEARN2LEARN: the path of a Python with learn2learn"):
        experiment._theirs(first, 3, 2)


def test_what_is_told_of_sinusoids() -> None:
    from aiga.learnt import ROWS, starts

    config = {"task": "sine", "shots": 10, "test_tasks": 600}
    rows: list[dict[str, Any]] = [
        {"meta_iterations": 1000 * k, "loss": 1 / k, **{f"mse_{step}": 1 / (k + step) for step in maml.TOLD}}
        for k in range(1, 51)
    ]
    metrics = [
        {"iteration": k, "name": name, "value": value}
        for k, row in enumerate(rows)
        for name, value in row.items()
    ]
    said = starts(config, metrics).splitlines()
    table = [line.split() for line in said if line and line.split()[0].replace(",", "").isdigit()]
    assert len(table) == ROWS and table[0][0] == "1,000"
    assert table[-1] == ["50,000", "0.0200", "0.0196", "0.0182", "0.0167", "0.0200"]
    assert re.split(" {2,}", said[2]) == ["meta-iterations", *(f"after {k}" for k in maml.TOLD), "loss"]
    assert starts(config, []) == "nothing learnt yet"
