// Buttons that ask the server to steer a sweep or a trial.

import { make } from "../../reporting/page/scripts/dom.js";
import { ask, say } from "./said.js";
import { askForToken, authorization, forgetToken, hasToken } from "./token.js";

/**
 * A button: `sure` is asked before, `value` asks for a limit.
 *
 * @typedef {object} Control
 * @property {string} name
 * @property {Record<string, unknown>} asked
 * @property {string} [title]
 * @property {string} [sure]
 */

/**
 * Ask the server for something, and say what came of it.
 *
 * @param {string} sweep
 * @param {Record<string, unknown>} asked
 */
export async function steer(sweep, asked) {
  if (!hasToken() && !await askForToken()) return;
  try {
    const response = await fetch(`/sweeps/${sweep}`, {
      method: "POST",
      headers: { ...authorization(), "Content-Type": "application/json" },
      body: JSON.stringify(asked),
    });
    const answer = await response.json();
    if (response.status === 401) forgetToken();
    say(answer.said ?? answer.error, !response.ok);
  } catch {
    say("The server does not answer: nothing was asked.", true);
  }
}

/**
 * A button that asks for something.
 *
 * @param {string} sweep
 * @param {Control} control
 * @returns {HTMLButtonElement}
 */
export function button(sweep, { name, asked, title, sure }) {
  const node = make("button", name);
  node.dataset.asked = JSON.stringify(asked); // two that ask for different things are not the same
  node.type = "button";
  if (title) node.title = title;
  node.addEventListener("click", async () => {
    if (!sure || await ask(sure, { yes: name })) await steer(sweep, asked);
  });
  return node;
}

/**
 * The buttons of a trial in a state.
 *
 * @param {string} sweep
 * @param {number} trial
 * @param {string} state
 * @returns {HTMLButtonElement[]}
 */
export function trialButtons(sweep, trial, state) {
  const controls = [];
  if (state === "running") {
    const title = "Ends it softly: what it showed counts";
    controls.push({ name: "Stop", asked: { action: "stop", trial }, title });
  }
  if (state === "running" || state === "pending") {
    const sure = `Give trial ${trial} up, for good?`;
    controls.push({ name: "Cancel", asked: { action: "cancel", trial }, title: "Ends it now, for good", sure });
  } else {
    const sure = `Run trial ${trial} again? Its result stays until the new attempt reports.`;
    controls.push({ name: "Retry", asked: { action: "retry", trial }, title: "Runs it again", sure });
  }
  return controls.map((control) => button(sweep, control));
}

/**
 * A button that writes tags and a note, in place of what is said so far.
 *
 * @param {string} sweep
 * @param {number | null} trial Null for the sweep itself.
 * @param {string} words
 * @returns {HTMLButtonElement}
 */
export function noteButton(sweep, trial, words) {
  const node = make("button", "Note"), whose = trial === null ? "the sweep" : `trial ${trial}`;
  node.dataset.words = words; // one that begins with other words is not the same
  node.type = "button";
  node.title = `Tags and note of ${whose}`;
  node.addEventListener("click", async () => {
    const question = `Tags and note of ${whose}, such as "#good #slow: the one to keep"; empty for nothing.`;
    const given = await ask(question, { yes: "Keep", answer: words });
    if (given !== null && given !== words) await steer(sweep, { action: "say", trial, words: given });
  });
  return node;
}

/**
 * The buttons of a sweep in a state; for one that does not run only its limits and what is said of it.
 *
 * @param {import("./live.d.ts").Headline} head
 * @returns {HTMLElement[]}
 */
export function sweepButtons(head) {
  const nodes = [];
  if (head.lives) {
    const paused = head.state === "paused";
    nodes.push(
      button(
        head.id,
        paused
          ? { name: "Unpause", asked: { action: "unpause" }, title: "Goes on" }
          : { name: "Pause", asked: { action: "pause" }, title: "Running trials finish, none are started" },
      ),
      button(head.id, {
        name: "Stop",
        asked: { action: "stop" },
        title: "No new trials; the running ones finish",
        sure: "Start no new trials? The running ones finish, then the sweep ends.",
      }),
      button(head.id, {
        name: "Cancel",
        asked: { action: "cancel" },
        title: "Ends the running trials now, for good",
        sure: "End all running trials now, for good?",
      }),
    );
  }
  for (const [key, value] of Object.entries(head.limits)) nodes.push(limit(head.id, key, value));
  nodes.push(noteButton(head.id, null, head.words));
  return nodes;
}

/**
 * What limits are called: a spec's key says little to those who have not written it.
 *
 * @type {Record<string, string>}
 */
const LIMITS = {
  run_cap: "trials in all",
  concurrency: "at once",
  timeout: "time-out of a trial",
  "timeout.sweep": "time-out of the sweep",
};

/**
 * A button that changes a limit.
 *
 * @param {string} sweep
 * @param {string} key
 * @param {number | null} value
 * @returns {HTMLButtonElement}
 */
function limit(sweep, key, value) {
  const isTime = key.startsWith("timeout");
  const shown = value === null ? "none" : isTime ? `${value}s` : String(value);
  const name = LIMITS[key] ?? key, node = make("button", `${name}: ${shown}`, "limit");
  node.type = "button";
  node.title = `Change ${key}`;
  node.addEventListener("click", async () => {
    const example = isTime ? "30m or 2h" : value === null ? "100" : "100, or +20 for 20 more";
    const question = `${name} (${key}), now ${shown}: ${example}, or none for no limit.`;
    const given = (await ask(question, { yes: "Set", answer: "" }))?.trim();
    if (!given) return;
    const more = isTime || value === null ? null : /^\+(\d+)$/.exec(given);
    const to = more ? String((value ?? 0) + Number(more[1])) : given;
    await steer(sweep, { action: "set", changes: { [key]: to } });
  });
  return node;
}
