// Following something on the server: server-sent events, read by fetch, since they need the token's header.

import { $ } from "../../reporting/page/scripts/dom.js";
import { askForToken, authorization, forgetToken, hasToken } from "./token.js";

const SILENT_MS = 15000;
const FIRST_WAIT_MS = 500, LONGEST_WAIT_MS = 5000;
const HIDDEN_MS = 3000;
const AGAIN_MS = 10000;

/**
 * What is done with what comes.
 *
 * @typedef {object} Follower
 * @property {(state: any) => void} all The whole state.
 * @property {(change: any) => void} [change] What changed of it.
 */

let aborting = new AbortController();
/** The id of the event that came last. */
let lastId = "";
let isHidden = false;
/** Whether the server did not answer, and until when it is said that it does again. */
let wasAway = false, againUntil = 0;
/** Why the last connection came to its end. */
let trouble = "";

/**
 * Follow a path for as long as the page is open and looked at, however often the server goes and comes.
 *
 * @param {string} path
 * @param {Follower} follower
 */
export async function follow(path, follower) {
  listenToVisibility();
  for (let wait = FIRST_WAIT_MS;;) {
    while (isHidden) await new Promise((resolve) => addEventListener("seen", resolve, { once: true }));
    const came = await connection(path, follower);
    if (came) wait = FIRST_WAIT_MS;
    if (isHidden) continue;
    wasAway = true;
    showConnection("away", `${trouble}; trying again`);
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(LONGEST_WAIT_MS, 2 * wait);
  }
}

/**
 * One connection, to its end.
 *
 * @param {string} path
 * @param {Follower} follower
 * @returns {Promise<boolean>} Whether anything came.
 */
async function connection(path, follower) {
  aborting = new AbortController();
  let came = false, timer = setTimeout(() => aborting.abort(), SILENT_MS);
  try {
    const headers = { ...authorization(), ...(lastId ? { "Last-Event-ID": lastId } : {}) };
    const response = await fetch(path, { headers, signal: aborting.signal, cache: "no-store" });
    if (!response.ok || !response.body) return await refused(response);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      clearTimeout(timer);
      timer = setTimeout(() => aborting.abort(), SILENT_MS);
      const parts = (rest + value).split("\n\n");
      rest = parts.pop() ?? "";
      for (const part of parts) came = take(part, follower) || came;
    }
    trouble ||= "the server has closed the connection";
  } catch (error) {
    if (!(error instanceof TypeError || (error instanceof DOMException && error.name === "AbortError"))) throw error;
    trouble = "the server does not answer";
  } finally {
    clearTimeout(timer);
  }
  return came;
}

/**
 * Do what an event says.
 *
 * @param {string} text
 * @param {Follower} follower
 * @returns {boolean} Whether it was one.
 */
function take(text, follower) {
  const fields = Object.fromEntries(text.split("\n").map((line) => /^(\w*): ?(.*)$/s.exec(line)?.slice(1) ?? ["", ""]));
  if (!fields.data) return false;
  const data = JSON.parse(fields.data);
  if (fields.event === "trouble") {
    trouble = data.said;
    return false;
  }
  lastId = fields.id ?? "";
  trouble = "";
  if (fields.event === "all") follower.all(data);
  else follower.change?.(data);
  if (wasAway) againUntil = Date.now() + AGAIN_MS;
  wasAway = false;
  showConnection("here", Date.now() < againUntil ? "live again" : "live");
  return true;
}

/**
 * Say why the server refuses.
 *
 * @param {Response} response
 * @returns {Promise<boolean>} Whether anything came: no.
 */
async function refused(response) {
  trouble = (await response.json().catch(() => ({}))).error ?? `the server says ${response.status}`;
  if (response.status === 401) {
    if (hasToken()) forgetToken();
    showConnection("away", trouble);
    await askForToken();
  }
  return false;
}

/**
 * Say how things stand with the server.
 *
 * @param {"here" | "away" | "still"} how
 * @param {string} text
 */
function showConnection(how, text) {
  const node = $("connection");
  node.className = `connection ${how}`;
  if (node.textContent !== text) node.textContent = text;
  document.documentElement.dataset.connection = how;
}

/** Let go of the connection while nobody looks: a browser has few of them, and a hidden page needs none. */
function listenToVisibility() {
  let timer = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden) {
      timer = setTimeout(() => {
        isHidden = true;
        showConnection("still", "still, while it is not looked at");
        aborting.abort();
      }, HIDDEN_MS);
    } else if (isHidden) {
      isHidden = false;
      dispatchEvent(new Event("seen"));
    }
  });
}
