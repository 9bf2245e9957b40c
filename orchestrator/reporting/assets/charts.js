"use strict";
// Small charts on canvas: a base layer with everything, and a layer above it for what the pointer is at.

const LINEAR = 0, LOG = 1, LABELS = 2;

class Scale {
  // Between data and pixels. `kind` is LINEAR, LOG or LABELS (positions of labels, with room around them).
  constructor(kind, low, high, from, to, labels, whole = false) {
    if (kind !== LABELS && !(high > low)) { const pad = Math.abs(low) * 0.05 || 0.5; high = low + pad; low -= kind === LOG ? low / 2 : pad; }
    Object.assign(this, { kind, low, high, from, to, labels, whole });
    this.a = kind === LOG ? Math.log(low) : kind === LABELS ? -0.5 : low;
    this.b = kind === LOG ? Math.log(high) : kind === LABELS ? Math.max(1, labels.length) - 0.5 : high;
  }
  unit(v) { return ((this.kind === LOG ? Math.log(v) : v) - this.a) / (this.b - this.a); }
  at(v) { return this.from + this.unit(v) * (this.to - this.from); }
  back(p) {
    const v = this.a + (p - this.from) / (this.to - this.from) * (this.b - this.a);
    return this.kind === LOG ? Math.exp(v) : v;
  }
  ticks(n) {
    if (this.kind === LABELS) {
      const step = Math.ceil(this.labels.length / Math.max(1, n));
      return this.labels.map((text, v) => ({ v, text })).filter(t => t.v % step === 0);
    }
    return this.kind === LOG ? logTicks(this.low, this.high, n) : linearTicks(this.low, this.high, n, this.whole);
  }
}

function linearTicks(low, high, n, whole = false) {
  const rough = (high - low) / Math.max(1, n), power = 10 ** Math.floor(Math.log10(rough));
  const nice = power * [1, 2, 5, 10].find(m => m * power >= rough * 0.999), step = whole ? Math.max(1, nice) : nice;
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
    const v = i * step;
    ticks.push({ v, text: tidy(v, step) });
  }
  return ticks;
}

function logTicks(low, high, n) {
  const decades = Math.log10(high / low);
  if (decades < 1) return linearTicks(low, high, n);
  const every = Math.ceil(decades / Math.max(1, n)), ticks = [];
  for (let e = Math.ceil(Math.log10(low) - 1e-9); e <= Math.log10(high) + 1e-9; e++)
    if (e % every === 0) ticks.push({ v: 10 ** e, text: show(10 ** e) });
  return ticks;
}

function tidy(v, step) {
  if (v === 0) return "0";
  if (Math.abs(v) >= 1e6 || step < 1e-5) return show(v);
  return v.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
}

function show(v) {
  if (v === null || v === undefined) return "–";
  if (typeof v !== "number") return String(v);
  if (Number.isInteger(v) && Math.abs(v) < 1e7) return String(v);
  const text = v.toPrecision(4);
  return text.includes("e") ? text.replace(/\.?0+e/, "e").replace("e+", "e") : text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function clock(s) {
  if (s < 60) return `${Math.round(s)}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${String(Math.round(s % 60)).padStart(2, "0")}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h${String(Math.round(s % 3600 / 60)).padStart(2, "0")}m`;
  return `${(s / 86400).toFixed(1)}d`;
}

function roundClock(s) {
  if (s < 60 || s % 60) return s ? clock(s) : "0";
  const d = Math.floor(s / 86400), h = Math.floor(s % 86400 / 3600), m = s % 3600 / 60;
  return [d && `${d}d`, h && `${h}h`, m && `${m}m`].filter(Boolean).join("");
}

function timeTicks(scale, n) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800];
  const rough = (scale.high - scale.low) / Math.max(1, n), step = steps.find(s => s >= rough) || Math.ceil(rough / 604800) * 604800;
  const ticks = [];
  for (let v = Math.ceil(scale.low / step) * step; v <= scale.high; v += step) ticks.push({ v, text: roundClock(v) });
  return ticks;
}

// ---- colours: read from the page's theme whenever it changes --------------------------------------------------------

const theme = { names: ["ink", "muted", "line", "panel", "page", "accent", "good", "bad", "stopped", "failed"], ramp: [] };

function readTheme() {
  const style = getComputedStyle(document.documentElement);
  for (const name of theme.names) theme[name] = style.getPropertyValue(`--${name}`).trim();
  const a = rgb(theme.bad), b = rgb(theme.good);
  theme.ramp = Array.from({ length: 33 }, (_, i) => `rgb(${a.map((x, c) => Math.round(x + (b[c] - x) * i / 32)).join(",")})`);
}

function rgb(hex) { return [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16)); }

// From 0 (the worst) to 1 (the best), by rank: one outlier does not take all the colour.
function ramp(goodness) { return goodness === null ? theme.line : theme.ramp[Math.round(32 * goodness ** 1.6)]; }

// ---- a chart ---------------------------------------------------------------------------------------------------------

class Chart {
  // `draw(chart)` fills the base layer, `over(chart)` the upper one, `hit(chart, x, y)` says which trial is there.
  constructor(host, { height, label, draw, over, hit, text, press }) {
    Object.assign(this, { host, height, drawBase: draw, drawOver: over, hit, text, w: 0, h: 0 });
    this.base = host.appendChild(document.createElement("canvas"));
    this.upper = host.appendChild(document.createElement("canvas"));
    this.upper.tabIndex = 0;
    this.upper.setAttribute("role", "img");
    this.upper.setAttribute("aria-label", label);
    this.ctx = this.base.getContext("2d");
    this.top = this.upper.getContext("2d");
    this.upper.addEventListener("pointermove", e => this.point(e));
    this.upper.addEventListener("pointerleave", () => hover(null));
    if (press) press(this); else this.upper.addEventListener("click", e => { const i = this.find(e); if (i !== null) select(i); });
    this.upper.addEventListener("keydown", e => keys(e));
    new ResizeObserver(() => this.resize()).observe(host);
  }
  find(e) {
    const box = this.upper.getBoundingClientRect();
    return this.hit && this.w ? this.hit(this, e.clientX - box.left, e.clientY - box.top) : null;
  }
  point(e) {
    const i = this.find(e);
    hover(i, i === null ? null : { x: e.clientX, y: e.clientY });
    this.upper.style.cursor = i === null ? "" : "pointer";
  }
  resize() {
    const w = Math.round(this.host.clientWidth), h = typeof this.height === "function" ? this.height(w) : this.height;
    if (!w || (w === this.w && h === this.h)) return;
    const ratio = Math.min(3, window.devicePixelRatio || 1);
    Object.assign(this, { w, h });
    this.host.style.height = `${h}px`;
    for (const canvas of [this.base, this.upper]) {
      canvas.width = w * ratio; canvas.height = h * ratio;
      canvas.style.width = `${w}px`; canvas.style.height = `${h}px`;
      canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    this.draw();
  }
  draw() {
    if (!this.w) return;
    this.ctx.clearRect(0, 0, this.w, this.h);
    this.ctx.font = FONT;
    this.drawBase(this);
    this.host.dataset.drawn = "yes";
    this.over();
  }
  over() {
    if (!this.w) return;
    this.top.clearRect(0, 0, this.w, this.h);
    this.top.font = FONT;
    if (this.drawOver) this.drawOver(this);
  }
}

const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

// The frame of an x-y chart: grid, ticks and titles; returns the two scales.
function frame(chart, { x, y, xTitle = "", yTitle = "", time = false, left = 56, bottom = 40, top = 10, right = 12 }) {
  const { ctx, w, h } = chart;
  const xs = new Scale(x.kind ?? LINEAR, x.low, x.high, left, w - right, x.labels, x.whole);
  const ys = new Scale(y.kind ?? LINEAR, y.low, y.high, h - bottom, top, y.labels);
  ctx.lineWidth = 1; ctx.strokeStyle = theme.line; ctx.fillStyle = theme.muted;
  ctx.textBaseline = "middle"; ctx.textAlign = "right";
  for (const t of ys.ticks(Math.max(2, Math.floor((h - top - bottom) / 44)))) {
    const p = Math.round(ys.at(t.v)) + 0.5;
    line(ctx, left, p, w - right, p);
    ctx.fillText(cut(ctx, t.text, left - 10), left - 8, p);
  }
  ctx.textBaseline = "top"; ctx.textAlign = "center";
  const widest = x.labels ? Math.max(16, ...x.labels.map(text => Math.min(64, ctx.measureText(text).width))) + 12 : 72;
  const room = Math.max(2, Math.floor((w - left - right) / widest));
  for (const t of time ? timeTicks(xs, room) : xs.ticks(room)) {
    const p = Math.round(xs.at(t.v)) + 0.5;
    line(ctx, p, h - bottom, p, h - bottom + 4);
    const half = ctx.measureText(t.text).width / 2;
    ctx.fillText(cut(ctx, t.text, (w - left - right) / room), Math.min(w - half - 2, p), h - bottom + 7);
  }
  if (xTitle) ctx.fillText(cut(ctx, xTitle, w - left), left + (w - left - right) / 2, h - 15);
  if (yTitle) { ctx.textAlign = "left"; ctx.fillText(cut(ctx, yTitle, w - left), left + 4, top - 8); }
  return { xs, ys };
}

function line(ctx, x1, y1, x2, y2) { ctx.beginPath(); ctx.moveTo(x1, y1); ctx.lineTo(x2, y2); ctx.stroke(); }

function dot(ctx, x, y, r, fill, stroke) {
  ctx.beginPath(); ctx.arc(x, y, r, 0, 7);
  if (fill) { ctx.fillStyle = fill; ctx.fill(); }
  if (stroke) { ctx.strokeStyle = stroke; ctx.stroke(); }
}

function cut(ctx, text, room) {
  if (ctx.measureText(text).width <= room) return text;
  let n = Math.max(1, Math.floor(text.length * room / ctx.measureText(text).width) - 1);
  while (n > 1 && ctx.measureText(text.slice(0, n) + "…").width > room) n--;
  return text.slice(0, n) + "…";
}

// The index of the nearest point within reach, of points [[x, y, trial], ...].
function nearest(points, x, y, reach = 14) {
  let best = null, least = reach * reach;
  for (const [px, py, i] of points) {
    const d = (px - x) ** 2 + (py - y) ** 2;
    if (d < least) { least = d; best = i; }
  }
  return best;
}
