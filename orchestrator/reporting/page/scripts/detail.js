// One trial in words: beside the pointer, and below the table.

import { shownTime } from "./columns.js";
import { $, make } from "./dom.js";
import { show } from "./format.js";
import { store } from "./state.js";
import { best, D, shownAxis, stateOf } from "./trials.js";

const TIP_AXES = 8;

/**
 * Show the trial that is pointed at, beside the pointer.
 *
 * @param {{ x: number, y: number } | null} at Where the pointer is; without it nothing is shown.
 */
export function tip(at) {
  const box = $("tip"), i = store.hovered;
  box.hidden = i === null || !at;
  if (i === null || !at) return;
  const rows = [...D.objectives.map((o, k) => [o.name, show(D.values[k][i])]), ["state", stateOf(i)]];
  for (const axis of D.axes.slice(0, TIP_AXES)) rows.push([axis.name, shownAxis(axis, i)]);
  box.replaceChildren(make("b", `trial ${i}`), ...rows.map(([name, text]) => tipRow(name, text)));
  const w = box.offsetWidth, h = box.offsetHeight;
  box.style.left = `${Math.max(4, at.x + 16 + w > innerWidth ? at.x - w - 12 : at.x + 16)}px`;
  box.style.top = `${Math.max(4, Math.min(innerHeight - h - 4, at.y + 12))}px`;
}

/**
 * A name and its value.
 *
 * @param {string} name
 * @param {string} text
 * @returns {HTMLElement}
 */
function tipRow(name, text) {
  const row = make("div");
  row.append(make("span", name), make("span", text));
  return row;
}

/** Show everything about the selected trial. */
export function showDetail() {
  const i = store.selected, box = $("detail");
  box.hidden = i === null;
  if (i === null) return;
  const shown = make("div");
  shown.append(
    make("h3", i === best ? `Trial ${i}, the best` : `Trial ${i}`),
    make("p", summary(i), "muted"),
    configList(i),
  );
  if (D.said[i]) shown.append(make("p", D.said[i]));
  for (const flag of D.flags[i] || []) shown.append(make("p", `${flag.name}: ${flag.evidence}`));
  const more = make("p", "Everything about it: ", "muted");
  more.append(make("code", `sweep show ${D.id} ${i}`));
  shown.append(more);
  if (box.firstElementChild?.isEqualNode(shown)) return;
  box.replaceChildren(shown);
}

/**
 * A trial's values, state, duration and place.
 *
 * @param {number} i
 * @returns {string}
 */
function summary(i) {
  const values = D.objectives.map((o, k) => `${o.name} ${show(D.values[k][i])}`);
  return [...values, stateOf(i), shownTime(i), D.where[i]].filter(Boolean).join(", ");
}

/**
 * A trial's parameters.
 *
 * @param {number} i
 * @returns {HTMLElement}
 */
function configList(i) {
  const list = make("dl", undefined, "config");
  for (const axis of D.axes) {
    const item = make("div");
    item.append(make("dt", axis.name), make("dd", shownAxis(axis, i) || "–"));
    list.append(item);
  }
  return list;
}
