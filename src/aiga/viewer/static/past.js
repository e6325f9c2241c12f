/** What a run told at its tests, of which one is looked at: the latest, or by a slider an earlier one. */

import { h, styled } from "aiga/dom.js";
import { eventsAfter } from "aiga/source.js";

/**
 * @typedef {{iteration: number, data: Record<string, any>}} Test  what was told then, by the kind of event
 */

const MOST = 2000; // tests kept, besides the first

styled(`
  .past { display: flex; gap: 0.8rem; align-items: center; margin: 0.4rem 0 0.8rem; }
  .past input { flex: 1; min-width: 6rem; }
  .past span { font-variant-numeric: tabular-nums; }
`);

/**
 * The slider, and what keeps it up to date.
 * @param {import("aiga/types.js").Page} page
 * @param {string[]} kinds  of events; those of one iteration are one test
 * @param {HTMLElement} about  says `said` once there is a test, or what is wrong
 * @param {string} said
 * @param {(test: Test, first: Test) => void} show  the test to look at, and the first of the run
 */
export function past(page, kinds, about, said, show) {
  /** @type {Test[]} */
  let tests = [];
  /** @type {Test|null} */
  let first = null;
  /** @type {any} */
  let last;
  let chosen = -1; // the latest
  let [asked, asking, closed] = [false, false, false];
  const slider = /** @type {HTMLInputElement} */ (h("input", { type: "range", min: "0", max: "0", value: "0",
    "aria-label": "which iteration" }));
  const when = h("span", { class: "soft" });
  const element = h("div", { class: "past", hidden: true }, h("span", {}, "iteration"), slider, when);
  slider.addEventListener("input", () => {
    chosen = Number(slider.value) === tests.length - 1 ? -1 : Number(slider.value);
    turn();
  });
  load();

  async function load() {
    asked = true;
    if (asking) return;
    asking = true;
    try {
      while (asked && !closed) {
        asked = false;
        for await (const { events } of eventsAfter(page.source, page.path, kinds.join(","), last)) {
          for (const event of events) take(event);
        }
      }
      if (!closed) turn();
    } catch (error) {
      about.textContent = String(/** @type {Error} */ (error).message);
    } finally {
      asking = false;
    }
  }

  /** @param {any} event */
  function take(event) {
    if (last?.iteration !== event.iteration) tests.push({ iteration: event.iteration, data: {} });
    tests[tests.length - 1].data[event.kind] = event.data;
    first ??= tests[0];
    last = event;
    if (tests.length <= MOST) return;
    tests = tests.slice(1);
    if (chosen > 0) chosen--;
  }

  const test = () => tests[chosen < 0 ? tests.length - 1 : chosen];

  function turn() {
    const now = test();
    about.textContent = now ? said : "nothing told yet";
    element.hidden = !now;
    if (!now || !first) return;
    slider.max = String(tests.length - 1);
    slider.value = String(tests.indexOf(now));
    slider.setAttribute("aria-valuetext", `iteration ${now.iteration}`);
    when.textContent = now.iteration.toLocaleString("en");
    show(now, first);
  }

  return {
    element,
    /** The one that is looked at; undefined before there is one. @returns {Test|undefined} */
    get test() {
      return test();
    },
    /** @param {import("aiga/world.js").Change} change */
    update(change) {
      if (change.events.some((event) => kinds.includes(event.kind))) load();
    },
    close() {
      closed = true;
    },
  };
}
