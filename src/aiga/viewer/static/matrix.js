/** Who helped whom: sources by targets, and how that is drawn. */

import { palette } from "aiga/branches.js";

/**
 * @typedef {import("aiga/kept.js").Sight} Sight
 * @typedef {CanvasRenderingContext2D} Context
 * @typedef {{source: number, target: number, count: number, gain: number, best: number}} Pair
 * @typedef {"count"|"gain"} Measure
 * @typedef {{others: number, count: number, gain: number}} Sum  over one row or column
 */

export const EDGES = { left: 58, top: 42, right: 64, bottom: 80 }; // px around the cells, for names and sums
const GRID = 7; // px, the least side of a cell that has lines around it
const NUMBERED = 24; // px, the least side of a cell that says its number
const LEAST = 2; // px, so that a cell is seen from far away
const PORTION = 300;

export class Matrix {
  /** @param {Pair[]} pairs  @param {number} size  environments */
  constructor(pairs, size) {
    this.pairs = pairs.map((pair) => ({ ...pair, gain: pair.gain ?? 0, best: pair.best ?? 0 }));
    this.pairs.sort((a, b) => a.target - b.target || a.source - b.source);
    this.size = size;
    /** @type {Map<number, Sum>} */
    this.rows = new Map();
    /** @type {Map<number, Sum>} */
    this.columns = new Map();
    /** @type {Map<string, Pair>} */
    this.cells = new Map();
    for (const pair of this.pairs) {
      add(this.rows, pair.source, pair);
      add(this.columns, pair.target, pair);
      this.cells.set(`${pair.source}>${pair.target}`, pair);
    }
    this.most = greatest(this.pairs);
    this.mostRow = greatest(this.rows.values());
    this.mostColumn = greatest(this.columns.values());
  }

  /** Those whose target lies within. @param {number} from @param {number} to */
  between(from, to) {
    return this.pairs.slice(this.after(from), this.after(to + 1));
  }

  /** @param {number} target  the place of the first pair with it or a later one */
  after(target) {
    let [low, high] = [0, this.pairs.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.pairs[middle].target < target) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * The pair at a point of the plane, or the nearest one within reach.
   * @param {number} x  target @param {number} y  source @param {number} reach @returns {Pair|null}
   */
  at(x, y, reach) {
    const exact = this.cells.get(`${Math.floor(y)}>${Math.floor(x)}`);
    if (exact || reach < 1) return exact ?? null;
    /** @type {Pair|null} */
    let best = null;
    let distance = reach;
    for (const pair of this.between(Math.floor(x - reach), Math.ceil(x + reach))) {
      const far = Math.hypot(pair.target + 0.5 - x, pair.source + 0.5 - y);
      if (far < distance) [best, distance] = [pair, far];
    }
    return best;
  }
}

/** @param {Map<number, Sum>} sums @param {number} id @param {Pair} pair */
function add(sums, id, { count, gain }) {
  const sum = sums.get(id) ?? { others: 0, count: 0, gain: 0 };
  sums.set(id, { others: sum.others + 1, count: sum.count + count, gain: sum.gain + gain });
}

/** @param {Iterable<{count: number, gain: number}>} rows */
function greatest(rows) {
  const most = { count: 1, gain: 1 };
  for (const { count, gain } of rows) {
    most.count = Math.max(most.count, count);
    most.gain = Math.max(most.gain, gain);
  }
  return most;
}

/** How strong a value looks beside the greatest: few large ones do not make the others vanish. */
const strength = (/** @type {number} */ value, /** @type {number} */ most) =>
  Math.sqrt(Math.max(value, 0) / most);

/** @param {Measure} measure */
const inkOf = (measure) => palette()[measure === "count" ? "violet" : "orange"];

/**
 * The cells, in portions.
 * @param {Context} c @param {Sight} sight @param {Matrix} matrix @param {Measure} measure
 */
export function* paintCells(c, sight, matrix, measure) {
  const side = Math.max(sight.sx, LEAST);
  const inset = sight.sx >= GRID ? 0.5 : 0;
  const k = palette();
  const pairs = matrix.between(Math.floor(-sight.tx / sight.sx) - 3, Math.ceil((sight.width - sight.tx) / sight.sx));
  c.textAlign = "center";
  c.textBaseline = "middle";
  c.font = `${Math.min(side * 0.38, 14)}px system-ui, sans-serif`;
  for (const [i, pair] of pairs.entries()) {
    const [x, y] = [pair.target * sight.sx + sight.tx, pair.source * sight.sy + sight.ty];
    if (i % PORTION === PORTION - 1) yield;
    if (y < -side || y > sight.height) continue;
    const strong = strength(pair[measure], matrix.most[measure]);
    c.globalAlpha = 0.16 + 0.84 * strong;
    c.fillStyle = inkOf(measure);
    if (side < GRID) c.fillRect(x, y, side, side);
    else {
      c.beginPath();
      c.roundRect(x + inset, y + inset, side - 2 * inset, side - 2 * inset, Math.min(side * 0.18, 6));
      c.fill();
    }
    if (side < NUMBERED) continue;
    c.globalAlpha = 1;
    c.fillStyle = strong > 0.5 ? k.card : k.ink;
    c.fillText(measure === "count" ? String(pair.count) : pair.gain.toFixed(0), x + side / 2, y + side / 2);
  }
  c.globalAlpha = 1;
}

/** Lines behind the cells, and the diagonal: nobody helps itself. @param {Context} c @param {Sight} sight
 * @param {Matrix} matrix */
export function paintLines(c, sight, matrix) {
  const { sx, tx, ty, width, height } = sight;
  const end = matrix.size * sx;
  const k = palette();
  c.fillStyle = k.card;
  c.fillRect(Math.max(tx, 0), Math.max(ty, 0), Math.min(end + tx, width) - Math.max(tx, 0),
    Math.min(end + ty, height) - Math.max(ty, 0));
  c.strokeStyle = k.line;
  c.lineWidth = 1;
  c.beginPath();
  if (sx >= GRID) {
    const [x0, x1] = [Math.max(tx, 0), Math.min(end + tx, width)];
    const [y0, y1] = [Math.max(ty, 0), Math.min(end + ty, height)];
    for (let i = Math.max(Math.floor(-tx / sx), 0); i <= matrix.size && i * sx + tx < width; i++) {
      c.moveTo(i * sx + tx, y0);
      c.lineTo(i * sx + tx, y1);
    }
    for (let i = Math.max(Math.floor(-ty / sx), 0); i <= matrix.size && i * sx + ty < height; i++) {
      c.moveTo(x0, i * sx + ty);
      c.lineTo(x1, i * sx + ty);
    }
  }
  c.globalAlpha = 0.55;
  c.stroke();
  c.globalAlpha = 1;
  c.beginPath();
  c.moveTo(tx, ty);
  c.lineTo(end + tx, end + ty);
  c.stroke();
}

/**
 * Names and sums at the edges of the cells.
 * @param {Context} c @param {Sight} sight  of the whole canvas @param {Matrix} matrix @param {Measure} measure
 * @param {{row: number|null, column: number|null}} lit  what is pointed at
 */
export function paintEdges(c, sight, matrix, measure, lit) {
  const k = palette();
  const { width, height } = sight;
  const [right, bottom] = [width - EDGES.right, height - EDGES.bottom];
  c.fillStyle = k.raised;
  c.fillRect(0, 0, width, EDGES.top);
  c.fillRect(0, 0, EDGES.left, height);
  c.fillRect(right, 0, EDGES.right, height);
  c.fillRect(0, bottom, width, EDGES.bottom);
  names(c, sight, matrix, lit);
  const rows = sums(matrix.rows, matrix.size, sight.sy, sight.ty, EDGES.top, bottom, measure);
  const columns = sums(matrix.columns, matrix.size, sight.sx, sight.tx, EDGES.left, right, measure);
  const room = { across: EDGES.right - 14, down: EDGES.bottom - 14 };
  for (const { at, side, value, id } of rows) {
    c.fillStyle = id === lit.row ? k.ink : inkOf(measure);
    c.globalAlpha = id === lit.row ? 1 : 0.7;
    c.fillRect(right + 6, at, Math.max((room.across * value) / matrix.mostRow[measure], 1), side);
  }
  for (const { at, side, value, id } of columns) {
    c.fillStyle = id === lit.column ? k.ink : inkOf(measure);
    c.globalAlpha = id === lit.column ? 1 : 0.7;
    c.fillRect(at, bottom + 6, side, Math.max((room.down * value) / matrix.mostColumn[measure], 1));
  }
  c.globalAlpha = 1;
}

/**
 * Bars of sums; where several share a pixel, the greatest.
 * @param {Map<number, Sum>} all @param {number} size @param {number} scale @param {number} shift
 * @param {number} low @param {number} high  px @param {Measure} measure
 */
function sums(all, size, scale, shift, low, high, measure) {
  const first = Math.max(Math.floor((low - shift) / scale), 0);
  const last = Math.min(Math.ceil((high - shift) / scale), size);
  const together = Math.max(Math.ceil(LEAST / scale), 1);
  const found = [];
  for (let i = first - (first % together); i < last; i += together) {
    let [value, id] = [0, -1];
    for (let j = i; j < i + together; j++) {
      const sum = all.get(j)?.[measure] ?? 0;
      if (sum > value) [value, id] = [sum, j];
    }
    const inset = scale > 4 ? 1 : 0;
    const at = Math.max(i * scale + shift, low);
    const side = Math.min((i + together) * scale + shift, high) - at - inset;
    if (value > 0 && side > 0) found.push({ at, side, value, id });
  }
  return found;
}

/**
 * @param {Context} c @param {Sight} sight @param {Matrix} matrix
 * @param {{row: number|null, column: number|null}} lit
 */
function names(c, sight, matrix, lit) {
  const k = palette();
  const { sx, tx, ty, width, height } = sight;
  const [right, bottom] = [width - EDGES.right, height - EDGES.bottom];
  c.textBaseline = "middle";
  const wide = 8 + 7 * String(matrix.size).length;
  const steps = (/** @type {number} */ room) => [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000]
    .find((n) => n * sx >= room) ?? 20000;
  const [across, down] = [steps(wide), steps(15)];
  /** @param {number} id @param {number} x @param {number} y @param {boolean} bold */
  const write = (id, x, y, bold) => {
    c.font = `${bold ? 600 : 400} 11px system-ui, sans-serif`;
    c.fillStyle = bold ? k.ink : k.soft;
    c.fillText(String(id), x, y);
  };
  c.textAlign = "center";
  for (let i = 0; i < matrix.size; i += across) {
    const x = (i + 0.5) * sx + tx;
    const near = lit.column !== null && i !== lit.column && Math.abs(i - lit.column) * sx < wide;
    if (x > EDGES.left && x < right && !near) write(i, x, EDGES.top - 10, i === lit.column);
  }
  if (lit.column !== null && lit.column % across) write(lit.column, (lit.column + 0.5) * sx + tx, EDGES.top - 10, true);
  c.textAlign = "right";
  for (let i = 0; i < matrix.size; i += down) {
    const y = (i + 0.5) * sx + ty;
    const near = lit.row !== null && i !== lit.row && Math.abs(i - lit.row) * sx < 14;
    if (y > EDGES.top && y < bottom && !near) write(i, EDGES.left - 7, y, i === lit.row);
  }
  if (lit.row !== null && lit.row % down) write(lit.row, EDGES.left - 7, (lit.row + 0.5) * sx + ty, true);
  c.font = "italic 12px Georgia, serif";
  c.fillStyle = k.soft;
  c.textAlign = "left";
  c.fillText("moved into →", EDGES.left, 13);
  c.save();
  c.translate(12, EDGES.top);
  c.rotate(-Math.PI / 2);
  c.textAlign = "right";
  c.fillText("← agent of", 0, 0);
  c.restore();
}

/** The row and column that are pointed at. @param {Context} c @param {Sight} sight
 * @param {{row: number|null, column: number|null}} lit */
export function paintCross(c, sight, { row, column }) {
  const k = palette();
  const { sx, tx, ty, width, height } = sight;
  const side = Math.max(sx, 1);
  c.fillStyle = k.ink;
  c.globalAlpha = 0.09;
  if (row !== null) c.fillRect(0, row * sx + ty, width, side);
  if (column !== null) c.fillRect(column * sx + tx, 0, side, height);
  c.globalAlpha = 1;
  if (row === null || column === null) return;
  const out = Math.max(sx, LEAST) + 3;
  c.strokeStyle = k.ink;
  c.lineWidth = 2;
  c.strokeRect(column * sx + tx - 1.5, row * sx + ty - 1.5, out, out);
}
