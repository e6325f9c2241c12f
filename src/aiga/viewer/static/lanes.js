/**
 * Where the lives of a run lie when they are drawn as lines: x is the iteration, y the lane. Pure: nothing of
 * the browser is in here. A birth finds its place among those that are there and moves none of them.
 */

/**
 * @typedef {import("aiga/types.js").Environment} Environment
 * @typedef {{id: number, about: Environment, lane: number, place: number, parent: Life|null, children: Life[],
 *   lives: boolean}} Life  `place` in its lane, in the order of births; `lives`: it, or one that came from it,
 *   is still active
 */

const ROOM = 1.6; // lanes to those alive at once: some free ones keep children beside their parents
const NEW = 4; // a lane that is not there yet counts as so much further away
const GAP = 0.12; // of a life, left free behind its end

export class Lanes {
  constructor() {
    /** @type {Map<number, Life>} */
    this.lives = new Map();
    /** @type {Map<number, Life[]>} by lane, each in the order of births */
    this.rows = new Map();
    /** @type {Map<number, number>} the iteration from which a lane is free */
    this.free = new Map();
    /** @type {Set<Life>} */
    this.active = new Set();
    this.top = 0;
    this.bottom = 0;
    this.first = Infinity; // the first birth
    this.most = 0; // active at once
    /** @type {Life[]} those of whom anything is still active */
    this.living = [];
  }

  /**
   * Takes environments that are new or have changed; parents come before their children.
   * @param {Iterable<Environment>} environments
   * @returns {boolean} whether lives began or ended
   */
  take(environments) {
    let turned = false;
    for (const about of environments) {
      const life = this.lives.get(about.id);
      const ended = about.ended !== null && (!life || life.about.ended === null);
      if (life) life.about = about;
      else this.begin(about);
      if (ended) this.end(/** @type {Life} */ (this.lives.get(about.id)));
      turned ||= ended || !life;
    }
    if (turned) this.trace();
    return turned;
  }

  /**
   * Everything there is, told at once. Ends are told with births here, so lanes are freed in time's order.
   * @param {Iterable<Environment>} environments
   */
  fill(environments) {
    const born = [...environments].sort((a, b) => a.born - b.born || a.id - b.id);
    const ending = born.filter((each) => each.ended !== null).sort((a, b) => Number(a.ended) - Number(b.ended));
    let next = 0;
    for (const about of born) {
      for (; next < ending.length && Number(ending[next].ended) < about.born; next++) this.settle(ending[next].id);
      this.begin(about);
    }
    for (; next < ending.length; next++) this.settle(ending[next].id);
    this.trace();
  }

  /** @param {number} id */
  settle(id) {
    const life = this.lives.get(id);
    if (life) this.end(life);
  }

  /** @param {Environment} about */
  begin(about) {
    const parent = (about.parent === null ? null : this.lives.get(about.parent)) ?? null;
    const lane = this.nearest(parent ? parent.lane : 0, about.born);
    const row = this.rows.get(lane) ?? [];
    const life = { id: about.id, about, lane, place: row.length, parent, children: [], lives: false };
    row.push(life);
    parent?.children.push(life);
    this.rows.set(lane, row);
    this.free.set(lane, Infinity);
    this.lives.set(about.id, life);
    this.active.add(life);
    this.most = Math.max(this.most, this.active.size);
    this.top = Math.min(this.top, lane);
    this.bottom = Math.max(this.bottom, lane);
    this.first = Math.min(this.first, about.born);
  }

  /** @param {Life} life */
  end(life) {
    const { born, ended } = life.about;
    this.active.delete(life);
    this.free.set(life.lane, Number(ended) + 1 + GAP * (Number(ended) - born));
  }

  /** The free lane nearest to another. @param {number} wanted @param {number} born */
  nearest(wanted, born) {
    if (!this.rows.size) return 0;
    let [best, cost] = [NaN, Infinity];
    const room = this.bottom - this.top + 1 < 3 + ROOM * (this.active.size + 1);
    for (let lane = this.top - 1; lane <= this.bottom + 1; lane++) {
      const outside = lane < this.top || lane > this.bottom;
      if (outside ? !room : (this.free.get(lane) ?? 0) > born) continue;
      // Of two as near the one nearer to the middle, so that the tree grows to both sides.
      const far = Math.abs(lane - wanted) + (outside ? NEW : 0) + 0.001 * Math.abs(lane);
      if (far < cost) [best, cost] = [lane, far];
    }
    if (!Number.isNaN(best)) return best;
    return -this.top <= this.bottom ? this.top - 1 : this.bottom + 1;
  }

  /** Finds anew of whom anything is still active. */
  trace() {
    for (const life of this.living) life.lives = false;
    this.living = [];
    for (const life of this.active) {
      for (let each = /** @type {Life|null} */ (life); each && !each.lives; each = each.parent) {
        each.lives = true;
        this.living.push(each);
      }
    }
  }

  /**
   * Those that lie in a part of the plane, lane by lane.
   * @param {number} from @param {number} to  iterations
   * @param {number} top @param {number} bottom  lanes
   * @param {number} now
   * @returns {Life[]}
   */
  within(from, to, top, bottom, now) {
    /** @type {Life[]} */
    const found = [];
    for (let lane = Math.max(Math.floor(top), this.top); lane <= Math.min(Math.ceil(bottom), this.bottom); lane++) {
      const row = this.rows.get(lane) ?? [];
      for (let i = after(row, from, now); i < row.length && row[i].about.born <= to; i++) found.push(row[i]);
    }
    return found;
  }

  /**
   * The life at a point.
   * @param {number} x  iteration @param {number} y  lane @param {number} slack  iterations @param {number} now
   * @returns {Life|null}
   */
  at(x, y, slack, now) {
    const row = this.rows.get(Math.round(y)) ?? [];
    /** @type {Life|null} */
    let best = null;
    let distance = slack;
    for (let i = Math.max(after(row, x - slack, now), 0); i < row.length && row[i].about.born <= x + slack; i++) {
      const far = Math.max(row[i].about.born - x, x - end(row[i], now), 0);
      if (far <= distance) [best, distance] = [row[i], far];
    }
    return best;
  }
}

/** Where a life ends, or has come to. @param {Life} life @param {number} now */
export const end = (life, now) => life.about.ended ?? Math.max(now, life.about.born);

/**
 * The first of a row that ends at or after an iteration.
 * @param {Life[]} row @param {number} from @param {number} now
 */
function after(row, from, now) {
  let [low, high] = [0, row.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (end(row[middle], now) < from) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A life with all that came from it. @param {Life} life @returns {Life[]} */
export function descendants(life) {
  const found = [];
  const left = [...life.children];
  for (let each = left.pop(); each; each = left.pop()) {
    found.push(each);
    left.push(...each.children);
  }
  return found;
}

/** A life's parent, the parent's parent, ... @param {Life} life @returns {Life[]} */
export function ancestors(life) {
  const found = [];
  for (let each = life.parent; each; each = each.parent) found.push(each);
  return found;
}
