// The trials that are chosen to be compared, of any sweep: kept in this tab.

import { $ } from "../../reporting/page/scripts/dom.js";

const CHOSEN = "sweep-chosen";

/**
 * The trials, as the server names them: `k3x9w2ab/7`.
 *
 * @returns {string[]}
 */
export function chosen() {
  return (sessionStorage.getItem(CHOSEN) ?? "").split(" ").filter(Boolean);
}

/**
 * Choose a trial, or choose it no more.
 *
 * @param {string} name
 */
export function choose(name) {
  const names = chosen(), left = names.filter((each) => each !== name);
  sessionStorage.setItem(CHOSEN, (left.length < names.length ? left : [...names, name]).join(" "));
  showChosen();
}

/** Link to the comparison of what is chosen. */
export function showChosen() {
  const link = /** @type {HTMLAnchorElement} */ ($("compare-link")), names = chosen();
  link.hidden = names.length < 1;
  link.textContent = `Compare ${names.length}`;
  link.href = `/compare?${names.map((name) => `of=${encodeURIComponent(name)}`).join("&")}`;
}
