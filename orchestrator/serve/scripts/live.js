// Changes of a sweep, put into the data that the page draws.

/** @import { Axis, Curves, Payload } from "../../reporting/page/scripts/payload.d.ts" */
/** @import { Row, SweepChange } from "./live.d.ts" */

/**
 * Where the positions of the curves lie that have changed, by trial.
 *
 * @type {WeakMap<Curves, Map<string, number>>}
 */
const own = new WeakMap();

/**
 * Put changes into the data.
 *
 * @param {Payload} data
 * @param {SweepChange} change
 */
export function apply(data, change) {
  for (const row of change.rows ?? []) put(data, row);
  data.ranked = change.ranked ?? data.ranked;
  data.front = change.front ?? data.front;
  data.lanes = change.lanes ?? data.lanes;
  data.curves = change.all_curves ?? data.curves;
  data.use = change.use ?? data.use;
  for (const [trial, flags] of Object.entries(change.flags ?? {})) {
    if (flags.length) data.flags[trial] = flags;
    else delete data.flags[trial];
  }
  for (const [trial, [positions, values]] of Object.entries(change.curves ?? {})) draw(data, trial, positions, values);
}

/**
 * Put a trial into the columns.
 *
 * @param {Payload} data
 * @param {Row} row
 */
function put(data, row) {
  const { i } = row;
  data.state[i] = row.state;
  data.step[i] = row.step;
  data.reports[i] = row.reports;
  data.began[i] = row.began;
  data.ended[i] = row.ended;
  data.where[i] = row.where;
  row.values.forEach((value, k) => {
    data.values[k][i] = value;
  });
  if (row.said === null) delete data.said[row.trial];
  else data.said[row.trial] = row.said;
  row.at?.forEach((value, a) => place(data.axes[a], i, value));
}

/**
 * Put a trial's value of a parameter on its axis, which grows where it has to.
 *
 * @param {Axis} axis
 * @param {number} i
 * @param {number | string | null} value
 */
function place(axis, i, value) {
  if (value === null) {
    axis.values[i] = null;
  } else if (axis.labels) {
    const label = String(value), known = axis.labels.indexOf(label);
    axis.values[i] = known >= 0 ? known : axis.labels.push(label) - 1;
  } else {
    const number = Number(value);
    axis.values[i] = Number.isNaN(number) ? null : number;
    axis.low = Math.min(axis.low, number || axis.low);
    axis.high = Math.max(axis.high, number || axis.high);
  }
}

/**
 * Put a trial's curve among the others. One that grows has positions of its own, which grow with it.
 *
 * @param {Payload} data
 * @param {string} trial
 * @param {number[]} positions
 * @param {(number | null)[]} values
 */
function draw({ curves }, trial, positions, values) {
  const places = own.get(curves) ?? new Map();
  own.set(curves, places);
  if (!places.has(trial)) places.set(trial, curves.positions.length);
  curves.positions[places.get(trial)] = positions;
  curves.by_trial[trial] = [places.get(trial), values];
}
