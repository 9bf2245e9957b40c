// A chart per metric, with a line per trial.

/** @import { Chart as ChartType } from "../../reporting/page/scripts/chart.js" */
/** @import { Frame } from "../../reporting/page/scripts/frame.js" */
/** @import { Extent } from "../../reporting/page/scripts/scale.js" */
/** @import { Curve, MetricChart } from "./live.d.ts" */
import { dot } from "../../reporting/page/scripts/canvas.js";
import { Chart, charts, nothing } from "../../reporting/page/scripts/chart.js";
import { $, make } from "../../reporting/page/scripts/dom.js";
import { show } from "../../reporting/page/scripts/format.js";
import { frame } from "../../reporting/page/scripts/frame.js";
import { LINEAR, LOG } from "../../reporting/page/scripts/scale.js";
import { theme } from "../../reporting/page/scripts/theme.js";

const MANY_DECADES = 1000;
const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3]];
const N_COLOURS = 6;

/**
 * A line's looks: its name, and where it has a place among the others.
 *
 * @typedef {{ label: string, k: number }} Look
 */

/**
 * Charts that stand together: in which element of the page, along what, and what their lines are called.
 *
 * @typedef {{ place: string, along: "row" | "second", labels: string[] }} Group
 */

/**
 * The chart of a metric on the page.
 *
 * @typedef {{ figure: HTMLElement, values: HTMLElement, chart: ChartType, data: MetricChart, group: Group }} Shown
 */

/** @type {Map<string, Shown>} */
const shownLines = new Map();

/** The position that the pointer is at, in all charts along the same; null for none. */
let pointedAt = /** @type {{ along: string, at: number } | null} */ (null);

/**
 * Show metrics.
 *
 * @param {MetricChart[]} metrics
 * @param {string[]} labels One per line.
 * @param {string} place
 * @param {"row" | "second"} along
 */
export function showLines(metrics, labels, place = "lines", along = "row") {
  const group = { place, along, labels }, host = $(place), key = (/** @type {string} */ name) => `${place}/${name}`;
  const wanted = new Set(metrics.map((each) => key(each.name)));
  for (const [name, shown] of shownLines) {
    if (shown.group.place !== place || wanted.has(name)) continue;
    shown.figure.remove();
    charts.splice(charts.indexOf(shown.chart), 1);
    shownLines.delete(name);
  }
  metrics.forEach((data, k) => {
    const shown = shownLines.get(key(data.name)) ?? added(data, group);
    shownLines.set(key(data.name), shown);
    shown.data = data;
    shown.group = group;
    if (host.children[k] !== shown.figure) host.insertBefore(shown.figure, host.children[k] ?? null);
    showValues(shown);
    shown.chart.refresh();
  });
}

/**
 * The colour of a line: the first of few is this page's own.
 *
 * @param {number} k
 * @returns {string}
 */
export function lineColour(k) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--line-${k % N_COLOURS}`).trim();
}

/**
 * Make the chart of a metric.
 *
 * @param {MetricChart} data
 * @param {Group} group
 * @returns {Shown}
 */
function added(data, group) {
  const figure = make("figure", undefined, "plot"), caption = make("figcaption"), values = make("p", "", "note");
  const host = make("div", undefined, "canvas");
  caption.append(make("h3", data.name));
  figure.append(caption, host, values);
  $(group.place).append(figure);
  /** @type {Shown} */
  const shown = { figure, values, data, group, chart: /** @type {any} */ (null) };
  shown.chart = new Chart(host, {
    height: 190,
    label: `${data.name} by ${group.along}`,
    draw: (chart) => drawLines(chart, shown.data),
    over: (chart) => overLines(chart, shown),
    hit: () => null,
  });
  host.addEventListener("pointermove", (e) => pointAt(shown, e));
  host.addEventListener("pointerleave", () => pointAt(shown, null));
  charts.push(shown.chart);
  return shown;
}

/**
 * What a metric's axes show.
 *
 * @param {MetricChart} data
 * @returns {{ x: Extent, y: Extent }}
 */
function extents({ lines }) {
  let low = Infinity, high = -Infinity, least = Infinity, last = 2;
  for (const line of lines) {
    for (const v of line?.[1] ?? []) {
      if (v === null) continue;
      low = Math.min(low, v);
      high = Math.max(high, v);
      if (v > 0) least = Math.min(least, v);
    }
    last = Math.max(last, line?.[0].at(-1) ?? 0);
  }
  const x = { low: 1, high: last, whole: true };
  if (low > 0 && high / low > MANY_DECADES) return { x, y: { kind: LOG, low: low / 1.2, high: high * 1.2 } };
  const pad = (high - low) * 0.06 || Math.abs(high) * 0.05 || 0.5;
  return { x, y: { kind: LINEAR, low: low - pad, high: high + pad } };
}

/**
 * The chart's frame, and where it puts things.
 *
 * @param {ChartType} chart
 * @param {MetricChart} data
 * @returns {Frame}
 */
function framed(chart, data) {
  return frame(chart, { ...extents(data), left: 52, bottom: 26 });
}

/** @type {WeakMap<ChartType, Frame>} */
const frames = new WeakMap();

/**
 * Draw the lines, the first on top.
 *
 * @param {ChartType} chart
 * @param {MetricChart} data
 */
function drawLines(chart, data) {
  if (!data.lines.some((line) => line?.[1].some((v) => v !== null))) return nothing(chart, "No finite value.");
  const f = framed(chart, data), { ctx } = chart;
  frames.set(chart, f);
  for (let k = data.lines.length - 1; k >= 0; k--) {
    const line = data.lines[k];
    if (line) drawLine(ctx, f, line, k);
  }
  ctx.setLineDash([]);
}

/**
 * Draw a line; it has gaps where a value is missing.
 *
 * @param {CanvasRenderingContext2D} ctx
 * @param {Frame} f
 * @param {Curve} line
 * @param {number} k
 */
function drawLine(ctx, f, [xs, ys], k) {
  ctx.strokeStyle = lineColour(k);
  ctx.lineWidth = k ? 1.4 : 2;
  ctx.setLineDash(DASHES[Math.floor(k / N_COLOURS) % DASHES.length]);
  ctx.beginPath();
  let pen = false;
  xs.forEach((x, i) => {
    const y = ys[i];
    if (y !== null && pen) ctx.lineTo(f.xs.at(x), f.ys.at(y));
    else if (y !== null) ctx.moveTo(f.xs.at(x), f.ys.at(y));
    pen = y !== null;
  });
  ctx.stroke();
  const y = ys.at(-1) ?? null;
  if (y !== null) dot(ctx, f.xs.at(xs[xs.length - 1]), f.ys.at(y), 2.5, lineColour(k));
}

/**
 * Mark what the pointer is at.
 *
 * @param {ChartType} chart
 * @param {Shown} shown
 */
function overLines(chart, { data, group }) {
  const f = frames.get(chart), { top } = chart, at = pointedIn(group);
  if (!f || at === null) return;
  data.lines.forEach((line, k) => {
    const i = line ? nearest(line[0], at) : -1, y = line?.[1][i] ?? null;
    if (line && y !== null) dot(top, f.xs.at(line[0][i]), f.ys.at(y), 4, lineColour(k), theme.page);
  });
}

/**
 * Point at a position in every chart.
 *
 * @param {Shown} shown
 * @param {PointerEvent | null} e
 */
function pointAt({ chart, group }, e) {
  const f = frames.get(chart), { along } = group;
  pointedAt = e && f ? { along, at: Math.max(1, Math.round(f.xs.back(chart.place(e)[0]))) } : null;
  for (const shown of shownLines.values()) {
    shown.chart.over();
    showValues(shown);
  }
}

/**
 * The position that the pointer is at in charts that stand together; null for none.
 *
 * @param {Group} group
 * @returns {number | null}
 */
function pointedIn({ along }) {
  return pointedAt?.along === along ? pointedAt.at : null;
}

/**
 * Say the values below a chart: those at the pointer, else the last ones.
 *
 * @param {Shown} shown
 */
function showValues({ values, data, group }) {
  const pointed = pointedIn(group);
  const parts = data.lines.map((line, k) => {
    const span = make("span", undefined, "look"), mark = make("i");
    mark.style.background = lineColour(k);
    const i = !line ? -1 : pointed === null ? line[0].length - 1 : nearest(line[0], pointed);
    span.append(mark, `${group.labels[k]} ${line ? show(line[1][i]) : "–"}`);
    return span;
  });
  const at = pointed === null ? [] : [make("span", `${group.along} ${pointed}`, "look")];
  values.replaceChildren(...at, ...parts);
}

/**
 * The place of the position that is nearest to another.
 *
 * @param {number[]} xs In order.
 * @param {number} x
 * @returns {number}
 */
function nearest(xs, x) {
  let low = 0, high = xs.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - xs[low - 1] < xs[low] - x ? low - 1 : low;
}
