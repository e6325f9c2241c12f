/**
 * What the modules of the page pass to each other. Nothing here runs.
 *
 * @typedef {{id: number, parent: number|null, born: number, ended: number|null, solved: number|null,
 *   score: number|null}} Environment  iterations of its birth, its way into the archive, its first solution
 * @typedef {{iteration: number, source: number, target: number, gain: number|null, kind: string}} Transfer
 * @typedef {{environment: number, agent: string, seed: number, kind: string, rate: number, count: number,
 *   width: number, total: number|null, finished: boolean, moments: Float32Array}} Film
 *   `count` moments of `width` numbers, `rate` a second
 * @typedef {{left: number[], right: number[]}} Ground  heights in m at both ends of each cell
 * @typedef {{x: number, y: number, width: number, height: number}} Box  in CSS pixels
 *
 * What draws one kind of film: the module `aiga/kinds/KIND.js`.
 * @typedef {object} Kind
 * @property {boolean} [lidar]  it can show what an agent sees
 * @property {(context: CanvasRenderingContext2D, ground: Ground, film: Film|null, seconds: number, box: Box,
 *   options: {lidar?: boolean, scale?: number, simple?: boolean}) => void} scene
 *   the film at a moment; without a film the place alone
 * @property {(context: CanvasRenderingContext2D, ground: Ground, box: Box,
 *   options?: {film?: Film|null, seconds?: number}) => void} overview  the whole place in a strip
 * @property {(film: Film, share: number) => number} [seek]  when it was at this share of the strip, in s
 * @property {(film: Film, seconds: number) => string} words  what is seen, for those who do not
 *
 * A part of the page: the module `aiga/panels/NAME.js` exports one as its default.
 * @typedef {object} Panel
 * @property {string} title  in the navigation
 * @property {string[]} [kinds]  of events that it wants to be told
 * @property {(host: HTMLElement, page: Page, options: {compact: boolean, rest: string[]}) => Mounted} mount
 *   builds itself in `host`; `compact` on the first view, beside others; `rest` is what follows its name in
 *   the address
 *
 * @typedef {object} Mounted
 * @property {(change: import("aiga/world.js").Change) => void} [update]  the run went on
 * @property {() => void} [leave]  the panel is taken away: timers and animations end here
 *
 * What a panel is given.
 * @typedef {object} Page
 * @property {import("aiga/source.js").Source} source
 * @property {import("aiga/world.js").World} world  the run that is looked at
 * @property {string} path  runs/NAME, where questions about it begin
 * @property {import("aiga/films.js").Films} films
 * @property {(...parts: (string|number)[]) => void} go  to a panel of this run: go("tree"), go("stage", 7, 3)
 * @property {(id: number) => void} open  shows an environment in the sheet at the side
 * @property {(name: string) => string} key  the name under which this run's own things are remembered
 * @property {boolean} recorded  the page is a file without a server: what it does not hold cannot be asked
 * @property {(name: string) => string|null} remembered  what this browser keeps under a name
 * @property {(name: string, value: string) => void} remember
 */

export {};
