// The page: what is selected and filtered, the plots, and the table. All text goes in as text, never as markup.

const D = JSON.parse(document.getElementById("data").textContent);
const N = D.state.length;
const $ = id => document.getElementById(id);
const STATE = i => D.states[D.state[i]];
const value = D.values[0] || [];
const sign = D.objectives.length ? D.objectives[0].sign : 1;
const metric = D.objectives.length ? D.objectives[0].name : "";
const counts = i => value[i] !== null && value[i] !== undefined && STATE(i) !== "failed" && STATE(i) !== "canceled";
const scored = [...Array(N).keys()].filter(counts);
const ranked = [...scored].sort((a, b) => sign * (value[a] - value[b]) || a - b);
const goodness = Array(N).fill(null);
ranked.forEach((i, rank) => { goodness[i] = ranked.length > 1 ? 1 - rank / (ranked.length - 1) : 1; });
const worstFirst = [...ranked].reverse();
const best = ranked.length ? ranked[0] : null;

const store = { selected: best, hovered: null, at: null, brushes: new Map(), text: "", kept: Array(N).fill(true), page: 0, sort: null };
const charts = [];

// ---- selecting and filtering -----------------------------------------------------------------------------------------

function hover(i, at) {
  if (i !== store.hovered) {
    store.hovered = i;
    for (const chart of charts) chart.over();
    for (const row of $("table").tBodies[0].rows) row.classList.toggle("hover", Number(row.dataset.trial) === i);
  }
  tip(i, at);
}

function select(i, scroll = true) {
  store.selected = i;
  if (scroll) turnTo(i);
  for (const chart of charts) chart.over();
  showTable();
  showDetail();
}

function keys(e) {
  const order = ranked.filter(i => store.kept[i]);
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
  if (!step || !order.length) return;
  e.preventDefault();
  const now = order.indexOf(store.selected);
  select(order[Math.max(0, Math.min(order.length - 1, now + step))]);
}

function refilter() {
  const tests = (store.text.match(/(?:"[^"]*"|'[^']*'|\S)+/g) || []).map(test);
  for (let i = 0; i < N; i++) {
    store.kept[i] = tests.every(t => t(i)) && [...store.brushes].every(([a, [low, high]]) => {
      const v = a === "value" ? value[i] : D.axes[a].values[i];
      return v !== null && v !== undefined && v >= low && v <= high;
    });
  }
  store.page = 0;
  for (const chart of charts) chart.draw();
  showTable();
}

// One word of the filter: `lr<0.01`, `width!=32`, `state=failed`, `"act fn"='x y'`, or text that occurs anywhere in the row.
// A value is compared as it is shown; a category that is a number counts as that number, never as its place in a list.
function test(word) {
  const match = /^((?:"[^"]*"|'[^']*'|.)+?)(<=|>=|!=|==|<|>|=)(.*)$/s.exec(word);
  const named = match ? columnsNamed(unquoted(match[1])) : [];
  if (!named.length) { const low = unquoted(word).toLowerCase(); return i => columns.some(c => c.text(i).toLowerCase().includes(low)); }
  const how = match[2], wanted = unquoted(match[3]), limit = number(wanted);
  const is = i => named.some(c => equals(c, i, wanted, limit));
  if (how === "=" || how === "==") return is;
  if (how === "!=") return i => !is(i);
  const compare = { "<": v => v < limit, ">": v => v > limit, "<=": v => v <= limit, ">=": v => v >= limit }[how];
  return i => named.some(c => compare(numberOf(c, i)));
}

const unquoted = word => word.replace(/"([^"]*)"|'([^']*)'/g, (_, double, single) => double ?? single);
const number = text => text.trim() === "" ? NaN : Number(text);
const ABSENT = { null: "none", none: "none", "~": "none" }; // how YAML writes what is shown as None

// The columns that a name means: a parameter may be called as one of ours is, or as another in capitals.
function columnsNamed(name) {
  const exact = columns.filter(c => c.name === name);
  return exact.length ? exact : columns.filter(c => c.name.toLowerCase() === name.toLowerCase());
}

function numberOf(column, i) {
  const v = column.number ? column.number(i) : column.key(i);
  return typeof v === "number" ? v : typeof v === "string" ? number(v) : NaN;
}

// Whether a trial has this value; what is not whole is kept in five digits.
function equals(column, i, wanted, limit) {
  const text = column.text(i).toLowerCase(), low = wanted.toLowerCase();
  if (text === low || text === ABSENT[low]) return true;
  const v = numberOf(column, i);
  return v === limit || (!Number.isInteger(limit) && v === Number(limit.toPrecision(5)));
}

// ---- words -----------------------------------------------------------------------------------------------------------

function shownAxis(axis, i) {
  const v = axis.values[i];
  return v === null || v === undefined ? "" : axis.labels ? axis.labels[v] : show(v);
}

function make(tag, text, name) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (name) node.className = name;
  return node;
}

function tip(i, at) {
  const box = $("tip");
  box.hidden = i === null || !at;
  if (box.hidden) return;
  box.replaceChildren(make("b", `trial ${i}`));
  const rows = [...D.objectives.map((o, k) => [o.name, show(D.values[k][i])]), ["state", STATE(i)]];
  for (const axis of D.axes.slice(0, 8)) rows.push([axis.name, shownAxis(axis, i)]);
  for (const [name, text] of rows) { const row = make("div"); row.append(make("span", name), make("span", text)); box.append(row); }
  const w = box.offsetWidth, h = box.offsetHeight;
  box.style.left = `${Math.max(4, at.x + 16 + w > innerWidth ? at.x - w - 12 : at.x + 16)}px`;
  box.style.top = `${Math.max(4, Math.min(innerHeight - h - 4, at.y + 12))}px`;
}

// ---- the table -------------------------------------------------------------------------------------------------------

const PAGE = 25;
const columns = [
  { name: "trial", right: true, key: i => i, text: i => String(i) },
  { name: "state", key: i => STATE(i), text: i => STATE(i), cls: STATE },
  ...D.objectives.map((o, k) => ({ name: o.name, right: true, key: i => D.values[k][i], text: i => show(D.values[k][i]), down: o.sign < 0 })),
  { name: "report", right: true, key: i => D.step[i], text: i => D.step[i] === null ? "" : `${D.step[i]}` },
  { name: "time", right: true, key: took, text: i => took(i) === null ? "" : clock(took(i)) },
  ...D.axes.map(axis => ({ name: axis.name, right: !axis.labels, key: i => axis.values[i] ?? null, number: i => axis.labels ? shownAxis(axis, i) : axis.values[i], text: i => shownAxis(axis, i) })),
  { name: "flags", key: i => (D.flags[i] || []).length, text: i => (D.flags[i] || []).map(f => f.name).join(", "), skip: !Object.keys(D.flags).length },
  { name: "where", key: i => D.where[i], text: i => D.where[i] },
  { name: "note", key: i => D.said[i] || "", text: i => D.said[i] || "" },
].filter(c => !c.skip);

function took(i) { return D.began[i] === null || D.ended[i] === null ? null : D.ended[i] - D.began[i]; }

function head() {
  const row = make("tr");
  columns.forEach((column, c) => {
    const th = make("th", undefined, column.right ? "r" : ""), button = make("button", column.name);
    th.scope = "col";
    button.type = "button";
    button.addEventListener("click", () => sortBy(c));
    th.append(button);
    row.append(th);
  });
  $("table").tHead.replaceChildren(row);
}

function sortBy(c) {
  const s = store.sort;
  store.sort = { c, down: s && s.c === c ? !s.down : Boolean(columns[c].down) };
  store.page = 0;
  showTable();
}

function order() {
  const kept = [...Array(N).keys()].filter(i => store.kept[i]);
  if (!store.sort) {
    const rank = new Map(ranked.map((i, r) => [i, r]));
    return kept.sort((a, b) => (rank.get(a) ?? N + a) - (rank.get(b) ?? N + b));
  }
  const { c, down } = store.sort, { key } = columns[c];
  const none = v => v === null || v === undefined || v === "";
  return kept.sort((a, b) => {
    const x = key(a), y = key(b);
    if (none(x) || none(y)) return none(x) - none(y) || a - b;
    return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1) || a - b;
  });
}

function turnTo(i) {
  const at = order().indexOf(i);
  if (at >= 0) store.page = Math.floor(at / PAGE);
}

function showTable() {
  const all = order(), pages = Math.max(1, Math.ceil(all.length / PAGE));
  store.page = Math.min(store.page, pages - 1);
  const first = store.page * PAGE, body = $("table").tBodies[0];
  body.replaceChildren(...all.slice(first, first + PAGE).map(tableRow));
  [...$("table").tHead.rows[0].cells].forEach((th, c) => {
    if (store.sort && store.sort.c === c) th.setAttribute("aria-sort", store.sort.down ? "descending" : "ascending");
    else th.removeAttribute("aria-sort");
  });
  $("count").textContent = all.length === N ? `${N} trials` : `${all.length} of ${N} trials`;
  $("clear").hidden = all.length === N && !store.brushes.size;
  $("page").textContent = pages > 1 ? `${first + 1} to ${Math.min(all.length, first + PAGE)} of ${all.length}` : "";
  for (const [id, off] of [["previous", store.page === 0], ["next", store.page >= pages - 1]]) { $(id).hidden = pages < 2; $(id).disabled = off; }
}

function tableRow(i) {
  const row = make("tr", undefined, i === store.selected ? "selected" : "");
  row.dataset.trial = i;
  row.tabIndex = 0;
  if (i === store.selected) row.setAttribute("aria-selected", "true");
  for (const column of columns) {
    const text = column.text(i), cell = make("td", text, [column.right ? "r" : "", column.cls ? column.cls(i) : ""].join(" ").trim());
    if (text.length > 30) cell.title = text;
    row.append(cell);
  }
  row.addEventListener("click", () => select(i, false));
  row.addEventListener("pointerenter", () => hover(i));
  row.addEventListener("pointerleave", () => hover(null));
  row.addEventListener("focus", () => hover(i));
  row.addEventListener("keydown", e => {
    if (e.key === "Enter" || e.key === " ") { e.preventDefault(); select(i, false); focusRow(i); }
    const next = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[e.key];
    if (next) { e.preventDefault(); next.focus(); }
  });
  return row;
}

function focusRow(i) { const row = $("table").querySelector(`tr[data-trial="${i}"]`); if (row) row.focus(); }

function showDetail() {
  const i = store.selected, box = $("detail");
  box.hidden = i === null;
  if (i === null) return;
  const list = make("dl", undefined, "config");
  for (const axis of D.axes) { const d = make("div"); d.append(make("dt", axis.name), make("dd", shownAxis(axis, i) || "–")); list.append(d); }
  const words = [...D.objectives.map((o, k) => `${o.name} ${show(D.values[k][i])}`), STATE(i), took(i) === null ? "" : clock(took(i)), D.where[i]];
  box.replaceChildren(make("h3", `Trial ${i}`), make("p", words.filter(Boolean).join(", "), "muted"), list);
  if (D.said[i]) box.append(make("p", D.said[i]));
  for (const flag of D.flags[i] || []) box.append(make("p", `${flag.name}: ${flag.evidence}`));
  const more = make("p", "Everything about it: ", "muted");
  more.append(make("code", `sweep show ${D.id} ${i}`));
  box.append(more);
}

// ---- what the plots share --------------------------------------------------------------------------------------------

// From the best value to where most trials lie: a few hopeless ones do not flatten the others, they sit at the border.
function valueRange(list) {
  const values = list.map(i => value[i]).sort((a, b) => a - b);
  if (!values.length) return { low: 0, high: 1 };
  let low = values[0], high = values[values.length - 1];
  const q = f => values[Math.floor(f * (values.length - 1))];
  if (sign > 0 && high - q(0.85) > 2 * (q(0.85) - low)) high = q(0.85) + 0.15 * (q(0.85) - low);
  if (sign < 0 && q(0.15) - low > 2 * (high - q(0.15))) low = q(0.15) - 0.15 * (high - q(0.15));
  const pad = (high - low) * 0.06 || Math.abs(high) * 0.05 || 0.5;
  return { low: low - pad, high: high + pad };
}

const range = valueRange(scored);
const clampTo = (scale, v) => scale.at(Math.max(scale.low, Math.min(scale.high, v)));

function axisScale(axis) { return axis.labels ? { kind: LABELS, labels: axis.labels } : { kind: axis.log ? LOG : LINEAR, low: axis.low, high: axis.high }; }

// Labels are shaken by a fixed amount per trial, so that equal ones do not hide each other.
function spot(axis, scale, i) {
  const v = axis.values[i];
  if (v === null || v === undefined) return null;
  if (!axis.labels) return scale.at(v);
  const shake = ((i * 0.61803398875) % 1 - 0.5) * 0.5;
  return scale.at(v + shake);
}

function pointStyle(i) {
  const state = STATE(i);
  return { color: ramp(goodness[i]), hollow: state !== "finished" };
}

function drawPoints(chart, points, r) {
  const { ctx } = chart;
  ctx.lineWidth = 1.5;
  for (const [x, y, i] of points) {
    const style = pointStyle(i);
    ctx.globalAlpha = store.kept[i] ? 1 : 0.12;
    dot(ctx, x, y, r, style.hollow ? theme.page : style.color, style.color);
  }
  ctx.globalAlpha = 1;
  chart.points = points;
}

function overPoints(chart, r = 6) {
  const { top } = chart;
  top.lineWidth = 2;
  for (const [x, y, i] of chart.points || []) {
    if (i === store.selected) dot(top, x, y, r, theme.accent, theme.page);
    if (i === store.hovered) dot(top, x, y, r, null, theme.ink);
  }
}

const hitPoint = (chart, x, y) => nearest((chart.points || []).filter(p => store.kept[p[2]]), x, y);
const radius = n => n > 1500 ? 2 : n > 300 ? 2.6 : n > 60 ? 3.4 : 4.5;

function add(name, options) {
  const host = document.querySelector(`[data-plot="${name}"]`);
  if (!host) return null;
  const chart = new Chart(host, options);
  charts.push(chart);
  return chart;
}

// ---- history ---------------------------------------------------------------------------------------------------------

let historyAxis = "trial";

function historySpots() {
  const order = [...scored].sort((a, b) => historyAxis === "trial" ? a - b : (D.ended[a] ?? Infinity) - (D.ended[b] ?? Infinity) || a - b);
  let spent = 0;
  const now = Math.max(0, ...D.ended.filter(t => t !== null));
  return order.map(i => {
    spent += took(i) ?? 0;
    return [{ trial: i, time: D.ended[i] ?? now, compute: spent }[historyAxis], value[i], i];
  });
}

function drawHistory(chart) {
  const spots = historySpots(), time = historyAxis !== "trial";
  if (!spots.length) return nothing(chart, "No trial has a score yet.");
  const xs = spots.map(s => s[0]), x = { low: time ? 0 : Math.min(...xs), high: Math.max(...xs, time ? 1 : 0), whole: !time };
  const title = { trial: "trial", time: "time since the first trial", compute: "time of all trials together" }[historyAxis];
  const f = frame(chart, { x, y: range, xTitle: title, time });
  drawPoints(chart, spots.map(([px, v, i]) => [f.xs.at(px), clampTo(f.ys, v), i]), radius(spots.length));
  const { ctx } = chart;
  ctx.strokeStyle = theme.accent; ctx.lineWidth = 2; ctx.beginPath();
  let lead = null;
  for (const [px, v] of spots) {
    if (lead === null || sign * (v - lead) < 0) {
      const y = clampTo(f.ys, v);
      if (lead === null) ctx.moveTo(f.xs.at(px), y); else { ctx.lineTo(f.xs.at(px), clampTo(f.ys, lead)); ctx.lineTo(f.xs.at(px), y); }
      lead = v;
    }
  }
  ctx.lineTo(f.xs.at(x.high), clampTo(f.ys, lead));
  ctx.stroke();
}

function nothing(chart, text) {
  const { ctx, w, h } = chart;
  ctx.fillStyle = theme.muted; ctx.textAlign = "center"; ctx.textBaseline = "middle";
  ctx.fillText(text, w / 2, h / 2);
  chart.points = [];
}

// ---- learning curves -------------------------------------------------------------------------------------------------

const MOST_CURVES = 400;
const curved = worstFirst.concat([...Array(N).keys()].filter(i => goodness[i] === null)).filter(i => D.curves.by_trial[i] && D.curves.by_trial[i][1].length);
const drawnCurves = thin(curved.filter(i => goodness[i] !== null), MOST_CURVES);

// The better half of the places for the best, the rest evenly over the others.
function thin(list, most) {
  if (list.length <= most) return list;
  const others = list.slice(0, list.length - most / 2), step = others.length / (most / 2);
  return [...Array(most / 2).keys()].map(k => others[Math.floor(k * step)]).concat(list.slice(-most / 2));
}

const curveOf = i => { const c = D.curves.by_trial[i]; return c ? [D.curves.positions[c[0]], c[1]] : [[], []]; };

function drawCurves(chart) {
  const { ctx } = chart;
  if (!drawnCurves.length) return nothing(chart, "No trial has reported yet.");
  const all = drawnCurves.flatMap(i => curveOf(i)[1].filter(v => v !== null)).sort((a, b) => a - b);
  const q = f => all[Math.floor(f * (all.length - 1))];
  let low = sign > 0 ? all[0] : q(0.02), high = sign > 0 ? q(0.96) : all[all.length - 1];
  if (!(high > low)) { low = all[0]; high = all[all.length - 1]; }
  const pad = (high - low) * 0.04 || 0.5;
  const last = Math.max(2, ...drawnCurves.map(i => curveOf(i)[0].at(-1)));
  const f = chart.f = frame(chart, { x: { low: 1, high: last, whole: true }, y: { low: low - pad, high: high + pad }, xTitle: "report" });
  ctx.save(); ctx.beginPath(); ctx.rect(50, 0, chart.w, chart.h - 38); ctx.clip();
  ctx.lineWidth = drawnCurves.length > 120 ? 0.8 : 1.2;
  for (const i of drawnCurves) {
    ctx.globalAlpha = store.kept[i] ? 0.9 : 0.06;
    trace(ctx, f, i, ramp(goodness[i]));
    if (STATE(i) === "stopped") stopMark(ctx, f, i, drawnCurves.length > 120 ? 2 : 3);
  }
  ctx.restore(); ctx.globalAlpha = 1;
}

function trace(ctx, f, i, color) {
  const [xs, ys] = curveOf(i);
  ctx.strokeStyle = color; ctx.beginPath();
  let pen = false;
  xs.forEach((x, k) => {
    if (ys[k] === null) { pen = false; return; }
    if (pen) ctx.lineTo(f.xs.at(x), f.ys.at(ys[k])); else ctx.moveTo(f.xs.at(x), f.ys.at(ys[k]));
    pen = true;
  });
  if (ys.length === 1 && ys[0] !== null) { dot(ctx, f.xs.at(xs[0]), f.ys.at(ys[0]), 2, color); return; }
  ctx.stroke();
}

function stopMark(ctx, f, i, r) {
  const [xs, ys] = curveOf(i), x = f.xs.at(xs.at(-1)), y = f.ys.at(ys.at(-1) ?? NaN);
  ctx.fillStyle = theme.stopped;
  ctx.fillRect(x - r, y - r, 2 * r, 2 * r);
}

function overCurves(chart) {
  const { top } = chart;
  if (!chart.f) return;
  for (const [i, color, width] of [[store.selected, theme.accent, 2.5], [store.hovered, theme.ink, 2]]) {
    if (i === null || !D.curves.by_trial[i]) continue;
    top.save(); top.beginPath(); top.rect(50, 0, chart.w, chart.h - 38); top.clip();
    top.lineWidth = width; trace(top, chart.f, i, color);
    top.restore();
  }
}

function hitCurve(chart, x, y) {
  if (!chart.f) return null;
  let best = null, least = 10;
  for (const i of drawnCurves) {
    if (!store.kept[i]) continue;
    const [xs, ys] = curveOf(i);
    for (let k = 0; k < xs.length; k++) {
      if (ys[k] === null) continue;
      const px = chart.f.xs.at(xs[k]), py = chart.f.ys.at(ys[k]);
      const nx = xs[k + 1], ny = ys[k + 1];
      if (nx !== undefined && ny !== null && ny !== undefined && x >= px && x <= chart.f.xs.at(nx)) {
        const t = (x - px) / (chart.f.xs.at(nx) - px || 1), d = Math.abs(py + (chart.f.ys.at(ny) - py) * t - y);
        if (d < least) { least = d; best = i; }
      } else if (Math.hypot(px - x, py - y) < least) { least = Math.hypot(px - x, py - y); best = i; }
    }
  }
  return best;
}

// ---- parallel coordinates --------------------------------------------------------------------------------------------

const MOST_AXES = 11;

function parallelAxes(chart) {
  const room = Math.max(2, Math.min(MOST_AXES, Math.floor(chart.w / 92) - 1));
  const list = D.axes.slice(0, room).map((axis, a) => ({ key: a, title: axis.name, ...axisScale(axis), of: i => axis.values[i] }));
  return [...list, { key: "value", title: metric, kind: LINEAR, ...range, of: i => value[i] }];
}

function drawParallel(chart) {
  const { ctx, w, h } = chart, axes = parallelAxes(chart);
  if (!ranked.length) return nothing(chart, "No trial has a score yet.");
  const bottom = h - 18, top = 46, left = 46, gap = (w - left - 56) / (axes.length - 1);
  // Better is up, as everywhere in this plot's last column.
  chart.axes = axes.map((a, k) => ({ ...a, x: left + k * gap, scale: new Scale(a.kind, a.low, a.high, a.key === "value" && sign > 0 ? top : bottom, a.key === "value" && sign > 0 ? bottom : top, a.labels) }));
  ctx.lineWidth = ranked.length > 300 ? 0.7 : 1.2;
  for (const pass of [false, true])
    for (const i of worstFirst) {
      if (store.kept[i] !== pass) continue;
      ctx.globalAlpha = pass ? faint(goodness[i]) : 0.04;
      thread(ctx, chart, i, ramp(goodness[i]));
    }
  ctx.globalAlpha = 1; ctx.lineWidth = 1;
  for (const a of chart.axes) {
    ctx.strokeStyle = theme.muted; line(ctx, a.x, top, a.x, bottom);
    ctx.fillStyle = theme.ink; ctx.textAlign = "center"; ctx.textBaseline = "alphabetic";
    ctx.font = `600 ${FONT}`;
    ctx.fillText(cut(ctx, a.title, gap - 10), Math.min(a.x, w - ctx.measureText(cut(ctx, a.title, gap - 10)).width / 2), 18);
    ctx.font = FONT;
    for (const t of a.scale.ticks(a.labels ? 12 : 5)) {
      const y = a.scale.at(t.v), text = cut(ctx, t.text, Math.min(70, gap - 14));
      const room = ctx.measureText(text).width;
      ctx.globalAlpha = 0.82; ctx.fillStyle = theme.page; ctx.fillRect(a.x + 4, y - 8, room + 4, 16);
      ctx.globalAlpha = 1; ctx.fillStyle = theme.muted; ctx.textAlign = "left"; ctx.textBaseline = "middle";
      ctx.fillText(text, a.x + 6, y);
      ctx.strokeStyle = theme.muted; line(ctx, a.x - 3, y, a.x + 3, y);
    }
    const brush = store.brushes.get(a.key);
    if (brush) {
      const [y1, y2] = [clampTo(a.scale, brush[0]), clampTo(a.scale, brush[1])];
      ctx.fillStyle = theme.accent; ctx.globalAlpha = 0.28; ctx.fillRect(a.x - 7, Math.min(y1, y2), 14, Math.abs(y1 - y2)); ctx.globalAlpha = 1;
      ctx.strokeStyle = theme.accent; ctx.strokeRect(a.x - 7, Math.min(y1, y2), 14, Math.abs(y1 - y2));
    }
  }
}

// Among thousands only the best stand out; among dozens each can be followed.
function faint(goodness) { return ranked.length > 200 ? 0.05 + 0.6 * goodness ** (ranked.length > 1000 ? 30 : 10) : 0.9; }

function heights(chart, i) {
  return chart.axes.map(a => {
    const v = a.of(i);
    if (v === null || v === undefined) return null;
    return a.labels ? a.scale.at(v + ((i * 0.61803398875) % 1 - 0.5) * 0.35) : clampTo(a.scale, v);
  });
}

function thread(ctx, chart, i, color) {
  ctx.strokeStyle = color; ctx.beginPath();
  let pen = false;
  heights(chart, i).forEach((y, k) => {
    if (y === null) { pen = false; return; }
    const { x } = chart.axes[k];
    if (pen) ctx.lineTo(x, y); else ctx.moveTo(x, y);
    pen = true;
  });
  ctx.stroke();
}

function overParallel(chart) {
  if (!chart.axes) return;
  for (const [i, color] of [[store.selected, theme.accent], [store.hovered, theme.ink]])
    if (i !== null && goodness[i] !== null) { chart.top.lineWidth = 2.5; thread(chart.top, chart, i, color); }
}

function hitParallel(chart, x, y) {
  if (!chart.axes || chart.pressing) return null;
  const k = chart.axes.findLastIndex(a => a.x <= x);
  if (k < 0 || k + 1 >= chart.axes.length) return null;
  const t = (x - chart.axes[k].x) / (chart.axes[k + 1].x - chart.axes[k].x);
  let best = null, least = 8;
  for (const i of ranked) {
    if (!store.kept[i]) continue;
    const hs = heights(chart, i);
    if (hs[k] === null || hs[k + 1] === null) continue;
    const d = Math.abs(hs[k] + (hs[k + 1] - hs[k]) * t - y);
    if (d < least) { least = d; best = i; }
  }
  return best;
}

function pressParallel(chart) {
  let axis = null, from = 0, moved = false;
  const place = e => { const box = chart.upper.getBoundingClientRect(); return [e.clientX - box.left, e.clientY - box.top]; };
  chart.upper.addEventListener("pointerdown", e => {
    const [x, y] = place(e);
    axis = (chart.axes || []).find(a => Math.abs(a.x - x) < 16) || null;
    if (!axis) return;
    from = y; moved = false; chart.pressing = true;
    chart.upper.setPointerCapture(e.pointerId);
  });
  chart.upper.addEventListener("pointermove", e => {
    const [x, y] = place(e);
    if (!axis) { if ((chart.axes || []).some(a => Math.abs(a.x - x) < 16)) chart.upper.style.cursor = "ns-resize"; return; }
    if (Math.abs(y - from) < 4 && !moved) return;
    moved = true;
    const ends = [axis.scale.back(from), axis.scale.back(y)].sort((a, b) => a - b);
    store.brushes.set(axis.key, ends);
    later(refilter);
  });
  chart.upper.addEventListener("pointerup", e => {
    if (axis && !moved && store.brushes.delete(axis.key)) refilter();
    else if (!axis || !moved) { chart.pressing = false; const i = chart.find(e); if (i !== null) select(i); }
    axis = null; chart.pressing = false;
  });
}

let waiting = null;
function later(what) { if (waiting === null) waiting = requestAnimationFrame(() => { waiting = null; what(); }); }

// ---- slices, contour, trade-off, timeline ----------------------------------------------------------------------------

const MOST_SLICES = 12;

function slice(axis) {
  const figure = make("figure", undefined, "plot"), caption = make("figcaption"), host = make("div", undefined, "canvas");
  caption.append(make("h3", axis.name));
  figure.append(caption, host);
  $("slices").append(figure);
  const chart = new Chart(host, {
    height: 190, label: `${metric} by ${axis.name}`, hit: hitPoint, over: c => overPoints(c, 5),
    draw: c => {
      if (!scored.length) return nothing(c, "No trial has a score yet.");
      const f = frame(c, { x: axisScale(axis), y: range, left: 48, bottom: 26 });
      const points = worstFirst.map(i => [spot(axis, f.xs, i), clampTo(f.ys, value[i]), i]).filter(p => p[0] !== null);
      drawPoints(c, points, radius(points.length) * 0.9);
    },
  });
  charts.push(chart);
}

// The value at a place, from the trials around it: a kernel average on the scales that were searched.
function surface(a, b, n) {
  const at = (axis, i) => axis.values[i] === null ? null : new Scale(axisScale(axis).kind, axis.low, axis.high, 0, 1, axis.labels).at(axis.values[i]);
  const points = ranked.map(i => [at(a, i), at(b, i), goodness[i]]).filter(p => p[0] !== null && p[1] !== null);
  const width = Math.max(0.045, Math.min(0.12, 0.5 / Math.sqrt(points.length))), grid = [];
  for (let r = 0; r < n; r++)
    for (let c = 0; c < n; c++) {
      let sum = 0, weight = 0;
      for (const [x, y, g] of points) {
        const d = ((x - (c + 0.5) / n) ** 2 + (y - (r + 0.5) / n) ** 2) / (2 * width * width);
        if (d < 12) { const k = Math.exp(-d); sum += k * g; weight += k; }
      }
      grid.push([weight ? sum / weight : 0, Math.min(1, weight / 0.6)]);
    }
  return grid;
}

const CELLS = 44;
let grid = null;

function drawContour(chart) {
  const [a, b] = D.axes;
  if (!a || !b || ranked.length < 4) return nothing(chart, "Needs two parameters and a few trials.");
  const f = frame(chart, { x: axisScale(a), y: axisScale(b), xTitle: a.name, yTitle: b.name, top: 22 });
  grid ||= surface(a, b, CELLS);
  const { ctx } = chart, w = (f.xs.to - f.xs.from) / CELLS, h = (f.ys.from - f.ys.to) / CELLS;
  ctx.imageSmoothingQuality = "high";
  ctx.drawImage(painted(), f.xs.from, f.ys.to, CELLS * w, CELLS * h);
  ctx.lineWidth = 1; ctx.strokeStyle = theme.page;
  for (const level of [0.3, 0.5, 0.7, 0.85]) contourLine(ctx, f, level, w, h);
  ctx.lineWidth = 1;
  const points = worstFirst.map(i => [spot(a, f.xs, i), spot(b, f.ys, i), i]).filter(p => p[0] !== null && p[1] !== null);
  for (const [x, y, i] of points) { ctx.globalAlpha = store.kept[i] ? 1 : 0.1; dot(ctx, x, y, Math.min(3, radius(points.length)), ramp(goodness[i]), points.length < 400 ? theme.page : null); }
  ctx.globalAlpha = 1;
  chart.points = points;
}

// The surface as a picture of one pixel per cell, which the canvas enlarges smoothly.
function painted() {
  const small = document.createElement("canvas"), ctx = small.getContext("2d");
  small.width = small.height = CELLS;
  const image = ctx.createImageData(CELLS, CELLS);
  grid.forEach(([g, sure], k) => {
    const at = 4 * ((CELLS - 1 - Math.floor(k / CELLS)) * CELLS + k % CELLS);
    image.data.set([...ramp(g).match(/\d+/g).map(Number), 215 * sure], at);
  });
  ctx.putImageData(image, 0, 0);
  return small;
}

function contourLine(ctx, f, level, w, h) {
  const at = (c, r) => grid[r * CELLS + c][0], seen = (c, r) => grid[r * CELLS + c][1] > 0.25;
  const x = c => f.xs.from + (c + 0.5) * w, y = r => f.ys.from - (r + 0.5) * h;
  ctx.beginPath();
  for (let r = 0; r + 1 < CELLS; r++)
    for (let c = 0; c + 1 < CELLS; c++) {
      if (!(seen(c, r) && seen(c + 1, r) && seen(c, r + 1) && seen(c + 1, r + 1))) continue;
      const corners = [[c, r], [c + 1, r], [c + 1, r + 1], [c, r + 1]], cuts = [];
      corners.forEach(([c1, r1], k) => {
        const [c2, r2] = corners[(k + 1) % 4], v1 = at(c1, r1), v2 = at(c2, r2);
        if ((v1 < level) !== (v2 < level)) { const t = (level - v1) / (v2 - v1); cuts.push([x(c1 + (c2 - c1) * t), y(r1 + (r2 - r1) * t)]); }
      });
      for (let k = 0; k + 1 < cuts.length; k += 2) { ctx.moveTo(...cuts[k]); ctx.lineTo(...cuts[k + 1]); }
    }
  ctx.stroke();
}

function drawFront(chart) {
  const [x, y] = D.values, list = scored.filter(i => x[i] !== null && y[i] !== null), { ctx } = chart;
  if (!list.length) return nothing(chart, "No trial has reported every metric yet.");
  const ends = v => { const all = list.map(i => v[i]), low = Math.min(...all), high = Math.max(...all), pad = (high - low) * 0.05; return { low: low - pad, high: high + pad }; };
  const f = frame(chart, { x: ends(x), y: ends(y), xTitle: D.objectives[0].name, yTitle: D.objectives[1].name, top: 22 });
  const on = new Set(D.front);
  ctx.lineWidth = 1.5;
  chart.points = list.map(i => [f.xs.at(x[i]), f.ys.at(y[i]), i]);
  for (const [px, py, i] of chart.points) {
    ctx.globalAlpha = store.kept[i] ? 1 : 0.12;
    dot(ctx, px, py, on.has(i) ? 5 : 3.5, on.has(i) ? theme.good : theme.page, on.has(i) ? theme.good : theme.muted);
  }
  ctx.globalAlpha = 1;
}

const LANE = () => D.lanes.length > 40 ? 8 : D.lanes.length > 16 ? 16 : 26;

function drawTimeline(chart) {
  const { ctx, w, h } = chart, left = Math.min(150, w * 0.28), high = Math.max(1, ...D.lanes.flatMap(l => l.bars.map(b => b[2])));
  const xs = new Scale(LINEAR, 0, high, left, w - 12), lane = LANE(), bars = [];
  ctx.textBaseline = "middle"; ctx.lineWidth = 1;
  D.lanes.forEach((l, k) => {
    const y = 4 + k * lane;
    ctx.fillStyle = theme.panel; ctx.fillRect(left, y, w - 12 - left, lane - 4);
    if (lane > 8) { ctx.fillStyle = theme.muted; ctx.textAlign = "right"; ctx.fillText(cut(ctx, l.name, left - 12), left - 8, y + lane / 2 - 2); }
    for (const [i, from, to] of l.bars) {
      const x1 = xs.at(from), width = Math.max(1, xs.at(to) - x1), state = STATE(i);
      ctx.globalAlpha = store.kept[i] ? 1 : 0.15;
      ctx.fillStyle = state === "failed" ? theme.failed : goodness[i] === null ? theme.muted : ramp(goodness[i]);
      ctx.fillRect(x1, y, width > 3 ? width - 1 : width, lane - 4);
      if (state === "stopped" && width > 6) { ctx.fillStyle = theme.stopped; ctx.fillRect(x1 + width - 4, y, 3, lane - 4); }
      if (lane > 16 && width > 24) { ctx.fillStyle = goodness[i] > 0.55 || state === "failed" ? theme.page : theme.ink; ctx.textAlign = "center"; ctx.fillText(String(i), x1 + width / 2, y + lane / 2 - 1.5); }
      bars.push([x1, y, Math.max(3, width), lane - 4, i]);
    }
  });
  ctx.globalAlpha = 1; ctx.fillStyle = theme.muted; ctx.strokeStyle = theme.line; ctx.textAlign = "center"; ctx.textBaseline = "top";
  for (const t of timeTicks(xs, Math.max(2, Math.floor((w - left) / 80)))) { const x = Math.round(xs.at(t.v)) + 0.5; line(ctx, x, 2, x, h - 20); ctx.fillText(t.text, Math.min(x, w - 20), h - 17); }
  chart.bars = bars;
}

function overTimeline(chart) {
  chart.top.lineWidth = 2;
  for (const [x, y, w, h, i] of chart.bars || []) {
    if (i !== store.selected && i !== store.hovered) continue;
    chart.top.strokeStyle = i === store.selected ? theme.accent : theme.ink;
    chart.top.strokeRect(x, y, w, h);
  }
}

function hitBar(chart, x, y) {
  const bar = (chart.bars || []).find(([bx, by, w, h]) => x >= bx - 1 && x <= bx + w + 1 && y >= by && y <= by + h);
  return bar ? bar[4] : null;
}

// ---- start -----------------------------------------------------------------------------------------------------------

function note(name, text) { const node = document.querySelector(`[data-note="${name}"]`); if (node) node.textContent = text; }

function bars() {
  for (const cell of document.querySelectorAll(".importance .bar")) {
    const fill = cell.appendChild(make("div", undefined, "fill")), range = cell.appendChild(make("div", undefined, "range"));
    fill.style.width = `${100 * cell.dataset.share}%`;
    range.style.left = `${100 * cell.dataset.low}%`;
    range.style.width = `${100 * (cell.dataset.high - cell.dataset.low)}%`;
  }
}

function retheme() {
  readTheme();
  for (const chart of charts) chart.draw();
}

function start() {
  readTheme();
  head(); showTable(); showDetail(); bars();
  if (D.objectives.length) {
    add("best", { height: 300, label: `${metric} of every trial, with the best so far`, draw: drawHistory, over: c => overPoints(c), hit: hitPoint });
    add("curves", { height: 300, label: `${metric} by report`, draw: drawCurves, over: overCurves, hit: hitCurve });
    const left = curved.length - drawnCurves.length;
    note("curves", `The better a trial, the stronger its colour.${D.state.includes(D.states.indexOf("stopped")) ? " Squares mark trials that ended early." : ""}${left > 0 ? ` ${drawnCurves.length} of ${curved.length} are drawn, the best among them.` : ""}`);
    add("front", { height: 340, label: "the trade-off between the first two metrics", draw: drawFront, over: c => overPoints(c), hit: hitPoint });
    add("parallel", { height: w => w < 560 ? 260 : 340, label: "parallel coordinates of all parameters", draw: drawParallel, over: overParallel, hit: hitParallel, press: pressParallel });
    add("contour", { height: 320, label: "the two most important parameters", draw: drawContour, over: c => overPoints(c, 5), hit: hitPoint });
    D.axes.slice(0, MOST_SLICES).forEach(slice);
  }
  if (D.lanes.length) add("timeline", { height: () => D.lanes.length * LANE() + 28, label: "which trial ran when and where", draw: drawTimeline, over: overTimeline, hit: hitBar });
  for (const group of document.querySelectorAll("[data-choice]"))
    group.addEventListener("click", e => {
      if (!e.target.value) return;
      historyAxis = e.target.value;
      for (const b of group.children) b.setAttribute("aria-pressed", String(b === e.target));
      charts[0].draw();
    });
  $("filter").addEventListener("input", e => { store.text = e.target.value.trim(); later(refilter); });
  $("clear").addEventListener("click", () => { store.text = ""; $("filter").value = ""; store.brushes.clear(); refilter(); });
  $("previous").addEventListener("click", () => { store.page--; showTable(); });
  $("next").addEventListener("click", () => { store.page++; showTable(); });
  for (const button of document.querySelectorAll("[data-copy]"))
    button.addEventListener("click", async () => {
      const text = $(button.dataset.copy).textContent;
      try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; } catch { getSelection().selectAllChildren($(button.dataset.copy)); button.textContent = "Selected"; }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", retheme);
  $("theme").addEventListener("click", () => {
    const root = document.documentElement, now = root.dataset.theme || (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    retheme();
  });
  let before;
  addEventListener("beforeprint", () => { before = document.documentElement.dataset.theme; document.documentElement.dataset.theme = "light"; retheme(); });
  addEventListener("afterprint", () => { if (before) document.documentElement.dataset.theme = before; else delete document.documentElement.dataset.theme; retheme(); });
  document.documentElement.dataset.ready = "yes";
}

start();
