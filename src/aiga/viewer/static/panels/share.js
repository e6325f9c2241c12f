/** @type {import("aiga/types.js").Panel} */
export default { title: "share", mount(host) { host.textContent = "share"; return {}; } };
