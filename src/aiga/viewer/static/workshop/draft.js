/** The course at work: its plan, what is selected, and the way back. */

import { compose, flat } from "aiga/courses.js";

/**
 * @typedef {import("aiga/courses.js").Plan} Plan
 * @typedef {import("aiga/courses.js").Obstacle} Obstacle
 */

const MOST = 200; // steps back

export class Draft {
  /** @param {Plan|null} plan */
  constructor(plan) {
    /** @type {Plan} */
    this.plan = plan ?? flat();
    this.kept = this.plan; // the last one that can be gone back to
    this.ground = compose(this.plan);
    /** @type {Plan[]} */
    this.past = [];
    /** @type {Plan[]} */
    this.future = [];
    /** @type {number|null} */
    this.selected = null;
    /** @type {Set<() => void>} */
    this.listeners = new Set();
  }

  /** @returns {Obstacle|null} */
  get chosen() {
    return this.plan.obstacles.find(({ id }) => id === this.selected) ?? null;
  }

  /** Shows a plan while it is still being changed. @param {Plan|null} plan  null changes nothing */
  show(plan) {
    if (!plan || plan === this.plan) return;
    this.plan = plan;
    this.ground = compose(plan);
    this.tell();
  }

  /** The change is done: one step of the way back. */
  commit() {
    if (this.plan === this.kept) return;
    this.past.push(this.kept);
    if (this.past.length > MOST) this.past.shift();
    this.future = [];
    this.kept = this.plan;
    this.tell();
  }

  /** Takes back what was shown and not committed. */
  revert() {
    this.show(this.kept);
  }

  /** @param {Plan|null} plan  null changes nothing */
  change(plan) {
    this.show(plan);
    this.commit();
  }

  undo() {
    this.turn(this.past, this.future);
  }

  redo() {
    this.turn(this.future, this.past);
  }

  /** @param {Plan[]} from @param {Plan[]} to */
  turn(from, to) {
    const plan = from.pop();
    if (!plan) return;
    to.push(this.kept);
    this.kept = plan;
    this.show(plan);
  }

  /** @param {number|null} id */
  select(id) {
    if (this.selected === id) return;
    this.selected = id;
    this.tell();
  }

  tell() {
    for (const listen of this.listeners) listen();
  }
}
