// The bars of the table of importances.

import { make } from "./dom.js";

/** Draw each parameter's share, and where it lies in nine of ten samples. */
export function drawImportances() {
  for (const cell of document.querySelectorAll(".importance .bar")) {
    const { share, low, high } = /** @type {HTMLElement} */ (cell).dataset;
    const fill = cell.appendChild(make("div", undefined, "fill"));
    const spread = cell.appendChild(make("div", undefined, "range"));
    fill.style.width = `${100 * Number(share)}%`;
    spread.style.left = `${100 * Number(low)}%`;
    spread.style.width = `${100 * (Number(high) - Number(low))}%`;
  }
}
