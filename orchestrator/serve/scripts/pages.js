// Where a live page begins.

import { listenToTheme } from "../../reporting/page/scripts/around.js";
import { $ } from "../../reporting/page/scripts/dom.js";
import { readTheme } from "../../reporting/page/scripts/theme.js";
import { showChosen } from "./chosen.js";
import { startCompare } from "./compare.js";
import { startIndex } from "./index.js";
import { say } from "./said.js";
import { startSweep } from "./sweep.js";
import { askForToken, hasToken, takeToken } from "./token.js";
import { startTrial } from "./trial.js";

takeToken();
readTheme();
listenToTheme();
showChosen();
$("token").textContent = hasToken() ? "Controls on" : "Read only";
$("token").addEventListener("click", async () => {
  if (await askForToken()) say("This tab may steer now, if the token is right.");
  $("token").textContent = hasToken() ? "Controls on" : "Read only";
});
/** @type {Record<string, () => void>} */
const starts = { index: startIndex, sweep: startSweep, trial: startTrial, compare: startCompare };
starts[document.body.dataset.page ?? ""]();
