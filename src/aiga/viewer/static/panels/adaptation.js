/** How first weights adapt to tasks that they were never learnt on: the curve over all, and the first tasks drawn. */

import { onTheme, surface } from "aiga/canvas.js";
import { chart } from "aiga/chart.js";
import { colour, h, styled } from "aiga/dom.js";
import { past } from "aiga/past.js";
import { inDigits } from "aiga/series.js";

/**
 * @typedef {(number|null)[]} Column
 * @typedef {{points: [number, number][], true: number[], said: Column[]}} Sine  `said`: after each of `steps`
 * @typedef {{score: "mse"|"accuracy", low: Column, middle: Column, high: Column, steps: number[],
 *   span?: [number, number], sines?: Sine[], said?: number[][]}} Adaptation
 *   quartiles after 0, 1, ... steps; `said`, of images, the classes told after each of `steps`
 * @typedef {{learnt: string[], asked: string[]}} Images  rows of hexadecimal digits, one for each pixel
 * @typedef {ReturnType<typeof chart>} Chart
 */

const COLOURS = ["--gold", "--orange", "--violet"]; // before, and after the steps that are drawn
const BEYOND = 10; // twice the greatest amplitude: what is higher is not drawn, so that the sinusoid is seen
const IMAGE = 56; // px

styled(`
  .adaptation h3 { margin: 1.1rem 0 0.2rem; }
  .adaptation .key { display: flex; flex-wrap: wrap; gap: 0 1.1rem; margin-bottom: 0.4rem; }
  .adaptation .key i { display: inline-block; width: 18px; border-top: 3px solid; vertical-align: middle;
    margin-right: 0.4rem; }
  .adaptation .key i.dashed { border-top-style: dashed; border-top-width: 2px; }
  .adaptation .key i.dots { width: 6px; height: 6px; border: 0; border-radius: 50%; background: var(--ink); }
  .adaptation .sines { display: grid; gap: 0.8rem 1.4rem;
    grid-template-columns: repeat(auto-fit, minmax(min(260px, 100%), 1fr)); }
  .adaptation .images { overflow-x: auto; }
  .adaptation table { width: auto; }
  .adaptation td, .adaptation thead th + th { text-align: center; }
  .adaptation td > div { width: ${IMAGE}px; height: ${IMAGE}px; margin: 0 0.4rem; }
  .adaptation .right { color: var(--green); font-weight: 600; }
  .adaptation .wrong { color: var(--red); }
`);

/** @type {import("aiga/types.js").Panel} */
export default {
  title: "Adaptation",
  kinds: ["adaptation"],

  mount(host, page, { compact }) {
    const about = h("span", { class: "soft", role: "status" });
    const words = h("p", { class: "soft" });
    const [curve, tasks] = [h("div"), h("div")];
    const { config } = page.world.told;
    const many = config?.test_tasks ? `${config.test_tasks.toLocaleString("en")} ` : "";
    const tests = past(page, ["adaptation", "images"], about, `to ${many}tasks that are never learnt on`, show);
    host.append(h("header", {}, h("h2", {}, "Adaptation"), about), tests.element, words, curve, tasks);
    /** @type {Chart|null} */
    let whole = null;
    /** @type {{draw: (now: Adaptation) => void, close: () => void}|null} */
    let drawn = null;

    /** @param {import("aiga/past.js").Test} test @param {import("aiga/past.js").Test} first */
    function show(test, first) {
      /** @type {[Adaptation, Adaptation]} */
      const [now, then] = [test.data.adaptation, first.data.adaptation];
      const percent = now.score === "accuracy";
      const yFormat = percent ? inPercent : inDigits;
      const x = now.middle.map((_, step) => step);
      const [before, one, last] = [0, 1, x.length - 1].map((step) => yFormat(now.middle[step] ?? NaN));
      words.textContent = percent
        ? `Half of the tasks have at least ${before} right before, ${one} after one step and ${last} after ten.`
        : `Half of the tasks have a squared error below ${before} before, ${one} after one step and ${last} after ten.`;
      const lines = [{ name: test === first ? "" : "now", colour: "--violet", x, y: now.middle,
        band: { low: now.low, high: now.high } }];
      if (test !== first) {
        lines.unshift({ ...lines[0], name: "at first", colour: "--soft", y: then.middle, band: { low: [], high: [] } });
      }
      const values = lines.flatMap((line) => [line.y, line.band.low, line.band.high].flat());
      const options = { lines, xName: "steps", xWhole: true, yFormat, zero: percent,
        // Errors fall by so much that little would be seen of the last ones.
        log: !percent && values.every((value) => value === null || value > 0),
        yTicks: percent ? (/** @type {number[]} */ ys) => ys.map(inPercent) : undefined,
        label: percent ? "median share told right" : "median of the mean squared error" };
      if (whole) whole.update(options);
      else {
        curve.append(h("h3", {}, `${percent ? "Told right" : "Error"} after so many steps on a task`),
          h("p", { class: "soft" }, "line: the median task; band: the middle half; at first: in the run's first test"));
        whole = chart(curve, { ...options, height: compact ? 170 : 230 });
      }
      drawn ??= now.sines ? sinusoids(tasks, now) : first.data.images && now.said
        ? images(tasks, first.data.images, now.steps) : null;
      drawn?.draw(now);
    }

    return {
      update: tests.update,
      leave() {
        tests.close();
        whole?.close();
        drawn?.close();
      },
    };
  },
};

const inPercent = (/** @type {number} */ share) => (Number.isFinite(share) ? `${Math.round(100 * share)} %` : "–");

const after = (/** @type {number} */ steps) => (steps ? `after ${steps} step${steps === 1 ? "" : "s"}` : "before");

/** The first sinusoids, and what the network makes of them. @param {HTMLElement} host @param {Adaptation} first */
function sinusoids(host, { steps, sines = [] }) {
  const key = (/** @type {string} */ ink, /** @type {string} */ text, kind = "") =>
    h("span", {}, h("i", { class: kind, style: { color: `var(${ink})` } }), text);
  const places = h("div", { class: "sines" });
  host.append(h("h3", {}, `What the network makes of ${sines.length} of them`),
    h("div", { class: "key soft" }, key("--ink", "points that it is shown", "dots"),
      key("--ink", "the sinusoid", "dashed"), steps.map((step, i) => key(COLOURS[i], after(step)))), places);
  /** @type {Chart[]} */
  let charts = [];
  return {
    /** @param {Adaptation} now */
    draw({ sines: told = [], span = [-5, 5] }) {
      const options = told.map(({ points, true: whole, said }, task) => {
        const x = whole.map((_, i) => span[0] + ((span[1] - span[0]) * i) / (whole.length - 1));
        const shots = [...points].sort((a, b) => a[0] - b[0]);
        const lines = [
          ...said.map((y, i) => ({ name: "", colour: COLOURS[i], x, y: y.map(seen) })),
          { name: "", colour: "--ink", x, y: whole, dashed: true, thin: true },
          { name: "", colour: "--ink", x: shots.map((each) => each[0]), y: shots.map((each) => each[1]), dots: true },
        ];
        const far = said.map((y, i) => `${after(steps[i])} ${inDigits(distance(y, whole))}`);
        return { lines, xName: "x", reach: span,
          label: `sinusoid ${task + 1}; how far off the network is on average: ${far.join(", ")}` };
      });
      if (charts.length) options.forEach((each, task) => charts[task].update(each));
      else charts = options.map((each) => chart(places.appendChild(h("div")), { ...each, height: 210 }));
      charts.forEach(({ element }, task) => element.setAttribute("aria-label", options[task].label));
    },
    close() {
      for (const each of charts) each.close();
    },
  };
}

const seen = (/** @type {number|null} */ y) => (y !== null && Math.abs(y) < BEYOND ? y : null);

/** The mean distance of a function from another. @param {Column} said @param {number[]} whole */
const distance = (said, whole) =>
  said.reduce((/** @type {number} */ sum, y, i) => sum + Math.abs((y ?? NaN) - whole[i]), 0) / whole.length;

/**
 * Images of the first task: one of each class to learn from and one to be told, and whether it was.
 * @param {HTMLElement} host @param {Images} given @param {number[]} steps
 */
function images(host, { learnt, asked }, steps) {
  /** @type {import("aiga/canvas.js").Surface[]} */
  const faces = [];
  const row = (/** @type {string} */ name, /** @type {string[]} */ all) => h("tr", {}, h("th", {}, name),
    all.map((text, i) => {
      const cell = h("div");
      const label = `${name}, class ${i + 1}`;
      faces.push(surface(cell, (face) => pixels(face, text.split(" ")), { label, height: IMAGE }));
      return h("td", {}, cell);
    }));
  const told = h("tbody");
  host.append(h("h3", {}, "In one of them"), h("p", { class: "soft" },
    `an image of ${learnt.length} classes that it learns from, another that it is to tell, and the class that it told`),
    h("div", { class: "images" }, h("table", {},
      h("thead", {}, h("tr", {}, h("th", {}, "class"), learnt.map((_, i) => h("th", {}, i + 1)))),
      h("tbody", {}, row("learnt from", learnt), row("to be told", asked)), told)));
  const endTheme = onTheme(() => faces.forEach((face) => face.redraw()));
  return {
    /** @param {Adaptation} now */
    draw({ said = [] }) {
      told.replaceChildren(...said.map((classes, i) => h("tr", {}, h("th", {}, after(steps[i])),
        classes.map((each, k) => h("td", { class: each === k ? "right" : "wrong" },
          `${each + 1} ${each === k ? "✓" : "✗"}`)))));
    },
    close() {
      endTheme();
      for (const face of faces) face.close();
    },
  };
}

/** @param {import("aiga/canvas.js").Surface} face @param {string[]} rows */
function pixels({ context: c, width, height }, rows) {
  const side = Math.min(width / rows[0].length, height / rows.length);
  c.clearRect(0, 0, width, height);
  c.fillStyle = colour("--raised");
  c.fillRect(0, 0, side * rows[0].length, side * rows.length);
  c.fillStyle = colour("--ink");
  for (const [y, row] of rows.entries()) {
    for (const [x, digit] of [...row].entries()) {
      c.globalAlpha = parseInt(digit, 16) / 15;
      c.fillRect(x * side, y * side, side, side);
    }
  }
  c.globalAlpha = 1;
}
