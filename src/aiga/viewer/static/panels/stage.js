/** The stage: any agent in any environment, also pairs that never met. */

import { onTheme, surface } from "aiga/canvas.js";
import { button, h, still, styled } from "aiga/dom.js";
import { kind, length } from "aiga/films.js";

/** @typedef {import("aiga/types.js").Film} Film */

styled(`
  .stage .frame { height: clamp(220px, 52vh, 560px); }
  .stage .strip { height: 74px; margin-top: 0.5rem; }
  .stage .strip canvas { cursor: pointer; }
  .stage .row { margin-top: 0.7rem; }
  .stage label { display: inline-flex; gap: 0.4rem; align-items: center; color: var(--soft); }
  .stage input[type="number"] { width: 6.5rem; }
`);

/** @type {import("aiga/types.js").Panel} */
export default {
  title: "Stage",

  mount(host, page, { rest }) {
    const { world, films } = page;
    const best = [...world.environments.values()].filter((each) => each.solved !== null).pop();
    const first = best ?? world.active()[0];
    const chosen = {
      environment: Number(rest[0] ?? first?.id ?? 0),
      agent: rest[1] ?? rest[0] ?? String(first?.id ?? 0),
      seed: Number(rest[2] ?? 0),
    };
    /** @type {Film|null} */
    let film = null;
    /** @type {import("aiga/types.js").Ground|null} */
    let ground = null;
    /** @type {import("aiga/types.js").Kind|null} */
    let drawer = null;
    let seconds = 0;
    let last = 0;
    let speed = 1;
    let playing = !still();
    let lidar = false;
    let turn = 0;
    let closed = false;

    const said = h("p", { class: "soft", role: "status" });
    const frame = h("div", { class: "frame" });
    const strip = h("div", { class: "frame strip" });
    const play = button("Pause", () => setPlaying(!playing));
    const scrub = h("input", {
      type: "range", min: "0", max: "1000", value: "0", class: "grow", "aria-label": "Moment of the walk",
      oninput: () => {
        setPlaying(false);
        seek((Number(scrub.value) / 1000) * (film ? length(film) : 0));
      },
    });
    const rate = h("select", { "aria-label": "Speed", onchange: () => (speed = Number(rate.value)) },
      [0.1, 0.25, 0.5, 1, 2, 4, 8].map((x) => h("option", { value: String(x), selected: x === 1 }, `${x} ×`)));
    const see = button("Lidar", () => {
      lidar = !lidar;
      see.setAttribute("aria-pressed", String(lidar));
      scene.redraw();
      link();
    }, { "aria-pressed": "false" });
    const saves = h("span", { class: "row" });
    /** @param {"environment"|"agent"|"seed"} name */
    const field = (name) => h("input", {
      type: name === "agent" ? "text" : "number", value: String(chosen[name]), size: 10, min: "0",
      onchange: (/** @type {Event} */ event) => {
        const said = /** @type {HTMLInputElement} */ (event.target).value;
        if (name === "agent") choose({ agent: said.trim() || "0" });
        else choose({ [name]: Math.max(0, Math.round(Number(said)) || 0) });
      },
    });
    const fields = { environment: field("environment"), agent: field("agent"), seed: field("seed") };
    const swap = button("its own agent", () => choose({ agent: String(chosen.environment) }), {
      title: "the agent that lives in this environment" });
    const next = button("another push", () => choose({ seed: chosen.seed + 1 }), {
      title: "the next seed: the first step begins with another push" });
    host.append(
      h("header", {}, h("h2", {}, "Stage"), h("span", { class: "soft" }, "any agent in any environment")),
      h("div", { class: "row", style: { marginTop: "0" } },
        h("label", {}, "environment", fields.environment), h("label", {}, "agent of", fields.agent),
        h("label", {}, "seed", fields.seed), swap, next),
      h("div", { class: "row" }), frame, strip,
      h("div", { class: "row" }, play, scrub, rate, see, saves), said);
    const scene = surface(frame, draw, { label: "The walk" });
    const map = surface(strip, (self) => {
      if (!ground || !drawer) return;
      const box = { x: 0, y: 0, width: self.width, height: self.height };
      drawer.overview(self.context, ground, box, { film, seconds });
    }, { label: "The whole course" });
    strip.addEventListener("click", (event) => {
      if (film && drawer?.seek) seek(drawer.seek(film, event.offsetX / strip.clientWidth));
    });
    const unwatch = onTheme(() => {
      scene.redraw();
      map.redraw();
    });
    host.addEventListener("keydown", onKey);
    setPlaying(playing);
    load();
    link();

    /** In place, so that the keyboard stays where it is. @param {Partial<typeof chosen>} change */
    function choose(change) {
      Object.assign(chosen, change);
      for (const name of /** @type {("environment"|"agent"|"seed")[]} */ (["environment", "agent", "seed"])) {
        fields[name].value = String(chosen[name]);
      }
      const parts = [world.name, "stage", chosen.environment, chosen.agent, chosen.seed];
      history.replaceState(null, "", `#/${parts.map((part) => encodeURIComponent(part)).join("/")}`);
      link();
      load();
    }

    function link() {
      const pair = `${chosen.environment}~${encodeURIComponent(chosen.agent)}~${chosen.seed}`;
      const to = (/** @type {string} */ format) =>
        page.source.link(`${page.path}/video?pair=${pair}&format=${format}&lidar=${lidar ? 1 : 0}`);
      if (page.recorded) return;
      saves.replaceChildren(
        h("a", { href: to("gif") ?? "", download: "" }, "GIF"), h("a", { href: to("mp4") ?? "", download: "" }, "MP4"));
    }

    async function load() {
      const mine = ++turn;
      said.textContent = "it walks …";
      try {
        ground = await films.ground(chosen.environment);
        const found = await films.one(`${chosen.environment}~${encodeURIComponent(chosen.agent)}~${chosen.seed}`);
        drawer = await kind(found.kind);
        see.hidden = !drawer.lidar;
        if (mine !== turn || closed) return;
        film = found;
        seek(0);
        tell();
      } catch (error) {
        said.textContent = String(/** @type {Error} */ (error).message);
        map.redraw();
        scene.redraw();
      }
    }

    function tell() {
      if (!film || !drawer) return;
      const own = String(chosen.environment) === chosen.agent ? "its own agent" : `the agent of ${chosen.agent}`;
      const end = drawer.words(film, length(film));
      said.textContent = `In environment ${chosen.environment}, ${own} (${film.agent.slice(0, 8)}), ${film.count - 1} steps: ${end}.`;
    }

    /** @param {boolean} yes */
    function setPlaying(yes) {
      playing = yes;
      play.textContent = yes ? "Pause" : "Play";
      last = 0;
      scene.animate(yes);
    }

    /** @param {number} to */
    function seek(to) {
      seconds = film ? Math.min(Math.max(to, 0), length(film)) : 0;
      scrub.value = String(film ? Math.round((seconds / length(film)) * 1000) : 0);
      scrub.setAttribute("aria-valuetext", `${seconds.toFixed(1)} s`);
      scene.redraw();
      map.redraw();
    }

    /** @param {import("aiga/canvas.js").Surface} self @param {number} now */
    function draw(self, now) {
      if (playing && last && film) {
        seconds += Math.min(now - last, 0.1) * speed;
        if (seconds > length(film) + 1.5) seconds = 0;
        scrub.value = String(Math.round((Math.min(seconds, length(film)) / length(film)) * 1000));
        map.redraw();
      }
      last = playing ? now : 0;
      if (!ground || !drawer) return;
      const box = { x: 0, y: 0, width: self.width, height: self.height };
      drawer.scene(self.context, ground, film, seconds, box, { lidar, scale: self.height / 7 });
    }

    /** @param {KeyboardEvent} event */
    function onKey(event) {
      if (event.target instanceof HTMLInputElement && event.target.type !== "range") return;
      const acts = /** @type {Record<string, () => void>} */ ({
        " ": () => setPlaying(!playing), l: () => see.click(),
        ",": () => seek(seconds - 1 / 50), ".": () => seek(seconds + 1 / 50), Home: () => seek(0),
      });
      if (!acts[event.key] || (event.key === " " && event.target instanceof HTMLButtonElement)) return;
      acts[event.key]();
      event.preventDefault();
    }

    return {
      leave() {
        closed = true;
        unwatch();
        scene.close();
        map.close();
        host.removeEventListener("keydown", onKey);
      },
    };
  },
};
