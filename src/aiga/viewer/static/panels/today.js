/** While you were away: what happened since the last visit, in words and pictures that lead to the thing. */

import { away } from "aiga/awake.js";
import { surface } from "aiga/canvas.js";
import { button, counted, h, lasting, styled } from "aiga/dom.js";
import { kind } from "aiga/films.js";

styled(`
  .today .lead { font: 1.02rem/1.5 var(--serif); margin-bottom: 0.8rem; }
  .today h3 { margin: 1.2rem 0 0.5rem; }
  .today ol { list-style: none; margin: 0; padding: 0; display: grid; gap: 0.6rem; }
  .today li > button { display: grid; gap: 0.3rem; width: 100%; text-align: left; padding: 0; border: 0;
    background: none; min-height: 0; }
  .today li > button:hover .line { text-decoration: underline; text-underline-offset: 2px; }
  .today .strip { height: 44px; border-radius: 8px; overflow: hidden; background: var(--raised); }
  .today .line b { font-weight: 600; }
  .today .line { line-height: 1.4; }
`);

const SINCE = [["visit", "the last visit"], ["3600", "the last hour"], ["86400", "the last day"], ["all", "it began"]];
const FEW = 4; // of each sort, before "more"
const VISIT = 4 * 3600; // s that a visit lasts at most
const PAUSE = 8; // s between two looks at a run that goes on

/** @type {import("aiga/types.js").Panel} */
export default {
  title: "While you were away",

  mount(host, page, { compact }) {
    const { world } = page;
    const key = page.key("seen");
    const visit = sinceLastVisit();
    let since = visit > 0 && visit < world.iteration ? "visit" : "all";
    let asked = 0;
    let closed = false;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    let owed;
    let expanded = false; // somebody reads a longer list: it is not taken away under the eyes
    let shown = ""; // what was told last: the same is not drawn again
    /** @type {{close: () => void}[]} */
    let pictures = [];

    const choice = h("select", { "aria-label": "Since", onchange: () => {
      since = choice.value;
      look();
    } }, SINCE.map(([value, words]) => h("option", { value, selected: value === since }, `since ${words}`)));
    const body = h("div");
    host.append(h("header", {}, h("h2", {}, "While you were away"), page.recorded ? null : choice), body);
    if (page.recorded) since = "all";
    look();

    /** Where the last visit ended; reloading the page is not a new one. */
    function sinceLastVisit() {
      const here = `${key}:here`;
      let at = null;
      try {
        // A tab that stays open for days has visits, too.
        const [began, iteration] = (sessionStorage.getItem(here) ?? "0 0").split(" ");
        if (Date.now() - Number(began) < VISIT * 1000) at = iteration;
        else sessionStorage.setItem(here, `${Date.now()} ${page.remembered(key) ?? "0"}`);
      } catch {
        // a browser that keeps nothing begins anew each time
      }
      const iteration = Number(at ?? page.remembered(key) ?? 0);
      page.remember(key, String(world.iteration));
      return iteration;
    }

    /** A look now or when it is time; a hidden page looks when it is seen again. */
    function lookSoon() {
      if (away() || owed) return;
      owed = setTimeout(() => {
        owed = undefined;
        if (!away() && !expanded) look();
      }, Math.max(0, asked + PAUSE * 1000 - performance.now()));
    }

    async function look() {
      asked = performance.now();
      const query = since === "visit" ? `after=${visit}` : since === "all" ? "after=0" : `ago=${since}`;
      try {
        const told = await page.source.get(`${page.path}/digest?${query}`);
        if (!closed) tell(told);
      } catch (error) {
        body.replaceChildren(h("p", { class: "note bad" }, String(/** @type {Error} */ (error).message)));
      }
    }

    /** @param {any} told */
    function tell(told) {
      const news = JSON.stringify([since, told.counts, told.births[0]?.id]);
      if (news === shown) return;
      shown = news;
      for (const picture of pictures) picture.close();
      pictures = [];
      const { counts } = told;
      const stretch = told.since && told.now ? lasting(told.now - told.since) : "";
      const nothing = !counts.births && !counts.solves && !counts.transfers && !counts.extinctions;
      const lead = nothing
        ? `Nothing new yet. ${world.running ? "It is at work; look again in a while." : "The run is at rest."}`
        : `In ${stretch || "this time"}, ${counted(counts.births, "environment")} came to be, ` +
          `${counts.solves || "none"} ${counts.solves === 1 ? "was" : "were"} solved for the first time, ` +
          `agents moved ${counted(counts.transfers, "time")} and ${counted(counts.extinctions, "environment")} went into the archive.`;
      const strange = h("div");
      body.replaceChildren(
        h("p", { class: "lead" }, lead),
        ...part("Solved for the first time", told.solves, solved, counts.solves),
        ...part("Transfers that broke a plateau", told.breakthroughs, breakthrough, told.breakthroughs.length),
        strange,
        ...part("New environments", told.births, born, counts.births),
        ...part("Gone into the archive", told.extinctions, archived, counts.extinctions));
      if (world.told.panels.includes("menagerie")) strangest(strange);
    }

    /**
     * @param {string} title @param {any[]} items @param {(item: any) => [number, (Node|string)[]]} say
     *   the environment an item leads to, and its words
     * @param {number} count
     */
    function part(title, items, say, count) {
      if (!items.length) return [];
      const few = !compact ? FEW : innerWidth < 900 ? 1 : 3;
      const list = h("ol", {}, items.slice(0, few).map((item) => line(...say(item))));
      const more = items.length > few && button(`${Math.min(items.length, count) - few} more`, () => {
        expanded = true;
        list.append(...items.slice(few).map((item) => line(...say(item))));
        more && more.remove();
      }, { class: "link" });
      return [h("h3", {}, title), list, more || ""];
    }

    /** @param {number} id @param {(Node|string)[]} words */
    function line(id, words) {
      const picture = h("div", { class: "strip" });
      draw(picture, id);
      return h("li", {}, h("button", { type: "button", onclick: () => page.open(id) }, picture, h("span", { class: "line" }, words)));
    }

    /** @param {HTMLElement} picture @param {number} id */
    async function draw(picture, id) {
      const ground = await page.films.ground(id);
      if (!ground || closed) {
        picture.remove();
        return;
      }
      const drawer = await kind(world.told.kind);
      if (!picture.isConnected) return;
      pictures.push(surface(picture, (self) =>
        drawer.overview(self.context, ground, { x: 0, y: 0, width: self.width, height: self.height }),
      { label: `The course of environment ${id}` }));
    }

    /** @param {number} id */
    const bold = (id) => h("b", {}, String(id));
    /** @param {any} each @returns {[number, (Node|string)[]]} */
    const solved = (each) => [each.id, [bold(each.id), ` was solved in iteration ${each.solved}: ${each.words}.`]];
    /** @param {any} each @returns {[number, (Node|string)[]]} */
    const born = (each) => [each.id, [bold(each.id),
      each.parent === null ? ", out of nothing: " : `, a child of ${each.parent}: `, `${each.words}.`]];
    /** @param {any} each @returns {[number, (Node|string)[]]} */
    const archived = (each) => [each.id, [bold(each.id),
      ` made room after ${counted(each.ended - each.born, "iteration")}${each.solved === null ? ", never solved" : ""}: ${each.words}.`]];
    /** @param {any} each @returns {[number, (Node|string)[]]} */
    const breakthrough = (each) => [each.target, ["The agent of ", bold(each.source), " took over ", bold(each.target),
      ` where nothing had moved for ${each.flat} iterations: +${each.gain.toFixed(0)}, to ${each.score?.toFixed(0)}.`]];

    /** @param {HTMLElement} place */
    async function strangest(place) {
      try {
        const told = await page.source.get(`${page.path}/strangest`);
        const first = told.agents[0];
        if (!first || told.agents.length < 3 || !place.isConnected) return;
        place.replaceChildren(h("h3", {}, "The strangest gait"),
          h("ol", {}, line(first.environment, ["The walker of ", bold(first.environment), ` ${gait(told, first)}.`])));
      } catch {
        place.remove(); // how the agents of this run move has no measure
      }
    }

    return {
      update() {
        page.remember(key, String(world.iteration));
        lookSoon();
      },
      leave() {
        closed = true;
        clearTimeout(owed);
        for (const picture of pictures) picture.close();
      },
    };
  },
};

const WORDS = /** @type {Record<string, [string, string]>} */ ({
  height: ["carries its hull high", "keeps its hull low"],
  knee: ["swings its knees wide", "hardly bends its knees"],
  steps_per_metre: ["takes many small steps", "takes long leaps"],
  speed: ["is in a hurry", "takes its time"],
});

/** What sets a walker apart, in the measure that is furthest from the others' median. @param {any} told @param {any} first */
function gait(told, first) {
  const spread = told.measures.map((/** @type {string} */ _, /** @type {number} */ i) => {
    const values = told.agents.map((/** @type {any} */ each) => each.measures[i]);
    return Math.max(...values) - Math.min(...values) || 1;
  });
  const apart = first.measures.map((/** @type {number} */ value, /** @type {number} */ i) => (value - told.median[i]) / spread[i]);
  const most = apart.reduce((/** @type {number} */ best, /** @type {number} */ value, /** @type {number} */ i) =>
    (Math.abs(value) > Math.abs(apart[best]) ? i : best), 0);
  const name = told.measures[most];
  const [more, less] = WORDS[name] ?? [`has more ${name}`, `has less ${name}`];
  const unit = /** @type {Record<string, string>} */ ({ height: " m", knee: " rad", speed: " m/s", steps_per_metre: " steps a metre" })[name] ?? "";
  return `${apart[most] > 0 ? more : less}: ${first.measures[most].toFixed(2)}${unit}, where the others have ${told.median[most].toFixed(2)}`;
}
