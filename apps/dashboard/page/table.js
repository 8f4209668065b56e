// @ts-check
// A real table that is sorted, filtered and updated in place.

import { h, icon, list } from "./dom.js";

/**
 * @template R
 * @typedef {object} Column
 * @property {string} key the `data-column` of its cells
 * @property {string} label
 * @property {(row: R) => string} text what the cell says; the search looks at it too
 * @property {(row: R) => number | string | null} [sort] what it is sorted by, if not by its text
 * @property {(cell: HTMLTableCellElement, row: R) => void} [paint] draws the cell whenever its text has changed
 * @property {(row: R) => string} [title]
 * @property {boolean} [number]
 * @property {boolean} [header] its cells head their rows
 * @property {boolean} [bare] no word in the header, and no sorting
 */

/**
 * @template R
 * @typedef {object} Options
 * @property {string} name the `data-table`
 * @property {string} caption
 * @property {Column<R>[]} columns
 * @property {(row: R) => string} id
 * @property {(row: HTMLTableRowElement, item: R) => void} [dress] classes of a row
 */

/** @template R */
export class Table {
  /** @type {R[]} */
  #rows = [];
  #words = "";
  /** @type {(row: R) => boolean} */
  #pick = () => true;
  #by = "";
  #down = false;
  /**
   * The order that is held while somebody points at a row.
   * @type {string[]}
   */
  #order = [];

  /** @param {Options<R>} options */
  constructor(options) {
    this.options = options;
    this.body = h("tbody", { role: "rowgroup" });
    this.nothing = h("p.nothing", { hidden: true });
    this.headers = options.columns.map((column) => this.#header(column));
    const head = h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, this.headers));
    const caption = h("caption.offscreen", {}, options.caption);
    this.table = h("table", { "data-table": options.name, role: "table" }, caption, head, this.body);
    this.frame = h("div.frame", {}, this.table, this.nothing);
  }

  /** @param {R[]} rows */
  set(rows) {
    this.#rows = rows;
    this.draw();
  }

  /** @param {string} words all of them must be in a row */
  search(words) {
    this.#words = words.trim().toLowerCase();
    this.draw();
  }

  /** @param {(row: R) => boolean} pick */
  pick(pick) {
    this.#pick = pick;
    this.draw();
  }

  draw() {
    const { columns, id, dress } = this.options;
    const rows = this.#held(this.#sorted(this.#rows.filter((row) => this.#pick(row) && this.#found(row))));
    list(this.body, rows, {
      key: id,
      make: (row) => this.#row(row),
      update: (element, row) => {
        columns.forEach((column, at) => paint(/** @type {HTMLTableCellElement} */ (element.cells[at]), column, row));
        dress?.(element, row);
      },
    });
    this.nothing.hidden = rows.length > 0;
    this.nothing.textContent = this.#words ? `Nothing here says “${this.#words}”.` : "Nothing to show.";
    this.table.hidden = rows.length === 0;
  }

  /** @param {Column<R>} column */
  #header(column) {
    const classes = column.number ? "number" : "";
    if (column.bare)
      return h("th", { scope: "col", role: "columnheader", class: classes }, h("span.offscreen", {}, column.label));
    const button = h("button", { type: "button", onclick: () => this.#sort(column.key) }, column.label, icon("sort"));
    return h("th", { scope: "col", role: "columnheader", class: classes, "data-sort": column.key }, button);
  }

  /** @param {R} row */
  #row(row) {
    const cells = this.options.columns.map((column) => {
      const name = column.header ? "th" : "td";
      const properties = {
        "data-column": column.key,
        "data-label": column.label,
        role: column.header ? "rowheader" : "cell",
      };
      return h(name, { ...properties, class: column.number ? "number" : null, scope: column.header ? "row" : null });
    });
    return h("tr", { "data-id": this.options.id(row), role: "row" }, cells);
  }

  /**
   * Rising, falling, and as it came.
   * @param {string} key
   */
  #sort(key) {
    if (this.#by !== key) [this.#by, this.#down] = [key, false];
    else if (!this.#down) this.#down = true;
    else this.#by = "";
    for (const header of this.headers) {
      const mine = header.dataset.sort === this.#by && this.#by;
      if (mine) header.setAttribute("aria-sort", this.#down ? "descending" : "ascending");
      else header.removeAttribute("aria-sort");
    }
    this.#order = [];
    this.draw();
  }

  /** @param {R[]} rows */
  #sorted(rows) {
    const column = this.options.columns.find(({ key }) => key === this.#by);
    if (!column) return rows;
    const value = column.sort ?? column.text;
    const sign = this.#down ? -1 : 1;
    return rows.slice().sort((a, b) => compare(value(a), value(b), sign));
  }

  /**
   * Rows do not run away from a pointer that is about to press.
   * @param {R[]} rows
   */
  #held(rows) {
    const hold = this.#by && this.body.matches(":hover, :focus-within");
    if (hold && this.#order.length) {
      const places = new Map(this.#order.map((id, place) => [id, place]));
      const place = (/** @type {R} */ row) => places.get(this.options.id(row)) ?? Infinity;
      rows = rows.slice().sort((a, b) => Math.sign(place(a) - place(b)) || 0);
    }
    this.#order = rows.map(this.options.id);
    return rows;
  }

  /** @param {R} row */
  #found(row) {
    if (!this.#words) return true;
    const text = this.options.columns
      .map((column) => column.text(row))
      .join(" ")
      .toLowerCase();
    return this.#words.split(/\s+/).every((word) => text.includes(word));
  }
}

/** @template R @param {HTMLTableCellElement} cell @param {Column<R>} column @param {R} row */
function paint(cell, column, row) {
  const text = column.text(row);
  if (painted.get(cell) !== text) {
    painted.set(cell, text);
    if (column.paint) column.paint(cell, row);
    else cell.textContent = text;
    cell.classList.toggle("none", text === "–" || text === "");
  }
  if (column.title) {
    const title = column.title(row);
    if (cell.title !== title) cell.title = title;
  }
}

/** @type {WeakMap<Element, string>} */
const painted = new WeakMap();

/**
 * What is missing comes last, in either direction.
 * @param {number | string | null} a @param {number | string | null} b @param {number} sign
 */
function compare(a, b, sign) {
  if (a == null || b == null) return (a == null ? 1 : 0) - (b == null ? 1 : 0);
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b), "en", { numeric: true });
}
