// What plots of trials as points share: where a trial lies, how it looks, and which one is near the pointer.

/** @import { Chart, Point } from "./chart.js" */
/** @import { Axis } from "./payload.d.ts" */
/** @import { Extent, Scale } from "./scale.js" */
import { dot, star, triangle } from "./canvas.js";
import { LABELS, LINEAR, LOG, reach } from "./scale.js";
import { store } from "./state.js";
import { ramp, theme } from "./theme.js";
import { best, goodness, ranked, score, stateOf } from "./trials.js";

const REACH = 14;

/** The range of the first objective that the plots show. */
export let range = { low: 0, high: 1 };

/** Find the range of the data that there is. */
export function readRange() {
  range = valueRange(ranked.map(score));
}

/**
 * From the best value to where most trials lie; the others are marked at the border.
 *
 * @param {number[]} values The best first.
 * @returns {{ low: number, high: number }}
 */
function valueRange(values) {
  if (!values.length) return { low: 0, high: 1 };
  const ends = reach(values), low = Math.min(...ends), high = Math.max(...ends);
  const pad = (high - low) * 0.06 || Math.abs(high) * 0.05 || 0.5;
  return { low: low - pad, high: high + pad };
}

/**
 * On which side of the range a trial's value lies: 1 above, -1 below, 0 within.
 *
 * @param {number} i
 * @returns {number}
 */
function beyond(i) {
  return score(i) > range.high ? 1 : score(i) < range.low ? -1 : 0;
}

/**
 * What is said of trials beyond the range.
 *
 * @returns {string}
 */
export function beyondNote() {
  const nBeyond = ranked.filter((i) => beyond(i)).length;
  if (!nBeyond) return "";
  const who = nBeyond === 1 ? "1 trial lies" : `${nBeyond} trials lie`;
  return `${who} far beyond the axis: a triangle at its border marks each.`;
}

/**
 * What an axis of a parameter shows.
 *
 * @param {Axis} axis
 * @returns {Extent}
 */
export function extent(axis) {
  if (axis.labels) return { kind: LABELS, labels: axis.labels };
  return { kind: axis.log ? LOG : LINEAR, low: axis.low, high: axis.high };
}

/**
 * A fixed shift per trial, so that equal labels do not hide each other.
 *
 * @param {number} i
 * @returns {number} From -0.5 to 0.5.
 */
export function shake(i) {
  return (i * 0.61803398875) % 1 - 0.5;
}

/**
 * The pixel of a trial's value of a parameter; null where it has none.
 *
 * @param {Axis} axis
 * @param {Scale} scale
 * @param {number} i
 * @returns {number | null}
 */
export function spot(axis, scale, i) {
  const v = axis.values[i];
  if (v === null || v === undefined) return null;
  return scale.at(axis.labels ? v + shake(i) * 0.5 : v);
}

/**
 * The points that have both places.
 *
 * @param {[number | null, number | null, number][]} places
 * @returns {Point[]}
 */
export function placed(places) {
  return /** @type {Point[]} */ (places.filter(([x, y]) => x !== null && y !== null));
}

/**
 * Draw trials as points: hollow where they did not finish, pale where they are filtered out.
 *
 * @param {Chart} chart
 * @param {Point[]} points
 * @param {number} r
 */
export function drawPoints(chart, points, r) {
  const { ctx } = chart;
  ctx.lineWidth = 1.5;
  for (const [x, y, i] of points) {
    const color = ramp(goodness[i]);
    ctx.globalAlpha = store.kept[i] ? 1 : 0.12;
    const side = beyond(i), fill = stateOf(i) === "finished" ? color : theme.page;
    if (side) triangle(ctx, x, y, r + 1, side, fill, color);
    else dot(ctx, x, y, r, fill, color);
  }
  ctx.globalAlpha = 1;
  chart.points = points;
}

/**
 * Mark the best trial, the selected one and the one that is pointed at.
 *
 * @param {Chart} chart
 * @param {number} r
 */
export function overPoints(chart, r = 6) {
  const { top } = chart;
  for (const [x, y, i] of chart.points) {
    if (i === best) star(top, x, y, r + 5, theme.good, theme.ink);
    top.lineWidth = 2;
    if (i === store.selected) dot(top, x, y, i === best ? r / 2 : r, theme.accent, theme.page);
    if (i === store.hovered) dot(top, x, y, r, null, theme.ink);
  }
}

/**
 * The nearest trial within reach.
 *
 * @param {Chart} chart
 * @param {number} x
 * @param {number} y
 * @returns {number | null}
 */
export function hitPoint(chart, x, y) {
  let nearest = null, least = REACH * REACH;
  for (const [px, py, i] of chart.points) {
    const d = (px - x) ** 2 + (py - y) ** 2;
    if (store.kept[i] && d < least) {
      least = d;
      nearest = i;
    }
  }
  return nearest;
}

/**
 * The radius of one of `n` points.
 *
 * @param {number} n
 * @returns {number}
 */
export function radius(n) {
  if (n > 1500) return 2;
  return n > 300 ? 2.6 : n > 60 ? 3.4 : 4.5;
}
