// The walker of Gymnasium's BipedalWalker (Box2D 2.3), many at a time: one SIMD lane is one environment.
//
// Box2D keeps five bodies and iterates 180 times over joints and contacts. Here the velocities of a step are
// found by a few Newton steps over the seven velocities that the joints leave free, which is what those
// iterations converge to; positions are corrected as Box2D corrects them; a leg that arrives at the ground
// within a step is stopped there, as Box2D's continuous collision does.
// The readable specification is src/aiga/worlds/walker/world.py; docs/walker.md explains both.
#include "../common/simd.h"
#include "walker.h"

#include <algorithm>
#include <vector>

namespace aiga::AIGA_ISA {
namespace {

constexpr float DT = 1.0f / 50.0f, GRAVITY = -10.0f;
constexpr float CELL = 14.0f / 30.0f;
constexpr float SLOP = 0.005f, SKIN = 0.02f;  // Box2D: linear slop, and two polygon radii of 0.01
constexpr float ANGULAR_SLOP = 0.034906585f, ANGULAR_STEP = 0.13962634f;  // 2 and 8 degrees
constexpr float MAX_TORQUE = 80.0f, SPEED_HIP = 4.0f, SPEED_KNEE = 6.0f;
constexpr float RATED[4] = {SPEED_HIP, SPEED_KNEE, SPEED_HIP, SPEED_KNEE};
constexpr float REFERENCE[4] = {-0.05f, 0.0f, 0.05f, 0.0f};
constexpr float LOWER[4] = {-0.8f, -1.6f, -0.8f, -1.6f}, UPPER[4] = {1.1f, -0.1f, 1.1f, -0.1f};
constexpr int PARENT[4] = {0, 1, 0, 3}, CHILD[4] = {1, 2, 3, 4};
constexpr int JOINT_ORDER[4] = {3, 2, 0, 1};  // the order in which Box2D's island visits them

constexpr float HALF = 17.0f / 30.0f;  // half the length of a leg part
constexpr float WIDTH_UPPER = 4.0f / 30.0f, WIDTH_LOWER = 3.2f / 30.0f;  // half widths
constexpr float HALF_WIDTH[5] = {0.0f, WIDTH_UPPER, WIDTH_LOWER, WIDTH_UPPER, WIDTH_LOWER};  // by body, of leg parts
constexpr int HULL_POINTS = 5;
constexpr float HULL_X[5] = {-1.0f, 0.2f, 34.0f / 30, 34.0f / 30, -1.0f};
constexpr float HULL_Y[5] = {0.3f, 0.3f, 1.0f / 30, -8.0f / 30, -8.0f / 30};
constexpr float INERTIA_U = 0.03413992f, INERTIA_L = 0.02679614f;
constexpr float BODY_MASS[5] = {0.0f, MASS_U, MASS_L, MASS_U, MASS_L};  // by body, of leg parts
constexpr float BODY_INERTIA[5] = {0.0f, INERTIA_U, INERTIA_L, INERTIA_U, INERTIA_L};

constexpr float LIDAR_RANGE = 160.0f / 30.0f;
// How stiff the solver's rows are: far above the effective masses (about 6 kg, 2 kg m^2), far below what
// single precision can carry beside the lightest inertia.
constexpr float TOLERANCE = 1e-3f;  // m/s or rad/s that a row may miss its target by
constexpr float EDGE = 1e-4f;       // m/s, rad/s, N s or N m s by which it may pass from reacting to held and back
constexpr int PASSES = 60;  // of Box2D's position solver
constexpr float TORN = 0.12f;  // m by which a joint is torn, so that all of them are needed
constexpr float STARTING = 3;  // steps that an episode's start, with knees torn by 20 cm, is felt in the joints
constexpr int SWEEPS = 10;
constexpr int ONE_BY_ONE = 6;  // the Newton step from which rows change sides one at a time
constexpr float STIFF_CONTACT = 1500.0f, STIFF_JOINT = 600.0f;

struct Body { F x, y, a, vx, vy, w, c, s; };  // c, s: cosine and sine of the angle a

struct State {
  Body body[5];
  F flag[2];     // 1 where Gymnasium says that a lower leg touches the ground
  I touch[2];    // the cells a lower leg touches, one bit each, modulo 16
  F shaping, time;
};

// What a course makes of the ground and of the hull; the fields of `Setting`.
struct Settings {
  F friction, depth, give, rise, mass, total, inertia, about_hip, inverse_mass, inverse_inertia;
  bool soft;  // some lane's ground is
};

struct Terrain {
  const Ground* g;
  I heights, tops;  // where the course of each lane begins
  Settings of;

  void load_lane(int lane, int64_t course) {
    const int64_t pads = PAD_LEFT + PAD_RIGHT + g->cells;
    heights.v[lane] = (course * pads + PAD_LEFT) * 2;
    tops.v[lane] = course * pads + PAD_LEFT;
    const Setting& from = g->settings[course];
    of.friction.v[lane] = from.friction, of.depth.v[lane] = from.depth;
    of.give.v[lane] = from.give, of.rise.v[lane] = from.rise;
    of.mass.v[lane] = from.mass, of.total.v[lane] = from.total;
    of.inertia.v[lane] = from.inertia, of.about_hip.v[lane] = from.about_hip;
    of.inverse_mass.v[lane] = 1.0f / from.mass, of.inverse_inertia.v[lane] = 1.0f / from.inertia;
    of.soft = any(of.depth > 0.0f);
  }

  I cell(F x) const { return truncate(max(min(x * (1.0f / CELL), g->cells - 1.0f), 0.0f)); }
  F height(I cell, int k) const { return gather(g->heights, heights + cell * 2 + k); }  // k 0 left, 1 right
  F top(I cell) const { return gather(g->tops, tops + cell); }
};

// A point of contact between one leg part and one edge of the ground, a slope or a vertical face. As in Box2D's
// manifolds either the edge is the reference, and a point of the part is kept off its line, or a face of the
// part is, and a point of the edge is kept off that face.
struct Contact {
  M on, by_face;
  M shared;          // the next edge has the same point, or, in soft ground, it is no corner
  F nx, ny;          // from the ground into the part
  F px, py;          // where, in the world
  F lx, ly, offset;  // edge: the point in the part, and the line's n.p; face: its normal in the part, its distance
  F depth;           // distance of the cores, negative inside

  AIGA_MEMBER void clear() {
    on = by_face = shared = false;
    nx = ny = px = py = lx = ly = offset = depth = 0.0f;
  }
};

// Lanes have lists of different lengths, side by side: `used` says how much of its own each has filled, and `count`
// is the longest. Calls put(lanes, at[place]) for every place at which some of `lanes` go on.
template <typename T, typename Put>
AIGA_INLINE void each_place(M lanes, I& used, T* at, int& count, Put put) {
  const I now = used;
  used += only(lanes, I(1));
  for (int place = 0; any(lanes); place++) {
    const M here = lanes & (now == place);
    if (!any(here)) continue;
    if (place == count) at[count++].clear();
    put(here, at[place]);
    lanes &= ~here;
  }
}

// Those of one leg part.
struct Contacts {
  static constexpr int CELLS = 4, EDGES = 2, POINTS = 2;  // a cell has a slope and a face, an edge two points
  static constexpr int MOST = CELLS * EDGES * POINTS;
  static_assert(4 * (HALF * HALF + WIDTH_UPPER * WIDTH_UPPER) <= (3 * CELL - 2 * SKIN) * (3 * CELL - 2 * SKIN),
                "a part, skin included, is shorter than three cells, so it lies over four at most");
  int count = 0;
  I used = 0;
  I cells = 0;  // of the ground, that are touched, one bit each
  Contact at[MOST];

  void add(const Contact& c) {
    each_place(c.on, used, at, count, [&](M here, Contact& to) {
      to.on |= here, to.by_face |= here & c.by_face, to.shared |= here & c.shared;
      to.nx = select(here, c.nx, to.nx), to.ny = select(here, c.ny, to.ny);
      to.px = select(here, c.px, to.px), to.py = select(here, c.py, to.py);
      to.lx = select(here, c.lx, to.lx), to.ly = select(here, c.ly, to.ly);
      to.offset = select(here, c.offset, to.offset), to.depth = select(here, c.depth, to.depth);
    });
  }

  void add(const Contacts& other, M lanes) {
    for (int k = 0; k < other.count; k++) {
      Contact c = other.at[k];
      c.on &= lanes;
      add(c);
    }
    cells |= only(lanes, other.cells);
  }

  void forget(M lanes) {
    for (int k = 0; k < count; k++) at[k].on &= ~lanes, at[k].by_face &= ~lanes, at[k].shared &= ~lanes;
    while (count && !any(at[count - 1].on)) count--;
    used = only(~lanes, used), cells = only(~lanes, cells);
  }
};

// What the bodies are near to where they are now.
struct Near {
  Contacts part[5];  // by body; the hull's stays empty
  F hull;            // distance of its core from the ground, where that is below a metre or so
};

AIGA_INLINE Body blend(M mask, const Body& yes, const Body& no) {
  return {select(mask, yes.x, no.x), select(mask, yes.y, no.y), select(mask, yes.a, no.a), select(mask, yes.vx, no.vx),
          select(mask, yes.vy, no.vy), select(mask, yes.w, no.w), select(mask, yes.c, no.c), select(mask, yes.s, no.s)};
}

AIGA_INLINE void rotate(Body& b, F d) {  // by a small angle, to third order
  F h = d * d * 0.5f, c = b.c;
  b.c = c - b.s * d - c * h;
  b.s = b.s + c * d - b.s * h;
  b.a += d;
}

// Box2D's b2CollideEdgeAndPolygon for an edge without neighbours and a box: up to two points. In soft ground a part has
// sunk below the ends of edges, and would be pushed off sideways at every border of cells. So there the edge is the
// reference at an end at which another goes on (`begun` before it, `continues` after it), and of the part's points its
// corners alone count: as many springs wherever the border is. `soft` is null where no lane is.
void edge_contacts(const Body& b, F half_width, F x1, F y1, F x2, F y2, M begun, M continues, const M* soft, M live,
                   float limit, I cells, Contacts& out) {
  F ex = x2 - x1, ey = y2 - y1, squared = ex * ex + ey * ey, inverse = 1.0f / sqrt(squared);
  F length = squared * inverse;
  ex *= inverse, ey *= inverse;
  F nx = -ey, ny = ex, dx = b.x - x1, dy = b.y - y1, height = nx * dx + ny * dy;
  M behind = height < 0.0f;
  nx = select(behind, -nx, nx), ny = select(behind, -ny, ny), height = abs(height);
  // In the part's own frame it is an upright box: n is (na, nb), the edge runs from (u1, v1) along (ea, eb).
  F na = nx * b.c + ny * b.s, nb = ny * b.c - nx * b.s;
  F by_edge = height - abs(na) * half_width - abs(nb) * HALF;
  if (!any(live & (by_edge <= limit))) return;
  F ea = ex * b.c + ey * b.s, eb = ey * b.c - ex * b.s;
  F u1 = -(b.c * dx + b.s * dy), v1 = b.s * dx - b.c * dy, u2 = u1 + ea * length, v2 = v1 + eb * length;
  F right = min(u1, u2), left = -max(u1, u2), above = min(v1, v2), below = -max(v1, v2);
  F across = max(right, left) - half_width, along = max(above, below) - HALF, by_part = max(across, along);
  M on = live & (by_edge <= limit) & (by_part <= limit);
  if (!any(on)) return;
  M face = by_part > 0.98f * by_edge + 0.001f;
  if (soft) face &= ~(*soft & select(dx * ex + dy * ey < 0.5f * length, begun, continues));
  M side = select(face, across > along, abs(na) > abs(nb));  // a left or right face, not top or bottom
  M positive = select(side, select(face, right > left, na < 0.0f), select(face, above > below, nb < 0.0f));
  F sign = select(positive, 1.0f, -1.0f);
  F fa = only(side, sign), fb = only(~side, sign);  // the face's normal
  F distance = select(side, half_width, HALF), half = select(side, HALF, half_width);
  // The face clipped to the edge's ends, or the edge to the face's.
  F slope = select(side, eb, ea);
  slope = select(abs(slope) < 1e-6f, 1e-6f, slope);
  F origin = select(face, select(side, v1, u1), ea * (fa * distance - u1) + eb * (fb * distance - v1));
  F from = only(face, -half), to = select(face, half, length);
  F inverse_slope = 1.0f / slope, t1 = (from - origin) * inverse_slope, t2 = (to - origin) * inverse_slope;
  F low = max(min(t1, t2), only(~face, -half)), high = min(max(t1, t2), select(face, length, half));
  on &= low <= high;
  Contact k;
  k.by_face = face;
  k.nx = select(face, -(b.c * fa - b.s * fb), nx), k.ny = select(face, -(b.s * fa + b.c * fb), ny);
  k.offset = select(face, distance, nx * x1 + ny * y1);
  for (F t : {low, high}) {
    F u = select(face, u1 + t * ea, select(side, fa * distance, t));
    F v = select(face, v1 + t * eb, select(side, t, fb * distance));
    k.depth = select(face, fa * u + fb * v - distance, na * (u - u1) + nb * (v - v1));
    k.on = on & (k.depth <= limit);
    out.cells |= only(k.on, cells);
    const F at = ea * (u - u1) + eb * (v - v1);
    k.shared = continues & (at > length - 1e-4f);
    if (soft) k.shared = select(*soft, ~face & (abs(t) < half) & select(at < 0.5f * length, begun, continues), k.shared);
    k.lx = select(face, fa, u), k.ly = select(face, fb, v);
    k.px = b.x + b.c * u - b.s * v, k.py = b.y + b.s * u + b.c * v;
    out.add(k);
  }
}

// All contacts of one leg part with cores closer than `limit`.
void part_contacts(const Terrain& t, const Body& b, F half_width, M live, float limit, Contacts& out) {
  F tall = HALF * abs(b.c) + half_width * abs(b.s) + limit, wide = HALF * abs(b.s) + half_width * abs(b.c) + limit;
  F lowest = b.y - tall;
  M near = live & (lowest < t.top(t.cell(b.x)));
  if (!any(near)) return;
  I cell = t.cell(b.x - wide);
  const M lanes = t.of.depth > 0.0f, *soft = t.of.soft ? &lanes : nullptr;
  F before = t.height(cell, -1), left = t.height(cell, 0);
  for (int k = 0; k < Contacts::CELLS; k++, cell += 1) {
    F x = tofloat(cell) * CELL;
    M on = near & (x <= b.x + wide) & (cell < t.g->cells);
    if (!any(on)) break;
    F right = t.height(cell, 1), after = t.height(cell, 2);
    M step = on & (before != left) & (x >= b.x - wide) & (lowest <= max(before, left));
    M slope = on & (lowest <= max(left, right));
    if (any(step)) edge_contacts(b, half_width, x, before, x, left + only(before == left, 1.0f),
                                 false, false, soft, step, limit, 0, out);
    if (any(slope)) edge_contacts(b, half_width, x, left, x + CELL, right, before == left, after == right, soft, slope, limit,
                                  1 << (cell & 15), out);
    before = right, left = after;
  }
}

// The distance of the hull's core from the ground, where it can be below the skin; else a kilometre.
F hull_distance(const Terrain& t, const Body& b) {
  F distance = 1e3f;
  M near = b.y - 1.05f - SKIN < t.top(t.cell(b.x));  // its farthest corner is 1.02 m away
  if (!any(near)) return distance;
  F ox = b.x - (b.c * HULL_CX - b.s * HULL_CY), oy = b.y - (b.s * HULL_CX + b.c * HULL_CY);
  for (int k = 0; k < HULL_POINTS; k++) {
    F x = ox + b.c * HULL_X[k] - b.s * HULL_Y[k], y = oy + b.s * HULL_X[k] + b.c * HULL_Y[k];
    I at = t.cell(x);
    F left = t.height(at, 0), slope = (t.height(at, 1) - left) * (1.0f / CELL);
    F above = y - left - slope * (x - tofloat(at) * CELL);
    distance = min(distance, above / sqrt(1.0f + slope * slope));
  }
  I node = t.cell(ox - 1.2f) + 1;
  for (int k = 0; k < 5; k++, node += 1) {
    F dx = tofloat(node) * CELL - ox, dy = max(t.height(node, -1), t.height(node, 0)) - oy;
    F u = b.c * dx + b.s * dy, v = b.c * dy - b.s * dx, outside = -1e9f;
    for (int j = 0; j < HULL_POINTS; j++) {
      const int n = (j + 1) % HULL_POINTS;
      const float ex = HULL_X[n] - HULL_X[j], ey = HULL_Y[n] - HULL_Y[j], length = std::sqrt(ex * ex + ey * ey);
      outside = max(outside, ((v - HULL_Y[j]) * ex - (u - HULL_X[j]) * ey) * (1.0f / length));
    }
    distance = min(distance, outside);
  }
  return select(near, distance, 1e3f);
}

// One row of the velocity solver: an impulse in [low, high] that wants its speed to reach a target.
// side: 0 while the impulse reacts to the speed, -1 or 1 while it is held at its low or high bound.
struct Row {
  F impulse, side;
};

// One Newton step's view of a row whose speed is `error` short of its target: the impulse at that speed, and
// whether it reacts (an active set with multipliers: a reacting row that leaves its bounds is held there, a
// held row whose speed passes its target reacts again). A first guess of the side comes from `guess`, about the
// mass that the row has to move. `may` is where a row may still change sides in this step.
AIGA_INLINE F respond(Row& r, F error, F low, F high, float stiff, float guess, int step, M on, M& may, M& reacts, M& restless) {
  if (step == 0) {
    r.side = select(error * guess > high, 1.0f, select(error * guess < low, -1.0f, 0.0f));
    r.impulse = select(r.side > 0.0f, high, only(r.side < 0.0f, low));
  } else {
    M free = r.side == 0.0f;
    F impulse = select(free, r.impulse + stiff * error, r.impulse);
    M up = free & (impulse > high + EDGE), down = free & (impulse < low - EDGE);
    M again = ~free & (error * r.side < -EDGE) & (high > low);
    M changes = on & may & (up | down | again);
    restless |= on & (up | down | again);
    if (step >= ONE_BY_ONE) may &= ~changes;
    r.side = select(changes, select(up, 1.0f, only(down, -1.0f)), r.side);
    r.impulse = select(r.side > 0.0f, high, select(r.side < 0.0f, low, impulse));
  }
  reacts = on & (r.side == 0.0f);
  restless |= reacts & (abs(error) > TOLERANCE);
  return only(on, r.impulse) + only(reacts, stiff * error);
}

// The same for a row that can only push: its impulse has no upper bound. On soft ground it gives way to it, by `give`
// times the impulse, and `stiff` is then what is left of the stiffness. `soft` says that some lane's ground is.
struct Push {
  F impulse;
  M held;  // at zero
};

AIGA_INLINE F respond(Push& r, F error, bool soft, F give, F stiff, int step, M on, M& may, M& reacts, M& restless) {
  if (step == 0) {
    r.held = error < 0.0f;
    r.impulse = 0.0f;
  } else {
    const F missed = soft ? error - give * r.impulse : error;
    F impulse = fused(stiff, missed, r.impulse);
    M changes = on & select(r.held, missed > EDGE, impulse < -EDGE);
    restless |= changes;
    changes &= may;
    if (step >= ONE_BY_ONE) may &= ~changes;
    r.held ^= changes;
    r.impulse = only(~r.held & ~changes, impulse);
  }
  if (soft) error -= give * r.impulse;
  reacts = on & ~r.held;
  restless |= reacts & (abs(error) > TOLERANCE);
  return only(reacts, fused(stiff, error, r.impulse));
}

// A matrix over the seven free velocities, arrow-shaped: hip point x, y and hull spin h in the middle, and
// upper and lower spin u, l of each leg, which meet the other leg only through the middle. Entry xu is in the
// row of x and the column of u.
struct Arrow {
  F xx, xy, yx, yy, xh, hx, yh, hy, hh;
  F xu[2], yu[2], hu[2], ux[2], uy[2], uh[2], uu[2];
  F xl[2], yl[2], lx[2], ly[2], ul[2], lu[2], ll[2];
};
struct Vector { F x, y, h, u[2], l[2]; };

AIGA_INLINE void mirror(Arrow& m) {  // the lower half of a symmetric matrix from its upper half
  m.yx = m.xy, m.hx = m.xh, m.hy = m.yh;
  for (int i = 0; i < 2; i++)
    m.ux[i] = m.xu[i], m.uy[i] = m.yu[i], m.uh[i] = m.hu[i], m.lx[i] = m.xl[i], m.ly[i] = m.yl[i], m.lu[i] = m.ul[i];
}

AIGA_INLINE Vector times(const Arrow& m, const Vector& v) {
  Vector r;
  r.x = m.xx * v.x + m.xy * v.y + m.xh * v.h;
  r.y = m.yx * v.x + m.yy * v.y + m.yh * v.h;
  r.h = m.hx * v.x + m.hy * v.y + m.hh * v.h;
  for (int i = 0; i < 2; i++) {
    r.x += m.xu[i] * v.u[i] + m.xl[i] * v.l[i];
    r.y += m.yu[i] * v.u[i] + m.yl[i] * v.l[i];
    r.h += m.hu[i] * v.u[i];
    r.u[i] = m.ux[i] * v.x + m.uy[i] * v.y + m.uh[i] * v.h + m.uu[i] * v.u[i] + m.ul[i] * v.l[i];
    r.l[i] = m.lx[i] * v.x + m.ly[i] * v.y + m.lu[i] * v.u[i] + m.ll[i] * v.l[i];
  }
  return r;
}

AIGA_INLINE Vector blend(M mask, const Vector& yes, const Vector& no) {
  Vector r = {select(mask, yes.x, no.x), select(mask, yes.y, no.y), select(mask, yes.h, no.h)};
  for (int i = 0; i < 2; i++) r.u[i] = select(mask, yes.u[i], no.u[i]), r.l[i] = select(mask, yes.l[i], no.l[i]);
  return r;
}

// A matrix taken apart in place, lower legs first, then upper legs, hull spin and hip point, to be solved for many right
// sides.
struct Factors {
  Arrow m;  // once eliminated, above the diagonal: what each row takes from the ones before it
  F ix, iy, ih, iu[2], il[2];  // 1 / diagonal

  AIGA_MEMBER void eliminate() {
    for (int i = 0; i < 2; i++) {
      il[i] = 1.0f / m.ll[i];
      m.ul[i] *= il[i], m.xl[i] *= il[i], m.yl[i] *= il[i];
      m.uu[i] -= m.ul[i] * m.lu[i], m.ux[i] -= m.ul[i] * m.lx[i], m.uy[i] -= m.ul[i] * m.ly[i];
      m.xu[i] -= m.xl[i] * m.lu[i], m.xx -= m.xl[i] * m.lx[i], m.xy -= m.xl[i] * m.ly[i];
      m.yu[i] -= m.yl[i] * m.lu[i], m.yx -= m.yl[i] * m.lx[i], m.yy -= m.yl[i] * m.ly[i];
      iu[i] = 1.0f / m.uu[i];
      m.hu[i] *= iu[i], m.xu[i] *= iu[i], m.yu[i] *= iu[i];
      m.xx -= m.xu[i] * m.ux[i], m.xy -= m.xu[i] * m.uy[i], m.xh -= m.xu[i] * m.uh[i];
      m.yx -= m.yu[i] * m.ux[i], m.yy -= m.yu[i] * m.uy[i], m.yh -= m.yu[i] * m.uh[i];
      m.hx -= m.hu[i] * m.ux[i], m.hy -= m.hu[i] * m.uy[i], m.hh -= m.hu[i] * m.uh[i];
    }
    ih = 1.0f / m.hh;
    m.xh *= ih, m.yh *= ih;
    m.xx -= m.xh * m.hx, m.xy -= m.xh * m.hy, m.yx -= m.yh * m.hx, m.yy -= m.yh * m.hy;
    ix = 1.0f / m.xx;
    m.yx *= ix;
    iy = 1.0f / (m.yy - m.yx * m.xy);
  }

  AIGA_MEMBER Vector solve(Vector r) const {
    for (int i = 0; i < 2; i++) {
      r.u[i] -= m.ul[i] * r.l[i], r.x -= m.xl[i] * r.l[i], r.y -= m.yl[i] * r.l[i];
      r.x -= m.xu[i] * r.u[i], r.y -= m.yu[i] * r.u[i], r.h -= m.hu[i] * r.u[i];
    }
    r.x -= m.xh * r.h, r.y -= m.yh * r.h;
    r.y = (r.y - m.yx * r.x) * iy;
    r.x = (r.x - m.xy * r.y) * ix;
    r.h = (r.h - m.hx * r.x - m.hy * r.y) * ih;
    for (int i = 0; i < 2; i++) {
      r.u[i] = (r.u[i] - m.ux[i] * r.x - m.uy[i] * r.y - m.uh[i] * r.h) * iu[i];
      r.l[i] = (r.l[i] - m.lx[i] * r.x - m.ly[i] * r.y - m.lu[i] * r.u[i]) * il[i];
    }
    return r;
  }
};

// The contacts of one leg as the velocity solver sees them: how normal and tangent speeds follow from the free
// velocities. Each lane's own come first, so that eight lanes with two contacts each are two slots and not
// sixteen.
struct Slot {
  M on;
  F nx, ny;          // the normal; the tangent is (ny, -nx)
  F nu, nl, tu, tl;  // on the upper and the lower spin
  F sunk;            // how deep, skins included, m

  AIGA_MEMBER void clear() {
    on = false;
    nx = ny = nu = nl = tu = tl = sunk = 0.0f;
  }
};

struct Slots {
  static constexpr int MOST = 12;
  int count = 0;
  Slot at[MOST];

  void pack(const Contacts& of_upper, const Contacts& of_lower, const Body& upper, const Body& lower, F ux, F uy, F lx,
            F ly) {
    I used = 0;
    count = 0;
    for (int k = 0; k < of_lower.count + of_upper.count; k++) {
      const bool is_upper = k >= of_lower.count;
      const Contact& c = is_upper ? of_upper.at[k - of_lower.count] : of_lower.at[k];
      const Body& part = is_upper ? upper : lower;
      F x = c.px - part.x, y = c.py - part.y;
      F ax = is_upper ? ux + x : 2 * ux, ay = is_upper ? uy + y : 2 * uy;
      F bx = is_upper ? 0.0f : lx + x, by = is_upper ? 0.0f : ly + y;
      const F nu = ax * c.ny - ay * c.nx, tu = -ax * c.nx - ay * c.ny;
      const F nl = bx * c.ny - by * c.nx, tl = -bx * c.nx - by * c.ny;
      const M own = c.on & ~c.shared & (used < MOST);  // one of two equal points is enough for velocities
      each_place(own, used, at, count, [&](M here, Slot& to) {
        to.on |= here;
        to.nx = select(here, c.nx, to.nx), to.ny = select(here, c.ny, to.ny);
        to.nu = select(here, nu, to.nu), to.nl = select(here, nl, to.nl);
        to.tu = select(here, tu, to.tu), to.tl = select(here, tl, to.tl);
        to.sunk = select(here, SKIN - c.depth, to.sunk);
      });
    }
  }
};

// Where Newton's steps find no rest (a leg wedged between two contacts has several answers, or none): Box2D's
// own way, sweeps over the rows one after the other, from no impulse at all.
__attribute__((noinline)) void sweep(M lanes, const Settings& of, const Arrow& mass, const Vector& momentum,
                                     const Slots slots[2], const F torque[4], const F rated[4],
                                     const F floor[4], const F ceiling[4], const M stopped[4], Vector& result) {
  struct Line { Vector along; F inverse, impulse; };  // M^-1 J^T, 1 / J M^-1 J^T
  Factors factors;
  factors.m = mass;
  factors.eliminate();
  Line joint[4], normal[2][Slots::MOST], tangent[2][Slots::MOST];
  F stop[4];
  const F zero = 0.0f;
  const Vector none = {zero, zero, zero, {zero, zero}, {zero, zero}};
  auto push = [](Vector& v, const Vector& along, F impulse) {
    v.x += impulse * along.x, v.y += impulse * along.y, v.h += impulse * along.h;
    for (int i = 0; i < 2; i++) v.u[i] += impulse * along.u[i], v.l[i] += impulse * along.l[i];
  };
  auto turning = [](const Vector& v, int j) { return j % 2 ? v.l[j / 2] - v.u[j / 2] : v.u[j / 2] - v.h; };
  for (int j = 0; j < 4; j++) {
    Vector row = none;
    if (j % 2) row.l[j / 2] = 1.0f, row.u[j / 2] = -1.0f;
    else row.u[j / 2] = 1.0f, row.h = -1.0f;
    joint[j].along = factors.solve(row);
    joint[j].inverse = 1.0f / turning(joint[j].along, j);
    joint[j].impulse = stop[j] = zero;
  }
  auto speed = [](const Vector& v, int i, F x, F y, F u, F l) { return x * v.x + y * v.y + u * v.u[i] + l * v.l[i]; };
  for (int i = 0; i < 2; i++)
    for (int k = 0; k < slots[i].count; k++) {
      const Slot& c = slots[i].at[k];
      if (!any(c.on & lanes)) continue;
      Vector row = none;
      row.x = c.nx, row.y = c.ny, row.u[i] = c.nu, row.l[i] = c.nl;
      normal[i][k].along = factors.solve(row);
      normal[i][k].inverse = only(c.on, 1.0f / (speed(normal[i][k].along, i, c.nx, c.ny, c.nu, c.nl) + of.give));
      row.x = c.ny, row.y = -c.nx, row.u[i] = c.tu, row.l[i] = c.tl;
      tangent[i][k].along = factors.solve(row);
      tangent[i][k].inverse = only(c.on, 1.0f / speed(tangent[i][k].along, i, c.ny, -c.nx, c.tu, c.tl));
      normal[i][k].impulse = tangent[i][k].impulse = zero;
    }
  Vector q = factors.solve(momentum);
  for (int round = 0; round < SWEEPS; round++) {
    for (int j = 0; j < 4; j++) {
      Line& r = joint[j];
      F p = clamp(r.impulse + (rated[j] - turning(q, j)) * r.inverse, -torque[j], torque[j]);
      push(q, r.along, p - r.impulse);
      r.impulse = p;
      if (!any(stopped[j] & lanes)) continue;
      p = clamp(stop[j] - turning(q, j) * r.inverse, floor[j], ceiling[j]);
      push(q, r.along, p - stop[j]);
      stop[j] = p;
    }
    for (int i = 0; i < 2; i++)
      for (int k = 0; k < slots[i].count; k++) {
        const Slot& c = slots[i].at[k];
        if (!any(c.on & lanes)) continue;
        Line &n = normal[i][k], &t = tangent[i][k];
        F bound = of.friction * n.impulse;
        F p = clamp(t.impulse - speed(q, i, c.ny, -c.nx, c.tu, c.tl) * t.inverse, -bound, bound);
        push(q, t.along, p - t.impulse);
        t.impulse = p;
        const F parting = speed(q, i, c.nx, c.ny, c.nu, c.nl) - of.rise * c.sunk + of.give * n.impulse;
        p = max(n.impulse - parting * n.inverse, zero);
        push(q, n.along, p - n.impulse);
        n.impulse = p;
      }
  }
  result = blend(lanes, q, result);
}

struct Stopped { M low, high; };  // joints at a limit

// Velocities after joints, motors, limits and contacts. On entry the bodies carry their own velocities, which
// need not agree at the joints; on return they do.
void solve_velocities(State& s, const Settings& of, const F action[4], const Contacts part[5], const Stopped stops[4],
                      int most) {
  Body* b = s.body;
  // From the hip point: to the hull's centre of mass, and half-way down each leg part.
  const float hx = HULL_CX, hy = HULL_CY - HIP_Y;
  F rx = b[0].c * hx - b[0].s * hy, ry = b[0].s * hx + b[0].c * hy;
  F ux[2], uy[2], lx[2], ly[2];
  Arrow mass;
  Vector momentum, q;
  mass.xx = mass.yy = of.total, mass.xy = 0.0f;
  mass.xh = -of.mass * ry, mass.yh = of.mass * rx, mass.hh = of.about_hip;
  F vy[5];
  for (int k = 0; k < 5; k++) vy[k] = b[k].vy + GRAVITY * DT;
  momentum.x = of.mass * b[0].vx, momentum.y = of.mass * vy[0];
  momentum.h = of.inertia * b[0].w + of.mass * (rx * vy[0] - ry * b[0].vx);
  for (int i = 0; i < 2; i++) {
    const Body &u = b[1 + 2 * i], &l = b[2 + 2 * i];
    F vu = vy[1 + 2 * i], vl = vy[2 + 2 * i];
    ux[i] = HALF * u.s, uy[i] = -HALF * u.c, lx[i] = HALF * l.s, ly[i] = -HALF * l.c;
    mass.xu[i] = -(MASS_U + 2 * MASS_L) * uy[i], mass.yu[i] = (MASS_U + 2 * MASS_L) * ux[i];
    mass.xl[i] = -MASS_L * ly[i], mass.yl[i] = MASS_L * lx[i];
    mass.hu[i] = 0.0f;
    mass.uu[i] = INERTIA_U + (MASS_U + 4 * MASS_L) * HALF * HALF;
    mass.ll[i] = INERTIA_L + MASS_L * HALF * HALF;
    mass.ul[i] = 2 * MASS_L * (ux[i] * lx[i] + uy[i] * ly[i]);
    momentum.x += MASS_U * u.vx + MASS_L * l.vx;
    momentum.y += MASS_U * vu + MASS_L * vl;
    momentum.u[i] = INERTIA_U * u.w + MASS_U * (ux[i] * vu - uy[i] * u.vx) +
                    2 * MASS_L * (ux[i] * vl - uy[i] * l.vx);
    momentum.l[i] = INERTIA_L * l.w + MASS_L * (lx[i] * vl - ly[i] * l.vx);
    q.u[i] = u.w, q.l[i] = l.w;
  }
  mirror(mass);
  q.x = b[0].vx + ry * b[0].w, q.y = vy[0] - rx * b[0].w, q.h = b[0].w;

  Slots slots[2];
  for (int i = 0; i < 2; i++) slots[i].pack(part[1 + 2 * i], part[2 + 2 * i], b[1 + 2 * i], b[2 + 2 * i], ux[i], uy[i], lx[i], ly[i]);
  Push normal[2][Slots::MOST];
  Row tangent[2][Slots::MOST], motor[4], limit[4];
  F torque[4], rated[4], floor[4], ceiling[4];
  M stopped[4];
  for (int j = 0; j < 4; j++) {
    stopped[j] = stops[j].low | stops[j].high;
    floor[j] = only(stops[j].high, -1e9f), ceiling[j] = only(stops[j].low, 1e9f);
    torque[j] = min(abs(action[j]), 1.0f) * (MAX_TORQUE * DT);
    rated[j] = select(action[j] < 0.0f, -RATED[j], RATED[j]);
  }

  const F stiff_normal = STIFF_CONTACT / (1.0f + STIFF_CONTACT * of.give);
  M busy = true;
  for (int step = 0; step < most; step++) {
    M restless = step == 0, may = true, reacts;
    Factors factors;
    Arrow& m = factors.m;
    m = mass;
    Vector g = times(mass, q);
    g.x = momentum.x - g.x, g.y = momentum.y - g.y, g.h = momentum.h - g.h;
    for (int i = 0; i < 2; i++) g.u[i] = momentum.u[i] - g.u[i], g.l[i] = momentum.l[i] - g.l[i];
    for (int j = 0; j < 4; j++) {
      const int i = j / 2;
      F speed = j % 2 ? q.l[i] - q.u[i] : q.u[i] - q.h;
      F impulse = respond(motor[j], rated[j] - speed, -torque[j], torque[j], STIFF_JOINT, j % 2 ? 0.1f : 0.4f, step, true, may, reacts, restless);
      F stiff = only(reacts, STIFF_JOINT);
      if (any(stopped[j] & busy)) {
        impulse += respond(limit[j], -speed, floor[j], ceiling[j], STIFF_JOINT, 0.1f, step, stopped[j], may, reacts, restless);
        stiff += only(reacts, STIFF_JOINT);
      }
      if (j % 2) {
        g.l[i] += impulse, g.u[i] -= impulse;
        m.ll[i] += stiff, m.uu[i] += stiff, m.ul[i] -= stiff, m.lu[i] -= stiff;
      } else {
        g.u[i] += impulse, g.h -= impulse;
        m.uu[i] += stiff, m.hh += stiff, m.hu[i] -= stiff, m.uh[i] -= stiff;
      }
    }
    for (int i = 0; i < 2; i++) {
      for (int k = 0; k < slots[i].count; k++) {
        const Slot& c = slots[i].at[k];
        if (!any(c.on & busy)) continue;
        F un = c.nx * q.x + c.ny * q.y + c.nu * q.u[i] + c.nl * q.l[i];
        F ut = c.ny * q.x - c.nx * q.y + c.tu * q.u[i] + c.tl * q.l[i];
        M rn, rt;
        const M lifted = step ? normal[i][k].held : M(false);
        const F missed = of.soft ? of.rise * c.sunk - un : -un;
        F pn = respond(normal[i][k], missed, of.soft, of.give, stiff_normal, step, c.on, may, rn, restless);
        F bound = of.friction * max(normal[i][k].impulse, 0.0f);
        F pt = respond(tangent[i][k], -ut, -bound, bound, STIFF_CONTACT, 0.0f, step, c.on, may, rt, restless);
        // A point that lands begins by sliding the way it moves: an old side may push it off again.
        const M landed = lifted & rn;
        tangent[i][k].side = select(landed, select(ut > 0.0f, -1.0f, 1.0f), tangent[i][k].side);
        rt &= ~landed;
        // Friction at its bound follows the normal impulse, also within the step: without that the two chase
        // each other where a leg wedges. The force then leans along w = n + grip * t.
        F grip = of.friction * tangent[i][k].side;
        pt = select(rt, pt, grip * pn);
        g.x += c.nx * pn + c.ny * pt, g.y += c.ny * pn - c.nx * pt;
        g.u[i] += c.nu * pn + c.tu * pt, g.l[i] += c.nl * pn + c.tl * pt;
        F sn = only(rn, stiff_normal), st = only(rt, STIFF_CONTACT);
        F wx = sn * (c.nx + grip * c.ny), wy = sn * (c.ny - grip * c.nx), wu = sn * (c.nu + grip * c.tu);
        F tx = st * c.ny, ty = -st * c.nx, tu = st * c.tu;
        m.xx += wx * c.nx + tx * c.ny, m.xy += wx * c.ny - tx * c.nx, m.xu[i] += wx * c.nu + tx * c.tu;
        m.yx += wy * c.nx + ty * c.ny, m.yy += wy * c.ny - ty * c.nx, m.yu[i] += wy * c.nu + ty * c.tu;
        m.ux[i] += wu * c.nx + tu * c.ny, m.uy[i] += wu * c.ny - tu * c.nx, m.uu[i] += wu * c.nu + tu * c.tu;
        F wl = sn * (c.nl + grip * c.tl), tl = st * c.tl;
        m.xl[i] += wx * c.nl + tx * c.tl, m.yl[i] += wy * c.nl + ty * c.tl, m.ul[i] += wu * c.nl + tu * c.tl;
        m.lx[i] += wl * c.nx + tl * c.ny, m.ly[i] += wl * c.ny - tl * c.nx, m.lu[i] += wl * c.nu + tl * c.tu;
        m.ll[i] += wl * c.nl + tl * c.tl;
      }
    }
    // A lane found at rest still takes this step: what its rows miss falls from a thousandth to a millionth.
    factors.eliminate();
    Vector d = factors.solve(g);
    q.x += only(busy, d.x), q.y += only(busy, d.y), q.h += only(busy, d.h);
    for (int i = 0; i < 2; i++) q.u[i] += only(busy, d.u[i]), q.l[i] += only(busy, d.l[i]);
    busy &= restless;
    if (!any(busy)) break;
  }

  busy |= ~(abs(q.x) + abs(q.y) + abs(q.h) < 1e6f);  // thrown off, even to no number at all
  if (any(busy)) sweep(busy, of, mass, momentum, slots, torque, rated, floor, ceiling, stopped, q);

  b[0].w = q.h, b[0].vx = q.x - ry * q.h, b[0].vy = q.y + rx * q.h;
  for (int i = 0; i < 2; i++) {
    Body &u = b[1 + 2 * i], &l = b[2 + 2 * i];
    u.w = q.u[i], l.w = q.l[i];
    u.vx = q.x - uy[i] * u.w, u.vy = q.y + ux[i] * u.w;
    l.vx = q.x - 2 * uy[i] * u.w - ly[i] * l.w, l.vy = q.y + 2 * ux[i] * u.w + lx[i] * l.w;
  }
}

// How far a contact is from its rest, and the direction that parts the leg from the ground.
AIGA_INLINE F separation(const Contact& c, const Body& part, F& nx, F& ny, F& px, F& py) {
  F lx = part.c * c.lx - part.s * c.ly, ly = part.s * c.lx + part.c * c.ly;
  nx = select(c.by_face, -lx, c.nx), ny = select(c.by_face, -ly, c.ny);
  px = select(c.by_face, c.px, part.x + lx), py = select(c.by_face, c.py, part.y + ly);
  F by_edge = nx * px + ny * py, by_face = nx * (part.x - px) + ny * (part.y - py);
  return select(c.by_face, by_face, by_edge) - c.offset - SKIN;
}

// Moves one part out of the ground, or out of what lies `depth` below where that is soft, as if it were free.
AIGA_INLINE F push_out(const Contact& c, Body& part, F depth, F inverse_mass, F inverse_inertia, float rate, M on) {
  F nx, ny, px, py;
  F gap = separation(c, part, nx, ny, px, py) + depth;
  F lever = (px - part.x) * ny - (py - part.y) * nx;
  F move = only(on & c.on, clamp(-rate * (gap + SLOP), 0.0f, 0.2f));
  F impulse = move / (inverse_mass + inverse_inertia * lever * lever);
  part.x += inverse_mass * impulse * nx, part.y += inverse_mass * impulse * ny;
  rotate(part, inverse_inertia * impulse * lever);
  return select(c.on, gap, 0.0f);
}

// Box2D's position solver: one pass over contacts, then over joints, until all are within their slop.
void solve_positions(State& s, const Settings& of, const Contacts part[5], const Stopped stops[4], int most) {
  Body* b = s.body;
  const F inverse_mass[2] = {of.inverse_mass, 1 / MASS_U};  // of the parent of a hip, and of a knee
  const F inverse_inertia[2] = {of.inverse_inertia, 1 / INERTIA_U};
  M busy = true;
  M torn = busy;
  for (int pass = 0; pass < PASSES && any(busy); pass++) {
    F deepest = 0.0f, worst = 0.0f, turned = 0.0f;
    for (int p = 4; p > 0; p--)
      for (int k = 0; k < part[p].count; k++) {
        const Contact& c = part[p].at[k];
        if (!any(c.on & busy)) continue;
        deepest = min(deepest, push_out(c, b[p], of.depth, 1 / BODY_MASS[p], 1 / BODY_INERTIA[p], 0.2f, busy));
      }
    for (int j : JOINT_ORDER) {
      Body &p = b[PARENT[j]], &q = b[CHILD[j]];
      const F mp = inverse_mass[j % 2], ip = inverse_inertia[j % 2];
      const float mq = 1 / BODY_MASS[CHILD[j]], iq = 1 / BODY_INERTIA[CHILD[j]];
      if (any((stops[j].low | stops[j].high) & busy)) {
        F angle = q.a - p.a - REFERENCE[j];
        F low = only(stops[j].low, angle - LOWER[j]), high = only(stops[j].high, angle - UPPER[j]);
        turned = max(turned, max(-low, high));
        F turn = clamp(low + ANGULAR_SLOP, -ANGULAR_STEP, 0.0f) +
                 clamp(high - ANGULAR_SLOP, 0.0f, ANGULAR_STEP);
        F impulse = only(busy, turn) * (-1.0f / (ip + iq));
        rotate(p, -ip * impulse);
        rotate(q, iq * impulse);
      }
      const float ax = j % 2 ? 0.0f : -HULL_CX, ay = j % 2 ? -HALF : HIP_Y - HULL_CY;
      F px = p.c * ax - p.s * ay, py = p.s * ax + p.c * ay;
      F qx = -q.s * HALF, qy = q.c * HALF;
      F cx = q.x + qx - p.x - px, cy = q.y + qy - p.y - py;
      worst = max(worst, cx * cx + cy * cy);
      F k11 = mp + mq + ip * py * py + iq * qy * qy, k22 = mp + mq + ip * px * px + iq * qx * qx;
      F k12 = -ip * px * py - iq * qx * qy;
      F scale = only(busy, -1.0f / (k11 * k22 - k12 * k12));
      F fx = scale * (k22 * cx - k12 * cy), fy = scale * (k11 * cy - k12 * cx);
      p.x -= mp * fx, p.y -= mp * fy, q.x += mq * fx, q.y += mq * fy;
      rotate(p, -ip * (px * fy - py * fx));
      rotate(q, iq * (qx * fy - qy * fx));
    }
    // Torn joints, as those an episode begins with, need Box2D's full number of passes; else a few will do.
    if (pass == 0) torn = (worst > TORN * TORN) | (s.time < STARTING);
    if (pass + 1 >= most) busy &= torn;
    busy &= (deepest < -3.02f * SLOP) | (worst > SLOP * SLOP) | (turned > 1.02f * ANGULAR_SLOP);
  }
}

// The instant at which a part's core comes closer to the ground than the slop, or to what lies `depth` below where that
// is soft, as a share of its motion from `from`; 2 where it does not. `now` are its contacts at the end of the motion.
F arrival(const Body& from, const Body& part, F depth, const Contacts& now) {
  F when = 2.0f;
  for (int k = 0; k < now.count; k++) {
    const Contact& c = now.at[k];
    // The same point of the part at the start of the motion: how far it came along the normal.
    F x = c.px - part.x, y = c.py - part.y;
    F u = part.c * x + part.s * y, v = part.c * y - part.s * x;
    F ox = from.x + from.c * u - from.s * v, oy = from.y + from.s * u + from.c * v;
    F moved = c.nx * (c.px - ox) + c.ny * (c.py - oy);
    const F end = c.depth + depth;
    F start = end - moved;
    M meets = c.on & (end < SLOP) & (start > 0.0f) & (start < 1.0f);
    F share = clamp((start - SLOP) / max(-moved, 1e-6f), 0.0f, 1.0f);
    when = select(meets, min(when, share), when);
  }
  return when;
}

// Box2D's continuous collision for the leg parts: one that has arrived at the ground goes back to that instant, meets
// the ground as a free body, and spends the rest of the step; twice at most. Parts do not feel each other here, so every
// lane takes its own one after the other, whatever the other lanes take. `from` is where the parts come from, `near` what
// they are near to, on entry and on return; by leg, `arrived` says whether the lower part has, `touched` gathers the
// cells that it met.
void arrive(const Terrain& t, Body part[5], Body from[5], Near& near, M arrived[2], I touched[2]) {
  F when[5], left[5], times[5];  // left: the share of the step not yet spent
  for (int p = 1; p < 5; p++) when[p] = arrival(from[p], part[p], t.of.depth, near.part[p]), left[p] = 1.0f, times[p] = 0.0f;
  for (;;) {
    M on = false, mine[5];
    Body hit = part[1], start = from[1];
    F share = when[1], rest = left[1];
    for (int p = 1; p < 5; p++) {
      mine[p] = ~on & (when[p] <= 1.0f);
      on |= mine[p];
      if (p == 1 || !any(mine[p])) continue;
      hit = blend(mine[p], part[p], hit), start = blend(mine[p], from[p], start);
      share = select(mine[p], when[p], share), rest = select(mine[p], left[p], rest);
    }
    if (!any(on)) break;
    const M upper = mine[1] | mine[3];
    const F half_width = select(upper, WIDTH_UPPER, WIDTH_LOWER);
    const F inverse_mass = select(upper, 1 / MASS_U, 1 / MASS_L);
    const F inverse_inertia = select(upper, 1 / INERTIA_U, 1 / INERTIA_L);
    share = only(on, share);
    hit.x = start.x + share * (hit.x - start.x), hit.y = start.y + share * (hit.y - start.y);
    F turn = share * (hit.a - start.a);
    hit.a = start.a + turn;
    sincos(hit.a, hit.s, hit.c);
    Contacts meets;
    part_contacts(t, hit, half_width, on, SKIN, meets);
    for (int pass = 0; pass < 3; pass++)
      for (int k = 0; k < meets.count; k++) push_out(meets.at[k], hit, t.of.depth, inverse_mass, inverse_inertia, 0.75f, on);
    struct Lever { F n, t, inverse_n, inverse_t, pn, pt; } levers[Contacts::MOST];
    for (int k = 0; k < meets.count; k++) {
      const Contact& c = meets.at[k];
      Lever& r = levers[k];
      F x = c.px - hit.x, y = c.py - hit.y;
      r.n = x * c.ny - y * c.nx, r.t = -x * c.nx - y * c.ny;
      const M reached = c.on & (c.depth + t.of.depth <= SKIN);
      r.inverse_n = only(reached, 1.0f / (inverse_mass + inverse_inertia * r.n * r.n));
      r.inverse_t = only(reached, 1.0f / (inverse_mass + inverse_inertia * r.t * r.t));
      r.pn = r.pt = 0.0f;
    }
    for (int sweep = 0; sweep < 6; sweep++) {
      for (int k = 0; k < meets.count; k++) {
        const Contact& c = meets.at[k];
        Lever& r = levers[k];
        F ut = c.ny * hit.vx - c.nx * hit.vy + r.t * hit.w;
        F bound = t.of.friction * r.pn;
        F p = clamp(r.pt - ut * r.inverse_t, -bound, bound);
        F d = p - r.pt;
        r.pt = p;
        hit.vx += inverse_mass * d * c.ny, hit.vy -= inverse_mass * d * c.nx, hit.w += inverse_inertia * d * r.t;
        F un = c.nx * hit.vx + c.ny * hit.vy + r.n * hit.w;
        p = max(r.pn - un * r.inverse_n, 0.0f);
        d = p - r.pn;
        r.pn = p;
        hit.vx += inverse_mass * d * c.nx, hit.vy += inverse_mass * d * c.ny, hit.w += inverse_inertia * d * r.n;
      }
    }
    const Body met = hit;
    rest = rest * (1.0f - share);
    F dt = rest * DT;
    hit.x += hit.vx * dt, hit.y += hit.vy * dt, hit.a += hit.w * dt;
    sincos(hit.a, hit.s, hit.c);
    Contacts now;
    part_contacts(t, hit, half_width, on, SKIN, now);
    for (int p = 1; p < 5; p++) {
      if (!any(mine[p])) continue;
      if (p % 2 == 0) arrived[p / 2 - 1] |= mine[p], touched[p / 2 - 1] |= only(mine[p], meets.cells);
      from[p] = blend(mine[p], met, from[p]), part[p] = blend(mine[p], hit, part[p]);
      near.part[p].forget(mine[p]);
      near.part[p].add(now, mine[p]);
      left[p] = select(mine[p], rest, left[p]), times[p] += only(mine[p], F(1.0f));
      when[p] = select(times[p] < 2.0f, arrival(from[p], part[p], t.of.depth, near.part[p]), 2.0f);
    }
  }
}

// Gymnasium sets a leg's flag when an edge is met and clears it when any edge is left, even if another still
// touches; without the emulation the flag says whether any edge touches.
AIGA_INLINE void update_flag(F& flag, I& touch, I now, bool emulate) {
  M met = (now & ~touch) != 0, lost = (touch & ~now) != 0;
  F quirk = select(lost, 0.0f, select(met, 1.0f, flag));
  flag = emulate ? quirk : only(now != 0, 1.0f);
  touch = now;
}

struct Seen { F reward; M terminated, finished; };

void find_near(const State& s, const Terrain& t, Near& near) {
  near.hull = hull_distance(t, s.body[0]);
  for (int p = 1; p < 5; p++) {
    near.part[p].forget(true);
    part_contacts(t, s.body[p], HALF_WIDTH[p], true, SKIN, near.part[p]);
  }
}

// One step of 1/50 s. Bodies' cosines and sines are those of their angles, and `near` is what they are near to, on
// entry and on return.
Seen advance(State& s, Near& near, const F action[4], const Terrain& t, const Quality& quality) {
  Body* b = s.body;
  Body before[5];
  M fallen = near.hull <= SKIN;
  for (int i = 0; i < 2; i++) update_flag(s.flag[i], s.touch[i], near.part[2 + 2 * i].cells, quality.bug_flags);
  Stopped stops[4];
  for (int j = 0; j < 4; j++) {
    F angle = b[CHILD[j]].a - b[PARENT[j]].a - REFERENCE[j];
    stops[j].low = angle <= LOWER[j], stops[j].high = (angle >= UPPER[j]) & ~stops[j].low;
  }
  solve_velocities(s, t.of, action, near.part, stops, quality.newton);
  for (int k = 0; k < 5; k++) {
    before[k] = b[k];
    b[k].w = clamp(b[k].w, -1.5707963f / DT, 1.5707963f / DT);
    b[k].x += b[k].vx * DT, b[k].y += b[k].vy * DT, b[k].a += b[k].w * DT;
    sincos(b[k].a, b[k].s, b[k].c);
  }
  solve_positions(s, t.of, near.part, stops, quality.position);
  find_near(s, t, near);
  M arrived[2] = {false, false};
  I touched[2] = {s.touch[0], s.touch[1]};
  arrive(t, b, before, near, arrived, touched);
  for (int i = 0; i < 2; i++) {
    if (!any(arrived[i])) continue;
    F flag = s.flag[i];
    I touch = s.touch[i];
    update_flag(flag, touch, touched[i], quality.bug_flags);
    s.flag[i] = select(arrived[i], flag, s.flag[i]), s.touch[i] = select(arrived[i], touch, s.touch[i]);
  }
  fallen |= near.hull <= SLOP;

  F x = b[0].x - (b[0].c * HULL_CX - b[0].s * HULL_CY);
  F shaping = x * (130.0f / 30.0f) - 5.0f * abs(b[0].a);
  Seen seen;
  seen.reward = shaping - s.shaping;
  s.shaping = shaping;
  s.time += 1.0f;
  for (int j = 0; j < 4; j++) seen.reward -= 0.00035f * MAX_TORQUE * min(abs(action[j]), 1.0f);
  fallen |= x < 0.0f;
  M lost = ~(b[0].x == b[0].x);  // not a number: the episode ends, and its return says so
  seen.reward = select(fallen & ~lost, -100.0f, seen.reward);
  seen.finished = (x > (t.g->cells - 9) * CELL) & ~fallen;
  seen.terminated = fallen | seen.finished | lost;
  return seen;
}

// Ten rays from the hull's origin, 0 to 1.35 rad from straight down towards the right: where along its range
// each meets the ground first.
void lidar(F x, F y, const Terrain& t, F fraction[10]) {
  static const struct Rays {
    float cot[10], inverse_reach[10];
    int cells[10];
    Rays() {
      for (int k = 1; k < 10; k++) {
        const double angle = 1.5 * k / 10.0;
        cot[k] = float(std::cos(angle) / std::sin(angle));
        inverse_reach[k] = float(1.0 / (std::sin(angle) * LIDAR_RANGE));
        cells[k] = int(std::sin(angle) * LIDAR_RANGE / CELL) + 2;
      }
    }
  } rays;
  I cell = t.cell(x);
  F x0 = tofloat(cell) * CELL - x;
  F left[LIDAR_REACH], right[LIDAR_REACH];
  for (int j = 0; j < LIDAR_REACH; j++) left[j] = t.height(cell + j, 0) - y, right[j] = t.height(cell + j, 1) - y;
  F here = left[0] - (right[0] - left[0]) * x0 * (1.0f / CELL);
  fraction[0] = clamp(-here * (1.0f / LIDAR_RANGE), 0.0f, 1.0f);
  for (int k = 1; k < 10; k++) {
    // e: how far the ground stands above the ray, at the left and the right end of a cell. After the hit the
    // numbers of its cell are kept.
    F hit_l = -1.0f, hit_r = 0.0f, hit_x = 1e9f;
    M open = true;
    F drop = rays.cot[k];
    for (int j = 0; j < rays.cells[k] && any(open); j++) {
      F xl = x0 + j * CELL;
      F el = left[j] + xl * drop, er = right[j] + (xl + CELL) * drop;
      M hit = open & (j ? (max(el, er) >= 0.0f) : (er >= 0.0f));
      hit_l = select(hit, el, hit_l), hit_r = select(hit, er, hit_r), hit_x = select(hit, xl, hit_x);
      open &= ~hit;
    }
    F inside = hit_l / min(hit_l - hit_r, -1e-9f);
    F at = hit_x + only(hit_l < 0.0f, inside * CELL);
    fraction[k] = clamp(at * rays.inverse_reach[k], 0.0f, 1.0f);
  }
}

void observe(const State& s, const Terrain& t, F o[OBSERVATION]) {
  const Body* b = s.body;
  o[0] = b[0].a, o[1] = b[0].w * (2.0f * DT), o[2] = b[0].vx * 0.12f, o[3] = b[0].vy * 0.08f;
  for (int i = 0; i < 2; i++) {
    const Body &u = b[1 + 2 * i], &l = b[2 + 2 * i];
    F* leg = o + 4 + 5 * i;
    leg[0] = u.a - b[0].a - REFERENCE[2 * i], leg[1] = (u.w - b[0].w) * (1 / SPEED_HIP);
    leg[2] = l.a - u.a + 1.0f, leg[3] = (l.w - u.w) * (1 / SPEED_KNEE);
    leg[4] = s.flag[i];
  }
  lidar(b[0].x - (b[0].c * HULL_CX - b[0].s * HULL_CY), b[0].y - (b[0].s * HULL_CX + b[0].c * HULL_CY), t, o + 14);
}

AIGA_INLINE void with_angles(State& s, M lanes) {
  for (Body& b : s.body) {
    F sine, cosine;
    sincos(b.a, sine, cosine);
    b.s = select(lanes, sine, b.s), b.c = select(lanes, cosine, b.c);
  }
}

// State between lanes and rows of memory; `rows` are pointers to STATE numbers, one a lane.
void load_lane(State& s, int lane, const float* row) {
  for (int k = 0; k < BODIES; k++) {
    Body& b = s.body[k];
    F* fields[BODY] = {&b.x, &b.y, &b.a, &b.vx, &b.vy, &b.w};
    for (int f = 0; f < BODY; f++) fields[f]->v[lane] = row[k * BODY + f];
  }
  for (int i = 0; i < 2; i++) {
    s.flag[i].v[lane] = row[FLAGS + i];
    s.touch[i].v[lane] = int32_t(row[TOUCH + i]);
  }
  s.shaping.v[lane] = row[SHAPING], s.time.v[lane] = row[TIME];
}

void store_lane(const State& s, int lane, float* row) {
  for (int k = 0; k < BODIES; k++) {
    const Body& b = s.body[k];
    const F fields[BODY] = {b.x, b.y, b.a, b.vx, b.vy, b.w};
    for (int f = 0; f < BODY; f++) row[k * BODY + f] = fields[f].v[lane];
  }
  for (int i = 0; i < 2; i++) {
    row[FLAGS + i] = s.flag[i].v[lane];
    row[TOUCH + i] = float(s.touch[i].v[lane]);
  }
  row[SHAPING] = s.shaping.v[lane], row[TIME] = s.time.v[lane];
}

// A network per lane. Weights lie as [block of outputs][input, then bias][output in block][lane], so that a
// layer reads them once, from first to last.
struct Brains {
  static constexpr int WIDE = 8, NARROW = 4;  // outputs summed at once; the last block of a layer may be narrow
  struct alignas(4 * W) Line { float lanes[W]; };  // so that no load straddles two cache lines
  const Network& network;
  std::vector<Line> weights, buffer;
  int widest = 0;

  explicit Brains(const Network& n) : network(n) {
    int64_t rows = 0;
    for (int k = 0; k < n.layers; k++) {
      rows += int64_t(n.sizes[k] + 1) * padded(n.sizes[k + 1]);
      widest = std::max({widest, int(n.sizes[k]), padded(n.sizes[k + 1])});
    }
    weights.resize(rows), buffer.resize(2 * widest);
  }

  static int padded(int outputs) { return (outputs + NARROW - 1) / NARROW * NARROW; }
  static int block(int outputs, int first) { return padded(outputs) - first >= WIDE ? WIDE : NARROW; }

  // Flat weights: per layer the matrix [in][out], then the bias [out].
  void load_lane(int lane, const float* flat) {
    Line* to = weights.data();
    for (int k = 0; k < network.layers; k++) {
      const int in = network.sizes[k], out = network.sizes[k + 1];
      for (int first = 0; first < out; first += block(out, first))
        for (int row = 0; row <= in; row++)
          for (int o = 0; o < block(out, first); o++, to++)
            to->lanes[lane] = first + o < out ? flat[row * out + first + o] : 0.0f;
      flat += int64_t(in + 1) * out;
    }
  }

  template <int BLOCK>
  const Line* sum(const Line* w, int in, int activation, const Line* from, Line* to) {
    F y[BLOCK] = {};
    for (int row = 0; row < in; row++, w += BLOCK) {
      F x = load(from[row].lanes);
      for (int o = 0; o < BLOCK; o++) y[o] += x * load(w[o].lanes);
    }
    for (int o = 0; o < BLOCK; o++) {
      y[o] += load(w[o].lanes);
      if (activation == 1) y[o] = tanh(y[o]);
      if (activation == 2) y[o] = max(y[o], 0.0f);
      store(to[o].lanes, y[o]);
    }
    return w + BLOCK;
  }

  void act(const F observation[OBSERVATION], F action[ACTION]) {
    Line *from = buffer.data(), *to = buffer.data() + widest;
    for (int k = 0; k < OBSERVATION; k++) store(from[k].lanes, observation[k]);
    const Line* w = weights.data();
    for (int k = 0; k < network.layers; k++) {
      const int in = network.sizes[k], out = network.sizes[k + 1];
      for (int first = 0; first < out; first += block(out, first))
        w = block(out, first) == WIDE ? sum<WIDE>(w, in, network.activations[k], from, to + first)
                                      : sum<NARROW>(w, in, network.activations[k], from, to + first);
      std::swap(from, to);
    }
    for (int k = 0; k < ACTION; k++) action[k] = load(from[k].lanes);
  }
};

void rollout(const Ground& ground, const Quality& quality, const Network& network, const Rollouts& job,
             std::atomic<int64_t>& next) {
  Brains brains(network);
  State s{};
  Terrain t{&ground, 0, 0, {}};
  for (int lane = 0; lane < W; lane++) t.load_lane(lane, 0);
  int64_t episode[W];
  F total = 0.0f;
  int running = 0;
  int64_t batches = 0;
  auto refill = [&](int lane) {  // the next episode, or an idle copy of none
    const int64_t e = next.fetch_add(1);
    episode[lane] = e < job.count ? e : -1;
    if (episode[lane] < 0) return;
    running++;
    load_lane(s, lane, job.start + e * STATE);
    t.load_lane(lane, job.course[e]);
    total.v[lane] = 0.0f;
    brains.load_lane(lane, job.weights + job.row[e] * job.weights_per_row);
  };
  for (int lane = 0; lane < W; lane++) refill(lane);
  with_angles(s, true);
  Near near;
  find_near(s, t, near);
  while (running) {
    F o[OBSERVATION], action[ACTION];
    observe(s, t, o);
    brains.act(o, action);
    Seen seen = advance(s, near, action, t, quality);
    total += seen.reward;
    batches++;
    M over = seen.terminated | (s.time >= float(job.max_steps));
    if (!any(over)) continue;
    for (int lane = 0; lane < W; lane++) {
      const int64_t e = episode[lane];
      if (!over[lane] || e < 0) continue;
      job.returns[e] = total.v[lane];
      job.lengths[e] = int32_t(s.time.v[lane]);
      job.distance[e] = s.body[0].x.v[lane];
      job.finished[e] = seen.finished[lane];
      running--;
      refill(lane);
    }
    with_angles(s, over);
    find_near(s, t, near);
  }
  __atomic_fetch_add(job.lane_steps, batches * W, __ATOMIC_RELAXED);
}

void step(const Ground& ground, const Quality& quality, const Steps& job, int64_t begin, int64_t end) {
  for (int64_t first = begin; first < end; first += W) {
    State s{};
    Terrain t{&ground, 0, 0, {}};
    F action[ACTION] = {}, o[OBSERVATION];
    const int lanes = int(std::min<int64_t>(W, end - first));
    for (int lane = 0; lane < W; lane++) {
      const int64_t e = first + std::min(lane, lanes - 1);
      load_lane(s, lane, job.state + e * STATE);
      t.load_lane(lane, job.course[e]);
      for (int k = 0; k < ACTION; k++) action[k].v[lane] = job.action[e * ACTION + k];
    }
    with_angles(s, true);
    Near near;
    find_near(s, t, near);
    Seen seen = advance(s, near, action, t, quality);
    observe(s, t, o);
    for (int lane = 0; lane < lanes; lane++) {
      const int64_t e = first + lane;
      store_lane(s, lane, job.next + e * STATE);
      for (int k = 0; k < OBSERVATION; k++) job.observation[e * OBSERVATION + k] = o[k].v[lane];
      job.reward[e] = seen.reward.v[lane];
      job.terminated[e] = seen.terminated[lane], job.finished[e] = seen.finished[lane];
    }
  }
}

// Independent multiply-adds and nothing else: what the core could do at most. The result only keeps them alive.
float multiply_add(int64_t rounds) {
  F sum[12];
  for (int k = 0; k < 12; k++) sum[k] = float(k);
  const F x = 0.999999f, y = 1e-6f;
  for (int64_t r = 0; r < rounds; r++)
    for (int k = 0; k < 12; k++) sum[k] = sum[k] * x + y;
  F total = sum[0];
  for (int k = 1; k < 12; k++) total += sum[k];
  return total.v[0];
}

}  // namespace

extern const Kernel kernel;
const Kernel kernel = {AIGA_NAME, W, rollout, step, multiply_add};

}  // namespace aiga::AIGA_ISA
