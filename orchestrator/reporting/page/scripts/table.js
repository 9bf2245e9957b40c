// The table: one page of rows, sorted by rank or by a column.

import { columns } from "./columns.js";
import { $, make, table } from "./dom.js";
import { hover, select, store } from "./state.js";
import { ALL, best, N, ranked } from "./trials.js";

const PAGE_ROWS = 25;

/** Write the table's head, unless it stands there. */
export function showHead() {
  const names = columns.map((column) => column.name).join("\n");
  if (table().dataset.columns === names) return;
  table().dataset.columns = names;
  const row = make("tr");
  columns.forEach((column, c) => {
    const th = make("th", undefined, column.right ? "r" : "");
    const button = make("button", column.unit ? `${column.name} ${column.unit}` : column.name);
    th.scope = "col";
    button.type = "button";
    button.addEventListener("click", () => sortBy(c));
    th.append(button);
    row.append(th);
  });
  table().tHead?.replaceChildren(row);
}

/**
 * Sort by a column; by the same one again in the other direction.
 *
 * @param {number} c
 */
function sortBy(c) {
  const s = store.sort;
  store.sort = { c, down: s && s.c === c ? !s.down : Boolean(columns[c].down) };
  store.page = 0;
  showTable();
}

/**
 * The trials that are kept, in the table's order.
 *
 * @returns {number[]}
 */
function sorted() {
  const kept = ALL.filter((i) => store.kept[i]);
  if (!store.sort) {
    const rank = new Map(ranked.map((i, r) => [i, r]));
    return kept.sort((a, b) => (rank.get(a) ?? N + a) - (rank.get(b) ?? N + b));
  }
  const { c, down } = store.sort, { key } = columns[c];
  return kept.sort((a, b) => compared(key(a), key(b), down) || a - b);
}

/**
 * Which of two keys comes first; the missing ones are last in both directions.
 *
 * @param {string | number | null} x
 * @param {string | number | null} y
 * @param {boolean} down
 * @returns {number}
 */
function compared(x, y, down) {
  const noX = x === null || x === "", noY = y === null || y === "";
  if (noX || noY) return Number(noX) - Number(noY);
  return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
}

/** Turn to the page of the selected trial. */
function turnToSelected() {
  const at = store.selected === null ? -1 : sorted().indexOf(store.selected);
  if (at >= 0) store.page = Math.floor(at / PAGE_ROWS);
}

/**
 * Show the selected trial as such.
 *
 * @param {boolean} scroll Whether to turn to its page.
 */
export function showSelected(scroll) {
  if (scroll) turnToSelected();
  showTable();
}

/** Write the rows of the page that is turned to. */
export function showTable() {
  const all = sorted(), pages = Math.max(1, Math.ceil(all.length / PAGE_ROWS));
  store.page = Math.min(store.page, pages - 1);
  const first = store.page * PAGE_ROWS;
  showRows(all.slice(first, first + PAGE_ROWS).map(tableRow));
  showSort();
  $("count").textContent = all.length === N ? `${N} trials` : `${all.length} of ${N} trials`;
  $("clear").hidden = all.length === N && !store.brushes.size;
  $("page").textContent = pages > 1
    ? `${first + 1} to ${Math.min(all.length, first + PAGE_ROWS)} of ${all.length}`
    : "";
  showPager("previous", pages < 2, store.page === 0);
  showPager("next", pages < 2, store.page >= pages - 1);
}

/**
 * Put rows into the table; one that shows the same as before stays, with the focus and what is marked in it.
 *
 * @param {HTMLTableRowElement[]} rows
 */
function showRows(rows) {
  const body = table().tBodies[0], focused = document.activeElement;
  const focus = focused instanceof HTMLElement && body.contains(focused) ? focused.dataset.trial : undefined;
  rows.forEach((row, k) => {
    const there = body.rows[k];
    if (!there) body.append(row);
    else if (!there.isEqualNode(row)) there.replaceWith(row);
  });
  while (body.rows.length > rows.length) body.deleteRow(-1);
  if (focus !== undefined && !body.contains(document.activeElement)) focusRow(Number(focus));
}

/** Say in the head what the rows are sorted by. */
function showSort() {
  [...(table().tHead?.rows[0].cells ?? [])].forEach((th, c) => {
    if (store.sort?.c === c) th.setAttribute("aria-sort", store.sort.down ? "descending" : "ascending");
    else th.removeAttribute("aria-sort");
  });
}

/**
 * Show a button that turns pages.
 *
 * @param {"previous" | "next"} id
 * @param {boolean} hidden
 * @param {boolean} disabled
 */
function showPager(id, hidden, disabled) {
  const button = /** @type {HTMLButtonElement} */ ($(id));
  button.hidden = hidden;
  button.disabled = disabled;
}

/**
 * A trial's row.
 *
 * @param {number} i
 * @returns {HTMLTableRowElement}
 */
function tableRow(i) {
  const row = make(
    "tr",
    undefined,
    [i === store.selected && "selected", i === best && "best"].filter(Boolean).join(" "),
  );
  row.dataset.trial = String(i);
  row.tabIndex = 0;
  if (i === store.selected) row.setAttribute("aria-selected", "true");
  for (const column of columns) {
    const text = column.text(i), cls = [column.right ? "r" : "", column.cls ? column.cls(i) : ""].join(" ").trim();
    const cell = make("td", text, cls);
    if (text.length > 30) cell.title = text;
    row.append(cell);
  }
  row.addEventListener("click", () => select(i, false));
  row.addEventListener("pointerenter", () => hover(i));
  row.addEventListener("pointerleave", () => hover(null));
  row.addEventListener("focus", () => hover(i));
  row.addEventListener("keydown", (e) => rowKeys(e, row, i));
  return row;
}

/**
 * Choose a row with Enter, move between rows with the arrows.
 *
 * @param {KeyboardEvent} e
 * @param {HTMLTableRowElement} row
 * @param {number} i
 */
function rowKeys(e, row, i) {
  if (e.key === "Enter" || e.key === " ") {
    e.preventDefault();
    select(i, false);
    focusRow(i);
  }
  const next = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[e.key];
  if (next instanceof HTMLElement) {
    e.preventDefault();
    next.focus();
  }
}

/**
 * Put the keyboard's focus on a trial's row.
 *
 * @param {number} i
 */
function focusRow(i) {
  /** @type {HTMLElement | null} */ (table().querySelector(`tr[data-trial="${i}"]`))?.focus();
}

/** Mark the row of the trial that is pointed at. */
export function hoverRow() {
  for (const row of table().tBodies[0].rows) row.classList.toggle("hover", Number(row.dataset.trial) === store.hovered);
}
