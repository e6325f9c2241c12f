/** Building elements, and saying numbers. */

/**
 * An element. Properties that begin with "on" are listeners, those with a dash are attributes, `class` and
 * `style` what one expects.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node|string|number|null|undefined|false|(Node|string)[])} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "style") Object.assign(element.style, value);
    else if (name.includes("-") || name === "role" || name === "for" || name === "list") {
      element.setAttribute(name, value === true ? "" : String(value));
    } else /** @type {any} */ (element)[name] = value;
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/** Rules of style that a module brings along. @param {string} css */
export function styled(css) {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  document.adoptedStyleSheets.push(sheet);
}

/** @param {string} label @param {() => void} act @param {Record<string, any>} [more] */
export function button(label, act, more = {}) {
  return h("button", { type: "button", onclick: act, ...more }, label);
}

/** @param {number|null|undefined} value  1234567 as 1.23 M; null as a dash */
export function short(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  for (const [unit, letter] of /** @type {[number, string][]} */ ([[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]])) {
    if (size >= unit) return `${trim(value / (letter === "k" ? 1e3 : unit))} ${letter}`;
  }
  return Number.isInteger(value) ? value.toLocaleString("en") : trim(value);
}

/** @param {number} value */
function trim(value) {
  return value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
}

/** @param {number} count @param {string} what */
export function counted(count, what) {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}

/** @param {number} seconds  as "3 minutes" */
export function lasting(seconds) {
  for (const [unit, name] of /** @type {[number, string][]} */ ([[86400, "day"], [3600, "hour"], [60, "minute"]])) {
    if (seconds >= 1.5 * unit) return counted(Math.round(seconds / unit), name);
  }
  return seconds >= 50 ? "a minute" : counted(Math.max(0, Math.round(seconds)), "second");
}

/** @param {string} name  a colour of style.css, as "--ink" */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Whether the visitor asked for little movement. */
export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
