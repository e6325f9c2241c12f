"""Pictures of a course and the walker on it, with Pillow alone: `draw`, `animate`, `overview`, `gallery`.

`video` needs PyAV too.

A pose is f[5, 3]: x and y of the centre of mass (m) and the angle (rad) of the hull, then of the upper and
lower leg -1, then of the upper and lower leg +1. Everything is drawn at twice its size and scaled down, which
smooths the edges.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from fractions import Fraction
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from aiga.worlds.walker import body
from aiga.worlds.walker.course import ANGLES, CELL, CELLS, GOAL, LENGTH, RANGE, Course, rays

FINE = 2  # supersampling
SKIN = 0.01  # m, the rounding that Box2D adds to every shape
CENTRE = body.HULL_CENTRE  # of the hull's mass, in the hull's own frame, m
HULL = body.HULL - CENTRE
UPPER, LOWER = ((width, body.LEG_HALF) for width in body.LEG_HALF_WIDTH)  # half width, half length, m

SKY, HAZE = (214, 234, 247), (240, 247, 251)
CLOUD = (249, 252, 254)
HILLS = ((196, 219, 226), (176, 207, 205))
EARTH, DEEP, GRASS, TURF = (122, 94, 74), (97, 74, 60), (106, 171, 92), (74, 135, 72)
FACE = (84, 63, 52)
SOFT, SOFT_EDGE = (176, 190, 96), (128, 146, 70)  # of grass that gives way
CRATE = (196, 152, 92)
FLAG, POLE = (222, 88, 74), (92, 84, 92)
RAY, HIT = (238, 132, 98), (206, 58, 48)
INK = (52, 44, 66)
HULL_FILL, EYE = (124, 92, 196), (250, 248, 255)
LEGS = {"far": ((150, 92, 128), (128, 76, 116)), "near": ((240, 160, 112), (226, 134, 92))}

Colour = tuple[int, int, int]
Size = tuple[int, int]
Out = str | PathLike[str] | BinaryIO  # where a film goes: a path, or a file open for binary writing


class Camera:
    """Maps metres to pixels: `x`, `y` (m) is the middle of the picture, `scale` pixels a metre."""

    def __init__(self, x: Any, y: Any, scale: float, size: Size, squash: float = 1.0):
        self.x, self.y, self.scale, self.size, self.squash = x, y, scale * FINE, size, squash
        self.width, self.height = size[0] * FINE, size[1] * FINE

    def __call__(self, points: Any) -> list[tuple[float, float]]:
        points = np.asarray(points, float)
        px = self.width / 2 + (points[:, 0] - self.x) * self.scale
        py = self.height / 2 - (points[:, 1] - self.y) * self.scale * self.squash
        return list(zip(px.tolist(), py.tolist(), strict=True))

    @property
    def sides(self) -> tuple[float, float]:
        """x in metres of the left and the right edge."""
        half = self.width / 2 / self.scale
        return self.x - half, self.x + half


def draw(
    course: Course, pose: Any, size: Size = (640, 320), lidar: Any = None, scale: float = 40.0
) -> Image.Image:
    """The walker on its course, in the middle of the picture.

    `pose` f[5, 3], or f[K, 5, 3] for several moments of one walk; the camera then holds their middle and the
    earlier ones are fainter. `lidar` true draws the ten rays, f[10] takes their fractions from an
    observation. `scale` pixels a metre.
    """
    poses = _poses(pose)
    middle = (poses[:, 0, 0].min() + poses[:, 0, 0].max()) / 2
    if len(poses) == 1:
        middle += 0.12 * size[0] / scale
    camera = Camera(middle, _level(course, middle, size[0] / scale, size[1] / scale), scale, size)
    return _frame(course, poses, camera, lidar)


def animate(
    course: Course,
    poses: Any,
    out: Out,
    lidar: Any = None,
    fps: float = 25,
    size: Size = (480, 240),
    scale: float = 34.0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes a GIF of a walk: `poses` f[T, 5, 3] at 50 a second, shown at `fps` a second; the camera follows.

    `lidar` true draws the ten rays, f[T, 10] takes them from observations. `progress(done, frames)` is called
    after each frame. Raises ValueError, naming the argument, for poses or an `fps` that do not fit.
    """
    frames: list[Image.Image] = []
    palette: Image.Image | None = None
    for frame in _frames(course, poses, lidar, fps, size, scale, progress):
        if palette is None:
            palette = _palette(course, _poses(poses), size, scale, lidar is not None and lidar is not False)
        frames.append(frame.quantize(palette=palette, dither=Image.Dither.NONE))
    pauses = [round(100 / fps) * 10] * (len(frames) - 1) + [1200]
    with _writing(out) as file:
        frames[0].save(
            file,
            format="GIF",
            save_all=True,
            append_images=frames[1:],
            duration=pauses,
            loop=0,
            optimize=False,
        )


def video(
    course: Course,
    poses: Any,
    out: Out,
    lidar: Any = None,
    fps: float = 25,
    size: Size = (640, 320),
    scale: float = 45.0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes an MP4 of a walk, H.264 that every browser plays from its first bytes; else as `animate`.

    Raises ImportError without PyAV (`pip install 'aiga[video]'`), ValueError also for an odd `size`, which
    halved colours do not fit.
    """
    import av

    if size[0] % 2 or size[1] % 2:
        raise ValueError(f"size: even numbers, not {size}")
    # The index is put first when all is written, which takes a file that can be read again.
    with TemporaryDirectory() as folder:
        file = Path(folder) / "walk.mp4"
        with av.open(file, "w", options={"movflags": "+faststart"}) as container:
            rate = Fraction(fps).limit_denominator(1000)
            stream = container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "21"})
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            for frame in _frames(course, poses, lidar, fps, size, scale, progress):
                container.mux(stream.encode(av.VideoFrame.from_image(frame)))
            container.mux(stream.encode())
        with open(file, "rb") as made, _writing(out) as to:
            shutil.copyfileobj(made, to)


def _frames(
    course: Course,
    poses: Any,
    lidar: Any,
    fps: float,
    size: Size,
    scale: float,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Image.Image]:
    """The pictures of a film, the last moment always among them."""
    poses = _poses(poses)
    if not 1 <= fps <= 50:
        raise ValueError(f"fps: must lie within 1 and 50, not {fps!r}")
    moments = np.unique(np.append(np.arange(0, len(poses), 50 / fps).astype(int), len(poses) - 1))
    wide, high = size[0] / scale, size[1] / scale
    eye = poses[:, 0, 0] + 0.12 * wide
    level = _smooth(np.array([_level(course, x, wide, high) for x in eye]), 25)
    for done, t in enumerate(moments, 1):
        rays = None if lidar is None or lidar is False else (True if lidar is True else lidar[t])
        yield _frame(course, poses[t : t + 1], Camera(eye[t], level[t], scale, size), rays)
        if progress:
            progress(done, len(moments))


def _writing(out: Out) -> Any:
    """`out` as an open file; one that was open stays so."""
    return open(out, "wb") if isinstance(out, str | PathLike) else nullcontext(out)


def overview(course: Course, size: Size = (1200, 110), pose: Any = None) -> Image.Image:
    """The whole course as a strip, its heights squashed where they would not fit; `pose` f[5, 3] or f[K, 5,
    3] as `draw`."""
    low, high = _extent(course)
    scale = size[0] / LENGTH
    squash = min(1.0, size[1] / scale / (high + 3.2 - (low - 1.0)))
    middle = (high + 3.2 + low - 1.0) / 2 if squash < 1 else low - 1.0 + size[1] / scale / 2
    camera = Camera(LENGTH / 2, middle, scale, size, squash)
    return _frame(course, None if pose is None else _poses(pose), camera, None)


def gallery(
    items: Sequence[tuple[Course, Any, str]], size: Size = (900, 190), scale: float = 34.0, gap: int = 8
) -> Image.Image:
    """Pairs of course and walker under each other, one strip each: items are (course, pose or poses,
    caption)."""
    if not items:
        raise ValueError("items: must hold at least one course")
    whole = Image.new("RGB", (size[0], len(items) * (size[1] + gap) - gap), (255, 255, 255))
    font = ImageFont.load_default(15)
    for row, (course, pose, caption) in enumerate(items):
        strip = draw(course, pose, size, scale=scale)
        if caption:
            pen = ImageDraw.Draw(strip)
            box = pen.textbbox((12, 9), caption, font=font)
            pen.rounded_rectangle((box[0] - 6, box[1] - 4, box[2] + 6, box[3] + 4), 5, fill=(255, 255, 255))
            pen.text((12, 9), caption, font=font, fill=INK)
        whole.paste(strip, (0, row * (size[1] + gap)))
    return whole


def _poses(pose: Any) -> np.ndarray:
    """f64[K, 5, 3], K at least 1, finite."""
    array = np.asarray(pose, float)
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[1:] != (5, 3) or not len(array):
        raise ValueError(f"pose: must be of shape (5, 3) or (K, 5, 3), not {np.shape(pose)}")
    if not np.isfinite(array).all():
        raise ValueError("pose: must be finite")
    return array


def _extent(course: Course) -> tuple[float, float]:
    both = np.concatenate([course.left, course.right])
    return float(both.min()), float(both.max())


def _level(course: Course, x: float, wide: float, high: float) -> float:
    """The height of the picture's middle when it looks from x: the ground runs 0.3 of the way up."""
    ground = np.asarray(course.left, float)
    weight = np.exp(-(((np.arange(CELLS) * CELL - x + 0.12 * wide) / (0.22 * wide)) ** 2)) + 1e-9
    floor = np.median(ground[weight > 0.1 * weight.max()]) - 1.0  # a pit does not pull the camera down
    return float((weight * np.maximum(ground, floor)).sum() / weight.sum() + 0.2 * high)


def _smooth(values: np.ndarray, reach: int) -> np.ndarray:
    """A moving average over `reach` steps to both sides."""
    padded = np.pad(values, reach, mode="edge")
    return np.convolve(padded, np.full(2 * reach + 1, 1 / (2 * reach + 1)), "valid")


def _palette(course: Course, poses: np.ndarray, size: Size, scale: float, lidar: bool) -> Image.Image:
    """One palette for the whole film, so that colours do not flicker."""
    some = poses[np.linspace(0, len(poses) - 1, 4).astype(int)]
    sheet = Image.new("RGB", (size[0], size[1] * len(some)))
    for i, pose in enumerate(some):
        sheet.paste(draw(course, pose, size, lidar, scale), (0, i * size[1]))
    return sheet.quantize(96, method=Image.Quantize.MEDIANCUT)


def _frame(course: Course, poses: np.ndarray | None, camera: Camera, lidar: Any) -> Image.Image:
    image = Image.new("RGB", (camera.width, camera.height), SKY)
    pen = ImageDraw.Draw(image)
    _backdrop(pen, camera)
    _ground(pen, course, camera)
    if poses is not None:
        if lidar is not None and lidar is not False:
            _lidar(pen, course, poses[-1], camera, lidar)
        for i, pose in enumerate(poses):
            strength = 1.0 if len(poses) == 1 else 0.35 + 0.65 * i / (len(poses) - 1)
            _walker(pen, pose, camera, strength, float(course.load))
    return image.reduce(FINE)


def _backdrop(pen: ImageDraw.ImageDraw, camera: Camera) -> None:
    """Sky, clouds and hills; they are further away, so they pass more slowly."""
    wide, high = camera.width, camera.height
    for band in range(6):
        mix = band / 5
        colour = cast(Colour, tuple(round(s + (h - s) * mix) for s, h in zip(SKY, HAZE, strict=True)))
        pen.rectangle((0, high * band / 6, wide, high * (band + 1) / 6), fill=colour)
    unit = high / 12
    for i in range(-1, 30):
        x = (i * 9.0 + 2.6 * math.sin(i * 2.4)) * unit * 0.9 - camera.x * camera.scale * 0.08
        y = unit * (1.8 + 1.1 * math.sin(i * 1.7))
        if -6 * unit < x < wide + 6 * unit:
            for dx, dy, rx, ry in ((0, 0, 1.7, 0.5), (-0.7, -0.25, 0.8, 0.55), (0.5, -0.35, 1.0, 0.7)):
                cx, cy = x + dx * unit, y + dy * unit
                pen.ellipse((cx - rx * unit, cy - ry * unit, cx + rx * unit, cy + ry * unit), fill=CLOUD)
    for depth, colour in enumerate(HILLS):
        shift = camera.x * camera.scale * (0.16 + 0.14 * depth)
        xs = np.linspace(0, wide, 90)
        t = (xs + shift) / high
        ys = high * (0.56 + 0.09 * depth) - high * 0.07 * (
            np.sin(1.1 * t + 2 * depth) + 0.6 * np.sin(2.3 * t + 1.3 * depth) + 0.3 * np.sin(4.9 * t)
        )
        pen.polygon([*zip(xs.tolist(), ys.tolist(), strict=True), (wide, high), (0, high)], fill=colour)


def _ground(pen: ImageDraw.ImageDraw, course: Course, camera: Camera) -> None:
    """Earth under the surface, a band of grass on every slope, bare faces, and the flag at the goal."""
    first = max(int(camera.sides[0] / CELL) - 1, 0)
    last = min(int(camera.sides[1] / CELL) + 2, CELLS)
    bottom = camera.y - camera.height / camera.scale / camera.squash
    left, right = np.asarray(course.left, float), np.asarray(course.right, float)
    line = [point for i in range(first, last) for point in ((i * CELL, left[i]), ((i + 1) * CELL, right[i]))]
    if not line:
        return
    pen.polygon(camera([*line, (line[-1][0], bottom), (line[0][0], bottom)]), fill=EARTH)
    # The deep layer does not rise into stumps and steps, so that they look planted in the ground.
    around = np.lib.stride_tricks.sliding_window_view(np.pad(np.append(left, right[-1]), 6, mode="edge"), 13)
    buried = _smooth(np.median(around, 1), 4) - 1.1
    cells = np.arange(first, last)
    top = np.stack([left[cells], right[cells]], axis=1)
    deep = np.minimum(np.stack([buried[cells], buried[cells + 1]], axis=1), top)
    layers = [(deep, np.full_like(deep, bottom), DEEP)]
    turf, grass = (SOFT_EDGE, SOFT) if course.softness else (TURF, GRASS)
    layers += [(top, top - depth, colour) for depth, colour in ((0.17, turf), (0.10, grass))]
    x = np.stack([cells, cells + 1], axis=1) * CELL
    for upper, lower, colour in layers:
        # All cells are mapped at once, which takes a tenth of the time.
        edges = np.stack([x, upper], 2), np.stack([x, lower], 2)[:, ::-1]
        corners = camera(np.concatenate(edges, 1).reshape(-1, 2))
        for at in range(0, len(corners), 4):
            pen.polygon(corners[at : at + 4], fill=colour)
    for i in range(first, last - 1):
        if abs(right[i] - left[i + 1]) > 0.02:
            x, top, low = (i + 1) * CELL, max(right[i], left[i + 1]), min(right[i], left[i + 1])
            pen.line(camera([(x, top), (x, low)]), fill=FACE, width=max(FINE, round(0.05 * camera.scale)))
    if camera.sides[0] - 2 < GOAL < camera.sides[1] + 2:
        y = float(right[min(int(GOAL / CELL), CELLS - 1)])
        pen.line(
            camera([(GOAL, y - 0.1), (GOAL, y + 2.6)]), fill=POLE, width=max(FINE, round(0.07 * camera.scale))
        )
        pen.polygon(camera([(GOAL, y + 2.6), (GOAL + 1.1, y + 2.25), (GOAL, y + 1.9)]), fill=FLAG)


def _lidar(pen: ImageDraw.ImageDraw, course: Course, pose: np.ndarray, camera: Camera, lidar: Any) -> None:
    origin = pose[0, :2] - _turn(pose[0, 2]) @ CENTRE
    share = rays(course, *origin) if lidar is True else np.asarray(lidar, float)
    for fraction, angle in zip(share, ANGLES, strict=True):
        end = origin + fraction * RANGE * np.array([math.sin(angle), -math.cos(angle)])
        pen.line(camera([origin, end]), fill=RAY, width=max(FINE, round(0.03 * camera.scale)))
        if fraction < 1:
            (x, y), r = camera([end])[0], max(FINE, 0.07 * camera.scale)
            pen.ellipse((x - r, y - r, x + r, y + r), fill=HIT)


def _walker(pen: ImageDraw.ImageDraw, pose: np.ndarray, camera: Camera, strength: float, load: float) -> None:
    """The far leg (+1), the hull with its load in kg as a box on it, the near leg (-1); `strength` below 1
    fades towards the haze."""
    hull, *legs = pose
    _leg(pen, legs[2], legs[3], "far", camera, strength)
    if load:
        half = min(0.15 * math.sqrt(load), 0.5)  # m: twice as wide for four times the mass
        at = np.append(hull[:2] + _turn(hull[2]) @ np.array([-0.38, HULL[0, 1] + half]), hull[2])
        _shape(pen, half * np.array([(-1, 1), (1, 1), (1, -1), (-1, -1)]), at, CRATE, camera, strength)
    _shape(pen, HULL, hull, HULL_FILL, camera, strength)
    eye = camera([hull[:2] + _turn(hull[2]) @ np.array([0.72, -0.02])])[0]
    for reach, colour in ((0.095, EYE), (0.05, INK)):
        r = reach * camera.scale
        pen.ellipse((eye[0] - r, eye[1] - r, eye[0] + r, eye[1] + r), fill=_fade(colour, strength))
    _leg(pen, legs[0], legs[1], "near", camera, strength)


def _leg(
    pen: ImageDraw.ImageDraw, upper: np.ndarray, lower: np.ndarray, side: str, camera: Camera, strength: float
) -> None:
    for part, (half, length), colour in zip((lower, upper), (LOWER, UPPER), LEGS[side][::-1], strict=True):
        box = np.array([(-half, length), (half, length), (half, -length), (-half, -length)])
        _shape(pen, box, part, colour, camera, strength)
    for part in (upper, lower):
        (x, y), r = camera([part[:2] + _turn(part[2]) @ np.array([0, UPPER[1]])])[0], 0.045 * camera.scale
        pen.ellipse((x - r, y - r, x + r, y + r), fill=_fade(INK, strength))


def _shape(
    pen: ImageDraw.ImageDraw,
    corners: np.ndarray,
    part: np.ndarray,
    fill: Colour,
    camera: Camera,
    strength: float,
) -> None:
    """A body part with its outline: as large as what collides, its corners given in its own frame."""
    width = max(0.045, FINE / camera.scale)
    for inset, colour in ((-SKIN, INK), (width - SKIN, fill)):
        shrunk = np.sign(corners) * np.maximum(np.abs(corners) - inset, 0)
        pen.polygon(camera(part[:2] + shrunk @ _turn(part[2]).T), fill=_fade(colour, strength))


def _turn(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s], [s, c]])


def _fade(colour: Colour, strength: float) -> Colour:
    return cast(Colour, tuple(round(h + (c - h) * strength) for c, h in zip(colour, HAZE, strict=True)))
