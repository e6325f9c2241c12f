/** Programs that a search found: what got better when, and the listing of each, coloured by the part it plays. */

import { chart } from "aiga/chart.js";
import { button, counted, h, styled } from "aiga/dom.js";

/**
 * @typedef {{id: number, island: number, parent: number|null, fitness: number, parent_fitness: number,
 *   selected: number, chosen: boolean, listing: string, program: {live: boolean[]}}} Improvement
 * @typedef {{iteration: number, seq: number, data: Improvement}} Told
 * @typedef {{text: string, part: string, live: boolean, fresh: boolean, heading: boolean}} Line
 */

const MOST = 2000; // improvements kept
const LEAST = 0.001; // gain in fitness of those that are listed; the chosen ones always are

styled(`
  .programs .sides { display: grid; gap: 1.2rem; grid-template-columns: minmax(220px, 1fr) minmax(0, 2fr); margin-top: 1rem; }
  @media (max-width: 800px) { .programs .sides { grid-template-columns: minmax(0, 1fr); } }
  .programs .steps { list-style: none; margin: 0; padding: 0; max-height: 60vh; overflow-y: auto; }
  .programs .steps button { width: 100%; text-align: left; border-color: transparent; display: flex; gap: 0.6rem;
    justify-content: space-between; font-variant-numeric: tabular-nums; }
  .programs .steps button[aria-pressed="true"] { background: var(--raised); color: var(--ink); border-color: var(--line); }
  .programs .code { font: 0.92rem/1.6 ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace; overflow-x: auto;
    background: var(--raised); border-radius: 10px; padding: 0.8rem 0; margin: 0; }
  .programs .code span.line { display: block; white-space: pre; padding: 0 1rem; border-left: 3px solid transparent; }
  .programs .code .heading { color: var(--soft); }
  .programs .code .idle { opacity: 0.42; }
  .programs .code .fresh { border-left-color: var(--green); background: color-mix(in srgb, var(--green) 12%, transparent); }
  .programs .label { color: var(--red); font-weight: 600; }
  .programs .features { color: var(--blue); font-weight: 600; }
  .programs .prediction { color: var(--gold); font-weight: 600; }
  .programs .learnt { color: var(--violet); font-weight: 600; }
  .programs .constant { color: var(--orange); }
  .programs .key { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; margin-top: 0.6rem; font-size: 0.9rem; }
`);

/** @type {import("aiga/types.js").Panel} */
export default {
  title: "Programs",
  kinds: ["improvement"],

  mount(host, page) {
    /** @type {Told[]} */
    let told = [];
    /** @type {Told|null} */
    let chosen = null;
    let follows = true; // the latest chosen program is shown until somebody picks another
    let closed = false;
    const about = h("span", { class: "soft", role: "status" });
    const curve = h("div");
    const steps = h("ul", { class: "steps", "aria-label": "improvements, the latest first" });
    const code = h("pre", { class: "code", tabIndex: 0, "aria-label": "the program" });
    const facts = h("p", { class: "soft" });
    host.append(
      h("header", {}, h("h2", {}, "Programs"), about), curve,
      h("div", { class: "sides" }, h("div", {}, h("h3", {}, "What got better"), steps),
        h("div", {}, h("h3", {}, "The program"), facts, code, key())));
    /** @type {ReturnType<typeof chart>|null} */
    let drawn = null;
    load();

    async function load() {
      try {
        let after = 0;
        for (let more = true; more && !closed;) {
          const { events } = await page.source.get(`${page.path}/events?kinds=improvement&after=${after}&limit=500`);
          take(events);
          // A page of events may end within an iteration: what is asked for again is not taken twice.
          more = events.length === 500;
          after = more ? Math.max(after + 1, events[events.length - 1].iteration - 1) : after;
        }
      } catch (error) {
        about.textContent = String(/** @type {Error} */ (error).message);
      }
      if (!closed) show();
    }

    /** @param {Told[]} events */
    function take(events) {
      const last = told[told.length - 1];
      const isNew = (/** @type {Told} */ event) =>
        !last || event.iteration > last.iteration || (event.iteration === last.iteration && event.seq > last.seq);
      told.push(...events.filter(isNew));
      if (told.length > MOST) told = told.slice(-MOST);
    }

    function show() {
      const shown = told.filter(({ data }, i) => data.chosen || i === 0 || data.fitness - before(told[i]) >= LEAST);
      about.textContent = told.length ? counted(told.length, "improvement") : "nothing found yet";
      if (follows) chosen = [...told].reverse().find(({ data }) => data.chosen) ?? told[told.length - 1] ?? null;
      steps.replaceChildren(...shown.reverse().slice(0, 200).map(step));
      draw();
      list();
    }

    /** The fitness of the improvement before it on its island. @param {Told} event */
    function before(event) {
      return previous(event)?.data.fitness ?? 0;
    }

    /** @param {Told} event */
    function previous(event) {
      for (let i = told.indexOf(event) - 1; i >= 0; i--) if (told[i].data.island === event.data.island) return told[i];
      return null;
    }

    /** @param {Told} event */
    function step(event) {
      const { data } = event;
      const pick = button("", () => {
        follows = false;
        chosen = event;
        show();
      }, { "aria-pressed": String(event === chosen) });
      pick.append(h("span", {}, `${data.chosen ? "★ " : ""}iteration ${event.iteration}`),
        h("span", {}, `${data.fitness.toFixed(4)} (+${(data.fitness - before(event)).toFixed(4)})`));
      return h("li", {}, pick);
    }

    function draw() {
      const x = told.map(({ iteration }) => iteration);
      const best = running(told.map(({ data }) => data.fitness));
      const selected = running(told.map(({ data }) => data.selected));
      if (x.length < 2) return;
      drawn?.close();
      curve.replaceChildren();
      drawn = chart(curve, {
        label: "Fitness of the best program by iteration, and on tasks held out", height: 150, xName: "iterations",
        lines: [{ name: "searched on", colour: "--violet", x, y: best }, { name: "held out", colour: "--gold", x, y: selected }],
      });
    }

    function list() {
      if (!chosen) return;
      const { data } = chosen;
      facts.textContent = `Number ${data.id}, island ${data.island}, iteration ${chosen.iteration}: fitness ` +
        `${data.fitness.toFixed(5)} on the tasks it was bred on, ${data.selected.toFixed(5)} on tasks held out. ` +
        (data.parent === null ? "One of the first." : `Its parent ${data.parent} had ${data.parent_fitness.toFixed(5)}.`);
      const old = previous(chosen);
      const lines = listed(data, old && old.data);
      const learnt = learntIn(lines);
      code.replaceChildren(...lines.map((line) => h("span", {
        class: `line${line.heading ? " heading" : ""}${line.live ? "" : " idle"}${line.fresh ? " fresh" : ""}`,
      }, tokens(line.text, learnt))));
    }

    return {
      update(change) {
        const news = change.events.filter((event) => event.kind === "improvement");
        if (!news.length) return;
        take(news);
        show();
      },
      leave() {
        closed = true;
        drawn?.close();
      },
    };
  },
};

/** The greatest so far. @param {number[]} values */
function running(values) {
  let best = -Infinity;
  return values.map((value) => (best = Math.max(best, value)));
}

/** The lines of a listing; `fresh` those that the improvement before did not have. @param {Improvement} data
 *  @param {Improvement|null} old @returns {Line[]} */
export function listed(data, old) {
  const had = new Map();
  for (const { text, part, heading } of old ? listed(old, null) : []) {
    if (!heading) had.set(part + text, (had.get(part + text) ?? 0) + 1);
  }
  let part = "";
  let at = 0;
  return data.listing.trimEnd().split("\n").map((text) => {
    const heading = text.startsWith("def ");
    if (heading) part = text;
    const live = heading || data.program.live[at++] !== false;
    const left = had.get(part + text) ?? 0;
    if (left) had.set(part + text, left - 1);
    return { text, part, live, heading, fresh: !heading && live && Boolean(old) && !left };
  });
}

/** Addresses that learning writes and predicting reads: what is learnt. @param {Line[]} lines */
export function learntIn(lines) {
  const addresses = (/** @type {string} */ text) => text.match(/\b[svm]\d+\b/g) ?? [];
  const read = new Set();
  const written = new Set();
  for (const { text, part, heading, live } of lines) {
    if (heading || !live) continue;
    const [out, ...ins] = addresses(text);
    if (part.includes("predict")) ins.forEach((each) => read.add(each));
    if (part.includes("learn")) written.add(out);
  }
  return new Set([...read].filter((each) => written.has(each) && !["s0", "s1", "v0"].includes(each)));
}

/** @param {string} text @param {Set<string>} learnt @returns {(Node|string)[]} */
function tokens(text, learnt) {
  return text.split(/(\b[svm]\d+\b|(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?\b)/).map((token) => {
    const name = token === "s0" ? "label" : token === "v0" ? "features" : token === "s1" ? "prediction"
      : learnt.has(token) ? "learnt" : /^-?\d/.test(token) ? "constant" : "";
    return name ? h("span", { class: name }, token) : token;
  });
}

function key() {
  const each = (/** @type {string} */ name, /** @type {string} */ words) => h("span", { class: name }, words);
  return h("p", { class: "key soft" }, each("features", "v0 features"), each("label", "s0 label"),
    each("prediction", "s1 prediction"), each("learnt", "learnt: written by learn, read by predict"),
    each("constant", "constant"), h("span", {}, "faint: has no effect"), h("span", {}, "green bar: new since the step before"));
}
