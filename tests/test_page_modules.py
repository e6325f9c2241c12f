"""The page's modules against their originals: what they draw with is what the server and the worlds say."""

from __future__ import annotations

import json
import struct
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

import browser
import walkers
from aiga.registry import Film
from aiga.viewer import app, reading
from aiga.viewer.films import packed
from aiga.worlds.walker import course
from aiga.worlds.walker.course import Course, Genes
from aiga.worlds.walker.space import grow
from stores import Place

STATIC = Path(app.__file__).parent / "static"
# What the page's import map does, and the little of a browser that modules ask for when they are imported.
BEFORE = f"""
import {{ registerHooks }} from "node:module";
registerHooks({{
  resolve: (name, context, next) => name.startsWith("aiga/")
    ? {{ url: new URL(name.slice(5), "{STATIC.as_uri()}/").href, format: "module", shortCircuit: true }}
    : next(name, context),
}});
globalThis.addEventListener = () => {{}};
globalThis.document = {{ documentElement: {{}}, addEventListener() {{}} }};
globalThis.matchMedia = () => ({{ matches: false, addEventListener() {{}} }});
globalThis.MutationObserver = class {{ observe() {{}} }};
"""


@pytest.fixture(scope="module")
def node() -> str:
    return browser.node()


def run(node: str, program: str, given: Any) -> Any:
    """What `program` makes of `given`: its value `made`, by way of JSON."""
    text = (
        'const given = JSON.parse((await import("node:fs")).readFileSync(0, "utf8"));\n'
        f"let made;\n{program}\nconsole.log(JSON.stringify(made));"
    )
    words = [node, "--import", f"data:text/javascript,{quote(BEFORE)}", "--input-type=module", "--eval", text]
    ran = subprocess.run(words, input=json.dumps(given), capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    return json.loads(ran.stdout)


def test_sizes_are_those_of_the_world(node: str) -> None:
    names = ("CELL", "CELLS", "BASE", "PAD", "GOAL")
    program = f'const found = await import("aiga/courses.js"); made = {list(names)}.map((n) => found[n]);'
    assert run(node, program, None) == pytest.approx([getattr(course, name) for name in names])
    angles = run(node, 'made = (await import("aiga/kinds/walker.js")).ANGLES;', None)
    np.testing.assert_allclose(angles, course.ANGLES)


def test_rays_meet_the_ground_where_the_lidar_does(node: str) -> None:
    rng = np.random.default_rng(5)
    genes = [
        Genes(),
        Genes(roughness=4.0, seed=1),
        Genes(stump_height=(1.0, 4.0), gap_width=(2.0, 6.0), roughness=1.0, seed=2),
        Genes(step_height=(1.0, 3.0), steps=5, roughness=0.5, seed=3),
    ]
    courses = [grow(each) for each in genes]
    # No jump is the same as the one before it, and no cell level: every branch is taken.
    noise = rng.normal(course.BASE, 0.7, (2, course.CELLS))
    courses.append(Course.from_heights(*noise))
    asked, expected = [], []
    for ground in courses:
        left, right = (np.asarray(side, float) for side in (ground.left, ground.right))
        for x in rng.uniform(-2, course.LENGTH + 2, 60):
            y = float(np.interp(x, np.arange(course.CELLS) * course.CELL, left) + rng.uniform(0.2, 5.5))
            asked.append({"left": left.tolist(), "right": right.tolist(), "x": x, "y": y})
            expected.append(course.rays(ground, x, y))
    program = (
        'const { rays } = await import("aiga/kinds/walker.js");\n'
        "made = given.map(({ left, right, x, y }) => rays({ left, right }, x, y));"
    )
    found = np.array(run(node, program, asked))
    assert 0.1 < (found < 1).mean() < 0.99
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_films_come_out_as_they_went_in(node: str) -> None:
    rng = np.random.default_rng(6)
    films = [
        Film("walker", 50.0, rng.normal(size=(count, width)).astype(np.float32), -1.5, count == 40)
        for count, width in ((40, 7), (1, 7), (3, 2))
    ]
    about = [{"environment": i, "agent": "ä" * i, "seed": 2**32 - 1} for i in range(3)]
    body = packed(list(zip(about, films, strict=True)))
    (length,) = struct.unpack("<I", body[:4])
    assert length % 4 == 0 and json.loads(body[4 : 4 + length])[2]["count"] == 3
    # Before, at, between and after the moments of a film.
    seconds = [-1.0, 0.0, 0.005, 0.02, 0.0333, 0.777, 0.78, 5.0]
    program = """
      const { unpack } = await import("aiga/source.js");
      const { moment, length } = await import("aiga/films.js");
      const films = unpack(Uint8Array.from(atob(given.body), (letter) => letter.charCodeAt(0)).buffer);
      made = films.map((film) => ({
        ...film, moments: [...film.moments], length: length(film),
        at: given.seconds.map((s) => moment(film, s, new Array(film.width).fill(0))),
      }));"""
    found = run(node, program, {"body": b64encode(body).decode(), "seconds": seconds})
    for told, film, made in zip(about, films, found, strict=True):
        assert {name: made[name] for name in told} == told
        assert (made["kind"], made["rate"], made["total"], made["finished"]) == (
            *(film.kind, film.rate, film.total),
            film.finished,
        )
        count, width = film.moments.shape
        assert np.array_equal(np.reshape(made["moments"], (count, width)), film.moments)
        times = np.arange(count) / film.rate
        expected = np.stack([np.interp(seconds, times, column) for column in film.moments.T], 1)
        np.testing.assert_allclose(made["at"], expected, atol=1e-5)
        assert made["length"] == pytest.approx(times[-1])


def test_a_world_that_was_told_all_changes_is_the_run(node: str, walked: Place, tmp_path: Path) -> None:
    place, told, snapshots = walked.copy(tmp_path), [], []
    for iteration in (0, 3, 6):
        walkers.work(place, walkers.ITERATIONS + iteration)
        with place.open(walkers.NAME) as store:
            if snapshots:
                told.append({"running": True, **reading.changes(store, snapshots[-1]["cursor"])})
            snapshots.append(reading.environments(store))
            overview = reading.overview(store, True)
    told.append({"running": False})
    program = """
      const { World } = await import("aiga/world.js");
      const plain = (world) => ({
        iteration: world.iteration, running: world.running, active: world.active().map((each) => each.id),
        environments: [...world.environments.values()].sort((a, b) => a.id - b.id),
        transfers: world.transfers.map((each) => JSON.stringify(each)).sort(),
      });
      const world = new World(given.overview, given.first);
      const changes = [];
      given.told.forEach((each) => changes.push(world.apply(each)));
      made = {
        told: plain(world), asked: plain(new World({ ...given.overview, running: false }, given.last)),
        births: changes.flatMap((each) => each.births.map((birth) => birth.id)), metrics: world.metrics,
      };"""
    given = {"overview": overview, "first": snapshots[0], "last": snapshots[-1], "told": told}
    made = run(node, program, given)
    assert made["told"] == made["asked"]
    assert made["told"]["iteration"] == walkers.ITERATIONS + 6 and made["told"]["running"] is False
    known = snapshots[0]["environments"]["id"]
    assert made["births"] == [i for i in snapshots[-1]["environments"]["id"] if i not in known] != []
    assert made["metrics"] == overview["metrics"]
