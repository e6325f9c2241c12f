/** The car of own_world.py on its hills: a moment is one number, its place. */

import { colour } from "aiga/dom.js";
import { moment } from "aiga/films.js";

/** @type {import("aiga/types.js").Kind} */
const car = {
  scene(c, ground, film, seconds, box) {
    this.overview(c, ground, box, { film, seconds });
  },

  overview(c, ground, box, { film = null, seconds = 0 } = {}) {
    const count = ground.left.length;
    const x = (/** @type {number} */ place) => box.x + (place / count) * box.width;
    const y = (/** @type {number} */ height) => box.y + box.height * (0.62 - height * 0.14);
    c.fillStyle = colour("--scene-sky");
    c.fillRect(box.x, box.y, box.width, box.height);
    c.fillStyle = colour("--scene-grass");
    c.beginPath();
    c.moveTo(box.x, box.y + box.height);
    ground.left.forEach((height, i) => c.lineTo(x(i), y(height)));
    c.lineTo(x(count), y(ground.right[count - 1]));
    c.lineTo(x(count), box.y + box.height);
    c.fill();
    if (!film) return;
    const [place] = moment(film, seconds, [0]);
    const i = Math.min(Math.floor(place), count - 1);
    const rise = ground.right[i] - ground.left[i];
    const size = box.height * 0.05;
    c.save();
    c.translate(x(Math.min(place, count)), y(ground.left[i] + rise * Math.min(place - i, 1)));
    c.rotate(Math.atan2(-rise * 0.14 * box.height, box.width / count));
    c.fillStyle = colour("--scene-hull");
    c.fillRect(-2 * size, -2.2 * size, 4 * size, 1.4 * size);
    c.fillRect(-size, -3.3 * size, 2 * size, 1.2 * size);
    c.fillStyle = colour("--scene-outline");
    for (const wheel of [-1.2, 1.2]) {
      c.beginPath();
      c.arc(wheel * size, -0.7 * size, 0.7 * size, 0, 2 * Math.PI);
      c.fill();
    }
    c.restore();
  },

  words: (film, seconds) => `car at ${moment(film, seconds, [0])[0].toFixed(1)} of 10`,
};

export default car;
