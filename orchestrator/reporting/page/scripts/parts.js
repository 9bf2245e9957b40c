// The parts of a page about a sweep: they are made and told of changes, its controls are listened to.

import { addChart, charts, drawCharts, overCharts, refreshCharts } from "./chart.js";
import { readColumns } from "./columns.js";
import { drawContour, forgetSurface } from "./contour.js";
import { curvesNote, drawCurves, hitCurve, overCurves, readCurves } from "./curves.js";
import { showDetail, tip } from "./detail.js";
import { $, later, note } from "./dom.js";
import { filterData, refilter } from "./filter.js";
import { drawHistory, setHistoryAxis } from "./history.js";
import { drawParallel, hitParallel, overParallel, pressParallel } from "./parallel.js";
import { beyondNote, hitPoint, overPoints, readRange } from "./points.js";
import { addSlices, nameSlices, slicesNote } from "./slices.js";
import { store, watch } from "./state.js";
import { hoverRow, showHead, showSelected, showTable } from "./table.js";
import { drawTimeline, hitBar, overTimeline, timelineHeight } from "./timeline.js";
import { drawTradeoff } from "./tradeoff.js";
import { D, metric } from "./trials.js";

/** Let every part know of data and of changes. What is computed of data comes before what shows it. */
export function watchParts() {
  for (const loaded of [readColumns, readRange, readCurves, forgetSurface, filterData]) watch({ loaded });
  watch({ hovered: hoverRow, selected: showSelected, filtered: showTable, loaded: showTrials });
  watch({ pointed: tip, selected: showDetail, loaded: showDetail });
  watch({ hovered: overCharts, selected: overCharts, filtered: drawCharts, loaded: showCharts });
}

/** Make the charts and listen to the page's controls, once there is data. */
export function startParts() {
  addCharts();
  showNotes();
  listenToChoices();
  listenToTable();
}

/** Show the table of other data. */
function showTrials() {
  showHead();
  showTable();
}

/** Show the charts of other data. */
function showCharts() {
  nameSlices();
  showNotes();
  refreshCharts();
}

/** Say below the charts what they leave out. */
function showNotes() {
  if (!D.objectives.length) return;
  note("best", beyondNote());
  note("curves", curvesNote());
  note("slices", slicesNote());
}

/** Make the charts that the page has places for. */
function addCharts() {
  if (D.objectives.length) {
    addChart("best", {
      height: 300,
      label: `${metric} of every trial, with the best so far`,
      draw: drawHistory,
      over: (chart) => overPoints(chart),
      hit: hitPoint,
    });
    addChart("curves", {
      height: 300,
      label: `${metric} by row`,
      draw: drawCurves,
      over: overCurves,
      hit: hitCurve,
    });
    addChart("front", {
      height: 340,
      label: "the trade-off between the first two metrics",
      draw: drawTradeoff,
      over: (chart) => overPoints(chart),
      hit: hitPoint,
    });
    addChart("parallel", {
      height: (width) => width < 560 ? 260 : 340,
      label: "parallel coordinates of all parameters",
      draw: drawParallel,
      over: overParallel,
      hit: hitParallel,
      press: pressParallel,
    });
    addChart("contour", {
      height: 320,
      label: "the two most important parameters",
      draw: drawContour,
      over: (chart) => overPoints(chart, 5),
      hit: hitPoint,
    });
    addSlices();
  }
  addChart("timeline", {
    height: timelineHeight,
    label: "which trial ran when and where",
    draw: drawTimeline,
    over: overTimeline,
    hit: hitBar,
  });
}

/** Change the history's horizontal axis. */
function listenToChoices() {
  for (const group of document.querySelectorAll("[data-choice]")) {
    group.addEventListener("click", (e) => {
      if (!(e.target instanceof HTMLButtonElement)) return;
      setHistoryAxis(e.target.value);
      for (const button of group.children) button.setAttribute("aria-pressed", String(button === e.target));
      charts[0].draw();
    });
  }
}

/** Filter the table and turn its pages. */
function listenToTable() {
  const filter = /** @type {HTMLInputElement} */ ($("filter"));
  filter.addEventListener("input", () => {
    store.text = filter.value.trim();
    later(refilter);
  });
  $("clear").addEventListener("click", () => {
    store.text = filter.value = "";
    store.brushes.clear();
    refilter();
  });
  $("previous").addEventListener("click", () => turn(-1));
  $("next").addEventListener("click", () => turn(1));
}

/**
 * Turn the table's pages.
 *
 * @param {number} by
 */
function turn(by) {
  store.page += by;
  showTable();
}
