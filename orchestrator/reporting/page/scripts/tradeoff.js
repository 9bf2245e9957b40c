// The trade-off between the first two objectives.

/** @import { Chart, Point } from "./chart.js" */
import { dot } from "./canvas.js";
import { nothing } from "./chart.js";
import { frame } from "./frame.js";
import { store } from "./state.js";
import { theme } from "./theme.js";
import { D, scored } from "./trials.js";

/**
 * The ends of some values, with room around them.
 *
 * @param {number[]} values
 * @returns {{ low: number, high: number }}
 */
function padded(values) {
  const low = Math.min(...values), high = Math.max(...values), pad = (high - low) * 0.05;
  return { low: low - pad, high: high + pad };
}

/**
 * Draw the trials; those that no other beats are filled.
 *
 * @param {Chart} chart
 */
export function drawTradeoff(chart) {
  const [x, y] = D.values, { ctx } = chart;
  const list = /** @type {Point[]} */ (scored.map((i) => [x[i], y[i], i]).filter(([a, b]) => a !== null && b !== null));
  if (!list.length) return nothing(chart, "No trial has reported every metric yet.");
  const f = frame(chart, {
    x: padded(list.map(([a]) => a)),
    y: padded(list.map(([, b]) => b)),
    xTitle: D.objectives[0].name,
    yTitle: D.objectives[1].name,
    top: 22,
  });
  const front = new Set(D.front);
  ctx.lineWidth = 1.5;
  chart.points = list.map(([a, b, i]) => [f.xs.at(a), f.ys.at(b), i]);
  for (const [px, py, i] of chart.points) {
    ctx.globalAlpha = store.kept[i] ? 1 : 0.12;
    if (front.has(i)) dot(ctx, px, py, 5, theme.good, theme.good);
    else dot(ctx, px, py, 3.5, theme.page, theme.muted);
  }
  ctx.globalAlpha = 1;
}
