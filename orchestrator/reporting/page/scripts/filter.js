// Which trials are kept: those that pass every word of the filter and every brush.

/** @import { Field } from "./columns.js" */
import { columns } from "./columns.js";
import { keep, mark, store } from "./state.js";
import { D, valueOf } from "./trials.js";

const WORDS = /(?:"[^"]*"|'[^']*'|\S)+/g;
const COMPARISON = /^((?:"[^"]*"|'[^']*'|.)+?)(<=|>=|!=|==|<|>|=)(.*)$/s;
const NUMBER = /^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[-+]?[0-9]+)?$/i;
const QUOTED = /"([^"]*)"|'([^']*)'/g;

/**
 * How YAML writes what is shown as None.
 *
 * @type {Record<string, string>}
 */
const ABSENT = { null: "none", none: "none", "~": "none" };

/**
 * Says of a trial whether it passes.
 *
 * @typedef {(i: number) => boolean} Test
 */

/** Apply the filter and the brushes. */
export function refilter() {
  keep(wanted());
}

/** Apply them to data that is another, before anything of it is shown. */
export function filterData() {
  mark(wanted());
}

/**
 * What filter and brushes ask for.
 *
 * @returns {Test}
 */
function wanted() {
  const tests = (store.text.match(WORDS) || []).map(test);
  return (i) => tests.every((passes) => passes(i)) && brushed(i);
}

/**
 * Whether a trial passes every brush.
 *
 * @param {number} i
 * @returns {boolean}
 */
function brushed(i) {
  return [...store.brushes].every(([a, [low, high]]) => {
    const v = a === "value" ? valueOf(i) : D.axes[a].values[i];
    return v !== null && v !== undefined && v >= low && v <= high;
  });
}

/**
 * One word: `lr<0.01`, `width!=32`, `state=failed`, `"act fn"='x y'`, or text that occurs anywhere in the row.
 * A value is compared as it is shown; a category that is a number counts as that number, never as its place in a list.
 *
 * @param {string} word
 * @returns {Test}
 */
function test(word) {
  const [, name = "", how = "", right = ""] = COMPARISON.exec(word) ?? [];
  const named = how ? columnsNamed(unquoted(name)) : [];
  if (!named.length) return containing(unquoted(word).toLowerCase());
  const wanted = unquoted(right), limit = number(wanted);
  /** @type {Test} */
  const is = (i) => named.some((column) => equals(column, i, wanted, limit));
  if (how === "=" || how === "==") return is;
  if (how === "!=") return (i) => !is(i);
  return (i) => named.some((column) => compares(numberOf(column, i), how, limit));
}

/**
 * The trials whose row has a text anywhere.
 *
 * @param {string} low In lower case.
 * @returns {Test}
 */
function containing(low) {
  return (i) => columns.some((column) => column.text(i).toLowerCase().includes(low));
}

/**
 * A word without its quotes.
 *
 * @param {string} word
 * @returns {string}
 */
function unquoted(word) {
  return word.replace(QUOTED, (_, double, single) => double ?? single);
}

/**
 * The number that a text is; NaN where it is none.
 *
 * @param {string} text
 * @returns {number}
 */
function number(text) {
  return NUMBER.test(text.trim()) ? Number(text) : NaN;
}

/**
 * The columns that a name means: a parameter may be called as one of ours is, or as another in capitals.
 *
 * @param {string} name
 * @returns {Field[]}
 */
function columnsNamed(name) {
  const exact = columns.filter((column) => column.name === name);
  return exact.length ? exact : columns.filter((column) => column.name.toLowerCase() === name.toLowerCase());
}

/**
 * What a trial's value counts as in a comparison; NaN where it is no number.
 *
 * @param {Field} column
 * @param {number} i
 * @returns {number}
 */
function numberOf(column, i) {
  const v = column.number ? column.number(i) : column.key(i);
  if (typeof v === "string") return number(v);
  return v ?? NaN;
}

/**
 * Whether a trial has a value; what is not whole is kept in five digits.
 *
 * @param {Field} column
 * @param {number} i
 * @param {string} wanted
 * @param {number} limit The number that `wanted` is, or NaN.
 * @returns {boolean}
 */
function equals(column, i, wanted, limit) {
  const text = column.text(i).toLowerCase(), low = wanted.toLowerCase();
  if (text === low || text === ABSENT[low]) return true;
  const v = numberOf(column, i);
  return v === limit || (!Number.isInteger(limit) && v === Number(limit.toPrecision(5)));
}

/**
 * Whether a comparison holds.
 *
 * @param {number} v
 * @param {string} how
 * @param {number} limit
 * @returns {boolean}
 */
function compares(v, how, limit) {
  if (how === "<") return v < limit;
  if (how === ">") return v > limit;
  return how === "<=" ? v <= limit : v >= limit;
}
