/** The menagerie: the active pairs side by side, each walker moving on its own course. */

import { away, onPresence } from "aiga/awake.js";
import { onTheme, surface } from "aiga/canvas.js";
import { button, colour, counted, h, still, styled } from "aiga/dom.js";
import { kind, length } from "aiga/films.js";

/**
 * @typedef {import("aiga/types.js").Film} Film
 * @typedef {import("aiga/types.js").Ground} Ground
 * @typedef {{id: number, ground: Ground|null, film: Film|null, began: number, asked: number, born: number}} Tile
 *   `began` and `asked`: when its film began on the panel's clock, and when it was asked for (s)
 */

const GAP = 8; // px
const REST = 1.4; // s that the last moment stays
const FRESH = 45; // s after which a film that ended is asked for anew: its agent has learnt meanwhile
const FEW = innerWidth < 700 ? 4 : 12; // tiles on the first view

styled(`
  .menagerie .field { position: relative; }
  .menagerie canvas { border-radius: 10px; cursor: pointer; }
  .menagerie .empty { padding: 2rem; text-align: center; }
`);

/** @type {import("aiga/types.js").Panel} */
export default {
  title: "Menagerie",

  mount(host, page, { compact }) {
    const { world, films } = page;
    /** @type {Map<number, Tile>} */
    const tiles = new Map();
    /** @type {Tile[]} */
    let shown = [];
    /** @type {import("aiga/types.js").Kind|null} */
    let drawer = null;
    let clock = 0; // s, of the films; stands still when paused
    let last = 0;
    let speed = 1;
    let playing = !still();
    let lidar = false;
    let hovered = -1;
    let empty = colour("--raised");

    const count = h("span", { class: "soft" });
    const play = button("Pause", () => setPlaying(!playing), { "aria-pressed": String(!playing) });
    const rate = h("select", { "aria-label": "Speed", onchange: () => (speed = Number(rate.value)) },
      [0.25, 0.5, 1, 2, 4].map((x) => h("option", { value: String(x), selected: x === 1 }, `${x} ×`)));
    const see = button("Lidar", () => {
      lidar = !lidar;
      see.setAttribute("aria-pressed", String(lidar));
      field.redraw();
    }, { "aria-pressed": "false" });
    const all = compact && h("a", { href: `#/${encodeURIComponent(world.name)}/menagerie` }, "all of them");
    const box = h("div", { class: "field" });
    const list = h("ul");
    const beside = h("details", { ontoggle: () => fillList() }, h("summary", { class: "soft" }, "As a list"), list);
    host.append(
      h("header", {}, h("h2", {}, "Menagerie"), count, h("div", { class: "tools" }, all, see, rate, play)), box, beside);
    const field = surface(box, draw, { label: "The active pairs, each walker on its course" });
    const unwatch = onTheme(() => {
      empty = colour("--raised");
      field.redraw();
    });
    field.element.addEventListener("click", (event) => {
      const tile = at(event);
      if (tile) page.open(tile.id);
    });
    field.element.addEventListener("pointermove", (event) => (hovered = at(event)?.id ?? -1));
    field.element.addEventListener("pointerleave", () => (hovered = -1));
    setPlaying(playing);
    populate();

    /** @param {boolean} yes */
    function setPlaying(yes) {
      playing = yes;
      play.textContent = yes ? "Pause" : "Play";
      play.setAttribute("aria-pressed", String(!yes));
      last = 0;
      field.animate(yes);
    }

    /** Who is shown now; films of newcomers are asked for. */
    function populate() {
      const living = world.active();
      const some = compact ? living.slice(0, FEW) : living;
      for (const { id, born } of some) {
        if (!tiles.has(id)) {
          const tile = /** @type {Tile} */ ({ id, ground: null, film: null, began: clock, asked: -Infinity, born });
          tiles.set(id, tile);
          films.ground(id).then((ground) => {
            tile.ground = ground;
            field.redraw();
          });
        }
      }
      const here = new Set(some.map(({ id }) => id));
      for (const id of tiles.keys()) if (!here.has(id)) tiles.delete(id);
      shown = some.flatMap(({ id }) => tiles.get(id) ?? []);
      count.textContent = `${counted(living.length, "pair")} of environment and agent`;
      resize();
      fetchFilms(shown.filter((tile) => !tile.film));
      if (beside.open) fillList();
    }

    /** @param {Tile[]} wanted */
    async function fetchFilms(wanted) {
      const now = performance.now() / 1000;
      const due = wanted.filter((tile) => now - tile.asked > FRESH && !away());
      if (!due.length) return;
      for (const tile of due) tile.asked = now;
      const pairs = due.map(({ id }) => `${id}~${id}~0`);
      try {
        await films.get(pairs, async (pair, film) => {
          const tile = tiles.get(Number(pair.split("~")[0]));
          drawer ??= await kind(film.kind);
          see.hidden = !drawer.lidar;
          if (!tile) return;
          if (tile.film?.agent === film.agent) return;
          tile.film = film;
          tile.began = clock;
          field.redraw();
        }, { fresh: !page.recorded && due.some((tile) => tile.film) });
      } catch (error) {
        if (!tiles.size || [...tiles.values()].every((tile) => !tile.film)) {
          count.textContent = String(/** @type {Error} */ (error).message);
        }
      }
    }

    /** Columns and size of a tile for this width: of the sizes that look well, the one that fills the last row. */
    function grid() {
      const width = box.clientWidth || 600;
      const [most, least] = [190, 300].map((wide) => Math.max(1, Math.floor((width + GAP) / (wide + GAP))));
      let columns = most;
      const empty = (/** @type {number} */ each) => (each - (shown.length % each)) % each;
      for (let each = most; each >= least; each--) if (empty(each) < empty(columns)) columns = each;
      const wide = (width - GAP * (columns - 1)) / columns;
      return { columns, wide, high: Math.round(wide * 0.5) };
    }

    function resize() {
      const { columns, high } = grid();
      const rows = Math.max(1, Math.ceil(shown.length / columns));
      const height = `${rows * (high + GAP) - GAP}px`;
      if (field.element.style.height !== height) field.element.style.height = height;
    }

    /** @param {MouseEvent} event */
    function at(event) {
      const { columns, wide, high } = grid();
      const column = Math.floor(event.offsetX / (wide + GAP));
      const row = Math.floor(event.offsetY / (high + GAP));
      return column < columns ? shown[row * columns + column] : undefined;
    }

    /** @param {import("aiga/canvas.js").Surface} self @param {number} seconds */
    function draw(self, seconds) {
      if (playing && last) clock += Math.min(seconds - last, 0.1) * speed;
      last = seconds;
      const c = self.context;
      const { columns, wide, high } = grid();
      const top = self.element.getBoundingClientRect().top;
      c.clearRect(0, 0, self.width, self.height);
      /** @type {Tile[]} */
      const ended = [];
      for (const [i, tile] of shown.entries()) {
        const area = {
          x: (i % columns) * (wide + GAP), y: Math.floor(i / columns) * (high + GAP), width: wide, height: high,
        };
        if (tile.film && clock - tile.began > length(tile.film) + REST) {
          tile.began = clock;
          ended.push(tile);
        }
        // What is scrolled out of sight costs nothing.
        if (top + area.y > innerHeight || top + area.y + area.height < 0) continue;
        paint(c, tile, area);
      }
      if (ended.length && world.running) fetchFilms(ended);
    }

    /** @param {CanvasRenderingContext2D} c @param {Tile} tile @param {import("aiga/types.js").Box} area */
    function paint(c, tile, area) {
      c.save();
      c.beginPath();
      c.roundRect(area.x, area.y, area.width, area.height, 9);
      c.clip();
      c.fillStyle = empty;
      if (tile.ground && drawer) {
        const options = { lidar, simple: true, scale: area.height / 6.2 };
        drawer.scene(c, tile.ground, tile.film, clock - tile.began, area, options);
      } else c.fillRect(area.x, area.y, area.width, area.height);
      caption(c, tile, area);
      c.restore();
    }

    /** @param {CanvasRenderingContext2D} c @param {Tile} tile @param {import("aiga/types.js").Box} area */
    function caption(c, tile, area) {
      const known = world.environments.get(tile.id);
      const score = known?.score === null || known?.score === undefined ? "" : ` · ${known.score.toFixed(0)}`;
      const text = `${tile.id}${score}`;
      c.font = "600 12px system-ui, sans-serif";
      const wide = c.measureText(text).width + (known?.solved !== null ? 28 : 14);
      c.fillStyle = hovered === tile.id ? "rgb(255 255 255 / 95%)" : "rgb(255 255 255 / 78%)";
      c.beginPath();
      c.roundRect(area.x + 7, area.y + 7, wide, 20, 10);
      c.fill();
      c.fillStyle = "#2a2540";
      c.textBaseline = "middle";
      c.fillText(text, area.x + 14, area.y + 17.5);
      if (known?.solved !== null) {
        c.fillStyle = "#c4951a";
        c.beginPath();
        c.arc(area.x + wide - 3, area.y + 17, 4, 0, 2 * Math.PI);
        c.fill();
      }
      if (tile.film) {
        const share = Math.min((clock - tile.began) / length(tile.film), 1);
        c.fillStyle = tile.film.finished ? "rgb(90 170 100 / 90%)" : "rgb(255 255 255 / 65%)";
        c.fillRect(area.x, area.y + area.height - 3, area.width * share, 3);
      }
    }

    function fillList() {
      if (!beside.open || list.contains(document.activeElement)) return;
      list.replaceChildren(...shown.map((tile) => {
        const known = world.environments.get(tile.id);
        const said = tile.film && drawer ? drawer.words(tile.film, clock - tile.began) : "not played yet";
        const solved = known?.solved === null ? "" : "solved, ";
        return h("li", {}, button(`Environment ${tile.id}`, () => page.open(tile.id), { class: "link" }),
          ` ${solved}score ${known?.score?.toFixed(1) ?? "none"}: ${said}`);
      }));
    }

    const onSight = () => fetchFilms(shown.filter((tile) => !tile.film));
    const unsee = onPresence(onSight);
    const watch = new ResizeObserver(resize);
    watch.observe(box);
    return {
      update(change) {
        if (change.births.length || change.environments.some((each) => each.ended !== null)) populate();
        else fetchFilms(shown.filter((tile) => !tile.film));
      },
      leave() {
        unsee();
        watch.disconnect();
        unwatch();
        field.close();
      },
    };
  },
};
