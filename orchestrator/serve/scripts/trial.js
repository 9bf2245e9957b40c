// A trial's page.

/** @import { TrialState } from "./live.d.ts" */
import { $, make } from "../../reporting/page/scripts/dom.js";
import { clock } from "../../reporting/page/scripts/format.js";
import { choose, chosen } from "./chosen.js";
import { noteButton, trialButtons } from "./controls.js";
import { renew, showFacts, showFive, showState } from "./headline.js";
import { showLines } from "./lines.js";
import { follow } from "./stream.js";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** @type {TrialState | null} */
let trialState = null;
/** How far the server's clock is ahead of this machine's, in seconds. */
let ahead = 0;

/** Follow the trial that the address names. */
export function startTrial() {
  setInterval(showTrialNumbers, 1000);
  follow(`/live${location.pathname}`, { all: takeTrial, change: (change) => takeTrial({ ...trialState, ...change }) });
}

/**
 * Take what is known of the trial.
 *
 * @param {TrialState} state
 */
function takeTrial(state) {
  const before = trialState;
  trialState = state;
  ahead = state.now - Date.now() / 1000;
  const { trial, sweep, other } = state;
  document.title = `trial ${trial.number} of ${sweep.name}: ${trial.state}`;
  $("title").textContent = `Trial ${trial.number}`;
  $("sweep-id").textContent = `${sweep.id}/${trial.number}`;
  showState(trial.state);
  showTrialHead(state);
  showTrialNumbers();
  showConfig(state);
  if (state.charts !== before?.charts) {
    const names = [`trial ${trial.number}`, ...(other === null ? [] : [otherName(state)])];
    showLines(state.charts, names);
    $("metrics-note").textContent = state.charts.length ? "By row. Point at a chart for its values." : "No metric yet.";
  }
  if (state.use !== before?.use) showUse(state);
  if (state.log !== before?.log) showLog(state);
  if (state.attempts !== before?.attempts) showAttempts(state);
  if (state.files !== before?.files) showFiles(state);
  if (state.commands !== before?.commands) showCommands(state);
  document.documentElement.dataset.ready = "yes";
}

/**
 * What the trial beside this one is called.
 *
 * @param {TrialState} state
 * @returns {string}
 */
function otherName({ other, trial }) {
  return `${other}${trial.best ? " (next best)" : " (best)"}`;
}

/**
 * Show state, value and what is wrong.
 *
 * @param {TrialState} state
 */
function showTrialHead({ trial, sweep, flags }) {
  const link = make("a", sweep.name);
  link.href = `/sweeps/${sweep.id}`;
  renew($("sentence"), [make("span", "of "), link, make("span", `, which is ${sweep.state}`)]);
  const [first, ...others] = trial.values;
  $("best-name").textContent = first ? first[0] : "Value";
  $("best").textContent = first ? showFive(first[1]) : "–";
  const more = others.map(([name, value]) => `${name} ${showFive(value)}`);
  $("standing").textContent = [...more, trial.best ? "the best of its sweep" : "", trial.reached].filter(Boolean).join(
    ", ",
  );
  $("reason").textContent = flags.some((flag) => flag.evidence === trial.why) ? "" : trial.why;
  renew($("flags"), flags.map((flag) => make("li", `${flag.name}: ${flag.evidence}`)));
  const name = `${sweep.id}/${trial.number}`;
  const compare = make("button", chosen().includes(name) ? "Do not compare" : "Compare");
  compare.type = "button";
  compare.addEventListener("click", () => {
    choose(name);
    if (trialState) showTrialHead(trialState);
  });
  const state = trial.may.includes("stop") ? "running" : trial.may.includes("cancel") ? "pending" : "over";
  renew($("controls"), [
    ...trialButtons(sweep.id, trial.number, state),
    noteButton(sweep.id, trial.number, trial.words),
    compare,
  ]);
  $("controls").hidden = false;
}

/** Show the numbers; the time runs by itself. */
function showTrialNumbers() {
  if (!trialState) return;
  const { trial, attempts } = trialState, now = Date.now() / 1000 + ahead;
  const latest = attempts.at(-1), from = latest?.started ?? trial.began;
  const until = trial.state === "running" && trialState.sweep.state !== "interrupted"
    ? now
    : latest?.ended ?? trial.ended;
  const facts = [["rows", String(trial.rows)], ["attempts", String(attempts.length)]];
  if (from !== null && until !== null) facts.push(["time", clock(Math.max(0, until - from))]);
  if (trial.where) facts.push(["where", trial.where]);
  showFacts(facts);
}

/**
 * Show the parameters beside the other's, those that differ first.
 *
 * @param {TrialState} state
 */
function showConfig(state) {
  const { config, other } = state, differs = config.filter(([, mine, theirs]) => mine !== theirs);
  const same = config.filter(([, mine, theirs]) => mine === theirs);
  const table = /** @type {HTMLTableElement} */ ($("config-table")), head = make("tr");
  head.append(make("th", ""), make("th", "this one"));
  if (other !== null) head.append(make("th", otherName(state)));
  renew(/** @type {HTMLElement} */ (table.tHead), [head]);
  const rows = (other === null ? config : [...differs, ...same]).map(([name, mine, theirs]) => {
    const row = make("tr");
    row.dataset.key = name;
    row.append(make("td", name, "muted"), make("td", mine ?? "–", mine !== theirs && other !== null ? "differs" : ""));
    if (other !== null) row.append(make("td", theirs ?? "–"));
    return row;
  });
  renew(table.tBodies[0], rows);
  $("config-note").textContent = other === null
    ? ""
    : `${differs.length} of ${config.length} parameters differ from trial ${other}.`;
}

/**
 * Show what it uses of its machine.
 *
 * @param {TrialState} state
 */
function showUse({ use, trial }) {
  $("use").hidden = !use.said;
  $("use-note").textContent = use.said;
  showLines(use.charts, [`trial ${trial.number}`], "use-lines", "second");
}

/**
 * Show the end of the log, and stay there.
 *
 * @param {TrialState} state
 */
function showLog({ log, trial }) {
  const box = $("log");
  box.textContent = log.text || (trial.state === "pending" ? "It has not begun yet." : "It has printed nothing yet.");
  $("log-note").textContent = log.left_out ? `The end of it; ${size(log.left_out)} before are left out.` : "";
  if (/** @type {HTMLInputElement} */ ($("tail")).checked) box.scrollTop = box.scrollHeight;
}

/**
 * Show how its attempts went, and what was decided about it.
 *
 * @param {TrialState} state
 */
function showAttempts({ attempts, decisions }) {
  const table = /** @type {HTMLTableElement} */ ($("attempts")), head = make("tr");
  for (const name of ["attempt", "began", "took", "where", "how it ended"]) {
    head.append(make("th", name, name === "attempt" || name === "took" ? "num" : ""));
  }
  renew(/** @type {HTMLElement} */ (table.tHead), [head]);
  const rows = attempts.map((each) => {
    const row = make("tr"), took = each.started !== null && each.ended !== null ? each.ended - each.started : null;
    const where = [each.host, ...each.gpus.map((gpu) => `GPU ${gpu}`), each.pid === null ? "" : `pid ${each.pid}`];
    row.append(
      make("td", String(each.attempt), "num"),
      make("td", each.started === null ? "–" : moment(each.started)),
      make("td", took === null ? "–" : clock(took), "num"),
      make("td", where.filter(Boolean).join(" ")),
      make("td", [each.cause, each.exit, each.said].filter(Boolean).join(", ") || "–"),
    );
    return row;
  });
  const said = decisions.map(([time, what, why]) => {
    const row = make("tr"), cell = make("td", `${what}${why ? `: ${why}` : ""}`, "muted");
    cell.colSpan = 3;
    row.append(make("td"), make("td", moment(time), "muted"), cell);
    return row;
  });
  renew(table.tBodies[0], [...rows, ...said]);
}

/**
 * A moment, as this machine's user writes it.
 *
 * @param {number} time Seconds since 1970.
 * @returns {string}
 */
function moment(time) {
  return new Date(1000 * time).toLocaleString();
}

/**
 * Show what lies in its directory.
 *
 * @param {TrialState} state
 */
function showFiles({ files, trial }) {
  $("files-path").textContent = trial.directory;
  const more = files.n > files.files.length ? `, ${files.files.length} of them listed` : "";
  $("files-count").textContent = `${files.whole ? "" : "more than "}${files.n} ${files.n === 1 ? "file" : "files"}, ${
    size(files.bytes)
  }${more}`;
  const rows = files.files.map(({ name, bytes, kind }) => {
    const row = make("tr");
    row.append(make("td", name), make("td", bytes === null ? kind : size(bytes), "num"));
    return row;
  });
  renew(/** @type {HTMLTableElement} */ ($("files")).tBodies[0], rows);
}

/**
 * A size in bytes, in its unit.
 *
 * @param {number} bytes
 * @returns {string}
 */
function size(bytes) {
  const unit = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${unit ? (bytes / 1024 ** unit).toFixed(1) : bytes} ${UNITS[unit]}`;
}

/**
 * Show commands, to be copied.
 *
 * @param {TrialState} state
 */
function showCommands({ commands }) {
  const items = commands.map(([command, what]) => {
    const item = make("div"), name = make("dt"), copy = make("button", "Copy", "copies");
    copy.type = "button";
    copy.addEventListener("click", async () => {
      await navigator.clipboard?.writeText(command);
      copy.textContent = navigator.clipboard ? "Copied" : "Select it";
    });
    name.append(make("code", command), copy);
    item.append(name, make("dd", what));
    return item;
  });
  $("commands").replaceChildren(...items);
}
