// The first page: every sweep in a line.

/** @import { IndexState, Line } from "./live.d.ts" */
import { $, make } from "../../reporting/page/scripts/dom.js";
import { clock, show } from "../../reporting/page/scripts/format.js";
import { nDone, renew } from "./headline.js";
import { sparkline } from "./sparkline.js";
import { follow } from "./stream.js";

const HEADS = ["sweep", "state", "trials", "best", "so far", "started", "about"];

/** @type {Line[]} */
let lines = [];

/** Follow the sweeps. */
export function startIndex() {
  $("home").hidden = true;
  $("title").textContent = "Sweeps";
  const head = make("tr");
  head.append(...HEADS.map((name) => make("th", name, name === "best" ? "num" : "")));
  list().tHead?.replaceChildren(head);
  $("find").addEventListener("input", showSweeps);
  setInterval(showSweeps, 10000);
  follow("/live/", { all: takeIndex });
}

/** @returns {HTMLTableElement} */
function list() {
  return /** @type {HTMLTableElement} */ ($("list"));
}

/**
 * Take all sweeps.
 *
 * @param {IndexState} state
 */
function takeIndex(state) {
  lines = state.sweeps;
  $("sentence").textContent = state.runs;
  showSweeps();
  document.documentElement.dataset.ready = "yes";
}

/** Show the sweeps that are looked for. */
function showSweeps() {
  const words = /** @type {HTMLInputElement} */ ($("find")).value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = lines.filter((line) => words.every((word) => textOf(line).includes(word)));
  renew(list().tBodies[0], found.map(lineRow));
  $("found").textContent = found.length === lines.length
    ? `${lines.length} ${lines.length === 1 ? "sweep" : "sweeps"}`
    : `${found.length} of ${lines.length}`;
  const none = $("none");
  none.hidden = lines.length > 0;
  none.textContent = "No sweep yet: `sweep run SPEC` starts one.";
}

/**
 * What a sweep is found by.
 *
 * @param {Line} line
 * @returns {string}
 */
function textOf(line) {
  return [line.id, line.name, line.state, line.metric, line.about, ...line.tags].join(" ").toLowerCase();
}

/**
 * A sweep's row.
 *
 * @param {Line} line
 * @returns {HTMLElement}
 */
function lineRow(line) {
  const row = make("tr"), name = make("td"), state = make("td"), spark = make("td"), trials = make("td");
  row.dataset.key = line.id;
  const link = make("a", line.name);
  link.href = `/sweeps/${encodeURIComponent(line.id)}`;
  name.append(link, make("code", ` ${line.id}`));
  state.append(make("span", line.state, `state ${line.state}`));
  trials.append(make("span", counted(line)), progress(line));
  if (line.spark.length > 1) spark.append(sparkline(line.spark, `the best ${line.metric} so far`));
  const tags = line.tags.map((tag) => `#${tag}`).join(" ");
  const about = [tags, line.about, line.damage, ["finished", line.reason].includes(line.state) ? "" : line.reason];
  row.append(
    name,
    state,
    trials,
    make("td", line.best === null ? "–" : `${line.metric} ${show(line.best)}`, "num"),
    spark,
    make("td", `${clock(Math.max(0, Date.now() / 1000 - line.created))} ago`, "muted"),
    make("td", about.filter(Boolean).join(" · "), "about muted"),
  );
  return row;
}

/**
 * How many trials are done, and how they went.
 *
 * @param {Line} line
 * @returns {string}
 */
function counted(line) {
  const { running = 0, failed = 0 } = line.counts, of = line.total === null ? "" : ` of ${line.total}`;
  const more = [running && `${running} running`, failed && `${failed} failed`].filter(Boolean);
  return [`${nDone(line.counts)}${of} done`, ...more].join(", ");
}

/**
 * How far a sweep has come.
 *
 * @param {Line} line
 * @returns {HTMLElement}
 */
function progress(line) {
  const bar = make("progress"), done = nDone(line.counts);
  bar.max = line.total ?? Math.max(1, Object.values(line.counts).reduce((a, b) => a + b, 0));
  bar.value = done;
  bar.setAttribute("aria-label", "trials that have ended");
  return bar;
}
