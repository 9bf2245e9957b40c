// What a page says for a moment, and what it asks before it does something.

import { $, make } from "../../reporting/page/scripts/dom.js";

const SHOWN_MS = 6000;

let hiding = 0;

/**
 * Say something for a moment.
 *
 * @param {string} text
 * @param {boolean} [wrong]
 */
export function say(text, wrong = false) {
  const box = $("said");
  box.replaceChildren(make("p", text));
  box.classList.toggle("wrong", wrong);
  box.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => {
    box.hidden = true;
  }, SHOWN_MS);
}

/**
 * Ask something.
 *
 * @param {string} question
 * @param {{ yes?: string, answer?: string }} [options] `answer` is what stands in the field; without it there is none.
 * @returns {Promise<string | null>} What was answered, or "yes" where there is no field; null for no.
 */
export function ask(question, { yes = "OK", answer } = {}) {
  const dialog = /** @type {HTMLDialogElement} */ ($("asking"));
  const field = /** @type {HTMLInputElement} */ ($("answer"));
  $("question").textContent = question;
  $("yes").textContent = yes;
  field.hidden = answer === undefined;
  field.value = answer ?? "";
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => resolve(dialog.returnValue === "yes" ? (field.hidden ? "yes" : field.value) : null),
      { once: true },
    );
  });
}
