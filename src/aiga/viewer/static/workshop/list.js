/** The course as a list: every obstacle a row of numbers, and the ground between them. */

import { button, h } from "aiga/dom.js";
import {
  CELL, CELLS, LIMITS, NAMES, PAD, heaved, isStairs, levelled, placed, resized, shifted, without,
} from "aiga/courses.js";
import { FIRST, bump } from "aiga/workshop/editor.js";

/**
 * @typedef {import("aiga/workshop/draft.js").Draft} Draft
 * @typedef {import("aiga/courses.js").Obstacle} Obstacle
 * @typedef {import("aiga/courses.js").ObstacleKind} ObstacleKind
 */

const KINDS = /** @type {ObstacleKind[]} */ (Object.keys(NAMES));

/**
 * @typedef {{low: number, high: number, step: number, unit: string}} Range
 * @typedef {{element: HTMLElement, set: (value: number) => void}} Field
 * @typedef {{kind: ObstacleKind, element: HTMLElement, update: (each: Obstacle) => void}} Row
 */

/**
 * @param {Draft} draft
 * @param {{add: (kind: ObstacleKind) => void, reveal: (each: Obstacle) => void}} editor
 */
export function listed(draft, editor) {
  const list = h("ul", { class: "obstacles", "aria-label": "obstacles" });
  const none = h("li", { class: "soft" }, "no obstacles yet");
  const kind = kinds("kind of the new obstacle");
  const add = h("div", { class: "row adding" }, kind,
    button("Add", () => editor.add(/** @type {ObstacleKind} */ (kind.value))));
  const element = h("section", { class: "listing listed", "aria-label": "the course as a list" },
    h("h3", {}, "The course as a list"), list, h("div", { class: "row" }, add, stretch(draft)));
  /** @type {Map<number, Row>} */
  const rows = new Map();

  // Rows stay where they are while their numbers change, so that the keyboard keeps its place in them.
  function show() {
    const { obstacles } = draft.plan;
    for (const id of rows.keys()) if (!obstacles.some((each) => each.id === id)) rows.delete(id);
    for (const each of obstacles) {
      if (rows.get(each.id)?.kind !== each.kind) rows.set(each.id, row(draft, editor, each));
      rows.get(each.id)?.update(each);
    }
    const wanted = obstacles.length ? obstacles.map(({ id }) => /** @type {Row} */ (rows.get(id)).element) : [none];
    if (wanted.length !== list.children.length || wanted.some((each, i) => list.children[i] !== each)) order(wanted);
    for (const [id, { element: item }] of rows) item.classList.toggle("chosen", id === draft.selected);
  }

  /** @param {HTMLElement[]} wanted */
  function order(wanted) {
    const held = document.activeElement;
    const key = held instanceof HTMLElement && list.contains(held) ? held.dataset.key : null;
    list.replaceChildren(...wanted);
    if (key) /** @type {HTMLElement|null} */ (list.querySelector(`[data-key="${key}"]`))?.focus();
  }

  draft.listeners.add(show);
  show();
  return { element, close: () => draft.listeners.delete(show) };
}

/** @param {string} label @param {ObstacleKind} [chosen] @param {Record<string, any>} [more] */
function kinds(label, chosen, more = {}) {
  const options = KINDS.map((each) => h("option", { value: each, selected: each === chosen }, NAMES[each]));
  return h("select", { "aria-label": label, ...more }, options);
}

/**
 * @param {Draft} draft @param {{reveal: (each: Obstacle) => void}} editor @param {Obstacle} first  as it is now
 * @returns {Row}
 */
function row(draft, editor, first) {
  let each = first;
  const { id, kind } = first;
  const unit = kind === "gap" ? CELL : 1; // m of one of its size
  const step = kind === "gap" ? CELL : 0.05;
  const most = kind === "gap" ? LIMITS.gap : kind === "stump" ? LIMITS.stump : LIMITS.rise;
  const size = kind === "stump" ? "height" : kind === "gap" ? "width" : "rise";
  const label = (/** @type {string} */ what) => `${what} of the ${NAMES[kind]}`;
  const select = kinds("kind", kind, { "data-key": `${id}-kind`, onchange: turn });
  const at = field(label("place"), "at", `${id}-at`, { low: PAD * CELL, high: CELLS * CELL, step: CELL, unit: "m" },
    (value) => draft.change(placed(draft.plan, { ...each, at: value / CELL })));
  const large = field(label(size), size, `${id}-size`, { low: step, high: most * unit, step, unit: "m" },
    (value) => draft.change(resized(draft.plan, { ...each, size: value / unit })));
  const steps = field(label("steps"), "steps", `${id}-steps`, { low: 1, high: LIMITS.steps, step: 1, unit: "" },
    (value) => draft.change(resized(draft.plan, { ...each, steps: value })));
  const remove = button("×", () => draft.change(without(draft.plan, id)),
    { class: "plain", "aria-label": `remove the ${NAMES[kind]}`, title: "remove" });

  /** Another kind in its place. */
  function turn() {
    const other = /** @type {ObstacleKind} */ (select.value);
    const sizes = isStairs(each) && (other === "up" || other === "down") ? {} : FIRST[other];
    draft.change(placed(draft.plan, { ...each, ...sizes, kind: other }));
  }

  function enter() {
    draft.select(id);
    editor.reveal(each);
  }

  const element = h("li", { "data-kind": kind, onfocusin: enter },
    select, remove, at.element, large.element, isStairs(first) ? steps.element : null);
  return {
    kind, element,
    update(now) {
      each = now;
      at.set(now.at * CELL);
      large.set(now.size * unit);
      steps.set(now.steps);
    },
  };
}

/**
 * A number; the up and down keys move it by one step of the course, whatever that is in metres.
 * @param {string} label @param {string} caption @param {string} key @param {Range} range
 * @param {(value: number) => void} act @returns {Field}
 */
function field(label, caption, key, { low, high, step, unit }, act) {
  let current = low;
  const change = (/** @type {number} */ now) => {
    if (Number.isFinite(now)) act(Math.min(Math.max(now, low), high));
    set(current); // what became of it
  };
  const input = h("input", {
    type: "number", step: "any", min: text(low), max: text(high), "aria-label": label, "data-key": key,
    onchange: () => change(Number(input.value || NaN)),
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      const way = event.key === "ArrowUp" ? 1 : event.key === "ArrowDown" ? -1 : 0;
      if (!way) return;
      event.preventDefault();
      change(current + way * step);
    },
  });
  const set = (/** @type {number} */ value) => {
    current = value;
    if (input.value !== text(value)) input.value = text(value);
  };
  const soft = (/** @type {string} */ word) => word && h("span", { class: "soft" }, word);
  return { element: h("label", { class: "field" }, soft(caption), input, soft(unit)), set };
}

/** @param {number} value */
const text = (value) => String(Number(value.toFixed(2)));

/** Ground between two places, for those who do not draw it. @param {Draft} draft */
function stretch(draft) {
  const range = { low: PAD * CELL, high: CELLS * CELL, step: CELL, unit: "m" };
  const ends = [20, 30]; // m
  const [from, to] = ["from", "to"].map((word, i) => {
    const made = field(`where the stretch ${i ? "ends" : "begins"}`, word, word, range, (value) => {
      ends[i] = value;
      made.set(value);
    });
    made.set(ends[i]);
    return made.element;
  });
  const cells = () => {
    const [first, end] = [Math.min(...ends), Math.max(...ends)].map((at) => Math.round(at / CELL));
    return /** @type {const} */ ([first, end]);
  };
  const lift = (/** @type {number} */ by) => draft.change(heaved(draft.plan, ...cells(), by));
  const rough = () => {
    const [first, end] = cells();
    const borders = Array.from({ length: end - first + 1 }, (_, i) => first + i);
    draft.change(shifted(draft.plan, new Map(borders.map((border) => [border, bump()]))));
  };
  return h("fieldset", { class: "stretch row" },
    h("legend", { class: "soft" }, "a stretch of ground"), from, to,
    button("Raise", () => lift(0.25), { title: "by 0.25 m" }),
    button("Lower", () => lift(-0.25), { title: "by 0.25 m" }),
    button("Roughen", rough), button("Level", () => draft.change(levelled(draft.plan, ...cells()))));
}
