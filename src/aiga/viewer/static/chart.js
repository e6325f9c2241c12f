/** One small chart of lines over a common x, with round ticks, labels at the lines' ends and a cursor. */

import { onTheme, surface } from "aiga/canvas.js";
import { colour, styled } from "aiga/dom.js";
import { inDigits, logTicks, nearest, spread, ticks, tickTexts } from "aiga/series.js";

/**
 * @typedef {object} Line
 * @property {string} name  written at its end; "" leaves that out
 * @property {string} colour  a colour of a style sheet, as "--violet"
 * @property {number[]} x  rising
 * @property {(number|null)[]} y
 * @property {{low: (number|null)[], high: (number|null)[]}} [band]  drawn around it
 * @property {boolean} [thin]
 * @property {boolean} [dashed]
 * @property {boolean} [dots]  its points alone, without a line
 *
 * @typedef {object} Options
 * @property {string} label  what the chart shows, for those who do not see it; its last values are added
 * @property {number} [height]  in CSS pixels
 * @property {Line[]} lines
 * @property {string} xName  "iterations", written below
 * @property {(x: number) => string} [xFormat]  a place on the x axis, for the cursor
 * @property {boolean} [xWhole]  places are counts: no ticks between whole numbers
 * @property {(y: number) => string} [yFormat]  a value
 * @property {(ys: number[]) => string[]} [yTicks]  the texts of ticks
 * @property {[number, number]} [reach]  of the x axis; otherwise that of the lines
 * @property {boolean} [zero]  the y axis begins at zero
 * @property {boolean} [whole]  values are counts: no ticks between whole numbers
 * @property {boolean} [log]  the y axis is one of logarithms
 * @property {{y: number, name: string}} [reference]  a level to compare with
 * @property {Cursor} [cursor]  shared by charts over the same x
 * @property {(text: string) => void} [say]  told what is at the cursor when it is moved by the keyboard
 *
 * @typedef {{x: number|null, set: (x: number|null) => void, listen: (hear: () => void) => () => void,
 *   margins: (who: object, left: number, right: number) => [number, number]}} Cursor
 * @typedef {{left: number, right: number, top: number, bottom: number, x0: number, x1: number, y0: number,
 *   y1: number, px: (x: number) => number, py: (y: number) => number}} Scale
 * @typedef {{line: Line, y: number, text: string}} Label
 */

const FONT = 11.5; // px
const GAP = 14; // px between labels
const WIDEST = 0.32; // of the chart, for the labels at its right

styled(`
  .chart { touch-action: pan-y; cursor: crosshair; border-radius: 4px; }
  .chart:focus-visible { outline-offset: 4px; }
`);

/**
 * A place on the x axis that several charts show at once; they get the same margins, so that what is above each
 * other is at the same x.
 * @returns {Cursor}
 */
export function cursor() {
  /** @type {Set<() => void>} */
  const listeners = new Set();
  /** @type {Map<object, [number, number]>} */
  const wanted = new Map();
  let agreed = /** @type {[number, number]} */ ([0, 0]);
  /** @type {Cursor} */
  const self = {
    x: null,
    set(x) {
      if (x === self.x) return;
      self.x = x;
      for (const hear of listeners) hear();
    },
    listen(hear) {
      listeners.add(hear);
      return () => {
        listeners.delete(hear);
        wanted.delete(hear);
      };
    },
    margins(who, left, right) {
      wanted.set(who, [left, right]);
      const most = [...wanted.values()].reduce((a, b) => [Math.max(a[0], b[0]), Math.max(a[1], b[1])], [0, 0]);
      if (most[0] !== agreed[0] || most[1] !== agreed[1]) {
        agreed = [most[0], most[1]];
        for (const hear of listeners) hear();
      }
      return agreed;
    },
  };
  return self;
}

/** @param {HTMLElement} host @param {Options} options */
export function chart(host, options) {
  let now = options;
  const place = options.cursor ?? cursor();
  /** @type {Scale|null} */
  let scale = null;
  const face = surface(host, ({ context, width, height }) => {
    scale = drawn(context, width, height, now, place.x, (left, right) => place.margins(face.redraw, left, right));
  }, { label: words(now, null), height: options.height ?? 150 });
  const { element } = face;
  element.classList.add("chart");
  element.tabIndex = 0;
  const ends = [place.listen(face.redraw), onTheme(face.redraw)];

  /** @param {PointerEvent} event */
  const point = (event) => {
    if (!scale) return;
    const at = event.clientX - element.getBoundingClientRect().left;
    const share = Math.min(Math.max((at - scale.left) / (scale.right - scale.left), 0), 1);
    place.set(scale.x0 + share * (scale.x1 - scale.x0));
  };
  element.addEventListener("pointermove", point);
  element.addEventListener("pointerdown", point);
  element.addEventListener("pointerleave", (event) => {
    // A finger that is lifted leaves what it pointed at.
    if (event.pointerType === "mouse") place.set(null);
  });
  element.addEventListener("blur", () => place.set(null));
  element.addEventListener("keydown", (event) => {
    if (!scale || event.altKey || event.metaKey || event.ctrlKey) return;
    const { x0, x1 } = scale;
    const step = ((x1 - x0) / 100) * (event.shiftKey ? 10 : 1);
    const from = place.x ?? x1;
    /** @type {Record<string, number|null>} */
    const places = { ArrowLeft: from - step, ArrowRight: from + step, Home: x0, End: x1, Escape: null };
    const to = places[event.key];
    if (to === undefined) return;
    event.preventDefault();
    place.set(to === null ? null : Math.min(Math.max(to, x0), x1));
    if (place.x !== null) now.say?.(words(now, place.x));
  });

  return {
    element,
    /** @param {Partial<Options>} changed */
    update(changed) {
      now = { ...now, ...changed };
      element.setAttribute("aria-label", words(now, null));
      face.redraw();
    },
    close() {
      for (const end of ends) end();
      face.close();
    },
  };
}

/** Lines without a name have no label, unless they are alone. @param {Line} line @param {Line[]} lines */
const labelled = (line, lines) => Boolean(line.name) || lines.length === 1;

/** The values at x, or the last ones, in words. @param {Options} options @param {number|null} x */
export function words({ label, lines, xName, xFormat = inDigits, yFormat = inDigits }, x) {
  const said = lines.filter((line) => labelled(line, lines)).map((line) => valued(line, x, yFormat))
    .filter((each) => each !== null);
  if (!said.length) return `${label}: nothing yet`;
  const ends = lines.filter((line) => line.x.length).map((line) => line.x[line.x.length - 1]);
  const at = `${xFormat(x ?? Math.max(...ends))} ${xName}`;
  return `${label}, at ${at}: ${said.map(({ line, text }) => `${line.name} ${text}`.trim()).join(", ")}`;
}

/**
 * What a line is at x, or at its end, with its band; null where it does not reach.
 * @param {Line} line @param {number|null} x @param {(y: number) => string} format
 */
export function valued(line, x, format) {
  const { x: xs, y, band } = line;
  if (!xs.length) return null;
  const margin = 0.02 * (xs[xs.length - 1] - xs[0]);
  if (x !== null && (x < xs[0] - margin || x > xs[xs.length - 1] + margin)) return null;
  const i = x === null ? xs.length - 1 : nearest(xs, x);
  const value = y[i];
  if (value === null || value === undefined) return null;
  const [low, high] = [band?.low[i] ?? null, band?.high[i] ?? null];
  const brief = format(value);
  const flat = low === null || high === null || low === high;
  const text = flat ? brief : `${brief} (${format(low)} to ${format(high)})`;
  return { line, value, text, brief };
}

/**
 * @param {CanvasRenderingContext2D} c @param {number} width @param {number} height @param {Options} options
 * @param {number|null} at  the cursor
 * @param {(left: number, right: number) => [number, number]} agree  on margins with other charts
 * @returns {Scale|null}
 */
function drawn(c, width, height, options, at, agree) {
  c.clearRect(0, 0, width, height);
  c.font = `${FONT}px ${colour("--sans")}`;
  c.textBaseline = "middle";
  const { lines, yFormat = inDigits } = options;
  const reached = reach(options);
  if (!reached) {
    write(c, "nothing yet", width / 2, height / 2, "--soft", "center");
    return null;
  }
  const ends = lines.filter((line) => labelled(line, lines)).flatMap((line) => {
    const last = valued(line, null, yFormat);
    return last ? [{ line, y: last.value, text: `${line.name} ${last.brief}`.trim() }] : [];
  });
  const margin = Math.min(Math.max(0, ...ends.map((end) => c.measureText(end.text).width)), WIDEST * width);
  const { x0, x1, y0, y1, steps } = reached;
  const texts = options.yTicks?.(steps) ?? (options.log ? steps.map(inDigits) : tickTexts(steps));
  const widest = Math.max(...texts.map((text) => c.measureText(text).width));
  const [left, aside] = agree(Math.ceil(widest) + 8, Math.ceil(Math.max(margin + 8, 10)));
  const [right, top, bottom] = [width - Math.min(aside, WIDEST * width + 8), 8, height - 22];
  const bend = options.log ? Math.log10 : (/** @type {number} */ y) => y;
  /** @type {Scale} */
  const scale = {
    left, right, top, bottom, x0, x1, y0, y1,
    px: (x) => left + ((x - x0) / (x1 - x0 || 1)) * (right - left),
    py: (y) => bottom - ((bend(y) - bend(y0)) / (bend(y1) - bend(y0) || 1)) * (bottom - top),
  };
  axes(c, scale, options, width, steps, texts, at);
  for (const line of lines) if (line.band) fill(c, scale, line);
  for (const line of lines) stroke(c, scale, line);
  if (at === null) atTheEnds(c, scale, ends, width);
  else atTheCursor(c, scale, options, at);
  return scale;
}

/** How far the axes go, and the ticks of y; null without a point. @param {Options} options */
function reach({ lines, zero, whole, log, reference, reach: given, height = 150 }) {
  let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const { x, y, band } of lines) {
    if (!x.length) continue;
    x0 = Math.min(x0, x[0]);
    x1 = Math.max(x1, x[x.length - 1]);
    for (const column of [y, band?.low ?? [], band?.high ?? []]) {
      for (const value of column) {
        if (value === null || !Number.isFinite(value)) continue;
        y0 = Math.min(y0, value);
        y1 = Math.max(y1, value);
      }
    }
  }
  if (!(x1 >= x0 && y1 >= y0)) return null;
  if (given) [x0, x1] = given;
  if (x1 === x0) x1 = x0 + 1;
  const count = Math.max(Math.round(height / 42), 2);
  if (log) return { x0, x1, y0, y1, steps: logTicks(y0, y1, count) };
  if (reference) [y0, y1] = [Math.min(y0, reference.y), Math.max(y1, reference.y)];
  if (zero) [y0, y1] = [Math.min(y0, 0), Math.max(y1, 0)];
  if (y1 === y0) [y0, y1] = zero || whole ? [Math.min(y0, 0), Math.max(y1, 1)] : [y0 - 0.5, y1 + 0.5];
  const steps = ticks(y0, y1, count, whole ? 1 : 0);
  return { x0, x1, y0, y1, steps };
}

/**
 * @param {CanvasRenderingContext2D} c @param {Scale} scale @param {Options} options @param {number} width
 * @param {number[]} steps @param {string[]} texts @param {number|null} at
 */
function axes(c, scale, { xName, xWhole, reference }, width, steps, texts, at) {
  const { left, right, bottom, x0, x1, px, py } = scale;
  c.lineWidth = 1;
  c.strokeStyle = colour("--line");
  for (const [i, y] of steps.entries()) {
    rule(c, left, right, py(y));
    write(c, texts[i], left - 7, py(y), "--soft", "right");
  }
  if (reference) {
    c.strokeStyle = colour("--soft");
    c.setLineDash([1, 3]);
    rule(c, left, right, py(reference.y));
    c.setLineDash([]);
    write(c, reference.name, left + 3, py(reference.y) - 8, "--soft", "left");
  }
  if (at !== null) return; // the cursor has the line below for itself
  const name = width - c.measureText(xName).width;
  write(c, xName, width - 1, bottom + 13, "--soft", "right");
  const places = ticks(x0, x1, Math.max(Math.floor((right - left) / 72), 2), xWhole ? 1 : 0);
  const named = tickTexts(places);
  c.strokeStyle = colour("--soft");
  let free = 0;
  for (const [i, x] of places.entries()) {
    const half = c.measureText(named[i]).width / 2;
    const middle = Math.max(px(x), half);
    c.beginPath();
    c.moveTo(px(x), bottom);
    c.lineTo(px(x), bottom + 4);
    c.stroke();
    if (middle - half < free || middle + half > name - 10) continue;
    write(c, named[i], middle, bottom + 13, "--soft", "center");
    free = middle + half + 8;
  }
}

/** @param {CanvasRenderingContext2D} c @param {number} from @param {number} to @param {number} y */
function rule(c, from, to, y) {
  c.beginPath();
  c.moveTo(from, Math.round(y) + 0.5);
  c.lineTo(to, Math.round(y) + 0.5);
  c.stroke();
}

/**
 * @param {CanvasRenderingContext2D} c @param {string} text @param {number} x @param {number} y
 * @param {string} name  of a colour @param {CanvasTextAlign} align
 */
function write(c, text, x, y, name, align) {
  c.textAlign = align;
  c.fillStyle = colour(name);
  c.fillText(text, x, y);
}

/** @param {CanvasRenderingContext2D} c @param {Scale} scale @param {Line} line */
function fill(c, { px, py }, { x, y, band, colour: name }) {
  if (!band) return;
  const there = x.map((_, i) => i).filter((i) => y[i] !== null && band.low[i] !== null && band.high[i] !== null);
  c.beginPath();
  for (const i of there) c.lineTo(px(x[i]), py(/** @type {number} */ (band.low[i])));
  for (const i of there.reverse()) c.lineTo(px(x[i]), py(/** @type {number} */ (band.high[i])));
  c.globalAlpha = 0.17;
  c.fillStyle = colour(name);
  c.fill();
  c.globalAlpha = 1;
}

/** @param {CanvasRenderingContext2D} c @param {Scale} scale @param {Line} line */
function stroke(c, { px, py }, { x, y, thin, dashed, dots, colour: name }) {
  c.beginPath();
  let last = -1;
  let count = 0;
  for (let i = 0; i < x.length; i++) {
    const value = y[i];
    if (value === null) continue;
    c.lineTo(px(x[i]), py(value));
    last = i;
    count++;
  }
  c.strokeStyle = c.fillStyle = colour(name);
  c.lineWidth = thin ? 0.9 : 1.75;
  c.globalAlpha = thin ? 0.65 : 1;
  c.lineJoin = "round";
  c.setLineDash(dashed ? [5, 3] : []);
  if (!dots) c.stroke();
  c.setLineDash([]);
  for (let i = 0; dots && i < x.length; i++) if (y[i] !== null) dot(c, px(x[i]), py(/** @type {number} */ (y[i])));
  c.globalAlpha = 1;
  if (count === 1) dot(c, px(x[last]), py(/** @type {number} */ (y[last])));
}

/** @param {CanvasRenderingContext2D} c @param {number} x @param {number} y */
function dot(c, x, y) {
  c.beginPath();
  c.arc(x, y, 2.75, 0, 2 * Math.PI);
  c.fill();
}

/** @param {CanvasRenderingContext2D} c @param {Scale} scale @param {Label[]} ends @param {number} width */
function atTheEnds(c, { right, top, bottom, px, py }, ends, width) {
  const heights = spread(ends.map((end) => py(end.y)), GAP, top, bottom - 2);
  for (const [i, { line, text }] of ends.entries()) {
    write(c, fitted(c, text, width - right - 6), right + 6, heights[i], line.colour, "left");
    // A line that ends early is led to its name.
    const end = px(line.x[line.x.length - 1]);
    if (right - end < 12) continue;
    c.strokeStyle = colour(line.colour);
    c.lineWidth = 1;
    c.globalAlpha = 0.55;
    c.setLineDash([1, 4]);
    c.beginPath();
    c.moveTo(end + 3, py(ends[i].y));
    c.lineTo(right + 3, heights[i]);
    c.stroke();
    c.setLineDash([]);
    c.globalAlpha = 1;
  }
}

/**
 * Names give way to the value that follows them.
 * @param {CanvasRenderingContext2D} c @param {string} text @param {number} room
 */
function fitted(c, text, room) {
  if (c.measureText(text).width <= room) return text;
  const value = text.slice(text.lastIndexOf(" "));
  let name = text.slice(0, text.lastIndexOf(" "));
  while (name.length > 1 && c.measureText(`${name}…${value}`).width > room) name = name.slice(0, -1);
  return `${name}…${value}`;
}

/** @param {CanvasRenderingContext2D} c @param {Scale} scale @param {Options} options @param {number} at */
function atTheCursor(c, scale, { lines, xName, xFormat = inDigits, yFormat = inDigits }, at) {
  const { left, right, top, bottom, px, py } = scale;
  const x = px(at);
  c.strokeStyle = colour("--soft");
  c.lineWidth = 1;
  c.beginPath();
  c.moveTo(Math.round(x) + 0.5, top - 4);
  c.lineTo(Math.round(x) + 0.5, bottom);
  c.stroke();
  const below = `${xFormat(at)} ${xName}`;
  const half = c.measureText(below).width / 2;
  const room = c.canvas.clientWidth;
  write(c, below, Math.min(Math.max(x, half + 1), room - half - 1), bottom + 13, "--ink", "center");
  const found = lines.filter((line) => labelled(line, lines)).map((line) => valued(line, at, yFormat))
    .filter((each) => each !== null);
  const texts = found.map(({ line, text }) => `${line.name} ${text}`.trim());
  const wide = Math.max(0, ...texts.map((text) => c.measureText(text).width));
  const before = x + 8 + wide > room && x - left > wide / 2;
  const heights = spread(found.map(({ value }) => py(value)), GAP, top, bottom - 4);
  for (const [i, { line, value }] of found.entries()) {
    c.fillStyle = colour(line.colour);
    dot(c, x, py(value));
    const edge = before ? Math.max(x - 8, wide) : Math.min(x + 8, room - wide);
    backed(c, texts[i], edge, heights[i], line.colour, before ? "right" : "left");
  }
}

/**
 * Text that can be read over lines.
 * @param {CanvasRenderingContext2D} c @param {string} text @param {number} x @param {number} y
 * @param {string} name  of a colour @param {CanvasTextAlign} align
 */
function backed(c, text, x, y, name, align) {
  const wide = c.measureText(text).width + 4;
  c.fillStyle = colour("--card");
  c.globalAlpha = 0.86;
  c.fillRect(align === "right" ? x - wide + 2 : x - 2, y - GAP / 2, wide, GAP);
  c.globalAlpha = 1;
  write(c, text, x, y, name, align);
}
