/**
 * Whether somebody looks. A page that nobody sees asks nothing and draws nothing. So does one that nobody has
 * touched for a while beside a run on the same machine: a browser draws with the cores that the run works on.
 */

const IDLE = 120_000; // ms without a hand on mouse or keyboard
const SLOW = 1000 / 30; // ms between two frames beside a run on this machine

let gentle = false; // there is a run at work on this machine
let touched = performance.now();
let asleep = false;
/** @type {ReturnType<typeof setInterval>|undefined} */
let timer;
/** @type {Set<() => void>} */
const listeners = new Set();

/** Nobody sees the page, or nobody has touched it for long. */
export const away = () => document.hidden || asleep;

/** Asleep, though it can be seen. */
export const sleeping = () => asleep && !document.hidden;

/** The least time between two frames, ms. */
export const pace = () => (gentle ? SLOW : 0);

/** @param {boolean} yes  a run works on this machine, and the page may fall asleep beside it */
export function beGentle(yes) {
  if (yes === gentle) return;
  gentle = yes;
  clearInterval(timer);
  if (yes) timer = setInterval(doze, 5000);
  else wake();
}

/** Told when somebody comes or goes. @param {() => void} listen @returns {() => void}  to stop it */
export function onPresence(listen) {
  listeners.add(listen);
  return () => void listeners.delete(listen);
}

function wake() {
  touched = performance.now();
  if (!asleep) return;
  asleep = false;
  for (const listen of [...listeners]) listen();
}

function doze() {
  if (asleep || document.hidden || performance.now() - touched < IDLE) return;
  asleep = true;
  for (const listen of [...listeners]) listen();
}

for (const kind of ["pointermove", "pointerdown", "keydown", "wheel", "focus"]) {
  addEventListener(kind, wake, { passive: true, capture: true });
}
document.addEventListener("visibilitychange", () => {
  touched = performance.now();
  for (const listen of [...listeners]) listen();
});
