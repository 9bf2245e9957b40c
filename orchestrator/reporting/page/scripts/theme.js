// Colours: read from the page's style whenever it changes.

const COLOURS = /** @type {const} */ ([
  "ink",
  "muted",
  "line",
  "panel",
  "page",
  "accent",
  "good",
  "bad",
  "stopped",
  "failed",
]);

export const theme = {
  ink: "",
  muted: "",
  line: "",
  panel: "",
  page: "",
  accent: "",
  good: "",
  bad: "",
  stopped: "",
  failed: "",
  /** @type {string[]} */
  ramp: [],
};

/** Take the colours that the style sheet gives now. */
export function readTheme() {
  const style = getComputedStyle(document.documentElement);
  for (const name of COLOURS) theme[name] = style.getPropertyValue(`--${name}`).trim();
  const a = rgb(theme.bad), b = rgb(theme.good);
  theme.ramp = Array.from(
    { length: 33 },
    (_, i) => `rgb(${a.map((x, c) => Math.round(x + (b[c] - x) * i / 32)).join(",")})`,
  );
}

/**
 * The red, green and blue of `#rrggbb`.
 *
 * @param {string} hex
 * @returns {number[]}
 */
function rgb(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

/**
 * A trial's colour. It goes by rank: one outlier does not take all the colour.
 *
 * @param {number | null} goodness From 0 (the worst) to 1 (the best).
 * @returns {string}
 */
export function ramp(goodness) {
  return goodness === null ? theme.line : theme.ramp[Math.round(32 * goodness ** 1.6)];
}
