// Between data and pixels: linear, logarithmic and label scales, and where their ticks stand.

import { roundClock, show, tidy } from "./format.js";

export const LINEAR = 0, LOG = 1, LABELS = 2;

/**
 * A mark on an axis.
 *
 * @typedef {{ v: number, text: string }} Tick
 */

/**
 * What an axis shows: its kind, its ends where it has numbers, its labels where it has those.
 *
 * @typedef {{ kind?: number, low?: number, high?: number, labels?: string[], whole?: boolean }} Extent
 */

/** An axis between two pixels; `LABELS` are positions of labels, with room around them. */
export class Scale {
  /**
   * @param {Extent} extent
   * @param {number} from The pixel of the low end.
   * @param {number} to The pixel of the high end.
   */
  constructor({ kind = LINEAR, low = 0, high = 0, labels = [], whole = false }, from, to) {
    if (kind === LABELS) {
      low = -0.5;
      high = Math.max(1, labels.length) - 0.5;
    } else if (!(high > low)) {
      const pad = Math.abs(low) * 0.05 || 0.5;
      high = low + pad;
      low -= kind === LOG ? low / 2 : pad;
    }
    this.kind = kind;
    this.low = low;
    this.high = high;
    this.from = from;
    this.to = to;
    this.labels = labels;
    this.whole = whole;
    this.a = kind === LOG ? Math.log(low) : low;
    this.b = kind === LOG ? Math.log(high) : high;
  }

  /**
   * Where a value lies, from 0 at the low end to 1 at the high end.
   *
   * @param {number} v
   * @returns {number}
   */
  unit(v) {
    return ((this.kind === LOG ? Math.log(v) : v) - this.a) / (this.b - this.a);
  }

  /**
   * The pixel of a value.
   *
   * @param {number} v
   * @returns {number}
   */
  at(v) {
    return this.from + this.unit(v) * (this.to - this.from);
  }

  /**
   * The value at a pixel.
   *
   * @param {number} p
   * @returns {number}
   */
  back(p) {
    const v = this.a + (p - this.from) / (this.to - this.from) * (this.b - this.a);
    return this.kind === LOG ? Math.exp(v) : v;
  }

  /**
   * The pixel of a value, or of the end that it lies beyond.
   *
   * @param {number} v
   * @returns {number}
   */
  clamped(v) {
    return this.at(Math.max(this.low, Math.min(this.high, v)));
  }

  /**
   * About `n` ticks at round values.
   *
   * @param {number} n
   * @returns {Tick[]}
   */
  ticks(n) {
    if (this.kind === LABELS) {
      const step = Math.ceil(this.labels.length / Math.max(1, n));
      return this.labels.map((text, v) => ({ v, text })).filter((t) => t.v % step === 0);
    }
    return this.kind === LOG ? logTicks(this.low, this.high, n) : linearTicks(this.low, this.high, n, this.whole);
  }
}

/**
 * Ticks at multiples of 1, 2 or 5 times a power of ten.
 *
 * @param {number} low
 * @param {number} high
 * @param {number} n
 * @param {boolean} whole Whether only whole numbers have a tick.
 * @returns {Tick[]}
 */
function linearTicks(low, high, n, whole = false) {
  const rough = (high - low) / Math.max(1, n), power = 10 ** Math.floor(Math.log10(rough));
  const nice = power * ([1, 2, 5, 10].find((m) => m * power >= rough * 0.999) ?? NaN);
  const step = whole ? Math.max(1, nice) : nice;
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
    const v = i * step;
    ticks.push({ v, text: tidy(v, step) });
  }
  return ticks;
}

/**
 * Ticks at powers of ten; within one decade they are linear.
 *
 * @param {number} low
 * @param {number} high
 * @param {number} n
 * @returns {Tick[]}
 */
function logTicks(low, high, n) {
  const decades = Math.log10(high / low);
  if (decades < 1) return linearTicks(low, high, n);
  const every = Math.ceil(decades / Math.max(1, n)), ticks = [];
  for (let e = Math.ceil(Math.log10(low) - 1e-9); e <= Math.log10(high) + 1e-9; e++) {
    if (e % every === 0) ticks.push({ v: 10 ** e, text: show(10 ** e) });
  }
  return ticks;
}

/**
 * The ends of values, without a far bad end: where that is more than twice as far from the best as most values reach,
 * it is cut, so that a few hopeless trials, or many, do not flatten the others.
 *
 * @param {number[]} values Sorted from the best to the worst.
 * @returns {[number, number]} The best, and the worst that is shown.
 */
export function reach(values) {
  const first = values[0], last = values[values.length - 1];
  const far = [[0.5, 4], [0.25, 8]].map(([q, times]) => times * (values[Math.floor(q * (values.length - 1))] - first));
  const least = Math.min(...far.map(Math.abs).filter((d) => d > 0));
  return Math.abs(last - first) > 2 * least ? [first, first + Math.sign(last - first) * least] : [first, last];
}

const ROUND_TIMES_S = [
  [1, 2, 5, 10, 15, 30],
  [60, 120, 300, 600, 900, 1800],
  [3600, 7200, 14400, 21600, 43200],
  [86400, 172800, 604800],
].flat();

/**
 * Ticks at round durations.
 *
 * @param {Scale} scale Seconds.
 * @param {number} n
 * @returns {Tick[]}
 */
export function timeTicks(scale, n) {
  const rough = (scale.high - scale.low) / Math.max(1, n);
  const step = ROUND_TIMES_S.find((s) => s >= rough) || Math.ceil(rough / 604800) * 604800;
  const ticks = [];
  for (let v = Math.ceil(scale.low / step) * step; v <= scale.high; v += step) ticks.push({ v, text: roundClock(v) });
  return ticks;
}
