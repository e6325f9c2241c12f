/** @type {import("aiga/types.js").Panel} */
export default { title: "curves", mount(host) { host.textContent = "curves"; return {}; } };
