/** What walkers gain that adapt to slopes, grass and loads: returns on each task after so many steps. */

import { chart, cursor } from "aiga/chart.js";
import { h, styled } from "aiga/dom.js";
import { past } from "aiga/past.js";
import { inDigits } from "aiga/series.js";

/**
 * @typedef {Record<string, number[]>} Tasks  by name, a kind and an amount: returns after 0, 1, ... steps
 * @typedef {ReturnType<typeof chart>} Chart
 */

const COLOURS = ["--violet", "--orange", "--green", "--blue"]; // by amount
const SAID = /** @type {Record<string, string>} */ ({ 0.5: "half-way", 1: "hardest" });

styled(`
  .grounds .kinds { display: grid; gap: 0.4rem 1.6rem;
    grid-template-columns: repeat(auto-fit, minmax(min(400px, 100%), 1fr)); }
  .grounds h3 { margin: 0.8rem 0 0.1rem; }
  .grounds h3::first-letter { text-transform: uppercase; }
  .grounds b { font: 600 1.25rem var(--serif); color: var(--ink); }
`);

/** @type {import("aiga/types.js").Panel} */
export default {
  title: "Grounds",
  kinds: ["tasks"],

  mount(host, page, { compact }) {
    const about = h("span", { class: "soft", role: "status" });
    const words = h("p", { class: "soft" });
    const places = h("div", { class: "kinds" });
    const tests = past(page, ["tasks"], about, "on tasks that are never learnt on", show);
    host.append(h("header", {}, h("h2", {}, "How far adaptation carries"), about), tests.element, words, places);
    /** @type {Map<string, Chart>} */
    const charts = new Map();
    const place = cursor();

    /** @param {import("aiga/past.js").Test} test @param {import("aiga/past.js").Test} first */
    function show(test, first) {
      /** @type {[Tasks, Tasks]} */
      const [now, then] = [test.data.tasks, first.data.tasks];
      const mean = (/** @type {number} */ step) =>
        Object.values(now).reduce((sum, each) => sum + each[step], 0) / Object.keys(now).length;
      const last = Math.max(...Object.values(now).map((each) => each.length)) - 1;
      words.replaceChildren("Mean return over all tasks ", h("b", {}, inDigits(mean(0))), " before, ",
        h("b", {}, inDigits(mean(1))), ` after one step of adaptation, `, h("b", {}, inDigits(mean(last))),
        ` after ${last}.`,
        test === first ? "" : " Dashed: in the run's first test.");
      for (const [kind, amounts] of kinds(now)) {
        const x = now[`${kind} ${amounts[0]}`].map((_, step) => step);
        const lines = amounts.map((amount, i) => ({ name: SAID[amount] ?? amount, colour: COLOURS[i % COLOURS.length], x,
          y: now[`${kind} ${amount}`] }));
        if (test !== first) {
          lines.unshift(...amounts.map((amount, i) => ({ ...lines[i], name: "", thin: true, dashed: true,
            y: then[`${kind} ${amount}`] })));
        }
        const options = { lines, xName: "steps", xWhole: true, zero: true, cursor: place,
          label: `${kind}: return` };
        const drawn = charts.get(kind);
        if (drawn) drawn.update(options);
        else {
          const box = places.appendChild(h("div", {}, h("h3", {}, kind)));
          charts.set(kind, chart(box, { ...options, height: compact ? 140 : 180 }));
        }
      }
    }

    return {
      update: tests.update,
      leave() {
        tests.close();
        for (const each of charts.values()) each.close();
      },
    };
  },
};

/** Kinds of task, and their amounts. @param {Tasks} tasks */
function kinds(tasks) {
  /** @type {Map<string, string[]>} */
  const found = new Map();
  for (const name of Object.keys(tasks)) {
    const at = name.lastIndexOf(" ");
    const kind = name.slice(0, at);
    found.set(kind, [...(found.get(kind) ?? []), name.slice(at + 1)]);
  }
  return found;
}
