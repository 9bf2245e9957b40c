// The trials: the page's data, and who is better than whom. A live page gets it again and again.

/** @import { Axis, Column, Payload } from "./payload.d.ts" */
import { show } from "./format.js";

/** @type {Payload} */
export let D;
export let N = 0;
/** @type {number[]} */
export let ALL = [];

/** @type {Column} */
let value = [];
export let sign = 1;
export let metric = "";

/** @type {number[]} */
export let ranked = [];
/** @type {number[]} */
export let scored = [];
/**
 * The best trial, which stays marked whatever is selected; null without one, and with several metrics.
 *
 * @type {number | null}
 */
export let best = null;
/** @type {number[]} */
export let worstFirst = [];

/**
 * From 0 (the worst) to 1 (the best) by trial; null for those without a rank.
 *
 * @type {(number | null)[]}
 */
export let goodness = [];

/**
 * Take the page's data.
 *
 * @param {Payload} data
 */
export function takeData(data) {
  D = data;
  N = D.state.length;
  if (ALL.length !== N) ALL = [...Array(N).keys()];
  value = D.values[0] || [];
  sign = D.objectives.length ? D.objectives[0].sign : 1;
  metric = D.objectives.length ? D.objectives[0].name : "";
  ranked = D.ranked;
  scored = [...ranked].sort((a, b) => a - b);
  best = D.objectives.length === 1 && ranked.length ? ranked[0] : null;
  worstFirst = [...ranked].reverse();
  goodness = Array(N).fill(null);
  ranked.forEach((i, rank) => {
    goodness[i] = ranked.length > 1 ? 1 - rank / (ranked.length - 1) : 1;
  });
}

/**
 * The first objective's value of a trial that has one.
 *
 * @param {number} i
 * @returns {number}
 */
export function score(i) {
  return /** @type {number} */ (value[i]);
}

/**
 * The first objective's value; null where the trial has none.
 *
 * @param {number} i
 * @returns {number | null}
 */
export function valueOf(i) {
  return value[i] ?? null;
}

/**
 * The name of a trial's state.
 *
 * @param {number} i
 * @returns {string}
 */
export function stateOf(i) {
  return D.states[D.state[i]];
}

/**
 * How long a trial took, in seconds; null while it has not ended.
 *
 * @param {number} i
 * @returns {number | null}
 */
export function took(i) {
  const began = D.began[i], ended = D.ended[i];
  return began === null || ended === null ? null : ended - began;
}

/**
 * A trial's value of a parameter, as text.
 *
 * @param {Axis} axis
 * @param {number} i
 * @returns {string}
 */
export function shownAxis(axis, i) {
  const v = axis.values[i];
  if (v === null || v === undefined) return "";
  return axis.labels ? axis.labels[v] : show(v);
}
