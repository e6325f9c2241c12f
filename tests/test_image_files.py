"""Folders of images as MNIST, CIFAR-10 and SVHN are published, and what becomes of runs on them."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from scipy.io import savemat

from aiga.cli import main
from aiga.runs.store import Store
from aiga.systems.architectures.automl_zero import AutoMLZero, Config
from aiga.worlds import supervised
from aiga.worlds.image_files import Images
from aiga.worlds.supervised import Shape

CLASSES = 6
KNOWN, TESTS = 240, 60  # images in the files to train with and to test with
SMALL = ["--tasks", "9", "--select-tasks", "3", "--train", "30", "--valid", "20", "--population", "20",
         "--chunk", "50", "--cache", "50", "--hurdle-tasks", "0", "--migrants", "2"]  # fmt: skip


def drawn(count: int, *shape: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """x u8[count, *shape] and y u8[count]; an image is the lighter, the greater its class."""
    rng, y = np.random.default_rng([seed, count]), np.arange(count, dtype=np.uint8) % CLASSES
    return (rng.integers(0, 100, (count, *shape)) + 25 * y.reshape(-1, *[1] * len(shape))).astype(np.uint8), y


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def rows(x: np.ndarray, y: np.ndarray) -> bytes:
    return np.column_stack([y, x.reshape(len(x), -1)]).tobytes()


def mnist(folder: Path, dot: str = "-", packed: bool = True) -> Images:
    """7 x 5 pixels."""
    parts = drawn(KNOWN, 7, 5), drawn(TESTS, 7, 5)
    for name, (x, y) in zip(("train", "t10k"), parts, strict=True):
        for what, array in ((f"images{dot}idx3", x), (f"labels{dot}idx1", y)):
            data, end = idx(array), ".gz" if packed else ""
            (folder / f"{name}-{what}-ubyte{end}").write_bytes(gzip.compress(data) if packed else data)
    return joined(*parts)


def cifar(folder: Path) -> Images:
    parts = drawn(KNOWN, 3, 32, 32), drawn(TESTS, 3, 32, 32)
    (x, y), fifth = parts[0], KNOWN // 5
    for k in range(5):
        batch = slice(k * fifth, (k + 1) * fifth)
        (folder / f"data_batch_{k + 1}.bin").write_bytes(rows(x[batch], y[batch]))
    (folder / "test_batch.bin").write_bytes(rows(*parts[1]))
    return joined(*parts)


def cifar_inside(folder: Path) -> Images:
    inside = folder / "cifar-10-batches-bin"
    inside.mkdir()
    return cifar(inside)


def svhn(folder: Path, compressed: bool = True) -> Images:
    """In the file an image is [row, column, colour]; here it is as it lies there, columns first."""
    parts = drawn(KNOWN, 32, 32, 3), drawn(TESTS, 32, 32, 3)
    for name, (x, y) in zip(("train", "test"), parts, strict=True):
        labels = np.where(y == 0, 10, y)[:, None]
        held = {"X": x.transpose(1, 2, 3, 0), "y": labels.astype(np.float64)}
        savemat(folder / f"{name}_32x32.mat", held, do_compression=compressed)
    return joined(*((x.transpose(0, 3, 2, 1), y) for x, y in parts))


def joined(known: tuple[np.ndarray, np.ndarray], tests: tuple[np.ndarray, np.ndarray]) -> Images:
    x, y = (np.concatenate(both) for both in zip(known, tests, strict=True))
    return Images(x.reshape(len(x), -1), y, np.arange(len(y)) >= len(known[1]))


WRITERS: dict[str, Callable[[Path], Images]] = {
    "MNIST": mnist,
    "MNIST, dotted": lambda folder: mnist(folder, "."),
    "MNIST, unpacked": lambda folder: mnist(folder, packed=False),
    "CIFAR-10": cifar,
    "CIFAR-10 in its folder": cifar_inside,
    "SVHN": svhn,
    "SVHN, not compressed": lambda folder: svhn(folder, compressed=False),
}


@pytest.mark.parametrize("name", WRITERS)
def test_pixels_come_back_and_tests_stay_apart(name: str, tmp_path: Path) -> None:
    written = WRITERS[name](tmp_path)
    read = supervised.images(f"folder:{tmp_path}")
    assert read is not None and read.kept is not None and written.kept is not None
    assert read.x.dtype == read.y.dtype == np.uint8
    for back, wrote in zip(read, written, strict=True):
        np.testing.assert_array_equal(back, wrote)
    assert supervised.digest(read) == supervised.digest(written)
    task = f"folder:{tmp_path}"
    assert len(supervised.tasks(task, "search", 9, Shape(4, 30, 20), 0).train_x) == 9
    assert supervised.tasks(task, "test", 3, Shape(4, 30, 50), 0).valid_y.shape == (3, 2 * TESTS // CLASSES)


def test_the_images_of_test_files_are_those_of_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each image is its own number, 0 to 255, the last sixty in the test files."""
    monkeypatch.setattr(supervised, "_projected", lambda rng, x, shape: x.astype(float))
    for name, numbers in (("train", range(196)), ("t10k", range(196, 256))):
        x = np.array(numbers, np.uint8)[:, None, None]
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(idx(x))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(idx(x[:, 0, 0] % CLASSES))
    for kind in supervised.KINDS:
        made = supervised.tasks(f"folder:{tmp_path}", kind, 15, Shape(1, 40, 20), 1)
        assert made.train_x.max() < 196
        assert made.valid_x.min() >= 196 if kind == "test" else made.valid_x.max() < 196


@pytest.mark.parametrize("name", ["MNIST", "CIFAR-10", "SVHN"])
def test_a_run_on_each(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "set").mkdir()
    WRITERS[name](tmp_path / "set")
    words = ["run", "automl-zero", "--runs-dir", str(tmp_path / "runs"), "--name", "mine", "--iterations"]
    assert main([*words, "2", "--task", f"folder:{tmp_path / 'set'}", *SMALL]) == 0
    assert main([*words, "3"]) == 0
    assert "individuals/s" in capsys.readouterr().out


def test_without_test_files_a_quarter_is_kept_back(tmp_path: Path) -> None:
    cifar(tmp_path)
    (tmp_path / "test_batch.bin").unlink()
    read = supervised.images(f"folder:{tmp_path}")
    assert read is not None and read.kept is None and len(read.y) == KNOWN
    tests = supervised.tasks(f"folder:{tmp_path}", "test", 2, Shape(4, 30, 50), 0)
    assert tests.valid_y.shape == (2, 2 * KNOWN // CLASSES // 4)


def edited(file: str, edit: Callable[[bytes], bytes], packed: bool = False) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        data = (folder / file).read_bytes()
        data = gzip.compress(edit(gzip.decompress(data))) if packed else edit(data)
        (folder / file).write_bytes(data)

    return act


def gone(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def matlab(file: str = "train_32x32.mat", **held: Any) -> Callable[[Path], None]:
    return lambda folder: savemat(folder / file, held, do_compression=True)


def renamed(file: str, name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / file).rename(folder / name)


def pickles(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(b"cos\nsystem\n(S'false'\ntR.")


def piped(file: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        (folder / file).unlink()
        os.mkfifo(folder / file)

    return act


def as_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_bytes(b"")


IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
MAT, DIGITS = "train_32x32.mat", np.zeros((32, 32, 3, 4), np.uint8)


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("MNIST", shutil.rmtree, "set: No such file or directory"),
        ("MNIST", as_file, "set: Not a directory"),
        ("MNIST", gone(IMAGES), f"{IMAGES[:-3]}: No such file or directory"),
        ("MNIST", gone("t10k-labels-idx1-ubyte.gz"), "t10k-labels-idx1-ubyte: No such file"),
        ("MNIST", edited(IMAGES, lambda b: b[:-9]), f"{IMAGES}: damaged or cut short"),
        ("MNIST", edited(IMAGES, lambda b: b[:-8] + b"\1\2\3\4" + b[-4:]), f"{IMAGES}: damaged or cut"),
        ("MNIST", edited(IMAGES, lambda b: b[:60] + bytes(9) + b[69:]), f"{IMAGES}: damaged or cut short"),
        ("MNIST", edited(IMAGES, lambda b: b""), f"{IMAGES}: not an idx file"),
        ("MNIST", edited(LABELS, lambda b: b"PK\3\4"), f"{LABELS}: damaged or cut short"),
        ("MNIST", edited(IMAGES, lambda b: b"\0\0\x0d" + b[3:], True), f"{IMAGES}: not an idx file of bytes"),
        ("MNIST", edited(IMAGES, lambda b: b[:10], True), f"{IMAGES}: not an idx file of bytes with 3 axes"),
        ("MNIST", edited(IMAGES, lambda b: b[:-1], True), f"{IMAGES}: not as long as [240, 7, 5]"),
        ("MNIST", edited(IMAGES, lambda b: b + b"\0", True), f"{IMAGES}: not as long as [240, 7, 5]"),
        ("MNIST", edited(LABELS, lambda b: idx(np.zeros(3, np.uint8)), True), f"{IMAGES}: 240 images, and 3"),
        ("MNIST", edited(LABELS, lambda b: idx(np.zeros(0, np.uint8)), True), f"{LABELS}: nothing in it"),
        (
            "MNIST",
            edited(IMAGES, lambda b: b[:8] + struct.pack(">II", 2**32 - 1, 2**32 - 1), True),
            f"{IMAGES}: not as long as [240, 4294967295, 4294967295]",
        ),
        (
            "MNIST",
            edited("t10k-images-idx3-ubyte.gz", lambda b: idx(np.zeros((TESTS, 5, 5), np.uint8)), True),
            f"t10k-images-idx3-ubyte.gz: images of [5, 5], not [7, 5] as in {IMAGES}",
        ),
        ("MNIST, unpacked", edited(IMAGES[:-3], lambda b: b[:-1]), f"{IMAGES[:-3]}: not as long as"),
        ("MNIST, unpacked", piped(IMAGES[:-3]), f"{IMAGES[:-3]}: not a file"),
        ("CIFAR-10", gone("data_batch_3.bin"), "data_batch_3.bin: No such file or directory"),
        ("CIFAR-10", edited("data_batch_5.bin", lambda b: b[:-1]), "data_batch_5.bin: 147503 bytes, not"),
        ("CIFAR-10", edited("test_batch.bin", lambda b: b""), "test_batch.bin: 0 bytes, not rows of 3073"),
        ("CIFAR-10", edited("data_batch_2.bin", lambda b: b"\x0a" + b[1:]), "labels from 0 to 9, not 10"),
        ("CIFAR-10", pickles, "set: pickles, which are never opened; take CIFAR-10's binary version"),
        ("SVHN", gone(MAT), f"{MAT}: No such file or directory"),
        ("SVHN", edited(MAT, lambda b: b[:-9]), f"{MAT}: damaged or cut short"),
        ("SVHN", edited(MAT, lambda b: b[:300] + bytes(9) + b[309:]), f"{MAT}: damaged or cut short"),
        ("SVHN", edited(MAT, lambda b: b""), f"{MAT}: not a file of MATLAB 5"),
        ("SVHN", edited(MAT, lambda b: b[:128]), f"{MAT}: no numbers X and y in it"),
        ("SVHN", edited(MAT, lambda b: b"MATLAB 7.3" + b[10:]), f"{MAT}: not a file of MATLAB 5"),
        ("SVHN, not compressed", edited(MAT, lambda b: b[:140] + b"\xff" * 40 + b[180:]), f"{MAT}: "),
        ("SVHN", matlab(y=np.ones((4, 1))), f"{MAT}: no numbers X and y in it"),
        ("SVHN", matlab(X="none", y=np.ones((4, 1))), f"{MAT}: no numbers X and y in it"),
        ("SVHN", matlab(X=DIGITS, y=np.ones((3, 1))), f"{MAT}: X uint8 [32, 32, 3, I] and y [I, 1], not"),
        ("SVHN", matlab(X=DIGITS[..., 0], y=np.ones((3, 1))), f"{MAT}: X uint8 [32, 32, 3, I] and y [I, 1]"),
        ("SVHN", matlab(X=DIGITS * 1.0, y=np.ones((4, 1))), "and y [I, 1], not float64 [32, 32, 3, 4] and"),
        ("SVHN", matlab(X=DIGITS, y=np.zeros((4, 1))), f"{MAT}: labels other than 1 to 10"),
        ("SVHN", lambda folder: mnist(folder), "not train-images-idx3-ubyte and train_32x32.mat"),
        ("SVHN", lambda folder: [gone(MAT)(folder), renamed("test_32x32.mat", "a")(folder)], "not none"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_in_a_line(
    tmp_path: Path, name: str, spoil: Callable[[Path], Any], message: str
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    WRITERS[name](folder)
    spoil(folder)
    with pytest.raises(ValueError, match=rf"^task: .*{re.escape(message)}") as caught:
        supervised.images(f"folder:{folder}")
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("path", ["~nobody-of-this-name/x", "a\0b"])
def test_a_path_that_is_none_is_said_in_a_line(path: str) -> None:
    with pytest.raises(ValueError, match=r"^task: .*: no such folder$"):
        supervised.images(f"folder:{path}")


def bomb_of_mnist(folder: Path) -> None:
    """A gigabyte of zeros behind a header of four small images."""
    x, y = drawn(4, 7, 5)
    (folder / LABELS).write_bytes(gzip.compress(idx(y)))
    with gzip.open(folder / IMAGES, "wb", compresslevel=1) as file:
        file.write(idx(x))
        for _ in range(1024):
            file.write(bytes(1 << 20))


def bomb_of_svhn(folder: Path) -> None:
    """The same in an element of MATLAB's that says that it has 64 bytes."""
    pack, parts = zlib.compressobj(1), []
    parts.append(pack.compress(struct.pack("<II", 14, 64)))
    parts += [pack.compress(bytes(1 << 20)) for _ in range(1024)]
    body = b"".join([*parts, pack.flush()])
    head = b"MATLAB 5.0".ljust(124) + b"\0\1IM"
    (folder / MAT).write_bytes(head + struct.pack("<II", 15, len(body)) + body)


def element(kind: int, body: bytes) -> bytes:
    return struct.pack("<II", kind, len(body)) + body + bytes(-len(body) % 8)


def deflated(body: bytes) -> bytes:
    packed = zlib.compress(body, 9)
    return struct.pack("<II", 15, len(packed)) + packed


def matrix(name: bytes, kind: int, shape: tuple[int, ...], stored: int, data: bytes) -> bytes:
    flags, dims = struct.pack("<II", kind, 0), struct.pack(f"<{len(shape)}i", *shape)
    parts = element(6, flags) + element(5, dims) + element(1, name) + element(stored, data)
    return element(14, parts)


def write_mat(folder: Path, *elements: bytes) -> None:
    (folder / MAT).write_bytes(b"MATLAB 5.0".ljust(124) + b"\0\1IM" + b"".join(elements))


def more_than_held(kind: int, stored: int) -> Callable[[Path], None]:
    """X of no bytes that says it has a gigabyte."""
    shape = (32, 32, 3, 1 << 18)
    return lambda folder: write_mat(folder, matrix(b"X", kind, shape, stored, b""))


def packed_twice(folder: Path) -> None:
    write_mat(folder, deflated(deflated(matrix(b"X", 9, (32, 32, 3, 1 << 15), 2, bytes(3 << 25)))))


def not_asked_for(folder: Path) -> None:
    write_mat(folder, *[deflated(matrix(b"Z", 9, (1 << 26, 1), 2, bytes(1 << 26)))] * 4)


def more_than_deflate_can_hold(folder: Path) -> None:
    head = element(6, struct.pack("<II", 9, 0)) + element(5, struct.pack("<4i", 32, 32, 3, 1 << 18))
    head += element(1, b"X") + struct.pack("<II", 2, 3 << 28)
    write_mat(folder, deflated(struct.pack("<II", 14, len(head) + (3 << 28)) + head + bytes(1 << 20)))


@pytest.mark.parametrize(
    "bomb",
    [
        bomb_of_mnist,
        bomb_of_svhn,
        more_than_held(4, 16),
        more_than_held(9, 2),
        packed_twice,
        not_asked_for,
        more_than_deflate_can_hold,
    ],
)
def test_nothing_is_unpacked_beyond_what_it_says(bomb: Callable[[Path], None], tmp_path: Path) -> None:
    bomb(tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"^task: "):
            supervised.images(f"folder:{tmp_path}")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 8 << 20


@pytest.mark.parametrize("pack", [lambda body: body, deflated])
def test_numbers_as_matlab_writes_them(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Doubles as bytes, names and up to four bytes of data within the tag, other matrices in between."""
    x = np.arange(4 * 3072, dtype=np.uint32).astype(np.uint8)
    short = struct.pack("<I", 1 << 16 | 1) + b"y".ljust(4, b"\0")
    parts = element(6, struct.pack("<II", 6, 0)) + element(5, struct.pack("<2i", 4, 1)) + short
    parts += struct.pack("<I", 4 << 16 | 2) + bytes([10, 1, 2, 10])
    cell = matrix(b"c", 1, (1, 1), 14, bytes(48))
    write_mat(
        tmp_path, pack(cell), pack(element(14, parts)), pack(matrix(b"X", 9, (32, 32, 3, 4), 2, x.tobytes()))
    )
    read = supervised.images(f"folder:{tmp_path}")
    assert read is not None and read.y.tolist() == [0, 1, 2, 0]
    np.testing.assert_array_equal(read.x, x.reshape(4, 3072))


@pytest.mark.parametrize("name", ["x.npy", "y.npy"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    for file in ("x.npy", "y.npy"):
        np.save(tmp_path / file, np.ones((4, 3)))
    piped(name)(tmp_path)
    with pytest.raises(ValueError, match=rf"^task: .*{name}: not a file$"):
        supervised.images(f"folder:{tmp_path}")


@pytest.mark.parametrize(
    ("name", "foreign"),
    [("CIFAR-10 in its folder", "notes.bin"), ("MNIST", "t10k-notes.txt"), ("SVHN", "extra_32x32.mat")],
)
def test_a_file_of_another_name_changes_nothing(name: str, foreign: str, tmp_path: Path) -> None:
    written = WRITERS[name](tmp_path)
    if name == "MNIST":
        for file in tmp_path.glob("t10k-*"):
            file.unlink()
    (tmp_path / foreign).write_bytes(b"mine")
    read = supervised.images(f"folder:{tmp_path}")
    assert read is not None
    np.testing.assert_array_equal(read.y, written.y[: len(read.y)])
    assert len(read.y) == (KNOWN if name == "MNIST" else KNOWN + TESTS)


@pytest.fixture
def run(tmp_path: Path) -> list[str]:
    """A command that goes on with a run of two iterations on MNIST."""
    (tmp_path / "set").mkdir()
    mnist(tmp_path / "set")
    words = ["run", "automl-zero", "--runs-dir", str(tmp_path / "runs"), "--name", "mine", "--iterations"]
    assert main([*words, "2", "--task", f"folder:{tmp_path / 'set'}", *SMALL]) == 0
    return [*words, "4"]


def reached(tmp_path: Path) -> int:
    with Store.open(tmp_path / "runs" / "mine") as store:
        return store.iteration()


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("aiga: task: ") and said.count("\n") == 1
    return said


def test_a_run_does_not_go_on_with_other_images(
    run: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One pixel is another; with the old one it goes on, packed or not."""
    path, plain = tmp_path / "set" / IMAGES, tmp_path / "set" / IMAGES[:-3]
    data = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(data[:-1] + bytes([data[-1] ^ 1])))
    assert "not the images that this run began with" in refused(run, capsys)
    assert reached(tmp_path) == 2
    path.unlink()
    plain.write_bytes(data)
    assert main(run) == 0
    assert reached(tmp_path) == 4


def test_a_run_does_not_go_on_without_its_folder(
    run: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(tmp_path / "set")
    assert "set: No such file or directory" in refused(run, capsys)
    assert reached(tmp_path) == 2
    # What it found is still to be had.
    assert main(["show", "mine", "--runs-dir", str(tmp_path / "runs")]) == 0
    assert "def learn():" in capsys.readouterr().out


def test_a_run_that_has_no_digest_goes_on(tmp_path: Path) -> None:
    mnist(tmp_path)
    system = AutoMLZero(Config(f"folder:{tmp_path}", train=30, valid=20, print_train=5, print_valid=5))
    state = system.init(jax.random.key(0))
    assert re.fullmatch("[0-9a-f]{64}", state.data)
    system.fits(state)
    system.fits(type(state)(0, state.seed, state.islands))
    assert AutoMLZero(Config("linear")).init(jax.random.key(0)).data == ""


@pytest.mark.parametrize("named", [["--name", "bad"], []])
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--task", "folder:/nowhere/at/all"], "task: /nowhere/at/all: No such file or directory"),
        (["--task", "digits", "--train", "900"], "train, valid: "),
    ],
)
def test_a_run_that_is_refused_leaves_nothing_behind(
    tmp_path: Path, named: list[str], flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "automl-zero", "--runs-dir", str(tmp_path), *named, *flags]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    # A folder that was there before, with a file of somebody's, stays with it.
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "notes").write_text("mine")
    assert main(words) == 2
    assert (tmp_path / "bad" / "notes").read_text() == "mine" and not (tmp_path / "bad" / "run.db").exists()
