/** What the page knows of the run it looks at, kept up to date by the feed. */

/**
 * @typedef {import("aiga/types.js").Environment} Environment
 * @typedef {import("aiga/types.js").Transfer} Transfer
 * @typedef {{environments: Environment[], births: Environment[], transfers: Transfer[], events: any[],
 *   metrics: Record<string, number|null>|null, population: Record<string, number|null>|null, at: number|null,
 *   seconds: number}} Change  `population` describes the scores that were told last, as /series does
 */

const MOST_TRANSFERS = 6000;

export class World {
  /** @param {any} told  what /api/runs/NAME said @param {any} snapshot  what /environments said */
  constructor(told, snapshot) {
    /** @type {string} */
    this.name = told.name;
    /** @type {string} */
    this.system = told.system;
    this.told = told;
    /** @type {boolean} */
    this.running = told.running;
    this.connected = true;
    /** @type {Record<string, number|null>} */
    this.metrics = told.metrics ?? {};
    this.iteration = 0;
    this.rate = 0; // iterations a second, lately
    /** @type {number|null} */
    this.at = told.at;
    /** @type {Map<number, Environment>} */
    this.environments = new Map();
    /** @type {Transfer[]} */
    this.transfers = [];
    this.apply(snapshot);
  }

  /**
   * Takes what the server said of a stretch of the run.
   * @param {any} said
   * @returns {Change}
   */
  apply(said) {
    /** @type {Environment[]} */
    const changed = rows(said.environments);
    const births = changed.filter((each) => !this.environments.has(each.id));
    for (const each of changed) this.environments.set(each.id, each);
    /** @type {Transfer[]} */
    const transfers = rows(said.transfers);
    this.transfers.push(...transfers);
    if (this.transfers.length > 1.2 * MOST_TRANSFERS) {
      this.transfers.sort((a, b) => (b.gain ?? 0) - (a.gain ?? 0));
      this.transfers.length = MOST_TRANSFERS;
    }
    if (said.running !== undefined) this.running = said.running;
    if (said.metrics) this.metrics = said.metrics;
    if (said.at) this.at = said.at;
    if (said.cursor !== undefined) {
      if (said.seconds) this.rate = (said.cursor - this.iteration) / said.seconds;
      this.iteration = said.cursor;
    }
    const { metrics = null, population = null, events = [], at = null, seconds = 0 } = said;
    return { environments: changed, births, transfers, metrics, population, events, at, seconds };
  }

  /** The active environments, the youngest first. */
  active() {
    return [...this.environments.values()].filter((each) => each.ended === null).reverse();
  }
}

/** Rows from columns. @param {Record<string, any[]>} [columns] @returns {any[]} */
export function rows(columns) {
  const names = Object.keys(columns ?? {});
  if (!columns || !names.length) return [];
  return columns[names[0]].map((_, i) => Object.fromEntries(names.map((name) => [name, columns[name][i]])));
}
