/**
 * The two-legged walker on its course. A moment is x, y (m) of the hull's centre of mass and its angle (rad),
 * then the angles of upper and lower leg -1 and of upper and lower leg +1. Sizes are those of body.py.
 */

import { CELL, CELLS, GOAL } from "aiga/courses.js";
import { colour } from "aiga/dom.js";
import { moment } from "aiga/films.js";

/**
 * @typedef {import("aiga/types.js").Ground} Ground
 * @typedef {import("aiga/types.js").Film} Film
 * @typedef {import("aiga/types.js").Box} Box
 * @typedef {CanvasRenderingContext2D} Context
 */

export { CELL, CELLS, GOAL };
const CENTRE = [-0.0200364, -0.00564664]; // m, of the hull's mass, from its origin
const HULL = [[-1, 0.3], [0.2, 0.3], [34 / 30, 1 / 30], [34 / 30, -8 / 30], [-1, -8 / 30]].map(([x, y]) => [
  x - CENTRE[0], y - CENTRE[1]]);
const HIP = [-CENTRE[0], -8 / 30 - CENTRE[1]]; // m, from the centre of mass
const HALF = 17 / 30; // m, half the length of a leg part
const WIDTHS = [4 / 30, 3.2 / 30]; // m, half, of upper and lower
const RANGE = 160 / 30; // m, of the lidar
export const ANGLES = Array.from({ length: 10 }, (_, i) => (1.5 * i) / 10); // rad, from straight down

/** The colours of the scene, read from the style sheet once and again when the theme changes. */
let palette = /** @type {Record<string, string>|null} */ (null);
const NAMES = ["sky", "haze", "cloud", "hill", "hill-near", "earth", "turf", "grass", "face", "flag", "pole", "ray", "hit",
  "outline", "hull", "eye", "leg-far", "shin-far", "leg-near", "shin-near"];

function colours() {
  if (!palette) palette = Object.fromEntries(NAMES.map((name) => [name, colour(`--scene-${name}`)]));
  return palette;
}

const forget = () => {
  palette = null;
  skies.clear();
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", forget);
new MutationObserver(forget).observe(document.documentElement, {
  attributes: true, attributeFilter: ["data-theme"],
});

const scratch = /** @type {number[]} */ (new Array(7).fill(0));

/**
 * A camera: the middle of the box looks at (x, y) m, `scale` pixels a metre, heights by `squash`.
 * @param {Box} box @param {number} x @param {number} y @param {number} scale @param {number} [squash]
 */
export function camera(box, x, y, scale, squash = 1) {
  return {
    scale, left: x - box.width / 2 / scale, right: x + box.width / 2 / scale,
    px: (/** @type {number} */ at) => box.x + box.width / 2 + (at - x) * scale,
    py: (/** @type {number} */ at) => box.y + box.height / 2 - (at - y) * scale * squash,
  };
}
/** @typedef {ReturnType<typeof camera>} Camera */

/** The height that a picture should look at from x: the ground around, pits left out. */
const levels = new WeakMap();

/** @param {Ground} ground @param {number} x */
export function level(ground, x) {
  let smooth = levels.get(ground);
  if (!smooth) {
    smooth = smoothed(ground);
    levels.set(ground, smooth);
  }
  const place = Math.min(Math.max(x / CELL - 0.5, 0), smooth.length - 1.001);
  const i = Math.floor(place);
  return smooth[i] + (smooth[i + 1] - smooth[i]) * (place - i);
}

/** @param {Ground} ground */
function smoothed(ground) {
  const n = ground.left.length;
  const middle = (/** @type {number[]} */ some) => some.sort((a, b) => a - b)[some.length >> 1];
  const floor = ground.left.map((height, i) => {
    const near = ground.left.slice(Math.max(i - 12, 0), i + 13);
    return Math.max(height, middle(near) - 1);
  });
  return floor.map((_, i) => {
    let [sum, weight] = [0, 0];
    for (let j = Math.max(i - 18, 0); j < Math.min(i + 19, n); j++) {
      const w = Math.exp(-(((j - i) / 9) ** 2));
      sum += w * floor[j];
      weight += w;
    }
    return sum / weight;
  });
}

/**
 * Sky, clouds and hills; they are further away, so they pass more slowly.
 * @param {Context} c @param {Box} box @param {number} shift  m that have passed @param {boolean} simple
 */
export function backdrop(c, box, shift, simple) {
  if (simple) c.drawImage(painted(Math.ceil(box.width), Math.ceil(box.height)), box.x, box.y, box.width, box.height);
  else paint(c, box, shift, false);
}

/** Small pictures have one sky, painted once for each size: many of them are drawn in every frame. */
const skies = /** @type {Map<string, HTMLCanvasElement>} */ (new Map());

/** @param {number} width @param {number} height */
function painted(width, height) {
  const name = `${width} ${height}`;
  let sky = skies.get(name);
  if (!sky) {
    if (skies.size > 40) skies.clear();
    sky = document.createElement("canvas");
    const ratio = Math.min(devicePixelRatio || 1, 2);
    Object.assign(sky, { width: width * ratio, height: height * ratio });
    const c = /** @type {Context} */ (sky.getContext("2d"));
    c.scale(ratio, ratio);
    paint(c, { x: 0, y: 0, width, height }, 0, true);
    skies.set(name, sky);
  }
  return sky;
}

/** @param {Context} c @param {Box} box @param {number} shift @param {boolean} simple */
function paint(c, box, shift, simple) {
  const k = colours();
  const air = c.createLinearGradient(0, box.y, 0, box.y + 0.6 * box.height);
  air.addColorStop(0, k.sky);
  air.addColorStop(1, k.haze);
  c.fillStyle = air;
  c.fillRect(box.x, box.y, box.width, box.height);
  if (!simple) clouds(c, box, shift);
  const stride = simple ? box.width / 14 : 9;
  for (const [depth, name] of ["hill", "hill-near"].entries()) {
    c.fillStyle = k[name];
    c.beginPath();
    c.moveTo(box.x, box.y + box.height);
    for (let x = 0; x <= box.width + stride; x += stride) {
      const at = Math.min(x, box.width);
      const t = at / 150 + shift * (0.05 + 0.05 * depth);
      const wave = Math.sin(1.1 * t + 2 * depth) + 0.6 * Math.sin(2.3 * t + 1.3 * depth) + 0.3 * Math.sin(4.9 * t);
      c.lineTo(box.x + at, box.y + box.height * (0.52 + 0.11 * depth - 0.06 * wave));
    }
    c.lineTo(box.x + box.width, box.y + box.height);
    c.fill();
  }
}

/** @param {Context} c @param {Box} box @param {number} shift */
function clouds(c, box, shift) {
  const unit = box.height / 12;
  c.fillStyle = colours().cloud;
  c.beginPath();
  const first = Math.floor((shift * 3) / (8 * unit)) - 1;
  for (let i = first; i < first + 3 + box.width / (8 * unit); i++) {
    const x = box.x + (i + 0.3 * Math.sin(i * 2.4)) * 8 * unit - shift * 3;
    const y = box.y + unit * (2 + 1.1 * Math.sin(i * 1.7));
    for (const [dx, dy, rx, ry] of [[0, 0, 1.7, 0.5], [-0.7, -0.25, 0.8, 0.55], [0.5, -0.35, 1, 0.7]]) {
      c.moveTo(x + (dx + rx) * unit, y + dy * unit);
      c.ellipse(x + dx * unit, y + dy * unit, rx * unit, ry * unit, 0, 0, 2 * Math.PI);
    }
  }
  c.fill();
}

/** @param {Context} c @param {Ground} ground @param {Box} box @param {Camera} see @param {boolean} simple */
export function earth(c, ground, box, see, simple) {
  const k = colours();
  const { left, right } = ground;
  const first = Math.max(Math.floor(see.left / CELL) - 1, 0);
  const last = Math.min(Math.ceil(see.right / CELL) + 1, left.length);
  if (first >= last) return;
  const bottom = box.y + box.height;
  // The ground goes on beyond both ends of the course, as far as the picture does.
  const [start, end] = [first ? first * CELL : see.left, last < left.length ? last * CELL : see.right];
  c.beginPath();
  c.moveTo(see.px(start), bottom);
  c.lineTo(see.px(start), see.py(left[first]));
  for (let i = first; i < last; i++) {
    c.lineTo(see.px(i * CELL), see.py(left[i]));
    c.lineTo(see.px((i + 1) * CELL), see.py(right[i]));
  }
  c.lineTo(see.px(end), see.py(right[last - 1]));
  c.lineTo(see.px(end), bottom);
  c.closePath();
  c.fillStyle = k.earth;
  c.fill();
  // A band of grass below every slope, drawn as one thick line a little lower, so that faces stay bare.
  const band = Math.max(0.17 * see.scale, 1.2);
  for (const [name, share] of simple ? [["grass", 1]] : [["turf", 1], ["grass", 0.6]]) {
    const wide = band * Number(share);
    c.strokeStyle = k[String(name)];
    c.lineWidth = wide;
    c.beginPath();
    c.moveTo(see.px(start), see.py(left[first]) + wide / 2);
    for (let i = first; i < last; i++) {
      if (i > first && Math.abs(left[i] - right[i - 1]) > 0.02) c.moveTo(see.px(i * CELL), see.py(left[i]) + wide / 2);
      c.lineTo(see.px((i + 1) * CELL), see.py(right[i]) + wide / 2);
    }
    c.lineTo(see.px(end), see.py(right[last - 1]) + wide / 2);
    c.stroke();
  }
  c.strokeStyle = k.face;
  c.lineWidth = Math.max(0.05 * see.scale, 1);
  c.beginPath();
  for (let i = first; i < last - 1; i++) {
    if (Math.abs(right[i] - left[i + 1]) <= 0.02) continue;
    c.moveTo(see.px((i + 1) * CELL), see.py(right[i]));
    c.lineTo(see.px((i + 1) * CELL), see.py(left[i + 1]));
  }
  c.stroke();
  if (see.left - 2 < GOAL && GOAL < see.right + 2) {
    const y = right[Math.min(Math.floor(GOAL / CELL), right.length - 1)];
    c.strokeStyle = k.pole;
    c.lineWidth = Math.max(0.07 * see.scale, 1);
    c.beginPath();
    c.moveTo(see.px(GOAL), see.py(y - 0.1));
    c.lineTo(see.px(GOAL), see.py(y + 2.6));
    c.stroke();
    polygon(c, [[GOAL, y + 2.6], [GOAL + 1.1, y + 2.25], [GOAL, y + 1.9]], see);
    c.fillStyle = k.flag;
    c.fill();
  }
}

/** @param {Context} c @param {number[][]} points  m @param {Camera} see */
function polygon(c, points, see) {
  c.beginPath();
  for (const [i, [x, y]] of points.entries()) {
    if (i) c.lineTo(see.px(x), see.py(y));
    else c.moveTo(see.px(x), see.py(y));
  }
  c.closePath();
}

/** @param {number[]} at  m @param {number} angle @param {number[]} point  of a body @returns {number[]} */
function turned(at, angle, point) {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return [at[0] + cos * point[0] - sin * point[1], at[1] + sin * point[0] + cos * point[1]];
}

/** @param {Context} c @param {number[]} pose @param {Camera} see */
export function walker(c, pose, see) {
  const k = colours();
  const at = [pose[0], pose[1]];
  const line = Math.max(0.045 * see.scale, 0.6);
  c.lineJoin = "round";
  c.strokeStyle = k.outline;
  c.lineWidth = line;
  const leg = (/** @type {number} */ upper, /** @type {number} */ lower, /** @type {string} */ side) => {
    const hip = turned(at, pose[2], HIP);
    const knee = turned(hip, upper, [0, -2 * HALF]);
    for (const [from, angle, width, name] of /** @type {[number[], number, number, string][]} */ ([
      [knee, lower, WIDTHS[1], `shin-${side}`], [hip, upper, WIDTHS[0], `leg-${side}`]])) {
      polygon(c, [[-width, 0], [width, 0], [width, -2 * HALF], [-width, -2 * HALF]].map((p) => turned(from, angle, p)),
        see);
      c.fillStyle = k[name];
      c.fill();
      c.stroke();
    }
    c.fillStyle = k.outline;
    for (const [x, y] of [hip, knee]) dot(c, see.px(x), see.py(y), 0.045 * see.scale);
  };
  leg(pose[5], pose[6], "far");
  polygon(c, HULL.map((p) => turned(at, pose[2], p)), see);
  c.fillStyle = k.hull;
  c.fill();
  c.stroke();
  const eye = turned(at, pose[2], [0.72, -0.02]);
  c.fillStyle = k.eye;
  dot(c, see.px(eye[0]), see.py(eye[1]), 0.095 * see.scale);
  c.fillStyle = k.outline;
  dot(c, see.px(eye[0]), see.py(eye[1]), 0.05 * see.scale);
  leg(pose[3], pose[4], "near");
}

/** @param {Context} c @param {number} x @param {number} y @param {number} radius */
function dot(c, x, y, radius) {
  c.beginPath();
  c.arc(x, y, radius, 0, 2 * Math.PI);
  c.fill();
}

/**
 * How far along its RANGE each lidar ray from (x, y) first meets the ground; 1 where it does not.
 * @param {Ground} ground @param {number} x @param {number} y  m @returns {number[]}
 */
export function rays(ground, x, y) {
  const { left, right } = ground;
  const first = Math.max(Math.floor(x / CELL) - 1, 0);
  const last = Math.min(Math.ceil((x + RANGE) / CELL) + 1, left.length);
  return ANGLES.map((angle) => {
    const [dx, dy] = [RANGE * Math.sin(angle), -RANGE * Math.cos(angle)];
    let nearest = 1;
    const meet = (/** @type {number} */ ax, /** @type {number} */ ay, /** @type {number} */ bx, /** @type {number} */ by) => {
      const [ex, ey] = [bx - ax, by - ay];
      const cross = dx * ey - dy * ex;
      if (cross === 0) return;
      const t = ((ax - x) * ey - (ay - y) * ex) / cross;
      const u = ((ax - x) * dy - (ay - y) * dx) / cross;
      if (t >= 0 && t < nearest && u >= 0 && u <= 1) nearest = t;
    };
    for (let i = first; i < last; i++) {
      meet(i * CELL, left[i], (i + 1) * CELL, right[i]);
      if (i + 1 < left.length && right[i] !== left[i + 1]) {
        meet((i + 1) * CELL, right[i], (i + 1) * CELL, left[i + 1]);
      }
    }
    return nearest;
  });
}

/** @param {Context} c @param {Ground} ground @param {number[]} pose @param {Camera} see */
function lidar(c, ground, pose, see) {
  const k = colours();
  const origin = turned([pose[0], pose[1]], pose[2], [-CENTRE[0], -CENTRE[1]]);
  c.strokeStyle = k.ray;
  c.lineWidth = Math.max(0.03 * see.scale, 1);
  const shares = rays(ground, origin[0], origin[1]);
  for (const [i, share] of shares.entries()) {
    const x = origin[0] + share * RANGE * Math.sin(ANGLES[i]);
    const y = origin[1] - share * RANGE * Math.cos(ANGLES[i]);
    c.beginPath();
    c.moveTo(see.px(origin[0]), see.py(origin[1]));
    c.lineTo(see.px(x), see.py(y));
    c.stroke();
    if (share < 1) {
      c.fillStyle = k.hit;
      dot(c, see.px(x), see.py(y), Math.max(0.07 * see.scale, 1.5));
    }
  }
}

/** @type {import("aiga/types.js").Kind} */
const kind = {
  lidar: true,

  scene(c, ground, film, seconds, box, { lidar: rayed = false, scale = box.height / 6.5, simple = false } = {}) {
    const pose = film ? moment(film, seconds, scratch) : null;
    const x = pose ? pose[0] + (0.12 * box.width) / scale : (0.5 * box.width) / scale;
    const y = level(ground, x) + (0.22 * box.height) / scale;
    const see = camera(box, x, y, scale);
    backdrop(c, box, x, simple);
    earth(c, ground, box, see, simple);
    if (pose) {
      if (rayed) lidar(c, ground, pose, see);
      walker(c, pose, see);
    }
  },

  overview(c, ground, box, { film = null, seconds = 0 } = {}) {
    const heights = [...ground.left, ...ground.right];
    const [low, high] = [Math.min(...heights) - 0.8, Math.max(...heights) + 3.2];
    const scale = box.width / (ground.left.length * CELL);
    // Heights are drawn up to twice as large as lengths: obstacles are low, and courses long.
    const squash = Math.min(2, box.height / scale / (high - low));
    // What height is to spare is shared by the sky and the earth.
    const spare = box.height / scale / squash - (high - low);
    const middle = (high + low) / 2 + 0.2 * spare;
    const see = camera(box, (ground.left.length * CELL) / 2, middle, scale, squash);
    backdrop(c, box, 0, true);
    earth(c, ground, box, see, true);
    if (film) walker(c, moment(film, seconds, scratch), see);
  },

  seek(film, share) {
    const wanted = share * CELLS * CELL;
    let place = 0;
    while (place < film.count - 1 && film.moments[place * film.width] < wanted) place++;
    return place / film.rate;
  },

  words(film, seconds) {
    const [x] = moment(film, seconds, scratch);
    const last = film.moments[(film.count - 1) * film.width];
    const end = film.finished ? "it reaches the end" : `it gets to ${last.toFixed(1)} m`;
    return `walker at ${x.toFixed(1)} m of ${GOAL.toFixed(0)} m; ${end}, return ${film.total?.toFixed(1) ?? "none"}`;
  },
};

export default kind;
