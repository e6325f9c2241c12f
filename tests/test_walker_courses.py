"""The courses of the walker: what is data, what is allowed, and that the pictures show what is there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import box2d
from aiga.worlds.walker import draw
from aiga.worlds.walker.course import BASE, CELL, CELLS, CPPN, PAD, Course, Genes, Link, Node, rays
from aiga.worlds.walker.cppn import CPPNSpace, activate, paint
from aiga.worlds.walker.space import FIRST, LIMITS, WalkerSpace, genes_in, grow


def test_one_seed_is_one_course_to_the_byte():
    genes = Genes((0.2, 0.4), (0.4, 0.8), (0.0, 0.4), 3, 1.2, seed=7)
    a, b = grow(genes), grow(genes)
    assert a.left.tobytes() == b.left.tobytes()
    assert a.right.tobytes() == b.right.tobytes()
    assert (
        grow(Genes(roughness=1.2, seed=8)).left.tobytes() != grow(Genes(roughness=1.2, seed=7)).left.tobytes()
    )
    assert np.all(a.left[:PAD] == np.float32(BASE))
    assert np.all(a.right[:PAD] == np.float32(BASE))


def test_obstacles_have_the_sizes_of_their_genes():
    stumps = grow(Genes(stump_height=(1.0, 2.0), seed=1))
    tall = (stumps.left - np.float32(BASE)) / CELL
    assert ((tall == 0) | ((tall >= 1 - 1e-5) & (tall <= 2 + 1e-5))).all()
    assert (tall > 0).sum() > 10
    pits = grow(Genes(gap_width=(3.0, 3.0), seed=1)).left < BASE - 1
    runs = np.diff(np.flatnonzero(np.diff(np.r_[False, pits, False])))[::2]
    assert set(runs[:-1]) == {3}
    stairs = grow(Genes(step_height=(0.5, 0.5), steps=2, seed=1))
    rises = (stairs.left[1:] - stairs.right[:-1]) / CELL
    assert np.allclose(np.abs(rises[rises != 0]), 0.5, atol=1e-5)
    assert len(set(np.sign(rises))) == 3


def test_children_stay_in_the_space_and_reach_its_limits():
    space, tight = WalkerSpace(), WalkerSpace(stump_height=0.6, gap_width=0, step_height=0, roughness=0.5)
    for start in (space, tight):
        course = Course.flat()
        seen = []
        for key in range(300):
            course = start.mutate(key, course)
            assert start.valid(course), course.genes
            seen.append(start.describe(course))
        most = np.max(seen, 0)
        assert most[4] > FIRST["stump_height"][1]
        assert (most[5:] == 0).all() == (start is tight)


def test_the_first_child_has_the_papers_first_values():
    genes = WalkerSpace().mutate(0, Course.flat()).genes
    assert (genes.stump_height, genes.gap_width, genes.step_height) == tuple(FIRST.values())
    assert genes.steps == 1
    assert 0 <= genes.roughness <= 0.6
    one = WalkerSpace(genes_per_mutation=1)
    changed = [np.count_nonzero(one.describe(one.mutate(key, Course.flat()))) for key in range(20)]
    assert set(changed) <= {0, 1, 2}


def test_a_network_paints_what_it_computes():
    """Input to a square node of bias 1, that and the input to a sin node, and both nodes to the output."""
    nodes = (Node(0, "identity", 0.5), Node(2, "sin", 0.0), Node(1, "square", 1.0))
    links = (Link(2, 0, 3.0), Link(1, 0, -1.0), Link(1, 2, 0.1), Link(-1, 2, 0.2), Link(-1, 1, 2.0))
    genes = CPPN(nodes, links, scale=0.5)
    x = np.linspace(-np.pi, np.pi, CELLS + 1)
    square = (2 * x + 1) ** 2
    height = 0.5 + 3 * np.sin(5 * (0.1 * square + 0.2 * x)) - square
    assert np.allclose(activate(genes, x), height)
    course = paint(genes)
    assert np.allclose(course.left[PAD:] - BASE, 0.5 * (height[PAD:-1] - height[PAD]), atol=1e-5)
    assert np.all(course.left[:PAD] == np.float32(BASE))
    assert np.array_equal(course.left[1:], course.right[:-1])


def test_painted_courses_stay_in_the_space_and_grow_in_every_way():
    space, most = CPPNSpace(power=1.0), 0.0
    kinds, joined = set(), False
    for line in range(10):
        course = space.first
        for key in range(40):
            course = space.mutate(1000 * line + key, course)
            assert space.valid(course), course.genes
            far = np.abs(space.describe(course)).max()
            assert far <= space.highest * 1.001
            most = max(most, far)
        assert isinstance(course.genes, CPPN)
        kinds |= {node.activation for node in course.genes.nodes}
        joined |= len(course.genes.links) > len(course.genes.nodes)
    assert kinds == {"identity", "sin", "sigmoid", "square", "tanh"}
    assert joined  # not a chain
    assert most > 5
    assert not space.valid(Course(course.left + np.float32(0.1), course.right, course.genes))
    steep = CPPN((Node(0, "identity", 0.0),), (Link(-1, 0, 9.9),))
    assert not space.valid(paint(steep))
    assert not space.valid(replace(paint(steep), genes=replace(steep, scale=1e6)))
    assert not space.valid(replace(course, genes=replace(steep, links=(*steep.links, Link(0, 0, 1.0)))))
    for name, wrong in (("add_node", 2), ("power", 0), ("lowest", 0), ("highest", 0.5)):
        with pytest.raises(ValueError, match=name):
            replace(space, **{name: wrong})


def test_bad_courses_are_refused_by_name():
    for left, message in (
        (np.zeros(CELLS - 1), "course.left: must hold 199"),
        (np.full(CELLS, np.nan), "course.left: must be finite"),
        (np.full(CELLS, 1e9), "course.left: must lie within"),
        (["hill"] * CELLS, "course.left: must be 199 numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            Course.from_heights(left, np.zeros(CELLS))
        assert not WalkerSpace().valid(Course(left, np.zeros(CELLS, np.float32)))
    assert not WalkerSpace().valid(grow(Genes(stump_height=(2.0, 1.0))))
    assert not WalkerSpace(roughness=1.0).valid(grow(Genes(roughness=1.5)))
    for name in LIMITS:
        with pytest.raises(ValueError, match=name):
            WalkerSpace(**{name: -1})


def test_lidar_of_the_pictures_is_box2ds():
    course = grow(Genes((0.0, 1.0), (0.0, 2.0), (0.0, 1.0), 2, 1.0, seed=3))
    env = box2d.make(course, seed=0)
    for x in np.linspace(3, 80, 40):
        top = float(course.left[int(x / CELL)])
        bodies = box2d.get_bodies(env)
        bodies[:, :2] += (x, top + 2.5) - bodies[0, :2]
        box2d.set_bodies(env, bodies)
        observation = env.step(np.zeros(4))[0]
        assert np.allclose(rays(course, *box2d.parts(env)[0].position), observation[14:], atol=2e-6)


def test_pictures(tmp_path):
    course = grow(Genes(gap_width=(2.0, 2.0), seed=3))
    poses = box2d.record(box2d.make(course, 0), box2d.Heuristic(), 50)["bodies"][:, :, :3]
    plain, seen = draw.draw(course, poses[-1]), draw.draw(course, poses[-1], lidar=True)
    assert plain.size == (640, 320)
    assert np.any(np.asarray(plain) != np.asarray(seen))
    strip = np.asarray(draw.overview(course, (796, 110))).astype(int)
    pit = int(np.flatnonzero(course.left < BASE - 1)[0])
    column = [tuple(strip[92, round((i + 0.5) * 4)]) for i in (pit - 1, pit)]
    assert column[0] != column[1]
    draw.animate(course, poses, tmp_path / "walk.gif", lidar=True, fps=25)
    with Image.open(tmp_path / "walk.gif") as film:
        assert getattr(film, "n_frames") == 26  # noqa: B009
        assert film.info["duration"] == 40
    assert draw.gallery([(course, poses[::10], "a walk"), (Course.flat(), poses[0], "")]).size == (900, 388)
    with pytest.raises(ValueError, match="pose: must be finite"):
        draw.draw(course, np.full((5, 3), np.nan))


def drawn(course: Course, **changes: object) -> dict:
    return {"left": course.left.tolist(), "right": course.right.tolist(), **changes}


@pytest.mark.parametrize(
    "genes",
    [
        Genes(roughness=2.0),
        Genes(stump_height=(1.0, 2.4), roughness=1.0),
        Genes(gap_width=(2.0, 9.0), roughness=0.5),
        Genes(step_height=(0.4, 1.2), steps=4, roughness=1.0),
        Genes((1.0, 2.0), (2.0, 5.0), (0.4, 1.0), 3, 1.5),
    ],
)
def test_genes_are_read_off_the_heights(genes):
    """Medians over 60 courses: of the ends of a range that a course draws a few sizes from."""
    found = [genes_in(grow(replace(genes, seed=seed))) for seed in range(60)]
    for name, near in (("stump_height", 0.5), ("gap_width", 1.1), ("step_height", 0.4)):
        pairs, wanted = np.array([getattr(each, name) for each in found]), np.array(getattr(genes, name))
        np.testing.assert_allclose(np.median(pairs, 0), wanted, atol=near)
        # None is beyond what it was drawn from but by rounding: a gap's to whole cells, a number's to 0.1.
        assert (pairs.max(1) <= wanted[1] + 0.5).all()
    assert np.median([each.steps for each in found]) == genes.steps
    assert np.median([each.roughness for each in found]) == pytest.approx(genes.roughness, rel=0.15)


def test_a_drawing_keeps_its_heights_and_has_children():
    space, found = WalkerSpace(), []
    for key in range(40):
        course = space.sample(key)
        adopted = space.adopt(drawn(course))
        assert adopted.left.tobytes() == course.left.tobytes()
        assert adopted.right.tobytes() == course.right.tobytes()
        assert space.valid(adopted) and space.valid(space.mutate(key, adopted))
        found.append(adopted.genes.seed)
    assert len(set(found)) == 40
    flat = space.adopt(drawn(Course.flat())).genes
    assert replace(flat, seed=0) == Genes()
    # A lone stump of half a metre: mutation can go on from its range.
    stump = Course.flat()
    stump.left[50] = stump.right[50] = BASE + CELL
    assert space.adopt(drawn(stump)).genes.stump_height == (1.0, 1.0)
    stump.left[50] = stump.right[50] = BASE + 0.2 * CELL
    assert space.adopt(drawn(stump)).genes.stump_height == (0.2, 0.4)


def edited(cells: slice, height: float) -> dict:
    course = Course.flat()
    course.left[cells] = course.right[cells] = BASE + height
    return drawn(course)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"left": [0.0] * 199}, r"course\.right: must be 199 numbers within -1000 and 1000 m"),
        (drawn(Course.flat(), left=["4"] * 199), r"course\.left: must be 199 numbers"),
        (drawn(Course.flat(), left=[True] * 199), r"course\.left: must be 199 numbers"),
        (drawn(Course.flat(), left=[10**400] * 199), r"course\.left: must be 199 numbers"),
        (drawn(Course.flat(), left=[4.0] * 7), r"course\.left: must hold 199 numbers"),
        (drawn(Course.flat(), genes={}), r"course\.genes: unknown"),
        (edited(slice(0, 200), 0.6), r"course: its first 20 cells must be within 0\.5 m of 3\.333 m"),
        (edited(slice(0, 10), 0.3), r"course: its first 20 cells must have no vertical face"),
        (edited(slice(60, 61), 3.0), r"stump_height: the course has 6\.4, this space goes up to 2"),
        (edited(slice(60, 68), -1.5), r"gap_width: the course has 8, this space goes up to 0"),
        (edited(slice(60, 90), 3.0), r"step_height: the course has 6\.4, this space goes up to 5"),
    ],
)
def test_a_drawing_beyond_the_space_is_refused(data, line):
    with pytest.raises(ValueError, match=f"^{line}"):
        WalkerSpace(stump_height=2.0, gap_width=0).adopt(data)
