/** The frame: which run, which panel, and what is kept up to date. */

import { beGentle, onPresence, sleeping } from "aiga/awake.js";
import { button, counted, h, lasting, short } from "aiga/dom.js";
import { Films } from "aiga/films.js";
import { sheet } from "aiga/sheet.js";
import { fromFile, fromServer } from "aiga/source.js";
import { World } from "aiga/world.js";

/**
 * @typedef {import("aiga/types.js").Panel} Panel
 * @typedef {import("aiga/types.js").Mounted} Mounted
 */

const HOME = ["today", "menagerie", "tree", "programs"]; // what the first view shows beside each other
const root = /** @type {HTMLElement} */ (document.getElementById("page"));
const kept = document.getElementById("recorded");
const source = kept ? fromFile(JSON.parse(kept.textContent ?? "{}")) : fromServer();

/** @type {{name: string, page: any, panels: string[], close: () => void}|null} */
let open = null;
/** @type {Mounted[]} */
let mounted = [];
let turn = 0; // of navigation; what was asked for before the last one is not shown any more

const brand = h("a", { class: "brand", href: "#/" }, "aiga");
const where = h("a", { class: "where" });
const state = h("span", { class: "state" });
const spoken = h("span", { class: "hidden", role: "status" });
const nav = h("nav", { "aria-label": "Parts of the page" });
const theme = button("◐", turnTheme, { class: "plain", title: "light or dark", "aria-label": "light or dark" });
const rest = button("☾", turnRest, { class: "plain", hidden: true });
const main = h("main", { tabIndex: -1 });
const side = h("div");
root.replaceChildren(h("header", { class: "top" }, brand, where, state, spoken, nav, rest, theme), main, side);

applyTheme();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
addEventListener("hashchange", show);
show();

function applyTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  document.documentElement.dataset.theme = remembered("aiga:theme") ?? system;
}

function turnTheme() {
  remember("aiga:theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  applyTheme();
}

/** Whether the page may fall asleep beside a run on its machine: it does, unless somebody wants to watch. */
const watches = () => remembered("aiga:watch") === "yes";

function turnRest() {
  remember("aiga:watch", watches() ? "no" : "yes");
  if (open) say(open.page.world);
}

/** @param {string} name */
function remembered(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null; // a file opened from a disk may have no storage
  }
}

/** @param {string} name @param {string} value */
function remember(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // nothing to remember with
  }
}

/** Shows what the address says: #/RUN/PANEL/..., #/RUN, or #/ for the list of runs. */
async function show() {
  const mine = ++turn;
  leave();
  side.replaceChildren();
  try {
    const [name = "", panel = "", ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decoded);
    if (!name) {
      close();
      await showRuns(mine);
      return;
    }
    if (open?.name !== name) {
      close();
      main.replaceChildren(h("p", { class: "soft" }, `opening ${name} …`));
      const found = await openRun(name);
      if (mine !== turn) {
        found.close();
        return;
      }
      open = found;
    }
    await showPanels(open, panel, rest, mine);
  } catch (error) {
    if (mine === turn) main.replaceChildren(h("p", { class: "note bad", role: "alert" }, String(/** @type {Error} */ (error).message)));
    if (!(error instanceof Error)) throw error;
  }
}

/** @param {string} part  of an address */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Error(`no such address: ${part}`);
  }
}

function leave() {
  for (const each of mounted) each.leave?.();
  mounted = [];
}

function close() {
  open?.close();
  open = null;
  nav.replaceChildren();
  state.textContent = spoken.textContent = where.textContent = "";
  delete state.dataset.state;
}

/** @param {number} mine */
async function showRuns(mine) {
  document.title = "aiga";
  const { runs, folder } = await source.get("runs");
  if (mine !== turn) return;
  const begun = runs.filter((/** @type {any} */ run) => run.begun);
  if (begun.length === 1 && runs.length === 1) {
    location.replace(`#/${encodeURIComponent(begun[0].name)}`);
    return;
  }
  begun.sort((/** @type {any} */ a, /** @type {any} */ b) => (b.running - a.running) || (b.at ?? 0) - (a.at ?? 0));
  const cards = begun.map((/** @type {any} */ run) =>
    h("a", { class: "card", href: `#/${encodeURIComponent(run.name)}` },
      h("h3", {}, run.name),
      h("span", { class: "state", "data-state": run.running ? "running" : "still" },
        run.running ? "running" : run.at ? `rested ${lasting(Date.now() / 1000 - run.at)} ago` : "at rest"),
      h("span", { class: "soft" }, `${run.system}, seed ${run.seed}, iteration ${run.iteration.toLocaleString("en")}`),
      h("span", {}, inBrief(run))));
  const broken = runs.filter((/** @type {any} */ run) => !run.begun);
  main.replaceChildren(h("div", {},
    h("h1", {}, "Runs"),
    h("p", { class: "soft" }, runs.length ? `in ${folder}` : `none in ${folder} yet: aiga run poet --minutes 10`),
    h("div", { class: "runs", style: { marginTop: "1rem" } }, cards),
    broken.length ? h("p", { class: "soft", style: { marginTop: "1rem" } },
      broken.map((/** @type {any} */ run) => `${run.name}: ${run.error ?? "has not begun"}`).join("; ")) : null));
}

/** What a run has come to, in a line. @param {any} run */
function inBrief(run) {
  const { steps, individuals, best } = run.metrics;
  const parts = [
    run.environments && `${counted(run.environments, "environment")}, ${run.solved} solved`,
    steps && `${short(steps)} steps`,
    individuals && `${short(individuals)} individuals, best ${best?.toFixed(4)}`,
  ];
  return parts.filter(Boolean).join(", ") || "nothing yet";
}

/** @param {string} name */
async function openRun(name) {
  const path = `runs/${encodeURIComponent(name)}`;
  const [told, snapshot] = await Promise.all([source.get(path), source.get(`${path}/environments`)]);
  const world = new World(told, snapshot);
  /** @type {import("aiga/types.js").Page} */
  const page = {
    source, world, recorded: source.recorded,
    films: new Films(source, encodeURIComponent(name)),
    path,
    // Runs of different folders may have one name, and are shown at one address.
    key: (what) => `aiga:${what}:${told.identity ?? name}`,
    go: (...parts) => {
      location.hash = `#/${[name, ...parts].map((part) => encodeURIComponent(String(part))).join("/")}`;
    },
    open: (id) => sheet(side, page, id),
    remembered, remember,
  };
  const panels = told.panels.filter((/** @type {string} */ panel) => /^[a-z][a-z0-9-]*$/.test(panel));
  // The kinds of events that panels want are known once they are loaded.
  /** @type {Panel[]} */
  const modules = await Promise.all(panels.map((/** @type {string} */ panel) => load(panel)));
  const kinds = [...new Set(modules.flatMap((module) => module.kinds ?? []))];
  const unwatch = onPresence(() => say(world));
  const end = source.feed(encodeURIComponent(name), () => world.iteration, kinds, {
    change(said) {
      if (said.identity !== told.identity) {
        // Another run has this name now: all that the page knows is of the one before.
        close();
        show();
        return;
      }
      const change = world.apply(said);
      for (const { id } of change.environments) page.films.forget(id);
      for (const each of mounted) {
        try {
          each.update?.(change);
        } catch (error) {
          console.error(error); // one part's fault is not that of the others
        }
      }
      say(world);
    },
    state(connected) {
      world.connected = connected;
      say(world);
    },
  });
  say(world);
  const ended = () => {
    unwatch();
    beGentle(false);
    end();
  };
  return { name, page, panels, close: ended };
}

/** @param {string} panel @returns {Promise<Panel>} */
async function load(panel) {
  return (await import(`aiga/panels/${panel}.js`)).default;
}

/** @param {World} world */
function say(world) {
  const beside = !source.recorded && world.running && ["127.0.0.1", "localhost", "[::1]"].includes(location.hostname);
  beGentle(beside && !watches());
  rest.hidden = !beside;
  rest.setAttribute("aria-pressed", String(!watches()));
  rest.title = watches() ? "goes on drawing, which slows the run; click to let it rest when nobody is there"
    : "rests when nobody is there, so that the run is not slowed; click to keep it moving";
  rest.setAttribute("aria-label", rest.title);
  const now = source.recorded ? "recorded" : sleeping() ? "asleep" : !world.connected ? "lost" : world.running ? "running" : "still";
  const words = { recorded: "a file of the run", lost: "no connection; trying again", running: "running",
    still: "at rest", asleep: "resting beside the run; move to wake it" };
  state.dataset.state = now;
  const text = `${words[now]} · iteration ${world.iteration.toLocaleString("en")}`;
  if (state.textContent !== text) state.textContent = text;
  // Said aloud is a change of state, not every iteration.
  if (spoken.textContent !== words[now]) spoken.textContent = words[now];
}

/** @param {NonNullable<typeof open>} run @param {string} panel @param {string[]} rest @param {number} mine */
async function showPanels(run, panel, rest, mine) {
  const home = HOME.filter((name) => run.panels.includes(name));
  if (panel && !run.panels.includes(panel)) throw new Error(`no part ${panel}: there is ${run.panels.join(", ")}`);
  const names = panel ? [panel] : home.length ? home : run.panels.slice(0, 1);
  const modules = await Promise.all(run.panels.map(load));
  if (mine !== turn) return;
  const titled = run.panels.map((name, i) => ({ name, title: modules[i].title, module: modules[i] }));
  document.title = `${run.name} – aiga`;
  where.textContent = run.name;
  where.href = `#/${encodeURIComponent(run.name)}`;
  const link = (/** @type {string} */ name, /** @type {string} */ title, /** @type {boolean} */ here) =>
    h("a", { href: `#/${encodeURIComponent(run.name)}${name && `/${name}`}`, "aria-current": here ? "page" : false }, title);
  nav.replaceChildren(link("", "Home", !panel), ...titled.map(({ name, title }) => link(name, title, name === panel)));
  const title = h("h1", { class: "hidden" }, `${run.name}: ${titled.find(({ name }) => name === panel)?.title ?? "home"}`);
  const hosts = names.map((name) => h("section", { class: `card ${name}`, "aria-label": titled.find((each) => each.name === name)?.title }));
  const columns = () => h("div", { class: "home" }, h("div", {}, hosts[0]), h("div", {}, hosts.slice(1)));
  main.replaceChildren(title, names.length > 1 ? columns() : hosts[0]);
  for (const [i, name] of names.entries()) {
    const module = titled.find((each) => each.name === name)?.module;
    if (!module) continue;
    mounted.push(module.mount(hosts[i], run.page, { compact: !panel, rest }));
  }
}
