/** Walks, asked for in groups and kept for a while, and where their place looks like what. */

/**
 * @typedef {import("aiga/types.js").Film} Film
 * @typedef {import("aiga/types.js").Ground} Ground
 * @typedef {import("aiga/types.js").Kind} Kind
 */

const MOST = 120; // films kept
const TOGETHER = 12; // asked for at once: the first of them are there soon

/** @type {Map<string, Promise<Kind>>} */
const kinds = new Map();

/** What draws films of a kind. @param {string} name @returns {Promise<Kind>} */
export function kind(name) {
  let found = kinds.get(name);
  if (!found) {
    if (!/^[a-z][a-z0-9-]*$/.test(name)) return Promise.reject(new Error(`kind: ${name}`));
    found = import(`aiga/kinds/${name}.js`).then((module) => module.default);
    kinds.set(name, found);
  }
  return found;
}

/** Films and courses of one run. */
export class Films {
  /** @param {import("aiga/source.js").Source} source @param {string} run */
  constructor(source, run) {
    this.source = source;
    this.run = run;
    /** @type {Map<string, Film>} */
    this.kept = new Map();
    /** @type {Map<number, Promise<Ground|null>>} */
    this.grounds = new Map();
    /** @type {Map<number, (ground: Ground|null) => void>} */
    this.wanted = new Map();
  }

  /**
   * The walks of `pairs`, ENVIRONMENT~AGENT~SEED each, told one group after the other as they come.
   * @param {string[]} pairs
   * @param {(pair: string, film: Film) => void} tell
   * @param {{fresh?: boolean}} [options]  `fresh` asks again also for those that are kept
   */
  async get(pairs, tell, { fresh = false } = {}) {
    const missing = [];
    for (const pair of pairs) {
      const film = fresh ? undefined : this.kept.get(pair);
      if (film) tell(pair, film);
      else missing.push(pair);
    }
    for (let i = 0; i < missing.length; i += TOGETHER) {
      const some = missing.slice(i, i + TOGETHER);
      const query = some.map((pair) => `pair=${pair}`).join("&");
      const films = await this.source.films(`runs/${this.run}/films?${query}`);
      films.forEach((film, place) => {
        this.kept.delete(some[place]);
        this.kept.set(some[place], film);
        tell(some[place], film);
      });
      for (const old of this.kept.keys()) {
        if (this.kept.size <= MOST) break;
        this.kept.delete(old);
      }
    }
  }

  /** What is kept of an environment and its agent is out of date. @param {number} id */
  forget(id) {
    for (const pair of this.kept.keys()) {
      const [environment, agent] = pair.split("~");
      if (environment === String(id) || agent === String(id)) this.kept.delete(pair);
    }
  }

  /** One walk. @param {string} pair @returns {Promise<Film>} */
  async one(pair) {
    /** @type {Film[]} */
    const found = [];
    await this.get([pair], (_, film) => found.push(film));
    return found[0];
  }

  /** The ground of an environment; null where it cannot be drawn. @param {number} id @returns {Promise<Ground|null>} */
  ground(id) {
    let found = this.grounds.get(id);
    if (!found) {
      found = new Promise((resolve) => {
        // All that are asked for in one turn go in one request.
        if (!this.wanted.size) setTimeout(() => this.fetchGrounds(), 0);
        this.wanted.set(id, resolve);
      });
      this.grounds.set(id, found);
      for (const old of this.grounds.keys()) {
        if (this.grounds.size <= 600) break;
        this.grounds.delete(old);
      }
    }
    return found;
  }

  async fetchGrounds() {
    const wanted = [...this.wanted];
    this.wanted.clear();
    for (let i = 0; i < wanted.length; i += 64) {
      const some = wanted.slice(i, i + 64);
      /** @type {Record<string, Ground>} */
      let found = {};
      try {
        found = await this.source.get(`runs/${this.run}/courses?ids=${some.map(([id]) => id).join(",")}`);
      } catch {
        for (const [id] of some) this.grounds.delete(id);
      }
      for (const [id, resolve] of some) resolve(found[id] ?? null);
    }
  }
}

/**
 * A moment of a film, between two of its own where need be.
 * @param {Film} film @param {number} seconds  since its beginning; its last moment stays
 * @param {number[]} out  of `width` numbers
 */
export function moment(film, seconds, out) {
  const place = Math.min(Math.max(seconds * film.rate, 0), film.count - 1);
  const first = Math.floor(place);
  const second = Math.min(first + 1, film.count - 1);
  const share = place - first;
  for (let i = 0; i < film.width; i++) {
    const a = film.moments[first * film.width + i];
    out[i] = a + (film.moments[second * film.width + i] - a) * share;
  }
  return out;
}

/** @param {Film} film  in seconds */
export const length = (film) => (film.count - 1) / film.rate;
