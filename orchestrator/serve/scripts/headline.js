// The top of a sweep's page: state, numbers, what runs, what its controller says.

/** @import { Headline } from "./live.d.ts" */
import { $, make } from "../../reporting/page/scripts/dom.js";
import { clock, show } from "../../reporting/page/scripts/format.js";
import { best, D, metric, ranked, shownAxis, stateOf, valueOf } from "../../reporting/page/scripts/trials.js";
import { sweepButtons, trialButtons } from "./controls.js";

/**
 * The headline that was told last; null before that.
 *
 * @type {Headline | null}
 */
let told = null;
/** When that was, in milliseconds of this machine's clock. */
let toldAt = 0;

/**
 * Show a sweep's headline.
 *
 * @param {Headline} head
 */
export function showHeadline(head) {
  told = head;
  toldAt = Date.now();
  document.title = `${head.name}: ${head.state}`;
  $("title").textContent = head.name;
  $("sweep-id").textContent = head.id;
  showState(head.state);
  const why = head.reason && head.reason !== head.state ? `: ${head.reason}` : "";
  $("sentence").textContent = `${head.what}${why}${head.about ? `. ${head.about}` : ""}`;
  showWarnings([head.problem, ...head.damage]);
  renew($("controls"), sweepButtons(head));
  $("controls").hidden = false;
  renew($("notes"), head.notes.map((text) => make("p", text, "note")));
  showClock();
}

/**
 * Show a state.
 *
 * @param {string} state
 */
export function showState(state) {
  const node = $("state");
  node.textContent = state;
  node.className = `state ${state}`;
  node.hidden = false;
}

/**
 * Show what is wrong, if anything is.
 *
 * @param {string[]} texts
 */
export function showWarnings(texts) {
  const wrong = texts.filter(Boolean), box = $("warnings");
  renew(box, wrong.map((text) => make("p", text)));
  box.hidden = !wrong.length;
}

/** Show the numbers that change by themselves while the sweep runs; once a second. */
export function showClock() {
  if (!told) return;
  const since = told.lives ? (Date.now() - toldAt) / 1000 : 0;
  showNumbers(told, since);
  showRunning(told, since);
}

/**
 * Show the best trial.
 */
export function showBest() {
  const i = ranked[0] ?? null;
  $("best-name").textContent = metric ? `Best ${metric}` : "Result";
  $("best").textContent = i === null ? "none yet" : showFive(valueOf(i));
  if (i === null) return;
  const more = best === null ? `, one of ${D.front.length} that no other beats` : "";
  const link = make("a", `trial ${i}`);
  link.href = `/sweeps/${D.id}/${i}`;
  const row = D.step[i] === null ? "" : `, row ${D.step[i]}`;
  renew($("standing"), [link, make("span", `${row}, ${stateOf(i)}${more}`)]);
  renew(
    $("best-config"),
    D.axes.map((axis) => {
      const item = make("div");
      item.append(make("dt", axis.name), make("dd", shownAxis(axis, i) || "–"));
      return item;
    }),
  );
}

/**
 * A value in up to five digits: it is the one that counts.
 *
 * @param {number | null} value
 * @returns {string}
 */
export function showFive(value) {
  return value === null ? "–" : String(Number(value.toPrecision(5)));
}

/**
 * Show numbers by their names above everything else of a page.
 *
 * @param {string[][]} facts Name and value.
 */
export function showFacts(facts) {
  renew(
    $("numbers"),
    facts.map(([name, value]) => {
      const item = make("div");
      item.append(make("dt", name), make("dd", value));
      return item;
    }),
  );
}

/**
 * Show how many trials there are, and how long they take.
 *
 * @param {Headline} head
 * @param {number} since Seconds since it was told.
 */
function showNumbers(head, since) {
  const n = nDone(head.counts);
  /** @type {[string, string][]} */
  const facts = [["done", head.total === null ? String(n) : `${n} of ${head.total}`]];
  for (const [state, count] of Object.entries(head.counts)) {
    facts.push([state === "stopped" ? "stopped early" : state, String(count)]);
  }
  facts.push(["time", clock(head.elapsed_s + since)]);
  if (head.eta_s !== null) facts.push(["left", left(head, since)]);
  if (head.slots !== null) facts.push(["at once", String(head.slots)]);
  showFacts(facts);
}

/**
 * How many trials have ended.
 *
 * @param {Record<string, number>} counts How many are in each state.
 * @returns {number}
 */
export function nDone(counts) {
  const { pending = 0, running = 0 } = counts;
  return Object.values(counts).reduce((a, b) => a + b, 0) - pending - running;
}

/**
 * How long it will take, with an interval where there is one.
 *
 * @param {Headline} head
 * @param {number} since
 * @returns {string}
 */
function left(head, since) {
  const [low, high] = (head.eta_range_s ?? [head.eta_s ?? 0, head.eta_s ?? 0]).map((s) => Math.max(0, s - since));
  const a = clock(low), b = clock(high);
  return a === b ? a : `${a} to ${b}`;
}

/**
 * Show what runs now.
 *
 * @param {Headline} head
 * @param {number} since
 */
function showRunning(head, since) {
  $("running").hidden = !head.running.length;
  const body = /** @type {HTMLTableElement} */ ($("running-table")).tBodies[0];
  renew(body, head.running.filter(({ trial }) => trial < D.state.length).map((each) => runningRow(head, each, since)));
}

/**
 * A trial that runs.
 *
 * @param {Headline} head
 * @param {Headline["running"][0]} each
 * @param {number} since
 * @returns {HTMLElement}
 */
function runningRow(head, { trial, elapsed_s, ending }, since) {
  const row = make("tr"), name = make("td"), link = make("a", `trial ${trial}`), buttons = make("td");
  row.dataset.key = String(trial);
  link.href = `/sweeps/${head.id}/${trial}`;
  name.append(link);
  const said = ending || [...new Set((D.flags[trial] ?? []).map((flag) => flag.name))].join(", ");
  row.append(
    name,
    make("td", `${metric} ${show(valueOf(trial))}`.trim(), "num"),
    make("td", `${D.reports[trial]} ${D.reports[trial] === 1 ? "row" : "rows"}`, "num"),
    make("td", elapsed_s === null ? "starting" : clock(elapsed_s + since), "num"),
    make("td", D.axes.slice(0, 4).map((axis) => `${axis.name} ${shownAxis(axis, trial) || "–"}`).join(", "), "muted"),
    make("td", said, "stopped"),
    buttons,
  );
  buttons.className = "buttons";
  buttons.append(...trialButtons(head.id, trial, "running"));
  return row;
}

/**
 * Give a place other content; what shows the same stays, with the focus in it.
 *
 * @param {HTMLElement} place
 * @param {HTMLElement[]} nodes
 */
export function renew(place, nodes) {
  nodes.forEach((node, k) => {
    const there = place.children[k];
    if (!there) place.append(node);
    else if (!there.isEqualNode(node)) freshen(there, node);
  });
  while (place.children.length > nodes.length) place.lastElementChild?.remove();
}

/**
 * Put an element in another's place; in a row of the same subject only the cells that differ.
 *
 * @param {Element} there
 * @param {HTMLElement} node
 */
function freshen(there, node) {
  if (
    !(there instanceof HTMLTableRowElement) || there.dataset.key === undefined || there.dataset.key !== node.dataset.key
  ) {
    there.replaceWith(node);
    return;
  }
  [...node.children].forEach((cell, k) => {
    if (!there.children[k]?.isEqualNode(cell)) there.children[k].replaceWith(cell);
  });
}
