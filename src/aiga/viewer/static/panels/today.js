/** @type {import("aiga/types.js").Panel} */
export default { title: "today", mount(host) { host.textContent = "today"; return {}; } };
