// Where the page begins: its parts are made and told of changes, its controls are listened to.

import { addChart, charts, drawCharts, overCharts } from "./chart.js";
import { drawContour } from "./contour.js";
import { curvesNote, drawCurves, hitCurve, overCurves } from "./curves.js";
import { showDetail, tip } from "./detail.js";
import { $, later, note } from "./dom.js";
import { refilter } from "./filter.js";
import { drawHistory, setHistoryAxis } from "./history.js";
import { drawImportances } from "./importance.js";
import { drawParallel, hitParallel, overParallel, pressParallel } from "./parallel.js";
import { beyondNote, hitPoint, overPoints } from "./points.js";
import { addSlices, slicesNote } from "./slices.js";
import { store, watch } from "./state.js";
import { hoverRow, showHead, showSelected, showTable } from "./table.js";
import { readTheme } from "./theme.js";
import { drawTimeline, hitBar, overTimeline, timelineHeight } from "./timeline.js";
import { drawTradeoff } from "./tradeoff.js";
import { D, metric } from "./trials.js";

/** Make the page. */
function start() {
  readTheme();
  watch({ hovered: overCharts, selected: overCharts, filtered: drawCharts });
  watch({ hovered: hoverRow, selected: showSelected, filtered: showTable });
  watch({ pointed: tip, selected: showDetail });
  showHead();
  showTable();
  showDetail();
  drawImportances();
  addCharts();
  listenToChoices();
  listenToTable();
  listenToCopying();
  listenToTheme();
  document.documentElement.dataset.ready = "yes";
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
    note("best", beyondNote());
    addChart("curves", {
      height: 300,
      label: `${metric} by row`,
      draw: drawCurves,
      over: overCurves,
      hit: hitCurve,
    });
    note("curves", curvesNote());
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
    note("slices", slicesNote());
  }
  if (!D.lanes.length) return;
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

/** Copy what stands beside a button; where the browser refuses, select it. */
function listenToCopying() {
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-copy]"))) {
    button.addEventListener("click", async () => {
      const node = $(button.dataset.copy ?? "");
      try {
        await navigator.clipboard.writeText(node.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection()?.selectAllChildren(node);
        button.textContent = "Selected";
      }
      setTimeout(() => {
        button.textContent = "Copy";
      }, 1500);
    });
  }
}

/** Follow the system's theme until a button chooses one; print in the light one. */
function listenToTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)"), { dataset } = document.documentElement;
  dark.addEventListener("change", retheme);
  $("theme").addEventListener("click", () => {
    dataset.theme = (dataset.theme || (dark.matches ? "dark" : "light")) === "dark" ? "light" : "dark";
    retheme();
  });
  /** @type {string | undefined} */
  let before;
  addEventListener("beforeprint", () => {
    before = dataset.theme;
    dataset.theme = "light";
    retheme();
  });
  addEventListener("afterprint", () => {
    if (before) dataset.theme = before;
    else delete dataset.theme;
    retheme();
  });
}

/** Draw in the colours of the theme. */
function retheme() {
  readTheme();
  drawCharts();
}

start();
