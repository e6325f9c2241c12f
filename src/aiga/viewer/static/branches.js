/** How the tree of environments is drawn: lives as lines, or as ribbons with their ground, joined to parents. */

import { colour } from "aiga/dom.js";
import { ancestors, descendants, end } from "aiga/lanes.js";

/**
 * @typedef {import("aiga/lanes.js").Life} Life
 * @typedef {import("aiga/lanes.js").Lanes} Lanes
 * @typedef {import("aiga/kept.js").Sight} Sight
 * @typedef {import("aiga/types.js").Ground} Ground
 * @typedef {import("aiga/types.js").Transfer} Transfer
 * @typedef {CanvasRenderingContext2D} Context
 */

export const RULER = 24; // px, at the top
const RIBBON = 26; // px, the height of a lane from which on its lives are ribbons
const WIDE = 44; // px, the least width of a ribbon
const PORTION = 250; // strokes between two looks at the clock
const MOST_GROUNDS = 900;
const DENSE = 9; // px, lanes lower than this have no round ends

const NAMES = ["card", "raised", "ink", "soft", "line", "violet", "orange", "green", "gold", "blue", "scene-sky",
  "scene-earth", "scene-grass", "scene-hill"];
/** @type {Record<string, string>|null} */
let known = null;

/** The colours of the page by name. */
export function palette() {
  if (!known) known = Object.fromEntries(NAMES.map((name) => [name, colour(`--${name}`)]));
  return known;
}

export function forgetPalette() {
  known = null;
}

/** @param {Sight} sight */
const across = (sight) => (/** @type {number} */ iteration) => iteration * sight.sx + sight.tx;
/** @param {Sight} sight */
const down = (sight) => (/** @type {number} */ lane) => lane * sight.sy + sight.ty;

/** @param {Sight} sight  how thick lives are, in px */
const thick = (sight) => (sight.sy < DENSE ? Math.max(0.42 * sight.sy, 1.2) : Math.min(Math.max(0.2 * sight.sy, 3), 5));

/** @param {Sight} sight */
export const ribbonHeight = (sight) => (sight.sy < RIBBON ? 0 : Math.min(sight.sy * 0.74, 46));

/** What a part of the plane shows. @param {Lanes} lanes @param {Sight} sight @param {number} now */
export function seen(lanes, sight, now) {
  const [from, to] = [-sight.tx / sight.sx, (sight.width - sight.tx) / sight.sx];
  // A connector begins before its life does, a dot reaches beyond its end.
  const [top, bottom] = [-sight.ty / sight.sy - 0.6, (sight.height - sight.ty) / sight.sy + 0.6];
  return lanes.within(from - 8 / sight.sx, to + 40 / sight.sx, top, bottom, now);
}

/** The outlines of grounds, asked for when they are first seen. */
export class Grounds {
  /** @param {(id: number) => Promise<Ground|null>} ask @param {() => void} come  some have come */
  constructor(ask, come) {
    this.ask = ask;
    this.come = come;
    /** @type {Map<number, Path2D|null>} */
    this.paths = new Map();
    this.told = 0;
  }

  /** @param {number} id @returns {Path2D|null} */
  path(id) {
    const found = this.paths.get(id);
    if (found !== undefined) return found;
    this.paths.set(id, null);
    this.ask(id).then((ground) => this.take(id, ground), () => {});
    return null;
  }

  /** @param {number} id @param {Ground|null} ground */
  take(id, ground) {
    if (!ground) return;
    this.paths.set(id, silhouette(ground));
    for (const old of this.paths.keys()) {
      if (this.paths.size <= MOST_GROUNDS) break;
      this.paths.delete(old);
    }
    // Those that come together are drawn together.
    if (!this.told) this.told = window.setTimeout(() => ((this.told = 0), this.come()), 60);
  }
}

/** The ground within 0 to 1 both ways, y upwards. @param {Ground} ground */
function silhouette({ left, right }) {
  const path = new Path2D();
  const [low, high] = [Math.min(...left, ...right), Math.max(...left, ...right)];
  const range = Math.max(high - low, 4);
  // The upper half is left to what is written there.
  const y = (/** @type {number} */ height) => 0.1 + (0.42 * (height - (low + high - range) / 2)) / range;
  path.moveTo(0, -0.1);
  for (let i = 0; i < left.length; i++) {
    path.lineTo(i / left.length, y(left[i]));
    path.lineTo((i + 1) / left.length, y(right[i]));
  }
  path.lineTo(1, -0.1);
  path.closePath();
  return path;
}

/** @typedef {{ink: string, alpha: number, join: number, width: number, some: Life[]}} Group  `join`: alpha of the
 * lines to parents, which would hide the rest where many are close together */

/**
 * Lives by how they are drawn: those that died out, those that live on in others, the active ones. Where there
 * is no room for dots, those that died out are told apart by whether they were solved.
 * @param {Life[]} lives @param {boolean} dense @returns {Group[]}
 */
function grouped(lives, dense) {
  const k = palette();
  const group = (/** @type {string} */ ink, /** @type {number} */ alpha, /** @type {number} */ join, width = 1) =>
    ({ ink, alpha, join, width, some: /** @type {Life[]} */ ([]) });
  const extinct = group(k.soft, dense ? 0.3 : 0.42, dense ? 0.16 : 0.3, 0.75);
  const solved = dense ? group(k.gold, 0.5, 0.2, 0.75) : extinct;
  const [trunk, active] = [group(k.violet, 1, 0.8), group(k.green, 1, 0.8)];
  for (const life of lives) {
    const { ended, solved: sun } = life.about;
    (ended === null ? active : life.lives ? trunk : sun === null ? extinct : solved).some.push(life);
  }
  return dense ? [extinct, solved, trunk, active] : [extinct, trunk, active];
}

/**
 * Paints lives in portions.
 * @param {Context} c @param {Sight} sight @param {Life[]} lives @param {number} now @param {Grounds} grounds
 */
export function* paintLives(c, sight, lives, now, grounds) {
  const groups = grouped(lives, sight.sy < DENSE);
  for (const group of groups) {
    yield* joins(c, sight, group);
    if (sight.sy < DENSE) yield* lines(c, sight, group, now);
  }
  if (sight.sy >= DENSE) for (const group of groups) yield* lines(c, sight, group, now);
  yield* suns(c, sight, lives.filter((life) => !roomy(sight, life, now)));
  if (ribbonHeight(sight)) yield* ribbons(c, sight, groups, now, grounds);
  c.globalAlpha = 1;
}

/** @param {Context} c @param {Sight} sight @param {Group} group */
function* joins(c, sight, { ink, join: alpha, width, some }) {
  const [px, py] = [across(sight), down(sight)];
  c.strokeStyle = ink;
  c.lineWidth = Math.max(width * thick(sight) * 0.45, 0.8);
  for (let i = 0; i < some.length; i += PORTION) {
    c.globalAlpha = alpha;
    c.beginPath();
    for (const life of some.slice(i, i + PORTION)) {
      if (life.parent) join(c, px(life.about.born), py(life.lane), px(life.parent.about.born), py(life.parent.lane));
    }
    c.stroke();
    yield;
  }
}

/**
 * To the beginning of a life from its parent's line.
 * @param {Context} c @param {number} x @param {number} y @param {number} first  where the parent begins
 * @param {number} from  the parent's line
 */
function join(c, x, y, first, from) {
  const reach = Math.min(Math.max(Math.abs(y - from) * 0.5, 5), 34, Math.max(x - first, 0));
  c.moveTo(x - reach, from);
  if (reach < 3) c.lineTo(x, y);
  else c.bezierCurveTo(x - reach * 0.3, from, x - reach * 0.7, y, x, y);
}

/** @param {Context} c @param {Sight} sight @param {Group} group @param {number} now */
function* lines(c, sight, { ink, alpha, width, some }, now) {
  const [px, py] = [across(sight), down(sight)];
  const wide = thick(sight) * width;
  const round = sight.sy >= DENSE;
  c.fillStyle = ink;
  c.globalAlpha = alpha;
  for (const [i, life] of some.entries()) {
    const x = px(life.about.born);
    const length = Math.max(px(end(life, now)) - x, 1.5);
    if (round) {
      c.beginPath();
      c.roundRect(x, py(life.lane) - wide / 2, length, wide, wide / 2);
      c.fill();
    } else c.fillRect(x, py(life.lane) - wide / 2, length, wide);
    if (i % PORTION === PORTION - 1) yield;
  }
}

/** Where environments were first solved. @param {Context} c @param {Sight} sight @param {Life[]} lives */
function* suns(c, sight, lives) {
  const [px, py] = [across(sight), down(sight)];
  const k = palette();
  if (sight.sy < DENSE) return;
  const radius = Math.min(thick(sight) * 0.8 + 0.8, 4.5);
  c.fillStyle = k.gold;
  c.strokeStyle = k.raised;
  c.lineWidth = 1;
  c.globalAlpha = 1;
  for (const [i, { about, lane }] of lives.entries()) {
    if (i % PORTION === PORTION - 1) yield;
    if (about.solved !== null) sun(c, px(about.solved), py(lane), radius);
  }
}

/** @param {Context} c @param {number} x @param {number} y @param {number} radius */
function sun(c, x, y, radius) {
  c.beginPath();
  c.arc(x, y, radius, 0, 2 * Math.PI);
  c.fill();
  c.stroke();
}

/** @param {Context} c @param {Sight} sight @param {Group[]} groups @param {number} now @param {Grounds} grounds */
function* ribbons(c, sight, groups, now, grounds) {
  for (const { ink, alpha, some } of groups) {
    for (const life of some) {
      const x = across(sight)(life.about.born);
      const width = across(sight)(end(life, now)) - x;
      if (width < WIDE) continue;
      ribbon(c, sight, life, { x, width, ink, pale: alpha < 0.5 }, grounds);
      yield;
    }
  }
}

/** @param {Context} c @param {Sight} sight @param {Life} life
 * @param {{x: number, width: number, ink: string, pale: boolean}} look @param {Grounds} grounds */
function ribbon(c, sight, life, { x, width, ink, pale }, grounds) {
  const k = palette();
  const height = ribbonHeight(sight);
  const y = down(sight)(life.lane) - height / 2;
  c.save();
  c.globalAlpha = 1;
  c.beginPath();
  c.roundRect(x, y, width, height, 6);
  c.fillStyle = pale ? k.card : k["scene-sky"];
  c.fill();
  c.save();
  c.clip();
  const path = grounds.path(life.id);
  if (path) {
    c.translate(x, y + height);
    c.scale(width, -height);
    c.fillStyle = pale ? k["scene-hill"] : k["scene-grass"];
    c.globalAlpha = pale ? 0.75 : 1;
    c.fill(path);
    c.translate(0, -2.5 / height);
    c.fillStyle = k["scene-earth"];
    c.globalAlpha = pale ? 0.3 : 1;
    c.fill(path);
  }
  c.restore();
  c.strokeStyle = ink;
  c.globalAlpha = pale ? 0.45 : 1;
  c.lineWidth = pale ? 1 : 1.6;
  c.stroke();
  c.globalAlpha = 1;
  inscribe(c, life, { x, y, width, height, pale });
  if (life.about.solved !== null) {
    c.fillStyle = k.gold;
    c.strokeStyle = k.raised;
    c.lineWidth = 1.5;
    sun(c, Math.min(Math.max(across(sight)(life.about.solved), x + 6), x + width - 6), y + height, 4.5);
  }
  c.restore();
}

/** @param {Context} c @param {Life} life
 * @param {{x: number, y: number, width: number, height: number, pale: boolean}} box */
function inscribe(c, { id, about }, { x, y, width, height, pale }) {
  const k = palette();
  const size = height > 30 ? 12 : 10.5;
  c.textBaseline = "top";
  c.textAlign = "left";
  c.fillStyle = pale ? k.soft : k.ink;
  c.font = `600 ${size}px system-ui, sans-serif`;
  const top = y + (height > 24 ? 4 : 2.5);
  c.fillText(String(id), x + 7, top);
  const used = c.measureText(String(id)).width + 14;
  if (about.score === null || width < used + 34) return;
  c.font = `${size}px system-ui, sans-serif`;
  c.globalAlpha = 0.75;
  c.textAlign = "right";
  c.fillText(about.score.toFixed(0), x + width - 8, top);
}

/**
 * What came since the bitmap was painted, and the ends of those that are active.
 * @param {Context} c @param {Sight} sight @param {Lanes} lanes @param {number} painted  the iteration of the bitmap
 * @param {number} now
 */
export function paintNow(c, sight, lanes, painted, now) {
  const [px, py] = [across(sight), down(sight)];
  const k = palette();
  const wide = thick(sight);
  const height = ribbonHeight(sight);
  c.globalAlpha = 1;
  c.font = "600 11px system-ui, sans-serif";
  c.textBaseline = "middle";
  c.textAlign = "left";
  for (const { id, about, lane, parent } of lanes.active) {
    const [x, y] = [px(now), py(lane)];
    if (x < -20 || x > sight.width + 20 || y < 0 || y > sight.height) continue;
    const from = px(Math.max(about.born, painted));
    c.fillStyle = c.strokeStyle = k.green;
    if (about.born > painted && parent) {
      c.lineWidth = wide * 0.5;
      c.beginPath();
      join(c, px(about.born), y, px(parent.about.born), py(parent.lane));
      c.stroke();
    }
    if (x > from) c.fillRect(from, y - wide / 2, x - from, wide);
    if (height && x - px(about.born) >= WIDE) continue;
    c.beginPath();
    c.arc(x, y, Math.min(wide * 0.5 + 1.2, 4.5), 0, 2 * Math.PI);
    c.fill();
    if (sight.sy >= 13) c.fillText(String(id), x + 8, y + 0.5);
  }
}

/** Iterations along the top, and the present. @param {Context} c @param {Sight} sight @param {number} now */
export function paintRuler(c, sight, now) {
  const k = palette();
  const px = across(sight);
  const step = niceStep(110 / sight.sx);
  c.globalAlpha = 1;
  c.fillStyle = k.raised;
  c.fillRect(0, 0, sight.width, RULER);
  c.font = "11px system-ui, sans-serif";
  c.textBaseline = "middle";
  c.textAlign = "center";
  const present = now.toLocaleString("en");
  const half = c.measureText(present).width / 2 + 8;
  const at = Math.min(Math.max(px(now), half), sight.width - half);
  c.fillStyle = k.soft;
  for (let i = Math.max(Math.ceil(-sight.tx / sight.sx / step), 0) * step; px(i) < sight.width && i <= now; i += step) {
    if (Math.abs(px(i) - at) > half + 24 && px(i) > 16) c.fillText(i.toLocaleString("en"), px(i), RULER / 2);
  }
  if (Math.abs(px(now) - sight.width / 2) > sight.width / 2) return;
  c.fillStyle = k.green;
  c.font = "600 11px system-ui, sans-serif";
  c.fillText(present, at, RULER / 2);
}

/** Lines of the ruler behind everything. @param {Context} c @param {Sight} sight @param {number} now */
export function paintGrid(c, sight, now) {
  const k = palette();
  const px = across(sight);
  const step = niceStep(110 / sight.sx);
  c.fillStyle = k.line;
  c.globalAlpha = 0.8;
  for (let i = Math.max(Math.ceil(-sight.tx / sight.sx / step), 0) * step; px(i) < sight.width && i <= now; i += step) {
    c.fillRect(Math.round(px(i)), RULER, 1, sight.height);
  }
  c.fillStyle = k.green;
  c.globalAlpha = 0.45;
  for (let y = RULER; y < sight.height; y += 7) c.fillRect(Math.round(px(now)), y, 1, 3);
  c.globalAlpha = 1;
}

/** The least of 1, 2, 5, 10, ... above a number. @param {number} least */
function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1)));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= least) ?? 10 * power;
}

/**
 * A life with where it comes from and what came from it, over a veil.
 * @param {Context} c @param {Sight} sight @param {Life} life @param {number} now @param {Grounds} grounds
 */
export function paintLineage(c, sight, life, now, grounds) {
  const k = palette();
  const inView = within(sight, now);
  const [up, below] = [ancestors(life), descendants(life).filter(inView)];
  const many = below.length > 700;
  const line = [...up, life].filter(joined(inView));
  for (const [some, ink] of /** @type {[Life[], string][]} */ ([[below, k.blue], [line, k.violet]])) {
    const group = { ink, alpha: 1, join: 0.9, width: 1.2, some };
    if (!many || some !== below) run(joins(c, sight, group));
    run(lines(c, sight, group, now));
    if (ribbonHeight(sight)) run(ribbons(c, sight, [group], now, grounds));
  }
  run(suns(c, sight, [...(many ? [] : below), ...up, life].filter((each) => inView(each) && !roomy(sight, each, now))));
  ring(c, sight, life, now);
}

/** A frame around a life. @param {Context} c @param {Sight} sight @param {Life} life @param {number} now */
export function ring(c, sight, life, now) {
  const height = roomy(sight, life, now) ? ribbonHeight(sight) + 6 : thick(sight) + 7;
  const x = across(sight)(life.about.born);
  c.strokeStyle = palette().ink;
  c.lineWidth = 2;
  c.globalAlpha = 1;
  c.beginPath();
  const width = across(sight)(end(life, now)) - x;
  c.roundRect(x - 3.5, down(sight)(life.lane) - height / 2, width + 7, height, Math.min(height / 2, 9));
  c.stroke();
}

/** What was searched for, over a veil.
 * @param {Context} c @param {Sight} sight @param {Life[]} lives @param {number} now @param {Grounds} grounds */
export function paintFound(c, sight, lives, now, grounds) {
  const some = lives.filter(within(sight, now));
  const groups = grouped(some, sight.sy < DENSE)
    .map((group) => ({ ...group, alpha: Math.max(group.alpha, 0.8), width: 1.2 }));
  for (const group of groups) run(lines(c, sight, group, now));
  if (some.length < 700) run(suns(c, sight, some.filter((life) => !roomy(sight, life, now))));
  if (ribbonHeight(sight)) run(ribbons(c, sight, groups, now, grounds));
}

/** @param {Sight} sight @param {Life} life @param {number} now */
const roomy = (sight, life, now) =>
  ribbonHeight(sight) > 0 && (end(life, now) - life.about.born) * sight.sx >= WIDE;

/** @param {Sight} sight @param {number} now @returns {(life: Life) => boolean} */
function within(sight, now) {
  const [from, to] = [-sight.tx / sight.sx, (sight.width - sight.tx) / sight.sx];
  const [top, bottom] = [-sight.ty / sight.sy - 0.6, (sight.height - sight.ty) / sight.sy + 0.6];
  return (life) => life.about.born <= to && end(life, now) >= from && life.lane >= top && life.lane <= bottom;
}

/** Those in view, and those whose parents are. @param {(life: Life) => boolean} inView */
const joined = (inView) => (/** @type {Life} */ life) => inView(life) || (life.parent !== null && inView(life.parent));

/** @param {Generator} work */
function run(work) {
  while (!work.next().done);
}

/**
 * Transfers as arrows from life to life, stronger ones more visible.
 * @param {Context} c @param {Sight} sight @param {Lanes} lanes @param {Transfer[]} transfers @param {number} best
 */
export function paintTransfers(c, sight, lanes, transfers, best) {
  const [px, py] = [across(sight), down(sight)];
  c.strokeStyle = c.fillStyle = palette().orange;
  for (const { source, target, iteration, gain } of transfers) {
    const [from, to] = [lanes.lives.get(source), lanes.lives.get(target)];
    if (!from || !to) continue;
    c.globalAlpha = 0.3 + 0.7 * Math.min(Math.max((gain ?? 0) / best, 0), 1);
    arrow(c, px(iteration), py(from.lane), py(to.lane), sight.sy < DENSE ? 1 : 1.5);
  }
  c.globalAlpha = 1;
}

/** @param {Context} c @param {number} x @param {number} y @param {number} to @param {number} width */
function arrow(c, x, y, to, width) {
  const bulge = Math.min(Math.max(Math.abs(to - y) * 0.22, 5), 42);
  c.lineWidth = width;
  c.beginPath();
  c.moveTo(x, y);
  c.quadraticCurveTo(x + bulge, (y + to) / 2, x, to);
  c.stroke();
  // The head lies along the end of the curve.
  const angle = Math.atan2((to - y) / 2, -bulge);
  const size = 4 + width;
  c.beginPath();
  c.moveTo(x, to);
  c.lineTo(x - size * Math.cos(angle - 0.45), to - size * Math.sin(angle - 0.45));
  c.lineTo(x - size * Math.cos(angle + 0.45), to - size * Math.sin(angle + 0.45));
  c.fill();
}
