/** Courses sent into the run, and what the run decided about each. */

import { button, h, lasting } from "aiga/dom.js";

/**
 * @typedef {import("aiga/types.js").Page} Page
 * @typedef {import("aiga/workshop/draft.js").Draft} Draft
 * @typedef {{id: number, at: number|null, parent: number|null, taken: number|null, decided: number|null,
 *   verdict: string|null, stage: string|null, score: number|null, environment: number|null,
 *   problem: string|null}} Candidate
 */

const PACE = 3000; // ms between two looks while the run goes on

/** What the run says of a course, in a sentence. @param {Candidate} each @param {boolean} running */
export function decision(each, running) {
  const score = each.score === null || each.score === undefined ? null : each.score.toFixed(0);
  if (each.problem) return `turned down: ${each.problem}`;
  switch (each.verdict) {
    case null: case undefined:
      if (!running) return "the run is at rest: it waits until the run goes on";
      return each.taken === null ? "waiting: the run tries it at its next reproduction" : "the run is trying it now";
    case "admitted": return each.environment === null ? "admitted" : `admitted as environment ${each.environment}`;
    case "too hard": return `turned down, too hard${score === null ? "" : `: no agent gets more than ${score}`}`;
    case "too easy": return `turned down, too easy${score === null ? "" : `: an agent already gets ${score} on it`}`;
    case "not novel": return "turned down, not novel: it is too much like courses the run already has";
    case "no room": return "turned down, no room: other candidates were more novel";
    case "invalid": return "turned down, not valid";
    default: return `turned down, ${each.verdict}`;
  }
}

/** @param {Page} page @param {Draft} draft */
export function sending(page, draft) {
  /** @type {Candidate[]} */
  let sent = [];
  let sentNow = ""; // the course that was sent last: the same one twice is a slip
  let asked = 0; // when the list was last asked for, ms
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let timer;
  let closed = false;

  const send = button("Send into the run", put, { class: "main send" });
  const note = h("p", { class: "soft told", role: "status" });
  const list = h("ul", { class: "sent", "aria-label": "courses sent" });
  const heading = h("h3", { hidden: true }, "Courses sent");

  async function put() {
    send.disabled = true;
    note.textContent = "sending …";
    const course = draft.ground;
    try {
      const { id } = await page.source.post(`${page.path}/candidates`, { course, parent: draft.plan.from });
      sentNow = JSON.stringify(course);
      note.textContent = `sent, as course ${id}`;
      await look();
    } catch (error) {
      note.textContent = /** @type {Error} */ (error).message;
    }
    same();
  }

  function same() {
    const again = sentNow === JSON.stringify(draft.ground);
    send.disabled = again;
    send.title = again ? "this course has been sent" : "";
  }

  async function look() {
    asked = Date.now();
    try {
      const said = await page.source.get(`${page.path}/candidates`);
      if (closed) return;
      sent = said.candidates;
      show();
    } catch (error) {
      if (!closed && !note.textContent) note.textContent = /** @type {Error} */ (error).message;
    }
  }

  function show() {
    heading.hidden = !sent.length;
    const rows = [...sent].sort((a, b) => b.id - a.id).map((each) => {
      const { environment } = each;
      const mark = !each.verdict ? "waiting" : each.verdict === "admitted" ? "admitted" : "refused";
      return h("li", { class: mark, "data-verdict": each.verdict ?? "waiting" },
        h("strong", {}, `Course ${each.id}`),
        h("span", { class: "soft" }, ` ${origin(each)}`),
        h("div", {}, decision(each, page.world.running), " ",
          environment === null || environment === undefined ? null
            : button("show it", () => page.open(environment),
              { class: "link", "aria-label": `show environment ${environment}` })));
    });
    list.replaceChildren(...rows);
  }

  /** @param {Candidate} each */
  function origin({ parent, at }) {
    const ago = at ? `sent ${lasting(Date.now() / 1000 - at)} ago` : "";
    return [ago, parent === null ? "" : `from environment ${parent}`].filter(Boolean).join(", ");
  }

  draft.listeners.add(same);
  look();
  return {
    send, note, heading, list,
    /** The run went on. */
    update() {
      if (timer || !sent.some(({ verdict }) => !verdict)) return;
      timer = setTimeout(() => {
        timer = undefined;
        look();
      }, Math.max(0, asked + PACE - Date.now()));
    },
    close() {
      closed = true;
      clearTimeout(timer);
      draft.listeners.delete(same);
    },
  };
}
