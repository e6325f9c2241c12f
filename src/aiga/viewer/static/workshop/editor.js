/**
 * The canvas on which a course is made, and the strip that shows all of it. Whatever is done with a finger or
 * the mouse can be done with the keyboard as well.
 */

import { surface } from "aiga/canvas.js";
import {
  CELL, CELLS, PAD, compose, core, drawn, fresh, isStairs, levelled, limited, placed, resized, said, shifted, without,
} from "aiga/courses.js";
import { colour, still } from "aiga/dom.js";
import drawing, { backdrop, camera, earth, level, walker } from "aiga/kinds/walker.js";

/**
 * @typedef {import("aiga/courses.js").Obstacle} Obstacle
 * @typedef {import("aiga/courses.js").ObstacleKind} ObstacleKind
 * @typedef {import("aiga/workshop/draft.js").Draft} Draft
 * @typedef {"hand"|ObstacleKind|"line"|"rough"|"level"} Tool
 * @typedef {{x: number, y: number}} Point
 * @typedef {{move: (to: Point) => void, end?: () => void, cancel?: () => void, cursor?: string}} Gesture
 *   points in CSS pixels of the canvas
 * @typedef {{poses: number[][], chosen: number}} Cast  the walkers on the course, and which is followed
 */

/** What a tap of each tool puts down. @type {Record<ObstacleKind, {size: number, steps: number}>} */
export const FIRST = {
  stump: { size: 0.6, steps: 1 }, gap: { size: 3, steps: 1 },
  up: { size: 0.3, steps: 3 }, down: { size: 0.3, steps: 3 },
};
const LENGTH = CELLS * CELL; // m
const SCALES = [9, 110]; // pixels a metre
const GRIP = 9; // px, the radius of a handle
const TALL = 0.05; // m, the steps in which heights are dragged
const BUMP = 0.13; // m, the most that the brush moves the ground up or down
const READY = [4.69, 5.86, 0, 0.1, -0.12, -0.08, -0.16]; // a walker at the start

/** @param {string} tool @returns {tool is ObstacleKind} */
export const places = (tool) => tool in FIRST;
/** By how much the brush moves one place of the ground, m. */
export const bump = () => BUMP * (2 * Math.random() - 1);
const even = (/** @type {number} */ height) => Math.round(height / TALL) * TALL;

/**
 * @param {HTMLElement} host @param {HTMLElement} strip @param {Draft} draft
 * @param {{cast: () => Cast|null, say: (words: string) => void, tooled: (tool: Tool) => void}} options  `cast`
 *   is asked with every frame; `say` is for those who do not see; `tooled` is told of a tool chosen by key
 */
export function editor(host, strip, draft, { cast, say, tooled }) {
  /** @type {Tool} */
  let tool = "hand";
  let [x, y, scale] = [0, 0, 0]; // what the middle of the canvas looks at, m, and pixels a metre
  /** @type {Gesture|null} */
  let gesture = null;
  /** @type {Point|null} */
  let hover = null;
  let playing = false;
  /** @type {Map<number, Point>} */
  const fingers = new Map();

  const canvas = surface(host, draw, { label: "" });
  const element = canvas.element;
  element.setAttribute("role", "application");
  element.setAttribute("aria-roledescription", "course editor");
  element.setAttribute("aria-label", "The course. N puts down an obstacle, the arrow keys move it and change its size, "
    + "Delete removes it; without a selected obstacle they move the view.");
  element.tabIndex = 0;
  const whole = surface(strip, drawStrip, { label: "The whole course and the part of it that is shown; drag to move" });

  // -- where things are ---------------------------------------------------------------------------------------

  const box = () => ({ x: 0, y: 0, width: canvas.width, height: canvas.height });
  const see = () => camera(box(), x, y, scale);
  const metres = (/** @type {Point} */ at) => ({
    x: x + (at.x - canvas.width / 2) / scale, y: y - (at.y - canvas.height / 2) / scale,
  });
  const cellAt = (/** @type {Point} */ at) => Math.floor(metres(at).x / CELL);
  const heightAt = (/** @type {number} */ cell) => draft.ground.left[Math.min(Math.max(cell, 0), CELLS - 1)];
  const wantedY = () => level(draft.ground, x) + (0.19 * canvas.height) / scale;

  /** @param {number} to  m, the new middle; the window stays on the course */
  function look(to) {
    const half = canvas.width / 2 / scale;
    x = half > LENGTH / 2 ? LENGTH / 2 : Math.min(Math.max(to, half - 1), LENGTH + 1 - half);
    redraw();
  }

  /** @param {number} factor @param {number} [at]  px, what stays */
  function zoom(factor, at = canvas.width / 2) {
    const fixed = x + (at - canvas.width / 2) / scale;
    scale = Math.min(Math.max(scale * factor, SCALES[0]), SCALES[1]);
    y = wantedY();
    look(fixed - (at - canvas.width / 2) / scale);
  }

  /** Brings an obstacle into view. @param {Obstacle} each */
  function reveal(each) {
    const [from, to] = core(each).map((cell) => cell * CELL);
    const half = canvas.width / 2 / scale;
    if (from < x - half + 1 || to > x + half - 1) look((from + to) / 2);
  }

  /** Where the selected obstacle is held to change its size, px. @param {Obstacle} each @returns {Point} */
  function handle(each) {
    const [from, to] = core(each);
    const s = see();
    if (each.kind === "gap") return { x: s.px(to * CELL), y: s.py(draft.ground.right[to]) };
    if (each.kind === "stump") return { x: s.px((from + 0.5) * CELL), y: s.py(draft.ground.left[from]) };
    return { x: s.px(to * CELL), y: s.py(draft.ground.right[to - 1]) };
  }

  /** @param {Point} at @returns {Obstacle|null} */
  function obstacleAt(at) {
    const p = metres(at);
    const slack = 5 / scale;
    return draft.plan.obstacles.find((each) => {
      const [from, to] = core(each);
      if (p.x < from * CELL - slack || p.x > to * CELL + slack) return false;
      const some = [...draft.ground.left.slice(from - 1, to + 1)];
      return p.y < Math.max(...some) + 0.35 && p.y > Math.min(...some) - 0.6;
    }) ?? null;
  }

  // -- gestures -----------------------------------------------------------------------------------------------

  /** @param {Point} from @returns {Gesture} */
  function panning(from) {
    const [startX, startY] = [x, y];
    return {
      cursor: "grabbing",
      move(to) {
        y = startY + (to.y - from.y) / scale;
        look(startX - (to.x - from.x) / scale);
      },
    };
  }

  /** @param {Obstacle} each @param {Point} from @returns {Gesture} */
  function moving(each, from) {
    const before = draft.plan;
    const start = metres(from).x;
    return {
      cursor: "grabbing",
      move: (to) => draft.show(placed(before, { ...each, at: each.at + Math.round((metres(to).x - start) / CELL) })),
    };
  }

  /** The size an obstacle has when its handle is pulled to a point. @param {Obstacle} each @param {number} ground
   * @param {Point} to  @returns {Obstacle}  `ground`: the height it stands on, m */
  function pulled(each, ground, to) {
    const p = metres(to);
    if (each.kind === "stump") return limited({ ...each, size: even(p.y - ground) });
    const cells = p.x / CELL - each.at;
    if (each.kind === "gap") return limited({ ...each, size: cells });
    const { steps } = limited({ ...each, steps: cells / 4 });
    const climb = (each.kind === "up" ? 1 : -1) * (p.y - ground);
    return limited({ ...each, steps, size: Math.max(even(climb / steps), TALL) });
  }

  /** @param {Obstacle} each @returns {Gesture} */
  function sizing(each) {
    const [before, ground] = [draft.plan, draft.ground.right[each.at - 1]];
    return { cursor: "grabbing", move: (to) => draft.show(resized(before, pulled(each, ground, to))) };
  }

  /** A new obstacle, of its first size where it is only tapped. @param {ObstacleKind} kind @param {Point} from
   * @returns {Gesture|null} */
  function placing(kind, from) {
    const before = draft.plan;
    const wanted = { id: fresh(before), kind, at: cellAt(from), ...FIRST[kind] };
    const plan = placed(before, wanted);
    const each = plan?.obstacles.find(({ id }) => id === wanted.id);
    if (!plan || !each) {
      say("there is no room for it");
      return null;
    }
    draft.show(plan);
    draft.select(wanted.id);
    const ground = draft.ground.right[each.at - 1];
    return {
      move(to) {
        if (Math.hypot(to.x - from.x, to.y - from.y) < 8) return;
        draft.show(resized(plan, pulled(each, ground, to)));
      },
    };
  }

  /** @param {Point} from @returns {Gesture} */
  function lining(from) {
    const before = draft.plan;
    /** @type {Map<number, number>} */
    const heights = new Map();
    let last = metres(from);
    return {
      cursor: "crosshair",
      move(to) {
        const now = metres(to);
        const [a, b] = last.x < now.x ? [last, now] : [now, last];
        for (let i = Math.ceil(a.x / CELL); i <= b.x / CELL; i++) {
          heights.set(i, a.y + ((b.y - a.y) * (i * CELL - a.x)) / (b.x - a.x || 1));
        }
        last = now;
        draft.show(drawn(before, heights));
      },
    };
  }

  /** @param {Point} from @returns {Gesture} */
  function roughening(from) {
    const before = draft.plan;
    /** @type {Map<number, number>} */
    const by = new Map();
    let last = cellAt(from);
    const move = (/** @type {Point} */ to) => {
      const now = cellAt(to);
      for (let i = Math.min(last, now); i <= Math.max(last, now) + 1; i++) {
        if (!by.has(i)) by.set(i, bump());
      }
      last = now;
      draft.show(shifted(before, by));
    };
    move(from);
    return { cursor: "crosshair", move };
  }

  /** @param {Point} from @returns {Gesture} */
  function levelling(from) {
    const before = draft.plan;
    let [first, end] = [cellAt(from), cellAt(from) + 1];
    const move = (/** @type {Point} */ to) => {
      [first, end] = [Math.min(first, cellAt(to)), Math.max(end, cellAt(to) + 1)];
      draft.show(levelled(before, first, end));
    };
    move(from);
    return { cursor: "crosshair", move };
  }

  /** What begins where the course is touched. @param {Point} at @param {boolean} coarse  a finger
   * @returns {Gesture|null} */
  function begun(at, coarse) {
    const chosen = draft.chosen;
    if (chosen) {
      const grip = handle(chosen);
      if (Math.hypot(grip.x - at.x, grip.y - at.y) < (coarse ? 24 : GRIP + 4)) return sizing(chosen);
    }
    if (tool === "line") return lining(at);
    if (tool === "rough") return roughening(at);
    if (tool === "level") return levelling(at);
    const each = obstacleAt(at);
    if (each) {
      draft.select(each.id);
      return moving(each, at);
    }
    if (places(tool)) return placing(tool, at);
    draft.select(null);
    return panning(at);
  }

  /** @param {PointerEvent|WheelEvent} event @returns {Point} */
  function place(event) {
    const at = element.getBoundingClientRect();
    return { x: event.clientX - at.left, y: event.clientY - at.top };
  }

  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 && event.button !== 1) return;
    const at = place(event);
    fingers.set(event.pointerId, at);
    element.setPointerCapture(event.pointerId);
    element.focus({ preventScroll: true });
    if (fingers.size > 1) {
      // The second finger says that the first one did not mean to draw.
      if (gesture) draft.revert();
      gesture = null;
      return;
    }
    gesture = event.button === 1 ? panning(at) : begun(at, event.pointerType === "touch");
    redraw();
  });
  element.addEventListener("pointermove", (event) => {
    const now = place(event);
    const before = fingers.get(event.pointerId);
    hover = event.pointerType === "touch" ? null : now;
    if (before && fingers.size > 1) pinch(event.pointerId, before, now);
    else if (before) gesture?.move(now);
    if (before) fingers.set(event.pointerId, now);
    element.style.cursor = gesture?.cursor ?? cursorAt(now);
    redraw();
  });
  for (const name of /** @type {const} */ (["pointerup", "pointercancel"])) {
    element.addEventListener(name, (event) => {
      fingers.delete(event.pointerId);
      if (fingers.size) return;
      if (gesture && name === "pointercancel") draft.revert();
      gesture = null;
      hover = null; // no preview on top of what has just been put down
      draft.commit();
      redraw();
    });
  }
  element.addEventListener("pointerleave", () => {
    hover = null;
    redraw();
  });
  element.addEventListener("wheel", (event) => {
    const side = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
    if (event.ctrlKey || event.metaKey) zoom(Math.exp(-event.deltaY * 0.008), place(event).x);
    else if (Math.abs(side) > 0.5 * Math.abs(event.deltaY)) look(x + side / scale);
    else return; // the page scrolls
    event.preventDefault();
  }, { passive: false });

  /** @param {number} id @param {Point} before @param {Point} now */
  function pinch(id, before, now) {
    const other = [...fingers].find(([each]) => each !== id)?.[1] ?? now;
    const [was, is] = [before, now].map((at) => Math.hypot(at.x - other.x, at.y - other.y) || 1);
    zoom(is / was, (now.x + other.x) / 2);
    look(x - (now.x - before.x) / 2 / scale);
  }

  /** @param {Point} at */
  function cursorAt(at) {
    if (tool === "line" || tool === "rough" || tool === "level") return "crosshair";
    if (obstacleAt(at)) return "grab";
    return tool === "hand" ? "grab" : "copy";
  }

  // -- the keyboard -------------------------------------------------------------------------------------------

  /** Changes the selected obstacle. @param {number} cells  to the right @param {number} size @param {number} steps */
  function adjust(cells, size, steps) {
    const each = draft.chosen;
    if (!each) return;
    const unit = each.kind === "gap" ? 1 : TALL;
    const other = { ...each, size: each.size + size * unit, steps: each.steps + steps };
    draft.change(cells ? shoved(each, cells) : resized(draft.plan, other));
    if (draft.chosen) {
      reveal(draft.chosen);
      say(said(draft.chosen));
    }
  }

  /** A move by a cell, over others where they are in the way. @param {Obstacle} each @param {number} cells */
  function shoved(each, cells) {
    for (let at = each.at + cells; at > 0 && at < CELLS; at += Math.sign(cells)) {
      const plan = placed(draft.plan, { ...each, at });
      const now = plan?.obstacles.find(({ id }) => id === each.id);
      if (now && Math.sign(now.at - each.at) === Math.sign(cells)) return plan;
    }
    return null;
  }

  /** Puts an obstacle down where the view is, or behind the selected one. @param {ObstacleKind} kind */
  function add(kind) {
    const after = draft.chosen;
    const at = after ? core(after)[1] + 5 : Math.max(Math.round(x / CELL), PAD + 4);
    const wanted = { id: fresh(draft.plan), kind, at, ...FIRST[kind] };
    const plan = placed(draft.plan, wanted);
    if (!plan) return say("there is no room for it");
    draft.change(plan);
    draft.select(wanted.id);
    if (draft.chosen) {
      reveal(draft.chosen);
      say(said(draft.chosen));
    }
  }

  function remove() {
    const each = draft.chosen;
    if (!each) return;
    draft.change(without(draft.plan, each.id));
    draft.select(null);
    say(`${said(each)} removed`);
  }

  /** The obstacle before or after the selected one. @param {number} way */
  function step(way) {
    const all = draft.plan.obstacles;
    const now = all.findIndex(({ id }) => id === draft.selected);
    const each = all[now < 0 ? (way > 0 ? 0 : all.length - 1) : now + way];
    if (!each) return;
    draft.select(each.id);
    reveal(each);
    say(said(each));
  }

  element.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const chosen = draft.chosen;
    const fast = event.shiftKey ? 5 : 1;
    const upright = (/** @type {number} */ way) => {
      if (!chosen) return void ((y += way * 0.8), redraw());
      if (isStairs(chosen) && event.shiftKey) adjust(0, 0, way);
      else adjust(0, way, 0);
    };
    /** @type {Record<string, () => void>} */
    const acts = {
      ArrowLeft: () => (chosen ? adjust(-fast, 0, 0) : look(x - canvas.width / scale / 8)),
      ArrowRight: () => (chosen ? adjust(fast, 0, 0) : look(x + canvas.width / scale / 8)),
      ArrowUp: () => upright(1), ArrowDown: () => upright(-1),
      Home: () => look(0), End: () => look(LENGTH),
      "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(1 / 1.25),
      Delete: remove, Backspace: remove, Escape: () => draft.select(null),
      ",": () => step(-1), ".": () => step(1),
      n: () => add(places(tool) ? tool : "stump"),
      v: () => tooled("hand"), s: () => tooled("stump"), g: () => tooled("gap"), u: () => tooled("up"),
      d: () => tooled("down"), l: () => tooled("line"), r: () => tooled("rough"), e: () => tooled("level"),
    };
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    act();
    event.preventDefault();
  });

  // -- the strip ----------------------------------------------------------------------------------------------

  strip.addEventListener("pointerdown", (event) => strip.setPointerCapture(event.pointerId));
  for (const name of /** @type {const} */ (["pointerdown", "pointermove"])) {
    strip.addEventListener(name, (event) => {
      if (!event.buttons) return;
      const at = strip.getBoundingClientRect();
      look(((event.clientX - at.left) / at.width) * LENGTH);
    });
  }

  /** @param {import("aiga/canvas.js").Surface} self */
  function drawStrip({ context: c, width, height }) {
    drawing.overview(c, draft.ground, { x: 0, y: 0, width, height });
    const unit = width / LENGTH;
    const now = cast();
    for (const [i, pose] of (now?.poses ?? []).entries()) {
      c.globalAlpha = i === now?.chosen ? 1 : 0.55;
      c.fillStyle = colour(i === now?.chosen ? "--scene-hull" : "--soft");
      c.beginPath();
      c.arc(pose[0] * unit, height / 2 - 6, i === now?.chosen ? 4 : 2.5, 0, 7);
      c.fill();
    }
    c.globalAlpha = 1;
    const half = canvas.width / 2 / (scale || 1);
    const [from, to] = [Math.max((x - half) * unit, 1), Math.min((x + half) * unit, width - 1)];
    c.fillStyle = colour("--scene-outline");
    c.globalAlpha = 0.25;
    c.fillRect(0, 0, from, height);
    c.fillRect(to, 0, width - to, height);
    c.globalAlpha = 1;
    c.strokeStyle = colour("--violet");
    c.lineWidth = 2;
    c.strokeRect(from, 1, to - from, height - 2);
  }

  // -- drawing ------------------------------------------------------------------------------------------------

  function draw() {
    if (!scale) begin();
    const c = canvas.context;
    const now = cast();
    const hero = now?.poses[now.chosen];
    if (hero && playing) look(hero[0] + (0.12 * canvas.width) / scale);
    settle();
    const s = see();
    backdrop(c, box(), x, false);
    earth(c, draft.ground, box(), s, false);
    ruler(c, s);
    if (!playing) marks(c, s);
    for (const [i, pose] of (now?.poses ?? [READY]).entries()) {
      if (pose === hero) continue;
      c.globalAlpha = now ? 0.28 : 1;
      if (pose[0] > s.left - 3 && pose[0] < s.right + 3 && i < 60) walker(c, pose, s);
    }
    c.globalAlpha = 1;
    if (hero) walker(c, hero, s);
  }

  /** The first look: the start and what comes right after it. */
  function begin() {
    scale = Math.min(Math.max(canvas.width / 26, 20), 46);
    x = canvas.width / 2 / scale + 2.2;
    y = wantedY();
    whole.redraw();
  }

  /** The view follows the ground up and down, but never beneath a finger. */
  function settle() {
    const away = wantedY() - y;
    if (gesture || Math.abs(away) < 0.01) return;
    const loose = Math.max(canvas.height / scale / 2 - 2.5, 0);
    if (!playing && Math.abs(away) < 0.3 * loose) return;
    y += still() ? away : away * 0.12;
    canvas.redraw();
  }

  /** @param {CanvasRenderingContext2D} c @param {import("aiga/kinds/walker.js").Camera} s */
  function ruler(c, s) {
    const every = scale > 26 ? 5 : 10;
    c.font = "12px system-ui, sans-serif";
    c.textAlign = "center";
    c.fillStyle = colour("--scene-eye");
    c.globalAlpha = 0.75;
    for (let at = Math.max(Math.ceil(s.left / every) * every, 0); at < Math.min(s.right, LENGTH); at += every) {
      c.fillRect(s.px(at) - 0.5, canvas.height - 22, 1, 5);
      c.fillText(`${at} m`, s.px(at), canvas.height - 6);
    }
    c.globalAlpha = 1;
  }

  /** What can be held, what is selected, and what a tap would put down. @param {CanvasRenderingContext2D} c
   * @param {import("aiga/kinds/walker.js").Camera} s */
  function marks(c, s) {
    c.lineWidth = 2;
    const held = draft.chosen;
    if (held) {
      outline(c, s, draft.ground, held, 0.3);
      const grip = handle(held);
      c.beginPath();
      c.arc(grip.x, grip.y, GRIP, 0, 7);
      c.fillStyle = colour("--scene-eye");
      c.fill();
      c.strokeStyle = colour("--violet");
      c.stroke();
      label(c, grip, held);
    }
    if (gesture || !hover) return;
    const under = places(tool) || tool === "hand" ? obstacleAt(hover) : null;
    if (under && under !== held) outline(c, s, draft.ground, under, 0.18);
    if (!under && places(tool)) preview(c, s, tool, hover);
    if (tool === "level") {
      c.fillStyle = colour("--violet");
      c.globalAlpha = 0.2;
      c.fillRect(s.px(cellAt(hover) * CELL), 0, CELL * scale, canvas.height);
      c.globalAlpha = 1;
    }
  }

  /** @param {CanvasRenderingContext2D} c @param {import("aiga/kinds/walker.js").Camera} s
   * @param {ObstacleKind} kind @param {Point} at */
  function preview(c, s, kind, at) {
    const wanted = { id: fresh(draft.plan), kind, at: cellAt(at), ...FIRST[kind] };
    const plan = placed(draft.plan, wanted);
    const each = plan?.obstacles.find(({ id }) => id === wanted.id);
    if (plan && each) outline(c, s, compose(plan), each, 0.35, draft.ground);
  }

  /**
   * Tints what an obstacle adds to, or takes from, the level it stands on.
   * @param {CanvasRenderingContext2D} c @param {import("aiga/kinds/walker.js").Camera} s
   * @param {import("aiga/types.js").Ground} ground @param {Obstacle} each @param {number} alpha
   * @param {import("aiga/types.js").Ground} [before]  the ground without it
   */
  function outline(c, s, ground, each, alpha, before) {
    const [from, to] = core(each);
    const foot = ground.right[from - 1];
    c.beginPath();
    c.moveTo(s.px(from * CELL), s.py(before ? before.left[from] : foot));
    for (let i = from; i < to; i++) {
      c.lineTo(s.px(i * CELL), s.py(ground.left[i]));
      c.lineTo(s.px((i + 1) * CELL), s.py(ground.right[i]));
    }
    c.lineTo(s.px(to * CELL), s.py(before ? before.right[to - 1] : foot));
    c.closePath();
    c.fillStyle = c.strokeStyle = colour("--violet");
    c.globalAlpha = alpha;
    c.fill();
    c.globalAlpha = Math.min(2.5 * alpha, 1);
    c.stroke();
    c.globalAlpha = 1;
  }

  /** The size of what is selected, beside its handle. @param {CanvasRenderingContext2D} c @param {Point} grip
   * @param {Obstacle} each */
  function label(c, grip, each) {
    const text = each.kind === "gap" ? `${(each.size * CELL).toFixed(1)} m`
      : each.kind === "stump" ? `${each.size.toFixed(2)} m` : `${each.steps} × ${each.size.toFixed(2)} m`;
    c.font = "600 13px system-ui, sans-serif";
    c.textAlign = "center";
    const half = c.measureText(text).width / 2 + 8;
    const top = Math.max(grip.y - 44, 6);
    c.fillStyle = colour("--card");
    c.beginPath();
    c.roundRect(grip.x - half, top, 2 * half, 24, 8);
    c.fill();
    c.fillStyle = colour("--ink");
    c.fillText(text, grip.x, top + 17);
  }

  function redraw() {
    canvas.redraw();
    whole.redraw();
  }

  draft.listeners.add(redraw);
  return {
    element, add, remove, reveal, redraw,
    zoom: (/** @type {number} */ factor) => zoom(factor),
    /** @param {Tool} now */
    use(now) {
      tool = now;
      // A finger with the hand may scroll the page up and down; with a tool it works on the course.
      element.style.touchAction = now === "hand" ? "pan-y" : "none";
      element.style.cursor = now === "hand" ? "grab" : "crosshair";
      redraw();
    },
    /** @param {boolean} yes  walkers move: every frame is drawn, the view follows the chosen one */
    play(yes) {
      playing = yes;
      canvas.animate(yes);
      whole.animate(yes);
    },
    start: () => look(0),
    close() {
      draft.listeners.delete(redraw);
      canvas.close();
      whole.close();
    },
  };
}
