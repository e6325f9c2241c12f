/** Agents on the course that is being made: they walk it together, the best of them first. */

import { GOAL } from "aiga/courses.js";
import { button, counted, h } from "aiga/dom.js";
import { length, moment } from "aiga/films.js";
import { icon } from "aiga/workshop/icon.js";

/**
 * @typedef {import("aiga/types.js").Page} Page
 * @typedef {import("aiga/types.js").Film} Film
 * @typedef {import("aiga/workshop/draft.js").Draft} Draft
 * @typedef {{agent: number, film: Film, reach: number, pose: number[]}} Walk
 */

const MOST = 48; // agents at once
const AFTER = 3; // s

/**
 * @param {Page} page @param {Draft} draft
 * @param {{playing: (yes: boolean) => void, redraw: () => void, say: (words: string) => void}} on
 */
export function watch(page, draft, on) {
  /** @type {Walk[]} */
  let walks = []; // the best first
  let [chosen, seconds, playing, asked] = [0, 0, false, 0];
  let course = ""; // that they walked on
  let busy = false;
  let last = 0; // time of the last frame, s

  const one = h("input", {
    type: "number", min: "0", value: String(page.world.active()[0]?.id ?? 0),
    "aria-label": "environment of the agent", onchange: () => walk(),
  });
  const those = h("label", { class: "row" }, "of environment", one);
  const who = h("select", { "aria-label": "who walks", onchange: () => { choose(); walk(); } },
    h("option", { value: "all" }, "all active, racing"), h("option", { value: "one" }, "the agent"));
  const go = button("", () => walk(), { class: "main go" });
  const pause = button("", () => set(!playing), { class: "pause" });
  const again = h("button", {
    type: "button", class: "restart", "aria-label": "back to the start", title: "back to the start",
    onclick: () => {
      seek(0);
      set(true);
    },
  }, icon("M5 5v14M19 5L9 12l10 7z"));
  const scrub = h("input", {
    type: "range", min: "0", max: "1000", value: "0", class: "grow", "aria-label": "moment of the walk",
    oninput: () => {
      const to = (Number(scrub.value) / 1000) * longest();
      set(false);
      seek(to);
    },
  });
  const time = h("span", { class: "soft time" });
  const bar = h("div", { class: "row player" }, again, pause, scrub, time);
  const note = h("p", { class: "soft told", role: "status" },
    "Nobody has walked here yet. Let all the agents that are active now race on this course, or one of your choice.");
  const list = h("ol", { class: "ranking", "aria-label": "who gets how far" });
  const controls = h("div", { class: "row walkbar" }, go, who, those);

  const longest = () => Math.max(0.1, ...walks.map(({ film }) => length(film)));
  /** When a race has nothing more to tell: a little after the one that is followed has ended. */
  const over = () => Math.min(longest(), length(walks[chosen].film) + AFTER);
  const stale = () => walks.length > 0 && course !== JSON.stringify(draft.ground);

  function choose() {
    those.hidden = who.value === "all";
  }

  /** Lets them walk the course as it is now. */
  async function walk() {
    const active = page.world.active().slice(0, MOST).map(({ id }) => id);
    const agents = who.value === "all" ? active : [Number(one.value)];
    const mine = ++asked;
    const ground = draft.ground;
    busy = true;
    note.textContent = agents.length > 1 ? `${counted(agents.length, "agent")} set out …` : "it sets out …";
    show();
    try {
      if (!agents.length) throw new Error("no agent is active; choose one by its environment");
      const body = { course: ground, agents: agents.map(String), seed: 0 };
      const films = await page.source.films(`${page.path}/films`, body);
      if (mine !== asked) return;
      take(films, agents, JSON.stringify(ground));
    } catch (error) {
      if (mine !== asked) return;
      busy = false;
      show();
      note.textContent = /** @type {Error} */ (error).message;
    }
  }

  /** @param {Film[]} films @param {number[]} agents @param {string} on */
  function take(films, agents, on) {
    walks = films.map((film, i) => ({
      agent: agents[i], film, reach: film.moments[(film.count - 1) * film.width], pose: Array(film.width).fill(0),
    }));
    const worth = (/** @type {Walk} */ { film }) => (film.finished ? 1e6 : 0) + (film.total ?? -1e6);
    walks.sort((a, b) => worth(b) - worth(a));
    course = on;
    chosen = 0;
    seconds = 0;
    busy = false;
    rank();
    set(true);
  }

  function summary() {
    const done = walks.filter(({ film }) => film.finished).length;
    if (walks.length === 1) return sentence(walks[0]);
    if (!done) return `Nobody reaches the end. Best: the ${sentence(walks[0])}.`;
    return done === walks.length ? `All ${done} reach the end.` : `${done} of ${walks.length} reach the end.`;
  }

  /** @param {Walk} walk */
  function sentence({ agent, film, reach }) {
    return `agent of ${agent} ${film.finished ? "reaches the end" : `gets to ${reach.toFixed(1)} m`}`;
  }

  function rank() {
    list.replaceChildren(...walks.map((walk, i) => h("li", { class: walk.film.finished ? "finished" : "" },
      h("button", { type: "button", class: "plain", "aria-pressed": String(i === chosen), onclick: () => follow(i) },
        h("span", { class: "bar", style: { width: `${Math.min(100, (100 * walk.reach) / GOAL)}%` } }),
        h("span", {}, sentence(walk)),
        h("span", { class: "soft" }, `return ${walk.film.total?.toFixed(0) ?? "–"}`)))));
  }

  /** @param {number} i */
  function follow(i) {
    chosen = i;
    list.querySelectorAll("button").forEach((each, k) => each.setAttribute("aria-pressed", String(k === i)));
    if (!stale() && seconds >= length(walks[i].film)) seconds = 0;
    if (!stale()) set(true);
    on.redraw();
  }

  /** @param {boolean} yes */
  function set(yes) {
    if (yes && (!walks.length || stale())) return void walk();
    if (yes && seconds >= over()) seconds = 0;
    playing = yes;
    last = performance.now() / 1000;
    on.playing(yes);
    show();
  }

  /** @param {number} to */
  function seek(to) {
    seconds = to;
    on.redraw();
    clock();
  }

  function clock() {
    scrub.value = String(Math.round((1000 * seconds) / longest()));
    time.textContent = walks.length ? `${seconds.toFixed(1)} s` : "";
  }

  function show() {
    const old = stale();
    go.textContent = busy ? "walking …" : walks.length ? "Walk again" : "Let them walk";
    go.classList.toggle("main", busy || old || !walks.length);
    go.disabled = busy;
    pause.replaceChildren(icon(playing ? "M8 5v14M16 5v14" : "M7 4l12 8-12 8z"));
    pause.setAttribute("aria-label", playing ? "pause" : "play");
    bar.hidden = !walks.length || old;
    list.classList.toggle("stale", old);
    if (busy) return;
    if (old) note.textContent = "The course has changed since they walked it.";
    else if (walks.length) note.textContent = summary();
    clock();
  }

  draft.listeners.add(edited);
  function edited() {
    if (!stale()) return void show();
    if (playing) set(false);
    show();
  }

  choose();
  show();
  return {
    controls, bar, note, list, walk,
    toggle: () => set(!playing),
    /**
     * The walkers at this moment; it goes on while they walk.
     * @returns {import("aiga/workshop/editor.js").Cast|null}
     */
    cast() {
      if (!walks.length || stale()) return null;
      const now = performance.now() / 1000;
      if (playing && now > last) {
        seconds += Math.min(now - last, 0.1);
        last = now;
        clock();
        if (seconds >= over()) queueMicrotask(() => set(false));
      }
      for (const each of walks) moment(each.film, seconds, each.pose);
      return { poses: walks.map(({ pose }) => pose), chosen };
    },
    close() {
      asked += 1;
      draft.listeners.delete(edited);
    },
  };
}
