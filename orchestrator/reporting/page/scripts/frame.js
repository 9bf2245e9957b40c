// The frame of an x-y chart: grid, ticks and titles.

/** @import { Chart } from "./chart.js" */
/** @import { Extent, Tick } from "./scale.js" */
import { cut, line } from "./canvas.js";
import { LABELS, Scale, timeTicks } from "./scale.js";
import { theme } from "./theme.js";

/**
 * The scales of a frame that was drawn.
 *
 * @typedef {{ xs: Scale, ys: Scale }} Frame
 */

/**
 * The room around a chart's grid, in pixels.
 *
 * @typedef {{ left: number, right: number, top: number, bottom: number }} Margins
 */

/**
 * What a frame shows; `time` says that x is seconds.
 *
 * @typedef {{ x: Extent, y: Extent, xTitle?: string, yTitle?: string, time?: boolean } & Partial<Margins>} FrameOptions
 */

/**
 * Draw a frame and return its scales.
 *
 * @param {Chart} chart
 * @param {FrameOptions} options
 * @returns {Frame}
 */
export function frame(chart, options) {
  const { x, y, xTitle = "", yTitle = "", time = false } = options;
  const margins = { left: 56, bottom: 40, top: 10, right: 12, ...options };
  const { ctx, w, h } = chart, { right, top, bottom } = margins;
  const ys = new Scale(y, h - bottom, top), rows = ys.ticks(Math.max(2, Math.floor((h - top - bottom) / 44)));
  if (ys.kind !== LABELS) margins.left = Math.max(margins.left, 10 + widest(chart, rows));
  const { left } = margins, xs = new Scale(x, left, w - right);
  ctx.lineWidth = 1;
  ctx.strokeStyle = theme.line;
  ctx.fillStyle = theme.muted;
  drawRows(chart, ys, rows, margins);
  drawColumns(chart, xs, margins, time);
  if (xTitle) ctx.fillText(cut(ctx, xTitle, w - left), left + (w - left - right) / 2, h - 15);
  if (yTitle) {
    ctx.textAlign = "left";
    ctx.fillText(cut(ctx, yTitle, w - left), left + 4, top - 8);
  }
  return { xs, ys };
}

/**
 * How wide the texts of ticks are at most, in pixels.
 *
 * @param {Chart} chart
 * @param {Tick[]} ticks
 * @returns {number}
 */
function widest({ ctx }, ticks) {
  return Math.ceil(Math.max(0, ...ticks.map((t) => ctx.measureText(t.text).width)));
}

/**
 * Draw a line across the chart at every tick of y.
 *
 * @param {Chart} chart
 * @param {Scale} ys
 * @param {Tick[]} ticks
 * @param {Margins} margins
 */
function drawRows({ ctx, w }, ys, ticks, { left, right }) {
  ctx.textBaseline = "middle";
  ctx.textAlign = "right";
  for (const t of ticks) {
    const p = Math.round(ys.at(t.v)) + 0.5;
    line(ctx, left, p, w - right, p);
    ctx.fillText(cut(ctx, t.text, left - 10), left - 8, p);
  }
}

/**
 * Draw the ticks of x, as many as their texts leave room for.
 *
 * @param {Chart} chart
 * @param {Scale} xs
 * @param {Margins} margins
 * @param {boolean} time
 */
function drawColumns({ ctx, w, h }, xs, { left, right, bottom }, time) {
  ctx.textBaseline = "top";
  ctx.textAlign = "center";
  const widths = xs.labels.map((text) => Math.min(64, ctx.measureText(text).width));
  const each = widths.length ? Math.max(16, ...widths) + 12 : 72;
  const room = Math.max(2, Math.floor((w - left - right) / each));
  for (const t of time ? timeTicks(xs, room) : xs.ticks(room)) {
    const p = Math.round(xs.at(t.v)) + 0.5;
    line(ctx, p, h - bottom, p, h - bottom + 4);
    const half = ctx.measureText(t.text).width / 2;
    ctx.fillText(cut(ctx, t.text, (w - left - right) / room), Math.min(w - half - 2, p), h - bottom + 7);
  }
}
