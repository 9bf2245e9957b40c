// Trials of any sweeps side by side.

/** @import { CompareState } from "./live.d.ts" */
import { $, make } from "../../reporting/page/scripts/dom.js";
import { choose, chosen } from "./chosen.js";
import { renew } from "./headline.js";
import { lineColour, showLines } from "./lines.js";
import { follow } from "./stream.js";

/** Follow the trials that the address names; those alone are chosen then. */
export function startCompare() {
  const named = new URLSearchParams(location.search).getAll("of");
  for (const name of [...chosen(), ...named]) {
    if (chosen().includes(name) !== named.includes(name)) choose(name);
  }
  $("title").textContent = "Compare";
  $("add").addEventListener("submit", (e) => {
    e.preventDefault();
    const field = /** @type {HTMLInputElement} */ ($("which"));
    for (const name of field.value.split(/[\s,]+/).filter(Boolean)) if (!chosen().includes(name)) choose(name);
    open();
  });
  follow(`/live/compare${location.search}`, { all: takeCompared });
}

/** Open the page with the trials that are chosen now. */
function open() {
  location.assign(/** @type {HTMLAnchorElement} */ ($("compare-link")).href);
}

/**
 * Take what is known of the trials.
 *
 * @param {CompareState} state
 */
function takeCompared({ trials, differences, charts }) {
  const names = trials.map(({ sweep, trial }) => `${sweep}/${trial}`);
  document.title = `Compare ${names.length} trials`;
  $("sentence").textContent = names.length ? "" : "Choose trials on their pages, or name them here.";
  renew(
    $("chips"),
    trials.map((each, k) => {
      const chip = make("span", undefined, "chip"), link = make("a", `${each.name} ${names[k]}`), mark = make("i");
      const close = make("button", "×");
      mark.style.background = lineColour(k);
      link.href = `/sweeps/${names[k]}`;
      close.type = "button";
      close.dataset.trial = names[k];
      close.setAttribute("aria-label", `Leave out ${names[k]}`);
      close.addEventListener("click", () => {
        choose(names[k]);
        open();
      });
      chip.append(mark, link, make("span", each.state, `state ${each.state}`), close);
      return chip;
    }),
  );
  const table = /** @type {HTMLTableElement} */ ($("differences")), head = make("tr");
  head.append(make("th", ""), ...names.map((name) => make("th", name)));
  renew(/** @type {HTMLElement} */ (table.tHead), [head]);
  let group = "";
  const rows = differences.flatMap((each) => {
    const row = make("tr"), title = make("tr");
    row.append(make("td", each.name, "muted"), ...each.values.map((value) => make("td", value)));
    if (each.group === group) return [row];
    group = each.group;
    const cell = make("th", group);
    cell.colSpan = 1 + names.length;
    title.append(cell);
    return [title, row];
  });
  renew(table.tBodies[0], rows);
  showLines(charts, names);
  $("metrics-note").textContent = charts.length ? "By row. Point at a chart for its values." : "";
  document.documentElement.dataset.ready = "yes";
}
