// A table whose rows stay and change in place: sorted by any column, the first of very many only.
//
// Bound: MOST rows are in the document, however many there are.

import { by, dress, make } from "/page/dom.js";

export const MOST = 200;

export class Table {
  // A column: { key, title, about, num, draw(row) -> { cell, update(row) }, sort(row) -> number or text }
  constructor(id, columns, { keyOf, sortBy, descending = false, rowClass = () => "" }) {
    Object.assign(this, { columns, keyOf, sortBy, descending, rowClass });
    this.body = by(id).tBodies[0];
    this.head = by(id).tHead.rows[0];
    this.rows = new Map();
    this.all = [];
    this.drawHead();
  }

  drawHead() {
    this.heads = this.columns.map((column) => {
      const head = make("th", column.num ? "num" : "");
      head.scope = "col";
      if (column.about) head.title = column.about;
      if (!column.sort) head.append(column.title);
      else {
        const button = make("button", "", column.title);
        button.type = "button";
        button.addEventListener("click", () => this.sort(column));
        head.append(button);
      }
      return head;
    });
    this.head.append(...this.heads);
    this.markHead();
  }

  markHead() {
    this.columns.forEach((column, at) => {
      const way = this.descending ? "descending" : "ascending";
      if (column.key === this.sortBy) this.heads[at].setAttribute("aria-sort", way);
      else this.heads[at].removeAttribute("aria-sort");
    });
  }

  sort(column) {
    this.descending = this.sortBy === column.key ? !this.descending : Boolean(column.num);
    this.sortBy = column.key;
    this.markHead();
    this.show(this.all);
  }

  // How many are shown.
  show(all) {
    this.all = all;
    const rows = this.ordered(all).slice(0, MOST);
    const shown = new Set(rows.map(this.keyOf));
    for (const [key, row] of this.rows) {
      if (shown.has(key)) continue;
      row.node.remove();
      this.rows.delete(key);
    }
    let place = this.body.firstChild;
    for (const value of rows) {
      const row = this.row(value);
      row.updates.forEach((update) => update(value));
      dress(row.node, this.rowClass(value));
      if (row.node === place) place = place.nextSibling;
      else this.body.insertBefore(row.node, place);
    }
    return rows.length;
  }

  ordered(all) {
    const column = this.columns.find((each) => each.key === this.sortBy);
    if (!column) return all;
    const way = this.descending ? -1 : 1;
    const valued = all.map((row) => [column.sort(row), row]);
    valued.sort(([a, rowA], [b, rowB]) => {
      const unknown = (a == null) - (b == null);
      return unknown || way * compare(a, b) || compare(this.keyOf(rowA), this.keyOf(rowB));
    });
    return valued.map(([, row]) => row);
  }

  row(value) {
    const key = this.keyOf(value);
    let row = this.rows.get(key);
    if (!row) {
      const drawn = this.columns.map((column) => column.draw(value));
      const cells = drawn.map(({ cell }, at) => {
        if (this.columns[at].num) cell.classList.add("num");
        return cell;
      });
      row = { node: make("tr", "", ...cells), updates: drawn.map(({ update }) => update) };
      this.rows.set(key, row);
    }
    return row;
  }
}

function compare(a, b) {
  if (a === b || (a == null && b == null)) return 0;
  if (typeof a === "string" || typeof b === "string") {
    return String(a).localeCompare(String(b), "en", { numeric: true });
  }
  return a < b ? -1 : 1;
}
