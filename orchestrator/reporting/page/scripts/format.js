// Numbers and durations as text.

/**
 * A tick's number, in as many decimals as its step needs.
 *
 * @param {number} v
 * @param {number} step
 * @returns {string}
 */
export function tidy(v, step) {
  if (v === 0) return "0";
  if (Math.abs(v) >= 1e6 || step < 1e-5) return show(v);
  return v.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
}

/**
 * A value in up to four digits; a dash where there is none.
 *
 * @param {number | null | undefined} v
 * @returns {string}
 */
export function show(v) {
  if (v === null || v === undefined) return "–";
  if (Number.isInteger(v) && Math.abs(v) < 1e7) return String(v);
  const text = v.toPrecision(4);
  if (text.includes("e")) return text.replace(/\.?0+e/, "e").replace("e+", "e");
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/**
 * A duration in its two largest units.
 *
 * @param {number} s Seconds.
 * @returns {string}
 */
export function clock(s) {
  if (s < 60) return `${Math.round(s)}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${String(Math.round(s % 60)).padStart(2, "0")}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h${String(Math.round(s % 3600 / 60)).padStart(2, "0")}m`;
  return `${(s / 86400).toFixed(1)}d`;
}

/**
 * A duration without the units that are zero.
 *
 * @param {number} s Seconds.
 * @returns {string}
 */
export function roundClock(s) {
  if (s < 60 || s % 60) return s ? clock(s) : "0";
  const d = Math.floor(s / 86400), h = Math.floor(s % 86400 / 3600), m = s % 3600 / 60;
  return [d && `${d}d`, h && `${h}h`, m && `${m}m`].filter(Boolean).join("");
}
