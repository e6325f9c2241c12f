/** Where the page's answers come from: the server, or, in a file that was taken away, the file itself. */

import { away, onPresence } from "aiga/awake.js";

/**
 * @typedef {object} Source
 * @property {boolean} recorded
 * @property {(path: string) => Promise<any>} get  an answer as data; `path` follows /api/
 * @property {(path: string, body?: object) => Promise<import("aiga/types.js").Film[]>} films
 * @property {(path: string, body: object) => Promise<any>} post
 * @property {(run: string, after: () => number, kinds: string[], listener: FeedListener) => () => void} feed
 *   tells what is new until it is closed by what it returns
 * @property {(path: string) => string|null} link  an address to download from; null where there is none
 *
 * @typedef {{change: (change: any) => void, state: (connected: boolean) => void}} FeedListener
 */

// What a file has in other answers alone; of any other kind it has all that were told.
const WORLD = ["birth", "rejection", "transfer", "solve", "extinction"];
const MOST = 500; // events in an answer
const SILENCE = 40_000; // ms; the server says every 15 s that it is still there

/** The server's own words, for people to read. */
export class Refused extends Error {}

/**
 * All events of a kind that came after one of them, oldest first, in as many answers as it takes. An iteration may
 * have more events than an answer, so the cursor is the iteration and the place in it.
 * @param {Source} source @param {string} path  runs/NAME @param {string} kind
 * @param {{iteration: number, seq: number}} [last]  without it from the first on
 * @returns {AsyncGenerator<{events: any[], omitted?: number}>} `omitted`: how many a file leaves out
 */
export async function* eventsAfter(source, path, kind, last) {
  for (let more = true; more;) {
    const cursor = last ? `&after=${last.iteration}&seq=${last.seq}` : "";
    const answer = await source.get(`${path}/events?kinds=${kind}&limit=${MOST}${cursor}`);
    yield answer;
    more = answer.events.length === MOST;
    last = answer.events[answer.events.length - 1];
  }
}

/** @returns {Source} */
export function fromServer() {
  /** @param {string} path @param {object} [body] */
  async function ask(path, body) {
    const options = body && {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    };
    let answer;
    try {
      answer = await fetch(`/api/${path}`, options);
    } catch {
      throw new Refused("the server does not answer");
    }
    if (!answer.ok) {
      const said = await answer.json().catch(() => ({ error: `the server said ${answer.status}` }));
      throw new Refused(said.error ?? `the server said ${answer.status}`);
    }
    return answer;
  }
  return {
    recorded: false,
    get: async (path) => (await ask(path)).json(),
    films: async (path, body) => unpack(await (await ask(path, body)).arrayBuffer()),
    post: async (path, body) => (await ask(path, body)).json(),
    link: (path) => `/api/${path}`,
    feed(run, after, kinds, listener) {
      /** @type {EventSource|null} */
      let events = null;
      /** @type {ReturnType<typeof setTimeout>|undefined} */
      let timer;
      let closed = false;
      const open = () => {
        end();
        // Nobody looks at a hidden page, and browsers allow few connections: with the cursor nothing is lost.
        if (closed || away()) return;
        events = new EventSource(`/api/runs/${run}/feed?after=${after()}&kinds=${kinds.join(",")}`);
        events.onopen = () => listener.state(true);
        events.onmessage = (message) => {
          heard();
          listener.change(JSON.parse(message.data));
        };
        events.addEventListener("here", heard);
        // The browser's own retry gives up on some errors.
        events.onerror = () => lost(1000);
        heard();
      };
      const end = () => {
        clearTimeout(timer);
        events?.close();
        events = null;
      };
      /** @param {number} pause  ms */
      const lost = (pause) => {
        end();
        listener.state(false);
        timer = setTimeout(open, pause);
      };
      // A connection that a sleeping machine lost makes no error for a long time, only silence.
      const heard = () => {
        clearTimeout(timer);
        timer = setTimeout(() => lost(0), SILENCE);
      };
      const unwatch = onPresence(open);
      open();
      return () => {
        closed = true;
        unwatch();
        end();
      };
    },
  };
}

/**
 * The answers that a shared file holds.
 * @param {Record<string, any>} answers  by path; those to films as base64
 * @returns {Source}
 */
export function fromFile(answers) {
  /** @param {string} path */
  const find = (path) => {
    if (!(path in answers)) throw new Refused("this file does not hold that; the run itself does");
    return answers[path];
  };
  /** Events are kept whole, kind by kind, as pages of them are asked for. @param {string} path */
  const events = (path) => {
    const [run, said] = path.split("/events?");
    const query = new URLSearchParams(said);
    const [after, seq] = [Number(query.get("after")), Number(query.get("seq") ?? Infinity)];
    const kept = (query.get("kinds") ?? "").split(",").map((kind) => {
      const asked = `${run}/events?kinds=${kind}`;
      return WORLD.includes(kind) || asked in answers ? find(asked) : { events: [], omitted: 0 };
    });
    const found = kept.flatMap((answer) => answer.events)
      .filter((event) => event.iteration > after || (event.iteration === after && event.seq > seq))
      .sort((a, b) => a.iteration - b.iteration || a.seq - b.seq);
    return {
      events: found.slice(0, Number(query.get("limit") ?? 100)),
      omitted: kept.reduce((sum, answer) => sum + answer.omitted, 0),
    };
  };
  return {
    recorded: true,
    get: async (path) => {
      if (path.includes("/events?")) return events(path);
      if (!path.includes("/courses?ids=")) return find(path);
      // Courses are kept one by one, as pages ask for them in groups.
      const [run, ids] = path.split("/courses?ids=");
      /** @type {Record<string, any>} */
      const found = {};
      for (const id of ids.split(",")) {
        const course = answers[`${run}/courses`]?.[id];
        if (course) found[id] = course;
      }
      return found;
    },
    films: async (path) => {
      const [run, asked] = path.split("/films?");
      const films = new URLSearchParams(asked).getAll("pair").map((pair) => find(`${run}/films?pair=${pair}`));
      return films.map((text) => unpack(bytes(text).buffer)[0]);
    },
    post: async () => {
      throw new Refused("a file cannot be told anything; open the run itself");
    },
    link: () => null,
    feed: () => () => {},
  };
}

/** @param {string} text  base64 */
function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** @param {ArrayBufferLike} buffer @returns {import("aiga/types.js").Film[]} */
export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const about = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length;
  return about.map((/** @type {any} */ film) => {
    const moments = new Float32Array(buffer, at, film.count * film.width);
    at += moments.byteLength;
    return { ...film, moments };
  });
}
