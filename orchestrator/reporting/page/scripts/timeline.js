// The timeline: which trial ran when, on which GPU or slot.

/** @import { Chart } from "./chart.js" */
import { cut, line } from "./canvas.js";
import { LINEAR, Scale, timeTicks } from "./scale.js";
import { store } from "./state.js";
import { ramp, theme } from "./theme.js";
import { D, goodness, stateOf } from "./trials.js";

/**
 * Where an attempt is drawn.
 *
 * @typedef {{ x: number, y: number, w: number, h: number, trial: number }} Bar
 */

/** @type {Bar[]} */
let bars = [];

/**
 * The height of a lane: the more of them, the lower.
 *
 * @returns {number}
 */
function laneHeight() {
  if (D.lanes.length > 40) return 8;
  return D.lanes.length > 16 ? 16 : 26;
}

/**
 * The height of the whole.
 *
 * @returns {number}
 */
export function timelineHeight() {
  return D.lanes.length * laneHeight() + 28;
}

/**
 * Draw the lanes and the time below them.
 *
 * @param {Chart} chart
 */
export function drawTimeline(chart) {
  const { ctx, w } = chart, left = Math.min(150, w * 0.28);
  const high = Math.max(1, ...D.lanes.flatMap((lane) => lane.bars.map((bar) => bar[2])));
  const xs = new Scale({ kind: LINEAR, low: 0, high }, left, w - 12);
  bars = [];
  ctx.textBaseline = "middle";
  ctx.lineWidth = 1;
  D.lanes.forEach((_, k) => drawLane(chart, xs, k));
  ctx.globalAlpha = 1;
  drawTimeAxis(chart, xs);
}

/**
 * Draw one lane and its name.
 *
 * @param {Chart} chart
 * @param {Scale} xs
 * @param {number} k
 */
function drawLane({ ctx, w }, xs, k) {
  const height = laneHeight(), y = 4 + k * height, lane = D.lanes[k];
  ctx.fillStyle = theme.panel;
  ctx.fillRect(xs.from, y, w - 12 - xs.from, height - 4);
  if (height > 8) {
    ctx.fillStyle = theme.muted;
    ctx.textAlign = "right";
    ctx.fillText(cut(ctx, lane.name, xs.from - 12), xs.from - 8, y + height / 2 - 2);
  }
  for (const [trial, began, ended] of lane.bars) {
    const x = xs.at(began), width = Math.max(1, xs.at(ended) - x);
    drawBar(ctx, { x, y, w: width, h: height - 4, trial });
    bars.push({ x, y, w: Math.max(3, width), h: height - 4, trial });
  }
}

/**
 * Draw an attempt, with its trial's number where there is room.
 *
 * @param {CanvasRenderingContext2D} ctx
 * @param {Bar} bar
 */
function drawBar(ctx, { x, y, w, h, trial }) {
  const state = stateOf(trial), good = goodness[trial];
  ctx.globalAlpha = store.kept[trial] ? 1 : 0.15;
  ctx.fillStyle = state === "failed" ? theme.failed : good === null ? theme.muted : ramp(good);
  ctx.fillRect(x, y, w > 3 ? w - 1 : w, h);
  if (state === "stopped" && w > 6) {
    ctx.fillStyle = theme.stopped;
    ctx.fillRect(x + w - 4, y, 3, h);
  }
  if (h > 12 && w > 24) {
    ctx.fillStyle = (good ?? 0) > 0.55 || state === "failed" ? theme.page : theme.ink;
    ctx.textAlign = "center";
    ctx.fillText(String(trial), x + w / 2, y + h / 2 + 0.5);
  }
}

/**
 * Draw the time.
 *
 * @param {Chart} chart
 * @param {Scale} xs
 */
function drawTimeAxis({ ctx, w, h }, xs) {
  ctx.fillStyle = theme.muted;
  ctx.strokeStyle = theme.line;
  ctx.textAlign = "center";
  ctx.textBaseline = "top";
  for (const t of timeTicks(xs, Math.max(2, Math.floor((w - xs.from) / 80)))) {
    const x = Math.round(xs.at(t.v)) + 0.5;
    line(ctx, x, 2, x, h - 20);
    ctx.fillText(t.text, Math.min(x, w - 20), h - 17);
  }
}

/**
 * Frame the attempts of the selected trial and of the one that is pointed at.
 *
 * @param {Chart} chart
 */
export function overTimeline({ top }) {
  top.lineWidth = 2;
  for (const { x, y, w, h, trial } of bars) {
    if (trial !== store.selected && trial !== store.hovered) continue;
    top.strokeStyle = trial === store.selected ? theme.accent : theme.ink;
    top.strokeRect(x, y, w, h);
  }
}

/**
 * The trial whose attempt is at a place.
 *
 * @param {Chart} _chart
 * @param {number} x
 * @param {number} y
 * @returns {number | null}
 */
export function hitBar(_chart, x, y) {
  const bar = bars.find((b) => x >= b.x - 1 && x <= b.x + b.w + 1 && y >= b.y && y <= b.y + b.h);
  return bar ? bar.trial : null;
}
