/** @param {HTMLElement} host @param {import("aiga/types.js").Page} page @param {number} id */
export function sheet(host, page, id) {
  host.textContent = `${page.world.name} ${id}`;
}
