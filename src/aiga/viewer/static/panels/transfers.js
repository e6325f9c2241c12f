/** @type {import("aiga/types.js").Panel} */
export default { title: "transfers", mount(host) { host.textContent = "transfers"; return {}; } };
