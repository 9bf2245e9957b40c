// Parallel coordinates: a thread per trial through all parameters, and brushes on the axes.

/** @import { Chart } from "./chart.js" */
/** @import { Extent } from "./scale.js" */
import { cut, FONT, line } from "./canvas.js";
import { nothing } from "./chart.js";
import { later, note } from "./dom.js";
import { refilter } from "./filter.js";
import { extent, range, shake } from "./points.js";
import { Scale } from "./scale.js";
import { store } from "./state.js";
import { ramp, theme } from "./theme.js";
import { best, D, goodness, metric, ranked, sign, valueOf, worstFirst } from "./trials.js";

const MOST_AXES = 11;
const MOST_NAMES = 4;
const GRIP = 16;
const THREAD_REACH = 8;
const PARALLEL_TOP = 46, PARALLEL_LEFT = 46, PARALLEL_RIGHT = 56, PARALLEL_BOTTOM = 18;

/**
 * An axis: of a parameter, or of the value.
 *
 * @typedef {object} Coordinate
 * @property {number | "value"} key
 * @property {string} title
 * @property {Extent} extent
 * @property {(i: number) => number | null} of
 */

/**
 * An axis where it stands.
 *
 * @typedef {Coordinate & { x: number, scale: Scale }} StandingAxis
 */

export const parallel = {
  /** @type {StandingAxis[]} */
  axes: [],
  /** Whether the pointer holds an axis. */
  pressing: false,
};

/**
 * The axes that there is room for; the last one is the value.
 *
 * @param {Chart} chart
 * @returns {Coordinate[]}
 */
function coordinates(chart) {
  const room = Math.max(2, Math.min(MOST_AXES, Math.floor(chart.w / 92) - 1));
  const list = D.axes.slice(0, room).map((axis, a) => ({
    key: a,
    title: axis.name,
    extent: extent(axis),
    of: (/** @type {number} */ i) => axis.values[i] ?? null,
  }));
  return [...list, { key: "value", title: metric, extent: range, of: valueOf }];
}

/**
 * Put the axes side by side. Better is up on the axis of the value.
 *
 * @param {Chart} chart
 * @returns {StandingAxis[]}
 */
function standing(chart) {
  const axes = coordinates(chart), bottom = chart.h - PARALLEL_BOTTOM, top = PARALLEL_TOP;
  const gap = gapOf(chart, axes.length);
  return axes.map((axis, k) => {
    const turned = axis.key === "value" && sign > 0;
    const scale = new Scale(axis.extent, turned ? top : bottom, turned ? bottom : top);
    return { ...axis, x: PARALLEL_LEFT + k * gap, scale };
  });
}

/**
 * The pixels between two axes.
 *
 * @param {Chart} chart
 * @param {number} n Axes.
 * @returns {number}
 */
function gapOf(chart, n) {
  return (chart.w - PARALLEL_LEFT - PARALLEL_RIGHT) / (n - 1);
}

/**
 * Draw the threads, those that are filtered out below the others, and the axes.
 *
 * @param {Chart} chart
 */
export function drawParallel(chart) {
  const { ctx } = chart;
  if (!ranked.length) return nothing(chart, "No trial has a score yet.");
  parallel.axes = standing(chart);
  note("parallel", leftOut());
  ctx.lineWidth = ranked.length > 300 ? 0.7 : 1.2;
  for (const pass of [false, true]) {
    for (const i of worstFirst) {
      if (store.kept[i] !== pass) continue;
      ctx.globalAlpha = pass ? strength(goodness[i] ?? 0) : 0.04;
      thread(ctx, i, ramp(goodness[i]));
    }
  }
  ctx.globalAlpha = 1;
  ctx.lineWidth = 1;
  for (const axis of parallel.axes) {
    drawAxis(chart, axis);
    drawBrush(chart, axis);
  }
}

/**
 * What is said of parameters that have no room.
 *
 * @returns {string}
 */
function leftOut() {
  const left = D.axes.slice(parallel.axes.length - 1).map((axis) => axis.name);
  if (!left.length) return "";
  const more = left.length > MOST_NAMES ? ` and ${left.length - MOST_NAMES} more` : "";
  return `${left.length} of ${D.axes.length} parameters have no room here: ${
    left.slice(0, MOST_NAMES).join(", ")
  }${more}.`;
}

/**
 * Draw an axis with its title and ticks.
 *
 * @param {Chart} chart
 * @param {StandingAxis} axis
 */
function drawAxis(chart, axis) {
  const { ctx, w, h } = chart, gap = gapOf(chart, parallel.axes.length);
  ctx.strokeStyle = theme.muted;
  line(ctx, axis.x, PARALLEL_TOP, axis.x, h - PARALLEL_BOTTOM);
  ctx.fillStyle = theme.ink;
  ctx.textAlign = "center";
  ctx.textBaseline = "alphabetic";
  ctx.font = `600 ${FONT}`;
  const title = cut(ctx, axis.title, gap - 10);
  ctx.fillText(title, Math.min(axis.x, w - ctx.measureText(title).width / 2), 18);
  ctx.font = FONT;
  for (const t of axis.scale.ticks(axis.extent.labels ? 12 : 5)) {
    drawTick(ctx, axis.x, axis.scale.at(t.v), cut(ctx, t.text, Math.min(70, gap - 14)));
  }
}

/**
 * Draw a tick with its text, which stays readable above the threads.
 *
 * @param {CanvasRenderingContext2D} ctx
 * @param {number} x
 * @param {number} y
 * @param {string} text
 */
function drawTick(ctx, x, y, text) {
  ctx.globalAlpha = 0.82;
  ctx.fillStyle = theme.page;
  ctx.fillRect(x + 4, y - 8, ctx.measureText(text).width + 4, 16);
  ctx.globalAlpha = 1;
  ctx.fillStyle = theme.muted;
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  ctx.fillText(text, x + 6, y);
  ctx.strokeStyle = theme.muted;
  line(ctx, x - 3, y, x + 3, y);
}

/**
 * Draw what is kept of an axis.
 *
 * @param {Chart} chart
 * @param {StandingAxis} axis
 */
function drawBrush({ ctx }, axis) {
  const brush = store.brushes.get(axis.key);
  if (!brush) return;
  const y1 = axis.scale.clamped(brush[0]), y2 = axis.scale.clamped(brush[1]), top = Math.min(y1, y2);
  ctx.fillStyle = theme.accent;
  ctx.globalAlpha = 0.28;
  ctx.fillRect(axis.x - 7, top, 14, Math.abs(y1 - y2));
  ctx.globalAlpha = 1;
  ctx.strokeStyle = theme.accent;
  ctx.strokeRect(axis.x - 7, top, 14, Math.abs(y1 - y2));
}

/**
 * How strong a thread is: among thousands only the best stand out, among dozens each can be followed.
 *
 * @param {number} goodness
 * @returns {number}
 */
function strength(goodness) {
  return ranked.length > 200 ? 0.05 + 0.6 * goodness ** (ranked.length > 1000 ? 30 : 10) : 0.9;
}

/**
 * Where a trial passes an axis; null where it has no value there.
 *
 * @param {StandingAxis} axis
 * @param {number} i
 * @returns {number | null}
 */
function heightAt(axis, i) {
  const v = axis.of(i);
  if (v === null) return null;
  return axis.extent.labels ? axis.scale.at(v + shake(i) * 0.35) : axis.scale.clamped(v);
}

/**
 * Draw a trial's thread; it has gaps where the trial has no value.
 *
 * @param {CanvasRenderingContext2D} ctx
 * @param {number} i
 * @param {string} color
 */
function thread(ctx, i, color) {
  ctx.strokeStyle = color;
  ctx.beginPath();
  let pen = false;
  for (const axis of parallel.axes) {
    const y = heightAt(axis, i);
    if (y !== null && pen) ctx.lineTo(axis.x, y);
    else if (y !== null) ctx.moveTo(axis.x, y);
    pen = y !== null;
  }
  ctx.stroke();
}

/**
 * Draw the threads of the best trial, of the selected one and of the one that is pointed at.
 *
 * @param {Chart} chart
 */
export function overParallel({ top }) {
  top.lineWidth = 2.5;
  const marked =
    /** @type {const} */ ([[best, theme.good], [store.selected, theme.accent], [store.hovered, theme.ink]]);
  for (const [i, color] of marked) {
    if (i !== null && goodness[i] !== null) thread(top, i, color);
  }
}

/**
 * The trial whose thread is nearest to a place, within reach.
 *
 * @param {Chart} _chart
 * @param {number} x
 * @param {number} y
 * @returns {number | null}
 */
export function hitParallel(_chart, x, y) {
  const k = parallel.axes.findLastIndex((axis) => axis.x <= x);
  if (parallel.pressing || k < 0 || k + 1 >= parallel.axes.length) return null;
  const left = parallel.axes[k], right = parallel.axes[k + 1], t = (x - left.x) / (right.x - left.x);
  let nearest = null, least = THREAD_REACH;
  for (const i of ranked) {
    const from = heightAt(left, i), to = heightAt(right, i);
    if (!store.kept[i] || from === null || to === null) continue;
    const d = Math.abs(from + (to - from) * t - y);
    if (d < least) {
      least = d;
      nearest = i;
    }
  }
  return nearest;
}

/**
 * Brush along an axis by dragging, let go of it by a click on it, select by a click beside it.
 *
 * @param {Chart} chart
 */
export function pressParallel(chart) {
  const { upper } = chart;
  const under = (/** @type {number} */ x) => parallel.axes.find((axis) => Math.abs(axis.x - x) < GRIP) ?? null;
  /** @type {StandingAxis | null} */
  let axis = null;
  let from = 0, moved = false;
  upper.addEventListener("pointerdown", (e) => {
    const [x, y] = chart.place(e);
    axis = under(x);
    if (!axis) return;
    from = y;
    moved = false;
    parallel.pressing = true;
    upper.setPointerCapture(e.pointerId);
  });
  upper.addEventListener("pointermove", (e) => {
    const [x, y] = chart.place(e);
    if (!axis) {
      if (under(x)) upper.style.cursor = "ns-resize";
      return;
    }
    if (Math.abs(y - from) < 4 && !moved) return;
    moved = true;
    const ends = [axis.scale.back(from), axis.scale.back(y)];
    store.brushes.set(axis.key, [Math.min(...ends), Math.max(...ends)]);
    later(refilter);
  });
  upper.addEventListener("pointerup", (e) => {
    parallel.pressing = false;
    if (axis && !moved && store.brushes.delete(axis.key)) refilter();
    else if (!axis || !moved) chart.choose(e);
    axis = null;
  });
}
