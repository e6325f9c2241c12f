/** Who helped whom: agents that moved from one environment into another because they did better there. */

import { forgetPalette } from "aiga/branches.js";
import { View, onTheme, surface } from "aiga/canvas.js";
import { button, counted, h, styled } from "aiga/dom.js";
import { Kept } from "aiga/kept.js";
import { listing } from "aiga/listing.js";
import { EDGES, Matrix, paintCells, paintCross, paintEdges, paintLines } from "aiga/matrix.js";
import { rows } from "aiga/world.js";

/**
 * @typedef {import("aiga/types.js").Page} Page
 * @typedef {import("aiga/types.js").Transfer} Transfer
 * @typedef {import("aiga/matrix.js").Pair} Pair
 * @typedef {import("aiga/matrix.js").Measure} Measure
 * @typedef {{row: number|null, column: number|null}} Lit
 */

const AGAIN = 10_000; // ms between two questions about the matrix
const FEW = 160; // environments that are shown all at once at first
const LATEST = 80;
const LISTED = 12;

styled(`
.transfers-body { display: grid; gap: 1rem 2rem; align-items: start;
  grid-template-columns: minmax(min(60%, 460px), calc(100dvh - 250px)) minmax(260px, 1fr); }
.transfers-body[hidden] { display: none; }
.matrix-frame { aspect-ratio: 1; }
.matrix-frame canvas { cursor: grab; }
.matrix-frame canvas.over { cursor: pointer; }
.matrix-frame canvas:focus-visible { outline-offset: -2px; }
.matrix-zoom { position: absolute; right: 10px; bottom: 4px; display: flex; flex-direction: column; gap: 4px; }
.matrix-zoom button { width: 34px; padding: 0; line-height: 1; font-size: 1.1rem; }
.matrix-caption { min-height: 2.9em; margin-top: 0.6rem; color: var(--soft); font-size: 0.92rem; }
.matrix-caption b { color: var(--ink); }
.helpers { display: grid; gap: 1rem 2.4rem; align-content: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 230px), 1fr)); }
.helpers > div { display: grid; gap: 0.4rem; align-content: start; }
.helpers ol { list-style: none; margin: 0; padding: 0; display: grid; gap: 0.1rem; font-size: 0.92rem;
  font-variant-numeric: tabular-nums; }
/* the tools stand in two groups */
.card.transfers > header > .tools { gap: 0.4rem 1rem; }
.helpers li { display: grid; grid-template-columns: 3.2rem 1fr auto; gap: 0.5rem; align-items: center;
  min-height: 26px; }
.helpers li.move { grid-template-columns: 1fr auto; }
.helpers .bar { height: 8px; border-radius: 4px; background: var(--violet); min-width: 2px; }
.helpers.gain .bar { background: var(--orange); }
.helpers .link { min-width: 24px; min-height: 24px; }
.transfers-list { margin-top: 0.8rem; }
.transfers-list summary { cursor: pointer; padding: 0.2rem 0; }
@media (max-width: 900px) { .transfers-body { grid-template-columns: minmax(0, 1fr); } }
`);

/** @param {HTMLElement} host @param {Page} page */
function mount(host, page) {
  const panel = new Transfers(page);
  host.append(panel.header(), panel.body);
  panel.ask();
  return { update: (/** @type {any} */ change) => panel.update(change), leave: () => panel.leave() };
}

class Transfers {
  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    this.matrix = new Matrix([], 0);
    this.measure = /** @type {Measure} */ ("count");
    this.whole = true; // the view shows what there is, or the latest; not what the visitor chose
    this.latest = false;
    /** @type {Lit} */
    this.lit = { row: null, column: null };
    this.asked = 0;
    this.gone = false;
    this.fitted = 0; // environments when the view was last fitted
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    this.timer = undefined;
    this.frame = h("div", { class: "frame matrix-frame" });
    this.surface = surface(this.frame, () => this.draw(), { label: "Who helped whom, sources by targets" });
    this.view = new View(this.surface.element, () => this.moved(), {
      least: 0.01, most: 60, tap: (x, y) => this.tapped(x, y), hover: (x, y) => this.point(this.under(x, y)),
    });
    this.kept = new Kept((c, sight) => paintCells(c, sight, this.matrix, this.measure), () => this.surface.redraw());
    this.endTheme = onTheme(() => (forgetPalette(), this.kept.forget()));
    this.caption = h("p", { class: "matrix-caption", role: "status" });
    this.summary = h("span", { class: "soft" });
    this.none = h("p", { class: "note" }, "Nobody has helped anybody yet. When an agent does better in another's "
      + "environment than the one that lives there, it moves in, and its story begins here.");
    this.helpers = h("div", { class: "helpers count" });
    this.shown = h("div", { class: "transfers-body" });
    this.body = h("div", {}, this.none, this.shown);
    this.parts();
  }

  parts() {
    const { element } = this.surface;
    element.setAttribute("role", "application");
    element.setAttribute("aria-roledescription", "matrix");
    element.addEventListener("pointerleave", () => this.point({ row: null, column: null }));
    element.addEventListener("keydown", (event) => this.key(event));
    const zoom = (/** @type {number} */ by) => this.view.zoom(by, this.surface.width / 2, this.surface.height / 2);
    this.frame.append(h("div", { class: "matrix-zoom" }, button("+", () => zoom(1.6), { "aria-label": "closer" }),
      button("−", () => zoom(1 / 1.6), { "aria-label": "further away" })));
    /** @param {string} name @param {string} title @returns {import("aiga/listing.js").Column} */
    const number = (name, title, digits = 0) =>
      ({ name, title, value: (row) => row[name], text: (row) => row[name].toFixed(digits) });
    const place = (/** @type {string} */ name, /** @type {string} */ title) =>
      ({ ...number(name, title), open: (/** @type {any} */ row) => this.page.open(row[name]) });
    this.list = listing("pairs", [place("source", "agent of"), place("target", "moved into"), number("count", "times"),
      number("gain", "gain in all", 1), number("best", "at best", 1)], () => [...this.matrix.pairs], "count");
    this.details = h("details", { class: "transfers-list", ontoggle: () => this.details?.open && this.list?.fill() },
      h("summary", {}, "As a list"), this.list.element);
    const keys = h("span", { class: "hidden", id: "matrix-keys" },
      "full stop and comma: to the next and the one before, the strongest first; Enter: open; "
      + "arrows, plus, minus: move; Home: all; End: the latest");
    element.setAttribute("aria-describedby", "matrix-keys");
    this.shown.append(h("div", {}, this.frame, this.caption, keys, this.details), this.helpers);
    this.show();
  }

  header() {
    this.buttons = {
      count: button("how often", () => this.by("count"), { "aria-pressed": "true" }),
      gain: button("total gain", () => this.by("gain"), { "aria-pressed": "false" }),
    };
    this.places = { all: button("all", () => this.look(false)), latest: button("latest", () => this.look(true)) };
    return h("header", {}, h("h2", {}, "Who helped whom"), this.summary, h("div", { class: "tools" },
      h("span", { class: "row", role: "group", "aria-label": "measure" }, this.buttons.count, this.buttons.gain),
      h("span", { class: "row", role: "group", "aria-label": "part" }, this.places.all, this.places.latest)));
  }

  // -- what there is ------------------------------------------------------------------------------------------

  async ask() {
    this.asked = performance.now();
    let told;
    try {
      told = await this.page.source.get(`${this.page.path}/matrix`);
    } catch (error) {
      const said = String(/** @type {Error} */ (error).message);
      (this.matrix.pairs.length ? this.caption : this.none).textContent = said;
      return;
    }
    if (this.gone) return;
    let size = 0;
    for (const id of this.page.world.environments.keys()) size = Math.max(size, id + 1);
    const first = !this.matrix.pairs.length;
    this.matrix = new Matrix(rows(told), size);
    this.latest = first ? size > FEW : this.latest;
    if (this.whole) this.fitted = 0;
    this.show();
    this.kept.forget();
  }

  /** @param {import("aiga/world.js").Change} change */
  update(change) {
    if (!change.transfers.length || this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.ask();
    }, Math.max(this.asked + AGAIN - performance.now(), 0));
  }

  leave() {
    this.gone = true;
    clearTimeout(this.timer);
    this.kept.close();
    this.endTheme();
    this.surface.close();
  }

  /** Everything but the canvas. */
  show() {
    const { pairs } = this.matrix;
    const empty = !pairs.length;
    this.none.hidden = !empty;
    this.shown.hidden = empty;
    const count = pairs.reduce((sum, pair) => sum + pair.count, 0);
    const best = Math.max(0, ...this.moves(1).map(({ gain }) => gain ?? 0));
    const words = empty ? "" : `${counted(count, "transfer")} between ${counted(pairs.length, "pair")}, `
      + `${signed(best)} at best`;
    this.summary.textContent = words;
    this.surface.element.setAttribute("aria-label", `Who helped whom, sources by targets: ${words}. As a list below.`);
    this.fill();
    if (!this.caption.textContent || this.lit.row === null) this.say();
    if (this.details?.open && !this.details.contains(document.activeElement)) this.list?.fill();
    this.mark();
  }

  mark() {
    for (const [name, each] of Object.entries(this.places ?? {})) {
      each.setAttribute("aria-pressed", String(this.whole && (name === "latest") === this.latest));
    }
    for (const [name, each] of Object.entries(this.buttons ?? {})) {
      each.setAttribute("aria-pressed", String(name === this.measure));
    }
  }

  /** The greatest single transfers. @param {number} count @returns {Transfer[]} */
  moves(count) {
    return [...this.page.world.transfers].sort((a, b) => (b.gain ?? 0) - (a.gain ?? 0)).slice(0, count);
  }

  fill() {
    const { rows: sums, mostRow } = this.matrix;
    const measure = this.measure;
    const value = (/** @type {import("aiga/matrix.js").Sum} */ sum) =>
      (measure === "count" ? `${sum.count.toLocaleString("en")}×` : signed(sum.gain));
    const helpers = [...sums].sort(([, a], [, b]) => b[measure] - a[measure]).slice(0, LISTED);
    const open = (/** @type {number} */ id) =>
      button(String(id), () => this.page.open(id), { class: "link", "aria-label": `open environment ${id}` });
    this.helpers.className = `helpers ${measure}`;
    const bar = (/** @type {number} */ share) =>
      h("div", {}, h("div", { class: "bar", style: { width: `${100 * share}%` } }));
    const lines = helpers.map(([id, sum]) => h("li", { title: `helped ${counted(sum.others, "other")}` }, open(id),
      bar(Math.max(sum[measure], 0) / mostRow[measure]), value(sum)));
    const leaps = this.moves(LISTED).map(({ source, target, gain, iteration, kind }) =>
      h("li", { class: "move", title: kind }, h("span", {}, open(source), " → ", open(target),
        h("span", { class: "soft" }, ` at ${iteration.toLocaleString("en")}`)), signed(gain ?? 0)));
    this.helpers.replaceChildren(h("div", {}, h("h3", {}, "Best helpers"), h("ol", {}, lines)),
      h("div", {}, h("h3", {}, "Greatest leaps"), h("ol", {}, leaps)));
  }

  // -- where one looks ----------------------------------------------------------------------------------------

  /** @param {Measure} measure */
  by(measure) {
    this.measure = measure;
    this.fill();
    this.say();
    this.mark();
    this.kept.forget();
  }

  /** @param {boolean} latest */
  look(latest) {
    this.latest = latest;
    this.whole = true;
    this.fitted = 0;
    this.mark();
    this.surface.redraw();
  }

  moved() {
    this.whole = false;
    this.mark();
    this.surface.redraw();
  }

  fit() {
    const { width, height } = this.surface;
    const { size } = this.matrix;
    const [wide, tall] = [width - EDGES.left - EDGES.right, height - EDGES.top - EDGES.bottom];
    const shown = this.latest ? Math.min(LATEST, size) : size;
    const side = Math.min(Math.min(wide, tall) / Math.max(shown, 1), 44);
    this.view.least = Math.min((0.7 * Math.min(wide, tall)) / Math.max(size, 1), 10);
    const first = size - shown;
    Object.assign(this.view, { sx: side, sy: side,
      tx: EDGES.left + Math.max((wide - shown * side) / 2, 0) - first * side, ty: EDGES.top - first * side });
    this.fitted = size;
    this.size = { width, height };
  }

  // -- drawing ------------------------------------------------------------------------------------------------

  draw() {
    const { context: c, element, width, height } = this.surface;
    const resized = this.size?.width !== width || this.size?.height !== height;
    if (this.matrix.size && (!this.fitted || (this.whole && resized))) this.fit();
    const { sx, sy, tx, ty } = this.view;
    const sight = { sx, sy, tx, ty, width, height };
    c.clearRect(0, 0, width, height);
    paintLines(c, sight, this.matrix);
    this.kept.show(c, sight, element.width / width);
    paintCross(c, sight, this.lit);
    paintEdges(c, sight, this.matrix, this.measure, this.lit);
  }

  // -- pointing -----------------------------------------------------------------------------------------------

  /** What a point of the canvas is about. @param {number} x @param {number} y  px @returns {Lit} */
  under(x, y) {
    const { sx, tx, ty } = this.view;
    const [column, row] = [(x - tx) / sx, (y - ty) / sx];
    const inside = (/** @type {number} */ at) => (at >= 0 && at < this.matrix.size ? Math.floor(at) : null);
    const [beside, beyond] = [x < EDGES.left || x > this.surface.width - EDGES.right,
      y < EDGES.top || y > this.surface.height - EDGES.bottom];
    if (beside && beyond) return { row: null, column: null };
    if (beside) return { row: inside(row), column: null };
    if (beyond) return { row: null, column: inside(column) };
    const pair = this.matrix.at(column, row, 7 / sx);
    return pair ? { row: pair.source, column: pair.target } : { row: null, column: null };
  }

  /** @param {Lit} lit */
  point(lit) {
    if (lit.row === this.lit.row && lit.column === this.lit.column) return;
    this.lit = lit;
    this.surface.element.classList.toggle("over", lit.row !== null || lit.column !== null);
    this.say();
    this.surface.redraw();
  }

  /** @param {number} x @param {number} y */
  tapped(x, y) {
    this.point(this.under(x, y));
    this.open();
  }

  open() {
    const id = this.lit.column ?? this.lit.row;
    if (id !== null) this.page.open(id);
  }

  /** What is pointed at, in words. */
  say() {
    const { row, column } = this.lit;
    const summed = (/** @type {import("aiga/matrix.js").Sum} */ { others, count, gain }) =>
      `${counted(others, "other environment")} ${times(count)}, ${signed(gain)} in all.`;
    const { cells, rows: from, columns: into } = this.matrix;
    const pair = row !== null && column !== null ? cells.get(`${row}>${column}`) : undefined;
    const b = (/** @type {number|null} */ id) => h("b", {}, String(id));
    if (pair) {
      const more = pair.count === 1 ? `once, ${signed(pair.best)}`
        : `${times(pair.count)}, ${signed(pair.best)} at best, ${signed(pair.gain)} in all`;
      this.caption.replaceChildren("The agent of ", b(row), " moved into ", b(column), ` ${more}.`);
    } else if (row !== null && column === null) {
      const sum = from.get(row);
      this.caption.replaceChildren("The agents of ", b(row), sum ? ` helped ${summed(sum)}` : " helped nobody.");
    } else if (column !== null && row === null) {
      const sum = into.get(column);
      const said = sum ? ` took agents from ${summed(sum)}` : " never took an agent from elsewhere.";
      this.caption.replaceChildren(b(column), said);
    } else {
      this.caption.textContent = "Each square: the agent of one environment moved into another, because it did better "
        + "there than the one that lived in it. The stronger its colour, the "
        + `${this.measure === "count" ? "more often" : "more was gained"}; at the edges, the sums.`;
    }
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    /** @type {Record<string, () => void>} */
    const acts = { ".": () => this.walk(1), ",": () => this.walk(-1), Enter: () => this.open(),
      Escape: () => this.point({ row: null, column: null }), Home: () => this.look(false), End: () => this.look(true) };
    if (!acts[event.key]) return;
    acts[event.key]();
    event.preventDefault();
  }

  /** To the next pair, the strongest first. @param {number} by */
  walk(by) {
    const { measure, matrix, view, surface: { width, height } } = this;
    const order = [...matrix.pairs].sort((a, b) => b[measure] - a[measure]);
    if (!order.length) return;
    const at = order.findIndex(({ source, target }) => source === this.lit.row && target === this.lit.column);
    const pair = order[at < 0 ? 0 : (at + by + order.length) % order.length];
    this.point({ row: pair.source, column: pair.target });
    const [x, y] = [pair.target * view.sx + view.tx, pair.source * view.sx + view.ty];
    if (x < EDGES.left || x > width - EDGES.right - view.sx || y < EDGES.top || y > height - EDGES.bottom - view.sx) {
      view.move(width / 2 - x, height / 2 - y);
    }
  }
}

/** @param {number} gain */
const signed = (gain) => `${gain < 0 ? "−" : "+"}${Math.round(Math.abs(gain)).toLocaleString("en")}`;

/** @param {number} count */
const times = (count) => TIMES[count] ?? `${count.toLocaleString("en")} times`;
const TIMES = ["never", "once", "twice", ...["three", "four", "five", "six", "seven", "eight", "nine", "ten"]
  .map((number) => `${number} times`)];

/** @type {import("aiga/types.js").Panel} */
export default { title: "Transfers", mount };
