/** Long tables, a page at a time: what a canvas shows, for those who read it. */

import { button, h, styled } from "aiga/dom.js";

/**
 * @typedef {{name: string, title: string, value: (row: any) => number|null, text?: (row: any) => string,
 *   open?: (row: any) => void}} Column  `open` makes buttons of its cells
 */

const ROWS = 25; // on a page

styled(`
.listing { display: grid; gap: 0.5rem; overflow-x: auto; }
.listing th button { background: none; border: 0; padding: 0; min-height: 24px; color: inherit; font-weight: inherit; }
.listing th[aria-sort] button::after { content: " ↓"; color: var(--violet); }
.listing th[aria-sort="ascending"] button::after { content: " ↑"; }
.listing td .link { min-width: 24px; min-height: 24px; text-align: right; }
`);

/**
 * A sortable table of `rows`; `fill` brings it up to date, `lead` is the column it is sorted by at first,
 * the greatest first.
 * @param {string} label
 * @param {Column[]} columns
 * @param {() => any[]} rows
 * @param {string} lead
 */
export function listing(label, columns, rows, lead) {
  let sorted = columns.find(({ name }) => name === lead) ?? columns[0];
  let up = false;
  let page = 0;
  const body = h("tbody");
  const where = h("span", { class: "soft", role: "status" });
  const back = button("‹", () => turn(-1), { "aria-label": "earlier rows" });
  const on = button("›", () => turn(1), { "aria-label": "further rows" });
  const heads = columns.map((column) => h("th", { class: "number", scope: "col" },
    button(column.title, () => sort(column))));
  const pages = h("div", { class: "row" }, back, where, on);
  const element = h("div", { class: "listing" },
    h("table", { "aria-label": label }, h("thead", {}, h("tr", {}, heads)), body), pages);

  /** @param {Column} column */
  function sort(column) {
    up = column === sorted ? !up : false;
    sorted = column;
    page = 0;
    fill();
  }

  /** @param {number} by */
  function turn(by) {
    page += by;
    fill();
  }

  function fill() {
    const all = rows();
    const low = up ? Infinity : -Infinity; // what has no value comes last either way
    const key = (/** @type {any} */ row) => sorted.value(row) ?? low;
    all.sort((a, b) => (up ? key(a) - key(b) : key(b) - key(a)) || 0);
    page = Math.min(Math.max(page, 0), Math.max(Math.ceil(all.length / ROWS) - 1, 0));
    const first = page * ROWS;
    body.replaceChildren(...all.slice(first, first + ROWS).map(line));
    for (const [i, head] of heads.entries()) {
      if (columns[i] === sorted) head.setAttribute("aria-sort", up ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    }
    const last = Math.min(first + ROWS, all.length);
    where.textContent = all.length ? `${first + 1} to ${last} of ${all.length.toLocaleString("en")}` : "none";
    pages.hidden = all.length <= ROWS;
    back.disabled = page === 0;
    on.disabled = last === all.length;
  }

  /** @param {any} row */
  function line(row) {
    return h("tr", {}, columns.map(({ value, text, open }) => {
      const said = text ? text(row) : (value(row)?.toLocaleString("en") ?? "–");
      const cell = open && value(row) !== null ? button(said, () => open(row), { class: "link" }) : said;
      return h("td", { class: "number" }, cell);
    }));
  }

  return { element, fill };
}
