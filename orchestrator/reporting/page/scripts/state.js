// What is selected, pointed at and kept; and who is told when that changes.

/** @import { Payload } from "./payload.d.ts" */
import { D, N, ranked, takeData } from "./trials.js";

/**
 * A place on the screen.
 *
 * @typedef {{ x: number, y: number }} Place
 */

/**
 * What a part of the page does when something changes.
 *
 * @typedef {object} View
 * @property {() => void} [loaded] The data is there, or is another: told in the order in which they watch.
 * @property {() => void} [hovered] Another trial is pointed at.
 * @property {(at: Place | null) => void} [pointed] The pointer has moved.
 * @property {(scroll: boolean) => void} [selected] Another trial is selected; `scroll` asks to bring it into view.
 * @property {() => void} [filtered] Other trials are kept.
 */

export const store = {
  /** @type {number | null} */
  selected: null,
  /** @type {number | null} */
  hovered: null,
  /**
   * The ends that are kept, by place of the parameter or "value".
   *
   * @type {Map<number | "value", [number, number]>}
   */
  brushes: new Map(),
  text: "",
  /** @type {boolean[]} */
  kept: [],
  page: 0,
  /** @type {{ c: number, down: boolean } | null} */
  sort: null,
};

/** @type {View[]} */
const views = [];

/**
 * Let a part of the page know of changes.
 *
 * @param {View} view
 */
export function watch(view) {
  views.push(view);
}

/**
 * Take the page's data; what is selected, filtered and brushed stays so, as far as it is still there.
 *
 * @param {Payload} data
 */
export function load(data) {
  const before = axisNames();
  takeData(data);
  if (axisNames() !== before) store.brushes.clear();
  while (store.kept.length < N) store.kept.push(true);
  store.kept.length = N;
  if (store.selected === null || store.selected >= N) store.selected = ranked.length ? ranked[0] : null;
  for (const view of views) view.loaded?.();
}

/**
 * The parameters in their order, in one text.
 *
 * @returns {string}
 */
function axisNames() {
  return JSON.stringify(D?.axes.map((axis) => axis.name));
}

/**
 * Point at a trial, or at none.
 *
 * @param {number | null} i
 * @param {Place | null} at Where its values are shown; nowhere without it.
 */
export function hover(i, at = null) {
  const changed = i !== store.hovered;
  store.hovered = i;
  for (const view of views) {
    if (changed) view.hovered?.();
    view.pointed?.(at);
  }
}

/**
 * Select a trial.
 *
 * @param {number} i
 * @param {boolean} scroll Whether to bring it into view.
 */
export function select(i, scroll = true) {
  store.selected = i;
  for (const view of views) view.selected?.(scroll);
}

/**
 * Keep the trials that pass, and tell nobody.
 *
 * @param {(i: number) => boolean} passes
 */
export function mark(passes) {
  for (let i = 0; i < N; i++) store.kept[i] = passes(i);
}

/**
 * Keep the trials that pass.
 *
 * @param {(i: number) => boolean} passes
 */
export function keep(passes) {
  mark(passes);
  store.page = 0;
  for (const view of views) view.filtered?.();
}

/**
 * Select the next better or worse trial with the arrow keys.
 *
 * @param {KeyboardEvent} e
 */
export function stepWithKeys(e) {
  const order = ranked.filter((i) => store.kept[i]);
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
  if (!step || !order.length) return;
  e.preventDefault();
  const now = store.selected === null ? -1 : order.indexOf(store.selected);
  select(order[Math.max(0, Math.min(order.length - 1, now + step))]);
}
