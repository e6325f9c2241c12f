/** The workshop: a course made by hand, agents that try it, and the way into the run. */

import { onTheme } from "aiga/canvas.js";
import { flat, read, recognised } from "aiga/courses.js";
import { button, counted, h, styled } from "aiga/dom.js";
import { Draft } from "aiga/workshop/draft.js";
import { editor, places } from "aiga/workshop/editor.js";
import { listed } from "aiga/workshop/list.js";
import { icon } from "aiga/workshop/icon.js";
import { sending } from "aiga/workshop/send.js";
import { watch } from "aiga/workshop/watch.js";

/**
 * @typedef {import("aiga/types.js").Page} Page
 * @typedef {import("aiga/workshop/editor.js").Tool} Tool
 */

/** The tools: their key, what they are called, what they do, and a line that draws them in 24 by 24.
 * @type {[Tool, string, string, string, string][]} */
const TOOLS = [
  ["hand", "v", "Move", "Drag the ground to look around, an obstacle to move it.",
    "M3 12h18M3 12l4-4M3 12l4 4M21 12l-4-4M21 12l-4 4"],
  ["stump", "s", "Stump", "Tap to put a stump down; drag up for a higher one.", "M2 19h7V7h6v12h7"],
  ["gap", "g", "Gap", "Tap to cut a gap; drag to the right for a wider one.", "M2 9h6v11h8V9h6"],
  ["up", "u", "Stairs up", "Tap for stairs; drag to the right for more steps, up for higher ones.",
    "M2 20h5v-5h5v-5h5V5h5"],
  ["down", "d", "Stairs down", "Tap for stairs; drag to the right for more steps, down for deeper ones.",
    "M2 5h5v5h5v5h5v5h5"],
  ["line", "l", "Draw", "Draw the line of the ground; what stands on it moves along.",
    "M3 20c3 0 3-9 7-9s4 6 11-4M15 4l5 3"],
  ["rough", "r", "Roughen", "Brush over the ground; again for rougher.", "M2 16l3-5 3 6 3-8 3 7 3-5 2 4 3-3"],
  ["level", "e", "Level", "Brush over what shall go; the ground there becomes straight.",
    "M9 20l-6-6L13 4l7 7-9 9H9zM8 9l7 7M11 20h10"],
];

styled(`
  .workshop .lead { max-width: 62ch; }
  .workshop .bench { display: grid; gap: 1.1rem 1.4rem; grid-template: "work side" auto "list side" 1fr
    / minmax(0, 1fr) 330px; align-items: start; }
  .workshop .work { grid-area: work; }
  .workshop .side { grid-area: side; }
  .workshop .bench > .listed { grid-area: list; min-width: 0; }
  .workshop .work, .workshop .side, .workshop .side > section { display: grid; gap: 0.6rem; align-content: start;
    min-width: 0; }
  .workshop .side { gap: 1.3rem; }
  .workshop .palette { display: flex; flex-wrap: wrap; gap: 0.35rem; align-items: stretch; }
  .workshop .palette button { display: grid; justify-items: center; gap: 0.1rem; padding: 0.35rem 0.55rem;
    min-width: 62px; font-size: 0.82rem; line-height: 1.2; }
  .workshop .history { display: flex; gap: 0.35rem; margin-left: auto; align-items: stretch; }
  .workshop .place { height: clamp(250px, 46vh, 520px); }
  .workshop .place canvas { touch-action: none; }
  .workshop .place canvas:focus-visible { outline-offset: -3px; }
  .workshop .zoom { position: absolute; right: 8px; top: 8px; display: flex; gap: 4px; }
  .workshop .zoom button { padding: 0; width: 34px; opacity: 0.9; }
  .workshop .strip { height: 64px; cursor: ew-resize; touch-action: pan-y; }
  .workshop .hint { position: absolute; left: 10px; top: 10px; right: 96px; width: fit-content;
    padding: 0.2rem 0.7rem; border-radius: 14px; background: color-mix(in srgb, var(--card) 82%, transparent);
    pointer-events: none; font-size: 0.92rem; }
  .workshop [hidden] { display: none; }
  .workshop .below > .player { flex: 1 1 260px; }
  .workshop svg { width: 24px; height: 24px; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round;
    stroke-linejoin: round; }
  .workshop .player svg { width: 18px; height: 18px; display: block; margin: auto; }
  .workshop .walkbar, .workshop .player { min-height: 36px; }
  .workshop .walkbar select { min-width: 0; }
  .workshop .walkbar input { width: 5.2rem; }
  .workshop .time { min-width: 3.6rem; text-align: right; font-variant-numeric: tabular-nums; }
  .workshop .player button { min-width: 42px; padding: 0.3rem; }
  .workshop .told:empty { display: none; }
  .workshop .ranking { list-style: none; margin: 0; padding: 0; max-height: 292px; overflow-y: auto; display: grid;
    gap: 2px; }
  .workshop .ranking:empty { display: none; }
  .workshop .ranking.stale { opacity: 0.45; }
  .workshop .ranking button { position: relative; display: flex; gap: 0.6rem; justify-content: space-between;
    width: 100%; text-align: left; overflow: hidden; font-size: 0.92rem; font-variant-numeric: tabular-nums;
    padding: 0.2rem 0.6rem; min-height: 30px; isolation: isolate; }
  .workshop .ranking .bar { position: absolute; inset: 0 auto 0 0; z-index: -1; background: var(--raised); }
  .workshop .ranking .finished .bar { background: color-mix(in srgb, var(--green) 22%, transparent); }
  .workshop .ranking button[aria-pressed="true"] { background: none; color: var(--ink); border-color: var(--violet); }
  .workshop .from { align-items: center; }
  .workshop .from input { width: 5.2rem; }
  .workshop .obstacles { list-style: none; margin: 0; padding: 0; display: grid; gap: 2px 0.8rem;
    grid-template-columns: repeat(auto-fill, minmax(min(100%, 300px), 1fr)); align-items: start; }
  .workshop .obstacles li { display: flex; flex-wrap: wrap; gap: 0.15rem 0.6rem; align-items: center;
    padding: 0.3rem 0.4rem; border-radius: 8px; border-left: 3px solid transparent; }
  .workshop .obstacles li.chosen { background: var(--raised); border-left-color: var(--violet); }
  .workshop .obstacles li > select { flex: 1 1 calc(100% - 4rem); min-width: 0; padding: 0.1rem 0.3rem;
    min-height: 30px; }
  .workshop .obstacles li > .plain { padding: 0 0.5rem; min-height: 30px; }
  .workshop .field { display: inline-flex; gap: 0.3rem; align-items: center; font-size: 0.88rem; }
  .workshop .field input { width: 3.6rem; padding: 0.1rem 0.35rem; min-height: 30px; appearance: textfield;
    font-variant-numeric: tabular-nums; }
  .workshop .field input::-webkit-inner-spin-button { display: none; }
  .workshop .listing { display: grid; gap: 0.6rem; }
  .workshop .stretch { border: 1px solid var(--line); border-radius: 10px; padding: 0.5rem 0.7rem; margin: 0;
    min-width: 0; width: fit-content; max-width: 100%; }
  .workshop .sent { list-style: none; margin: 0; padding: 0; display: grid; gap: 0.5rem; }
  .workshop .sent li { border-left: 3px solid var(--gold); padding-left: 0.6rem; }
  .workshop .sent .admitted { border-left-color: var(--green); }
  .workshop .sent .refused { border-left-color: var(--line); }
  .workshop summary { cursor: pointer; }
  .workshop summary h3 { display: inline; }
  .workshop details > :not(summary) { margin-top: 0.6rem; }
  .workshop kbd { font: 0.85em ui-monospace, monospace; background: var(--raised); border-radius: 4px;
    padding: 0 0.35em; }
  @media (max-width: 1080px) {
    .workshop .bench { grid-template: "work" "side" "list" / minmax(0, 1fr); }
  }
  @media (min-width: 700px) and (max-width: 1080px) {
    .workshop .side { grid-template-columns: 1fr 1fr; align-items: start; }
  }
  @media (max-width: 620px) {
    .workshop .palette { display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); }
    .workshop .palette button { min-width: 0; padding: 0.3rem 0; font-size: 0.68rem; align-content: start; }
    .workshop .history { display: contents; }
    .workshop .walkbar { flex: 1 1 100%; }
    .workshop .walkbar select { flex: 1 1 8rem; }
    .workshop .place { height: 44vh; }
    .workshop .strip { height: 48px; }
  }
`);

/** @type {import("aiga/types.js").Panel} */
const panel = {
  title: "Workshop",
  mount(host, page, { rest }) {
    if (page.recorded) {
      host.replaceChildren(h("h2", {}, "Workshop"),
        h("p", { class: "note" }, "Courses can be made where the run lives, and walked there by its agents: ",
          h("code", {}, "aiga view"), " opens it. This page is a file taken from it."));
      return {};
    }
    return bench(host, page, rest);
  },
};
export default panel;

/** @param {HTMLElement} host @param {Page} page @param {string[]} rest @returns {import("aiga/types.js").Mounted} */
function bench(host, page, rest) {
  const key = page.key("workshop");
  const draft = new Draft(read(page.remembered(key)));
  const place = h("div", { class: "frame place" });
  const strip = h("div", { class: "frame strip" });
  const spoken = h("p", { class: "hidden", role: "status" });
  const say = (/** @type {string} */ words) => void (spoken.textContent = words);
  const hint = h("p", { class: "hint" });

  const walks = watch(page, draft, {
    playing: (yes) => view.play(yes),
    redraw: () => view.redraw(),
    say,
  });
  const view = editor(place, strip, draft, { cast: walks.cast, say, tooled: (tool) => choose(tool) });
  const list = listed(draft, view);
  const sent = sending(page, draft);

  const tools = TOOLS.map(([tool, letter, name, , line]) => h("button", {
    type: "button", title: `${name} (${letter.toUpperCase()})`, "data-tool": tool, onclick: () => choose(tool),
  }, icon(line), name));
  const act = (/** @type {string} */ name, /** @type {string} */ title, /** @type {string} */ line,
    /** @type {() => void} */ run) => h("button", { type: "button", title, onclick: run }, icon(line), name);
  const undo = act("Undo", "Ctrl Z", "M8 5L3 10l5 5M3 10h11a6 5 0 0 1 0 10h-4", () => draft.undo());
  const redo = act("Redo", "Ctrl Shift Z", "M16 5l5 5-5 5M21 10H10a6 5 0 0 0 0 10h4", () => draft.redo());
  const drop = act("Delete", "the selected obstacle (Del)", "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13", view.remove);

  /** @param {Tool} tool */
  function choose(tool) {
    for (const each of tools) each.setAttribute("aria-pressed", String(each.dataset.tool === tool));
    hint.textContent = TOOLS.find(([name]) => name === tool)?.[3] ?? "";
    if (!places(tool) && tool !== "hand") draft.select(null);
    view.use(tool);
  }

  const origin = startFrom(page, draft, view.start);
  place.append(hint, h("div", { class: "zoom" },
    button("−", () => view.zoom(1 / 1.3), { "aria-label": "show more of the course" }),
    button("+", () => view.zoom(1.3), { "aria-label": "come nearer" })));
  host.replaceChildren(
    h("header", {}, h("h2", {}, "Workshop"),
      h("p", { class: "soft lead" }, "Make a course, let the agents try it, and send it into the run.")),
    h("div", { class: "bench" },
      h("div", { class: "work" },
        h("div", { class: "palette", role: "toolbar", "aria-label": "tools" }, tools,
          h("div", { class: "history" }, undo, redo, drop)),
        place, strip,
        h("div", { class: "row spread below" }, walks.controls, walks.bar),
        origin.element),
      h("div", { class: "side" },
        h("section", { "aria-label": "walks" }, h("h3", {}, "Who gets how far"), walks.note, walks.list),
        h("section", { "aria-label": "into the run" }, h("h3", {}, "Into the run"),
          h("p", { class: "soft" }, page.world.told.adopts
            ? "Your course becomes a candidate at the next reproduction. The run decides by its own criterion: "
              + "neither too hard nor too easy for its agents, and unlike what it has."
            : "This run takes no courses from outside: what it runs on it makes in another way. Walking here works."),
          h("div", { class: "row", hidden: !page.world.told.adopts }, sent.send), sent.note, sent.heading, sent.list),
        details("Keys", keys())),
      list.element),
    spoken);

  function show() {
    undo.disabled = !draft.past.length;
    redo.disabled = !draft.future.length;
    drop.disabled = !draft.chosen;
    if (saved !== draft.kept) {
      saved = draft.kept;
      page.remember(key, JSON.stringify(saved));
    }
  }
  let saved = draft.kept;
  draft.listeners.add(show);
  show();
  choose(draft.plan.obstacles.length ? "hand" : "stump");
  // An address that names an environment begins with its course; a reload keeps what was made of it.
  const named = Number(rest[0]);
  if (rest[0] && Number.isInteger(named) && draft.plan.from !== named) origin.take(named);

  /** @param {KeyboardEvent} event */
  function pressed(event) {
    const field = event.target instanceof HTMLElement && event.target.closest("input, select, textarea");
    const letter = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && (letter === "z" || letter === "y") && !field) {
      if (letter === "y" || event.shiftKey) draft.redo();
      else draft.undo();
    } else if (letter === "w" && !field && !event.ctrlKey && !event.metaKey && !event.altKey) walks.walk();
    else if (event.key === " " && event.target === view.element) walks.toggle();
    else return;
    event.preventDefault();
  }
  addEventListener("keydown", pressed);
  const themed = onTheme(view.redraw);
  return {
    update: sent.update,
    leave() {
      removeEventListener("keydown", pressed);
      themed();
      walks.close();
      list.close();
      sent.close();
      view.close();
    },
  };
}

/** What a course begins as. @param {Page} page @param {Draft} draft @param {() => void} start  looks at the start */
function startFrom(page, draft, start) {
  const note = h("p", { class: "soft told", role: "status" });
  const id = h("input", {
    type: "number", min: "0", "aria-label": "environment to start from", placeholder: "id",
    onkeydown: (/** @type {KeyboardEvent} */ event) => event.key === "Enter" && take(Number(id.value)),
  });

  /** @param {number} number */
  async function take(number) {
    const ground = await page.films.ground(number);
    if (!ground) {
      note.textContent = `there is no course of environment ${number}`;
      return;
    }
    const plan = recognised(ground, number);
    draft.select(null);
    draft.change(plan);
    start();
    id.value = String(number);
    note.textContent = `the course of environment ${number}`
      + (plan.obstacles.length ? `: ${counted(plan.obstacles.length, "obstacle")} to move and change` : "");
  }

  function any() {
    const all = page.world.active().filter((each) => each.id !== draft.plan.from);
    const each = all[Math.floor(Math.random() * all.length)];
    if (each) take(each.id);
  }

  function clear() {
    draft.select(null);
    draft.change(flat());
    start();
    note.textContent = "level ground";
  }

  const element = h("div", { class: "row from" },
    h("span", { class: "soft" }, "Start from"),
    button("Level ground", clear, { title: "clears the course; Undo brings it back" }),
    h("label", { class: "row" }, "environment", id), button("Take", () => take(Number(id.value || NaN))),
    button("Surprise me", any, { title: "an active environment by chance" }));
  element.append(note);
  return { element, take };
}

/** @param {string} title @param {HTMLElement} inside */
function details(title, inside) {
  return h("details", {}, h("summary", {}, h("h3", {}, title)), inside);
}

function keys() {
  const rows = [
    ["N", "puts down an obstacle of the chosen tool"], [", and .", "select the one before and after"],
    ["← →", "move it by a cell, with Shift by five"],
    ["↑ ↓", "change its size; with Shift the steps of stairs"],
    ["Del", "removes it"], ["Esc", "lets it go; then the arrow keys move the view"], ["+ −", "come nearer, go away"],
    ["W", "lets them walk"], ["Space", "pauses and goes on"], ["Ctrl Z", "takes back"],
    ["V S G U D L R E", "choose the tools, from left to right"],
  ];
  const told = rows.flatMap(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)]);
  return h("dl", { class: "facts" }, told);
}
