// The page's elements. All text goes in as text, never as markup.

/**
 * The element with an id that the page has.
 *
 * @param {string} id
 * @returns {HTMLElement}
 */
export function $(id) {
  const node = document.getElementById(id);
  if (!node) throw new Error(`the page has no #${id}`);
  return node;
}

/** @returns {HTMLTableElement} */
export function table() {
  return /** @type {HTMLTableElement} */ ($("table"));
}

/**
 * A new element.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {string} [text]
 * @param {string} [name] Its class.
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, text, name) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (name) node.className = name;
  return node;
}

/**
 * Say something below a plot, behind what stands there from the beginning.
 *
 * @param {string} name
 * @param {string} text
 */
export function note(name, text) {
  const node = document.querySelector(`[data-note="${name}"]`);
  if (!(node instanceof HTMLElement)) return;
  node.dataset.begins ??= node.textContent ?? "";
  node.textContent = [node.dataset.begins, text].filter(Boolean).join(" ");
}

let waiting = false;

/**
 * Do something before the next frame; what is asked for while it waits is left out.
 *
 * @param {() => void} what
 */
export function later(what) {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    what();
  });
}
