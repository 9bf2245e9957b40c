// Learning curves: the first objective by row.

/** @import { Chart } from "./chart.js" */
/** @import { Frame } from "./frame.js" */
import { dot, triangle } from "./canvas.js";
import { nothing } from "./chart.js";
import { frame } from "./frame.js";
import { reach } from "./scale.js";
import { store } from "./state.js";
import { ramp, theme } from "./theme.js";
import { ALL, best, D, goodness, sign, stateOf, worstFirst } from "./trials.js";

const MOST_CURVES = 400;
const CURVE_REACH = 10;
const CURVES_LEFT = 50, CURVES_BOTTOM = 38;

/** How many trials have a curve. */
let nCurved = 0;

/**
 * The trials whose curves are drawn, the worst first.
 *
 * @type {number[]}
 */
let drawnCurves = [];

/** The values that the axis shows. */
let shownRange = { low: 0, high: 1 };

/**
 * The frame that the curves were drawn in; null before that.
 *
 * @type {Frame | null}
 */
let curveFrame = null;

/** Choose the curves of the data that there is, and their range. */
export function readCurves() {
  const curved = [...worstFirst, ...ALL.filter((i) => goodness[i] === null)].filter((i) =>
    D.curves.by_trial[i]?.[1].length
  );
  nCurved = curved.length;
  drawnCurves = thin(curved.filter((i) => goodness[i] !== null), MOST_CURVES);
  shownRange = curveRange();
}

/**
 * The better half of the places for the best, the rest evenly over the others.
 *
 * @param {number[]} list The worst first.
 * @param {number} most
 * @returns {number[]}
 */
function thin(list, most) {
  if (list.length <= most) return list;
  const others = list.slice(0, list.length - most / 2), step = others.length / (most / 2);
  return [...Array(most / 2).keys()].map((k) => others[Math.floor(k * step)]).concat(list.slice(-most / 2));
}

/**
 * What is drawn and what is not.
 *
 * @returns {string}
 */
export function curvesNote() {
  const stopped = D.state.includes(D.states.indexOf("stopped")) ? " Squares mark trials that ended early." : "";
  const running = D.state.includes(D.states.indexOf("running")) ? " Rings mark trials that run." : "";
  const left = nCurved > drawnCurves.length
    ? ` ${drawnCurves.length} of ${nCurved} are drawn, the best among them.`
    : "";
  const n = drawnCurves.filter(leaves).length;
  const beyond = n
    ? ` ${n === 1 ? "1 curve ends" : `${n} curves end`} far beyond the axis: a triangle marks each.`
    : "";
  return `The better a trial, the stronger its colour.${stopped}${running}${beyond}${left}`;
}

/**
 * A trial's positions and values.
 *
 * @param {number} i
 * @returns {[number[], (number | null)[]]}
 */
function curveOf(i) {
  const curve = D.curves.by_trial[i];
  return curve ? [D.curves.positions[curve[0]], curve[1]] : [[], []];
}

/**
 * The range of values that shows most curves well: from the best value to where most are, and where most begin.
 *
 * @returns {{ low: number, high: number }}
 */
function curveRange() {
  const all = drawnCurves.flatMap((i) => curveOf(i)[1].filter((v) => v !== null)).sort((a, b) => sign * (a - b));
  if (!all.length) return { low: 0, high: 1 };
  const begins = drawnCurves.map((i) => curveOf(i)[1].find((v) => v !== null) ?? all[0]).sort((a, b) => sign * (a - b));
  const ends = [...reach(all), begins[Math.floor(0.5 * (begins.length - 1))]];
  const low = Math.min(...ends), high = Math.max(...ends), pad = (high - low) * 0.04 || Math.abs(high) * 0.05 || 0.5;
  return { low: low - pad, high: high + pad };
}

/**
 * On which side of the range a trial's curve ends: 1 above, -1 below, 0 within.
 *
 * @param {number} i
 * @returns {number}
 */
function leaves(i) {
  const last = curveOf(i)[1].findLast((v) => v !== null) ?? shownRange.low;
  return last > shownRange.high ? 1 : last < shownRange.low ? -1 : 0;
}

/**
 * Draw the curves, the best on top.
 *
 * @param {Chart} chart
 */
export function drawCurves(chart) {
  const { ctx } = chart;
  if (!drawnCurves.length) return nothing(chart, "No trial has reported yet.");
  const last = Math.max(2, ...drawnCurves.map((i) => curveOf(i)[0].at(-1) ?? 0));
  const f = curveFrame = frame(chart, { x: { low: 1, high: last, whole: true }, y: shownRange, xTitle: "row" });
  inside(chart, ctx, () => {
    ctx.lineWidth = drawnCurves.length > 120 ? 0.8 : 1.2;
    for (const i of drawnCurves) {
      ctx.globalAlpha = store.kept[i] ? 0.9 : 0.06;
      trace(ctx, f, i, ramp(goodness[i]));
      const side = leaves(i), r = drawnCurves.length > 120 ? 2 : 3;
      if (side) {
        triangle(
          ctx,
          leavingX(f, i),
          side > 0 ? f.ys.to + 5 : f.ys.from - 5,
          r + 1,
          side,
          ramp(goodness[i]),
          theme.page,
        );
      } else if (stateOf(i) === "stopped") stopMark(ctx, f, i, r);
      else if (stateOf(i) === "running") runMark(ctx, f, i, r);
    }
  });
  ctx.globalAlpha = 1;
}

/**
 * Draw within the grid only.
 *
 * @param {Chart} chart
 * @param {CanvasRenderingContext2D} ctx
 * @param {() => void} draw
 */
function inside(chart, ctx, draw) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(CURVES_LEFT, 0, chart.w, chart.h - CURVES_BOTTOM);
  ctx.clip();
  draw();
  ctx.restore();
}

/**
 * Draw one curve; it has gaps where a value is missing.
 *
 * @param {CanvasRenderingContext2D} ctx
 * @param {Frame} f
 * @param {number} i
 * @param {string} color
 */
function trace(ctx, f, i, color) {
  const [xs, ys] = curveOf(i);
  ctx.strokeStyle = color;
  ctx.beginPath();
  let pen = false;
  xs.forEach((x, k) => {
    const y = ys[k];
    if (y !== null && pen) ctx.lineTo(f.xs.at(x), f.ys.at(y));
    else if (y !== null) ctx.moveTo(f.xs.at(x), f.ys.at(y));
    pen = y !== null;
  });
  if (ys.length === 1 && ys[0] !== null) dot(ctx, f.xs.at(xs[0]), f.ys.at(ys[0]), 2, color);
  else ctx.stroke();
}

/**
 * The pixel of a trial's last row.
 *
 * @param {Frame} f
 * @param {number} i
 * @returns {number}
 */
function lastX(f, i) {
  return f.xs.at(curveOf(i)[0].at(-1) ?? NaN);
}

/**
 * The pixel where a trial's curve crosses the border for the last time.
 *
 * @param {Frame} f
 * @param {number} i
 * @returns {number}
 */
function leavingX(f, i) {
  const [xs, ys] = curveOf(i),
    within = ys.findLastIndex((v) => v !== null && v <= shownRange.high && v >= shownRange.low);
  const from = ys[within], to = ys[within + 1];
  if (from === undefined || from === null || to === undefined || to === null) return f.xs.at(xs[Math.max(0, within)]);
  const border = to > from ? shownRange.high : shownRange.low;
  return f.xs.at(xs[within] + (xs[within + 1] - xs[within]) * (border - from) / (to - from));
}

/**
 * Mark where a trial was stopped.
 *
 * @param {CanvasRenderingContext2D} ctx
 * @param {Frame} f
 * @param {number} i
 * @param {number} r
 */
function stopMark(ctx, f, i, r) {
  const x = lastX(f, i), y = f.ys.at(curveOf(i)[1].at(-1) ?? NaN);
  ctx.fillStyle = theme.stopped;
  ctx.fillRect(x - r, y - r, 2 * r, 2 * r);
}

/**
 * Mark how far a trial has come that still runs.
 *
 * @param {CanvasRenderingContext2D} ctx
 * @param {Frame} f
 * @param {number} i
 * @param {number} r
 */
function runMark(ctx, f, i, r) {
  const y = curveOf(i)[1].at(-1) ?? null;
  if (y !== null) dot(ctx, lastX(f, i), f.ys.at(y), r + 1, theme.page, ramp(goodness[i]));
}

/**
 * Draw the curves of the best trial, of the selected one and of the one that is pointed at.
 *
 * @param {Chart} chart
 */
export function overCurves(chart) {
  overCurve(chart, best, theme.good, 2.5);
  overCurve(chart, store.selected, theme.accent, 2.5);
  overCurve(chart, store.hovered, theme.ink, 2);
}

/**
 * Draw a trial's curve on the upper layer.
 *
 * @param {Chart} chart
 * @param {number | null} i
 * @param {string} color
 * @param {number} width
 */
function overCurve(chart, i, color, width) {
  const f = curveFrame, { top } = chart;
  if (!f || i === null || !D.curves.by_trial[i]) return;
  inside(chart, top, () => {
    top.lineWidth = width;
    trace(top, f, i, color);
  });
}

/**
 * The trial whose curve is nearest to a place, within reach.
 *
 * @param {Chart} _chart
 * @param {number} x
 * @param {number} y
 * @returns {number | null}
 */
export function hitCurve(_chart, x, y) {
  if (!curveFrame) return null;
  let nearest = null, least = CURVE_REACH;
  for (const i of drawnCurves) {
    const d = store.kept[i] ? distance(curveFrame, i, x, y) : Infinity;
    if (d < least) {
      least = d;
      nearest = i;
    }
  }
  return nearest;
}

/**
 * How far a place is from a trial's curve, in pixels.
 *
 * @param {Frame} f
 * @param {number} i
 * @param {number} x
 * @param {number} y
 * @returns {number}
 */
function distance(f, i, x, y) {
  const [xs, ys] = curveOf(i);
  let least = Infinity;
  for (let k = 0; k < xs.length; k++) {
    const v = ys[k], next = ys[k + 1] ?? null;
    if (v === null) continue;
    const px = f.xs.at(xs[k]), py = f.ys.at(v), nx = next === null ? NaN : f.xs.at(xs[k + 1]);
    if (next !== null && x >= px && x <= nx) {
      const t = (x - px) / (nx - px || 1);
      least = Math.min(least, Math.abs(py + (f.ys.at(next) - py) * t - y));
    } else least = Math.min(least, Math.hypot(px - x, py - y));
  }
  return least;
}
