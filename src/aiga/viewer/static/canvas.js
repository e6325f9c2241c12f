/** Canvases: sharp on every screen, drawn only while they are seen, moved by mouse, finger and keyboard. */

import { away, onPresence, pace } from "aiga/awake.js";

/**
 * @typedef {object} Surface
 * @property {HTMLCanvasElement} element
 * @property {CanvasRenderingContext2D} context  in CSS pixels
 * @property {number} width
 * @property {number} height
 * @property {boolean} visible
 * @property {() => void} redraw  once, with the next frame
 * @property {(moving: boolean) => void} animate  every frame, or only when asked
 * @property {() => void} close
 */

/** @type {Set<(now: number) => void>} */
const frames = new Set();
let asked = 0;
let last = 0;

/** @param {number} now */
function tick(now) {
  asked = 0;
  if (now - last >= pace() - 4) {
    last = now;
    for (const frame of [...frames]) frame(now);
  }
  if (frames.size) wake();
}

function wake() {
  if (!asked && !away()) asked = requestAnimationFrame(tick);
}

onPresence(wake);

/**
 * A canvas that fills `host`; `draw` is called with the time in seconds.
 * @param {HTMLElement} host
 * @param {(surface: Surface, seconds: number) => void} draw
 * @param {{label: string, height?: number}} options  `label` says what is on it
 * @returns {Surface}
 */
export function surface(host, draw, { label, height }) {
  const element = document.createElement("canvas");
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", label);
  if (height) element.style.height = `${height}px`;
  host.append(element);
  const context = /** @type {CanvasRenderingContext2D} */ (element.getContext("2d", { alpha: true }));
  let moving = false;
  /** @type {Surface} */
  const self = {
    element, context, width: 0, height: 0, visible: false,
    redraw() {
      frames.add(frame);
      wake();
    },
    animate(yes) {
      moving = yes;
      self.redraw();
    },
    close() {
      frames.delete(frame);
      sizes.disconnect();
      views.disconnect();
      element.remove();
    },
  };
  /** @param {number} now */
  function frame(now) {
    if (!moving || !self.visible) frames.delete(frame);
    if (!self.visible || !self.width) return;
    const ratio = element.width / self.width;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    draw(self, now / 1000);
  }
  const sizes = new ResizeObserver(() => {
    const box = element.getBoundingClientRect();
    const ratio = Math.min(devicePixelRatio || 1, 2);
    self.width = box.width;
    self.height = box.height;
    element.width = Math.round(box.width * ratio);
    element.height = Math.round(box.height * ratio);
    self.redraw();
  });
  sizes.observe(element);
  const views = new IntersectionObserver((entries) => {
    self.visible = entries[entries.length - 1].isIntersecting;
    self.redraw();
  });
  views.observe(element);
  return self;
}

/** Calls `redraw` when the colours change from light to dark or back. @param {() => void} redraw */
export function onTheme(redraw) {
  const media = matchMedia("(prefers-color-scheme: dark)");
  const observer = new MutationObserver(redraw);
  media.addEventListener("change", redraw);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  return () => {
    media.removeEventListener("change", redraw);
    observer.disconnect();
  };
}

/**
 * A view of a plane that is dragged, pinched, scrolled and moved by the arrow keys, + and -.
 * Plane to screen: x * sx + tx, y * sy + ty.
 */
export class View {
  /**
   * @param {HTMLElement} element
   * @param {() => void} changed
   * @param {{least?: number, most?: number, tap?: (x: number, y: number) => void,
   *   hover?: (x: number, y: number) => void, free?: boolean}} [options]  `least`, `most` scale; `tap` and
   *   `hover` in CSS pixels of the element; `free` leaves the wheel to the page unless Ctrl is held
   */
  constructor(element, changed, options = {}) {
    this.sx = 1;
    this.sy = 1;
    this.tx = 0;
    this.ty = 0;
    this.element = element;
    this.changed = changed;
    this.least = options.least ?? 0.01;
    this.most = options.most ?? 100;
    /** @type {Map<number, {x: number, y: number}>} */
    this.fingers = new Map();
    let moved = 0;
    element.tabIndex = 0;
    element.style.touchAction = "none";
    /** @param {PointerEvent|WheelEvent|MouseEvent} event */
    const place = (event) => {
      const box = element.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    element.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      if (!this.fingers.size) moved = 0;
      this.fingers.set(event.pointerId, place(event));
      element.setPointerCapture(event.pointerId);
    });
    element.addEventListener("pointermove", (event) => {
      const now = place(event);
      const before = this.fingers.get(event.pointerId);
      if (!before) {
        options.hover?.(now.x, now.y);
        return;
      }
      const [dx, dy] = [now.x - before.x, now.y - before.y];
      moved += Math.abs(dx) + Math.abs(dy);
      if (this.fingers.size === 2) {
        const other = [...this.fingers.entries()].find(([id]) => id !== event.pointerId)?.[1] ?? now;
        const [was, is] = [before, now].map((at) => Math.hypot(at.x - other.x, at.y - other.y) || 1);
        this.zoom(is / was, (now.x + other.x) / 2, (now.y + other.y) / 2);
        this.move(dx / 2, dy / 2);
      } else this.move(dx, dy);
      this.fingers.set(event.pointerId, now);
    });
    const up = (/** @type {PointerEvent} */ event) => {
      if (this.fingers.delete(event.pointerId) && event.type === "pointerup" && moved < 6) {
        const { x, y } = place(event);
        options.tap?.(x, y);
      }
    };
    element.addEventListener("pointerup", up);
    element.addEventListener("pointercancel", up);
    element.addEventListener("wheel", (event) => {
      if (options.free && !event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const { x, y } = place(event);
      this.zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0016)), x, y);
    }, { passive: false });
    element.addEventListener("keydown", (event) => {
      const [w, hgt] = [element.clientWidth, element.clientHeight];
      /** @type {Record<string, () => void>} */
      const acts = {
        ArrowLeft: () => this.move(w / 8, 0), ArrowRight: () => this.move(-w / 8, 0),
        ArrowUp: () => this.move(0, hgt / 8), ArrowDown: () => this.move(0, -hgt / 8),
        "+": () => this.zoom(1.3, w / 2, hgt / 2), "=": () => this.zoom(1.3, w / 2, hgt / 2),
        "-": () => this.zoom(1 / 1.3, w / 2, hgt / 2),
      };
      if (acts[event.key] && !event.altKey && !event.metaKey) {
        acts[event.key]();
        event.preventDefault();
      }
    });
  }

  /** @param {number} dx @param {number} dy */
  move(dx, dy) {
    this.tx += dx;
    this.ty += dy;
    this.changed();
  }

  /** @param {number} factor @param {number} x @param {number} y  the point that stays */
  zoom(factor, x, y) {
    const allowed = Math.min(Math.max(this.sx * factor, this.least), this.most) / this.sx;
    this.tx = x - (x - this.tx) * allowed;
    this.ty = y - (y - this.ty) * allowed;
    this.sx *= allowed;
    this.sy *= allowed;
    this.changed();
  }
}
