/** Something to take away: the whole run as one file, a walk as a GIF or an MP4. */

import { h, styled } from "aiga/dom.js";

styled(`
  .share .ways { display: grid; gap: 1.4rem; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)); }
  .share .ways > div { display: grid; gap: 0.6rem; align-content: start; }
  .share input { width: 7rem; }
`);

/** @type {import("aiga/types.js").Panel} */
export default {
  title: "Share",

  mount(host, page) {
    const { world } = page;
    host.append(h("header", {}, h("h2", {}, "Share")));
    if (page.recorded) {
      host.append(h("p", {}, "This page is a file that holds what was taken along of the run ", h("b", {}, world.name),
        ". It asks nothing of any network. Give it to whom you like."));
      return {};
    }
    const best = [...world.environments.values()].filter((each) => each.solved !== null).pop() ?? world.active()[0];
    const environment = h("input", { type: "number", min: "0", value: String(best?.id ?? 0), "aria-label": "Environment", oninput: link });
    const agent = h("input", { type: "text", value: String(best?.id ?? 0), "aria-label": "Agent of", oninput: link });
    const lidar = h("input", { type: "checkbox", onchange: link });
    const gif = h("a", { download: "" }, "GIF");
    const mp4 = h("a", { download: "" }, "MP4");
    host.append(h("div", { class: "ways" },
      h("div", {},
        h("h3", {}, "The run as one file"),
        h("p", { class: "soft" }, "One HTML file with this page in it: the tree, the curves, who helped whom, and the walks of " +
          "the active pairs and of the environments solved last. It opens anywhere, without a network."),
        h("p", {}, h("a", { href: page.source.link(`${page.path}/share`) ?? "", download: `${world.name}.html` }, `${world.name}.html`))),
      h("div", {},
        h("h3", {}, "One walk"),
        h("p", { class: "soft" }, "Any agent in any environment. Drawing one takes some seconds."),
        h("div", { class: "row" }, h("label", {}, "environment ", environment), h("label", {}, "agent of ", agent)),
        h("label", {}, lidar, " with what it sees"),
        h("div", { class: "row" }, gif, mp4))));
    link();

    function link() {
      const pair = `${Number(environment.value) || 0}~${encodeURIComponent(agent.value.trim() || "0")}~0`;
      for (const [a, format] of /** @type {[HTMLAnchorElement, string][]} */ ([[gif, "gif"], [mp4, "mp4"]])) {
        a.href = page.source.link(`${page.path}/video?pair=${pair}&format=${format}&lidar=${lidar.checked ? 1 : 0}`) ?? "";
      }
    }
    return {};
  },
};
