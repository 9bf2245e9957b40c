// What every page has around its content: two themes, and buttons that copy.

import { drawCharts } from "./chart.js";
import { $ } from "./dom.js";
import { readTheme } from "./theme.js";

/** Copy what stands beside a button; where the browser refuses, select it. */
export function listenToCopying() {
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-copy]"))) {
    button.addEventListener("click", async () => {
      const node = $(button.dataset.copy ?? "");
      try {
        await navigator.clipboard.writeText(node.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection()?.selectAllChildren(node);
        button.textContent = "Selected";
      }
      setTimeout(() => {
        button.textContent = "Copy";
      }, 1500);
    });
  }
}

/** Follow the system's theme until a button chooses one; print in the light one. */
export function listenToTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)"), { dataset } = document.documentElement;
  dark.addEventListener("change", retheme);
  $("theme").addEventListener("click", () => {
    dataset.theme = (dataset.theme || (dark.matches ? "dark" : "light")) === "dark" ? "light" : "dark";
    retheme();
  });
  /** @type {string | undefined} */
  let before;
  addEventListener("beforeprint", () => {
    before = dataset.theme;
    dataset.theme = "light";
    retheme();
  });
  addEventListener("afterprint", () => {
    if (before) dataset.theme = before;
    else delete dataset.theme;
    retheme();
  });
}

/** Draw in the colours of the theme. */
function retheme() {
  readTheme();
  drawCharts();
}
