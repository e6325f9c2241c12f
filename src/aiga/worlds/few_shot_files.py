"""Omniglot and miniImageNet in files of the user's, as they are published.

    Omniglot      images_background.zip and images_evaluation.zip, of each of its folder's alphabets
                  Alphabet/characterNN/NNNN_MM.png, ink black (Lake, Salakhutdinov, Tenenbaum 2015,
                  github.com/brendenlake/omniglot)
    miniImageNet  folders train, val and test, with CLASS/*.jpg or *.png (Vinyals et al. 2016; the classes of
                  Ravi, Larochelle 2017, "Optimization as a Model for Few-Shot Learning")

Images are made 28 x 28 and 84 x 84 pixels large, as in MAML (Finn et al. 2017). How large a file or an image
says it is, is held against a bound before memory is taken for it; a zip's checksums are checked by reading.
"""

from __future__ import annotations

import io
import lzma
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from aiga.worlds.image_files import bytes_of, wrong

SMALL, LARGE = 28, 84  # pixels each way, of Omniglot and of miniImageNet
MOST_DRAWN = 1 << 16  # bytes of a drawing; Omniglot's have some 300
MOST_SEEN = 1 << 24  # bytes of a photograph
MOST_PIXELS = 1 << 24  # of an image as it is in its file
MOST_FILES = 1 << 17  # in a zip or a part; Omniglot has 32,460 and miniImageNet 60,000

DRAWING = re.compile(r"images_(?:background|evaluation)/([^/]+/[^/]+)/[^/]+\.png")
PICTURES = {".jpg", ".jpeg", ".png"}
ZIPS = {"train": "images_background.zip", "test": "images_evaluation.zip"}
FOLDERS = {"train": "train", "valid": "val", "test": "test"}


def omniglot(folder: str, part: str) -> np.ndarray:
    """u8[C, I, 28, 28, 1] of the background alphabets (`train`) or of evaluation (`test`), ink 255 on 0.

    ValueError, one line that names `task` and the file, for what is missing, damaged or too large, and
    naming `part` for `valid`, which Omniglot does not have.
    """
    if part not in ZIPS:
        raise ValueError(f"part: Omniglot has {' and '.join(ZIPS)}, not {part}")
    path = _home(folder) / ZIPS[part]
    classes: dict[str, list[np.ndarray]] = {}
    with _reading(path):
        bytes_of(path)
        with zipfile.ZipFile(path) as file:
            if len(file.infolist()) > MOST_FILES:
                raise wrong(path, f"{len(file.infolist())} files in it, and {MOST_FILES} is the most")
            for info in sorted(file.infolist(), key=lambda info: info.filename):
                named = DRAWING.fullmatch(info.filename)
                if named is None:
                    continue
                if info.file_size > MOST_DRAWN:
                    raise wrong(
                        path, f"{info.filename}: {info.file_size} bytes, and {MOST_DRAWN} is the most"
                    )
                image = _image(path, info.filename, file.read(info), "L", SMALL)
                classes.setdefault(named[1], []).append(255 - image[..., None])
    return _stacked(path, classes)


def miniimagenet(folder: str, part: str) -> np.ndarray:
    """u8[C, I, 84, 84, 3] of a part, train, valid (its folder is `val`) or test; I is what the smallest class
    has, and of the others those whose names come first.

    ValueError, one line that names `task` and the file, for what is missing, damaged or too large.
    """
    home = _home(folder) / FOLDERS[part]
    with _reading(home):
        found = {
            each.name: sorted(file for file in each.iterdir() if file.suffix.lower() in PICTURES)
            for each in sorted(home.iterdir())
            if each.is_dir() and not each.name.startswith(".")
        }
    if not found or not all(found.values()):
        raise wrong(home, "folders of images, one for each class, not " + (_empty(found) or "none"))
    if sum(map(len, found.values())) > MOST_FILES:
        raise wrong(home, f"more than {MOST_FILES} images, which is the most")
    count = min(map(len, found.values()))
    images = np.empty((len(found), count, LARGE, LARGE, 3), np.uint8)
    for c, files in enumerate(found.values()):
        for i, path in enumerate(files[:count]):
            with _reading(path):
                if bytes_of(path) > MOST_SEEN:
                    raise wrong(path, f"{bytes_of(path)} bytes, and {MOST_SEEN} is the most")
                images[c, i] = _image(path, "", path.read_bytes(), "RGB", LARGE)
    return images


def _empty(found: dict[str, list[Path]]) -> str:
    return ", ".join(f"{name} without any" for name, files in found.items() if not files)


def _stacked(path: Path, classes: dict[str, list[np.ndarray]]) -> np.ndarray:
    if not classes:
        raise wrong(path, "no drawings named FOLDER/Alphabet/characterNN/NNNN_MM.png in it")
    count = len(next(iter(classes.values())))
    for name, drawn in classes.items():
        if len(drawn) != count:
            raise wrong(path, f"{name}: {len(drawn)} drawings, and {count} of {next(iter(classes))}")
    return np.stack([np.stack(drawn) for drawn in classes.values()])


def _image(path: Path, inside: str, data: bytes, mode: str, size: int) -> np.ndarray:
    """u8[size, size] or u8[size, size, 3] of a PNG or JPEG file's bytes."""
    where = f"{inside}: " if inside else ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
                if image.width * image.height <= MOST_PIXELS:
                    return np.asarray(image.convert(mode).resize((size, size), Image.Resampling.LANCZOS))
        except Image.DecompressionBombError:
            pass
        except (
            OSError,
            EOFError,
            SyntaxError,
            TypeError,
            ValueError,
            OverflowError,
            struct.error,
            zlib.error,
        ):
            raise wrong(path, f"{where}no image, or damaged or cut short") from None
    raise wrong(path, f"{where}more than {MOST_PIXELS} pixels, which is the most")


def _home(folder: str) -> Path:
    try:
        if "\0" in folder:
            raise RuntimeError("no name of a folder")
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise wrong(Path(folder.replace("\0", "?")), str(error)) from None


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (
        zipfile.BadZipFile,
        EOFError,
        zlib.error,
        lzma.LZMAError,
        RuntimeError,
        UnicodeDecodeError,
        struct.error,
    ):
        # RuntimeError is for what is encrypted or compressed in a way that Python does not know.
        raise wrong(path, "no zip that can be read here, or damaged or cut short") from None
    except OSError as error:
        raise wrong(path, error.strerror or "damaged or cut short") from None
