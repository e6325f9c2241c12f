/** A drawing that is dear to make, kept as a bitmap a little larger than what is seen. */

/**
 * @typedef {{sx: number, sy: number, tx: number, ty: number, width: number, height: number}} Sight
 *   plane to screen, x * sx + tx, y * sy + ty, and the size of the screen in CSS pixels
 * @typedef {{canvas: HTMLCanvasElement, sight: Sight, ratio: number, version: number, stamp: number}} Bitmap  its
 *   `sight` is that of the bitmap, margins included
 */

const MARGIN = [0.3, 0.15]; // of width and height, on each side
const SLICE = 4; // ms of painting in a frame
const BAND = 128; // px, what is painted apart: browsers put off the work of drawing, and all of it at once would show
const REST = 140; // ms without movement after which the drawing is made sharp again
const STRETCH = 1.6; // a bitmap scaled by more is replaced while the view still moves

/**
 * While the view moves, the bitmap moves with it. A new one is painted in slices, so that no frame waits for it.
 */
export class Kept {
  /**
   * @param {(context: CanvasRenderingContext2D, sight: Sight, stamp: number) => Generator<undefined>} paint
   *   a part of the plane; yields often
   * @param {() => void} redraw  asks for a frame
   * @param {() => number} stamp  the moment that a drawing is of
   */
  constructor(paint, redraw, stamp = () => 0) {
    this.stamp = stamp;
    this.band = document.createElement("canvas");
    this.paint = paint;
    this.redraw = redraw;
    this.version = 0;
    /** @type {Bitmap|null} */
    this.bitmap = null;
    /** @type {{bitmap: Bitmap, work: Generator<true|undefined>}|null} */
    this.next = null;
    /** @type {HTMLCanvasElement|null} */
    this.spare = null;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    this.timer = undefined;
    this.last = { sx: 0, sy: 0, tx: 0, ty: 0, at: 0 };
  }

  /** What is drawn has changed. */
  forget() {
    this.version++;
    this.redraw();
  }

  close() {
    clearTimeout(this.timer);
    this.next = null;
    this.bitmap = null;
  }

  /** @param {CanvasRenderingContext2D} context @param {Sight} sight @param {number} ratio  device to CSS pixels */
  show(context, sight, ratio) {
    this.watch(sight);
    if (!this.bitmap || this.bitmap.ratio !== ratio) {
      this.start(sight, ratio);
      this.work(Infinity);
    } else if (this.next || this.due(this.bitmap, sight)) {
      if (!this.next || this.outdated(this.next.bitmap, sight)) this.start(sight, ratio);
      this.work(SLICE);
    }
    if (this.bitmap) place(context, this.bitmap, sight, ratio);
    if (this.next || (this.bitmap && this.due(this.bitmap, sight))) this.redraw();
  }

  /** Notes movement, and asks for a frame when it has come to rest. @param {Sight} sight */
  watch({ sx, sy, tx, ty }) {
    const { last } = this;
    if (last.sx === sx && last.sy === sy && last.tx === tx && last.ty === ty) return;
    this.last = { sx, sy, tx, ty, at: performance.now() };
    clearTimeout(this.timer);
    this.timer = setTimeout(this.redraw, REST + 10);
  }

  /** Whether it is time for another bitmap. @param {Bitmap} bitmap @param {Sight} sight */
  due(bitmap, sight) {
    const { sight: had, version } = bitmap;
    const [px, py] = [sight.sx / had.sx, sight.sy / had.sy];
    const [left, top] = [sight.tx - had.tx * px, sight.ty - had.ty * py];
    const covered = left <= 0 && top <= 0 && left + had.width * px >= sight.width
      && top + had.height * py >= sight.height;
    if (!covered || px > STRETCH || py > STRETCH || px < 1 / STRETCH || version !== this.version) return true;
    return (px !== 1 || py !== 1) && performance.now() - this.last.at > REST;
  }

  /** Whether what is being painted is not what the view came to rest at. @param {Bitmap} bitmap @param {Sight} sight */
  outdated({ sight: { sx, sy } }, sight) {
    return (sx !== sight.sx || sy !== sight.sy) && performance.now() - this.last.at > REST;
  }

  /** @param {Sight} sight @param {number} ratio */
  start(sight, ratio) {
    const [x, y] = [Math.round(sight.width * MARGIN[0]), Math.round(sight.height * MARGIN[1])];
    const [width, height] = [sight.width + 2 * x, sight.height + 2 * y];
    const canvas = this.next?.bitmap.canvas ?? this.spare ?? document.createElement("canvas");
    this.spare = null;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, w, h);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const inner = { sx: sight.sx, sy: sight.sy, tx: sight.tx + x, ty: sight.ty + y, width, height };
    const bitmap = { canvas, sight: inner, ratio, version: this.version, stamp: this.stamp() };
    this.next = { bitmap, work: this.bands(context, bitmap) };
  }

  /** @param {CanvasRenderingContext2D} whole @param {Bitmap} bitmap @returns {Generator<true|undefined>} */
  * bands(whole, { sight, ratio, stamp }) {
    const { band } = this;
    const context = /** @type {CanvasRenderingContext2D} */ (band.getContext("2d"));
    for (let x = 0; x < sight.width; x += BAND) {
      // Setting its size clears a canvas.
      [band.width, band.height] = [BAND * ratio, Math.round(sight.height * ratio)];
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      yield* this.paint(context, { ...sight, tx: sight.tx - x, width: BAND }, stamp);
      whole.drawImage(band, x, 0, BAND, sight.height);
      yield true;
    }
  }

  /** @param {number} time  ms */
  work(time) {
    const until = performance.now() + time;
    const { next } = this;
    while (next && performance.now() < until) {
      const { done, value } = next.work.next();
      if (value && time < Infinity) return;
      if (!done) continue;
      this.spare = this.bitmap?.canvas ?? null;
      this.bitmap = next.bitmap;
      this.next = null;
      return;
    }
  }
}

/** @param {CanvasRenderingContext2D} context @param {Bitmap} bitmap @param {Sight} sight @param {number} ratio */
function place(context, bitmap, sight, ratio) {
  const had = bitmap.sight;
  const [px, py] = [sight.sx / had.sx, sight.sy / had.sy];
  const even = px === 1 && py === 1;
  // Only what is seen is copied; whole device pixels where nothing is scaled keep lines sharp.
  const snap = (/** @type {number} */ at) => (even ? Math.round(at * ratio) / ratio : at);
  const [left, top] = [snap(sight.tx - had.tx * px), snap(sight.ty - had.ty * py)];
  const [x0, y0] = [Math.max(left, 0), Math.max(top, 0)];
  const x1 = Math.min(left + had.width * px, sight.width);
  const y1 = Math.min(top + had.height * py, sight.height);
  if (x1 <= x0 || y1 <= y0) return;
  context.drawImage(bitmap.canvas, ((x0 - left) / px) * ratio, ((y0 - top) / py) * ratio, ((x1 - x0) / px) * ratio,
    ((y1 - y0) / py) * ratio, x0, y0, x1 - x0, y1 - y0);
}
