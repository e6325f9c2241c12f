"""Walks to look at: many at once, as poses and as videos, in a process that never imports JAX."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from aiga.benchmarks.walker import trained
from aiga.brains import MLP
from aiga.brains.layers import perceptrons
from aiga.registry import SYSTEMS
from aiga.runs.codec import plain
from aiga.walker_ppo import BRAIN
from aiga.worlds.walker import body, draw
from aiga.worlds.walker.course import Course, Genes
from aiga.worlds.walker.episode import walk, walks
from aiga.worlds.walker.gait import gait
from aiga.worlds.walker.space import grow

COURSES = [Course.flat(), grow(Genes(roughness=1.0, seed=1)), grow(Genes(gap_width=(0.8, 0.8), seed=2))] * 2
WEIGHTS = np.stack([trained()] * 3 + [*np.random.default_rng(0).normal(0, 0.4, (3, 2804))]).astype(np.float32)
SEEDS = range(6)


def test_lock_step_is_one_by_one() -> None:
    act = perceptrons(WEIGHTS, (24, 40, 40, 4), "tanh", "tanh")
    together = walks(COURSES, act, SEEDS, 1200)
    assert len({len(played.poses) for played in together}) > 3
    for i, played in enumerate(together):
        alone = walk(COURSES[i], lambda seen, i=i: act(seen[None], np.array([i]))[0], SEEDS[i], 1200)
        assert alone.poses.tobytes() == played.poses.tobytes()
        assert alone.observations.tobytes() == played.observations.tobytes()
        assert alone[2:] == played[2:]
    assert together[0].finished and together[0].total > 300
    assert np.isfinite(gait(COURSES[0], together[0])).all()
    assert walks([], act, []) == []
    with pytest.raises(ValueError, match="seeds: one for each"):
        walks(COURSES, act, [1])


@pytest.mark.parametrize(("activation", "output"), [("tanh", "identity"), ("relu", "tanh")])
def test_networks_without_jax_act_as_those_with_it(activation: str, output: str) -> None:
    brain = MLP((24, 7, 33, 4), activation, output)
    weights = np.random.default_rng(0).normal(size=(5, brain.count)).astype(np.float32)
    rows = np.array([3, 0, 3])
    seen = np.random.default_rng(1).normal(size=(3, 24)).astype(np.float32)
    ours = perceptrons(weights, brain.sizes, activation, output)(seen, rows)
    theirs = [brain.act(brain.unflatten(weights[r]), (), s)[0] for r, s in zip(rows, seen, strict=True)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    for wrong, message in (
        (weights[:, 1:], "weights: "),
        (weights[0], "weights: "),
        (weights * np.nan, "fin"),
    ):
        with pytest.raises(ValueError, match=message):
            perceptrons(wrong, brain.sizes, activation, output)


@pytest.mark.parametrize(("system", "brain"), [("poet", MLP()), ("ppo", BRAIN.actor)])
def test_films_show_the_brains_that_are_taught(system: str, brain: MLP) -> None:
    entry = SYSTEMS[system]
    assert entry.policy and entry.shown
    policy = entry.policy(None)
    assert (policy.sizes, policy.activation, policy.output) == (brain.sizes, brain.activation, brain.output)

    # As a store would give it back.
    course = json.loads(json.dumps(plain(COURSES[1])))
    layers = brain.unflatten(WEIGHTS[4])
    seen = walk(COURSES[1], lambda o: brain.act(layers, (), o)[0], 7, 5)
    films = entry.shown.film({"max_steps": 5}, [(course, WEIGHTS[4], 7), (course, WEIGHTS[0], 8)])
    assert [film.moments.shape for film in films] == [(6, 7)] * 2
    assert (films[0].kind, films[0].rate, films[0].finished) == ("walker", 50, False)
    assert films[0].total == pytest.approx(seen.total, abs=1e-2)  # the last bits of a network grow
    np.testing.assert_allclose(films[0].moments, body.posture(seen.poses), atol=1e-2)
    assert np.array_equal(entry.shown.ground(course), [COURSES[1].left, COURSES[1].right])
    for wrong in (None, {}, {**course, "left": [1.0]}, {**course, "left": [None] * 199}):
        with pytest.raises(ValueError, match=r"Course|course\.left"):
            entry.shown.ground(wrong)
        with pytest.raises(ValueError, match=r"Course|course\.left"):
            entry.shown.film({}, [(course, WEIGHTS[0], 0), (wrong, WEIGHTS[0], 0)])
    with pytest.raises(ValueError, match="weights: 2804 numbers, not"):
        entry.shown.film({}, [(course, WEIGHTS[0], 0), (course, WEIGHTS[0, :9], 0)])


def test_legs_are_where_the_joints_put_them() -> None:
    """What `hinged` promises, with some room."""
    act = perceptrons(trained()[None], (24, 40, 40, 4), "tanh", "tanh")
    courses = [course for course in COURSES[:3] for _ in range(8)]
    played = walks(courses, lambda seen, rows: act(seen, rows * 0), range(len(courses)))
    poses = np.concatenate([each.poses[5:] for each in played])
    rebuilt = body.hinged(body.posture(poses))
    assert np.array_equal(rebuilt[:, 0].astype(np.float32), poses[:, 0])
    assert np.array_equal(rebuilt[..., 2].astype(np.float32), poses[..., 2])
    off = np.linalg.norm(rebuilt[..., :2] - poses[..., :2], axis=-1)
    assert off[:, [1, 3]].max() < 0.1
    assert np.all(np.quantile(off.max(1), (0.5, 0.9, 0.99)) < (0.002, 0.05, 0.2)) and off.max() < 0.5


def test_a_video_can_be_read_back(tmp_path: Path) -> None:
    act = perceptrons(trained()[None], (24, 40, 40, 4), "tanh", "tanh")
    played = walk(COURSES[0], lambda seen: act(seen[None], np.array([0])), 0, 40)
    assert len(played.poses) == 41
    done: list[tuple[int, int]] = []
    file = io.BytesIO()
    draw.video(COURSES[0], played.poses, file, True, 25, (320, 160), progress=lambda *now: done.append(now))
    assert done[0] == (1, 21) and done[-1] == (21, 21)
    data = file.getvalue()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    file.seek(0)
    with av.open(file) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 25)
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert np.shape(frames) == (21, 160, 320, 3)
    # The frames of the GIF: the same picture but for its palette and the video's compression.
    picture = io.BytesIO()
    draw.animate(COURSES[0], played.poses, picture, True, 25, (320, 160), 45.0)
    draw.animate(COURSES[0], played.poses, tmp_path / "walk.gif", True, 25, (320, 160), 45.0)
    assert (tmp_path / "walk.gif").read_bytes() == picture.getvalue()
    with Image.open(picture) as film:
        film.seek(20)
        assert np.abs(np.asarray(film.convert("RGB")).astype(int) - frames[-1]).mean() < 8
    with pytest.raises(ValueError, match="size: even numbers"):
        draw.video(COURSES[0], played.poses, io.BytesIO(), size=(321, 160))
    with pytest.raises(ValueError, match="fps: "):
        draw.video(COURSES[0], played.poses, io.BytesIO(), fps=60)


def test_no_jax_on_the_way_to_a_film() -> None:
    program = (
        "import sys, numpy\n"
        "import aiga.brains.layers, aiga.runs.store, aiga.worlds.walker.draw\n"
        "from aiga.registry import SYSTEMS\n"
        "course = {'left': [3.0] * 199, 'right': [3.0] * 199, 'genes': {}}\n"
        "for name in ('poet', 'ppo'):\n"
        "    SYSTEMS[name].policy(None), SYSTEMS[name].shown.ground(course)\n"
        "    SYSTEMS[name].shown.film({}, [(course, numpy.zeros(2804, numpy.float32), 0)])\n"
        "sys.exit('jax' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
