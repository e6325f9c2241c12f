/**
 * Courses that are made by hand: the heights of a base and obstacles on it, and what a course is made of.
 * Pure functions; every plan they return makes a valid course.
 *
 * @typedef {import("aiga/types.js").Ground} Ground
 * @typedef {"stump"|"gap"|"up"|"down"} ObstacleKind  the last two are stairs
 *
 * @typedef {object} Obstacle
 * @property {number} id  its own within a plan
 * @property {ObstacleKind} kind
 * @property {number} at  the first cell of a stump, of the hole of a gap, of the first tread
 * @property {number} size  of a stump its height (m), of a gap its width (cells), of stairs one rise (m)
 * @property {number} steps  of stairs; 1 for the others
 *
 * @typedef {{base: Ground, obstacles: Obstacle[], from: number|null}} Plan
 *   `obstacles` from left to right; `from` is the environment whose course it began as
 */

export const CELL = 14 / 30; // m
export const CELLS = 199;
export const GOAL = 190 * CELL; // m
export const BASE = 400 / 30 / 4; // m, the height of level ground
export const PAD = 20; // cells at the start that stay level
const PIT = 4 * CELL; // m, the depth of a gap
const TREAD = 4; // cells
const EVEN = 0.003; // m; the heights of a run come to the millimetre
const HIGHEST = 20; // m above and below level ground that a hand may draw
export const LIMITS = { stump: 5 * CELL, gap: 10, rise: 5 * CELL, steps: 9 };
const LEAST = 0.02; // m, of a stump and of a rise; less is taken for a slope

/** @param {number} value @param {number} low @param {number} high */
const within = (value, low, high) => Math.min(Math.max(value, low), high);
/** @param {number} height  m, to the millimetre */
const rounded = (height) => Math.round(height * 1000) / 1000;
/** @param {Obstacle} each */
export const isStairs = (each) => each.kind === "up" || each.kind === "down";

/** @returns {Plan}  level ground */
export function flat() {
  const base = { left: Array(CELLS).fill(BASE), right: Array(CELLS).fill(BASE) };
  return { base, obstacles: [], from: null };
}

/** The cells that are an obstacle's own: from the first up to, not with, the second. @param {Obstacle} each */
export function core(each) {
  const cells = isStairs(each) ? TREAD * each.steps : each.kind === "gap" ? each.size : 1;
  return [each.at, each.at + cells];
}

/** The cells that no other obstacle may touch: a gap has level ground on both sides. @param {Obstacle} each */
export function extent(each) {
  const [from, to] = core(each);
  return each.kind === "gap" ? [from - 1, to + 1] : [from, to];
}

/** How far an obstacle lifts what follows, m. @param {Obstacle} each */
export function lift(each) {
  return isStairs(each) ? (each.kind === "up" ? 1 : -1) * each.size * each.steps : 0;
}

/** How far the base is lifted in each cell by the stairs before it, m. @param {Plan} plan */
export function lifts({ obstacles }) {
  const found = Array(CELLS).fill(0);
  for (const each of obstacles) {
    if (lift(each)) for (let i = extent(each)[1]; i < CELLS; i++) found[i] += lift(each);
  }
  return found;
}

/** The ground of a plan, to the millimetre. @param {Plan} plan @returns {Ground} */
export function compose(plan) {
  const lifted = lifts(plan);
  const left = plan.base.left.map((height, i) => height + lifted[i]);
  const right = plan.base.right.map((height, i) => height + lifted[i]);
  const fill = (/** @type {number} */ from, /** @type {number} */ to, /** @type {number} */ height) => {
    left.fill(height, from, to);
    right.fill(height, from, to);
  };
  for (const each of plan.obstacles) {
    const [from, to] = core(each);
    if (each.kind === "stump") fill(from, to, Math.max(left[from], right[from]) + each.size);
    else if (each.kind === "gap") {
      const [before, after] = [left[from - 1], right[to]];
      fill(from - 1, from, before);
      fill(from, to, Math.min(before, after) - PIT);
      fill(to, to + 1, after);
    } else {
      // Over a slope each tread takes its share of it, so that the last one meets what follows.
      const slope = to < CELLS ? plan.base.left[to] - plan.base.left[from] : 0;
      const [start, climb] = [left[from], (lift(each) + slope) / each.steps];
      for (let n = 0; n < each.steps; n++) fill(from + TREAD * n, from + TREAD * (n + 1), start + climb * (n + 1));
    }
  }
  return { left: left.map(rounded), right: right.map(rounded) };
}

/** An obstacle with its sizes within the limits of the space of courses. @param {Obstacle} each @returns {Obstacle} */
export function limited(each) {
  const size = each.kind === "gap" ? within(Math.round(each.size), 1, LIMITS.gap)
    : within(each.size, LEAST, each.kind === "stump" ? LIMITS.stump : LIMITS.rise);
  return { ...each, size, steps: isStairs(each) ? within(Math.round(each.steps), 1, LIMITS.steps) : 1 };
}

/** @param {Obstacle[]} others @param {Obstacle} each */
function fits(others, each) {
  const [from, to] = extent(each);
  return from >= PAD && to <= CELLS && others.every((other) => {
    const [start, end] = extent(other);
    return to <= start || end <= from;
  });
}

/** @param {Plan} plan @param {Obstacle} each  that fits @returns {Plan} */
function holding(plan, each) {
  const others = plan.obstacles.filter(({ id }) => id !== each.id);
  return { ...plan, obstacles: [...others, each].sort((a, b) => a.at - b.at) };
}

/**
 * The plan with an obstacle at the free place nearest to the wanted one, in the place of its former self;
 * null where there is no room for it.
 * @param {Plan} plan @param {Obstacle} wanted @returns {Plan|null}
 */
export function placed(plan, wanted) {
  const others = plan.obstacles.filter(({ id }) => id !== wanted.id);
  const each = limited({ ...wanted, at: Math.round(wanted.at) });
  for (let away = 0; away < CELLS; away++) {
    for (const at of [each.at - away, each.at + away]) {
      if (fits(others, { ...each, at })) return holding(plan, { ...each, at });
    }
  }
  return null;
}

/**
 * The plan with an obstacle of a new size, as large as the room at its place allows.
 * @param {Plan} plan @param {Obstacle} wanted @returns {Plan|null}
 */
export function resized(plan, wanted) {
  const others = plan.obstacles.filter(({ id }) => id !== wanted.id);
  let each = limited(wanted);
  while (!fits(others, each)) {
    if (each.kind === "gap" && each.size > 1) each = { ...each, size: each.size - 1 };
    else if (isStairs(each) && each.steps > 1) each = { ...each, steps: each.steps - 1 };
    else return null;
  }
  return holding(plan, each);
}

/** @param {Plan} plan @param {number} id @returns {Plan} */
export function without(plan, id) {
  return { ...plan, obstacles: plan.obstacles.filter((each) => each.id !== id) };
}

/** A number that no obstacle of the plan has. @param {Plan} plan */
export function fresh(plan) {
  return Math.max(0, ...plan.obstacles.map(({ id }) => id)) + 1;
}

/** @param {Plan} plan @param {(base: Ground) => void} act  on a copy of the base @returns {Plan} */
function reshaped(plan, act) {
  const base = { left: [...plan.base.left], right: [...plan.base.right] };
  act(base);
  for (const side of [base.left, base.right]) {
    for (let i = PAD; i < CELLS; i++) side[i] = rounded(within(side[i], BASE - HIGHEST, BASE + HIGHEST));
  }
  return { ...plan, base };
}

/**
 * The plan whose ground runs through these heights; what stands on it moves along.
 * @param {Plan} plan @param {Map<number, number>} heights  m, by border: border i is the left end of cell i
 */
export function drawn(plan, heights) {
  const lifted = lifts(plan);
  return reshaped(plan, ({ left, right }) => {
    for (const [border, height] of heights) {
      if (border <= PAD || border > CELLS) continue; // the first slope begins at the level of the start
      right[border - 1] = height - lifted[border - 1];
      if (border < CELLS) left[border] = height - lifted[border];
    }
  });
}

/** The plan with borders moved up or down. @param {Plan} plan @param {Map<number, number>} by  m, by border */
export function shifted(plan, by) {
  return reshaped(plan, ({ left, right }) => {
    for (const [border, height] of by) {
      if (border <= PAD || border > CELLS) continue;
      right[border - 1] += height;
      if (border < CELLS) left[border] += height;
    }
  });
}

/** The plan with a stretch of ground lifted as a whole. @param {Plan} plan @param {number} from @param {number} to
 * @param {number} by  m; cells `from` up to, not with, `to` */
export function heaved(plan, from, to, by) {
  return reshaped(plan, ({ left, right }) => {
    for (let i = Math.max(from, PAD); i < Math.min(to, CELLS); i++) {
      left[i] += by;
      right[i] += by;
    }
  });
}

/**
 * The plan without obstacles on a stretch of cells, its ground there straight from one end to the other.
 * @param {Plan} plan @param {number} from @param {number} to  cells `from` up to, not with, `to`
 */
export function levelled(plan, from, to) {
  const [first, end] = [Math.max(from, PAD), Math.min(to, CELLS)];
  if (first >= end) return plan;
  const obstacles = plan.obstacles.filter((each) => core(each)[0] >= end || core(each)[1] <= first);
  return reshaped({ ...plan, obstacles }, ({ left, right }) => {
    const start = right[first - 1];
    const slope = end < CELLS ? (left[end] - start) / (end - first) : 0;
    for (let i = first; i < end; i++) {
      left[i] = start + slope * (i - first);
      right[i] = start + slope * (i + 1 - first);
    }
  });
}

/**
 * A plan whose ground is this one, with the obstacles that it shows; heights that are none of them stay base.
 * @param {Ground} ground @param {number|null} from  the environment that it belongs to @returns {Plan}
 */
export function recognised(ground, from) {
  const bare = { base: level(ground), obstacles: [], from };
  const plan = { ...bare, base: { left: [...bare.base.left], right: [...bare.base.right] } };
  /** @type {Obstacle[]} */
  const obstacles = [];
  let [i, above] = [PAD, 0];
  while (i < CELLS) {
    const found = obstacleAt(ground, i);
    const cells = found && core(found);
    const under = ground.right[i - 1] - above;
    if (found && cells && extent(found)[0] >= (obstacles.length ? extent(obstacles[obstacles.length - 1])[1] : PAD)) {
      obstacles.push({ ...found, id: obstacles.length + 1 });
      for (const side of [plan.base.left, plan.base.right]) side.fill(under, i, cells[1]);
      above += lift(found);
      i = cells[1];
    } else {
      plan.base.left[i] = ground.left[i] - above;
      plan.base.right[i] = ground.right[i] - above;
      i += 1;
    }
  }
  const read = { ...plan, obstacles };
  const made = compose(read);
  const same = (/** @type {number[]} */ a, /** @type {number[]} */ b) => a.every((h, n) => Math.abs(h - b[n]) < EVEN);
  return same(made.left, bare.base.left) && same(made.right, bare.base.right) ? read : bare;
}

/** A ground whose start is level. @param {Ground} ground @returns {Ground} */
function level({ left, right }) {
  const start = left[0];
  const even = (/** @type {number[]} */ side) => side.map((height, i) => (i < PAD ? start : height));
  return { left: even(left), right: even(right) };
}

/**
 * The obstacle that begins with a cell, if one does.
 * @param {Ground} ground @param {number} i @returns {Obstacle|null}
 */
function obstacleAt({ left, right }, i) {
  const before = right[i - 1];
  const jump = left[i] - before;
  const flatAt = (/** @type {number} */ cell, /** @type {number} */ height) =>
    cell < CELLS && Math.abs(left[cell] - height) < EVEN && Math.abs(right[cell] - height) < EVEN;
  if (Math.abs(jump) < LEAST || !flatAt(i, left[i])) return null;
  const begins = (/** @type {number} */ cell) => cell < CELLS && Math.abs(left[cell] - before) < EVEN;
  if (jump > 0 && jump <= LIMITS.stump + EVEN && begins(i + 1)) {
    return { id: 0, kind: "stump", at: i, size: jump, steps: 1 };
  }
  if (Math.abs(jump + PIT) < EVEN) {
    let end = i;
    while (flatAt(end, left[i]) && end - i <= LIMITS.gap) end += 1;
    if (end - i <= LIMITS.gap && flatAt(end, before)) return { id: 0, kind: "gap", at: i, size: end - i, steps: 1 };
  }
  if (Math.abs(jump) > LIMITS.rise + EVEN) return null;
  let [steps, height] = [0, before];
  const next = () => i + TREAD * steps;
  while (steps < LIMITS.steps && next() < CELLS && Math.abs(left[next()] - height - jump) < EVEN) {
    const tread = left[next()];
    if (![0, 1, 2, 3].every((k) => flatAt(next() + k, tread))) return null; // cut off by the end of the course
    height = tread;
    steps += 1;
  }
  if (!steps || (next() < CELLS && Math.abs(left[next()] - height) >= EVEN)) return null;
  const rise = (height - before) / steps; // nearer than one jump in whole millimetres
  return { id: 0, kind: rise > 0 ? "up" : "down", at: i, size: Math.abs(rise), steps };
}

/** A plan from text that was kept, or null where it is none. @param {string|null} text @returns {Plan|null} */
export function read(text) {
  try {
    const { base, obstacles, from } = JSON.parse(text ?? "");
    const sides = [base.left, base.right];
    if (!sides.every((side) => side.length === CELLS && side.every(Number.isFinite))) return null;
    /** @type {Plan|null} */
    let plan = { ...flat(), base: level(base), from: Number.isInteger(from) ? from : null };
    for (const each of obstacles) plan = placed(plan, each) ?? plan;
    return plan;
  } catch {
    return null;
  }
}

/** @type {Record<ObstacleKind, string>} */
export const NAMES = { stump: "stump", gap: "gap", up: "stairs up", down: "stairs down" };

/** An obstacle as a person would say it. @param {Obstacle} each */
export function said(each) {
  const where = `at ${(each.at * CELL).toFixed(1)} m`;
  if (each.kind === "gap") return `gap ${(each.size * CELL).toFixed(1)} m wide ${where}`;
  if (each.kind === "stump") return `stump ${each.size.toFixed(2)} m high ${where}`;
  return `${NAMES[each.kind]} ${where}, ${each.steps} × ${each.size.toFixed(2)} m`;
}
