// How often each given class goes with each suggested one: a heat table for few classes, otherwise the
// most frequent pairs as a list. A press on a cell asks Python to show its samples alone.

const LISTED = 12;
const LISTED_BELOW_TABLE = 5;

/** Say what a cell means. */
export function describe(cell, names) {
  const n = cell.n_samples;
  return `${n} ${n === 1 ? "sample" : "samples"} given ${names[cell.given]}, suggested ${names[cell.suggested]}`;
}

/** Return the share of the full colour for a count: small counts are seen, the text on large ones too. */
export function strength(count, largest) {
  return count ? 0.1 + 0.5 * Math.sqrt(count / largest) : 0;
}

function node(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

class Confusion {
  constructor(root) {
    this.section = root.querySelector("section");
    this.table = root.querySelector("table");
    this.list = root.querySelector("ol");
    this.rest = root.querySelector(".rest");
    this.section.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) this.choose(button.cell);
    });
    this.table.addEventListener("keydown", (event) => this.onKey(event));
  }

  update(component) {
    this.component = component;
    const { data } = component;
    for (const [name, colour] of Object.entries(data.colours)) {
      this.section.style.setProperty(`--${name}`, colour);
    }
    const drawn = JSON.stringify(data);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.data = data;
    const focused = document.activeElement && this.section.getRootNode().activeElement?.cell;
    this.largest = Math.max(1, ...data.cells.map((cell) => cell.n_samples));
    this.drawTable();
    this.drawList();
    if (focused) {
      const again = [...this.section.querySelectorAll("button")].find(
        (b) => b.cell.given === focused.given && b.cell.suggested === focused.suggested,
      );
      again?.focus();
    }
  }

  isChosen(cell) {
    const chosen = this.data.chosen;
    return chosen !== null && chosen.given === cell.given && chosen.suggested === cell.suggested;
  }

  button(cell, className) {
    const button = node("button", className);
    button.type = "button";
    button.cell = cell;
    button.title = describe(cell, this.data.names);
    button.setAttribute("aria-label", describe(cell, this.data.names));
    button.setAttribute("aria-pressed", String(this.isChosen(cell)));
    return button;
  }

  drawTable() {
    this.table.replaceChildren();
    this.table.parentElement.hidden = !this.data.is_table;
    if (!this.data.is_table) return;
    const { names, order, cells } = this.data;
    const caption = node("caption", "", "Given class by row, suggested class by column");
    const head = node("tr");
    head.append(node("td", "corner"));
    this.table.style.minWidth = `${4.2 + 1.3 * order.length}rem`;
    for (const column of order) {
      const cell = node("th");
      cell.scope = "col";
      cell.append(node("span", "", names[column]));
      cell.title = names[column];
      head.append(cell);
    }
    const byPlace = new Map(cells.map((cell) => [`${cell.given} ${cell.suggested}`, cell]));
    const columns = node("colgroup");
    columns.append(node("col", "titles"), ...order.map(() => node("col")));
    this.table.append(caption, columns, head);
    for (const row of order) {
      const line = node("tr");
      const title = node("th", "", names[row]);
      title.scope = "row";
      title.title = names[row];
      line.append(title);
      for (const column of order) {
        const place = node("td");
        const cell = byPlace.get(`${row} ${column}`);
        if (row === column) place.className = "same";
        if (cell) {
          const share = strength(cell.n_samples, this.largest);
          const button = this.button(cell, "");
          button.textContent = String(cell.n_samples);
          button.style.setProperty("--share", `${Math.round(share * 100)}%`);
          place.append(button);
        }
        line.append(place);
      }
      this.table.append(line);
    }
    const buttons = [...this.table.querySelectorAll("button")];
    const first = buttons.find((b) => this.isChosen(b.cell)) ?? buttons[0];
    for (const button of buttons) button.tabIndex = button === first ? 0 : -1;
  }

  drawList() {
    const most = this.data.is_table ? LISTED_BELOW_TABLE : LISTED;
    const { names, cells } = this.data;
    this.list.replaceChildren(
      ...cells.slice(0, most).map((cell) => {
        const item = node("li");
        const button = this.button(cell, "pair");
        button.style.setProperty("--width", `${(cell.n_samples / this.largest) * 100}%`);
        const words = node("span", "words");
        words.append(node("span", "given", names[cell.given]), node("span", "arrow", "→"));
        words.append(node("span", "suggested", names[cell.suggested]));
        button.append(words, node("span", "n", String(cell.n_samples)));
        item.append(button);
        return item;
      }),
    );
    const nLeft = this.data.n_pairs - Math.min(most, cells.length);
    this.rest.hidden = this.data.is_table || nLeft <= 0;
    this.rest.textContent = `and ${nLeft.toLocaleString("en")} less frequent ${nLeft === 1 ? "pair" : "pairs"}.`;
  }

  choose(cell) {
    const same = this.isChosen(cell);
    this.component.setTriggerValue("cell", {
      given: same ? null : cell.given,
      suggested: same ? null : cell.suggested,
    });
  }

  onKey(event) {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const from = event.target.closest("button");
    if (!step || !from || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const { order } = this.data;
    const buttons = [...this.table.querySelectorAll("button")];
    let row = order.indexOf(from.cell.given);
    let column = order.indexOf(from.cell.suggested);
    for (;;) {
      row += step[0];
      column += step[1];
      if (row < 0 || column < 0 || row >= order.length || column >= order.length) return;
      const to = buttons.find((b) => b.cell.given === order[row] && b.cell.suggested === order[column]);
      if (to) {
        from.tabIndex = -1;
        to.tabIndex = 0;
        to.focus();
        return;
      }
    }
  }
}

const drawn = new WeakMap();

export default function (component) {
  const { parentElement } = component;
  if (!drawn.has(parentElement)) drawn.set(parentElement, new Confusion(parentElement));
  drawn.get(parentElement).update(component);
  return () => drawn.delete(parentElement);
}
