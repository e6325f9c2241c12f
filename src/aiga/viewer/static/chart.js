/**
 * @param {HTMLElement} host
 * @param {{label: string, height: number, xName: string, lines: {name: string, colour: string, x: number[], y: (number|null)[]}[]}} options
 * @returns {{close: () => void}}
 */
export function chart(host, options) {
  host.textContent = options.label;
  return { close() {} };
}
