/** @type {import("aiga/types.js").Panel} */
export default { title: "tree", mount(host) { host.textContent = "tree"; return {}; } };
