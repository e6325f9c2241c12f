/** What is drawn of a run over time, as plain numbers: histories that stay small, groups, bands and ticks. */

/**
 * @typedef {(number|null)[]} Column
 * @typedef {"iteration"|"hours"|"steps"} Axis
 * @typedef {{name: string, system: string, seed: number, settings?: string, running?: boolean}} Told  of a run
 * @typedef {{key: string, name: string, runs: Told[]}} Group  runs that differ in nothing but their seeds
 * @typedef {{x: number[], y: Column, low: Column, high: Column, full: number, whole: boolean}} Banded
 *   `full`: at so many of the first places all lines are there; `whole`: the band goes from the least to the
 *   greatest, not from quartile to quartile
 */

export const MOST = 600; // points of a line
const QUARTILES_FROM = 5; // runs; of fewer a band shows the least and the greatest

/** The metrics of a run, at most `MOST` points of them, each the last of a stretch of `stride` iterations. */
export class History {
  /** @param {any} said  what /series said */
  constructor(said) {
    /** @type {number[]} */
    this.iteration = said.iteration.filter((/** @type {number} */ each) => each > 0);
    /** @type {number[]} */
    this.hours = said.hours.slice(0, this.iteration.length);
    /** @type {Map<string, Column>} */
    this.columns = new Map();
    for (const [name, column] of Object.entries(said.values)) this.columns.set(name, [...column]);
    for (const [name, column] of Object.entries(said.population ?? {})) {
      this.columns.set(`population.${name}`, [...column]);
    }
    for (const column of this.columns.values()) column.length = this.iteration.length;
    const [first = 1, second] = this.iteration;
    this.stride = second ? Math.max(first, 1) : 1;
  }

  get last() {
    return this.iteration.at(-1) ?? 0;
  }

  /**
   * The run went on: a new point, or a newer one in the place of the last where both are of one stretch.
   * @param {number} iteration @param {number} seconds  of work since the last
   * @param {Record<string, number|null>} values
   */
  take(iteration, seconds, values) {
    if (iteration <= this.last) return;
    const same = this.last > 0 && this.stretch(iteration) === this.stretch(this.last);
    const at = same ? this.iteration.length - 1 : this.iteration.length;
    const hours = (this.hours.at(-1) ?? 0) + seconds / 3600;
    this.iteration[at] = iteration;
    this.hours[at] = hours;
    for (const name of Object.keys(values)) {
      if (!this.columns.has(name)) this.columns.set(name, new Array(at).fill(null));
    }
    for (const [name, column] of this.columns) column[at] = values[name] ?? (same ? column[at] : null) ?? null;
    if (this.iteration.length > MOST) this.halve();
  }

  /** @param {number} iteration */
  stretch(iteration) {
    return Math.floor((iteration - 1) / this.stride);
  }

  halve() {
    this.stride *= 2;
    const stretches = this.iteration.map((each) => this.stretch(each));
    const kept = stretches.map((each, i) => each !== stretches[i + 1]);
    this.iteration = this.iteration.filter((_, i) => kept[i]);
    this.hours = this.hours.filter((_, i) => kept[i]);
    for (const [name, column] of this.columns) {
      // What was not told at the point that stays is taken from the one before it.
      const filled = column.map((value, i) => value ?? (i && !kept[i - 1] ? column[i - 1] : null));
      this.columns.set(name, filled.filter((_, i) => kept[i]));
    }
  }

  /** @param {string} name  of a metric, "population.median", ..., or "rate": steps per second @returns {Column} */
  column(name) {
    if (name === "rate") return rates(this.columns.get("steps") ?? [], this.hours);
    return this.columns.get(name) ?? [];
  }

  /** @param {Axis} axis @returns {Column} */
  along(axis) {
    return axis === "steps" ? this.columns.get("steps") ?? [] : this[axis];
  }

  /** Those points of a column that are there. @param {Axis} axis @param {string} name */
  points(axis, name) {
    const [along, column] = [this.along(axis), this.column(name)];
    const x = /** @type {number[]} */ ([]);
    const y = /** @type {number[]} */ ([]);
    for (let i = 0; i < column.length; i++) {
      const [a, b] = [along[i], column[i]];
      if (a === null || a === undefined || b === null || b === undefined) continue;
      x.push(a);
      y.push(b);
    }
    return { x, y };
  }
}

/** Steps per second since the point before. @param {Column} steps @param {number[]} hours @returns {Column} */
export function rates(steps, hours) {
  let last = -1;
  return steps.map((count, i) => {
    if (count === null) return null;
    const before = last < 0 ? [null, 0] : [steps[last], hours[last]];
    last = i;
    const seconds = 3600 * (hours[i] - /** @type {number} */ (before[1]));
    return before[0] === null || seconds <= 0 ? null : (count - before[0]) / seconds;
  });
}

/** Runs that differ in nothing but their seeds together, in the order of their names. @param {Told[]} runs */
export function grouped(runs) {
  /** @type {Map<string, Told[]>} */
  const found = new Map();
  const order = new Intl.Collator("en", { numeric: true });
  for (const run of [...runs].sort((a, b) => order.compare(a.name, b.name))) {
    const key = run.settings ?? `run ${run.name}`;
    found.set(key, [...(found.get(key) ?? []), run]);
  }
  return [...found].map(([key, same]) => {
    return { key, name: common(same.map((run) => run.name)) || same[0].system, runs: same };
  });
}

/** What some names begin with, without the digits and dashes that tell them apart. @param {string[]} names */
export function common(names) {
  if (names.length === 1) return names[0];
  let length = 0;
  while (names.every((name) => length < name.length && name[length] === names[0][length])) length++;
  return names[0].slice(0, length).replace(/[\W_]*(seed)?[\W_]*\d*$/i, "");
}

/** Seeds in few words: 0–4, 7. @param {number[]} seeds */
export function seedsInWords(seeds) {
  /** @type {[number, number][]} */
  const spans = [];
  for (const seed of [...seeds].sort((a, b) => a - b)) {
    const last = spans.at(-1);
    if (last && seed <= last[1] + 1) last[1] = seed;
    else spans.push([seed, seed]);
  }
  return spans.map(([a, b]) => (a === b ? `${a}` : b === a + 1 ? `${a}, ${b}` : `${a}–${b}`)).join(", ");
}

/** @param {number[]} sorted @param {number} share  0.5 is the median */
export function quantile(sorted, share) {
  const place = share * (sorted.length - 1);
  const first = Math.floor(place);
  const second = Math.min(first + 1, sorted.length - 1);
  return sorted[first] + (sorted[second] - sorted[first]) * (place - first);
}

/** How many of `count` runs a line of medians needs: half of them, and two. @param {number} count */
export const enough = (count) => Math.max(Math.min(count, 2), Math.ceil(count / 2));

/**
 * The median of some lines and a band around it, where enough of them reach.
 * @param {{x: number[], y: number[]}[]} lines
 * @param {{count?: number, steps?: boolean}} [options]  `count` of places, evenly spread; `steps`: values, as
 *   counts, stay until the next
 * @returns {Banded}
 */
export function banded(lines, { count = 240, steps = false } = {}) {
  const some = lines.filter((line) => line.x.length);
  const whole = some.length < QUARTILES_FROM;
  /** @type {Banded} */
  const found = { x: [], y: [], low: [], high: [], full: 0, whole };
  if (!some.length) return found;
  const first = Math.max(...some.map((line) => line.x[0]));
  const last = Math.max(...some.map((line) => line.x[line.x.length - 1]));
  const places = some.map(() => 0);
  for (let i = 0; i < count; i++) {
    const x = i === count - 1 ? last : first + ((last - first) * i) / (count - 1);
    const there = [];
    for (const [k, line] of some.entries()) {
      while (places[k] + 1 < line.x.length && line.x[places[k] + 1] <= x) places[k]++;
      const value = between(line, places[k], x, steps);
      if (value !== null) there.push(value);
    }
    if (there.length < enough(lines.length)) continue;
    if (there.length === some.length && found.full === found.x.length) found.full++;
    there.sort((a, b) => a - b);
    found.x.push(x);
    found.y.push(quantile(there, 0.5));
    found.low.push(whole ? there[0] : quantile(there, 0.25));
    found.high.push(whole ? there[there.length - 1] : quantile(there, 0.75));
  }
  return found;
}

/**
 * @param {{x: number[], y: number[]}} line @param {number} i  the last point at or before x @param {number} x
 * @param {boolean} steps
 */
function between({ x: xs, y: ys }, i, x, steps) {
  if (x < xs[i]) return null;
  if (i + 1 >= xs.length) return x > xs[i] ? null : ys[i];
  if (steps) return ys[i];
  return ys[i] + ((ys[i + 1] - ys[i]) * (x - xs[i])) / (xs[i + 1] - xs[i]);
}

/** The place of the value nearest to `x`; -1 where there is none. @param {number[]} xs  rising @param {number} x */
export function nearest(xs, x) {
  let [low, high] = [0, xs.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle;
    else high = middle;
  }
  return high < 0 ? -1 : Math.abs(xs[low] - x) <= Math.abs(xs[high] - x) ? low : high;
}

/**
 * Round numbers from `low` to `high`, about `count` of them.
 * @param {number} low @param {number} high @param {number} count @param {number} [least]  step between them
 */
export function ticks(low, high, count, least = 0) {
  if (!(high > low)) return [low];
  const rough = (high - low) / Math.max(count, 1);
  const unit = 10 ** Math.floor(Math.log10(rough));
  const round = [1, 2, 5, 10].map((each) => each * unit).find((each) => each >= rough * 0.75) ?? rough;
  const step = Math.max(round, least);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(k * step + 0);
  return found;
}

/** Round numbers for an axis of logarithms. @param {number} low @param {number} high @param {number} count */
export function logTicks(low, high, count) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const decades = Array.from({ length: last - first + 1 }, (_, i) => first + i);
  for (const factors of [[1, 2, 5], [1, 3], [1]]) {
    const found = decades.flatMap((each) => factors.map((factor) => Number(`${factor}e${each}`)));
    const inside = found.filter((each) => each >= low * 0.999 && each <= high * 1.001);
    if (inside.length <= count + 1) return inside;
  }
  const every = Math.ceil(decades.length / count);
  const some = decades.filter((_, i) => i % every === 0).map((each) => Number(`1e${each}`));
  return some.filter((each) => each >= low && each <= high);
}

const LETTERS = /** @type {[number, string][]} */ ([[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]);

/** All ticks of an axis in one unit, with as many digits as tell them apart. @param {number[]} values */
export function tickTexts(values) {
  const greatest = Math.max(...values.map(Math.abs));
  const [unit, letter] = greatest >= 1e4 ? LETTERS.find(([size]) => greatest >= size) ?? [1, ""] : [1, ""];
  const step = values.length > 1 ? (values[1] - values[0]) / unit : greatest / unit || 1;
  const digits = Math.min(Math.max(-Math.floor(Math.log10(step) + 1e-9), 0), 8);
  return values.map((value) => {
    const text = (value / unit).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    return (letter && value ? `${text}\u00a0${letter}` : text).replace("-", "−");
  });
}

/** A value in three digits or so: 1.23 M, 214, 0.0041. @param {number|null|undefined} value */
export function inDigits(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const [unit, letter] = size >= 1e4 ? LETTERS.find(([each]) => size >= 0.9995 * each) ?? [1, ""] : [1, ""];
  const scaled = value / unit;
  let text = Number.isInteger(value) && !letter ? value.toLocaleString("en") : String(Number(scaled.toPrecision(3)));
  if (size >= 100 && size < 1e4 && !Number.isInteger(value)) text = Math.round(value).toLocaleString("en");
  return (letter ? `${text}\u00a0${letter}` : text).replace("-", "−");
}

/**
 * Heights for labels that want to be at `wanted`, at least `gap` apart, inside `low` to `high` if they fit.
 * @param {number[]} wanted @param {number} gap @param {number} low @param {number} high
 */
export function spread(wanted, gap, low, high) {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a] - wanted[b]);
  const found = [...wanted];
  let floor = low;
  for (const i of order) {
    found[i] = Math.max(found[i], floor);
    floor = found[i] + gap;
  }
  let ceiling = high;
  for (const i of order.reverse()) {
    found[i] = Math.min(found[i], ceiling);
    ceiling = found[i] - gap;
  }
  return found;
}
