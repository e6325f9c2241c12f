/** Classes learnt one after the other: what is told right along the way and at the end, and which units fire. */

import { onTheme, surface } from "aiga/canvas.js";
import { chart } from "aiga/chart.js";
import { colour, h, styled } from "aiga/dom.js";
import { past } from "aiga/past.js";

/**
 * Runs of earlier versions do not tell `looks`, `along` and firing.
 * @typedef {{classes: number, held_out: number, learnt: number, by_class: number[], looks?: number[],
 *   along?: number[]}} Exam
 * @typedef {{meta_iterations: number, tests: Exam[], before: number[], after: number[]}} Judged
 * @typedef {{writings: number, units: number[], classes: [number, number][], before?: string[],
 *   after: string[]}} Firing  of each class a digit for each unit: on so many of its writings it fires
 * @typedef {{title: string, counts: number[][]}} Picture  counts by units, the one that fires most first, and classes
 */

const COLOURS = ["--violet", "--orange", "--green", "--blue", "--gold", "--red"];
const [GROUPS, LEAST] = [20, 4]; // of classes, at most, of which the mean is a point; of classes in one
const UNIT = 2; // px, the height of a unit in the picture

styled(`
  .sequence h3 { margin: 1.1rem 0 0.2rem; }
  .sequence .sides { display: grid; gap: 0 2rem;
    grid-template-columns: repeat(auto-fit, minmax(min(360px, 100%), 1fr)); }
  .sequence figure { margin: 0.4rem 0 0; min-width: 0; }
  .sequence figcaption { font-size: 0.92rem; margin-bottom: 0.25rem; }
  .sequence canvas { border-radius: 4px; }
  .sequence .pointed { min-height: 1.5em; font-variant-numeric: tabular-nums; }
  .sequence b { font: 600 1.25rem var(--serif); color: var(--ink); }
`);

/** @type {import("aiga/types.js").Panel} */
export default {
  title: "Sequence",
  kinds: ["meta_test", "firing"],

  mount(host, page, { compact }) {
    const about = h("span", { class: "soft", role: "status" });
    const words = h("p", { class: "soft" });
    const [along, ends] = [h("div"), h("div")];
    const fires = h("div", { hidden: true });
    const tests = past(page, ["meta_test", "firing"], about,
      "of alphabets never seen, every image once; then asked for others of each", show);
    host.append(h("header", {}, h("h2", {}, "One class after the other"), about), tests.element, words,
      h("div", { class: "sides" },
        h("div", {}, h("h3", {}, "Told right as classes come"),
          h("p", { class: "soft" }, "of all classes that have come so far"), along),
        h("div", {}, h("h3", {}, "Told right at the end"),
          h("p", { class: "soft" }, "of each class, in the order in which they came"), ends)), fires);
    /** @type {ReturnType<typeof chart>[]} */
    let charts = [];
    const heat = pictures(fires);

    /** @param {import("aiga/past.js").Test} test */
    function show({ data }) {
      /** @type {Judged} */
      const judged = data.meta_test;
      const exams = [...judged.tests].sort((a, b) => a.classes - b.classes);
      words.textContent = `After ${judged.meta_iterations.toLocaleString("en")} meta-iterations: ${
        exams.map((exam) => `of ${exam.classes} classes ${said(exam)}`).join("; ")}.`;
      const name = (/** @type {Exam} */ exam) => (exams.length > 1 ? `${exam.classes} classes` : "");
      const yTicks = (/** @type {number[]} */ ys) => ys.map(inPercent);
      const common = { xWhole: true, yFormat: inPercent, yTicks, zero: true, height: compact ? 170 : 220 };
      const way = { ...common, xName: "classes so far", label: "share told right of the classes so far",
        lines: exams.map((exam, i) =>
          ({ name: name(exam), colour: tone(i), x: exam.looks ?? [], y: exam.along ?? [] })) };
      const end = { ...common, xName: "class", label: "share told right of each class at the end",
        lines: exams.map((exam, i) => ({ name: name(exam), colour: tone(i), ...grouped(exam.by_class) })) };
      if (charts.length) [way, end].forEach((each, place) => charts[place].update(each));
      else charts = [chart(along, way), chart(ends, end)];
      fires.hidden = !data.firing;
      if (data.firing) heat.draw(data.firing, judged);
    }

    return {
      update: tests.update,
      leave() {
        tests.close();
        heat.close();
        for (const each of charts) each.close();
      },
    };
  },
};

const inPercent = (/** @type {number} */ share) => `${Math.round(100 * share)} %`;

const tone = (/** @type {number} */ i) => COLOURS[i % COLOURS.length];

const mean = (/** @type {number[]} */ values) => values.reduce((a, b) => a + b, 0) / values.length;

/** @param {Exam} exam */
function said({ by_class: right, held_out: whole }) {
  const tenth = Math.max(Math.floor(right.length / 10), 1);
  return `${inPercent(whole)} of new images are told right, of the first tenth of the classes ${
    inPercent(mean(right.slice(0, tenth)))}, of the last ${inPercent(mean(right.slice(-tenth)))}`;
}

/** Means over a few classes in a row: one class is asked for a few images only. @param {number[]} right */
export function grouped(right) {
  const size = Math.max(Math.ceil(right.length / GROUPS), LEAST);
  /** @type {{x: number[], y: number[]}} */
  const found = { x: [], y: [] };
  for (let from = 0; from < right.length; from += size) {
    const some = right.slice(from, from + size);
    found.x.push(from + (some.length + 1) / 2);
    found.y.push(mean(some));
  }
  return found;
}

/**
 * Units by classes, the unit first that fires on most images; before the gate, where there is one, in the same order.
 * @param {Firing} firing @returns {{order: number[], before: number[][]|null, after: number[][]}}
 */
export function ordered({ units, before, after }) {
  const turned = (/** @type {string[]} */ rows) => units.map((_, unit) => rows.map((row) => Number(row[unit])));
  const sums = turned(after).map((row) => row.reduce((a, b) => a + b, 0));
  const order = units.map((_, unit) => unit).sort((a, b) => sums[b] - sums[a] || a - b);
  const sorted = (/** @type {string[]} */ rows) => {
    const all = turned(rows);
    return order.map((unit) => all[unit]);
  };
  return { order, before: before ? sorted(before) : null, after: sorted(after) };
}

/** Which units fire on which class. @param {HTMLElement} host */
function pictures(host) {
  const words = h("p", { class: "soft" });
  const sides = h("div", { class: "sides" });
  const pointed = h("p", { class: "soft pointed" });
  host.append(h("h3", {}, "Which units fire"), words, sides, pointed);
  /** @type {import("aiga/canvas.js").Surface[]} */
  let faces = [];
  /** @type {Picture[]} */
  let shown = [];
  /** @type {Firing|null} */
  let now = null;
  /** @type {number[]} */
  let order = [];
  const endTheme = onTheme(() => faces.forEach((face) => face.redraw()));

  /** @param {Picture} picture @param {number} i */
  function framed({ title }, i) {
    const place = h("div");
    sides.append(h("figure", {}, h("figcaption", { class: "soft" }, title), place));
    const face = surface(place, (self) => now && paint(self, shown[i].counts, now), { label: title });
    face.element.addEventListener("pointermove", (event) => point(face, i, event));
    face.element.addEventListener("pointerleave", () => (pointed.textContent = ""));
    return face;
  }

  /** @param {import("aiga/canvas.js").Surface} face @param {number} i @param {PointerEvent} event */
  function point({ element }, i, event) {
    if (!now) return;
    const box = element.getBoundingClientRect();
    const { counts } = shown[i];
    const row = Math.floor(((event.clientY - box.top) / box.height) * counts.length);
    const column = Math.floor(((event.clientX - box.left) / box.width) * now.classes.length);
    const count = counts[row]?.[column];
    if (count === undefined) return;
    const [alphabet, character] = now.classes[column];
    pointed.textContent = `unit ${now.units[order[row]]}, character ${character + 1} of alphabet ${alphabet + 1}: `
      + `${shown[i].title}, it fires on ${count} of ${now.writings} writings`;
  }

  return {
    /** @param {Firing} firing @param {Judged} judged */
    draw(firing, judged) {
      const found = ordered(firing);
      [now, order] = [firing, found.order];
      shown = [...(found.before ? [{ title: "before the gate", counts: found.before }] : []),
        { title: found.before ? "after the gate" : "the representation", counts: found.after }];
      const gated = found.before && [" before the gate and ", h("b", {}, inPercent(mean(judged.after))), " after it"];
      words.replaceChildren("On an image ", h("b", {}, inPercent(mean(judged[found.before ? "before" : "after"]))),
        " of all units fire", ...(gated || []), `. Here ${firing.units.length} of them, one to a row, on ${
          firing.classes.length} classes that were never learnt, one to a column: the stronger, the more of ${
          firing.writings} writings.`);
      if (faces.length !== shown.length) {
        for (const face of faces) face.close();
        sides.replaceChildren();
        faces = shown.map(framed);
      }
      for (const [i, { title, counts }] of shown.entries()) {
        const all = counts.flat();
        faces[i].element.style.height = `${Math.max(UNIT * counts.length, 120)}px`;
        faces[i].element.setAttribute("aria-label", `${title}: a unit fires on ${
          inPercent(mean(all) / firing.writings)} of the writings; ${
          counts.filter((row) => row.every((count) => !count)).length} of ${counts.length} units on none, ${
          counts.filter((row) => row.every((count) => count === firing.writings)).length} on all`);
        faces[i].redraw();
      }
    },
    close() {
      endTheme();
      for (const face of faces) face.close();
    },
  };
}

/**
 * @param {import("aiga/canvas.js").Surface} face @param {number[][]} counts  by units and classes
 * @param {Firing} firing
 */
function paint({ context: c, width, height }, counts, { classes, writings }) {
  const [wide, high] = [width / classes.length, height / counts.length];
  c.clearRect(0, 0, width, height);
  c.fillStyle = colour("--raised");
  c.fillRect(0, 0, width, height);
  c.fillStyle = colour("--violet");
  for (const [row, several] of counts.entries()) {
    for (const [column, count] of several.entries()) {
      c.globalAlpha = count / writings;
      c.fillRect(column * wide, row * high, wide, high);
    }
  }
  c.globalAlpha = 1;
  // Where another alphabet begins.
  c.fillStyle = colour("--card");
  for (const [column, [alphabet]] of classes.entries()) {
    if (column && alphabet !== classes[column - 1][0]) c.fillRect(column * wide - 1, 0, 2, height);
  }
}
