// A gallery of samples on one sheet of thumbnails: look, select, decide on all that is selected.
//
// The browser decides and shows at once; decisions travel to Python in the outbox that all widgets of a
// browser share (outbox.js, which is set before this text), so that a lost message loses nothing and a
// repeated one records nothing twice. Tiles appear when their image has been decoded, never before.

const RESEND_MS = [1500, 3000, 6000];
const MOST_FOUND = 40;

const SIGNS = { keep: "✓", relabel: "→", exclude: "✕", unsure: "?" };
const WORDS = { keep: "kept", relabel: "relabelled", exclude: "excluded", unsure: "marked unsure" };

/** Say in words what a tile shows. */
export function describe(tile) {
  const parts = [tile.rank === null ? "not scored" : `rank ${tile.rank}`, tile.key];
  parts.push(tile.given === null ? "no given label" : `given ${tile.given}`);
  if (tile.suggested !== null) parts.push(`suggested ${tile.suggested}`);
  if (tile.suspicion !== null) parts.push(`suspicion ${tile.suspicion.toFixed(2)}`);
  if (tile.flagged) parts.push("flagged");
  if (tile.problem !== null) parts.push(tile.problem);
  parts.push(
    tile.verdict === null
      ? "undecided"
      : tile.verdict === "relabel"
        ? `relabelled to ${tile.label}`
        : WORDS[tile.verdict],
  );
  return parts.join(", ");
}

/** Return [verdict, label] that an act means for a tile, or null where it cannot be done. */
export function meant(act, tile, chosen) {
  if (act === "keep") return tile.given === null ? null : ["keep", tile.given];
  if (act === "exclude" || act === "unsure") return [act, null];
  const label = act === "suggestion" ? tile.suggested : chosen;
  if (label === null) return null;
  return label === tile.given ? ["keep", label] : ["relabel", label];
}

/** Return a tile as it stands with these entries, of which those about other samples count nothing. */
export function standing(tile, dataset, entries) {
  let base = tile;
  const acts = [];
  for (const entry of entries) {
    if (entry.dataset !== dataset || entry.key !== tile.key) continue;
    if (entry.kind === "decide") {
      acts.push(entry);
      continue;
    }
    const { client, seq } = entry.of ?? {};
    const at = acts.findIndex((act) => act.client === client && act.seq === seq);
    if (at >= 0) acts.splice(at, 1);
    else base = { ...tile, verdict: null, label: null, ...entry.before };
  }
  const last = acts.at(-1);
  return last ? { ...base, verdict: last.verdict, label: last.label } : base;
}

/** Return the place that a key moves the focus to among n tiles in rows of so many columns. */
export function moved(key, at, n, columns) {
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
  if (key === "Home") return 0;
  if (key === "End") return n - 1;
  if (step === undefined) return null;
  const to = at + step;
  return to < 0 || to >= n ? at : to;
}

function element(tag, className, parent) {
  const node = document.createElement(tag);
  node.className = className;
  parent.append(node);
  return node;
}

class Gallery {
  constructor(root) {
    this.find = (selector) => root.querySelector(selector);
    this.root = root;
    this.section = this.find(".gallery");
    this.grid = this.find(".tiles");
    this.dock = this.find(".dock");
    this.input = this.find("input");
    this.tiles = [];
    this.nodes = [];
    this.selected = new Set();
    this.at = 0;
    this.anchor = 0;
    this.view = null;
    this.paintedAt = null;
    this.acts = [];
    this.pushes = 0;
    this.timer = null;
    this.loading = null;
    this.answered = null;
    this.post = postOffice();
    this.outbox = this.post.outbox;
    this.post.open(this);
    this.section.addEventListener("keydown", (event) => this.onKey(event));
    this.section.addEventListener("keyup", (event) => {
      if (event.key === " " && event.target.closest(".tile")) event.preventDefault();
    });
    this.grid.addEventListener("click", (event) => this.onClick(event));
    this.grid.addEventListener("dblclick", (event) => {
      const node = event.target.closest(".tile");
      if (node) this.open(this.nodes.indexOf(node));
    });
    this.dock.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-act]");
      if (button) this.act(button.dataset.act);
    });
    this.find(".next").addEventListener("click", () => {
      this.scrolls = true;
      this.component.setTriggerValue("turn", 1);
    });
    this.input.addEventListener("input", () => this.listClasses());
    this.find("#found").addEventListener("mousedown", (event) => {
      const option = event.target.closest("li[data-name]");
      if (!option) return;
      event.preventDefault();
      this.relabel(option.dataset.name);
    });
  }

  close() {
    this.post.close(this);
    clearTimeout(this.timer);
    this.timer = null;
    this.isClosed = true;
    this.loading?.abort();
    if (this.address) URL.revokeObjectURL(this.address);
  }

  update(component) {
    this.component = component;
    this.data = component.data;
    for (const [name, colour] of Object.entries(this.data.colours)) {
      this.section.style.setProperty(`--${name}`, colour);
    }
    this.receive();
    const wanted = `${this.data.view} ${this.data.sheet ?? ""}`;
    if (wanted === this.wanted) {
      this.tiles = this.data.tiles;
      this.paint();
    } else {
      this.wanted = wanted;
      this.load();
    }
    if (this.timer === null) this.push();
  }

  /** Entries of a closed document came. */
  adopted() {
    if (!this.data) return;
    if (this.nodes.length) this.paint();
    if (this.timer === null) this.push();
  }

  // ---- painting -------------------------------------------------------------------------------

  async load() {
    this.loading?.abort();
    const loading = new AbortController();
    this.loading = loading;
    const data = this.data;
    this.section.setAttribute("aria-busy", "true");
    if (!this.nodes.length) this.skeleton(data.tiles.length);
    let picture = null;
    let isTiny = false;
    let failed = null;
    if (data.sheet) {
      try {
        const answer = await fetch(address(data.sheet), { signal: loading.signal });
        if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
        isTiny = (answer.headers.get("content-type") ?? "").includes("png");
        picture = URL.createObjectURL(await answer.blob());
        const image = new Image();
        image.src = picture;
        await image.decode();
        this.rows = Math.max(1, Math.round((image.naturalHeight / image.naturalWidth) * 10));
      } catch (error) {
        if (picture) URL.revokeObjectURL(picture);
        picture = null;
        failed = error;
      }
    }
    if (loading.signal.aborted) {
      if (picture) URL.revokeObjectURL(picture);
      return;
    }
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = picture;
    this.swap(isTiny, failed);
  }

  skeleton(n) {
    this.grid.replaceChildren();
    for (let i = 0; i < Math.min(n, 24); i += 1) element("div", "ghost", this.grid);
  }

  swap(isTiny, failed) {
    const isNew = this.view !== this.data.view;
    this.view = this.data.view;
    this.tiles = this.data.tiles;
    if (isNew) {
      this.selected.clear();
      this.at = 0;
      this.anchor = 0;
      this.hideSearch();
    }
    const hadFocus = this.grid.contains(this.root.activeElement ?? document.activeElement);
    const sheet = this.address ? `url("${this.address}")` : "none";
    this.grid.classList.toggle("tiny", isTiny);
    this.grid.style.setProperty("--sheet", sheet);
    this.grid.style.setProperty("--rows", String(this.rows ?? 1));
    this.nodes = this.tiles.map((tile, index) => this.build(tile, index));
    this.grid.replaceChildren(...this.nodes);
    this.paint();
    this.paintedAt = new Date();
    this.section.removeAttribute("aria-busy");
    this.section.dataset.painted = this.view;
    this.trouble(failed);
    if (hadFocus) this.focus(Math.min(this.at, this.nodes.length - 1));
    if (this.scrolls) this.section.scrollIntoView({ block: "start" });
    this.scrolls = false;
    // The next page is likely: its sheet comes from the browser's cache then.
    if (this.data.next_sheet) {
      const ahead = () => fetch(address(this.data.next_sheet), { priority: "low" }).catch(() => null);
      (window.requestIdleCallback ?? setTimeout)(ahead);
    }
  }

  build(tile, index) {
    const node = document.createElement("button");
    node.type = "button";
    node.className = "tile";
    node.dataset.testid = "gallery-tile";
    node.dataset.sampleKey = tile.key;
    const image = element("span", "image", node);
    const row = Math.floor(index / 10);
    image.style.backgroundPosition = `${((index % 10) / 9) * 100}% ${
      this.rows > 1 ? (row / (this.rows - 1)) * 100 : 0
    }%`;
    const rank = element("span", "rank", image);
    rank.textContent = tile.rank === null ? "–" : String(tile.rank);
    element("span", "check", image).textContent = "✓";
    element("span", "mark", image);
    const meter = element("span", "meter", node);
    element("span", "", meter).style.width = `${Math.round((tile.suspicion ?? 0) * 100)}%`;
    const labels = element("span", "labels", node);
    element("span", "given", labels).textContent = tile.given ?? "no label";
    if (tile.problem !== null) {
      element("span", "problem", labels).textContent = tile.problem;
    } else if (tile.rank === null) {
      element("span", "problem", labels).textContent = "not scored";
    } else if (tile.suggested !== null) {
      element("span", "suggested", labels).textContent = `→ ${tile.suggested}`;
    } else {
      element("span", "problem", labels).textContent = "no suggestion";
    }
    for (const part of node.querySelectorAll("span")) part.setAttribute("aria-hidden", "true");
    return node;
  }

  /** What is decided about a tile: this browser's own unsent acts first, then what Python said. */
  standing(tile) {
    return standing(tile, this.data.dataset, this.outbox.pending());
  }

  paint() {
    this.nodes.forEach((node, index) => {
      const tile = this.standing(this.tiles[index]);
      const isSelected = this.selected.has(tile.key);
      node.tabIndex = index === this.at ? 0 : -1;
      node.classList.toggle("flagged", tile.flagged);
      node.classList.toggle("decided", tile.verdict !== null);
      const state = `${isSelected} ${describe(tile)}`;
      if (node.state === state) return;
      node.state = state;
      if (this.data.only_looks) node.removeAttribute("aria-pressed");
      else node.setAttribute("aria-pressed", String(isSelected));
      node.setAttribute("aria-label", describe(tile));
      node.title = describe(tile);
      const mark = node.querySelector(".mark");
      mark.dataset.verdict = tile.verdict ?? "";
      mark.textContent =
        tile.verdict === null
          ? ""
          : `${SIGNS[tile.verdict]} ${tile.verdict === "relabel" ? tile.label : tile.verdict}`;
    });
    this.grid.classList.toggle("selecting", this.selected.size > 0);
    const next = this.find(".next");
    next.hidden = !this.data.next_page;
    next.textContent = this.data.next_page ?? "";
    this.paintDock();
  }

  paintDock() {
    const n = this.selected.size;
    const last = this.acts.at(-1);
    this.dock.hidden = n === 0 && !last;
    this.find(".verbs").hidden = n === 0;
    this.find(".count").textContent = n ? `${n} selected` : (last?.said ?? "");
    this.find("[data-act=undo]").hidden = !last;
    this.find("[data-act=open]").hidden = n !== 1;
    const chosen = this.chosen();
    this.find("[data-act=keep]").disabled = !chosen.some((tile) => tile.given !== null);
    this.find("[data-act=suggestion]").disabled = !chosen.some((tile) => tile.suggested !== null);
    const waiting = this.find(".unsent");
    const nWaiting = this.outbox.sendable(this.data.datasets, Infinity).length;
    waiting.hidden = this.pushes < 2 || !nWaiting;
    const why = this.data.answer?.problem ?? "The server does not answer.";
    const hint = this.outbox.isStored
      ? "Trying again."
      : "The browser's storage is full or forbidden: keep this tab open.";
    waiting.textContent = `${nWaiting} not recorded yet: ${why} ${hint}`;
  }

  trouble(failed, sentence) {
    const box = this.find(".trouble");
    box.hidden = !failed && !sentence;
    box.replaceChildren();
    if (box.hidden) return;
    box.append(sentence ?? `The images could not be loaded: ${failed.message}. `);
    const button = element("button", "", box);
    button.type = "button";
    button.textContent = sentence ? "Understood" : "Load again";
    button.addEventListener("click", () => (sentence ? this.trouble(null) : this.load()));
  }

  say(text) {
    this.find(".said").textContent = text;
  }

  // ---- moving and selecting ---------------------------------------------------------------------

  get columns() {
    const top = this.nodes[0]?.offsetTop;
    const n = this.nodes.findIndex((node) => node.offsetTop !== top);
    return n < 0 ? this.nodes.length : n;
  }

  focus(index) {
    if (!this.nodes[index]) return;
    this.nodes[this.at]?.setAttribute("tabindex", "-1");
    this.at = index;
    this.nodes[index].tabIndex = 0;
    this.nodes[index].focus({ preventScroll: false });
  }

  chosen() {
    return this.tiles.filter((tile) => this.selected.has(tile.key)).map((t) => this.standing(t));
  }

  toggle(index) {
    const { key } = this.tiles[index];
    if (!this.selected.delete(key)) this.selected.add(key);
    this.anchor = index;
    this.paint();
    this.say(`${this.selected.size} selected`);
  }

  extend(index) {
    const [from, to] = [Math.min(this.anchor, index), Math.max(this.anchor, index)];
    for (let i = from; i <= to; i += 1) this.selected.add(this.tiles[i].key);
    this.paint();
    this.say(`${this.selected.size} selected`);
  }

  onClick(event) {
    const node = event.target.closest(".tile");
    if (!node) return;
    const index = this.nodes.indexOf(node);
    this.focus(index);
    if (this.data.only_looks) this.say("Press Enter or click twice to open this sample");
    else if (event.shiftKey) this.extend(index);
    else this.toggle(index);
  }

  onKey(event) {
    if (event.target === this.input) {
      this.onSearchKey(event);
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const node = event.target.closest(".tile");
    if (node) {
      const index = this.nodes.indexOf(node);
      const to = moved(event.key, index, this.nodes.length, this.columns);
      if (to !== null) {
        if (event.shiftKey && !this.selected.size) this.anchor = index;
        this.focus(to);
        if (event.shiftKey && !this.data.only_looks) this.extend(to);
        this.took(event);
        return;
      }
      if (event.key === " ") {
        this.took(event);
        if (event.repeat || this.data.only_looks) return;
        if (event.shiftKey) this.extend(index);
        else this.toggle(index);
        return;
      }
      if (event.key === "Enter") {
        this.took(event);
        if (!event.repeat) this.open(index);
        return;
      }
    }
    if (this.data.only_looks) return;
    const acts = { k: "keep", s: "suggestion", r: "relabel", x: "exclude", u: "unsure", z: "undo" };
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const act = key === "Escape" ? "clear" : key === "a" ? "all" : acts[key];
    // `c` and `r` would clear the cache and rerun the page.
    if (act || key === "c") this.took(event);
    if (act && !event.repeat) this.act(act);
  }

  took(event) {
    event.preventDefault();
    event.stopPropagation();
  }

  open(index) {
    const tile = this.tiles[index];
    if (tile) this.component.setTriggerValue("open", tile.key);
  }

  // ---- deciding -----------------------------------------------------------------------------------

  act(act) {
    if (act === "clear") {
      this.hideSearch();
      this.selected.clear();
      this.paint();
      this.say("Nothing selected");
    } else if (act === "all") {
      for (const tile of this.tiles) this.selected.add(tile.key);
      this.paint();
      this.say(`${this.selected.size} selected`);
    } else if (act === "open") {
      this.open(this.tiles.findIndex((tile) => this.selected.has(tile.key)));
    } else if (act === "undo") {
      this.undo();
    } else if (act === "relabel") {
      if (this.selected.size) this.showSearch();
    } else {
      this.decide(act, null);
    }
  }

  decide(act, label) {
    const now = new Date();
    const entries = [];
    let nSkipped = 0;
    for (const tile of this.chosen()) {
      const means = meant(act, tile, label);
      if (means === null) {
        nSkipped += 1;
        continue;
      }
      entries.push({
        kind: "decide",
        reviewer: this.data.reviewer,
        dataset: this.data.dataset,
        key: tile.key,
        verdict: means[0],
        label: means[1],
        note: "",
        at: now.toISOString(),
        shown: {
          position: tile.position,
          given: tile.given,
          suggested: tile.suggested,
          method: this.data.method,
          scores_id: this.data.scores_id,
          suspicion: tile.suspicion,
          rank: tile.rank,
          painted_at: this.paintedAt?.toISOString() ?? null,
          ms: this.paintedAt ? now - this.paintedAt : null,
          decided: tile.decision,
        },
        before: { verdict: tile.verdict, label: tile.label },
      });
    }
    if (!entries.length) return;
    const verdict = entries[0].verdict;
    const isMixed = entries.some((entry) => entry.verdict !== verdict);
    let said = `${entries.length} ${isMixed ? "decided" : WORDS[verdict]}`;
    if (!isMixed && act === "relabel") said += ` to ${label}`;
    if (nSkipped) said += `, ${nSkipped} without a ${act === "keep" ? "given label" : "suggestion"} left`;
    this.selected.clear();
    this.acts.push({ entries: this.send(entries, said), said });
    this.paintDock();
  }

  undo() {
    const act = this.acts.pop();
    if (!act) return;
    const at = new Date().toISOString();
    const entries = act.entries.map((entry) => ({
      kind: "undo",
      reviewer: this.data.reviewer,
      dataset: entry.dataset,
      key: entry.key,
      verdict: null,
      label: null,
      note: "",
      at,
      shown: null,
      of: { client: entry.client, seq: entry.seq },
      before: entry.before,
    }));
    this.send(entries, `Undone: ${act.said}`);
  }

  /** Put acts into the outbox and send; returns its entries. */
  send(acts, said) {
    const entries = acts.map((act) => this.outbox.add(act));
    this.paint();
    this.say(said);
    this.pushes = 0;
    this.push();
    return entries;
  }

  push() {
    clearTimeout(this.timer);
    this.timer = null;
    const message = this.isClosed ? null : this.post.message(this.data.datasets);
    if (!message) return;
    this.component.setStateValue("outbox", message);
    const wait = RESEND_MS[Math.min(this.pushes, RESEND_MS.length - 1)];
    this.pushes += 1;
    this.timer = setTimeout(() => this.push(), wait);
    this.paintDock();
  }

  receive() {
    const { answer } = this.data;
    if (!answer || answer.nonce === this.answered) return;
    this.answered = answer.nonce;
    const { went, refused } = this.post.settle(answer);
    if (went) {
      // What is left, and what came meanwhile, goes at once.
      clearTimeout(this.timer);
      this.timer = null;
      this.pushes = 0;
    }
    for (const { entry } of refused) {
      const gone = Outbox.key(entry);
      for (const act of this.acts) act.entries = act.entries.filter((one) => Outbox.key(one) !== gone);
    }
    this.acts = this.acts.filter((act) => act.entries.length);
    const sentences = refused.map(({ reason }) => `Not recorded: ${reason}`);
    sentences.push(...this.post.news(answer.conflicts));
    if (sentences.length) {
      const more = sentences.length > 1 ? ` And ${sentences.length - 1} more: see History.` : "";
      this.trouble(null, `${sentences[0]}${more} `);
    }
  }

  // ---- relabel to any class -----------------------------------------------------------------------

  async showSearch() {
    this.find(".search").hidden = false;
    this.input.value = "";
    this.input.focus();
    if (!this.classes || this.classesOf !== this.data.dataset) {
      this.classes = this.data.classes;
      this.classesOf = this.data.dataset;
      this.folded = null;
      if (!this.classes) {
        try {
          const answer = await fetch(address(this.data.classes_address));
          if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
          this.classes = (await answer.json()).classes;
        } catch (error) {
          this.classes = null;
          this.hideSearch();
          this.trouble(null, `The classes could not be loaded: ${error.message}. `);
          return;
        }
      }
    }
    this.listClasses();
  }

  hideSearch() {
    const search = this.find(".search");
    if (search.hidden) return;
    search.hidden = true;
    this.focus(this.at);
  }

  listClasses() {
    this.folded ??= this.classes?.map(fold);
    const { indices } = search(this.folded ?? [], this.input.value, MOST_FOUND);
    const names = indices.map((index) => this.classes[index]);
    this.choice = 0;
    this.find("#found").replaceChildren(
      ...names.map((name, index) => {
        const option = document.createElement("li");
        option.id = `found-${index}`;
        option.setAttribute("role", "option");
        option.dataset.name = name;
        option.textContent = name;
        return option;
      }),
    );
    this.markChoice();
  }

  markChoice() {
    const options = [...this.find("#found").children];
    options.forEach((option, index) => {
      option.setAttribute("aria-selected", String(index === this.choice));
    });
    options[this.choice]?.scrollIntoView({ block: "nearest" });
    if (options.length) this.input.setAttribute("aria-activedescendant", `found-${this.choice}`);
    else this.input.removeAttribute("aria-activedescendant");
  }

  onSearchKey(event) {
    event.stopPropagation();
    if (event.isComposing) return;
    const options = this.find("#found").children;
    if (event.key === "Escape") {
      event.preventDefault();
      this.hideSearch();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : options.length - 1;
      this.choice = options.length ? (this.choice + step) % options.length : 0;
      this.markChoice();
    } else if (event.key === "Enter") {
      event.preventDefault();
      const name = options[this.choice]?.dataset.name;
      if (name !== undefined && !event.repeat) this.relabel(name);
    }
  }

  relabel(name) {
    this.hideSearch();
    this.decide("relabel", name);
  }
}

const galleries = new WeakMap();

export default function (component) {
  const { parentElement } = component;
  if (!galleries.has(parentElement)) galleries.set(parentElement, new Gallery(parentElement));
  const gallery = galleries.get(parentElement);
  gallery.update(component);
  return () => {
    gallery.close();
    galleries.delete(parentElement);
  };
}
