/** @param {string} line  of an SVG path in 24 by 24 @returns {SVGElement} */
export function icon(line) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", line);
  svg.append(path);
  return svg;
}
