// Slices: the value by one parameter each.

/** @import { Axis } from "./payload.d.ts" */
import { Chart, charts, nothing } from "./chart.js";
import { $, make } from "./dom.js";
import { frame } from "./frame.js";
import { drawPoints, extent, hitPoint, overPoints, placed, radius, range, spot } from "./points.js";
import { D, metric, score, scored, worstFirst } from "./trials.js";

const MOST_SLICES = 12;

/**
 * Their titles.
 *
 * @type {HTMLElement[]}
 */
const sliceTitles = [];

/** Make the slices of the most important parameters. */
export function addSlices() {
  D.axes.slice(0, MOST_SLICES).forEach((axis, a) => {
    const host = sliceHost(axis.name);
    charts.push(
      new Chart(host, {
        height: 190,
        label: `${metric} by ${axis.name}`,
        hit: hitPoint,
        over: (chart) => overPoints(chart, 5),
        draw: (chart) => drawSlice(chart, D.axes[a]),
      }),
    );
  });
}

/** Title the slices: the order of the parameters may be another in other data. */
export function nameSlices() {
  sliceTitles.forEach((title, a) => {
    title.textContent = D.axes[a].name;
  });
}

/**
 * What is said of parameters that have no slice.
 *
 * @returns {string}
 */
export function slicesNote() {
  const left = D.axes.length - MOST_SLICES;
  return left > 0 ? `${left} of ${D.axes.length} parameters have no slice: the least important ones.` : "";
}

/**
 * A new place for a slice.
 *
 * @param {string} name
 * @returns {HTMLElement}
 */
function sliceHost(name) {
  const figure = make("figure", undefined, "plot"), caption = make("figcaption");
  const host = make("div", undefined, "canvas");
  sliceTitles.push(caption.appendChild(make("h3", name)));
  figure.append(caption, host);
  $("slices").append(figure);
  return host;
}

/**
 * Draw the trials by one parameter, the best on top.
 *
 * @param {Chart} chart
 * @param {Axis} axis
 */
function drawSlice(chart, axis) {
  if (!scored.length) return nothing(chart, "No trial has a score yet.");
  const f = frame(chart, { x: extent(axis), y: range, left: 48, bottom: 26 });
  const points = placed(worstFirst.map((i) => [spot(axis, f.xs, i), f.ys.clamped(score(i)), i]));
  drawPoints(chart, points, radius(points.length) * 0.9);
}
