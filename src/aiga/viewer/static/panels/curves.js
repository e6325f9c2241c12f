/** How a run went over time, as small charts over one x, and other runs of the folder beside it. */

import { chart, cursor, valued } from "aiga/chart.js";
import { button, counted, h, styled } from "aiga/dom.js";
import { banded, enough, grouped, History, inDigits, seedsInWords } from "aiga/series.js";

/**
 * @typedef {import("aiga/types.js").Page} Page
 * @typedef {import("aiga/world.js").Change} Change
 * @typedef {import("aiga/series.js").Axis} Axis
 * @typedef {import("aiga/series.js").Group} Group
 * @typedef {import("aiga/chart.js").Line} Line
 * @typedef {import("aiga/chart.js").Options} Options
 *
 * Lines of one colour: a run, or runs that differ in their seeds only.
 * @typedef {{key: string, name: string, seeds: number[], place: number, dashed: boolean, shown: boolean,
 *   histories: History[]}} Entry  `place` in the palette
 *
 * One chart.
 * @typedef {object} Figure
 * @property {string} key
 * @property {string} title
 * @property {string} note  what and in which unit it shows
 * @property {Line[]} lines
 * @property {Partial<Options>} options  of the chart
 */

const AXES = /** @type {Record<Axis, string>} */ ({
  iteration: "iterations", hours: "time worked", steps: "environment steps",
});
const COLOURS = 6; // then the same ones, dashed
const JUMP = 400; // iterations at once: the page slept, and what was between is asked for
const AGAIN = 60_000; // ms after which other runs that go on are asked for again
const BEFORE = [1, 0.75, 0.5, 0.25]; // of the x axis, in the table

/**
 * Metrics by name. `share` is told in percent; `zero` and `whole` as in charts; `log` where values spread over
 * orders of magnitude.
 * @type {Record<string, {title: string, note?: string, share?: boolean, zero?: boolean, whole?: boolean,
 *   log?: boolean}>}
 */
const METRICS = {
  "population.median": { title: "Median score", note: "of the active environments" },
  solved: { title: "Solved", note: "environments", zero: true, whole: true },
  annecs: { title: "ANNECS", note: "environments that were new and got solved", zero: true, whole: true },
  active: { title: "Active", note: "environments", zero: true, whole: true },
  archived: { title: "Archived", note: "environments", zero: true, whole: true },
  "population.finished": { title: "Episodes finished", note: "% of those in active environments", share: true,
    zero: true },
  best_transfer: { title: "Best transfer so far", note: "gain in score", zero: true },
  transfers: { title: "Transfers", note: "in all", zero: true, whole: true },
  rate: { title: "Speed", note: "environment steps per second of work", zero: true },
  return: { title: "Return", note: "mean of the training episodes that ended" },
  episodes: { title: "Training episodes", note: "that ended, per iteration", zero: true, whole: true },
  value_loss: { title: "Value loss", note: "mean squared error", log: true },
  entropy: { title: "Entropy of the policy", note: "nats" },
  kl: { title: "Change of the policy", note: "KL divergence per update, nats", zero: true },
  clipped: { title: "Clipped", note: "% of the probability ratios", share: true, zero: true },
  gradient: { title: "Gradient", note: "its norm", zero: true },
  gain: { title: "Policy gain", note: "clipped surrogate objective", zero: true },
};
const ENVIRONMENTS = { solved: "--green", annecs: "--gold", active: "--violet", archived: "--soft" };

styled(`
  :root { --run-0: #2a2540; --run-1: #0072b2; --run-2: #c8500a; --run-3: #008468; --run-4: #b8508a; --run-5: #9a6c00;
    --run-6: #3f95cf; }
  :root[data-theme="dark"] { --run-0: #f4f1fa; --run-1: #58a9e8; --run-2: #f28a4c; --run-3: #3cc39c; --run-4: #e795c0;
    --run-5: #e0b540; --run-6: #a9d8f5; }
  .curves > header select { margin-left: 0.35rem; }
  .curves .charts { display: grid; gap: 0 2.2rem; margin-top: 0.9rem;
    grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); }
  .curves figure { margin: 0 0 1.5rem; min-width: 0; display: grid; grid-row: span 2;
    grid-template: subgrid / minmax(0, 1fr); }
  .curves figcaption { display: flex; flex-wrap: wrap; gap: 0 0.6rem; align-items: baseline; align-content: end;
    margin-bottom: 0.35rem; }
  .curves figcaption span { color: var(--soft); font-size: 0.87rem; line-height: 1.35; }
  @media (min-width: 760px) { .curves figure.wide { grid-column: span 2; } }
  .curves .legend { display: flex; flex-wrap: wrap; gap: 0.3rem 0.4rem; padding: 0; margin: 0; list-style: none; }
  .curves .legend button, .curves .legend button[aria-pressed="true"] { background: none; color: var(--ink);
    border-color: var(--line); display: inline-flex; flex-wrap: wrap; gap: 0 0.5rem; align-items: center;
    text-align: left; font-size: 0.92rem; }
  .curves .legend button[aria-pressed="false"] { color: var(--soft); text-decoration: line-through;
    border-style: dashed; }
  .curves .legend button[aria-pressed="false"] small { display: none; }
  .curves .legend small { color: var(--soft); font-size: 0.87rem; }
  .curves .swatch { width: 22px; height: 0; border-top: 3px solid; flex: none; }
  .curves .swatch.dashed { border-top-style: dashed; }
  ${Array.from({ length: COLOURS + 1 }, (_, i) => `.curves .run-${i} { border-color: var(--run-${i}); }`).join(" ")}
  .curves .compare { background: var(--raised); border-radius: 10px; padding: 0.8rem 1rem; margin-bottom: 0.8rem; }
  .curves .compare fieldset { border: 0; padding: 0; margin: 0; }
  .curves .compare ul { list-style: none; margin: 0.5rem 0 0; padding: 0; display: grid; gap: 0.2rem 1.2rem;
    grid-template-columns: repeat(auto-fill, minmax(min(100%, 230px), 1fr)); max-height: 40vh; overflow: auto; }
  .curves .compare li label { display: flex; gap: 0.5rem; align-items: baseline; padding: 0.2rem 0; }
  .curves .flat, .curves details.table { margin-top: 1.2rem; }
  .curves details.table > div { overflow-x: auto; }
  .curves [hidden] { display: none; }
  .curves details.table td, .curves details.table th { white-space: nowrap; }
`);

/** @type {import("aiga/types.js").Panel} */
export default {
  title: "Curves",
  mount(host, page, { compact, rest }) {
    const panel = new Curves(host, page, compact, rest);
    return { update: (change) => panel.update(change), leave: () => panel.leave() };
  },
};

class Curves {
  /**
   * @param {HTMLElement} host @param {Page} page @param {boolean} compact
   * @param {string[]} rest  runs to compare with, one of each group
   */
  constructor(host, page, compact, rest) {
    this.page = page;
    this.wanted = page.recorded ? [] : rest;
    /** @type {History|null} */
    this.history = null;
    /** @type {Map<string, History>} */
    this.others = new Map();
    /** @type {Group[]|null} */
    this.groups = null;
    /** @type {Set<string>} */
    this.chosen = new Set(); // keys of groups
    /** @type {Set<string>} */
    this.hidden = new Set(); // keys of entries that the legend turned off
    this.single = false; // a line for each run of a group instead of its band
    this.loading = false;
    this.gone = false; // the panel was taken away: answers that come now are not drawn
    this.explained = ""; // what the legend says
    this.iteration = page.world.iteration;
    /** @type {{change: Change, iteration: number}[]} */
    this.waiting = []; // told before the answer was there
    const kept = page.remembered("aiga:curves:x") ?? "";
    /** @type {Axis} */
    this.axis = kept in AXES ? /** @type {Axis} */ (kept) : "iteration";
    this.cursor = cursor();
    /** @type {Map<string, {element: HTMLElement, note: HTMLElement, chart: ReturnType<typeof chart>}>} */
    this.charts = new Map();

    const turn = () => this.turn(/** @type {Axis} */ (select.value));
    const select = h("select", { "aria-label": "x axis", onchange: turn },
      Object.entries(AXES).map(([value, name]) => h("option", { value, selected: value === this.axis }, name)));
    this.opener = button("Compare runs", () => this.open(Boolean(this.list.hidden)), { "aria-expanded": "false" });
    this.list = h("div", { class: "compare", hidden: true });
    this.legend = h("ul", { class: "legend", "aria-label": "Lines", hidden: true });
    this.note = h("p", { class: "note", role: "status" }, "reading the run …");
    this.grid = h("div", { class: "charts" });
    this.flat = h("p", { class: "soft flat", hidden: true });
    this.rows = h("div", { tabIndex: 0, role: "region", "aria-label": "Curves as a table" });
    this.table = h("details", { class: "table", ontoggle: () => this.draw() },
      h("summary", {}, "As a table"), this.rows);
    this.said = h("p", { class: "hidden", "aria-live": "polite" });
    const tools = h("div", { class: "tools" }, h("label", {}, "over", select), page.recorded ? null : this.opener);
    host.replaceChildren(h("header", {}, h("h2", {}, "Curves"), compact ? "" : tools),
      this.list, this.legend, this.note, this.grid, this.flat, compact ? "" : this.table, this.said);
    this.timer = setInterval(() => this.refresh(), AGAIN);
    this.load();
  }

  leave() {
    this.gone = true;
    clearInterval(this.timer);
    for (const each of this.charts.values()) each.chart.close();
    this.charts.clear();
  }

  /** Asks for the run from its beginning. */
  async load() {
    this.loading = true;
    try {
      const said = await this.page.source.get(`${this.page.path}/series`);
      if (this.gone) return;
      this.history = new History(said);
      this.iteration = said.cursor;
      for (const { change, iteration } of this.waiting.splice(0)) this.append(change, iteration);
      this.draw();
      if (this.wanted.length) await this.chooseWanted();
    } catch (error) {
      this.complain(error);
    } finally {
      this.loading = false;
    }
  }

  /** @param {unknown} error */
  complain(error) {
    if (this.gone) return;
    this.note.hidden = false;
    this.note.textContent = error instanceof Error ? error.message : String(error);
  }

  /** @param {Change} change */
  update(change) {
    const iteration = this.page.world.iteration;
    if (!change.metrics) return;
    if (!this.history) {
      this.waiting.push({ change, iteration });
      if (!this.loading) this.load(); // the first answer did not come
    }
    else if (iteration - this.iteration <= JUMP) {
      this.append(change, iteration);
      this.draw();
    } else if (!this.loading) this.load();
  }

  /** @param {Change} change @param {number} iteration */
  append({ metrics, population, seconds }, iteration) {
    if (iteration <= this.iteration) return;
    this.iteration = iteration;
    const scores = Object.entries(population ?? {}).map(([name, value]) => [`population.${name}`, value]);
    this.history?.take(iteration, seconds, { ...metrics, ...Object.fromEntries(scores) });
  }

  /** Other runs that go on have new points now and then. */
  async refresh() {
    const going = this.chosenGroups().flatMap((group) => group.runs).filter((run) => run.running);
    for (const run of going) {
      this.others.delete(run.name);
      await this.fetch(run.name);
    }
    if (going.length && !this.gone) this.draw();
  }

  // -- what is compared --------------------------------------------------------------------------------------

  /** @param {boolean} yes */
  async open(yes) {
    this.list.hidden = !yes;
    this.opener.setAttribute("aria-expanded", String(yes));
    if (!yes) return;
    try {
      await this.look();
      this.offer();
    } catch (error) {
      this.complain(error);
    }
  }

  /** What other runs there are. */
  async look() {
    if (this.groups) return;
    const { runs } = await this.page.source.get("runs");
    const own = this.page.world.name;
    const begun = runs.filter((/** @type {any} */ run) => run.begun && (run.iteration > 0 || run.name === own));
    this.groups = grouped(begun).filter((group) => group.runs.length > 1 || group.runs[0].name !== own);
  }

  chosenGroups() {
    return (this.groups ?? []).filter((group) => this.chosen.has(group.key));
  }

  /** The groups of the runs that the address names. */
  async chooseWanted() {
    await this.look();
    if (this.gone) return;
    for (const group of this.groups ?? []) {
      if (group.runs.some((run) => this.wanted.includes(run.name))) await this.choose(group, true);
    }
  }

  /** The list to choose from. */
  offer() {
    const own = this.page.world.name;
    const rows = (this.groups ?? []).map((group) => {
      const mine = group.runs.some((run) => run.name === own);
      const about = group.runs.length > 1 ? `${counted(group.runs.length, "seed")}${mine ? ", this run’s too" : ""}`
        : `${group.runs[0].system}, seed ${group.runs[0].seed}`;
      const box = h("input", { type: "checkbox", checked: this.chosen.has(group.key),
        onchange: () => this.choose(group, box.checked) });
      return h("li", {}, h("label", {}, box, h("span", {}, group.name, " ", h("span", { class: "soft" }, about))));
    });
    const single = h("input", { type: "checkbox", checked: this.single, onchange: () => {
      this.single = single.checked;
      this.draw();
    } });
    this.list.replaceChildren(rows.length
      ? h("fieldset", {}, h("legend", {}, "Beside this run; those that differ in their seeds only are one"),
        h("ul", {}, rows), h("p", {}, h("label", {}, single, " a line for each run instead of a band")))
      : h("p", { class: "soft" }, "No other run in this folder has begun."));
  }

  /** @param {Group} group @param {boolean} yes */
  async choose(group, yes) {
    if (yes) this.chosen.add(group.key);
    else this.chosen.delete(group.key);
    const names = this.chosenGroups().map(({ runs }) => runs[0].name);
    const address = [this.page.world.name, "curves", ...names].map(encodeURIComponent).join("/");
    history.replaceState(null, "", `#/${address}`);
    for (const run of yes ? group.runs : []) await this.fetch(run.name);
    if (!this.gone) this.draw();
  }

  /** @param {string} name */
  async fetch(name) {
    if (name === this.page.world.name || this.others.has(name)) return;
    try {
      const said = await this.page.source.get(`runs/${encodeURIComponent(name)}/series`);
      this.others.set(name, new History(said));
    } catch (error) {
      this.complain(error);
    }
  }

  /** The run and the chosen groups. @returns {Entry[]} */
  entries() {
    const own = this.page.world.name;
    const entry = (/** @type {string} */ key, /** @type {string} */ name, /** @type {number} */ i) => ({
      key, name, dashed: i > COLOURS, shown: !this.hidden.has(key), place: i && ((i - 1) % COLOURS) + 1,
    });
    const alone = this.history ? [this.history] : [];
    const found = [{ ...entry("", own, 0), seeds: [this.page.world.told.seed], histories: alone }];
    for (const [i, { key, name, runs }] of this.chosenGroups().entries()) {
      const histories = runs.flatMap((run) => (run.name === own ? this.history : this.others.get(run.name)) ?? []);
      if (!histories.length) continue;
      found.push({ ...entry(key, name, i + 1), seeds: runs.map((run) => run.seed), histories });
    }
    return found;
  }

  /** @param {Entry[]} entries */
  explain(entries) {
    this.legend.hidden = entries.length < 2;
    // Only what changed is built again, so that a button keeps the focus.
    const texts = JSON.stringify(entries.map(({ histories, ...each }) => [each, histories.length, this.single]));
    if (texts === this.explained) return;
    this.explained = texts;
    const focused = [...this.legend.querySelectorAll("button")].findIndex((each) => each === document.activeElement);
    this.legend.replaceChildren(...entries.map((entry) => h("li", {},
      button("", () => this.toggle(entry.key), { "aria-pressed": String(entry.shown) }))));
    for (const [i, each] of this.legend.querySelectorAll("button").entries()) {
      const { place, dashed, name } = entries[i];
      each.append(h("span", { class: `swatch run-${place} ${dashed ? "dashed" : ""}` }), name,
        h("small", {}, drawnAs(entries[i], this.single)));
      if (i === focused) each.focus();
    }
  }

  /** @param {string} key  of an entry */
  toggle(key) {
    if (!this.hidden.delete(key)) this.hidden.add(key);
    this.draw();
  }

  /** @param {Axis} axis */
  turn(axis) {
    this.axis = axis;
    this.page.remember("aiga:curves:x", axis);
    this.cursor.set(null);
    this.draw();
  }

  // -- drawing -----------------------------------------------------------------------------------------------

  draw() {
    if (!this.history) return;
    const entries = this.entries();
    this.explain(entries);
    const shown = entries.filter((entry) => entry.shown);
    const see = scaled(this.axis, shown.flatMap((entry) => entry.histories));
    const level = this.page.world.told.config?.solve_score;
    const all = entries.length > 1 ? beside(shown, see, this.single) : alone(this.history, see);
    const figures = all.filter((figure) => !constant(figure));
    for (const figure of figures) {
      if (figure.key === "population.median" && typeof level === "number") {
        figure.options.reference = { y: level, name: `solved from ${inDigits(level)}` };
      }
      this.show(figure, see);
    }
    this.arrange(figures);
    const flat = all.filter(constant);
    this.flat.hidden = !flat.length;
    this.flat.textContent = `Never changed: ${flat.map(still).join(", ")}.`;
    this.note.hidden = all.length > 0;
    this.note.textContent = shown.length ? "Nothing has been measured yet." : "All lines are turned off in the legend.";
    this.tabulate(figures, see);
  }

  /** @param {Figure} figure @param {See} see */
  show({ key, title, note, lines, options }, see) {
    const about = { label: `${title}, ${note}`, lines, reference: undefined, ...options,
      xName: see.name, xFormat: see.format, reach: see.reach };
    let found = this.charts.get(key);
    if (!found) {
      const small = h("span", {}, note);
      const host = h("div", {});
      const wide = key === "population.median";
      const element = h("figure", { class: wide ? "wide" : "", "data-figure": key },
        h("figcaption", {}, h("h3", {}, title), small), host);
      found = { element, note: small, chart: chart(host, {
        ...about, height: 158, cursor: this.cursor, say: (text) => (this.said.textContent = text),
      }) };
      this.charts.set(key, found);
    } else found.chart.update(about);
    const heading = /** @type {HTMLElement} */ (found.element.querySelector("h3"));
    if (heading.textContent !== title) heading.textContent = title;
    if (found.note.textContent !== note) found.note.textContent = note;
  }

  /** The charts in order; those that are not asked for any more go. @param {Figure[]} figures */
  arrange(figures) {
    const keys = figures.map((figure) => figure.key);
    for (const [key, each] of this.charts) {
      if (keys.includes(key)) continue;
      each.chart.close();
      each.element.remove();
      this.charts.delete(key);
    }
    for (const [i, key] of keys.entries()) {
      const element = /** @type {HTMLElement} */ (this.charts.get(key)?.element);
      if (this.grid.children[i] !== element) this.grid.insertBefore(element, this.grid.children[i] ?? null);
    }
  }

  /** @param {Figure[]} figures @param {See} see */
  tabulate(figures, see) {
    if (!this.table.open) return;
    const places = BEFORE.map((share) => share * see.reach[1]);
    const head = places.map((x) => h("th", { class: "number", scope: "col" }, `${see.format(x)} ${see.name}`));
    const rows = figures.flatMap(({ title, lines, options }) => lines.filter((line) => line.name).map((line) =>
      h("tr", {}, h("th", { scope: "row" }, lines.length > 1 || line.name !== title ? `${title}: ${line.name}` : title),
        places.map((x) => h("td", { class: "number" }, valued(line, x, options.yFormat ?? inDigits)?.text ?? "–")))));
    this.rows.replaceChildren(h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "at"), head)), h("tbody", {}, rows)));
  }
}

/**
 * The x axis: which, in which unit, and how far.
 * @typedef {{axis: Axis, unit: number, name: string, reach: [number, number], format: (x: number) => string}} See
 */

/** @param {Axis} axis @param {History[]} histories @returns {See} */
export function scaled(axis, histories) {
  const most = Math.max(0, ...histories.map((each) => each.along(axis).findLast((x) => x !== null) ?? 0)) || 1;
  const [unit, name] = axis === "iteration" ? [1, "iterations"] : axis === "steps" ? [1, "steps"]
    : most < 2 ? [60, "minutes"] : most < 100 ? [1, "hours"] : [1 / 24, "days"];
  const format = axis === "iteration" ? (/** @type {number} */ x) => Math.round(x).toLocaleString("en") : inDigits;
  return { axis, unit, name, reach: [0, most * unit], format };
}

/** @param {History} history @param {string} name  of a column @param {See} see */
function points(history, name, { axis, unit }) {
  const { x, y } = history.points(axis, name);
  const factor = METRICS[name]?.share ? 100 : 1;
  return { x: unit === 1 ? x : x.map((each) => each * unit), y: factor === 1 ? y : y.map((each) => each * factor) };
}

/**
 * One run: its scores with their spread, and its environments in one chart.
 * @param {History} history @param {See} see
 */
export function alone(history, see) {
  const of = (/** @type {string} */ name) => points(history, name, see);
  const named = (/** @type {string} */ key) => [{ name: "", colour: "--violet", ...of(key) }];
  const median = of("population.median");
  /** @type {Figure} */
  const scores = {
    key: "population.median", title: "Scores", options: {},
    note: "of the active environments: median, band of their middle half, least and greatest",
    lines: [
      { name: "greatest", colour: "--violet", thin: true, ...of("population.greatest") },
      { name: "median", colour: "--violet", ...median,
        band: { low: of("population.lower").y, high: of("population.upper").y } },
      { name: "least", colour: "--violet", thin: true, ...of("population.least") },
    ],
  };
  if (scores.lines.every((line) => equal(line.y, median.y))) {
    scores.note = "of the one environment";
    scores.lines = [{ name: "", colour: "--violet", ...median }];
  }
  const counts = Object.entries(ENVIRONMENTS).filter(([name]) => history.columns.has(name));
  /** @type {Figure} */
  const environments = {
    key: "environments", title: "Environments", options: { zero: true, whole: true },
    note: history.columns.has("annecs") ? "ANNECS: new and solved, ever" : "how many",
    lines: counts.map(([name, colour]) => ({ name: name === "annecs" ? "ANNECS" : name, colour, ...of(name) })),
  };
  const rest = names([history]).filter((name) => !(name in ENVIRONMENTS) && name !== "population.median");
  return [scores, environments, ...rest.map((name) => figure(name, named(name)))].filter(there);
}

/**
 * Some runs and groups, one chart for each metric.
 * @param {Entry[]} entries @param {See} see @param {boolean} single
 */
export function beside(entries, see, single) {
  const all = names(entries.flatMap((entry) => entry.histories));
  return all.map((name) => figure(name, entries.flatMap((entry) => lines(entry, name, see, single)))).filter(there);
}

/**
 * The lines of one entry.
 * @param {Entry} entry @param {string} name @param {See} see @param {boolean} single @returns {Line[]}
 */
function lines({ name: called, place, dashed, histories }, name, see, single) {
  const look = { colour: `--run-${place}`, dashed };
  const each = histories.map((history) => points(history, name, see)).filter((line) => line.x.length);
  if (!each.length) return [];
  if (histories.length === 1) return [{ name: called, ...look, ...each[0] }];
  const { x, y, low, high, full } = banded(each, { steps: METRICS[name]?.whole });
  const middle = { name: called, ...look, x: x.slice(0, full), y: y.slice(0, full) };
  const from = Math.max(full - 1, 0);
  // Runs that drop out move the median: what follows is told apart.
  const tail = { name: full ? "" : called, ...look, thin: true, dashed: true, x: x.slice(from), y: y.slice(from) };
  const tails = full < x.length ? [tail] : [];
  if (!single) return [...tails, { ...middle, band: { low: low.slice(0, full), high: high.slice(0, full) } }];
  return [...each.map((line) => ({ name: "", ...look, thin: true, ...line })), ...tails, middle];
}

/** What is told of any of the histories, in the order of the charts. @param {History[]} histories */
function names(histories) {
  const told = new Set(histories.flatMap((history) => [...history.columns.keys()]));
  if (told.has("steps")) told.add("rate");
  const known = Object.keys(METRICS).filter((name) => told.has(name));
  const other = [...told].filter((name) => !(name in METRICS) && !/^population[.]|^steps$/.test(name));
  return [...known, ...other.sort()];
}

/**
 * A chart of one metric; of one that nobody described, by what its values are.
 * @param {string} name @param {Line[]} lines @returns {Figure}
 */
function figure(name, lines) {
  const about = METRICS[name] ?? { title: inWords(name), log: true };
  let [least, most] = [Infinity, -Infinity];
  for (const value of lines.flatMap((line) => line.y)) {
    if (value === null) continue;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  const log = Boolean(about.log) && least > 0 && most > 50 * least;
  const zero = about.zero ?? (!METRICS[name] && !log && least >= 0 && least < most / 2);
  /** @type {Partial<Options>} */
  const options = { zero, log, whole: about.whole };
  if (about.share) options.yFormat = (value) => `${inDigits(Math.round(value))}\u00a0%`;
  const note = [about.note, log && "logarithmic"].filter(Boolean).join("; ");
  return { key: name, title: about.title, note, lines, options };
}

/** @param {string} name  of a metric, as value_loss or loss/value */
export function inWords(name) {
  const text = name.replace(/[_./-]+/g, " ").trim();
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** @param {Figure} figure */
const there = (figure) => figure.lines.some((line) => line.x.length);

/** Whether a chart would show nothing but one flat line, or flat lines of one run. @param {Figure} figure */
export function constant({ key, lines }) {
  const first = lines.find((line) => line.y.length)?.y[0];
  const flat = lines.every(({ y }) => y.every((value) => value === (key === "environments" ? y[0] : first)));
  return flat && lines.some((line) => line.y.length > 1);
}

/** @param {Figure} figure  that is constant */
function still({ key, title, lines, options }) {
  const value = (/** @type {Line} */ line) => (options.yFormat ?? inDigits)(line.y[0] ?? NaN);
  if (key === "environments") return lines.map((line) => `${line.name} ${value(line)}`).join(", ");
  return `${title.charAt(0).toLowerCase()}${title.slice(1)} ${value(lines[0])}`;
}

/** @param {number[]|(number|null)[]} a @param {(number|null)[]} b */
const equal = (a, b) => a.length === b.length && a.every((value, i) => value === b[i]);

/** What the lines of an entry are, exactly. @param {Entry} entry @param {boolean} single */
export function drawnAs({ seeds, histories }, single) {
  const count = histories.length;
  if (count === 1) return `seed ${seeds[0]}`;
  const needed = enough(count);
  const around = single ? "thin: each run" : count < 5 ? "band: least to greatest" : "band: quartile to quartile";
  const far = needed < count ? `; dashed: only ${needed} or more of them reach` : "";
  return `median of ${count} runs (seeds ${seedsInWords(seeds)}), ${around}${far}`;
}
