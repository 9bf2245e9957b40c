// The trials: the page's data, and who is better than whom.

/** @import { Axis, Payload } from "./payload.d.ts" */
import { show } from "./format.js";
import { $ } from "./dom.js";

/** @type {Payload} */
export const D = JSON.parse($("data").textContent);
export const N = D.state.length;
export const ALL = [...Array(N).keys()];

const value = D.values[0] || [];
export const sign = D.objectives.length ? D.objectives[0].sign : 1;
export const metric = D.objectives.length ? D.objectives[0].name : "";

export const { ranked } = D;
export const scored = [...ranked].sort((a, b) => a - b);
/** The best trial, which stays marked whatever is selected; null without one, and with several metrics. */
export const best = D.objectives.length === 1 && ranked.length ? ranked[0] : null;
export const worstFirst = [...ranked].reverse();

/**
 * From 0 (the worst) to 1 (the best) by trial; null for those without a rank.
 *
 * @type {(number | null)[]}
 */
export const goodness = Array(N).fill(null);
ranked.forEach((i, rank) => {
  goodness[i] = ranked.length > 1 ? 1 - rank / (ranked.length - 1) : 1;
});

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
