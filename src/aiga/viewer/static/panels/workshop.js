/** @type {import("aiga/types.js").Panel} */
export default { title: "workshop", mount(host) { host.textContent = "workshop"; return {}; } };
