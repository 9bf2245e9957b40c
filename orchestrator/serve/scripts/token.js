// The token by which sweeps are steered: it comes behind the address's #, and stays in this tab.

import { ask } from "./said.js";

const KEY = "sweep-token";

/** Take the token from the address, where it is not left: it would be copied with it. */
export function takeToken() {
  const found = /[#&]token=([^&]+)/.exec(location.hash);
  if (!found) return;
  sessionStorage.setItem(KEY, decodeURIComponent(found[1]));
  history.replaceState(null, "", location.pathname + location.search);
}

/**
 * Whether this tab has a token; whether it is the right one the server says.
 *
 * @returns {boolean}
 */
export function hasToken() {
  return Boolean(sessionStorage.getItem(KEY));
}

/** Forget a token that the server does not know. */
export function forgetToken() {
  sessionStorage.removeItem(KEY);
}

/**
 * The headers that a request brings.
 *
 * @returns {Record<string, string>}
 */
export function authorization() {
  const token = sessionStorage.getItem(KEY);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/**
 * Ask for the token.
 *
 * @returns {Promise<boolean>} Whether there is one now.
 */
export async function askForToken() {
  const given = await ask("Paste the token, or the address that `sweep serve` printed.", { yes: "Use it", answer: "" });
  const token = given?.trim().replace(/^.*[#&]token=/, "");
  if (token) sessionStorage.setItem(KEY, token);
  return Boolean(token);
}
