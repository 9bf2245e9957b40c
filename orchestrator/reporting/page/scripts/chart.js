// A chart on canvas: a base layer with everything, and a layer above it for what the pointer is at.

import { context, FONT } from "./canvas.js";
import { hover, select, stepWithKeys } from "./state.js";
import { theme } from "./theme.js";

/**
 * Where a trial is drawn: x, y, trial.
 *
 * @typedef {[number, number, number]} Point
 */

/**
 * What makes a chart.
 *
 * @typedef {object} ChartOptions
 * @property {number | ((width: number) => number)} height
 * @property {string} label What it shows, for those who cannot see it.
 * @property {(chart: Chart) => void} draw Fills the base layer.
 * @property {(chart: Chart) => void} over Fills the upper layer.
 * @property {(chart: Chart, x: number, y: number) => number | null} hit Says which trial is there.
 * @property {(chart: Chart) => void} [press] Listens to the pointer's button; without it a click selects.
 */

/** How charts are drawn: `lazily` leaves those alone that are not on the screen. */
export const drawing = { lazily: false };

/** One chart, which follows the width of its host. */
export class Chart {
  /**
   * @param {HTMLElement} host
   * @param {ChartOptions} options
   */
  constructor(host, options) {
    this.host = host;
    this.options = options;
    this.w = 0;
    this.h = 0;
    /** Whether it is on the screen, and whether it shows data that is no longer current. */
    this.seen = false;
    this.stale = false;
    /**
     * What was drawn last and can be pointed at.
     *
     * @type {Point[]}
     */
    this.points = [];
    this.base = host.appendChild(document.createElement("canvas"));
    this.upper = host.appendChild(document.createElement("canvas"));
    this.upper.tabIndex = 0;
    this.upper.setAttribute("role", "img");
    this.upper.setAttribute("aria-label", options.label);
    this.ctx = context(this.base);
    this.top = context(this.upper);
    this.listen();
    new ResizeObserver(() => this.resize()).observe(host);
    new IntersectionObserver((entries) => this.appear(entries.some((entry) => entry.isIntersecting))).observe(host);
  }

  /** Follow the pointer and the keyboard. */
  listen() {
    this.upper.addEventListener("pointermove", (e) => this.point(e));
    this.upper.addEventListener("pointerleave", () => hover(null));
    if (this.options.press) this.options.press(this);
    else this.upper.addEventListener("click", (e) => this.choose(e));
    this.upper.addEventListener("keydown", stepWithKeys);
  }

  /**
   * The trial at the pointer.
   *
   * @param {MouseEvent} e
   * @returns {number | null}
   */
  find(e) {
    const [x, y] = this.place(e);
    return this.w ? this.options.hit(this, x, y) : null;
  }

  /**
   * Where the pointer is in the chart.
   *
   * @param {MouseEvent} e
   * @returns {[number, number]}
   */
  place(e) {
    const box = this.upper.getBoundingClientRect();
    return [e.clientX - box.left, e.clientY - box.top];
  }

  /**
   * Select the trial at the pointer.
   *
   * @param {MouseEvent} e
   */
  choose(e) {
    const i = this.find(e);
    if (i !== null) select(i);
  }

  /**
   * Point at the trial at the pointer.
   *
   * @param {PointerEvent} e
   */
  point(e) {
    const i = this.find(e);
    hover(i, i === null ? null : { x: e.clientX, y: e.clientY });
    this.upper.style.cursor = i === null ? "" : "pointer";
  }

  /** Draw anew where the host has another size. */
  resize() {
    const { height } = this.options;
    const w = Math.round(this.host.clientWidth), h = typeof height === "function" ? height(w) : height;
    if (!w || (w === this.w && h === this.h)) return;
    const ratio = Math.min(3, devicePixelRatio || 1);
    this.w = w;
    this.h = h;
    this.host.style.height = `${h}px`;
    for (const canvas of [this.base, this.upper]) {
      canvas.width = w * ratio;
      canvas.height = h * ratio;
      canvas.style.width = `${w}px`;
      canvas.style.height = `${h}px`;
      context(canvas).setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    if (this.seen || !drawing.lazily) this.draw();
    else this.stale = true;
  }

  /**
   * Come into view, or leave it.
   *
   * @param {boolean} seen
   */
  appear(seen) {
    this.seen = seen;
    if (seen && this.stale) this.draw();
  }

  /** Draw other data: at once on the screen, else when it comes into view. */
  refresh() {
    this.stale = true;
    this.resize();
    if (this.seen && this.stale) this.draw();
  }

  /** Draw both layers. */
  draw() {
    if (!this.w) return;
    this.stale = false;
    this.ctx.clearRect(0, 0, this.w, this.h);
    this.ctx.font = FONT;
    this.options.draw(this);
    this.host.dataset.drawn = "yes";
    this.over();
  }

  /** Draw the upper layer. */
  over() {
    if (!this.w) return;
    this.top.clearRect(0, 0, this.w, this.h);
    this.top.font = FONT;
    this.options.over(this);
  }
}

/** @type {Chart[]} */
export const charts = [];

/**
 * Make a chart where the page has a place for it.
 *
 * @param {string} name
 * @param {ChartOptions} options
 */
export function addChart(name, options) {
  const host = document.querySelector(`[data-plot="${name}"]`);
  if (host instanceof HTMLElement) charts.push(new Chart(host, options));
}

/** Draw every chart. */
export function drawCharts() {
  for (const chart of charts) chart.draw();
}

/** Draw every chart, of other data than before. */
export function refreshCharts() {
  for (const chart of charts) chart.refresh();
}

/** Draw the upper layer of every chart. */
export function overCharts() {
  for (const chart of charts) chart.over();
}

/**
 * Say why a chart is empty.
 *
 * @param {Chart} chart
 * @param {string} text
 */
export function nothing(chart, text) {
  const { ctx, w, h } = chart;
  ctx.fillStyle = theme.muted;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  ctx.fillText(text, w / 2, h / 2);
  chart.points = [];
}
