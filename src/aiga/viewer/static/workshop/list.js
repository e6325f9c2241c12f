/** The course as a list: every obstacle a row of numbers, and the ground between them. */

import { button, h } from "aiga/dom.js";
import { CELL, CELLS, LIMITS, NAMES, PAD, heaved, isStairs, levelled, placed, resized, shifted, without } from "aiga/courses.js";
import { FIRST } from "aiga/workshop/editor.js";

/**
 * @typedef {import("aiga/workshop/draft.js").Draft} Draft
 * @typedef {import("aiga/courses.js").Obstacle} Obstacle
 * @typedef {import("aiga/courses.js").ObstacleKind} ObstacleKind
 */

const KINDS = /** @type {ObstacleKind[]} */ (Object.keys(NAMES));

/**
 * @param {Draft} draft
 * @param {{add: (kind: ObstacleKind) => void, reveal: (each: Obstacle) => void}} editor
 */
export function listed(draft, editor) {
  const rows = h("ul", { class: "obstacles", "aria-label": "obstacles" });
  const kind = h("select", { "aria-label": "kind of the new obstacle" }, KINDS.map((each) => h("option", { value: each }, NAMES[each])));
  const add = h("div", { class: "row" }, kind, button("Add", () => editor.add(/** @type {ObstacleKind} */ (kind.value))));
  const element = h("div", { class: "listing" }, rows, add, stretch(draft));
  let drawn = draft.plan;

  function show() {
    if (drawn !== draft.plan || !rows.childElementCount) fill();
    for (const row of /** @type {Iterable<HTMLElement>} */ (rows.children)) {
      row.classList.toggle("chosen", row.dataset.id === String(draft.selected));
    }
  }

  /** Rows are made anew; the field that is being used keeps the focus. */
  function fill() {
    drawn = draft.plan;
    const held = document.activeElement;
    const key = rows.contains(held) ? /** @type {HTMLElement} */ (held).dataset.key : null;
    rows.replaceChildren(...draft.plan.obstacles.map((each) => row(draft, editor, each)));
    if (!draft.plan.obstacles.length) rows.append(h("li", { class: "soft" }, "no obstacles yet"));
    if (key) /** @type {HTMLElement|null} */ (rows.querySelector(`[data-key="${key}"]`))?.focus();
  }

  draft.listeners.add(show);
  show();
  return { element, close: () => draft.listeners.delete(show) };
}

/**
 * @param {Draft} draft @param {{reveal: (each: Obstacle) => void}} editor @param {Obstacle} each
 */
function row(draft, editor, each) {
  const name = NAMES[each.kind];
  const kinds = h("select", {
    "aria-label": "kind", "data-key": `${each.id}-kind`,
    onchange: () => {
      const other = /** @type {ObstacleKind} */ (kinds.value);
      const stairs = isStairs(each) && (other === "up" || other === "down");
      draft.change(placed(draft.plan, { ...each, ...(stairs ? {} : FIRST[other]), kind: other }));
    },
  }, KINDS.map((kind) => h("option", { value: kind, selected: kind === each.kind }, NAMES[kind])));
  const unit = each.kind === "gap" ? CELL : 1; // m of one of its size
  const step = each.kind === "gap" ? CELL : 0.05;
  const most = each.kind === "gap" ? LIMITS.gap : each.kind === "stump" ? LIMITS.stump : LIMITS.rise;
  const sizes = { stump: "height", gap: "width", up: "rise", down: "rise" };
  const number = (/** @type {string} */ what, /** @type {number} */ value, /** @type {Range} */ range,
    /** @type {(value: number) => void} */ act) => field(`${what} of the ${name}`, what, `${each.id}-${what}`, value, range, act);
  return h("li", {
    "data-id": String(each.id),
    onfocusin: () => {
      draft.select(each.id);
      editor.reveal(each);
    },
  },
    kinds,
    number("at", each.at * CELL, { low: PAD * CELL, high: CELLS * CELL, step: CELL, unit: "m" },
      (value) => draft.change(placed(draft.plan, { ...each, at: value / CELL }))),
    number(sizes[each.kind], each.size * unit, { low: step, high: most * unit, step, unit: "m" },
      (value) => draft.change(resized(draft.plan, { ...each, size: value / unit }))),
    isStairs(each) ? number("steps", each.steps, { low: 1, high: LIMITS.steps, step: 1, unit: "" },
      (value) => draft.change(resized(draft.plan, { ...each, steps: value }))) : h("span"),
    button("×", () => draft.change(without(draft.plan, each.id)), { class: "plain", "aria-label": `remove the ${name}`, title: "remove" }));
}

/** @typedef {{low: number, high: number, step: number, unit: string}} Range */

/**
 * A number; the up and down keys move it by one step of the course, whatever that is in metres.
 * @param {string} label @param {string} caption @param {string} key @param {number} value @param {Range} range
 * @param {(value: number) => void} act
 */
function field(label, caption, key, value, { low, high, step, unit }, act) {
  const text = (/** @type {number} */ now) => String(Number(now.toFixed(2)));
  let current = value;
  const change = (/** @type {number} */ now) => {
    if (Number.isFinite(now)) current = Math.min(Math.max(now, low), high);
    input.value = text(current);
    act(current);
  };
  const input = h("input", {
    type: "number", step: "any", min: text(low), max: text(high), value: text(value), "aria-label": label, "data-key": key,
    onchange: () => change(Number(input.value || NaN)),
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      const way = event.key === "ArrowUp" ? 1 : event.key === "ArrowDown" ? -1 : 0;
      if (!way) return;
      event.preventDefault();
      change(current + way * step);
    },
  });
  return h("label", { class: "field" }, h("span", { class: "soft" }, caption), input, unit ? h("span", { class: "soft" }, unit) : null);
}

/** Ground between two places, for those who do not draw it. @param {Draft} draft */
function stretch(draft) {
  const range = { low: PAD * CELL, high: CELLS * CELL, step: CELL, unit: "m" };
  let [from, to] = [20, 30]; // m
  const cells = () => /** @type {[number, number]} */ ([Math.round(Math.min(from, to) / CELL), Math.round(Math.max(from, to) / CELL)]);
  const lift = (/** @type {number} */ by) => draft.change(heaved(draft.plan, ...cells(), by));
  const rough = () => {
    const [first, end] = cells();
    /** @type {Map<number, number>} */
    const by = new Map();
    for (let i = first; i <= end; i++) by.set(i, 0.26 * Math.random() - 0.13);
    draft.change(shifted(draft.plan, by));
  };
  return h("fieldset", { class: "stretch" },
    h("legend", { class: "soft" }, "a stretch of ground"),
    h("div", { class: "row" },
      field("the stretch begins at", "from", "from", from, range, (value) => (from = value)),
      field("the stretch ends at", "to", "to", to, range, (value) => (to = value))),
    h("div", { class: "row" },
      button("Raise", () => lift(0.25), { title: "by 0.25 m" }), button("Lower", () => lift(-0.25), { title: "by 0.25 m" }),
      button("Roughen", rough), button("Level", () => draft.change(levelled(draft.plan, ...cells())))));
}
