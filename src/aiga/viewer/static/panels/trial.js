/** One trial of a memory on a task that it has never learnt on: what it pulled, and what can be known by then. */

import { surface, onTheme } from "aiga/canvas.js";
import { chart } from "aiga/chart.js";
import { colour, h, styled } from "aiga/dom.js";
import { past } from "aiga/past.js";

/**
 * @typedef {{chances: number[], actions: number[], rewards: number[], taken: number[]}} Played
 *   `taken`: how likely the memory had made what it then did
 */

const COLOURS = ["--violet", "--orange", "--green", "--blue", "--gold", "--red"];
const ROW = 16; // px of an arm's pulls

styled(`
  .trial h3 { margin: 0.9rem 0 0.3rem; }
  .trial .pulls { position: relative; }
`);

/** @type {import("aiga/types.js").Panel} */
export default {
  title: "Trial",
  kinds: ["trial"],

  mount(host, page, { compact }) {
    const about = h("span", { class: "soft", role: "status" });
    const [beliefs, pulls, choices] = [h("div"), h("div", { class: "pulls" }), h("div")];
    const words = h("p", { class: "soft" });
    const trials = past(page, ["trial"], about, "of a task to test on, always the same one", show);
    host.append(h("header", {}, h("h2", {}, "A trial"), about), trials.element, words,
      h("h3", {}, "What can be known of each arm"),
      h("span", { class: "soft" }, "dashed: its true chance; band: a standard deviation"), beliefs,
      h("h3", {}, "What it pulled"), pulls, h("h3", {}, "How sure it was of its choice"), choices);
    /** @type {ReturnType<typeof chart>[]} */
    let charts = [];
    const strip = surface(pulls, ({ context, width, height }) => paint(context, width, height),
      { label: "pulls of each arm in turn, filled where they paid", height: 2 * ROW });
    const endTheme = onTheme(() => strip.redraw());

    /** @param {import("aiga/past.js").Test} test */
    function show({ data }) {
      /** @type {Played} */
      const played = data.trial;
      const { chances, actions, rewards, taken } = played;
      const x = actions.map((_, time) => time + 1);
      const known = believed(played);
      const best = Math.max(...chances);
      const lost = actions.reduce((sum, arm) => sum + best - chances[arm], 0);
      words.textContent = `It was paid ${rewards.reduce((a, b) => a + b, 0)} times in ${actions.length} pulls. `
        + `In expectation it lost ${lost.toFixed(2)} against always pulling the best arm.`;
      const lines = chances.flatMap((chance, arm) => [
        { name: `arm ${arm + 1}`, colour: tone(arm), x, y: known.map((row) => row[arm].mean),
          band: { low: known.map((row) => row[arm].mean - row[arm].deviation),
            high: known.map((row) => row[arm].mean + row[arm].deviation) } },
        { name: "", colour: tone(arm), x, y: x.map(() => chance), dashed: true, thin: true },
      ]);
      const belief = { lines, xName: "pulls",
        label: "mean of what the chance of each arm may be, after each pull" };
      const choice = { lines: [{ name: "", colour: "--violet", x, y: taken }], xName: "pulls",
        label: "how likely the memory had made what it then did" };
      if (charts.length) [belief, choice].forEach((each, place) => charts[place].update(each));
      else {
        charts = [chart(beliefs, { ...belief, height: compact ? 150 : 240, zero: true }),
          chart(choices, { ...choice, height: 110, zero: true })];
      }
      strip.element.style.height = `${ROW * chances.length}px`;
      strip.element.setAttribute("aria-label", chances.map((_, arm) =>
        `arm ${arm + 1} pulled ${actions.filter((action) => action === arm).length} times`).join(", "));
      strip.redraw();
    }

    /** @param {CanvasRenderingContext2D} c @param {number} width @param {number} height */
    function paint(c, width, height) {
      c.clearRect(0, 0, width, height);
      const test = trials.test;
      if (!test) return;
      const { actions, rewards } = /** @type {Played} */ (test.data.trial);
      const wide = width / actions.length;
      actions.forEach((arm, time) => {
        c.fillStyle = colour(tone(arm));
        c.globalAlpha = rewards[time] > 0 ? 1 : 0.28;
        c.fillRect(time * wide, arm * ROW + 2, Math.max(wide - 1, 1), ROW - 4);
      });
      c.globalAlpha = 1;
    }

    return {
      update: trials.update,
      leave() {
        trials.close();
        endTheme();
        strip.close();
        for (const each of charts) each.close();
      },
    };
  },
};

const tone = (/** @type {number} */ arm) => COLOURS[arm % COLOURS.length];

/**
 * What may be known of every arm after each pull, by Bayes' rule, its chance uniform beforehand.
 * @param {Played} played @returns {{mean: number, deviation: number}[][]} by pulls and arms
 */
export function believed({ chances, actions, rewards }) {
  const won = chances.map(() => 1);
  const lost = chances.map(() => 1);
  return actions.map((arm, time) => {
    (rewards[time] > 0 ? won : lost)[arm] += 1;
    return won.map((a, k) => {
      const all = a + lost[k];
      return { mean: a / all, deviation: Math.sqrt((a * lost[k]) / (all * all * (all + 1))) };
    });
  });
}
