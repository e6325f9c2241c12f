"""The walker in JAX: the readable specification of the physics, and the path for GPUs.

The world is Gymnasium's `BipedalWalker` (Box2D 2.3): a hull and two legs of two parts, motors at hips and
knees, on courses of our own. Box2D iterates 180 times over joints and contacts in each step of 1/50 s; here a
step is

1. contacts: every leg part against every edge of the ground near it, as Box2D's manifolds; 2. velocities:
what those iterations converge to, found by a few Newton steps over the seven velocities that the joints leave
free; motors, joint limits and contacts are rows whose impulse reacts to a speed or is held at a bound (a
primal-dual active set on the augmented Lagrangian: Hintermueller, Ito, Kunisch 2002); 3. positions:
integrated for each body, then corrected as Box2D does, contact by contact and joint by joint; 4. arrival: a
leg that met the ground within the step is stopped there, as by Box2D's continuous collision.

The native kernel (`native/walker`) is the same algorithm with a SIMD lane for each environment. Inside this
file every array has the environments on its last axis, where the compiler can vectorise them;
`WalkerWorld.step` takes one environment and becomes that under `vmap`. Axis letters: B environments, P leg
parts (upper, lower, upper, lower), K contacts of a part, R rows of the velocity solver.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from aiga.interfaces import View
from aiga.worlds.walker import body
from aiga.worlds.walker.body import CHILD, DT, GRAVITY, INERTIA, MASS, PARENT, TORQUE
from aiga.worlds.walker.course import CELL, CELLS, GOAL, Course, Genes

SLOP, SKIN = 0.005, 0.02  # m: Box2D's linear slop, and two polygon radii of 0.01
ANGULAR_SLOP, ANGULAR_STEP = float(np.deg2rad(2)), float(np.deg2rad(8))
HALF, CENTRE = body.LEG_HALF, body.HULL_CENTRE
WIDTH = np.tile(body.LEG_HALF_WIDTH, 2)[:, None]  # f32[P, 1], half of it
HIP = body.HIP - body.HULL_CENTRE  # from the hull's centre of mass
REFERENCE, LOWER, UPPER, RATED = (v[:, None] for v in (body.REFERENCE, body.LOWER, body.UPPER, body.RATED))
ISLAND = np.array([3, 2, 0, 1])  # the order in which Box2D visits the joints
SPIN: Any = np.eye(7, dtype=np.float32)[2:, :, None]  # [5, 7, 1], of each body in the free velocities
POINTS, MEETINGS = 6, 8  # of contact of one part, and of all parts together; more are dropped
REACH = 160 / 30  # m, of the lidar
RAYS = (0.15 * np.arange(1, 10)).astype(np.float32)[:, None, None]  # rad from straight down; one more is 0
STIFF_CONTACT, STIFF_JOINT = 1500.0, 600.0  # of the augmented Lagrangian: far above the masses
TOLERANCE = 1e-3  # m/s or rad/s by which a row may miss its target
EDGE = 1e-4  # m/s, rad/s, N s or N m s by which it may pass from reacting to held and back
SWEEPS = 10
PASSES = 60  # of Box2D's position solver
TORN = 0.12  # m by which a joint is torn, so that all of them are needed
STARTING = 3  # steps that an episode's start, with knees torn by 20 cm, is felt in the joints
ONE_BY_ONE = 6  # the Newton step from which rows change sides one at a time, so that they cannot cycle
BEFORE, AFTER, ABYSS = 4, 16, -1e4  # cells around a course, so that no look-up leaves it; m after its end


class Bodies(NamedTuple):
    """Centres of mass, angles and their velocities, each f32[5, B] (or of some bodies)."""

    x: Any
    y: Any
    a: Any
    vx: Any
    vy: Any
    w: Any


class Ground(NamedTuple):
    """A course as the solvers see it."""

    heights: Any  # f32[cells + pads, 2, B], m, left and right of each cell
    of: body.Setting  # f32[B] each


class Contacts(NamedTuple):
    """Possible points of contact between leg parts and edges of the ground; each field [K, P, B].

    As in Box2D's manifolds either the edge is the reference, and a point of the part is kept off its line, or
    a face of the part is, and a point of the edge is kept off that face.
    """

    on: Any  # bool
    by_face: Any  # bool: the part's face is the reference
    nx: Any  # from the ground into the part
    ny: Any
    px: Any  # where, in the world
    py: Any
    lx: Any  # edge: the point in the part; face: its normal in the part
    ly: Any
    offset: Any  # edge: its line's n.p; face: its distance
    depth: Any  # distance of the cores, negative inside
    cells: Any  # i32, the cell whose slope is touched, as one bit modulo 16
    shared: Any  # bool: the next edge has the same point, or, in soft ground, it is no corner


@dataclass(frozen=True)
class State:
    """One walker between two steps."""

    bodies: Any  # f32[5, 6]: x, y, angle and their velocities
    flags: Any  # f32[2], Gymnasium's contact flags of the lower legs
    touch: Any  # i32[2], the cells of ground each lower leg touches, one bit each
    shaping: Any  # f32[], the potential whose change is the reward
    time: Any  # i32[], steps taken
    finished: Any  # bool[], the end of the course was reached


for _class in (State, Course, Genes):
    jax.tree_util.register_dataclass(_class)


@dataclass(frozen=True)
class WalkerWorld:
    """The walker as a `World`: courses are `Course`s, observations f32[24], actions f32[4] in [-1, 1].

    `newton` and `position` bound the iterations of the two solvers (as `kernel.Quality`), `max_steps`
    truncates. `bug_flags` emulates Gymnasium's contact flag, which is cleared when any one edge is left even
    if another still touches.
    """

    max_steps: int = 2000
    newton: int = 9
    position: int = 4
    bug_flags: bool = True

    def reset(self, key: jax.Array, course: Course) -> tuple[State, View]:
        """The walker as Gymnasium's `reset` leaves it, given a push of U(-5, 5) N."""
        push = jax.random.uniform(key, (1,), jnp.float32, -body.PUSH, body.PUSH)
        return self.begin(body.start(push, jnp.asarray(course.left)[10:11], jnp)[0], course)

    def begin(self, numbers: Any, course: Course) -> tuple[State, View]:
        """The walker in a state of the native kernel, f32[36] (`body.start`)."""
        n = jnp.asarray(numbers, jnp.float32)
        state = State(
            n[:30].reshape(5, 6),
            n[30:32],
            n[32:34].astype(jnp.int32),
            n[34],
            n[35].astype(jnp.int32),
            jnp.asarray(False),
        )
        observation = observe(
            Bodies(*state.bodies.T[:, :, None]), state.flags[:, None], pad(course).heights[..., None]
        )
        return state, View(observation[:, 0], jnp.float32(0), jnp.asarray(False), jnp.asarray(False))

    def step(self, key: jax.Array | None, state: State, action: Any, course: Course) -> tuple[State, View]:
        """One fiftieth of a second. Nothing in it is random: `key` is not used."""
        action = jnp.asarray(action, jnp.float32)
        memory = (state.bodies, state.flags, state.touch, state.shaping, state.time)
        memory, observation, reward, terminated, finished = _single(self)(memory, action, pad(course))
        bodies, flags, touch, shaping, time = memory
        view = View(observation, reward, terminated, ~terminated & (time >= self.max_steps))
        return State(bodies, flags, touch, shaping, time, finished), view

    def finished(self, state: State) -> Any:
        """Whether the walker reached the end of the course, bool[]."""
        return state.finished


def _single(world: WalkerWorld) -> Any:
    """`advance` for one environment; under `vmap` it is `advance` for all of them at once."""

    @jax.custom_batching.custom_vmap
    def step(memory: Any, action: Any, ground: Any) -> Any:
        last = jax.tree.map(lambda leaf: leaf[..., None], (memory, action, ground))
        return jax.tree.map(lambda leaf: leaf[..., 0], advance(world, *last))

    @step.def_vmap
    def _(size: int, batched: Any, memory: Any, action: Any, ground: Any) -> Any:
        def to_last(leaf: Any, has: bool) -> Any:
            return (
                jnp.moveaxis(leaf, 0, -1) if has else jnp.broadcast_to(leaf[..., None], (*leaf.shape, size))
            )

        out = advance(world, *jax.tree.map(to_last, (memory, action, ground), tuple(batched)))
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), out), jax.tree.map(lambda _: True, out)

    return step


def advance(world: WalkerWorld, memory: Any, action: Any, given: Ground) -> Any:
    """One step of B walkers: `memory` is (bodies f32[5, 6, B], flags f32[2, B], touch i32[2, B], shaping
    f32[B], time i32[B]), `action` f32[4, B], `given` as `pad`. Returns memory, observation f32[24, B],
    reward f32[B], terminated and finished bool[B]."""
    bodies, flags, touch, shaping, time = memory
    ground, of = given
    b = Bodies(*jnp.moveaxis(bodies, 1, 0))
    fallen = hull_touches(ground, b, SKIN)
    contacts = find_contacts(given, parts(b), True, SKIN)
    touched = _cells(contacts.on, contacts)[1::2]
    flags, touch = raise_flags(flags, touch, touched, world.bug_flags)
    stops = stopped(b)

    b = solve_velocities(b, of, action, contacts, stops, world.newton)
    before = b
    b = b._replace(w=jnp.clip(b.w, -jnp.pi / 2 / DT, jnp.pi / 2 / DT))
    b = b._replace(x=b.x + b.vx * DT, y=b.y + b.vy * DT, a=b.a + b.w * DT)
    b = solve_positions(b, of, contacts, stops, jnp.where(time < STARTING, PASSES, world.position))
    legs, arrived, met = arrive(given, parts(b), parts(before))
    b = Bodies(*(jnp.concatenate([whole[:1], part]) for whole, part in zip(b, legs, strict=True)))
    late = raise_flags(flags, touch, touch | met[1::2], world.bug_flags)
    flags, touch = (jnp.where(arrived[1::2], new, old) for new, old in zip(late, (flags, touch), strict=True))
    fallen |= hull_touches(ground, b, SLOP)

    value = potential(b)
    reward = value - shaping - 0.00035 * TORQUE * jnp.minimum(jnp.abs(action), 1).sum(0)
    x = origin(b)[0]
    fallen |= x < 0
    reward = jnp.where(fallen, -100.0, reward)
    finished = (x > GOAL) & ~fallen
    lost = jnp.isnan(b.x[0])
    memory = jnp.stack(b, 1), flags, touch, value, time + 1
    return memory, observe(b, flags, ground), reward, fallen | finished | lost, finished


# The ground ------------------------------------------------------------------------------------------------


def pad(course: Course) -> Ground:
    """A course as `Ground` without its last axis: flat before the start, an abyss after the end."""
    both = jnp.stack([jnp.asarray(course.left, jnp.float32), jnp.asarray(course.right, jnp.float32)], -1)
    first = jnp.full((BEFORE, 2), both[0, 0])
    padded = jnp.concatenate([first, both, jnp.full((AFTER, 2), ABYSS, jnp.float32)])
    return Ground(padded, body.setting(course.friction, course.softness, course.load, jnp))


def cell_of(x: Any) -> Any:
    """The cell i32 under x m, the first or last where there is none."""
    return jnp.clip(x / CELL, 0, CELLS - 1).astype(jnp.int32)


def border(cell: Any) -> Any:
    """Where `cell` i32 begins, in m."""
    return cell.astype(jnp.float32) * CELL


def height(ground: Any, cell: Any, side: int) -> Any:
    """Heights at `cell` i32[..., B] of ground f32[G, 2, B]: side 0 its left end, 1 its right, -1 and 2 the
    nearest ends of its neighbours, and so on outwards."""
    flat = ground.reshape(-1, ground.shape[-1])
    index = (cell + BEFORE) * 2 + side
    return jnp.take_along_axis(flat, index.reshape(-1, index.shape[-1]), 0).reshape(index.shape)


def _cells(on: Any, contacts: Contacts) -> Any:
    """i32[P, B]: the cells touched by the contacts that are `on`."""
    return lax.reduce(jnp.where(on, contacts.cells, 0), np.int32(0), lax.bitwise_or, (0,))


# Contacts --------------------------------------------------------------------------------------------------


def parts(b: Bodies) -> Bodies:
    """The leg parts, f32[P, B] each."""
    return Bodies(*(field[1:] for field in b))


def find_contacts(given: Ground, part: Bodies, live: Any, limit: float) -> Contacts:
    """All contacts of leg parts f32[P, B] with cores closer than `limit` m; `live` bool[P, B] or True.

    A part lies over at most four cells; each has its slope, and may have a vertical face at its left end.
    """
    wide = HALF * jnp.abs(jnp.sin(part.a)) + WIDTH * jnp.abs(jnp.cos(part.a)) + limit
    cell = cell_of(part.x - wide) + np.arange(4, dtype=np.int32)[:, None, None]
    x = border(cell)
    before, left, right, after = (height(given.heights, cell, side) for side in (-1, 0, 1, 2))
    on = live & (x <= part.x + wide) & (cell < CELLS)
    step = on & (before != left) & (x >= part.x - wide)
    x1, y1, x2, y2 = (
        jnp.stack([face, slope], 1).reshape(8, *part.x.shape)
        for face, slope in ((x, x), (before, left), (x, x + CELL), (left, right))
    )
    one = jnp.left_shift(jnp.int32(1), cell & 15)
    cells = jnp.stack([jnp.zeros_like(one), one], 1).reshape(x1.shape)
    live = jnp.stack([step, on], 1).reshape(x1.shape)
    begun, goes_on = (
        jnp.stack([jnp.zeros_like(on), same], 1).reshape(x1.shape)
        for same in (before == left, right == after)
    )
    # A scan, because the compiler would make each manifold anew for every place it may move to below.
    edges, soft = (x1, y1, x2, y2, live, cells, begun, goes_on), given.of.depth > 0
    _, both = lax.scan(lambda _, edge: (None, manifold(part, *edge, soft, limit)), None, edges)
    both = Contacts(*(field.reshape(-1, *part.x.shape) for field in both))
    return Contacts(*first_of(both, both.on, POINTS))


def first_of(fields: Iterable[Any], on: Any, most: int) -> tuple[Any, ...]:
    """The first `most` entries of each field [K, ..., B] that are `on` bool[K, ..., B], then zeros."""
    fields = tuple(fields)
    places = np.arange(most, dtype=np.int32).reshape(-1, *[1] * (on.ndim - 1))

    def put(kept: Any, entry: Any) -> Any:
        place, on, values = entry
        here = on & (place == places)
        return tuple(jnp.where(here, new, old) for new, old in zip(values, kept, strict=True)), None

    none = tuple(jnp.zeros((most, *field.shape[1:]), field.dtype) for field in fields)
    return lax.scan(put, none, (jnp.cumsum(on, 0, dtype=jnp.int32) - 1, on, fields))[0]


def manifold(
    part: Bodies,
    x1: Any,
    y1: Any,
    x2: Any,
    y2: Any,
    live: Any,
    cells: Any,
    begun: Any,
    goes_on: Any,
    soft: Any,
    limit: float,
) -> Contacts:
    """Box2D's `b2CollideEdgeAndPolygon` for an edge without neighbours and a box.

    The edges' ends are f32[P, B], one edge for each part; `begun` and `goes_on` say whether another ends
    where it begins and begins where it ends; of two points [2, P, B] both, one or none are on. In `soft`
    ground bool[B] a part has sunk below the ends of edges, and would be pushed off sideways at every border
    of cells. So there the edge is the reference at an end at which another goes on, and of the part's points
    its corners alone count: as many springs wherever the border is.
    """
    c, s = jnp.cos(part.a), jnp.sin(part.a)
    length = jnp.sqrt((x2 - x1) ** 2 + (y2 - y1) ** 2)
    ex, ey = ((end - start) / jnp.where(live, length, 1.0) for start, end in ((x1, x2), (y1, y2)))
    dx, dy = part.x - x1, part.y - y1
    tall = dy * ex - dx * ey
    nx, ny, tall = jnp.where(tall < 0, ey, -ey), jnp.where(tall < 0, -ex, ex), jnp.abs(tall)
    # In the part's own frame it is an upright box: n is (na, nb), the edge runs from (u1, v1) along (ea, eb).
    na, nb, ea, eb = nx * c + ny * s, ny * c - nx * s, ex * c + ey * s, ey * c - ex * s
    u1, v1 = -(c * dx + s * dy), s * dx - c * dy
    u2, v2 = u1 + ea * length, v1 + eb * length
    by_edge = tall - jnp.abs(na) * WIDTH - jnp.abs(nb) * HALF
    right, left = jnp.minimum(u1, u2), -jnp.maximum(u1, u2)
    above, below = jnp.minimum(v1, v2), -jnp.maximum(v1, v2)
    across, along = jnp.maximum(right, left) - WIDTH, jnp.maximum(above, below) - HALF
    by_part = jnp.maximum(across, along)
    on = live & (by_edge <= limit) & (by_part <= limit)
    face = by_part > 0.98 * by_edge + 0.001
    face &= ~(soft & jnp.where(dx * ex + dy * ey < 0.5 * length, begun, goes_on))
    # side: it is a left or right face of the part, not its top or bottom
    side = jnp.where(face, across > along, jnp.abs(na) > jnp.abs(nb))
    positive = jnp.where(side, jnp.where(face, right > left, na < 0), jnp.where(face, above > below, nb < 0))
    sign = jnp.where(positive, 1.0, -1.0)
    fa, fb = jnp.where(side, sign, 0.0), jnp.where(side, 0.0, sign)  # the face's normal
    distance, half = jnp.where(side, WIDTH, HALF), jnp.where(side, HALF, WIDTH)
    # The face clipped to the edge's ends, or the edge to the face's.
    slope = jnp.where(side, eb, ea)
    slope = jnp.where(jnp.abs(slope) < 1e-6, 1e-6, slope)
    start = jnp.where(face, jnp.where(side, v1, u1), ea * (fa * distance - u1) + eb * (fb * distance - v1))
    t1, t2 = ((end - start) / slope for end in (jnp.where(face, -half, 0.0), jnp.where(face, half, length)))
    low = jnp.maximum(jnp.minimum(t1, t2), jnp.where(face, 0.0, -half))
    high = jnp.minimum(jnp.maximum(t1, t2), jnp.where(face, length, half))
    points = []
    for t in (low, high):
        u = jnp.where(face, u1 + t * ea, jnp.where(side, fa * distance, t))
        v = jnp.where(face, v1 + t * eb, jnp.where(side, t, fb * distance))
        depth = jnp.where(face, fa * u + fb * v - distance, na * (u - u1) + nb * (v - v1))
        at = ea * (u - u1) + eb * (v - v1)
        sunk = ~face & (jnp.abs(t) < half) & jnp.where(at < 0.5 * length, begun, goes_on)
        points.append(
            Contacts(
                on=on & (low <= high) & (depth <= limit),
                by_face=face,
                nx=jnp.where(face, s * fb - c * fa, nx),
                ny=jnp.where(face, -s * fa - c * fb, ny),
                px=part.x + c * u - s * v,
                py=part.y + s * u + c * v,
                lx=jnp.where(face, fa, u),
                ly=jnp.where(face, fb, v),
                offset=jnp.where(face, distance, nx * x1 + ny * y1),
                depth=depth,
                cells=cells,
                shared=jnp.where(soft, sunk, goes_on & (at > length - 1e-4)),
            )
        )
    return Contacts(*(jnp.stack(pair) for pair in zip(*points, strict=True)))


def hull_touches(ground: Any, b: Bodies, limit: float) -> Any:
    """bool[B]: the hull's core is closer to the ground than `limit` m."""
    c, s = jnp.cos(b.a[0]), jnp.sin(b.a[0])
    ox, oy = origin(b)
    corners, edges = body.HULL, np.roll(body.HULL, -1, 0) - body.HULL
    normals = (edges @ np.array([[0, -1], [1, 0]], np.float32)) / np.linalg.norm(edges, axis=1)[:, None]
    hx, hy = corners[:, :1], corners[:, 1:]
    x, y = ox + c * hx - s * hy, oy + s * hx + c * hy
    at = cell_of(x)
    left, right = height(ground, at, 0), height(ground, at, 1)
    slope = (right - left) / CELL
    depth = y - left - slope * (x - border(at))
    touches = (depth <= limit * jnp.sqrt(1 + slope * slope)).any(0)
    node = cell_of(ox - 1.2) + 1 + np.arange(5, dtype=np.int32)[:, None]
    dx = border(node) - ox
    dy = jnp.maximum(height(ground, node, -1), height(ground, node, 0)) - oy
    u, v = c * dx + s * dy, c * dy - s * dx
    # The hull's outline runs clockwise: the left of an edge is outside.
    outside = [-n[0] * (u - p[0]) - n[1] * (v - p[1]) for n, p in zip(normals, corners, strict=True)]
    return touches | (jnp.stack(outside).max(0) <= limit).any(0)


# Velocities ------------------------------------------------------------------------------------------------


def stopped(b: Bodies) -> tuple[Any, Any]:
    """bool[4, B] twice: the joints at or beyond their lower and their upper limit."""
    angle = b.a[np.array(CHILD)] - b.a[np.array(PARENT)] - REFERENCE
    low = angle <= LOWER
    return low, (angle >= UPPER) & ~low


def velocity_maps(b: Bodies) -> tuple[Any, Any]:
    """How the bodies' velocities follow from the seven free ones, f32[5, 7, B] for x and for y.

    The free velocities are those of the hip point, x and y, then the spins of hull, upper, lower, upper and
    lower leg.
    """
    c, s = jnp.cos(b.a), jnp.sin(b.a)
    zero, one = jnp.zeros_like(c[0]), jnp.ones_like(c[0])
    rx, ry = -(c[0] * HIP[0] - s[0] * HIP[1]), -(s[0] * HIP[0] + c[0] * HIP[1])
    half_x, half_y = HALF * s, -HALF * c  # from the upper end of a leg part to its middle
    x, y = [[one, zero, -ry] + [zero] * 4], [[zero, one, rx] + [zero] * 4]
    for leg in (0, 1):
        u, l = 1 + 2 * leg, 2 + 2 * leg  # noqa: E741
        for lower in (0, 1):
            vx, vy = [one, zero] + [zero] * 5, [zero, one] + [zero] * 5
            vx[2 + u], vy[2 + u] = -(1 + lower) * half_y[u], (1 + lower) * half_x[u]
            if lower:
                vx[2 + l], vy[2 + l] = -half_y[l], half_x[l]
            x.append(vx)
            y.append(vy)
    return jnp.stack([jnp.stack(row) for row in x]), jnp.stack([jnp.stack(row) for row in y])


class Rows(NamedTuple):
    """The rows of the velocity solver: four motors, four limits, C contact normals, C contact tangents.

    A row has an impulse, within bounds, that wants a speed to reach a target.
    """

    along: Any  # f32[R, 7, B]: the speed is along . q
    on: Any  # bool[R, B]
    target: Any  # f32[R, B], m/s or rad/s
    floor: Any  # f32[R, B], N s or N m s; friction's bounds follow from its normal impulse
    ceiling: Any
    give: Any  # f32[R, B], m/s or rad/s by which a row yields for its impulse
    stiff: Any  # f32[R, B], how much impulse the augmented Lagrangian gives for a missed m/s or rad/s
    guess: Any  # f32[R, 1], how much impulse a missed m/s or rad/s may well need, to guess who is at a bound
    friction: Any  # f32[B]

    @property
    def contacts(self) -> int:
        return (self.on.shape[0] - 8) // 2

    def bounds(self, impulse: Any) -> tuple[Any, Any]:
        """Lowest and highest impulse f32[R, B] of each row, where the rows have these impulses."""
        joints = 8 + self.contacts
        grip = self.friction * jnp.maximum(impulse[8:joints], 0)
        return (jnp.concatenate([self.floor[:joints], -grip]), jnp.concatenate([self.ceiling[:joints], grip]))


def make_rows(
    b: Bodies,
    of: body.Setting,
    action: Any,
    contacts: Contacts,
    stops: tuple[Any, Any],
    maps: tuple[Any, Any],
) -> Rows:
    """The rows for actions f32[4, B]; contacts of the first leg, lower part first, then of the second."""
    to_x, to_y = maps
    joints = SPIN[np.array(CHILD)] - SPIN[np.array(PARENT)] + jnp.zeros_like(to_x[:1])
    x, y = contacts.px - parts(b).x, contacts.py - parts(b).y
    at_x = to_x[None, 1:] - y[:, :, None] * SPIN[None, 1:]
    at_y = to_y[None, 1:] + x[:, :, None] * SPIN[None, 1:]
    nx, ny = contacts.nx[:, :, None], contacts.ny[:, :, None]

    def listed(field: Any) -> Any:  # [K, P, ...] to [C, ...]
        ordered = jnp.swapaxes(field[:, np.array([1, 0, 3, 2])], 0, 1)
        return ordered.reshape(-1, *field.shape[2:])

    # One of two equal points is enough for velocities.
    touching = listed(contacts.on & ~contacts.shared)
    sunk = listed(SKIN - contacts.depth[:, :, None])
    found = (listed(nx * at_x + ny * at_y), listed(ny * at_x - nx * at_y), sunk)
    normal, tangent, sunk = first_of(found, touching[:, None], MEETINGS)
    touching = jnp.arange(MEETINGS)[:, None] < touching.sum(0)
    still = jnp.zeros(touching.shape, jnp.float32)
    torque = jnp.minimum(jnp.abs(action), 1) * (TORQUE * DT)
    low, high = stops
    none = jnp.zeros_like(torque)
    counts = np.array([4, 4, len(still), len(still)])

    def each(*values: float) -> Any:
        return np.repeat(np.array(values, np.float32), counts)[:, None]

    give = jnp.concatenate([none, none, still + of.give, still])
    stiff = each(STIFF_JOINT, STIFF_JOINT, STIFF_CONTACT, STIFF_CONTACT)
    guess = each(0, 0.1, 1, 0)
    guess[:4, 0] = [0.4, 0.1, 0.4, 0.1]
    return Rows(
        along=jnp.concatenate([joints, joints, normal, tangent]),
        on=jnp.concatenate([jnp.ones_like(low), low | high, touching, touching]),
        target=jnp.concatenate([jnp.where(action < 0, -RATED, RATED), none, of.rise * sunk[:, 0], still]),
        floor=jnp.concatenate([-torque, jnp.where(high, -1e9, 0.0), still, still]),
        ceiling=jnp.concatenate([torque, jnp.where(low, 1e9, 0.0), still + 1e9, still]),
        give=give,
        stiff=stiff / (1 + stiff * give),
        guess=guess,
        friction=of.friction,
    )


def solve_velocities(
    b: Bodies, of: body.Setting, action: Any, contacts: Contacts, stops: tuple[Any, Any], most: int
) -> Bodies:
    """Velocities after gravity, joints, motors, limits and contacts.

    On entry the bodies' velocities need not agree at the joints; their momentum counts. On return they do
    agree.
    """
    b = b._replace(vy=b.vy + GRAVITY * DT)
    to_x, to_y = velocity_maps(b)
    mass, inertia = (each[:, None] for each in weights(of))  # [5, 1, B]
    momentum = (mass * (to_x * b.vx[:, None] + to_y * b.vy[:, None]) + inertia * SPIN * b.w[:, None]).sum(0)
    matrix = outer(mass * to_x, to_x) + outer(mass * to_y, to_y) + outer(inertia * SPIN, SPIN)
    rows = make_rows(b, of, action, contacts, stops, (to_x, to_y))
    q = jnp.concatenate([jnp.stack([b.vx[0] - to_x[0, 2] * b.w[0], b.vy[0] - to_y[0, 2] * b.w[0]]), b.w])
    q, restless = newton(rows, matrix, momentum, q, most)
    # A leg wedged between two contacts has several answers, or none: there Box2D's own way decides.
    restless |= ~(jnp.abs(q).max(0) < 1e6)
    q = lax.cond(restless.any(), lambda: jnp.where(restless, sweep(rows, matrix, momentum), q), lambda: q)
    return b._replace(vx=speeds(to_x, q), vy=speeds(to_y, q), w=q[2:])


def weights(of: body.Setting) -> tuple[Any, Any]:
    """Masses and moments of inertia of the bodies, f32[5, B] each."""
    legs = (jnp.broadcast_to(each[1:, None], (4, of.mass.size)) for each in (MASS, INERTIA))
    mass, inertia = (
        jnp.concatenate([hull[None], four]) for hull, four in zip((of.mass, of.inertia), legs, strict=True)
    )
    return mass, inertia


def outer(left: Any, right: Any) -> Any:
    """f32[7, 7, B], the sum of outer products of f32[R, 7, B] and f32[R, 7, B]."""
    return (left[:, :, None] * right[:, None]).sum(0)


def speeds(along: Any, q: Any) -> Any:
    """f32[R, B], what rows f32[R, 7, B] make of velocities f32[7, B]."""
    return (along * q).sum(1)


def newton(rows: Rows, matrix: Any, momentum: Any, q: Any, most: int) -> tuple[Any, Any]:
    """Newton steps from the free velocities f32[7, B]; also bool[B], which have not come to rest.

    A row reacts to its speed (side 0) or is held at a bound (side -1 or 1). One that reacts grows by what it
    misses, and is held when it leaves its bounds; one that is held reacts again when its speed passes its
    target.
    """
    order = row_order(rows.contacts)

    def new_sides(side: Any, grown: Any, error: Any, low: Any, high: Any) -> Any:
        up, down = (side == 0) & (grown > high + EDGE), (side == 0) & (grown < low - EDGE)
        again = (error * side < -EDGE) & (high > low)
        return jnp.where(up, 1.0, jnp.where(down, -1.0, jnp.where(again, 0.0, side)))

    def held(side: Any, free: Any, low: Any, high: Any) -> Any:
        return jnp.where(side > 0, high, jnp.where(side < 0, low, free))

    def once(carry: Any) -> Any:
        step, q, impulse, side, busy = carry
        missed = rows.target - speeds(rows.along, q)
        error = missed - rows.give * impulse
        grown = impulse + jnp.where(side == 0, rows.stiff * error, 0)
        wanted = new_sides(side, grown, error, *rows.bounds(held(side, grown, rows.floor, rows.ceiling)))
        changes = ((wanted != side) & rows.on)[order].astype(jnp.int32)
        earlier = jnp.cumsum(changes, 0) - changes > 0
        may = (step < ONE_BY_ONE) | ~jnp.zeros_like(rows.on).at[order].set(earlier)
        now = jnp.where(may, wanted, side)
        low, high = rows.bounds(held(now, grown, rows.floor, rows.ceiling))
        wanted = new_sides(side, grown, error, low, high)
        new = jnp.where(may, wanted, side)
        impulse = held(new, grown, low, high)
        error = missed - rows.give * impulse
        restless = rows.on & ((wanted != side) | ((new == 0) & (jnp.abs(error) > TOLERANCE)))
        # One found at rest still takes this step: what its rows miss falls from a thousandth to a millionth.
        q = change(q, impulse, new, error, busy)
        return step + 1, q, impulse, new, busy & restless.any(0)

    def change(q: Any, impulse: Any, side: Any, error: Any, busy: Any) -> Any:
        reacts = rows.on & (side == 0)
        push = jnp.where(rows.on, impulse + jnp.where(reacts, rows.stiff * error, 0), 0)
        normal, tangent = slice(8, 8 + rows.contacts), slice(8 + rows.contacts, None)
        # Friction at its bound follows the normal impulse within the step, or the two would chase each other.
        grip = rows.friction * side[tangent]
        push = push.at[tangent].set(jnp.where(side[tangent] == 0, push[tangent], grip * push[normal]))
        lean = rows.along.at[normal].add(grip[:, None] * rows.along[tangent])
        give = jnp.where(reacts, rows.stiff, 0)[:, None]
        force = momentum - speeds(matrix, q) + (rows.along * push[:, None]).sum(0)
        return jnp.where(
            busy, q + eliminate(matrix + outer(give * lean, rows.along), force[:, None])[:, 0], q
        )

    error = rows.target - speeds(rows.along, q)
    low, high = rows.bounds(jnp.zeros_like(error))
    side = jnp.where(error * rows.guess > high, 1.0, jnp.where(error * rows.guess < low, -1.0, 0.0))
    impulse, busy = held(side, 0.0, low, high), jnp.ones(q.shape[1:], bool)
    begin = (jnp.int32(1), change(q, impulse, side, error, busy), impulse, side, busy)
    _, q, _, _, busy = lax.while_loop(lambda carry: (carry[0] < most) & carry[4].any(), once, begin)
    return q, busy


def sweep(rows: Rows, matrix: Any, momentum: Any) -> Any:
    """Free velocities f32[7, B] by Box2D's sweeps over the rows one after the other, from no impulse."""
    free = eliminate(matrix, jnp.moveaxis(jnp.concatenate([momentum[None], rows.along]), 0, 1))
    q, gain = free[:, 0], jnp.moveaxis(free[:, 1:], 1, 0)  # gain: what one unit of impulse does to q
    table = (rows.along, gain, rows.on, rows.target, rows.give, rows.floor, rows.ceiling)

    def push(q: Any, row: Any, impulse: Any, bounds: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
        along, gain, on, target, give, floor, ceiling = row
        low, high = bounds or (floor, ceiling)
        error = target - (along * q).sum(0) - give * impulse
        new = impulse + error / jnp.where(on, (along * gain).sum(0) + give, 1)
        new = jnp.where(on, jnp.clip(new, low, high), 0)
        return q + (new - impulse) * gain, new

    def joint(q: Any, both: Any) -> Any:
        (motor, p), (limit, r) = both
        q, p = push(q, motor, p)
        q, r = push(q, limit, r)
        return q, (p, r)

    def contact(q: Any, both: Any) -> Any:
        (normal, p), (tangent, r) = both
        q, r = push(q, tangent, r, (-rows.friction * p, rows.friction * p))
        q, p = push(q, normal, p)
        return q, (p, r)

    def some(impulse: Any, first: int, last: int) -> Any:
        return tuple(field[first:last] for field in table), impulse[first:last]

    def once(_: Any, carry: Any) -> Any:
        q, p = carry
        middle, end = 8 + rows.contacts, 8 + 2 * rows.contacts
        q, motors = lax.scan(joint, q, (some(p, 0, 4), some(p, 4, 8)))
        q, touching = lax.scan(contact, q, (some(p, 8, middle), some(p, middle, end)))
        return q, jnp.concatenate([*motors, *touching])

    return lax.fori_loop(0, SWEEPS, once, (q, jnp.zeros_like(rows.target)))[0]


def row_order(contacts: int) -> np.ndarray:
    """The rows in the order in which they change sides one by one: joint by joint, contact by contact."""
    joints = [row for joint in range(4) for row in (joint, 4 + joint)]
    return np.array(joints + [row for k in range(contacts) for row in (8 + k, 8 + contacts + k)])


def eliminate(matrix: Any, right: Any) -> Any:
    """matrix^-1 right for f32[7, 7, B] and f32[7, N, B], by Gauss and Jordan without pivots."""

    def column(k: Any, table: Any) -> Any:
        row = table[k] / table[k, k]
        return (table - table[:, k][:, None] * row).at[k].set(row)

    return lax.fori_loop(0, 7, column, jnp.concatenate([matrix, right], 1))[:, 7:]


# Positions -------------------------------------------------------------------------------------------------


def push_out(part: Bodies, contact: Contacts, depth: Any, rate: float, on: Any) -> tuple[Bodies, Any]:
    """Leg parts f32[P, B] moved out of the ground as if they were free, and the gaps f32[P, B] they had.

    Where the ground is soft it is what lies `depth` f32[B] below that they are moved out of.
    """
    c, s = jnp.cos(part.a), jnp.sin(part.a)
    tx, ty = c * contact.lx - s * contact.ly, s * contact.lx + c * contact.ly
    face = contact.by_face
    nx, ny = jnp.where(face, -tx, contact.nx), jnp.where(face, -ty, contact.ny)
    px, py = jnp.where(face, contact.px, part.x + tx), jnp.where(face, contact.py, part.y + ty)
    away = jnp.where(face, nx * (part.x - px) + ny * (part.y - py), nx * px + ny * py)
    gap = away - contact.offset - SKIN + depth
    lever = (px - part.x) * ny - (py - part.y) * nx
    im, ii = 1 / MASS[1:, None], 1 / INERTIA[1:, None]
    move = jnp.where(on & contact.on, jnp.clip(-rate * (gap + SLOP), 0.0, 0.2), 0.0)
    impulse = move / (im + ii * lever * lever)
    moved = part._replace(
        x=part.x + im * impulse * nx, y=part.y + im * impulse * ny, a=part.a + ii * impulse * lever
    )
    return moved, jnp.where(contact.on, gap, 0.0)


def push_all_out(part: Bodies, contacts: Contacts, depth: Any, rate: float, on: Any) -> tuple[Bodies, Any]:
    """`push_out` for each of the K contacts in turn; the least gap f32[P, B] met on the way."""
    part, gaps = lax.scan(lambda part, contact: push_out(part, contact, depth, rate, on), part, contacts)
    return part, jnp.minimum(gaps.min(0), 0)


def solve_positions(
    b: Bodies, of: body.Setting, contacts: Contacts, stops: tuple[Any, Any], most: Any
) -> Bodies:
    """Box2D's position solver: passes over contacts, then joints, until all are within their slop.

    `most` i32[B] of them, unless a joint is torn.
    """
    joints = {
        "parent": np.array(PARENT)[ISLAND],
        "child": np.array(CHILD)[ISLAND],
        "ax": np.where(ISLAND % 2, 0, HIP[0]).astype(np.float32),
        "ay": np.where(ISLAND % 2, -HALF, HIP[1]).astype(np.float32),
        "at_low": stops[0][ISLAND],
        "at_high": stops[1][ISLAND],
        **{n: v[ISLAND, 0] for n, v in (("rest", REFERENCE), ("lower", LOWER), ("upper", UPPER))},
    }
    masses, inertias = weights(of)

    def one_joint(busy: Any, carry: Any, joint: Any) -> Any:
        b, worst, turned = carry
        p, q = joint["parent"], joint["child"]
        mp, mq, ip, iq = 1 / masses[p], 1 / masses[q], 1 / inertias[p], 1 / inertias[q]
        angle = b.a[q] - b.a[p] - joint["rest"]
        low = jnp.where(joint["at_low"], angle - joint["lower"], 0.0)
        high = jnp.where(joint["at_high"], angle - joint["upper"], 0.0)
        turned = jnp.maximum(turned, jnp.maximum(-low, high))
        turn = jnp.clip(low + ANGULAR_SLOP, -ANGULAR_STEP, 0.0) + jnp.clip(
            high - ANGULAR_SLOP, 0.0, ANGULAR_STEP
        )
        impulse = -jnp.where(busy, turn, 0.0) / (ip + iq)
        pa, qa = b.a[p] - ip * impulse, b.a[q] + iq * impulse

        c, s = jnp.cos(pa), jnp.sin(pa)
        px, py = c * joint["ax"] - s * joint["ay"], s * joint["ax"] + c * joint["ay"]
        qx, qy = -jnp.sin(qa) * HALF, jnp.cos(qa) * HALF
        cx, cy = b.x[q] + qx - b.x[p] - px, b.y[q] + qy - b.y[p] - py
        worst = jnp.maximum(worst, cx * cx + cy * cy)
        k11, k22 = mp + mq + ip * py * py + iq * qy * qy, mp + mq + ip * px * px + iq * qx * qx
        k12 = -ip * px * py - iq * qx * qy
        scale = jnp.where(busy, -1 / (k11 * k22 - k12 * k12), 0.0)
        fx, fy = scale * (k22 * cx - k12 * cy), scale * (k11 * cy - k12 * cx)
        b = b._replace(
            x=b.x.at[p].add(-mp * fx).at[q].add(mq * fx),
            y=b.y.at[p].add(-mp * fy).at[q].add(mq * fy),
            a=b.a.at[p].set(pa - ip * (px * fy - py * fx)).at[q].set(qa + iq * (qx * fy - qy * fx)),
        )
        return (b, worst, turned), None

    def one_pass(carry: Any) -> Any:
        done, busy, torn, b = carry
        legs, gap = push_all_out(parts(b), contacts, of.depth, 0.2, busy)
        b = Bodies(*(jnp.concatenate([whole[:1], part]) for whole, part in zip(b, legs, strict=True)))
        none = jnp.zeros_like(b.x[0])
        (b, worst, turned), _ = lax.scan(partial(one_joint, busy), (b, none, none), joints)
        torn = jnp.where(done == 0, worst > TORN * TORN, torn)
        busy &= (done + 1 < most) | torn
        busy &= (gap.min(0) < -3.02 * SLOP) | (worst > SLOP * SLOP) | (turned > 1.02 * ANGULAR_SLOP)
        return done + 1, busy, torn, b

    everyone = jnp.ones(b.x.shape[1:], bool)
    begin = (jnp.int32(0), everyone, everyone, b)
    return lax.while_loop(lambda carry: (carry[0] < PASSES) & carry[1].any(), one_pass, begin)[3]


# Arrival ---------------------------------------------------------------------------------------------------


def arrive(given: Ground, part: Bodies, before: Bodies) -> tuple[Bodies, Any, Any]:
    """Box2D's continuous collision: where a part's core came closer to the ground than the slop, the part
    alone goes back to that instant, meets the ground as a free body, and spends the rest of the step. Soft
    ground is passed through: what lies below it is met.

    Parts f32[P, B] now and before they moved. Returns the parts, whether they arrived bool[P, B], and the
    cells touched on arrival i32[P, B].
    """
    im, ii = 1 / MASS[1:, None], 1 / INERTIA[1:, None]
    friction, depth = given.of.friction, given.of.depth

    def meet(hit: Bodies, meets: Contacts) -> Bodies:
        x, y = meets.px - hit.x, meets.py - hit.y
        levers = x * meets.ny - y * meets.nx, -x * meets.nx - y * meets.ny
        reached = meets.on & (meets.depth + depth <= SKIN)

        def contact(carry: Any, row: Any) -> Any:
            vx, vy, w = carry
            pn, pt, on, nx, ny, ln, lt = row
            p = pt - (ny * vx - nx * vy + lt * w) / (im + ii * lt * lt)
            d = jnp.where(on, jnp.clip(p, -friction * pn, friction * pn) - pt, 0.0)
            pt, vx, vy, w = pt + d, vx + im * d * ny, vy - im * d * nx, w + ii * d * lt
            p = pn - (nx * vx + ny * vy + ln * w) / (im + ii * ln * ln)
            d = jnp.where(on, jnp.maximum(p, 0.0) - pn, 0.0)
            return (vx + im * d * nx, vy + im * d * ny, w + ii * d * ln), (pn + d, pt)

        def sweep(_: Any, carry: Any) -> Any:
            speeds, pn, pt = carry
            rows = (pn, pt, reached, meets.nx, meets.ny, *levers)
            speeds, (pn, pt) = lax.scan(contact, speeds, rows)
            return speeds, pn, pt

        none = jnp.zeros_like(meets.nx)
        (vx, vy, w), _, _ = lax.fori_loop(0, 6, sweep, ((hit.vx, hit.vy, hit.w), none, none))
        return hit._replace(vx=vx, vy=vy, w=w)

    def once(carry: Any) -> Any:
        rounds, _, part, start, left, arrived, touched = carry
        now = find_contacts(given, part, True, SLOP)
        # The same point of the part at the start of the motion: how far it came along the normal.
        c, s, c0, s0 = jnp.cos(part.a), jnp.sin(part.a), jnp.cos(start.a), jnp.sin(start.a)
        x, y = now.px - part.x, now.py - part.y
        u, v = c * x + s * y, c * y - s * x
        ox, oy = start.x + c0 * u - s0 * v, start.y + s0 * u + c0 * v
        moved = now.nx * (now.px - ox) + now.ny * (now.py - oy)
        end = now.depth + depth
        was = end - moved
        meets = now.on & (end < SLOP) & (was > 0) & (was < 1)
        share = jnp.clip((was - SLOP) / jnp.maximum(-moved, 1e-6), 0.0, 1.0)
        when = jnp.where(meets, share, 2.0).min(0)
        on = when <= 1
        share = jnp.where(on, when, 0.0)

        hit = part._replace(
            **{n: getattr(start, n) + share * (getattr(part, n) - getattr(start, n)) for n in "xya"}
        )
        contacts = find_contacts(given, hit, on, SKIN)
        hit = lax.fori_loop(0, 3, lambda _, hit: push_all_out(hit, contacts, depth, 0.75, on)[0], hit)
        hit = meet(hit, contacts)
        left = left * (1 - share)
        spent = hit._replace(
            x=hit.x + hit.vx * left * DT, y=hit.y + hit.vy * left * DT, a=hit.a + hit.w * left * DT
        )
        part, start = (
            Bodies(*(jnp.where(on, new, old) for new, old in zip(after, earlier, strict=True)))
            for after, earlier in ((spent, part), (hit, start))
        )
        return rounds + 1, on.any(), part, start, left, arrived | on, touched | _cells(contacts.on, contacts)

    none = jnp.zeros_like(part.x, bool)
    begin = (
        jnp.int32(0),
        jnp.asarray(True),
        part,
        before,
        jnp.ones_like(part.x),
        none,
        none.astype(jnp.int32),
    )
    done = lax.while_loop(lambda carry: (carry[0] < 2) & carry[1], once, begin)
    return done[2], done[5], done[6]


# What the walker sees and gets -----------------------------------------------------------------------------


def raise_flags(flags: Any, touch: Any, now: Any, emulate: bool) -> tuple[Any, Any]:
    """Contact flags f32[2, B] and touched cells i32[2, B] when the cells `now` i32[2, B] are touched."""
    met, lost = (now & ~touch) != 0, (touch & ~now) != 0
    quirk = jnp.where(lost, 0.0, jnp.where(met, 1.0, flags))
    return (quirk if emulate else (now != 0).astype(jnp.float32)), now


def origin(b: Bodies) -> tuple[Any, Any]:
    """The hull's origin, x and y f32[B]: Gymnasium's position of the walker."""
    c, s = jnp.cos(b.a[0]), jnp.sin(b.a[0])
    return b.x[0] - (c * CENTRE[0] - s * CENTRE[1]), b.y[0] - (s * CENTRE[0] + c * CENTRE[1])


def potential(b: Bodies) -> Any:
    """f32[B]: its change is the reward for moving forward with a level hull."""
    return origin(b)[0] * (130 / 30) - 5 * jnp.abs(b.a[0])


def observe(b: Bodies, flags: Any, ground: Any) -> Any:
    """f32[24, B], in Gymnasium's order and scalings."""
    seen = [b.a[0], b.w[0] * (2 * DT), b.vx[0] * 0.12, b.vy[0] * 0.08]
    for leg in (0, 1):
        u, l = 1 + 2 * leg, 2 + 2 * leg  # noqa: E741
        seen += [b.a[u] - b.a[0] - REFERENCE[2 * leg, 0], (b.w[u] - b.w[0]) / RATED[0, 0]]
        seen += [b.a[l] - b.a[u] + 1, (b.w[l] - b.w[u]) / RATED[1, 0], flags[leg]]
    return jnp.concatenate([jnp.stack(seen), lidar(*origin(b), ground)])


def lidar(x: Any, y: Any, ground: Any) -> Any:
    """f32[10, B]: how far along its range each ray from (x, y) first meets the ground.

    The rays point 0 to 1.35 rad from straight down towards the right; the flattest crosses 13 cells.
    """
    cell = cell_of(x) + np.arange(13, dtype=np.int32)[:, None]
    left, right = height(ground, cell, 0) - y, height(ground, cell, 1) - y
    at = border(cell) - x
    here = left[0] - (right[0] - left[0]) * at[0] / CELL
    # How far the ground stands above each ray, at both ends of a cell [9, 13, B].
    fall = jnp.cos(RAYS) / jnp.sin(RAYS)
    above_left, above_right = left + at * fall, right + (at + CELL) * fall
    hit = jnp.maximum(above_left, above_right) >= 0
    hit = hit.at[:, 0].set(above_right[:, 0] >= 0)
    first = jnp.argmax(hit, 1, keepdims=True)
    l, r, x0 = (  # noqa: E741
        jnp.take_along_axis(a, first, 1)[:, 0]
        for a in (above_left, above_right, jnp.broadcast_to(at, hit.shape))
    )
    way = x0 + jnp.where(l < 0, l / jnp.minimum(l - r, -1e-9) * CELL, 0.0)
    slanted = jnp.where(hit.any(1), jnp.clip(way / (jnp.sin(RAYS[:, 0]) * REACH), 0.0, 1.0), 1.0)
    return jnp.concatenate([jnp.clip(-here / REACH, 0.0, 1.0)[None], slanted])
