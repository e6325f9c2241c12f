/** @type {import("aiga/types.js").Panel} */
export default { title: "menagerie", mount(host) { host.textContent = "menagerie"; return {}; } };
