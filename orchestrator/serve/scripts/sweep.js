// A sweep's page: the report's parts, given what the server tells.

/** @import { SweepChange, SweepState } from "./live.d.ts" */
import { drawing } from "../../reporting/page/scripts/chart.js";
import { $, make } from "../../reporting/page/scripts/dom.js";
import { drawImportances } from "../../reporting/page/scripts/importance.js";
import { startParts, watchParts } from "../../reporting/page/scripts/parts.js";
import { load, store, watch } from "../../reporting/page/scripts/state.js";
import { D, stateOf } from "../../reporting/page/scripts/trials.js";
import { choose, chosen } from "./chosen.js";
import { trialButtons } from "./controls.js";
import { renew, showBest, showClock, showHeadline } from "./headline.js";
import { apply } from "./live.js";
import { follow } from "./stream.js";

const SOONEST_MS = 400;

/** The largest share of the time that showing other data may take. */
const MOST_SHARE = 0.1;

let begun = false;
/** When other data may be shown again, and whether that is arranged. */
let dueAt = 0, isComing = false;

/** Follow the sweep that the address names. */
export function startSweep() {
  drawing.lazily = true;
  watchParts();
  watch({ loaded: showActions, selected: showActions });
  setInterval(showClock, 1000);
  follow(`/live${location.pathname}`, { all: takeAll, change: takeChange });
}

/**
 * Take the whole sweep.
 *
 * @param {SweepState} state
 */
function takeAll({ data, head, sections }) {
  if (data.objectives.length < 2) document.querySelector('[data-plot="front"]')?.closest("figure")?.remove();
  load(data);
  if (!begun) startParts();
  begun = true;
  for (const id of ["history", "parameters"]) $(id).hidden = !data.objectives.length;
  showBest();
  showHeadline(head);
  if (sections) showSections(sections);
  document.documentElement.dataset.ready = "yes";
}

/**
 * Take what changed of it.
 *
 * @param {SweepChange} change
 */
function takeChange(change) {
  const { head, sections, ...data } = change;
  if (Object.keys(data).length) {
    apply(D, change);
    showSoon();
  }
  if (head) showHeadline(head);
  if (sections) showSections(sections);
}

/** Show the data as it is now; before long, and no more often than what it takes allows. */
function showSoon() {
  if (isComing) return;
  isComing = true;
  setTimeout(() => {
    isComing = false;
    const began = performance.now();
    load(D);
    showBest();
    dueAt = performance.now() + Math.max(SOONEST_MS, (performance.now() - began) / MOST_SHARE);
  }, Math.max(0, dueAt - performance.now()));
}

/**
 * Put what the report has as well into its places. The server has escaped every text in it.
 *
 * @param {string} html
 */
function showSections(html) {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  for (const part of /** @type {NodeListOf<HTMLElement>} */ (parsed.querySelectorAll("[data-slot]"))) {
    const slot = document.querySelector(`body [data-slot="${part.dataset.slot}"]`);
    if (!slot) continue;
    const open = new Set([...slot.querySelectorAll("details[open] > summary")].map((each) => each.textContent));
    slot.replaceChildren(...part.childNodes);
    for (const summary of slot.querySelectorAll("details > summary")) {
      if (open.has(summary.textContent)) summary.parentElement?.setAttribute("open", "");
    }
  }
  drawImportances();
}

/** Show what can be done with the trial that is selected. */
function showActions() {
  const i = store.selected, box = $("actions");
  box.hidden = i === null;
  if (i === null) return;
  const link = make("a", `Open trial ${i}`), name = `${D.id}/${i}`;
  link.href = `/sweeps/${name}`;
  const compare = make("button", chosen().includes(name) ? "Do not compare" : "Compare");
  compare.type = "button";
  compare.dataset.trial = name;
  compare.addEventListener("click", () => {
    choose(name);
    showActions();
  });
  renew(box, [link, compare, ...trialButtons(D.id, i, stateOf(i))]);
}
