// The two most important parameters: the trials, and a surface smoothed from them.

/** @import { Chart, Point } from "./chart.js" */
/** @import { Frame } from "./frame.js" */
/** @import { Axis } from "./payload.d.ts" */
import { context, dot } from "./canvas.js";
import { nothing } from "./chart.js";
import { frame } from "./frame.js";
import { extent, placed, radius, spot } from "./points.js";
import { Scale } from "./scale.js";
import { store } from "./state.js";
import { ramp, theme } from "./theme.js";
import { D, goodness, ranked, worstFirst } from "./trials.js";

const CELLS = 44;
const LEVELS = [0.3, 0.5, 0.7, 0.85];

/**
 * A cell of the surface: how good, and how sure from 0 to 1.
 *
 * @typedef {[number, number]} Cell
 */

/**
 * The cells by rows from the bottom; null until they are needed.
 *
 * @type {Cell[] | null}
 */
let cells = null;

/** Forget the surface: it is made anew of the data that there is. */
export function forgetSurface() {
  cells = null;
}

/**
 * The surface, from the trials around each cell: a kernel average on the scales that were searched.
 *
 * @param {Axis} a
 * @param {Axis} b
 * @returns {Cell[]}
 */
function surface(a, b) {
  const xs = new Scale(extent(a), 0, 1), ys = new Scale(extent(b), 0, 1);
  const at = (/** @type {Scale} */ scale, /** @type {Axis} */ axis, /** @type {number} */ i) => {
    const v = axis.values[i];
    return v === null ? null : scale.at(v);
  };
  const points = placed(ranked.map((i) => [at(xs, a, i), at(ys, b, i), goodness[i] ?? 0]));
  const width = Math.max(0.045, Math.min(0.12, 0.5 / Math.sqrt(points.length))), found = [];
  for (let r = 0; r < CELLS; r++) {
    for (let c = 0; c < CELLS; c++) found.push(average(points, (c + 0.5) / CELLS, (r + 0.5) / CELLS, width));
  }
  return found;
}

/**
 * The average goodness of the points around a place.
 *
 * @param {Point[]} points x, y and goodness, from 0 to 1.
 * @param {number} x
 * @param {number} y
 * @param {number} width Of the kernel.
 * @returns {Cell}
 */
function average(points, x, y, width) {
  let sum = 0, weight = 0;
  for (const [px, py, good] of points) {
    const d = ((px - x) ** 2 + (py - y) ** 2) / (2 * width * width);
    if (d >= 12) continue;
    const k = Math.exp(-d);
    sum += k * good;
    weight += k;
  }
  return [weight ? sum / weight : 0, Math.min(1, weight / 0.6)];
}

/**
 * Draw the surface, its contour lines and the trials.
 *
 * @param {Chart} chart
 */
export function drawContour(chart) {
  const [a, b] = D.axes, { ctx } = chart;
  if (!a || !b || ranked.length < 4) return nothing(chart, "Needs two parameters and a few trials.");
  const f = frame(chart, { x: extent(a), y: extent(b), xTitle: a.name, yTitle: b.name, top: 22 });
  cells ||= surface(a, b);
  ctx.imageSmoothingQuality = "high";
  ctx.drawImage(painted(cells), f.xs.from, f.ys.to, f.xs.to - f.xs.from, f.ys.from - f.ys.to);
  ctx.lineWidth = 1;
  ctx.strokeStyle = theme.page;
  for (const level of LEVELS) contourLine(ctx, f, cells, level);
  ctx.lineWidth = 1;
  chart.points = placed(worstFirst.map((i) => [spot(a, f.xs, i), spot(b, f.ys, i), i]));
  drawContourPoints(chart);
}

/**
 * Draw the trials, small enough to leave the surface visible.
 *
 * @param {Chart} chart
 */
function drawContourPoints({ ctx, points }) {
  const r = Math.min(3, radius(points.length)), rim = points.length < 400 ? theme.page : null;
  for (const [x, y, i] of points) {
    ctx.globalAlpha = store.kept[i] ? 1 : 0.1;
    dot(ctx, x, y, r, ramp(goodness[i]), rim);
  }
  ctx.globalAlpha = 1;
}

/**
 * The surface as a picture of one pixel per cell, which the canvas enlarges smoothly.
 *
 * @param {Cell[]} cells
 * @returns {HTMLCanvasElement}
 */
function painted(cells) {
  const small = document.createElement("canvas"), ctx = context(small);
  small.width = small.height = CELLS;
  const image = ctx.createImageData(CELLS, CELLS);
  cells.forEach(([good, sure], k) => {
    const at = 4 * ((CELLS - 1 - Math.floor(k / CELLS)) * CELLS + k % CELLS);
    image.data.set([...(ramp(good).match(/\d+/g) ?? []).map(Number), 215 * sure], at);
  });
  ctx.putImageData(image, 0, 0);
  return small;
}

/**
 * Draw where the surface crosses a level, where it is sure enough.
 *
 * @param {CanvasRenderingContext2D} ctx
 * @param {Frame} f
 * @param {Cell[]} cells
 * @param {number} level
 */
function contourLine(ctx, { xs, ys }, cells, level) {
  const x = (/** @type {number} */ c) => xs.from + (c + 0.5) * (xs.to - xs.from) / CELLS;
  const y = (/** @type {number} */ r) => ys.from - (r + 0.5) * (ys.from - ys.to) / CELLS;
  ctx.beginPath();
  for (let r = 0; r + 1 < CELLS; r++) {
    for (let c = 0; c + 1 < CELLS; c++) {
      const cuts = crossings(cells, c, r, level);
      for (let k = 0; k + 1 < cuts.length; k += 2) {
        ctx.moveTo(x(cuts[k][0]), y(cuts[k][1]));
        ctx.lineTo(x(cuts[k + 1][0]), y(cuts[k + 1][1]));
      }
    }
  }
  ctx.stroke();
}

/**
 * Where a level is crossed on the way around four neighbouring cells.
 *
 * @param {Cell[]} cells
 * @param {number} c Column of the first.
 * @param {number} r Row of the first.
 * @param {number} level
 * @returns {[number, number][]} Columns and rows.
 */
function crossings(cells, c, r, level) {
  const corners = [[c, r], [c + 1, r], [c + 1, r + 1], [c, r + 1]];
  const around = corners.map(([x, y]) => cells[y * CELLS + x]);
  if (around.some(([, sure]) => sure <= 0.25)) return [];
  /** @type {[number, number][]} */
  const cuts = [];
  corners.forEach(([c1, r1], k) => {
    const next = (k + 1) % 4, [c2, r2] = corners[next], [v1] = around[k], [v2] = around[next];
    if ((v1 < level) === (v2 < level)) return;
    const t = (level - v1) / (v2 - v1);
    cuts.push([c1 + (c2 - c1) * t, r1 + (r2 - r1) * t]);
  });
  return cuts;
}
