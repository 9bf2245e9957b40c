// The table's columns: what each shows of a trial, and what it is sorted and filtered by.

import { clock, show } from "./format.js";
import { D, shownAxis, stateOf, took } from "./trials.js";

/**
 * A column: `key` is what rows are sorted and compared by, `text` what they show.
 *
 * @typedef {object} Field
 * @property {string} name
 * @property {string} [unit]
 * @property {boolean} [right] Whether it is aligned to the right.
 * @property {boolean} [down] Whether the first click sorts from the largest.
 * @property {(i: number) => string | number | null} key
 * @property {(i: number) => string | number | null} [number] What is compared with a number, where that is not `key`.
 * @property {(i: number) => string} text
 * @property {(i: number) => string} [cls] A class for the cell.
 */

/** @type {Field[]} */
export let columns = [];

/** Make the columns of the data that there is. */
export function readColumns() {
  columns = [
    { name: "trial", right: true, key: (i) => i, text: (i) => String(i) },
    { name: "state", key: stateOf, text: stateOf, cls: stateOf },
    ...D.objectives.map((objective, k) => ({
      name: objective.name,
      right: true,
      down: objective.sign < 0,
      key: (/** @type {number} */ i) => D.values[k][i],
      text: (/** @type {number} */ i) => show(D.values[k][i]),
    })),
    { name: "row", right: true, key: (i) => D.step[i], text: (i) => D.step[i] === null ? "" : `${D.step[i]}` },
    { name: "time", right: true, key: took, text: shownTime },
    ...D.axes.map((axis) => ({
      name: axis.name,
      right: !axis.labels,
      key: (/** @type {number} */ i) => axis.values[i] ?? null,
      number: (/** @type {number} */ i) => axis.labels ? shownAxis(axis, i) : axis.values[i] ?? null,
      text: (/** @type {number} */ i) => shownAxis(axis, i),
    })),
    ...flagged(),
    ...used(),
    { name: "where", key: (i) => D.where[i], text: (i) => D.where[i] },
    { name: "note", key: (i) => D.said[i] || "", text: (i) => D.said[i] || "" },
  ];
}

/**
 * How long a trial took, as text; empty while it has not ended.
 *
 * @param {number} i
 * @returns {string}
 */
export function shownTime(i) {
  const s = took(i);
  return s === null ? "" : clock(s);
}

/**
 * The column of flags, where any trial has one.
 *
 * @returns {Field[]}
 */
function flagged() {
  if (!Object.keys(D.flags).length) return [];
  const flags = (/** @type {number} */ i) => D.flags[i] || [];
  return [{
    name: "flags",
    key: (i) => flags(i).length,
    text: (i) => [...new Set(flags(i).map((f) => f.name))].join(", "),
  }];
}

/**
 * What trials used: memory and GPU memory at most, in GiB; how busy GPUs were, in percent; CPU cores.
 *
 * @returns {Field[]}
 */
function used() {
  const rows = Object.values(D.use);
  return [["memory", "GiB"], ["gpu", "%"], ["gpu memory", "GiB"], ["cpus", ""]].flatMap(([name, unit], k) => {
    const value = (/** @type {number} */ i) => D.use[i]?.[k] ?? null;
    const text = (/** @type {number} */ i) => value(i) === null ? "" : show(value(i));
    return rows.some((row) => row[k] !== null) ? [{ name, unit, right: true, down: true, key: value, text }] : [];
  });
}
