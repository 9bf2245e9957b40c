// A line as high as text.

const WIDTH = 120, HEIGHT = 24, PAD = 3;
const SVG = "http://www.w3.org/2000/svg";

/**
 * Draw values, the latest marked.
 *
 * @param {number[]} values
 * @param {string} label What it shows, for those who cannot see it.
 * @returns {SVGElement}
 */
export function sparkline(values, label) {
  const svg = document.createElementNS(SVG, "svg"), low = Math.min(...values), high = Math.max(...values);
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("class", "spark");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  const x = (/** @type {number} */ k) => PAD + k * (WIDTH - 2 * PAD) / Math.max(1, values.length - 1);
  const y = (/** @type {number} */ v) => HEIGHT - PAD - (v - low) / (high - low || 1) * (HEIGHT - 2 * PAD);
  const line = svg.appendChild(document.createElementNS(SVG, "polyline"));
  line.setAttribute("points", values.map((v, k) => `${x(k).toFixed(1)},${y(v).toFixed(1)}`).join(" "));
  if (values.length) {
    const dot = svg.appendChild(document.createElementNS(SVG, "circle"));
    dot.setAttribute("cx", x(values.length - 1).toFixed(1));
    dot.setAttribute("cy", y(values[values.length - 1]).toFixed(1));
    dot.setAttribute("r", "2.5");
  }
  return svg;
}
