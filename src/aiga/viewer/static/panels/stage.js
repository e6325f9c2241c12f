/** @type {import("aiga/types.js").Panel} */
export default { title: "stage", mount(host) { host.textContent = "stage"; return {}; } };
