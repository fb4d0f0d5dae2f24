/** The table of objects: sortable, in step with the picture, walked with the arrow keys. */

const KEYS = {
  number: (item) => item.number,
  name: (item) => item.name,
  score: (item) => item.score,
  area: (item) => item.area,
  box: (item) => item.box[0],
};

export class ObjectTable extends EventTarget {
  #rows = new Map(); // from items
  #sort = { key: "score", falling: true };
  #shown = null; // the selected object that was scrolled to

  /**
   * @param {HTMLTableElement} table - with sort buttons in its head.
   * @param {import("./scene.js").Scene} scene
   */
  constructor(table, scene) {
    super();
    this.scene = scene;
    this.table = table;
    this.body = table.tBodies[0];
    for (const button of table.tHead.querySelectorAll("button")) {
      button.addEventListener("click", () => this.#sortBy(button.dataset.sort));
    }
    this.body.addEventListener("pointerover", (event) => scene.hover(this.#itemOf(event.target)));
    this.body.addEventListener("pointerleave", () => scene.hover(null));
    this.body.addEventListener("click", (event) => scene.select(this.#itemOf(event.target)));
    this.body.addEventListener("keydown", (event) => this.#walk(event));
    scene.addEventListener("picture", () => this.#rows.clear());
    for (const change of ["picture", "visible"]) scene.addEventListener(change, () => this.#fill());
    for (const change of ["hover", "select"]) scene.addEventListener(change, () => this.#mark());
    this.#headings();
  }

  /** The visible objects in the order of the table. */
  get order() {
    const { key, falling } = this.#sort;
    const value = KEYS[key];
    const sign = falling ? -1 : 1;
    return [...this.scene.visible].sort((a, b) => sign * compare(value(a), value(b)) || a.number - b.number);
  }

  /** Selects the next (1) or previous (-1) object; from nothing, the first or the last. */
  step(by) {
    const order = this.order;
    if (!order.length) return;
    const at = order.indexOf(this.scene.selected);
    const next = at < 0 ? (by > 0 ? 0 : order.length - 1) : Math.min(order.length - 1, Math.max(0, at + by));
    this.scene.select(order[next]);
  }

  #walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    if (!step) return;
    event.preventDefault();
    this.step(step);
    this.#rows.get(this.scene.selected)?.querySelector("button").focus();
  }

  #sortBy(key) {
    const falling = this.#sort.key === key ? !this.#sort.falling : key === "score" || key === "area";
    this.#sort = { key, falling };
    this.#headings();
    this.#fill();
  }

  #headings() {
    const { key, falling } = this.#sort;
    for (const button of this.table.tHead.querySelectorAll("button")) {
      const own = button.dataset.sort === key;
      button.parentElement.ariaSort = own ? (falling ? "descending" : "ascending") : "none";
      if (own) this.table.caption.textContent = `Objects by ${key === "name" ? "class" : key}`;
    }
  }

  #fill() {
    this.body.replaceChildren(...this.order.map((item) => this.#row(item)));
    this.#shown = null;
    this.#mark();
  }

  #row(item) {
    let row = this.#rows.get(item);
    if (!row) {
      row = document.createElement("tr");
      row.item = item;
      const button = document.createElement("button");
      button.type = "button";
      row.insertCell().append(button);
      for (const [text, kind] of cellsOf(item)) Object.assign(row.insertCell(), { textContent: text, className: kind });
      this.#rows.set(item, row);
    }
    const button = row.querySelector("button");
    button.textContent = item.number;
    button.ariaLabel = `Object ${item.number}`;
    return row;
  }

  #mark() {
    const { hovered, selected } = this.scene;
    const stop = this.#rows.get(selected) ?? this.body.firstElementChild;
    for (const row of this.body.children) {
      row.classList.toggle("hovered", row.item === hovered);
      row.classList.toggle("selected", row.item === selected);
      const button = row.querySelector("button");
      button.ariaPressed = String(row.item === selected);
      button.tabIndex = row === stop ? 0 : -1; // one stop for the Tab key; the arrow keys do the rest
    }
    if (selected && selected !== this.#shown) scrollWithin(this.table.parentElement, this.#rows.get(selected));
    this.#shown = selected;
  }

  #itemOf(element) {
    return element.closest("tr")?.item ?? null;
  }
}

function cellsOf({ name, score, area, box }) {
  const [x, y, width, height] = box.map(Math.round);
  return [[name, "text"], [score.toFixed(2), ""], [area.toFixed(0), ""], [`${x}, ${y}, ${width} × ${height}`, "box"]];
}

function compare(a, b) {
  return typeof a === "string" ? a.localeCompare(b) : a - b;
}

/** Scrolls a row into its box and leaves the page where it is. */
function scrollWithin(scroller, row) {
  const head = scroller.querySelector("thead").offsetHeight;
  const [top, bottom] = [row.offsetTop - head, row.offsetTop + row.offsetHeight];
  if (top < scroller.scrollTop) scroller.scrollTop = top;
  else if (bottom > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = bottom - scroller.clientHeight;
}
