/** Programs that a search found: their family tree, and of one of them its story, its ideas and its listing. */

import { chart } from "aiga/chart.js";
import { button, counted, h, styled } from "aiga/dom.js";
import { family, lineOf } from "aiga/family.js";
import { eventsAfter } from "aiga/source.js";

/**
 * Runs of earlier versions do not tell ancestors and individuals.
 * @typedef {{id: number, island: number, parent: number|null, ancestor?: number|null, individuals?: number,
 *   fitness: number, parent_fitness: number, selected: number, chosen: boolean, listing: string,
 *   program: {live: boolean[]}}} Improvement
 * @typedef {{iteration: number, seq: number, data: Improvement}} Told
 * @typedef {{text: string, part: string, live: boolean, fresh: boolean, heading: boolean, row: number}} Line
 *   `row`: of the instruction in the whole program, -1 for a heading
 *
 * What the server finds out about one program.
 * @typedef {{part: string, kind: string, old: string, new: string}} Change
 * @typedef {{id: number, fitness: number|null, gain: number|null, child: boolean, changes: Change[]}} Step
 * @typedef {{id: number, tasks: number, ideas: {name: string, where: string, text: string}[],
 *   instructions: {part: string, text: string, live: boolean, loss: number|null}[], line: Step[],
 *   problem: string|null}} Study
 */

const MOST = 20000; // improvements kept
const LEAST = 0.001; // gain in fitness of those that are listed; the chosen ones always are
const LISTED = 200;
const CHANGES = 6; // of a step that are told
const STARS = "★ the best on tasks held out when it came; violet: the ancestors of the program below";

styled(`
  .programs .sides { display: grid; gap: 1.4rem 2rem; grid-template-columns: minmax(0, 1.25fr) minmax(0, 1fr);
    margin-top: 1.3rem; align-items: start; }
  .programs .plots { display: grid; gap: 1.2rem 2rem; grid-template-columns: minmax(0, 2fr) minmax(0, 1fr); }
  .programs figure { margin: 0; min-width: 0; }
  .programs figcaption { display: flex; flex-wrap: wrap; gap: 0 0.6rem; align-items: center; min-height: 34px;
    margin-bottom: 0.3rem; }
  .programs figcaption button { margin-left: auto; min-height: 28px; padding: 0.05rem 0.6rem; font-size: 0.87rem; }
  .programs .pointed { min-height: 1.5em; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
  @media (min-width: 901px) and (min-height: 760px) {
    .programs .one { position: sticky; top: 4.2rem; }
    .programs .code { max-height: calc(100vh - 26rem); overflow-y: auto; }
  }
  @media (max-width: 900px) {
    .programs .sides, .programs .plots { grid-template-columns: minmax(0, 1fr); }
  }
  .programs h3 + .soft { margin: 0.25rem 0 0.7rem; }
  .programs .steps { list-style: none; margin: 0; padding: 0; max-height: 60vh; overflow-y: auto; }
  .programs .steps button, .programs .story button { width: 100%; text-align: left; border-color: transparent;
    display: flex; gap: 0.6rem; justify-content: space-between; font-variant-numeric: tabular-nums; background: none; }
  .programs .steps button:hover, .programs .story button:hover { border-color: var(--line); }
  .programs .steps button[aria-pressed="true"] { background: var(--raised); color: var(--ink);
    border-color: var(--line); }
  .programs .story { list-style: none; margin: 0; padding: 0 0 0 0.8rem; border-left: 2px solid var(--violet); }
  .programs .story li { position: relative; padding-bottom: 0.55rem; }
  .programs .story li::before { content: ""; position: absolute; left: calc(-0.8rem - 6px); top: 12px;
    width: 10px; height: 10px; border-radius: 50%; background: var(--violet); border: 2px solid var(--card); }
  .programs .story ul { list-style: none; margin: 0; padding: 0 0.7rem; overflow-x: auto;
    font: 0.85rem/1.5 ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace; }
  .programs .story ul li { padding: 0; white-space: pre; }
  .programs .story ul li::before { display: none; }
  .programs .came { color: var(--green); }
  .programs .went { color: var(--red); }
  .programs .star { color: var(--gold); }
  .programs .gain { color: var(--green); }
  .programs .badges { display: flex; flex-wrap: wrap; gap: 0.4rem; margin: 0.6rem 0 0.4rem; padding: 0;
    list-style: none; }
  .programs .badge { border: 1px solid var(--violet); color: var(--violet); border-radius: 999px;
    padding: 0.1rem 0.75rem; font-size: 0.92rem; font-weight: 600; cursor: help;
    background: color-mix(in srgb, var(--violet) 9%, transparent); }
  .programs .badge:hover, .programs .badge:focus-visible { background: var(--violet); color: var(--card); }
  .programs .proofs { margin: 0 0 0.8rem; padding: 0; list-style: none; font-size: 0.92rem; color: var(--soft); }
  .programs .over { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; align-items: center;
    justify-content: space-between; margin: 0.6rem 0 0.3rem; font-size: 0.87rem; }
  .programs .over button { min-height: 28px; padding: 0.05rem 0.6rem; }
  .programs .code { font: 0.92rem/1.6 ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace; overflow-x: auto;
    background: var(--raised); border-radius: 10px; padding: 0.8rem 0; margin: 0; }
  .programs .code .line { display: grid; grid-template-columns: minmax(max-content, 1fr) auto; gap: 1rem; width: 100%;
    white-space: pre; padding: 0 0.9rem 0 1rem; border-left: 3px solid transparent; }
  .programs .code .heading { color: var(--soft); }
  .programs .code .idle { opacity: 0.42; }
  .programs .code .fresh { border-left-color: var(--green); }
  .programs .code .lit { background: color-mix(in srgb, var(--violet) 16%, transparent); }
  .programs .worth { display: grid; grid-template-columns: 4.2em minmax(40px, 9em); gap: 0.6rem; align-items: center;
    position: sticky; right: 0; padding-left: 0.6rem; font-size: 0.87rem; color: var(--soft); text-align: right;
    background: var(--raised); }
  .programs .lit .worth { background: none; }
  .programs .worth i { height: 0.62em; border-radius: 0 3px 3px 0; background: var(--violet); min-width: 1px; }
  .programs .worth i.less { background: var(--orange); }
  .programs .label { color: var(--red); font-weight: 600; }
  .programs .features { color: var(--blue); font-weight: 600; }
  .programs .prediction { color: var(--gold); font-weight: 600; }
  .programs .learnt { color: var(--violet); font-weight: 600; }
  .programs .constant { color: var(--orange); }
  .programs .key { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; margin-top: 0.6rem; font-size: 0.9rem; }
  .programs details { margin-top: 1rem; }
  .programs summary { cursor: pointer; }
  @media (max-width: 600px) {
    .programs .code .line { gap: 0.4rem; padding: 0 0.5rem; }
    .programs .worth { grid-template-columns: 3.5em 28px; gap: 0.3rem; padding-left: 0.3rem; }
  }
`);

/** @type {import("aiga/types.js").Panel} */
export default {
  title: "Programs",
  kinds: ["improvement"],

  mount(host, page, { compact }) {
    /** @type {Told[]} */
    let told = [];
    /** @type {Map<number, Told>} */
    const byId = new Map();
    /** @type {Map<number, import("aiga/family.js").Relative>} */
    const relatives = new Map();
    /** @type {Told|null} */
    let chosen = null;
    /** @type {Map<number, Promise<Study>>} */
    const studies = new Map();
    /** @type {Study|null} */
    let study = null; // of the chosen one
    /** @type {Told|null} */
    let listedOne = null;
    let follows = true; // the latest chosen program is shown until somebody picks another
    let log = page.remembered("programs.log") === "yes";
    let whole = page.remembered("programs.whole") === "yes"; // also instructions that have no effect
    let closed = false;
    let [asking, asked] = [false, false];
    let omitted = 0; // improvements that a file leaves out
    const about = h("span", { class: "soft", role: "status" });
    const curve = h("div");
    const pointed = h("p", { class: "soft pointed" }, STARS);
    const trunk = h("div");
    const scale = button("log", () => {
      log = !log;
      page.remember("programs.log", log ? "yes" : "no");
      draw();
    }, { title: "individuals on a logarithmic axis" });
    const steps = h("ul", { class: "steps", "aria-label": "improvements, the latest first" });
    const story = h("ol", { class: "story" });
    const origin = h("p", { class: "soft" });
    const badges = h("ul", { class: "badges", "aria-label": "ideas in it" });
    const proofs = h("ul", { class: "proofs" });
    const measured = h("span", { class: "soft", role: "status" });
    const more = button("", () => {
      whole = !whole;
      page.remember("programs.whole", whole ? "yes" : "no");
      list();
    });
    const code = h("pre", { class: "code", tabIndex: 0, "aria-label": "the program" });
    const facts = h("p", { class: "soft" });
    const every = h("details", {}, h("summary", {}, "All improvements"), steps);
    every.hidden = compact;
    every.addEventListener("toggle", tell);
    host.append(
      h("header", {}, h("h2", {}, "Programs"), about),
      h("div", { class: "plots" },
        h("figure", {}, h("figcaption", {}, h("h3", {}, "Family tree"),
          h("span", { class: "soft" }, "each improvement and its ancestor, by fitness"), scale), trunk, pointed),
        h("figure", {}, h("figcaption", {}, h("h3", {}, "Fitness"),
          h("span", { class: "soft" }, "of the best so far")), curve)),
      h("div", { class: "sides" },
        h("div", { class: "one" }, h("h3", {}, "The program"), facts, badges, proofs,
          h("div", { class: "over" }, measured, more), code, key()),
        h("div", {}, h("h3", {}, "How it came about"), origin, story, every)));
    /** @type {ReturnType<typeof chart>|null} */
    let drawn = null;
    const tree = family(trunk, { height: compact ? 250 : 330, pick, say: words, point: (id) => {
      pointed.textContent = id === null ? STARS : words(id);
    } });
    load();

    /** Takes all that came after the last one that was taken, in order; one at a time, so that nothing is
     *  taken before what is older. */
    async function load() {
      asked = true;
      if (asking) return;
      asking = true;
      let problem = "";
      try {
        while (asked && !closed) {
          asked = false;
          for await (const answer of eventsAfter(page.source, page.path, "improvement", told[told.length - 1])) {
            if (closed) return;
            omitted = answer.omitted ?? 0;
            take(answer.events);
          }
        }
      } catch (error) {
        problem = String(/** @type {Error} */ (error).message);
      } finally {
        asking = false;
      }
      if (closed) return;
      show();
      if (problem) about.textContent = problem;
    }

    /** @param {Told[]} events  newer than all before */
    function take(events) {
      for (const event of events) {
        const { id, ancestor = null, fitness, chosen } = event.data;
        told.push(event);
        byId.set(id, event);
        relatives.set(id, { id, ancestor, x: when(event), y: fitness, star: chosen });
      }
      for (const { data } of told.length > MOST ? told.splice(0, told.length - MOST) : []) {
        byId.delete(data.id);
        relatives.delete(data.id);
      }
    }

    /** @param {number} id */
    function pick(id) {
      const event = byId.get(id);
      if (!event) return;
      follows = false;
      chosen = event;
      show();
    }

    function show() {
      about.textContent = !told.length ? "nothing found yet" : omitted
        ? `${told.length.toLocaleString("en")} of ${counted(told.length + omitted, "improvement")}: this file has the ` +
          "ancestors of the best and the latest, and leaves out the others"
        : counted(told.length, "improvement");
      if (follows) chosen = [...told].reverse().find(({ data }) => data.chosen) ?? told[told.length - 1] ?? null;
      tell();
      draw();
      if (!chosen || chosen === listedOne) return; // what somebody reads stays under the eyes
      listedOne = chosen;
      study = null;
      list();
      look(chosen.data.id);
    }

    function tell() {
      if (every.open) steps.replaceChildren(...worthListing().map(step));
    }

    function worthListing() {
      return told.filter((event) => event.data.chosen || gain(event) >= LEAST).slice(-LISTED).reverse();
    }

    /** Asks what the server finds out about a program. @param {number} id */
    async function look(id) {
      try {
        if (!studies.has(id)) studies.set(id, page.source.get(`${page.path}/programs/${id}`));
        const found = await studies.get(id);
        if (found?.problem) studies.delete(id); // a folder may be there again
        if (closed || chosen?.data.id !== id) return;
        study = found ?? null;
        list();
      } catch (error) {
        studies.delete(id);
        if (!closed && chosen?.data.id === id) measured.textContent = String(/** @type {Error} */ (error).message);
      }
    }

    /** @param {Told} event */
    function ancestor({ data }) {
      return data.ancestor === undefined || data.ancestor === null ? null : byId.get(data.ancestor) ?? null;
    }

    /** Over its ancestor. @param {Told} event */
    function gain(event) {
      return event.data.fitness - (ancestor(event)?.data.fitness ?? 0);
    }

    /** One improvement in a line. @param {number} id */
    function words(id) {
      const event = byId.get(id);
      if (!event) return "";
      const { data } = event;
      return `program ${id.toLocaleString("en")} on island ${data.island}: fitness ${data.fitness.toFixed(4)}, ` +
        `on tasks held out ${data.selected.toFixed(4)}${data.chosen ? ", then the best there" : ""}`;
    }

    /** @param {Told} event */
    function step(event) {
      const { data } = event;
      const chooser = button("", () => pick(data.id), { "aria-pressed": String(event === chosen) });
      chooser.append(h("span", {}, starred(event), when(event).toLocaleString("en")),
        h("span", {}, `${data.fitness.toFixed(4)} (${signed(gain(event))})`));
      return h("li", {}, chooser);
    }

    function draw() {
      scale.setAttribute("aria-pressed", String(log));
      tree.show(relatives, chosen?.data.id ?? null, log);
      const x = told.map(when);
      if (x.length < 2) return;
      /** @type {Pick<import("aiga/chart.js").Options, "lines"|"label"|"xName">} */
      const said = {
        label: "Fitness of the best program by individuals, and on tasks held out", xName: "individuals",
        lines: [
          { name: "bred on", colour: "--violet", x, y: running(told.map(({ data }) => data.fitness)) },
          { name: "held out", colour: "--gold", x, y: running(told.map(({ data }) => data.selected)) },
        ],
      };
      if (drawn) drawn.update(said);
      else drawn = chart(curve, { ...said, height: compact ? 220 : 300 });
    }

    function list() {
      if (!chosen) return;
      const { data } = chosen;
      facts.textContent = `Number ${data.id.toLocaleString("en")}, on island ${data.island}, ` +
        `iteration ${chosen.iteration}: fitness ${data.fitness.toFixed(5)} on the tasks it was bred on, ` +
        `${data.selected.toFixed(5)} on tasks held out. ` +
        (data.parent === null ? "One of the first." : `Its parent had ${data.parent_fitness.toFixed(5)}.`);
      const lines = listed(data, ancestor(chosen)?.data ?? null);
      const learnt = learntIn(lines);
      const idle = lines.filter(({ live }) => !live).length;
      more.hidden = !idle;
      more.textContent = whole ? "hide what has no effect" : `show ${counted(idle, "line")} without effect`;
      const worth = study?.instructions ?? [];
      const most = Math.max(1e-9, ...worth.map(({ loss }) => Math.abs(loss ?? 0)));
      measured.textContent = !study ? "looking into it …" : study.problem
        ?? `right: fitness it loses without the instruction, on ${counted(study.tasks, "task")} held out`;
      code.replaceChildren(...lines.filter(({ live }) => live || whole).map((line) => h("span", {
        class: `line${line.heading ? " heading" : ""}${line.live ? "" : " idle"}${line.fresh ? " fresh" : ""}`,
      }, h("span", {}, tokens(line.text, learnt)),
      line.live && worth[line.row] ? bar(worth[line.row].loss, most) : null)));
      ideas();
      ancestors();
    }

    function ideas() {
      const found = study?.ideas ?? [];
      const names = [...new Set(found.map(({ name }) => name))];
      badges.hidden = proofs.hidden = !names.length;
      badges.replaceChildren(...names.map((name) => {
        const same = found.filter((each) => each.name === name);
        const light = () => lit(same.map(({ where }) => where));
        return h("li", {}, h("span", {
          class: "badge", tabIndex: 0, title: same.map(({ text }) => text).join("\n"),
          onpointerenter: light, onfocus: light, onpointerleave: () => lit([]), onblur: () => lit([]),
        }, name));
      }));
      proofs.replaceChildren(...found.map(({ name, text }) => h("li", {}, `${name}: ${text}.`)));
    }

    /** Marks the lines that an idea is about. @param {string[]} places  addresses or instructions */
    function lit(places) {
      for (const line of code.children) {
        const text = ` ${(line.firstElementChild?.textContent ?? "").replace(/\s+/g, " ").replace(/[(),]/g, " ")} `;
        line.classList.toggle("lit", places.some((place) => text.includes(` ${place.replace(/[(),]/g, " ")} `)));
      }
    }

    function ancestors() {
      if (!chosen) return;
      const line = lineOf(relatives, chosen.data.id);
      const told = study?.line.length ? study.line : line.slice(-10).map((each, i, all) => ({
        id: each.id, fitness: each.y, gain: i ? each.y - all[i - 1].y : each.y, child: false, changes: [],
      }));
      const knows = chosen.data.ancestor !== undefined;
      const some = told.length < line.length ? `; the ${told.length} that matter most` : "";
      origin.textContent = !knows ? "This run does not say what it descends from."
        : line.length < 2 ? "No improvement is among its ancestors."
          : `A line of ${counted(line.length, "improvement")}${some}, the latest first.`;
      story.hidden = !knows;
      story.replaceChildren(...told.map((each, i) => generation(each, i === 0)).reverse());
    }

    /** @param {Step} each @param {boolean} first */
    function generation(each, first) {
      const event = byId.get(each.id);
      const at = event ? `after ${when(event).toLocaleString("en")}` : `number ${each.id}`;
      const chooser = button("", () => pick(each.id));
      chooser.append(h("span", {}, starred(event), at),
        h("span", {}, `${(each.fitness ?? 0).toFixed(4)} `,
          first ? "" : h("span", { class: "gain" }, signed(each.gain ?? 0))));
      const rest = each.changes.length - CHANGES;
      return h("li", {}, chooser, h("ul", {}, each.changes.slice(0, CHANGES).flatMap(change),
        rest > 0 ? h("li", { class: "soft" }, `and ${rest} more`) : null));
    }

    return {
      update(change) {
        // Of an iteration with more than the feed tells at once the rest has to be asked for anyway.
        if (change.events.some((event) => event.kind === "improvement")) load();
      },
      leave() {
        closed = true;
        drawn?.close();
        tree.close();
      },
    };
  },
};

/** How many individuals had been judged when it came. @param {Told} event */
function when({ data }) {
  return Math.max(data.individuals ?? data.id, 1);
}

/** @param {Told|undefined} event */
function starred(event) {
  return event?.data.chosen ? h("span", { class: "star" }, "★ ") : null;
}

/** @param {number} gain */
function signed(gain) {
  return `${gain < 0 ? "−" : "+"}${Math.abs(gain).toFixed(4)}`;
}

/** What an instruction is worth. @param {number|null} loss @param {number} most */
function bar(loss, most) {
  if (loss === null) return h("span", { class: "worth" });
  const none = Math.abs(loss) < 5e-5;
  const less = loss < 0;
  return h("span", { class: "worth", title: none ? "nothing is lost without it" : less
    ? "without it fitness is higher" : "fitness that is lost without it" },
  none ? "0" : `${less ? "−" : ""}${Math.abs(loss).toFixed(4)}`,
  none ? null : h("i", { class: less ? "less" : "", style: { width: `${(100 * Math.abs(loss)) / most}%` } }));
}

/** @param {Change} change @returns {HTMLElement[]} */
function change({ part, kind, old, new: now }) {
  const gone = h("li", { class: "went" }, `− ${part}: ${old}`);
  const come = h("li", { class: "came" }, `+ ${part}: ${now}`);
  return kind === "changed" ? [gone, come] : [kind === "removed" ? gone : come];
}

/** The greatest so far. @param {number[]} values */
function running(values) {
  let best = -Infinity;
  return values.map((value) => (best = Math.max(best, value)));
}

/** The lines of a listing; `fresh` those that its ancestor did not have. @param {Improvement} data
 *  @param {Improvement|null} old @returns {Line[]} */
export function listed(data, old) {
  const had = new Map();
  for (const { text, part, heading } of old ? listed(old, null) : []) {
    if (!heading) had.set(part + text, (had.get(part + text) ?? 0) + 1);
  }
  let part = "";
  let at = 0;
  return data.listing.trimEnd().split("\n").map((text) => {
    const heading = text.startsWith("def ");
    if (heading) part = text;
    const row = heading ? -1 : at++;
    const live = heading || data.program.live[row] !== false;
    const left = had.get(part + text) ?? 0;
    if (left) had.set(part + text, left - 1);
    return { text, part, live, heading, fresh: !heading && live && Boolean(old) && !left, row };
  });
}

/** Addresses that learning writes and predicting reads: what is learnt. @param {Line[]} lines */
export function learntIn(lines) {
  const addresses = (/** @type {string} */ text) => text.match(/\b[svm]\d+\b/g) ?? [];
  const read = new Set();
  const written = new Set();
  for (const { text, part, heading, live } of lines) {
    if (heading || !live) continue;
    const [out, ...ins] = addresses(text);
    if (part.includes("predict")) ins.forEach((each) => read.add(each));
    if (part.includes("learn")) written.add(out);
  }
  return new Set([...read].filter((each) => written.has(each) && !["s0", "s1", "v0"].includes(each)));
}

/** @param {string} text @param {Set<string>} learnt @returns {(Node|string)[]} */
function tokens(text, learnt) {
  return text.split(/(\b[svm]\d+\b|(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?\b)/).map((token) => {
    const name = token === "s0" ? "label" : token === "v0" ? "features" : token === "s1" ? "prediction"
      : learnt.has(token) ? "learnt" : /^-?\d/.test(token) ? "constant" : "";
    return name ? h("span", { class: name }, token) : token;
  });
}

function key() {
  const each = (/** @type {string} */ name, /** @type {string} */ words) => h("span", { class: name }, words);
  return h("p", { class: "key soft" }, each("features", "v0 features"), each("label", "s0 label"),
    each("prediction", "s1 prediction"), each("learnt", "learnt: written by learn, read by predict"),
    each("constant", "constant"), h("span", {}, "green edge: new since its ancestor"));
}
