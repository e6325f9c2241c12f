/** The tree of environments: every environment ever admitted, by parent and time. */

import {
  Grounds, RULER, forgetPalette, paintFound, paintGrid, paintLineage, paintLives, paintNow, paintRuler,
  paintTransfers, palette, ribbonHeight, ring, seen,
} from "aiga/branches.js";
import { View, onTheme, surface } from "aiga/canvas.js";
import { button, counted, h, still, styled } from "aiga/dom.js";
import { Kept } from "aiga/kept.js";
import { Lanes, end } from "aiga/lanes.js";
import { listing } from "aiga/listing.js";

/**
 * @typedef {import("aiga/types.js").Page} Page
 * @typedef {import("aiga/types.js").Transfer} Transfer
 * @typedef {import("aiga/lanes.js").Life} Life
 * @typedef {{sx: number, tx: number, ty: number}} Place  where a view is; its height follows from its width
 */

const TALLEST = 64; // px of a lane
const STEEP = 0.42; // lanes grow by this power of what iterations grow by
const CROWD = 1500; // lives in view beyond which news are painted now and then
const NOW_AND_THEN = 4000; // ms
const FLIGHT = 0.6; // s
const ARROWS = 0.045; // transfers to a pixel of width, the strongest
const LATELY = 3.5; // lives, which "latest" shows
const LOWEST = 34; // px of a lane there: ribbons still show

styled(`
.tree-frame { height: clamp(340px, calc(100dvh - 300px), 900px); }
.tree-frame.compact { height: 300px; }
.tree-frame canvas { cursor: grab; border-radius: 10px; }
.tree-frame canvas:active { cursor: grabbing; }
.tree-frame canvas.over { cursor: pointer; }
.tree-frame canvas:focus-visible { outline-offset: -2px; }
.tree-caption { position: absolute; left: 0; top: 0; display: flex; flex-wrap: wrap; gap: 0 0.7em;
  align-items: baseline; pointer-events: none; background: var(--card); border-radius: 8px;
  border: 1px solid var(--line); box-shadow: var(--shade); padding: 0.35rem 0.6rem; font-size: 0.85rem;
  line-height: 1.4; max-width: 270px; font-variant-numeric: tabular-nums; }
.tree-caption[hidden] { display: none; }
.tree-caption span { white-space: nowrap; }
.tree-caption b { font: 600 1rem var(--serif); }
.tree-zoom { position: absolute; left: 8px; bottom: 8px; display: flex; flex-direction: column; gap: 4px; }
.tree-zoom button { width: 34px; padding: 0; line-height: 1; font-size: 1.1rem; box-shadow: var(--shade); }
.tree-legend { display: flex; flex-wrap: wrap; gap: 0.15rem 1.1rem; margin-top: 0.6rem; font-size: 0.86rem;
  color: var(--soft); }
.tree-legend span::before { content: ""; display: inline-block; width: 20px; height: 4px; border-radius: 2px;
  margin-right: 0.45rem; vertical-align: middle; background: var(--soft); opacity: 0.5; }
.tree-legend .active::before { background: var(--green); opacity: 1; }
.tree-legend .trunk::before { background: var(--violet); opacity: 1; }
.tree-legend .solved::before { background: var(--gold); opacity: 1; width: 8px; height: 8px; border-radius: 50%; }
.tree-legend .moved::before { background: var(--orange); opacity: 1; height: 2px; }
.tree-keys { font-size: 0.86rem; margin-top: 0.3rem; }
.tree-keys kbd { font: 0.95em ui-monospace, monospace; background: var(--raised); border-radius: 4px;
  padding: 0 0.35em; border: 1px solid var(--line); }
.tree-find { display: flex; gap: 0.5rem; align-items: center; }
.tree-find input { width: 15rem; max-width: 60vw; }
.tree-find output:empty { display: none; }
.tree-list { margin-top: 0.8rem; }
.tree-list summary { cursor: pointer; padding: 0.2rem 0; }
@media (max-width: 600px) {
  .tree-find { flex: 1 1 100%; }
  .tree-find input { flex: 1; }
  .tree-keys { display: none; }
}
`);

/** A view whose lanes grow more slowly than its iterations: lives get room for ribbons before lanes get huge. */
class Sight extends View {
  /** @param {HTMLElement} element @param {() => void} changed
   * @param {ConstructorParameters<typeof View>[2]} options @param {() => void} keep  keeps the tree in sight */
  constructor(element, changed, options, keep) {
    super(element, changed, options);
    this.keep = keep;
    this.fitted = { sx: 1, sy: 1 };
  }

  /** How tall a lane is. @param {number} sx  px an iteration */
  tall(sx) {
    const { fitted } = this;
    return Math.min(Math.max(fitted.sy * (sx / fitted.sx) ** STEEP, fitted.sy * 0.5), Math.max(TALLEST, fitted.sy));
  }

  /** How wide an iteration is where a lane is so tall. @param {number} sy  px */
  wide(sy) {
    return this.fitted.sx * (sy / this.fitted.sy) ** (1 / STEEP);
  }

  /** @param {number} dx @param {number} dy */
  move(dx, dy) {
    this.tx += dx;
    this.ty += dy;
    this.keep();
    this.changed();
  }

  /** @param {number} factor @param {number} x @param {number} y */
  zoom(factor, x, y) {
    const sx = Math.min(Math.max(this.sx * factor, this.least), this.most);
    const { tx, ty } = this;
    const taller = this.tall(sx) / this.sy;
    this.set({ sx, tx: x - ((x - tx) * sx) / this.sx, ty: y - (y - ty) * taller });
    this.keep();
    this.changed();
  }

  /** @param {Place} place */
  set({ sx, tx, ty }) {
    Object.assign(this, { sx, sy: this.tall(sx), tx, ty });
  }
}

/** @param {HTMLElement} host @param {Page} page @param {{compact: boolean, rest: string[]}} options */
function mount(host, page, { compact, rest }) {
  const tree = new Tree(page, compact);
  host.append(tree.header(), tree.frame, ...tree.below());
  tree.begin(host, rest[0]);
  return { update: (/** @type {any} */ change) => tree.update(change), leave: () => tree.leave() };
}

class Tree {
  /** @param {Page} page @param {boolean} compact */
  constructor(page, compact) {
    this.page = page;
    this.compact = compact;
    this.lanes = new Lanes();
    this.lanes.fill(page.world.environments.values());
    this.frame = h("div", { class: compact ? "frame tree-frame compact" : "frame tree-frame" });
    this.surface = surface(this.frame, (_, seconds) => this.draw(seconds), { label: "The tree of environments" });
    this.sight = new Sight(this.surface.element, () => this.moved(), {
      least: 1e-6, most: 60, free: compact,
      tap: (x, y) => this.tapped(x, y), hover: (x, y) => this.hovered(x, y),
    }, () => this.keep());
    this.kept = new Kept((...part) => this.paint(...part), () => this.surface.redraw(), () => this.now);
    this.grounds = new Grounds((id) => page.films.ground(id), () => this.kept.forget());
    this.mode = /** @type {"all"|"latest"|"free"} */ ("all");
    this.size = { width: 0, height: 0 };
    /** @type {Life|null} */
    this.over = null;
    /** @type {Life|null} */
    this.chosen = null;
    /** @type {Life[]|null} null while nothing is searched for */
    this.found = null;
    this.transfers = false;
    this.veil = 0;
    this.last = 0;
    /** @type {{from: Place, to: Place, begun: number}|null} */
    this.flight = null;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    this.later = undefined;
    this.listed = 0;
    /** @type {import("aiga/types.js").Environment|null} */
    this.captioned = null;
    this.caption = h("div", { class: "tree-caption", hidden: true });
    this.spoken = h("div", { class: "hidden", role: "status" });
    this.parts();
    this.endTheme = onTheme(() => (forgetPalette(), this.kept.forget()));
  }

  get now() {
    return this.page.world.iteration;
  }

  // -- parts of the page --------------------------------------------------------------------------------------

  parts() {
    const { element } = this.surface;
    // Beside other panels a finger that moves up or down scrolls the page.
    if (this.compact) element.style.touchAction = "pan-y";
    element.setAttribute("role", "application");
    element.setAttribute("aria-roledescription", "tree");
    element.addEventListener("keydown", (event) => this.key(event));
    element.addEventListener("pointerleave", () => this.point(null));
    const zoom = (/** @type {number} */ by) => this.sight.zoom(by, this.size.width / 2, this.size.height / 2);
    this.frame.append(this.caption, this.spoken, h("div", { class: "tree-zoom" },
      button("+", () => zoom(1.6), { "aria-label": "closer" }),
      button("−", () => zoom(1 / 1.6), { "aria-label": "further away" })));
    this.all = button("whole tree", () => this.turn("all"), { "aria-pressed": "true" });
    this.latest = button("latest", () => this.turn("latest"), { "aria-pressed": "false" });
    this.arrows = button("transfers", () => this.toggle(), { "aria-pressed": "false",
      title: "who handed an agent to whom: the strongest in view" });
    this.query = h("input", { type: "search", "aria-label": "find environments",
      placeholder: "17, solved, active, >250",
      title: "ids, solved, unsolved, active, archived, >250 or <100 (score), from:17 (what came from it)",
      oninput: () => this.search(), onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key === "Enter") this.step(event.shiftKey ? -1 : 1);
      } });
    this.count = h("output", { class: "soft" });
    this.list = listing("environments", [
      { name: "id", title: "id", value: (row) => row.id, open: (row) => this.page.open(row.id) },
      { name: "parent", title: "parent", value: (row) => row.parent, text: (row) => String(row.parent ?? "–"),
        open: (row) => this.page.open(row.parent) },
      { name: "born", title: "born", value: (row) => row.born },
      { name: "ended", title: "archived", value: (row) => row.ended,
        text: (row) => row.ended?.toLocaleString("en") ?? "active" },
      { name: "solved", title: "solved", value: (row) => row.solved },
      { name: "score", title: "score", value: (row) => row.score, text: (row) => row.score?.toFixed(1) ?? "–" },
    ], () => (this.found ?? [...this.lanes.lives.values()]).map((life) => life.about), "id");
    this.details = h("details", { class: "tree-list", ontoggle: () => this.details?.open && this.list?.fill() },
      h("summary", {}, "As a list"), this.list.element);
  }

  header() {
    const tools = h("div", { class: "tools" },
      this.compact ? null : h("div", { class: "tree-find" }, this.query ?? null, this.count ?? null),
      this.all, this.latest,
      this.compact ? button("open ›", () => this.page.go("tree"), { "aria-label": "open the tree" }) : this.arrows);
    this.summary = h("span", { class: "soft" });
    return h("header", {}, h("h2", {}, "Tree"), this.summary, tools);
  }

  /** @returns {HTMLElement[]} */
  below() {
    const key = (/** @type {string} */ name, /** @type {string} */ words) => h("span", { class: name }, words);
    const legend = h("div", { class: "tree-legend" }, key("active", "active"),
      key("trunk", "archived, lives on in others"), key("gone", "archived, died out"), key("solved", "first solved"));
    if (this.compact) return [legend];
    legend.append(key("moved", "agent handed over"));
    const keys = h("p", { class: "tree-keys soft", id: "tree-keys" });
    for (const [name, words] of [["[", "parent"], ["]", "child"], [", .", "one before, after"], ["Enter", "open"],
      ["/", "find"], ["arrows + −", "move"], ["Home", "whole tree"], ["End", "latest"], ["Esc", "let go"]]) {
      keys.append(h("kbd", {}, name), ` ${words}\u2002 `);
    }
    this.surface.element.setAttribute("aria-describedby", "tree-keys");
    return [legend, keys, this.details ?? h("div")];
  }

  /** @param {HTMLElement} host @param {string|undefined} id  of the environment to begin with */
  begin(host, id) {
    this.host = host;
    this.tell();
    const life = id === undefined ? undefined : this.lanes.lives.get(Number(id));
    if (life) this.chosen = life;
    this.sought = life ?? null; // flown to once the size is known
    this.surface.redraw();
  }

  /** What the heading and the canvas say. */
  tell() {
    const solved = [...this.lanes.lives.values()].filter((life) => life.about.solved !== null).length;
    const words = `${counted(this.lanes.lives.size, "environment")}, ${this.lanes.active.size} active, `
      + `${solved.toLocaleString("en")} solved`;
    if (this.summary && this.summary.textContent !== words) this.summary.textContent = words;
    this.surface.element.setAttribute("aria-label", `The tree of environments: ${words}. As a list below.`);
  }

  // -- the run goes on ----------------------------------------------------------------------------------------

  /** @param {import("aiga/world.js").Change} change */
  update(change) {
    const turned = this.lanes.take(change.environments);
    if (turned || change.environments.length) this.tell();
    if (this.query?.value && turned) this.search();
    if (!this.flight) this.follow();
    this.refresh();
    this.relist();
    this.surface.redraw();
  }

  /** A bitmap of few lives is painted again at once, one of many now and then. */
  refresh() {
    if (seen(this.lanes, { ...this.sight, ...this.size }, this.now).length <= CROWD) this.kept.forget();
    else this.later ??= setTimeout(() => {
      this.later = undefined;
      this.kept.forget();
    }, NOW_AND_THEN);
  }

  relist() {
    if (!this.details?.open || performance.now() - this.listed < NOW_AND_THEN) return;
    this.listed = performance.now();
    if (!this.details.contains(document.activeElement)) this.list?.fill();
  }

  leave() {
    clearTimeout(this.later);
    this.kept.close();
    this.endTheme();
    this.surface.close();
  }

  // -- where one looks ----------------------------------------------------------------------------------------

  /** How wide the tree is, in iterations. */
  span() {
    const first = Math.min(this.lanes.first, this.now);
    return { first, long: Math.max(this.now - first, 12) };
  }

  /** @returns {Place} with the whole tree in sight */
  whole() {
    const { width, height } = this.size;
    const { first, long } = this.span();
    const { top, bottom } = this.lanes;
    const sx = (width - 16 - (this.compact ? 34 : 52)) / long;
    const sy = Math.min((height - RULER - 12) / (bottom - top + 1.2), TALLEST);
    this.sight.fitted = { sx, sy };
    this.sight.least = Math.min(sx * 0.6, this.sight.most);
    return { sx, tx: 16 - first * sx, ty: RULER + (height - RULER) / 2 - ((top + bottom) / 2) * sy };
  }

  /** @returns {Place} with the active environments, at the right */
  recent() {
    const all = this.whole();
    const lives = [...this.lanes.active];
    const mean = lives.reduce((sum, { about }) => sum + 2 * (this.now - about.born), 0) / Math.max(lives.length, 1);
    const room = this.size.height - RULER;
    const lanes = lives.map(({ lane }) => lane).sort((a, b) => a - b);
    const low = Math.max(room / ((lanes[lanes.length - 1] ?? 0) - (lanes[0] ?? 0) + 2), LOWEST);
    const wanted = Math.min((this.size.width - 52) / (LATELY * Math.max(mean, 4)), this.sight.wide(low));
    const sx = Math.max(Math.min(wanted, this.sight.most), all.sx);
    const sy = this.sight.tall(sx);
    // The most lanes in one sight, where not all of them have room.
    let [best, middle] = [0, lanes[lanes.length >> 1] ?? 0];
    for (const low of lanes) {
      const count = lanes.filter((lane) => lane >= low && lane < low + room / sy - 1).length;
      if (count > best) [best, middle] = [count, low + Math.min(room / sy - 1, lanes[lanes.length - 1] - low) / 2];
    }
    return { sx, tx: this.size.width - 52 - this.now * sx, ty: RULER + room / 2 - middle * sy };
  }

  /** @param {"all"|"latest"} mode */
  turn(mode) {
    this.fly(mode === "all" ? this.whole() : this.recent());
    this.be(mode);
  }

  /** @param {Tree["mode"]} mode */
  be(mode) {
    this.mode = mode;
    this.all?.setAttribute("aria-pressed", String(mode === "all"));
    this.latest?.setAttribute("aria-pressed", String(mode === "latest"));
  }

  /** Goes along with the run. */
  follow() {
    if (!this.size.width || this.mode === "free") return;
    if (this.mode === "all") this.sight.set(this.whole());
    else this.sight.set({ sx: this.sight.sx, tx: this.size.width - 52 - this.now * this.sight.sx, ty: this.sight.ty });
  }

  /** The visitor moved the view. */
  moved() {
    this.flight = null;
    this.be("free");
    this.surface.redraw();
  }

  /** Keeps some of the tree in sight. */
  keep() {
    const { sight, size } = this;
    const { first } = this.span();
    sight.tx = held(sight.tx, 0.3 * size.width - this.now * sight.sx, 0.7 * size.width - first * sight.sx);
    const { top, bottom } = this.lanes;
    sight.ty = held(sight.ty, 0.4 * size.height - bottom * sight.sy, 0.6 * size.height - top * sight.sy);
  }

  /** @param {Place} to */
  fly(to) {
    if (still()) {
      this.sight.set(to);
      this.surface.redraw();
      return;
    }
    const { sx, tx, ty } = this.sight;
    this.flight = { from: { sx, tx, ty }, to, begun: -1 };
    this.surface.animate(true);
  }

  /** @param {number} seconds */
  wing(seconds) {
    const { flight, sight, size } = this;
    if (!flight) return;
    if (flight.begun < 0) flight.begun = seconds;
    const part = Math.min((seconds - flight.begun) / FLIGHT, 1);
    const eased = part * part * (3 - 2 * part);
    const { from, to } = flight;
    const mix = (/** @type {number} */ a, /** @type {number} */ b) => a + (b - a) * eased;
    const sx = Math.exp(mix(Math.log(from.sx), Math.log(to.sx)));
    // The middle of the screen moves evenly over the plane as it comes closer.
    const middle = (/** @type {Place} */ { sx: s, tx }) => (size.width / 2 - tx) / s;
    const level = (/** @type {Place} */ { sx: s, ty }) => (size.height / 2 - ty) / sight.tall(s);
    const [share, x0, x1] = [weight(from.sx, to.sx, sx, eased), middle(from), middle(to)];
    const lane = level(from) + (level(to) - level(from)) * share;
    sight.set({ sx, tx: size.width / 2 - (x0 + (x1 - x0) * share) * sx, ty: size.height / 2 - lane * sight.tall(sx) });
    if (part < 1) return;
    sight.set(to);
    this.flight = null;
    this.surface.animate(false);
  }

  /** Brings a life into sight; `near` so that its ribbon shows. @param {Life} life @param {boolean} near */
  goTo(life, near) {
    const { sight, size } = this;
    const long = Math.max(end(life, this.now) - life.about.born, 1);
    const least = Math.min(130 / long, sight.most);
    const sx = near ? Math.max(sight.sx, Math.min(least, (0.8 * size.width) / long)) : sight.sx;
    const sy = sight.tall(sx);
    const middle = (life.about.born + end(life, this.now)) / 2;
    const { first } = this.span();
    const place = {
      sx,
      tx: held(size.width / 2 - middle * sx, size.width - 52 - this.now * sx, 16 - first * sx),
      ty: held(RULER + (size.height - RULER) / 2 - life.lane * sy, size.height - 12 - (this.lanes.bottom + 0.6) * sy,
        RULER - (this.lanes.top - 0.6) * sy),
    };
    const [x, y] = [middle * sight.sx + sight.tx, life.lane * sight.sy + sight.ty];
    if (sx === sight.sx && x > 50 && x < size.width - 50 && y > RULER + 20 && y < size.height - 20) return;
    this.be("free");
    this.fly(place);
  }

  // -- drawing ------------------------------------------------------------------------------------------------

  /** @param {number} seconds */
  draw(seconds) {
    const { context: c, element, width, height } = this.surface;
    if (width !== this.size.width || height !== this.size.height) this.resize(width, height);
    this.wing(seconds);
    const { sx, sy, tx, ty } = this.sight;
    const sight = { sx, sy, tx, ty, width, height };
    c.clearRect(0, 0, width, height);
    paintGrid(c, sight, this.now);
    this.kept.show(c, sight, element.width / width);
    paintNow(c, sight, this.lanes, this.kept.bitmap?.stamp ?? 0, this.now);
    this.highlight(c, sight, seconds);
    paintRuler(c, sight, this.now);
    this.placeCaption(sight);
    this.last = seconds;
  }

  /** @param {number} width @param {number} height */
  resize(width, height) {
    this.size = { width, height };
    if (this.mode === "all" || !this.sought) this.sight.set(this.whole());
    if (this.mode === "latest") this.sight.set(this.recent());
    if (this.sought) {
      this.goTo(this.sought, true);
      this.say(this.sought);
      this.sought = null;
    }
  }

  /** @param {CanvasRenderingContext2D} c @param {import("aiga/kept.js").Sight} sight @param {number} now */
  * paint(c, sight, now) {
    yield* paintLives(c, sight, seen(this.lanes, sight, now), now, this.grounds);
    if (this.transfers) paintTransfers(c, sight, this.lanes, this.strongest(sight), this.best());
  }

  /** @param {import("aiga/kept.js").Sight} sight @returns {Transfer[]} */
  strongest(sight) {
    // Arrows bulge to the right.
    const [from, to] = [(-45 - sight.tx) / sight.sx, (sight.width + 8 - sight.tx) / sight.sx];
    const some = this.page.world.transfers.filter(({ iteration, gain }) =>
      iteration >= from && iteration <= to && (gain ?? 0) > 0);
    return some.sort((a, b) => (b.gain ?? 0) - (a.gain ?? 0)).slice(0, ARROWS * sight.width).reverse();
  }

  best() {
    return Math.max(this.page.world.metrics.best_transfer ?? 0, 1);
  }

  /** Veils what is not meant while something is pointed at, chosen or searched for. @param {CanvasRenderingContext2D} c
   * @param {import("aiga/kept.js").Sight} sight @param {number} seconds */
  highlight(c, sight, seconds) {
    const life = this.over ?? this.chosen;
    const wanted = life || this.found ? 0.72 : 0;
    const step = still() ? 1 : Math.min(1, Math.max(seconds - this.last, 0.016) * 14);
    this.veil = Math.abs(wanted - this.veil) < 0.02 ? wanted : this.veil + (wanted - this.veil) * step;
    if (this.veil !== wanted) this.surface.redraw();
    if (!this.veil) return;
    c.globalAlpha = this.veil;
    c.fillStyle = palette().raised;
    c.fillRect(0, 0, sight.width, sight.height);
    c.globalAlpha = 1;
    if (this.found) paintFound(c, sight, this.found, this.now, this.grounds);
    if (this.found && this.found.length > 1 && !this.over && life) ring(c, sight, life, this.now);
    else if (life) this.related(c, sight, life);
  }

  /** A life's lineage and transfers. @param {CanvasRenderingContext2D} c @param {import("aiga/kept.js").Sight} sight
   * @param {Life} life */
  related(c, sight, life) {
    paintLineage(c, sight, life, this.now, this.grounds);
    const own = this.page.world.transfers.filter(({ source, target }) => source === life.id || target === life.id);
    paintTransfers(c, sight, this.lanes, own, this.best());
  }

  /** @param {import("aiga/kept.js").Sight} sight */
  placeCaption(sight) {
    const life = this.over ?? this.chosen;
    this.caption.hidden = !life;
    if (!life) return;
    if (this.captioned !== life.about) {
      this.captioned = life.about;
      this.caption.replaceChildren(h("b", {}, String(life.id)), ...facts(life).map((fact) => h("span", {}, fact)));
    }
    const [wide, tall] = [this.caption.offsetWidth, this.caption.offsetHeight];
    const [from, to] = [life.about.born, end(life, this.now)].map((at) => at * sight.sx + sight.tx);
    const x = Math.min(Math.max(Math.max(from, 0) - 4, 8), sight.width - wide - 50);
    const middle = life.lane * sight.sy + sight.ty;
    const room = ribbonHeight(sight) / 2 + 12;
    const above = middle - room - tall;
    const y = above > RULER ? above : Math.min(middle + room, sight.height - tall - 6);
    const outside = to < 0 || from > sight.width || middle < 0 || middle > sight.height;
    this.caption.hidden = outside;
    this.caption.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
  }

  // -- pointing, keys, searching ------------------------------------------------------------------------------

  /** @param {number} x @param {number} y  px @returns {Life|null} */
  under(x, y) {
    const { sx, sy, tx, ty } = this.sight;
    if (y < RULER) return null;
    const lane = (y - ty) / sy;
    const reach = Math.max(Math.ceil(7 / sy - 0.5), 0); // lanes within a finger's breadth
    for (let off = 0; off <= reach; off++) {
      for (const each of off ? [lane - off, lane + off] : [lane]) {
        const life = this.lanes.at((x - tx) / sx, each, 7 / sx, this.now);
        if (life) return life;
      }
    }
    return null;
  }

  /** @param {number} x @param {number} y */
  hovered(x, y) {
    this.point(this.under(x, y));
  }

  /** @param {Life|null} life */
  point(life) {
    if (life === this.over) return;
    this.over = life;
    this.surface.element.classList.toggle("over", life !== null);
    this.surface.redraw();
  }

  /** @param {number} x @param {number} y */
  tapped(x, y) {
    const life = this.under(x, y);
    this.choose(life, false);
    if (life) this.page.open(life.id);
  }

  /** @param {Life|null} life @param {boolean} near */
  choose(life, near) {
    this.chosen = life;
    this.over = null;
    if (life) {
      this.goTo(life, near);
      this.say(life);
    }
    this.surface.redraw();
  }

  /** @param {Life} life */
  say(life) {
    this.spoken.textContent = `environment ${life.id}: ${facts(life).join(", ")}`;
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const at = this.chosen;
    const all = this.lanes.lives;
    const youngest = [...this.lanes.active].pop() ?? [...all.values()].pop() ?? null;
    const near = (/** @type {number} */ by) => (at ? all.get(at.id + by) : null);
    /** @type {Record<string, () => void>} */
    const acts = {
      "[": () => this.choose(at ? (at.parent ?? at) : youngest, false),
      "]": () => this.choose(at ? (at.children[0] ?? at) : youngest, false),
      ",": () => this.choose(near(-1) ?? at ?? youngest, false),
      ".": () => this.choose(near(1) ?? at ?? youngest, false),
      Enter: () => at && this.page.open(at.id),
      "/": () => this.query?.focus(),
      Home: () => this.turn("all"),
      End: () => this.turn("latest"),
      Escape: () => this.clear(),
    };
    if (!acts[event.key]) return;
    acts[event.key]();
    event.preventDefault();
  }

  clear() {
    if (this.query) this.query.value = "";
    this.search();
    this.choose(null, false);
  }

  toggle() {
    this.transfers = !this.transfers;
    this.arrows?.setAttribute("aria-pressed", String(this.transfers));
    this.kept.forget();
  }

  search() {
    const text = this.query?.value.trim() ?? "";
    const fits = text ? asked(text) : null;
    this.found = fits ? [...this.lanes.lives.values()].filter(fits) : null;
    const said = this.found ? `${this.found.length.toLocaleString("en")} found` : text ? "?" : "";
    if (this.count) this.count.textContent = said;
    if (this.found?.length === 1) this.choose(this.found[0], true);
    if (this.details?.open) this.list?.fill();
    this.surface.redraw();
  }

  /** To the next of those found. @param {number} by */
  step(by) {
    const { found } = this;
    if (!found?.length) return;
    const at = this.chosen ? found.indexOf(this.chosen) : -1;
    const next = at < 0 ? (by > 0 ? 0 : found.length - 1) : (at + by + found.length) % found.length;
    this.choose(found[next], true);
  }
}

/** @param {number} at @param {number} low @param {number} high  which may come the other way round */
function held(at, low, high) {
  return Math.min(Math.max(at, Math.min(low, high)), Math.max(low, high));
}

/** How much of the way the middle has gone when the scale has come to `sx`. @param {number} from @param {number} to
 * @param {number} sx @param {number} eased */
function weight(from, to, sx, eased) {
  const apart = 1 / to - 1 / from;
  return Math.abs(apart * from) < 1e-3 ? eased : (1 / sx - 1 / from) / apart;
}

/** What there is to say of a life. @param {Life} life */
function facts({ about, children }) {
  const at = (/** @type {number} */ iteration) => `at ${iteration.toLocaleString("en")}`;
  const said = [about.score === null ? "no score" : `score ${about.score.toFixed(0)}`];
  said.push(`born ${at(about.born)}${about.parent === null ? "" : ` from ${about.parent}`}`);
  if (about.solved !== null) said.push(`solved ${at(about.solved)}`);
  said.push(about.ended === null ? "active" : `archived ${at(about.ended)}`);
  if (children.length) said.push(children.length === 1 ? "1 child" : `${children.length} children`);
  return said;
}

/**
 * What a search asks for; null where it cannot be understood. Ids are alternatives, everything else must hold.
 * @param {string} text @returns {((life: Life) => boolean)|null}
 */
export function asked(text) {
  /** @type {((life: Life) => boolean)[]} */
  const all = [];
  const ids = new Set();
  for (const word of text.toLowerCase().split(/[\s;]+/).filter(Boolean)) {
    const [, sign, bound] = /^([<>])(-?\d+(?:\.\d+)?)$/.exec(word) ?? [];
    const [, origin] = /^from:(\d+)$/.exec(word) ?? [];
    if (/^\d+$/.test(word)) ids.add(Number(word));
    else if (sign) all.push(({ about: { score: s } }) => s !== null && Math.sign(s - Number(bound)) === SIGNS[sign]);
    else if (origin) all.push((life) => comesFrom(life, Number(origin)));
    else if (STATES[word]) all.push(STATES[word]);
    else return null;
  }
  if (ids.size) all.push(({ id }) => ids.has(id));
  return (life) => all.every((fits) => fits(life));
}

/** @type {Record<string, number>} */
const SIGNS = { ">": 1, "<": -1 };

/** @type {Record<string, (life: Life) => boolean>} */
const STATES = {
  active: ({ about }) => about.ended === null,
  archived: ({ about }) => about.ended !== null,
  solved: ({ about }) => about.solved !== null,
  unsolved: ({ about }) => about.solved === null,
};

/** @param {Life} life @param {number} id */
function comesFrom(life, id) {
  for (let each = life.parent; each; each = each.parent) if (each.id === id) return true;
  return false;
}

/** @type {import("aiga/types.js").Panel} */
export default { title: "Tree", mount };
