"""MNIST, Fashion-MNIST, CIFAR-10 and SVHN in folders of the user's, in the files that they are published in.

    MNIST, Fashion-   train-images-idx3-ubyte, train-labels-idx1-ubyte and t10k-*, also .gz, also with a dot
    MNIST             before idx: a magic number, sizes (u32, big-endian), bytes (LeCun, Cortes, Burges,
                      yann.lecun.com/exdb/mnist)
    CIFAR-10, binary  data_batch_1.bin to data_batch_5.bin and test_batch.bin, also in cifar-10-batches-bin:
                      rows of a label and 3072 pixels (Krizhevsky, cs.toronto.edu/~kriz/cifar.html)
    SVHN, cropped     train_32x32.mat and test_32x32.mat, MATLAB 5: X u8[32, 32, 3, I], y [I, 1] from 1 to 10,
                      10 for the digit 0 (Netzer et al. 2011, ufldl.stanford.edu/housenumbers)

A size in a header is held against the file before memory is taken for it, and nothing is unpacked beyond it.
"""

from __future__ import annotations

import errno
import gzip
import math
import re
import stat
import struct
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

ROW = 3073  # bytes of an image and its label in CIFAR-10
DEFLATE = 1032  # bytes that one byte of deflate can stand for, at most
CHUNK = 1 << 16  # bytes of deflate unpacked at a time

# Elements of a MATLAB file: a matrix, or another element, deflated. Before the numbers of a matrix that is of
# interest here lie 64 bytes at most.
MATRIX, COMPRESSED, HEAD = 14, 15, 256
NUMBERS = {
    6: "float64",
    7: "float32",
    8: "int8",
    9: "uint8",
    10: "int16",
    11: "uint16",
    12: "int32",
    13: "uint32",
    14: "int64",
    15: "uint64",
}  # by class
STORED = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}  # by type
NOT_REAL = 0x0A00  # flags: complex, logical

MNIST = re.compile(r"(train|t10k)-(images[-.]idx3|labels[-.]idx1)-ubyte(\.gz)?")
CIFAR = re.compile(r"(data_batch_[1-5]|test_batch)\.bin")


class Images(NamedTuple):
    """I images of D pixels each, in the order of their file."""

    x: np.ndarray  # [I, D]
    y: np.ndarray  # [I], of whole numbers where these are classes
    kept: np.ndarray | None = None  # bool[I], to test on and for nothing else; None: not said


class _Matrix(NamedTuple):
    kind: str  # of its class; the numbers may be stored as smaller ones
    values: np.ndarray


class _Part(NamedTuple):
    path: Path  # where the images are
    test: bool
    x: np.ndarray  # [I, ...]
    y: np.ndarray  # [I]


def read(folder: Path, names: Collection[str]) -> Images:
    """The images of a folder with files of these names, by which they are recognised; bytes stay bytes.

    `kept` are the images of the test files, where these are there. ValueError, one line that names `task` and
    the file, for what is missing, damaged or of more than one kind.
    """
    found = [kind for kind, (pattern, _) in KINDS.items() if any(map(pattern.fullmatch, names))]
    if not found and any(map(PICKLES.fullmatch, names)):
        raise wrong(folder, "pickles, which are never opened; take CIFAR-10's binary version")
    if len(found) != 1:
        known = ", ".join(["x.npy and y.npy", *KINDS])
        raise wrong(folder, f"files of one of {known}, not {' and '.join(found) or 'none'}")
    parts = KINDS[found[0]][1](folder, names)
    for part in parts:
        if part.x.shape[1:] != parts[0].x.shape[1:]:
            sizes = f"{list(part.x.shape[1:])}, not {list(parts[0].x.shape[1:])} as in {parts[0].path.name}"
            raise wrong(part.path, f"images of {sizes}")
    x, y = np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts])
    kept = np.repeat([part.test for part in parts], [len(part.y) for part in parts])
    return Images(x.reshape(len(x), -1), y, kept if kept.any() else None)


def _mnist(folder: Path, names: Collection[str]) -> list[_Part]:
    parts = []
    tests = any(name.startswith("t10k") for name in names if MNIST.fullmatch(name))
    for which in ("train", "t10k") if tests else ("train",):
        labels = _idx(_spelt(folder, f"{which}-labels", "idx1-ubyte", names), 1, None)
        path = _spelt(folder, f"{which}-images", "idx3-ubyte", names)
        parts.append(_Part(path, which == "t10k", _idx(path, 3, len(labels)), labels))
    return parts


def _spelt(folder: Path, what: str, kind: str, names: Collection[str]) -> Path:
    ways = [f"{what}{mark}{kind}{end}" for end in ("", ".gz") for mark in "-."]
    return folder / next((way for way in ways if way in names), ways[0])


def _idx(path: Path, axes: int, count: int | None) -> np.ndarray:
    """Bytes in the shape that the header says, whose first axis is `count`."""
    with _reading(path):
        length, packed = bytes_of(path), path.suffix == ".gz"
        with gzip.open(path) if packed else open(path, "rb") as file:
            head = file.read(4 + 4 * axes)
            if head[:4] != bytes([0, 0, 8, axes]) or len(head) < 4 + 4 * axes:
                raise wrong(path, f"not an idx file of bytes with {axes} axes")
            shape = struct.unpack(f">{axes}I", head[4:])
            size = math.prod(shape)
            if count not in (None, shape[0]):
                raise wrong(path, f"{shape[0]} images, and {count} labels")
            if not size:
                raise wrong(path, f"nothing in it: {list(shape)}")
            possible = size <= length * DEFLATE if packed else len(head) + size == length
            data = file.read(size) if possible else b""
            if len(data) != size or file.read(1):
                raise wrong(path, f"not as long as {list(shape)}, which it says")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _cifar(folder: Path, names: Collection[str]) -> list[_Part]:
    folder = folder if any(map(CIFAR.fullmatch, names)) else folder / "cifar-10-batches-bin"
    files = [f"data_batch_{k}.bin" for k in range(1, 6)]
    files += ["test_batch.bin"] if (folder / "test_batch.bin").exists() else []
    return [_batch(folder / file) for file in files]


def _batch(path: Path) -> _Part:
    with _reading(path):
        length = bytes_of(path)
        if not length or length % ROW:
            raise wrong(path, f"{length} bytes, not rows of {ROW}")
        rows = np.memmap(path, np.uint8, "r").reshape(-1, ROW)
    if rows[:, 0].max() > 9:
        raise wrong(path, f"labels from 0 to 9, not {rows[:, 0].max()}")
    return _Part(path, path.name == "test_batch.bin", rows[:, 1:], rows[:, 0])


def _svhn(folder: Path, names: Collection[str]) -> list[_Part]:
    tests = ["test_32x32.mat"] if "test_32x32.mat" in names else []
    return [_digits(folder / file) for file in ["train_32x32.mat", *tests]]


def _digits(path: Path) -> _Part:
    with _reading(path):
        held = _matrices(path, ["X", "y"])
    if len(held) < 2:
        raise wrong(path, "no numbers X and y in it")
    (kind, x), (_, y) = held["X"], held["y"]
    if kind != "uint8" or x.dtype != np.uint8 or x.ndim != 4 or not x.size or y.shape != (x.shape[3], 1):
        sizes = f"{kind} {list(x.shape)} and {list(y.shape)}"
        raise wrong(path, f"X uint8 [32, 32, 3, I] and y [I, 1], not {sizes}")
    if not np.isin(y, np.arange(1, 11)).all():
        raise wrong(path, "labels other than 1 to 10")
    # The last axis is the slowest in the file, so the transpose is how it lies in memory.
    return _Part(path, path.name == "test_32x32.mat", x.T, (y[:, 0] % 10).astype(np.uint8))


def _matrices(path: Path, names: Collection[str]) -> dict[str, _Matrix]:
    """Those with these names that are of numbers, in a file of MATLAB 5; of others no more than the head is
    unpacked (MathWorks, "MAT-File Format")."""
    left, found = bytes_of(path), {}
    with open(path, "rb") as file:
        head = file.read(128)
        order = {b"IM": "<", b"MI": ">"}.get(head[126:])
        if not head.startswith(b"MATLAB 5.0") or order is None:
            raise wrong(path, "not a file of MATLAB 5")
        left -= len(head)
        while left:
            kind, size = _tag(file.read, order)
            left -= 8 + size
            if left < 0:
                raise EOFError
            begin, held = file.tell(), size
            read = _inflating(file, size) if kind == COMPRESSED else file.read
            if kind == COMPRESSED:
                kind, held = _tag(read, order)
                if kind != MATRIX or held > size * DEFLATE:
                    raise EOFError
            matrix = _matrix(read, held, order, names) if kind == MATRIX else None
            if matrix is not None:
                found[matrix[0]] = matrix[1]
                if read != file.read and read(1):  # also holds the checksum against what was read
                    raise EOFError
            file.seek(begin + size)
    return found


def _matrix(
    read: Callable[[int], bytes], size: int, order: str, names: Collection[str]
) -> tuple[str, _Matrix] | None:
    """Its name and itself, of an element of `size` bytes; None for one that is not asked for."""
    head = read(min(size, HEAD))
    try:
        _, _, at, end = _subelement(head, 0, order)
        [flags] = struct.unpack_from(f"{order}I", head, at)
        _, count, at, end = _subelement(head, end, order)
        shape = struct.unpack_from(f"{order}{count // 4}i", head, at)
        _, count, at, end = _subelement(head, end, order)
        name = head[at : at + count].decode("latin-1")
        stored, count, at, _ = _subelement(head, end, order)
    except struct.error:  # no matrix of numbers has a head like this
        return None
    kind = NUMBERS.get(flags & 0xFF)
    if name not in names or kind is None or flags & NOT_REAL or stored not in STORED:
        return None
    dtype = np.dtype(order + STORED[stored])
    if (
        min(shape, default=-1) < 0
        or math.prod(shape) * dtype.itemsize != count
        or not 0 <= size - at - count < 8
    ):
        raise EOFError
    data = head[at : at + count]
    data += read(count - len(data))
    read(size - max(len(head), at + count))
    if len(data) != count:
        raise EOFError
    return name, _Matrix(kind, np.ndarray(shape, dtype, data, order="F"))


def _tag(read: Callable[[int], bytes], order: str) -> tuple[int, int]:
    """The type of an element and its bytes, of a file that may end here."""
    kind, size = struct.unpack(f"{order}II", read(8).ljust(8, b"\0"))
    return kind, size


def _subelement(head: bytes, at: int, order: str) -> tuple[int, int, int, int]:
    """Of a part of a matrix its type, its bytes, where they begin and where the next part does."""
    [kind] = struct.unpack_from(f"{order}I", head, at)
    if kind >> 16:  # four bytes at most, which lie in the tag
        return kind & 0xFFFF, kind >> 16, at + 4, at + 8
    [count] = struct.unpack_from(f"{order}I", head, at + 4)
    return kind, count, at + 8, at + 8 + count + -count % 8


def _inflating(file: BinaryIO, left: int) -> Callable[[int], bytes]:
    """`read` for `left` bytes of deflate that unpacks no more than it is asked for. EOFError, zlib.error."""
    stream = zlib.decompressobj()

    def read(count: int) -> bytes:
        nonlocal left
        data = bytearray()
        while len(data) < count and not stream.eof:
            packed = stream.unconsumed_tail
            if not packed:
                packed = file.read(min(left, CHUNK))
                left -= len(packed)
            some = stream.decompress(packed, count - len(data))
            if not packed and not some:
                raise EOFError
            data += some
        return bytes(data)

    return read


def bytes_of(path: Path) -> int:
    """Of a plain file, in bytes: a pipe would be waited for."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a file")
    return found.st_size


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise wrong(path, getattr(error, "strerror", None) or "damaged or cut short") from None


def wrong(path: Path, why: str) -> ValueError:
    """What to raise for a file."""
    return ValueError(f"task: {path}: {why}")


KINDS = {  # by the file that tells people which
    "train-images-idx3-ubyte": (MNIST, _mnist),
    "data_batch_1.bin": (re.compile(rf"{CIFAR.pattern}|cifar-10-batches-bin"), _cifar),
    "train_32x32.mat": (re.compile(r"(train|test)_32x32\.mat"), _svhn),
}
PICKLES = re.compile(r"data_batch_[1-5]|test_batch|cifar-10-batches-py")
