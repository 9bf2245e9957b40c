// Where the report begins: its data is in the page.

import { listenToCopying, listenToTheme } from "./around.js";
import { $ } from "./dom.js";
import { drawImportances } from "./importance.js";
import { startParts, watchParts } from "./parts.js";
import { load } from "./state.js";
import { readTheme } from "./theme.js";

readTheme();
watchParts();
load(JSON.parse($("data").textContent));
startParts();
drawImportances();
listenToCopying();
listenToTheme();
document.documentElement.dataset.ready = "yes";
