// How the best was found: every trial, and the best until then.

/** @import { Chart, Point } from "./chart.js" */
/** @import { Frame } from "./frame.js" */
import { nothing } from "./chart.js";
import { frame } from "./frame.js";
import { drawPoints, radius, range } from "./points.js";
import { theme } from "./theme.js";
import { D, score, scored, sign, took } from "./trials.js";

const TITLES = {
  trial: "trial",
  time: "time since the first trial",
  compute: "time of all trials together",
};

export const historyPlot = {
  /**
   * What the horizontal axis shows.
   *
   * @type {keyof typeof TITLES}
   */
  axis: "trial",
};

/**
 * Show something else on the horizontal axis.
 *
 * @param {string} name
 */
export function setHistoryAxis(name) {
  if (Object.hasOwn(TITLES, name)) historyPlot.axis = /** @type {keyof typeof TITLES} */ (name);
}

/**
 * Where each trial stands on the horizontal axis, its value, its number; in the order of the axis.
 *
 * @returns {Point[]}
 */
function historySpots() {
  const end = (/** @type {number} */ i) => D.ended[i] ?? Infinity;
  const byEnd = (/** @type {number} */ a, /** @type {number} */ b) => end(a) - end(b) || a - b;
  const order = historyPlot.axis === "trial" ? scored : [...scored].sort(byEnd);
  const now = Math.max(0, ...D.ended.filter((t) => t !== null));
  let spent = 0;
  return order.map((i) => {
    spent += took(i) ?? 0;
    return [{ trial: i, time: D.ended[i] ?? now, compute: spent }[historyPlot.axis], score(i), i];
  });
}

/**
 * Draw the history.
 *
 * @param {Chart} chart
 */
export function drawHistory(chart) {
  const spots = historySpots(), time = historyPlot.axis !== "trial";
  if (!spots.length) return nothing(chart, "No trial has a score yet.");
  const xs = spots.map((s) => s[0]);
  const x = { low: time ? 0 : Math.min(...xs), high: Math.max(...xs, time ? 1 : 0), whole: !time };
  const f = frame(chart, { x, y: range, xTitle: TITLES[historyPlot.axis], time });
  drawPoints(chart, spots.map(([px, v, i]) => [f.xs.at(px), f.ys.clamped(v), i]), radius(spots.length));
  drawLead(chart, f, spots, x.high);
}

/**
 * Draw the steps of the best value.
 *
 * @param {Chart} chart
 * @param {Frame} f
 * @param {Point[]} spots
 * @param {number} end Where the axis ends.
 */
function drawLead({ ctx }, f, spots, end) {
  let lead = spots[0][1];
  ctx.strokeStyle = theme.accent;
  ctx.lineWidth = 2;
  ctx.beginPath();
  ctx.moveTo(f.xs.at(spots[0][0]), f.ys.clamped(lead));
  for (const [px, v] of spots) {
    if (sign * (v - lead) >= 0) continue;
    ctx.lineTo(f.xs.at(px), f.ys.clamped(lead));
    ctx.lineTo(f.xs.at(px), f.ys.clamped(v));
    lead = v;
  }
  ctx.lineTo(f.xs.at(end), f.ys.clamped(lead));
  ctx.stroke();
}
