/** The family tree of what a search found: who descends from whom, when it came and how good it was. */

import { onTheme, surface } from "aiga/canvas.js";
import { colour, styled } from "aiga/dom.js";
import { logTicks, tickTexts, ticks } from "aiga/series.js";

/**
 * @typedef {{id: number, ancestor: number|null, x: number, y: number, star: boolean}} Relative
 *   `x` when it came, at least 1; `y` how good it was; `star`: it was the best of all on tasks held out
 * @typedef {{x: number, y: number}} Point
 */

const NEAR = 18; // px within which the pointer finds somebody
const [TOP, BOTTOM, RIGHT] = [14, 24, 14]; // px around the tree

styled(`
  .family { border-radius: 6px; cursor: pointer; }
  .family:focus-visible { outline-offset: 3px; }
`);

/** From the first ancestor that is known to `id` itself. @param {Map<number, Relative>} all @param {number|null} id */
export function lineOf(all, id) {
  const line = [];
  const seen = new Set();
  for (let at = id === null ? undefined : all.get(id); at && !seen.has(at.id);) {
    seen.add(at.id);
    line.push(at);
    at = at.ancestor === null ? undefined : all.get(at.ancestor);
  }
  return line.reverse();
}

/**
 * @param {HTMLElement} host
 * @param {{height: number, pick: (id: number) => void, point: (id: number|null) => void, say: (id: number) => string}}
 *   options  `pick` somebody was chosen, `point` is pointed at; `say` puts one into words
 */
export function family(host, { height, pick, point, say }) {
  /** @type {Map<number, Relative>} */
  let all = new Map();
  /** @type {Relative[]} */
  let line = [];
  let log = false;
  /** @type {number|null} */
  let pointed = null;
  /** @type {Map<number, Point>} */
  let places = new Map();

  const face = surface(host, ({ context, width, height }) => draw(context, width, height),
    { label: "family tree: nothing yet", height });
  const { element } = face;
  element.classList.add("family");
  element.tabIndex = 0;
  const unhear = onTheme(face.redraw);
  element.addEventListener("pointermove", (event) => aim(nearest(event)));
  element.addEventListener("pointerleave", () => aim(null));
  element.addEventListener("click", (event) => {
    const found = nearest(event);
    if (found !== null) pick(found);
  });
  element.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const at = line[line.length - 1];
    const to = at && beside(at, event.key);
    if (!to) return;
    event.preventDefault();
    pick(to.id);
  });

  /** Whom a key leads to. @param {Relative} at @param {string} key */
  function beside(at, key) {
    const by = (/** @type {Relative[]} */ some) => some.sort((a, b) => b.y - a.y);
    if (key === "ArrowLeft") return line[line.length - 2];
    if (key === "ArrowRight") return by([...all.values()].filter((each) => each.ancestor === at.id))[0];
    if (key === "Home") return line[0];
    if (key === "ArrowUp") return by([...all.values()].filter((each) => each.y > at.y)).pop();
    if (key === "ArrowDown") return by([...all.values()].filter((each) => each.y < at.y))[0];
    if (key === "End") return by([...all.values()].filter((each) => each.star))[0];
    return undefined;
  }

  /** @param {number|null} id */
  function aim(id) {
    if (id === pointed) return;
    pointed = id;
    point(id);
    face.redraw();
  }

  /** @param {MouseEvent} event */
  function nearest(event) {
    const box = element.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let [found, least] = [/** @type {number|null} */ (null), NEAR];
    for (const [id, place] of places) {
      const away = Math.hypot(place.x - x, place.y - y);
      if (away < least) [found, least] = [id, away];
    }
    return found;
  }

  /** @param {CanvasRenderingContext2D} c @param {number} width @param {number} height */
  function draw(c, width, height) {
    c.clearRect(0, 0, width, height);
    c.font = `11.5px ${colour("--sans")}`;
    c.textBaseline = "middle";
    places = new Map();
    if (!all.size) return;
    const values = [...all.values()];
    const sorted = values.map(({ y }) => y).sort((a, b) => a - b);
    // What hardly anybody is below must not press the rest together.
    const low = Math.max(sorted[0], sorted[Math.floor(sorted.length * 0.04)] - 0.03);
    const high = sorted[sorted.length - 1];
    const [y0, y1] = high > low ? [low, high] : [low - 0.5, high + 0.5];
    const first = Math.min(...values.map(({ x }) => x));
    const x1 = Math.max(...values.map(({ x }) => x), 2);
    // Hardly anything is to be seen among the first thousandth, which would fill half of a logarithmic axis.
    const x0 = log ? Math.max(first, x1 / 2000, 1) : 0;
    const levels = ticks(y0, y1, Math.max(Math.round(height / 60), 2));
    const named = tickTexts(levels);
    const left = Math.ceil(Math.max(...named.map((text) => c.measureText(text).width))) + 10;
    const [right, bottom] = [width - RIGHT, height - BOTTOM];
    const bend = log ? Math.log : (/** @type {number} */ x) => x;
    const px = (/** @type {number} */ x) =>
      left + ((bend(Math.max(x, x0)) - bend(x0)) / (bend(x1) - bend(x0) || 1)) * (right - left);
    const py = (/** @type {number} */ y) => bottom - ((Math.max(y, y0) - y0) / (y1 - y0)) * (bottom - TOP);
    for (const each of values) places.set(each.id, { x: px(each.x), y: py(each.y) });

    c.lineWidth = 1;
    c.strokeStyle = colour("--line");
    c.fillStyle = colour("--soft");
    c.textAlign = "right";
    for (const [i, y] of levels.entries()) {
      trace(c, [{ x: left, y: Math.round(py(y)) + 0.5 }, { x: right, y: Math.round(py(y)) + 0.5 }]);
      c.fillText(named[i], left - 7, py(y));
    }
    const name = "individuals";
    c.fillText(name, width - 1, height - 9);
    const end = width - c.measureText(name).width - 10;
    const count = Math.max(Math.floor((right - left) / 80), 2);
    const marks = log ? logTicks(x0, x1, count) : ticks(x0, x1, count);
    const texts = log ? marks.map((mark) => tickTexts([mark])[0]) : tickTexts(marks);
    c.textAlign = "center";
    let free = 0;
    for (const [i, x] of marks.entries()) {
      const half = c.measureText(texts[i]).width / 2;
      const at = Math.max(px(x), half);
      if (at - half < free || at + half > end) continue;
      c.fillText(texts[i], at, height - 9);
      free = at + half + 8;
    }

    c.lineJoin = "round";
    c.strokeStyle = colour("--soft");
    const faint = Math.min(0.55, 9.5 / Math.sqrt(all.size)); // thousands must not be one dark patch
    c.globalAlpha = faint;
    for (const each of values) branch(c, each);
    c.globalAlpha = Math.min(1, 2.5 * faint);
    const own = new Set(line.map(({ id }) => id));
    c.fillStyle = colour("--soft");
    for (const { id } of values) if (!own.has(id)) dot(c, places.get(id), all.size > 300 ? 1.3 : 2.2);
    c.globalAlpha = 1;

    const aimed = lineOf(all, pointed);
    c.strokeStyle = colour("--blue");
    c.lineWidth = 1.5;
    for (const each of aimed) branch(c, each);
    c.strokeStyle = colour("--violet");
    c.lineWidth = 2.4;
    for (const each of line) branch(c, each);
    c.fillStyle = colour("--violet");
    for (const { id } of line) dot(c, places.get(id), 3.2);
    c.fillStyle = colour("--gold");
    for (const { id, star: shines } of values) if (shines) star(c, places.get(id), 5.5);
    const last = line[line.length - 1];
    if (last) ring(c, places.get(last.id), "--violet");
    if (pointed !== null) ring(c, places.get(pointed), "--blue");
  }

  /** Level while it was the best of its line, then up. @param {CanvasRenderingContext2D} c @param {Relative} each */
  function branch(c, each) {
    const [to, from] = [places.get(each.id), each.ancestor === null ? undefined : places.get(each.ancestor)];
    if (to && from) trace(c, [from, { x: to.x, y: from.y }, to]);
  }

  return {
    element,
    /**
     * @param {Map<number, Relative>} relatives @param {number|null} id  whose line is drawn
     * @param {boolean} logarithmic
     */
    show(relatives, id, logarithmic) {
      [all, log] = [relatives, logarithmic];
      line = lineOf(all, id);
      if (pointed !== null && !all.has(pointed)) aim(null);
      const shown = line[line.length - 1];
      element.setAttribute("aria-label", shown
        ? `family tree of ${all.size} improvements; shown: ${say(shown.id)}, with ${line.length - 1} ancestors. ` +
          "Left: its ancestor, right: its best descendant, up and down: the next better and worse, End: the best"
        : "family tree: nothing yet");
      face.redraw();
    },
    close() {
      unhear();
      face.close();
    },
  };
}

/** @param {CanvasRenderingContext2D} c @param {Point[]} points */
function trace(c, points) {
  c.beginPath();
  for (const { x, y } of points) c.lineTo(x, y);
  c.stroke();
}

/** @param {CanvasRenderingContext2D} c @param {Point|undefined} at @param {number} radius */
function dot(c, at, radius) {
  if (!at) return;
  c.beginPath();
  c.arc(at.x, at.y, radius, 0, 7);
  c.fill();
}

/** @param {CanvasRenderingContext2D} c @param {Point|undefined} at @param {number} radius */
function star(c, at, radius) {
  if (!at) return;
  c.beginPath();
  for (let k = 0; k < 10; k++) {
    const [angle, out] = [(k * Math.PI) / 5 - Math.PI / 2, k % 2 ? radius * 0.45 : radius];
    c.lineTo(at.x + out * Math.cos(angle), at.y + out * Math.sin(angle));
  }
  c.fill();
}

/** @param {CanvasRenderingContext2D} c @param {Point|undefined} at @param {string} name  of a colour */
function ring(c, at, name) {
  if (!at) return;
  c.strokeStyle = colour(name);
  c.lineWidth = 2;
  c.beginPath();
  c.arc(at.x, at.y, 8, 0, 7);
  c.stroke();
}
