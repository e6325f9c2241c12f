/** One environment, at the side: its course and who walks it, where it comes from and what came of it. */

import { surface } from "aiga/canvas.js";
import { chart } from "aiga/chart.js";
import { button, h, still } from "aiga/dom.js";
import { kind, length } from "aiga/films.js";
import { rows } from "aiga/world.js";

/** @type {() => void} */
let closeLast = () => {};

/**
 * Shows environment `id` in `host`; Escape closes it.
 * @param {HTMLElement} host @param {import("aiga/types.js").Page} page @param {number} id
 */
export async function sheet(host, page, id) {
  closeLast();
  const before = document.activeElement;
  /** @type {{close: () => void}[]} */
  const parts = [];
  const end = button("Close", close, { class: "plain", "aria-label": "Close the sheet" });
  const body = h("aside", { class: "sheet", "aria-label": `Environment ${id}`, tabIndex: -1 },
    h("div", { class: "row spread" }, h("h2", {}, `Environment ${id}`), end));
  host.replaceChildren(body);
  body.focus();
  /** @param {KeyboardEvent} event */
  const onKey = (event) => event.key === "Escape" && close();
  addEventListener("keydown", onKey);
  addEventListener("hashchange", close, { once: true });
  closeLast = close;

  function close() {
    removeEventListener("keydown", onKey);
    removeEventListener("hashchange", close);
    for (const part of parts) part.close();
    parts.length = 0;
    body.remove();
    closeLast = () => {};
    if (before instanceof HTMLElement && before.isConnected) before.focus();
  }

  let told;
  try {
    told = await page.source.get(`${page.path}/environments/${id}`);
  } catch (error) {
    body.append(h("p", { class: "note bad" }, String(/** @type {Error} */ (error).message)));
    return;
  }
  if (!body.isConnected) return;
  const frame = h("div", { class: "frame", hidden: true });
  const strip = h("div", { class: "frame strip", hidden: true });
  const open = (/** @type {number} */ other) => button(String(other), () => page.open(other), { class: "link" });
  const life = told.ended === null ? `born in iteration ${told.born}, active` : `iterations ${told.born} to ${told.ended}`;
  const fact = (/** @type {string} */ name, /** @type {(Node|string)[]} */ ...value) => [h("dt", {}, name), h("dd", {}, ...value)];
  const list = (/** @type {number[]} */ ids) =>
    ids.flatMap((each, i) => (i ? [", ", open(each)] : [open(each)])).slice(0, 60);
  body.append(
    h("p", {}, told.words), frame, strip,
    h("dl", { class: "facts" },
      fact("life", life),
      fact("score", told.score === null ? "none yet" : told.score.toFixed(1)),
      fact("solved", told.solved === null ? "not yet" : `in iteration ${told.solved}`),
      fact("parent", ...(told.parent === null ? ["none: it came first, or from outside"] : list([told.parent]))),
      fact("children", ...(told.children.length ? list(told.children) : ["none"])),
      fact("agent", told.agent?.slice(0, 12) ?? "none")),
    h("div", { class: "row" },
      page.world.told.panels.includes("stage") && button("On the stage", () => page.go("stage", id, id), { class: "main" }),
      page.world.told.panels.includes("workshop") && button("Into the workshop", () => page.go("workshop", id))));

  if (told.scores.iteration.length > 1) {
    const host = h("div");
    body.append(h("h3", {}, "Score"), host);
    parts.push(chart(host, {
      label: `Score of environment ${id} by iteration`, height: 120, xName: "iteration",
      lines: [{ name: "score", colour: "--violet", x: told.scores.iteration, y: told.scores.score }],
    }));
  }
  const moves = rows(told.transfers);
  const move = (/** @type {import("aiga/types.js").Transfer} */ each, /** @type {boolean} */ into) => h("li", {},
    into ? "from " : "to ", open(into ? each.source : each.target),
    ` in iteration ${each.iteration}, ${each.gain === null ? "" : `${each.gain >= 0 ? "+" : ""}${each.gain.toFixed(0)}, `}${each.kind}`);
  const came = moves.filter((each) => each.target === id).slice(0, 12);
  const went = moves.filter((each) => each.source === id).slice(0, 12);
  if (came.length) body.append(h("h3", {}, "Agents that moved in"), h("ul", {}, came.map((each) => move(each, true))));
  if (went.length) body.append(h("h3", {}, "Where its agents went"), h("ul", {}, went.map((each) => move(each, false))));

  try {
    const ground = await page.films.ground(id);
    const film = await page.films.one(`${id}~${id}~0`);
    if (!ground || !body.isConnected) return;
    const drawer = await kind(film.kind);
    let began = 0;
    frame.hidden = strip.hidden = false;
    const scene = surface(frame, (self, now) => {
      began ||= now;
      if (now - began > length(film) + 1.5) began = now;
      const box = { x: 0, y: 0, width: self.width, height: self.height };
      drawer.scene(self.context, ground, film, still() ? 0 : now - began, box, { scale: self.height / 6.4 });
    }, { label: drawer.words(film, 0) });
    const map = surface(strip, (self) =>
      drawer.overview(self.context, ground, { x: 0, y: 0, width: self.width, height: self.height }),
    { label: "The whole course" });
    parts.push(scene, map);
    scene.animate(!still());
  } catch {
    frame.remove(); // its episodes cannot be drawn: the rest of the sheet says what there is
    strip.remove();
  }
}
