// The review station: shows suspects one by one, decides by key, keeps what is decided until the server
// has it. One plain ES module, no build step; Streamlit calls the default export at every change of data.
//
// From top to bottom: pure logic (tested by Node), history, queue, pictures, the station itself. The outbox,
// addresses and the search for classes stand in outbox.js, which is set before this text.

const SIDE = 1024; // longest side of a picture, in pixels
const PAGE = 200; // samples per page of the queue
const ITEMS_AHEAD = 1200; // samples to know ahead of the cursor
const PICTURES_AHEAD = 800; // pictures to fetch ahead of the cursor
const MOST_BYTES = 64 * 2 ** 20; // of fetched pictures
const DECODE_AHEAD = 16; // pictures to decode in both directions
const PACKS = [1, 3, 8, 16, 32]; // pictures per request: the first picture comes at once
const MOST_REQUESTS = 2;
const RESEND_MS = 1500;
const QUIET_MS = 120; // a message waits for a pause between keys, because its answer redraws the page
const LONGEST_MS = 1000; // but no longer than this
const HUMAN_MS = 200; // between keys of somebody who looks at the pictures: the answer comes before the next
const PAINT_MS = 40; // and then a message only lets the next picture be painted first
const STOCK = 96; // pictures ahead from which on fetching takes its time
const STOCKED_MS = 120;
const OFFLINE_MS = 3000;
const HISTORY = 500;
const STRIP = 10;
const SMALL = 96; // pictures up to this side are drawn with hard pixels
const MOST_TIMES = 16; // and enlarged so many times at most
const LEAST_SIDE = 320; // unless they would stay smaller than this, in CSS pixels

// ------------------------------------------------------------------------------------- pure logic

/** Decisions per minute over the last ones that were made without a long pause, or null for too few. */
export function perMinute(times, pauseMs = 120000, most = 40) {
  let first = times.length - 1;
  while (first > 0 && times.length - first < most && times[first] - times[first - 1] < pauseMs) first--;
  const n = times.length - 1 - first;
  const span = times[times.length - 1] - times[first];
  return n >= 3 && span > 0 ? Math.round((n * 60000) / span) : null;
}

/**
 * How long a message waits after the last of these decisions, in milliseconds. Its answer redraws the page,
 * and a redraw that meets the next key delays the next picture: somebody who presses without a pause gets
 * one, somebody who looks first gets the answer while looking.
 */
export function quietAfter(times) {
  const gap = times[times.length - 1] - times[times.length - 2];
  return gap < HUMAN_MS ? QUIET_MS : PAINT_MS;
}

/** The media type of an image's bytes, by its first ones. */
export function mediaType(bytes) {
  const starts = (...head) => head.every((byte, at) => bytes[at] === byte);
  if (starts(0x89, 0x50, 0x4e, 0x47)) return "image/png";
  if (starts(0xff, 0xd8)) return "image/jpeg";
  if (starts(0x52, 0x49, 0x46, 0x46)) return "image/webp";
  if (starts(0x47, 0x49, 0x46)) return "image/gif";
  return "application/octet-stream";
}

/** The pictures of a pack: per picture a length (uint32, little-endian) and as many bytes; null for 0. */
export function unpack(buffer, n) {
  const view = new DataView(buffer);
  const found = [];
  for (let at = 0, k = 0; k < n; k++) {
    const length = view.getUint32(at, true);
    at += 4;
    if (at + length > buffer.byteLength) throw new RangeError("A pack of pictures ends early.");
    found.push(length ? new Uint8Array(buffer, at, length) : null);
    at += length;
  }
  return found;
}

/**
 * What a key means: {name, nth}, or null. Keys with Ctrl, Meta or Alt and keys that compose text mean
 * nothing; of held keys only looking back and forth repeats.
 */
export function act(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  if (event.isComposing || event.keyCode === 229) return null;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (/^[1-9]$/.test(key)) return { name: "nth", nth: Number(key) };
  const name = {
    k: "keep", Enter: "accept", x: "exclude", u: "unsure", z: "undo", n: "note", "/": "search",
    "?": "help", ArrowLeft: "back", ArrowRight: "forth", " ": "zoom", Escape: "escape",
  }[key];
  if (name) return { name };
  // Digit keys of layouts that give digits only with Shift.
  const digit = /^Digit([1-9])$/.exec(event.code ?? "");
  return digit && !event.shiftKey ? { name: "nth", nth: Number(digit[1]) } : null;
}

const REPEATS = new Set(["back", "forth"]);

/** Whether a held key may go on doing this. */
export function mayRepeat(name) {
  return REPEATS.has(name);
}

const TYPED = new Set(["INPUT", "TEXTAREA", "SELECT", "DIALOG"]);
const ROLES = new Set([
  "textbox", "searchbox", "combobox", "listbox", "option", "dialog", "alertdialog", "menu", "menuitem",
  "slider", "spinbutton", "grid", "gridcell", "tree", "treeitem", "radiogroup", "radio", "tablist", "tab",
]);

/** Whether a key goes to something that is typed in or has keys of its own. */
export function isTaken(path) {
  return path.some((node) =>
    TYPED.has(node.tagName) || node.isContentEditable === true || ROLES.has(node.getAttribute?.("role")));
}

/** What a decision says about a label: relabelling to the given label keeps it. */
export function settle(verdict, label, given) {
  if (verdict === "relabel" && label === given) return { verdict: "keep", label: given };
  if (verdict === "keep") return { verdict, label: given };
  return { verdict, label: verdict === "relabel" ? label : null };
}

// ---------------------------------------------------------------------------------------- history

// What was decided here and not taken back, newest last: for undo and the strip, across reloads.
export class History {
  constructor(storage, dataset) {
    this.storage = storage;
    this.name = `labeltrace.history/${dataset}`;
    this.acts = [];
    try {
      this.acts = JSON.parse(storage.getItem(this.name) ?? "[]");
    } catch {
      // a torn history only shortens what Z can reach
    }
  }

  push(done) {
    this.acts.push(done);
    if (this.acts.length > HISTORY) this.acts.shift();
    this.#store();
  }

  remove(done) {
    this.acts = this.acts.filter((other) => other !== done);
    this.#store();
  }

  /** Put an act back to where it was made. */
  restore(done) {
    if (!this.find(done)) this.acts = inOrder([...this.acts, done]);
    this.#store();
  }

  find({ client, seq }) {
    return this.acts.find((done) => done.client === client && done.seq === seq);
  }

  last() {
    return this.acts[this.acts.length - 1];
  }

  counts() {
    const counts = { keep: 0, relabel: 0, exclude: 0, unsure: 0 };
    for (const done of this.acts) counts[done.verdict]++;
    return counts;
  }

  #store() {
    clearTimeout(this.timer);
    const write = () => {
      // Without storage, undo reaches back to the last reload only.
      put(this.storage, this.name, JSON.stringify(this.acts));
    };
    this.write = write;
    this.timer = setTimeout(write, 200);
  }

  flush() {
    clearTimeout(this.timer);
    this.write?.();
  }
}

// ------------------------------------------------------------------------------------ the browser

const pause = (ms) => new Promise((wake) => setTimeout(wake, ms));
// The samples to look at, page by page; every page is of the list as it was when it was opened.
class Queue {
  constructor(dataset, query, changed) {
    this.dataset = dataset;
    this.query = query;
    this.changed = changed;
    this.items = [];
    this.classes = [];
    this.total = null;
    this.before = 0;
    this.scoresId = null;
    this.asOf = null;
    this.refused = null;
    this.isLoading = false;
    this.abort = new AbortController();
  }

  get isWhole() {
    return this.total !== null && this.items.length >= this.total;
  }

  async load(upTo) {
    if (this.isLoading || this.isWhole || this.refused) return;
    this.isLoading = true;
    let wait = 250;
    while (!this.abort.signal.aborted && !this.isWhole && !this.refused && this.items.length < upTo()) {
      try {
        await this.#page();
        wait = 250;
      } catch {
        if (this.abort.signal.aborted) break;
        await pause(wait);
        wait = Math.min(wait * 2, 4000);
        continue;
      }
      this.changed();
    }
    this.isLoading = false;
  }

  async #page() {
    const start = this.items.length;
    const query = new URLSearchParams(this.query);
    query.set("start", String(start));
    query.set("count", String(PAGE));
    if (this.asOf !== null) query.set("as_of", String(this.asOf));
    if (this.scoresId) query.set("scores_id", this.scoresId);
    const url = address(`api/datasets/${encodeURIComponent(this.dataset)}/queue?${query}`);
    const answer = await fetch(url, { signal: this.abort.signal });
    if (answer.status >= 400 && answer.status < 500) {
      const said = await answer.json().catch(() => ({}));
      this.refused = said.error ?? `The list was refused (${answer.status}).`;
      return;
    }
    if (!answer.ok) throw new Error(`The queue answered ${answer.status}.`);
    const page = await answer.json();
    if (this.asOf === null) this.asOf = page.as_of;
    if (page.classes) this.classes = page.classes;
    this.total = page.total;
    this.before = page.n_decided ?? this.before;
    this.scoresId = page.scores_id ?? null;
    // A list that is shorter than it said ends here.
    if (page.items.length === 0) this.total = start;
    this.items.push(...page.items);
  }

  close() {
    this.abort.abort();
  }
}

// Pictures around the cursor: fetched far ahead, decoded near it. They are held by position.
class Pictures {
  constructor(dataset, ready) {
    this.dataset = dataset;
    this.ready = ready;
    this.held = new Map(); // position → bytes, or null where there is nothing to show
    this.bitmaps = new Map();
    this.decoding = new Set();
    this.asking = new Set();
    this.bytes = 0;
    this.requests = 0;
    this.packs = 0;
    this.wait = 0;
    this.abort = new AbortController();
    this.items = [];
    this.cursor = 0;
  }

  cannotShow(position) {
    return this.held.get(position) === null;
  }

  get(position) {
    return this.bitmaps.get(position);
  }

  /** Look from here: fetch and decode what comes next, forget what is far away. */
  around(items, cursor) {
    this.items = items;
    this.cursor = cursor;
    this.#decode();
    this.#fetch();
  }

  #near(ahead, back) {
    const found = [];
    for (let step = 0; step <= Math.max(ahead, back); step++) {
      const next = this.items[this.cursor + step];
      const before = step > 0 ? this.items[this.cursor - step] : undefined;
      if (step <= ahead && next) found.push(next.position);
      if (step <= back && before) found.push(before.position);
    }
    return found;
  }

  #fetch() {
    if (this.wait) return;
    const next = this.items[this.cursor + STOCK] ?? this.items[this.items.length - 1];
    const isStocked = next !== undefined && this.held.has(next.position);
    if (this.requests >= (this.packs < 2 || isStocked ? 1 : MOST_REQUESTS)) return;
    const size = PACKS[Math.min(this.packs, PACKS.length - 1)];
    const at = [];
    for (const position of this.#near(PICTURES_AHEAD, DECODE_AHEAD)) {
      if (!this.held.has(position) && !this.asking.has(position)) at.push(position);
      if (at.length === size) break;
    }
    // With enough in stock, wait for a whole pack instead of asking for one picture at every key.
    const last = this.items[this.items.length - 1]?.position;
    if (isStocked && at.length < size && !at.includes(last)) return;
    if (at.length === 0 || (this.bytes > MOST_BYTES && !this.#forget(at.length))) return;
    this.packs++;
    this.requests++;
    at.forEach((position) => this.asking.add(position));
    this.#pack(at)
      .then(() => {
        this.delay = 0;
        return isStocked && pause(STOCKED_MS);
      })
      .catch(() => {
        if (this.abort.signal.aborted) return;
        this.delay = Math.min(Math.max(250, this.delay * 2 || 0), 4000);
        this.wait = setTimeout(() => {
          this.wait = 0;
          this.#fetch();
        }, this.delay);
      })
      .finally(() => {
        this.requests--;
        at.forEach((position) => this.asking.delete(position));
        if (!this.abort.signal.aborted) this.#fetch();
      });
    this.#fetch();
  }

  async #pack(at) {
    const dataset = encodeURIComponent(this.dataset);
    const url = address(`api/datasets/${dataset}/images?at=${at.join(",")}&side=${SIDE}`);
    const answer = await fetch(url, { signal: this.abort.signal });
    if (!answer.ok) throw new Error(`The pictures answered ${answer.status}.`);
    const parts = unpack(await answer.arrayBuffer(), at.length);
    parts.forEach((bytes, k) => {
      if (this.held.has(at[k])) return;
      // A copy, so that forgetting one picture does not wait for the others of its pack.
      this.held.set(at[k], bytes && bytes.slice());
      this.bytes += bytes?.length ?? 0;
      if (!bytes) this.ready(at[k]);
    });
    this.#decode();
  }

  // Make room by forgetting what lies far behind; false where everything held is still wanted.
  #forget(n) {
    const wanted = new Set(this.#near(PICTURES_AHEAD, 4 * DECODE_AHEAD));
    for (const [position, bytes] of this.held) {
      if (this.bytes <= MOST_BYTES) break;
      if (wanted.has(position) || !bytes) continue;
      this.held.delete(position);
      this.bytes -= bytes.length;
    }
    return this.bytes <= MOST_BYTES || n === 0;
  }

  #decode() {
    const near = this.#near(DECODE_AHEAD, DECODE_AHEAD);
    const wanted = new Set(near);
    for (const [position, bitmap] of this.bitmaps) {
      if (wanted.has(position)) continue;
      bitmap.close();
      this.bitmaps.delete(position);
    }
    for (const position of near) {
      const bytes = this.held.get(position);
      if (!bytes || this.bitmaps.has(position) || this.decoding.has(position)) continue;
      this.decoding.add(position);
      createImageBitmap(new Blob([bytes], { type: mediaType(bytes) })).then(
        (bitmap) => this.#decoded(position, bitmap),
        () => this.#decoded(position, null),
      );
    }
  }

  #decoded(position, bitmap) {
    this.decoding.delete(position);
    if (this.abort.signal.aborted) return bitmap?.close();
    if (bitmap) this.bitmaps.set(position, bitmap);
    else this.held.set(position, null);
    this.ready(position);
    return undefined;
  }

  close() {
    this.abort.abort();
    clearTimeout(this.wait);
    this.bitmaps.forEach((bitmap) => bitmap.close());
    this.bitmaps.clear();
    this.held.clear();
  }
}

// Calls back once the frame that is being made now has been painted: the message is handled after the
// style, layout and paint of the frame that the animation callback belongs to.
let frames = null;
function afterPaint(call) {
  if (!frames) {
    frames = { channel: new MessageChannel(), calls: [] };
    frames.channel.port1.onmessage = () => frames.calls.splice(0).forEach((done) => done());
  }
  requestAnimationFrame(() => {
    frames.calls.push(call);
    frames.channel.port2.postMessage(null);
  });
}

// ------------------------------------------------------------------------------------- the station

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "text") node.textContent = value;
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter(Boolean));
  return node;
}

// Assigning an equal text would still cost a layout.
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function show(node, isShown) {
  if (node.hidden === isShown) node.hidden = !isShown;
}

// A button that the mouse does not focus: the next Enter accepts a suggestion and presses no button again.
function button(properties, ...children) {
  const node = make("button", { type: "button", ...properties }, ...children);
  node.addEventListener("mousedown", (event) => event.preventDefault());
  // A held Enter would press it again and again, whatever else listens to keys at the time.
  node.addEventListener("keydown", (event) => {
    if (event.repeat && event.key === "Enter") event.preventDefault();
  });
  return node;
}

const cap = (key) => make("kbd", { text: key, "aria-hidden": "true" });

const WORDS = { keep: "Kept", relabel: "Relabelled", exclude: "Excluded", unsure: "Unsure" };

function told(done) {
  if (done.verdict === "keep") return done.label ? `kept as ${done.label}` : "kept";
  if (done.verdict === "relabel") return `relabelled to ${done.label}`;
  return done.verdict === "exclude" ? "excluded" : "marked unsure";
}

const HELP = [
  ["K", "keep the given label"],
  ["Enter", "accept the suggested label"],
  ["1 – 9", "decide for the class with this number"],
  ["/", "search all classes, then Enter"],
  ["X", "exclude the sample"],
  ["U", "mark it unsure"],
  ["N", "write a note that goes with the next decision"],
  ["Z", "undo the last decision, again and again"],
  ["←  →", "look back and forth without deciding"],
  ["Space", "hold to magnify"],
  ["?", "show or close this sheet"],
];

const MODAL = '[data-testid="stDialog"]';
const SWITCH = "labeltrace.shortcuts";

class Station {
  constructor(root) {
    this.storage = storageOf("localStorage");
    this.session = storageOf("sessionStorage");
    this.queue = null;
    this.pictures = null;
    this.cursor = 0;
    this.painted = null; // what stands on the screen: {key, at, iso}
    this.turn = 0;
    this.log = []; // entries of this dataset that were made or adopted here
    this.overlay = new Map(); // sample key → own acts, newest last
    this.undone = new Set(); // numbers of stored decisions that were taken back here
    this.takenBack = new Map(); // undo → what it takes back, to restore it if the undo is refused
    this.notes = new Map();
    this.times = [];
    this.sentAt = null; // when the batch in flight was sent
    this.waitingSince = null; // since when something waits without an answer
    this.answered = null;
    this.places = new Map();
    this.generation = 0;
    this.usesKeys = this.storage.getItem(SWITCH) !== "off";
    this.root = this.#build();
    root.append(this.root);
    this.onKey = (event) => this.#key(event);
    this.onKeyUp = (event) => this.#keyUp(event);
    this.onLeave = () => {
      this.#zoom(false);
      this.history?.flush();
    };
    this.onSize = () => this.#fit();
    document.addEventListener("keydown", this.onKey, true);
    document.addEventListener("keyup", this.onKeyUp, true);
    window.addEventListener("blur", this.onLeave);
    window.addEventListener("pagehide", this.onLeave);
    window.addEventListener("resize", this.onSize);
    this.sizes = new ResizeObserver(this.onSize);
    this.sizes.observe(document.body);
    this.post = postOffice();
    this.outbox = this.post.outbox;
    this.post.open(this);
    this.clock = setInterval(() => this.#tick(), 250);
  }

  destroy() {
    document.removeEventListener("keydown", this.onKey, true);
    document.removeEventListener("keyup", this.onKeyUp, true);
    window.removeEventListener("blur", this.onLeave);
    window.removeEventListener("pagehide", this.onLeave);
    window.removeEventListener("resize", this.onSize);
    this.sizes.disconnect();
    clearInterval(this.clock);
    clearTimeout(this.sending);
    this.history?.flush();
    this.post.close(this);
    this.queue?.close();
    this.pictures?.close();
    this.root.remove();
  }

  // What the server says: the list to show, and what became of decisions.
  update(data, setStateValue) {
    this.emit = (value) => setStateValue("outbox", value);
    this.data = data;
    this.root.dataset.reviewer = data.reviewer;
    this.root.dataset.theme = this.#isDark() ? "dark" : "light";
    const list = JSON.stringify([data.dataset.id, data.query]);
    if (list !== this.list) {
      // Whoever has just chosen a filter wants to decide now: keys must not go to the choice.
      const chosen = this.list && document.activeElement;
      if (chosen && chosen.closest('[data-testid="stSelectbox"]')) chosen.blur();
      this.list = list;
      this.#open();
    }
    this.#answer(data.answer);
    this.#fit();
    this.#send();
  }

  #open() {
    this.queue?.close();
    this.pictures?.close();
    this.history?.flush();
    const { id } = this.data.dataset;
    this.history = new History(this.session, id);
    this.undone.clear();
    this.places.clear();
    this.log = this.outbox.pending(Infinity, (entry) => entry.dataset === id);
    this.#relay();
    this.queue = new Queue(id, this.data.query, () => this.#loaded());
    this.pictures = new Pictures(id, (position) => this.#ready(position));
    this.folded = null;
    this.cursor = 0;
    this.decidedNow = 0;
    this.isStarted = false;
    this.painted = null;
    this.turn++;
    this.#blank("Loading the first sample …");
    show(this.empty, false);
    show(this.body, true);
    this.#more();
    this.#after();
  }

  #more() {
    const { queue } = this;
    queue.load(() => this.cursor + ITEMS_AHEAD);
  }

  #loaded() {
    const { queue } = this;
    if (queue.refused) {
      this.#nothing(queue.refused, "Choose other filters above.");
      return;
    }
    for (let k = this.places.size; k < queue.items.length; k++) {
      this.places.set(queue.items[k].key, k);
    }
    if (!this.isStarted) {
      this.folded ??= queue.classes.map(fold);
      const first = this.#nextOpen(-1);
      if (first === null && !queue.isWhole) return; // everything so far was decided a moment ago
      this.isStarted = true;
      this.#show(first ?? (this.#isOpenList() ? queue.items.length : 0));
    } else {
      this.pictures.around(queue.items, this.cursor);
      if (this.isWaiting) this.#show(this.#nextOpen(this.cursor - 1) ?? this.cursor);
    }
    this.#after();
  }

  // A list of undecided samples is done when nothing is undecided; any other when its end is reached.
  #isOpenList() {
    return this.data.isOpen;
  }

  get item() {
    return this.queue?.items[this.cursor];
  }

  className(index) {
    return index === null || index === undefined || index < 0 ? null : (this.queue.classes[index] ?? null);
  }

  /** The decision that counts for a sample, as far as is known here, or null. */
  standing(item) {
    const own = this.overlay.get(item.key);
    if (own?.length) return own[own.length - 1];
    const stored = item.decided;
    if (!stored || this.undone.has(stored.id)) return null;
    return { ...stored, label: this.className(stored.label), isStored: true };
  }

  #isOpen(item) {
    return !this.standing(item) && !this.pictures.cannotShow(item.position);
  }

  #nextOpen(from) {
    const { items } = this.queue;
    for (let k = from + 1; k < items.length; k++) if (this.#isOpen(items[k])) return k;
    return null;
  }

  // Lay an entry over what the list says.
  #lay(entry) {
    const acts = this.overlay.get(entry.key) ?? [];
    if (entry.kind === "decide") acts.push(entry);
    else if (entry.of?.id !== undefined) this.undone.add(entry.of.id);
    else {
      const at = acts.findIndex((a) => a.client === entry.of?.client && a.seq === entry.of?.seq);
      if (at >= 0) acts.splice(at, 1);
    }
    this.overlay.set(entry.key, acts);
  }

  #relay() {
    this.overlay.clear();
    for (const entry of this.log) this.#lay(entry);
  }

  #record(act) {
    const { dataset, reviewer } = this.data;
    const entry = this.outbox.add({ ...act, dataset: dataset.id, reviewer, at: new Date().toISOString() });
    this.log.push(entry);
    this.#lay(entry);
    this.#status(); // at once: nobody may read that all is saved while this is not
    return entry;
  }

  // Decisions of a closed tab came to this one.
  adopted() {
    if (!this.queue) return;
    const known = new Set(this.log.map(Outbox.key));
    const fresh = this.outbox.pending(Infinity, (entry) =>
      entry.dataset === this.data.dataset.id && !known.has(Outbox.key(entry)));
    this.log = inOrder([...this.log, ...fresh]);
    this.#relay();
    if (this.isStarted && this.item && this.standing(this.item) && this.decidedNow === 0) {
      this.#show(this.#nextOpen(-1) ?? this.cursor);
    }
    this.#after();
    this.#send();
  }

  // ------------------------------------------------------------------------------- one sample

  #show(index) {
    this.#zoom(false);
    this.cursor = Math.max(0, index);
    this.painted = null;
    const turn = ++this.turn;
    const { item, queue } = this;
    this.isWaiting = !item && !queue.isWhole;
    if (!item) {
      if (queue.isWhole) this.#done();
      else this.#blank("Loading more samples …");
      this.#more();
      return;
    }
    show(this.empty, false);
    show(this.body, true);
    this.#describe(item);
    const bitmap = this.pictures.get(item.position);
    if (bitmap) this.#draw(item, bitmap, turn);
    else if (this.pictures.cannotShow(item.position)) this.#broken();
    else this.#blank("Loading this image …");
    // Pictures are moved up after this one is on the screen.
    setTimeout(() => {
      if (this.turn !== turn) return;
      this.pictures.around(queue.items, this.cursor);
      this.#more();
    });
  }

  #ready(position) {
    const { item } = this;
    if (!item || item.position !== position || this.painted) return;
    const bitmap = this.pictures.get(position);
    if (bitmap) this.#draw(item, bitmap, this.turn);
    else this.#broken();
  }

  #draw(item, bitmap, turn) {
    const { canvas } = this;
    if (canvas.width !== bitmap.width) canvas.width = bitmap.width;
    if (canvas.height !== bitmap.height) canvas.height = bitmap.height;
    const isSmall = Math.max(bitmap.width, bitmap.height) <= SMALL;
    canvas.classList.toggle("small", isSmall);
    // A picture of a few pixels is recognised better when it is not as large as the screen.
    const most = isSmall ? `${Math.max(LEAST_SIDE, MOST_TIMES * Math.max(bitmap.width, bitmap.height))}px` : "";
    if (canvas.style.maxWidth !== most) canvas.style.maxWidth = canvas.style.maxHeight = most;
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, bitmap.width, bitmap.height);
    context.drawImage(bitmap, 0, 0);
    show(this.wait, false);
    canvas.classList.remove("away");
    afterPaint(() => {
      if (this.turn !== turn) return;
      this.painted = { key: item.key, at: performance.now(), iso: new Date().toISOString() };
      canvas.dataset.sampleKey = item.key;
    });
  }

  #blank(sentence) {
    this.canvas.classList.add("away");
    say(this.wait, sentence);
    show(this.wait, true);
  }

  #broken() {
    this.#blank("This image cannot be shown, so nothing can be decided on it. Press → for the next one.");
  }

  #describe(item) {
    const { queue } = this;
    const given = this.className(item.given);
    const suggested = this.className(item.suggested);
    say(this.given, given ?? "no label");
    say(this.suggested, suggested ?? "no suggestion");
    this.suggested.classList.toggle("none", !suggested);
    this.given.title = given ?? "";
    this.suggested.title = suggested ?? "";
    const facts = [];
    if (item.rank !== null) facts.push(`Rank ${item.rank}`);
    if (item.suspicion !== null) facts.push(`suspicion ${item.suspicion.toFixed(3)}`);
    if (item.shown?.method) facts.push(item.shown.method);
    if (item.flagged) facts.push("flagged");
    say(this.facts, facts.join(" · ") || "This sample has no score.");
    const place = `${this.cursor + 1} of ${queue.total}`;
    say(this.sample, item.key);
    this.sample.title = item.key;
    say(this.place, place);
    this.open.href = `${address("sample")}?${new URLSearchParams({
      dataset: this.data.dataset.name, sample: item.key,
    })}`;
    this.canvas.setAttribute(
      "aria-label",
      `Sample ${item.key}, ${place}; given label ${given ?? "none"}, suggested ${suggested ?? "none"}.`,
    );
    this.#list(item);
    this.keep.disabled = given === null;
    this.accept.disabled = suggested === null;
    say(this.acceptWord, suggested ? `→ ${suggested}` : "Accept");
    this.accept.setAttribute("aria-label", suggested ? `Accept ${suggested}` : "Accept: no suggestion");
    this.back.disabled = this.cursor === 0;
    this.#standing(item);
    const note = this.notes.get(item.key) ?? "";
    if (this.note.value !== note) this.note.value = note;
  }

  #list(item) {
    const { rows } = this;
    rows.forEach(({ row, name, tag, nth }, k) => {
      const index = item.likely[k];
      const isThere = index !== undefined;
      show(row, isThere);
      if (!isThere) return;
      say(name, this.className(index));
      row.title = this.className(index);
      const word = index === item.given ? "given" : index === item.suggested ? "suggested" : "";
      say(tag, word);
      if (row.dataset.kind !== word) row.dataset.kind = word;
      say(nth, String(k + 1));
    });
  }

  #standing(item) {
    const standing = this.standing(item);
    show(this.stands, standing !== null);
    if (!standing) return;
    const who = standing.isStored && standing.reviewer !== this.data.reviewer ? standing.reviewer : "you";
    say(this.standsWord, `Already ${told(standing)} by ${who}.${standing.note ? ` “${standing.note}”` : ""}`);
    this.stands.dataset.verdict = standing.verdict;
  }

  // ---------------------------------------------------------------------------------- deciding

  #decide(verdict, label = null) {
    const { item } = this;
    if (!item) return this.#say("There is no sample to decide on.");
    if (!this.painted || this.painted.key !== item.key) {
      return this.#say("This image is not on the screen yet: nothing was decided.");
    }
    const given = this.className(item.given);
    if (verdict === "keep" && given === null) {
      return this.#say("This sample has no given label to keep: choose a class, or exclude it.");
    }
    const settled = settle(verdict, label, given);
    const wasOpen = !item.decided || this.undone.has(item.decided.id);
    const entry = this.#record({
      kind: "decide",
      key: item.key,
      verdict: settled.verdict,
      label: settled.label,
      note: (this.notes.get(item.key) ?? "").trim(),
      shown: {
        position: item.position,
        given,
        suggested: this.className(item.suggested),
        method: item.shown?.method ?? null,
        scores_id: item.shown?.scores_id ?? null,
        suspicion: item.suspicion,
        rank: item.rank,
        decided: item.decided?.id ?? null,
        painted_at: this.painted.iso,
        ms: Math.round(performance.now() - this.painted.at),
      },
    });
    const { client, seq, key, at } = entry;
    this.notes.delete(key);
    this.times.push(performance.now());
    this.decidedNow++;
    this.history.push({
      client, seq, key, at, dataset: entry.dataset, position: item.position,
      verdict: entry.verdict, label: entry.label, note: entry.note,
    });
    this.#advance(wasOpen);
    // The strip and the message wait until the next image is on its way to the screen.
    afterPaint(() => {
      this.#say(`${WORDS[entry.verdict]}${entry.label ? `: ${entry.label}` : ""}.`);
      this.#after({ seq, client, thumbnail: this.#thumbnail(item) });
      this.#send();
    });
    return undefined;
  }

  #advance(wasOpen) {
    const { queue } = this;
    if (!wasOpen) return this.#show(this.cursor + 1);
    const next = this.#nextOpen(this.cursor);
    if (next !== null) return this.#show(next);
    if (!queue.isWhole) return this.#show(queue.items.length);
    return this.#show(this.#nextOpen(-1) ?? queue.items.length);
  }

  #accept() {
    const label = this.className(this.item?.suggested);
    if (this.item && label === null) {
      return this.#say("There is no suggestion here: choose a class, or press / to search.");
    }
    return this.#decide("relabel", label);
  }

  #nth(nth) {
    const index = this.item?.likely[nth - 1];
    if (this.item && index === undefined) return this.#say(`There is no class number ${nth} in the list.`);
    return this.#decide("relabel", this.className(index));
  }

  #undo(done = this.history?.last()) {
    if (!done) return this.#say("There is nothing left to undo.");
    const of = { client: done.client, seq: done.seq };
    this.history.remove(done);
    return this.#takeBack(of, done);
  }

  // Take back what stands on this sample, whoever decided it.
  #undoThis() {
    const { item } = this;
    const standing = item && this.standing(item);
    if (!standing) return undefined;
    const done = standing.isStored ? null : this.history.find(standing);
    if (done) return this.#undo(done);
    const of = standing.isStored ? { id: standing.id } : { client: standing.client, seq: standing.seq };
    return this.#takeBack(of, { ...standing, key: item.key });
  }

  #takeBack(of, done) {
    const taken = { done, of };
    this.takenBack.set(Outbox.key(this.#record({ kind: "undo", key: done.key, of })), taken);
    const place = this.places.get(done.key);
    if (place !== undefined) {
      // What was decided before a reload is known to the list under the server's number only.
      const standing = this.standing(this.queue.items[place]);
      if (standing?.isStored && standing.verdict === done.verdict && standing.label === done.label) {
        this.undone.add(standing.id);
        taken.id = standing.id;
      }
      this.#show(place);
    }
    this.#say(`Undone: ${done.key} is no longer ${told(done)}.`);
    this.#after();
    this.#send();
    return undefined;
  }

  // What could not be taken back still stands, unless it was taken back elsewhere before.
  #restore(entry, reason) {
    const { done, id } = this.takenBack.get(Outbox.key(entry)) ?? {};
    this.takenBack.delete(Outbox.key(entry));
    if (reason.endsWith("taken this decision back already.")) return;
    this.undone.delete(entry.of?.id ?? id);
    // Acts of the history know their position; what other tabs decided was never in it.
    if (done?.position !== undefined && done.dataset === this.data.dataset.id) this.history.restore(done);
  }

  #look(step) {
    const { queue } = this;
    if (!this.isStarted) return undefined;
    const to = this.cursor + step;
    if (to < 0) return this.#say("This is the first sample of the list.");
    if (to > queue.items.length || (to === queue.items.length && !queue.isWhole)) {
      return this.#say("The next samples are still on their way.");
    }
    if (to === queue.items.length && this.#nextOpen(-1) !== null && this.#isOpenList()) {
      return this.#say("This is the last sample of the list; some before it are undecided.");
    }
    this.#keepNote();
    return this.#show(to);
  }

  // ------------------------------------------------------------------------------------ sending

  #send() {
    if (!this.emit || this.sentAt !== null) return;
    const now = performance.now();
    const quiet = quietAfter(this.times);
    const since = now - (this.times.at(-1) ?? -Infinity);
    if (since < quiet && now - (this.oldest ??= now) < LONGEST_MS) {
      clearTimeout(this.sending);
      this.sending = setTimeout(() => this.#send(), Math.max(10, quiet - since));
      return;
    }
    const message = this.post.message(this.data.datasets);
    if (!message) {
      this.waitingSince = null;
      return;
    }
    this.waitingSince ??= now;
    this.sentAt = now;
    this.oldest = null;
    this.emit(message);
  }

  #answer(answer) {
    if (!answer || answer.nonce === this.answered) return;
    this.answered = answer.nonce;
    const { went, refused } = this.post.settle(answer);
    for (const { entry, reason } of refused) {
      this.#notice(`${entry.key}: ${reason}`);
      const done = this.history?.find(entry);
      if (done) this.history.remove(done);
      if (entry.kind === "undo") this.#restore(entry, reason);
      this.log = this.log.filter((other) => Outbox.key(other) !== Outbox.key(entry));
    }
    if (refused.length) this.#relay();
    for (const sentence of this.post.news(answer.conflicts)) this.#notice(sentence);
    this.trouble = answer.problem ?? null;
    if (went) {
      this.sentAt = null;
      this.waitingSince = null;
    }
    this.#after();
  }

  #tick() {
    const now = performance.now();
    if (this.sentAt !== null && now - this.sentAt > RESEND_MS) {
      this.sentAt = null;
    }
    this.#dismiss();
    this.#send();
    this.#status();
  }

  // --------------------------------------------------------------------------------- all around

  // Everything that can wait until the image is there.
  #after(fresh = null) {
    this.#progress();
    this.#status();
    this.#strip(fresh);
    const { item } = this;
    if (item) this.#standing(item);
    this.undoButton.disabled = !this.history?.last();
  }

  #progress() {
    const { queue } = this;
    if (!queue || queue.total === null) return;
    const isOpenList = this.#isOpenList();
    let decided = 0;
    for (const key of this.overlay.keys()) {
      if (this.overlay.get(key).length && this.places.has(key)) decided++;
    }
    const rate = perMinute(this.times);
    const pace = rate === null ? "" : ` · ${rate}/min`;
    const done = isOpenList ? queue.before + decided : Math.min(this.cursor + 1, queue.total);
    const total = isOpenList ? queue.before + queue.total : queue.total;
    const words = isOpenList ? `${done} of ${total} decided` : `Sample ${done} of ${total}`;
    say(this.progressText, total ? `${words}${pace}` : "No samples");
    const fraction = total ? done / total : 0;
    this.bar.style.transform = `scaleX(${fraction})`;
    this.barFrame.setAttribute("aria-valuenow", String(Math.round(fraction * 100)));
    const counts = this.history.counts();
    say(this.summary, [
      `${counts.keep} kept`, `${counts.relabel} relabelled`, `${counts.exclude} excluded`,
      `${counts.unsure} unsure`,
    ].join(" · "));
  }

  #status() {
    const n = this.outbox.size;
    say(this.unsent, String(n));
    say(this.unsentWord, n === 0 ? " unsent: all saved" : " unsent");
    const known = new Set(this.data?.datasets ?? []);
    const strange = this.outbox.pending(Infinity, (entry) => !known.has(entry.dataset)).length;
    const waits = this.waitingSince !== null && performance.now() - this.waitingSince > OFFLINE_MS;
    let sentence = "";
    if (!this.outbox.isStored && n > 0) {
      sentence = "The browser's storage is full or forbidden: keep this tab open until everything is sent.";
    } else if (waits && this.trouble) sentence = this.trouble;
    else if (waits) sentence = "Offline: decisions are kept here and sent later.";
    else if (strange > 0) {
      sentence = strange === 1
        ? "1 of them belongs to a dataset that is not in this workspace and is kept in this browser."
        : `${strange} of them belong to datasets that are not in this workspace and are kept in this browser.`;
    }
    show(this.forget, strange > 0 && !waits);
    say(this.offline, sentence);
    show(this.offline, sentence !== "");
    this.unsentBox.classList.toggle("waits", waits);
  }

  #thumbnail(item) {
    const bitmap = this.pictures.get(item.position);
    if (!bitmap) return null;
    const canvas = make("canvas", { width: 112, height: 112 });
    const context = canvas.getContext("2d");
    const side = Math.min(bitmap.width, bitmap.height);
    context.imageSmoothingEnabled = side > SMALL;
    context.drawImage(
      bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, 112, 112,
    );
    return canvas;
  }

  #strip(fresh) {
    const wanted = this.history.acts.slice(-STRIP).reverse();
    const have = new Map([...this.strip.children].map((node) => [node.dataset.act, node]));
    const nodes = wanted.map((done) => {
      const id = `${done.client}/${done.seq}`;
      return have.get(id) ?? this.#card(done, id, fresh);
    });
    const isSame = nodes.length === this.strip.children.length
      && nodes.every((node, k) => node === this.strip.children[k]);
    if (!isSame) {
      // Nodes that stay are not moved, so that none of them loses the focus.
      for (const [id, node] of have) if (!nodes.some((other) => other.dataset.act === id)) node.remove();
      nodes.forEach((node, k) => {
        if (this.strip.children[k] !== node) this.strip.insertBefore(node, this.strip.children[k] ?? null);
      });
    }
    show(this.stripHint, wanted.length === 0);
  }

  #card(done, id, fresh) {
    const isFresh = fresh && fresh.client === done.client && fresh.seq === done.seq;
    const dataset = encodeURIComponent(done.dataset);
    const picture = isFresh && fresh.thumbnail
      ? fresh.thumbnail
      : make("img", {
          alt: "", loading: "lazy",
          src: address(`api/datasets/${dataset}/image/${done.position}?side=${SIDE}`),
        });
    const word = done.verdict === "relabel" ? `→ ${done.label}` : WORDS[done.verdict];
    const item = make("li", { "data-act": id });
    item.append(button(
      {
        class: "card", "data-verdict": done.verdict, title: `Undo: ${done.key}, ${told(done)}`,
        "aria-label": `Undo: ${done.key}, ${told(done)}`,
        onclick: () => {
          const wasFocused = this.root.getRootNode().activeElement === item.firstChild;
          const found = this.history.find(done);
          if (found) this.#undo(found);
          if (wasFocused) (this.strip.querySelector("button") ?? this.undoButton).focus();
        },
      },
      picture ?? "",
      make("span", { text: word, class: "word" }),
    ));
    return item;
  }

  #notice(sentence) {
    const node = make("li", {}, make("span", { text: sentence }), button({
      class: "quiet", "aria-label": "Close this message", text: "×", onclick: () => node.remove(),
    }));
    this.notices.append(node);
    while (this.notices.children.length > 3) this.notices.firstChild.remove();
  }

  #say(sentence) {
    say(this.said, "");
    say(this.said, sentence);
  }

  #done() {
    const { queue } = this;
    if (queue.total === 0) {
      const sentence = this.#isOpenList()
        ? "Nothing is left to decide with these filters."
        : "No sample fits these filters.";
      this.#nothing(sentence, "Choose other filters above, or go on:");
      return;
    }
    const broken = queue.items.filter((item) => this.pictures.cannotShow(item.position)).length;
    const left = broken ? ` ${broken} cannot be shown and stay undecided.` : "";
    if (this.#isOpenList()) {
      this.#nothing(`Nothing is left to decide in this list of ${queue.total}.${left}`,
        "Take the corrected labels away, or look for more suspects.");
    } else {
      this.#nothing(`You have looked at all ${queue.total} of this list.${left}`,
        "Go back with ←, or choose other filters above.");
    }
  }

  #nothing(sentence, next) {
    this.painted = null;
    show(this.body, false);
    show(this.empty, true);
    say(this.emptyWord, sentence);
    say(this.emptyNext, next);
    const { name } = this.data.dataset;
    this.toExport.href = `${address("export")}?${new URLSearchParams({ dataset: name })}`;
    this.toRanking.href = `${address("ranking")}?${new URLSearchParams({ dataset: name })}`;
    this.#progress();
  }

  // Decisions about a dataset that was deleted would wait for ever.
  #forget() {
    const known = new Set(this.data.datasets);
    for (const entry of this.outbox.pending(Infinity, ({ dataset }) => !known.has(dataset))) {
      this.outbox.drop(entry);
    }
    this.#status();
  }

  // --------------------------------------------------------------------------------------- keys

  #key(event) {
    this.#dismiss();
    const path = event.composedPath();
    if (!this.usesKeys || isTaken(path) || document.querySelector(MODAL)) return;
    const does = act(event);
    if (!does) {
      // Streamlit's own r and c would run the script anew or clear its cache.
      if (!event.ctrlKey && !event.metaKey && !event.altKey && event.key.length === 1) {
        event.stopPropagation();
      }
      return;
    }
    if (does.name === "escape" && !this.notices.children.length) return;
    const presses = does.name === "accept" || does.name === "zoom";
    if (presses && ["BUTTON", "A", "SUMMARY"].includes(path[0].tagName)) return;
    event.stopPropagation();
    event.preventDefault();
    if (event.repeat && !mayRepeat(does.name)) return;
    this.#do(does);
  }

  // Without a server Streamlit lays a dialog over the page. The station says so itself and goes on; a
  // field that the dialog took the focus from gets it back, so that a note does not turn into decisions.
  #dismiss() {
    const dialog = document.querySelector(`${MODAL} [role="dialog"]`);
    if (dialog?.textContent.startsWith("Connection error")) {
      this.#status();
      const { typing } = this;
      dialog.querySelector('button[aria-label="Close"]')?.click();
      if (typing) this.regain = typing;
    }
    if (this.regain && !document.querySelector(MODAL)) {
      this.regain.focus();
      this.regain = null;
    }
  }

  #do({ name, nth }) {
    const acts = {
      keep: () => this.#decide("keep"),
      accept: () => this.#accept(),
      nth: () => this.#nth(nth),
      exclude: () => this.#decide("exclude"),
      unsure: () => this.#decide("unsure"),
      undo: () => this.#undo(),
      back: () => this.#look(-1),
      forth: () => this.#look(1),
      search: () => this.search.focus(),
      note: () => this.note.focus(),
      help: () => this.#help(),
      zoom: () => this.#zoom(true),
      escape: () => this.notices.replaceChildren(),
    };
    acts[name]();
  }

  #keyUp(event) {
    if (event.key === " ") this.#zoom(false);
  }

  #help() {
    if (this.sheet.open) this.sheet.close();
    else this.sheet.showModal();
  }

  #switch() {
    this.usesKeys = !this.usesKeys;
    put(this.storage, SWITCH, this.usesKeys ? "on" : "off");
    this.keys.setAttribute("aria-checked", String(this.usesKeys));
    this.root.classList.toggle("keyless", !this.usesKeys);
    this.#say(this.usesKeys ? "Single-key shortcuts are on." : "Single-key shortcuts are off.");
  }

  // -------------------------------------------------------------------------------- magnifying

  #zoom(isOn) {
    if (this.isZoomed === isOn) return;
    this.isZoomed = isOn;
    this.canvas.classList.toggle("zoomed", isOn);
    if (isOn) this.#aim(this.pointer);
  }

  #aim(event) {
    const box = this.frame.getBoundingClientRect();
    const isInside = event && event.clientX >= box.left && event.clientX <= box.right
      && event.clientY >= box.top && event.clientY <= box.bottom;
    const x = isInside ? (100 * (event.clientX - box.left)) / box.width : 50;
    const y = isInside ? (100 * (event.clientY - box.top)) / box.height : 50;
    this.canvas.style.transformOrigin = `${x}% ${y}%`;
  }

  // ------------------------------------------------------------------------------ class search

  #find() {
    const { indices, total } = search(this.folded ?? [], this.search.value, 60);
    this.found = indices;
    this.chosen = 0;
    const given = this.item?.given;
    const options = indices.map((index, k) => {
      const node = make("li", { role: "option", id: `option-${k}`, "aria-selected": k === 0 ? "true" : "false" },
        make("span", { text: this.className(index) }),
        index === given && make("span", { class: "tag", text: "given" }));
      node.addEventListener("mousedown", (event) => event.preventDefault());
      node.addEventListener("click", () => this.#pick(k));
      return node;
    });
    this.options.replaceChildren(...options);
    const more = total > indices.length ? `${total - indices.length} more classes fit: type on.` : "";
    say(this.optionsHint, total === 0 ? "No class fits." : more);
    show(this.popup, true);
    this.search.setAttribute("aria-expanded", "true");
    this.#choose(0);
  }

  #choose(k) {
    if (!this.found?.length) {
      this.search.removeAttribute("aria-activedescendant");
      return;
    }
    this.chosen = (k + this.found.length) % this.found.length;
    [...this.options.children].forEach((node, at) =>
      node.setAttribute("aria-selected", at === this.chosen ? "true" : "false"));
    this.search.setAttribute("aria-activedescendant", `option-${this.chosen}`);
    this.options.children[this.chosen].scrollIntoView({ block: "nearest" });
  }

  #pick(k) {
    const label = this.className(this.found?.[k]);
    if (label === null) return;
    this.#closeSearch();
    this.#decide("relabel", label);
  }

  #closeSearch() {
    this.search.value = "";
    this.search.blur();
    show(this.popup, false);
    this.search.setAttribute("aria-expanded", "false");
    this.search.removeAttribute("aria-activedescendant");
  }

  #searchKey(event) {
    if (event.isComposing) return;
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (step) this.#choose(Math.max(0, Math.min((this.found?.length ?? 1) - 1, this.chosen + step)));
    else if (event.key === "Enter" && !event.repeat) this.#pick(this.chosen);
    else if (event.key === "Escape") this.#closeSearch();
    else return;
    event.preventDefault();
  }

  #keepNote() {
    if (!this.item) return;
    if (this.note.value) this.notes.set(this.item.key, this.note.value);
    else this.notes.delete(this.item.key);
  }

  // ------------------------------------------------------------------------------------- layout

  // As high as the window allows below what the page shows above.
  #fit() {
    const top = this.root.getBoundingClientRect().top + (this.scroller()?.scrollTop ?? 0);
    const height = `${Math.max(560, Math.floor(window.innerHeight - top - 20))}px`;
    if (this.height === height) return;
    this.height = height;
    this.root.style.height = height;
  }

  scroller() {
    return document.querySelector('[data-testid="stMain"]');
  }

  #isDark() {
    const [r, g, b] = (getComputedStyle(this.root).backgroundColor.match(/[\d.]+/g) ?? [255, 255, 255]);
    return 0.299 * r + 0.587 * g + 0.114 * b < 128;
  }

  #build() {
    const say = (name, ...rest) => (this[name] = make(...rest));
    const test = (id) => ({ "data-testid": id });

    const top = make("div", { class: "top" },
      make("div", { class: "progress" },
        say("progressText", "p", { ...test("review-progress"), text: "Loading …" }),
        say("barFrame", "div", {
          class: "bar", role: "progressbar", "aria-label": "Decided", "aria-valuemin": "0",
          "aria-valuemax": "100", "aria-valuenow": "0",
        }, say("bar", "div", {}))),
      say("unsentBox", "p", { class: "unsent" },
        say("unsent", "b", { ...test("review-unsent"), text: "0" }),
        say("unsentWord", "span", { text: " unsent" })),
      this.keys = button({
        class: "switch", role: "switch", "aria-checked": String(this.usesKeys),
        title: "Single-key shortcuts on or off", onclick: () => this.#switch(),
      }, make("span", { class: "knob", "aria-hidden": "true" }), make("span", { text: "Single-key shortcuts" })),
      button({ ...test("review-help"), class: "quiet", onclick: () => this.#help() },
        cap("?"), make("span", { text: "Keys" })));

    say("offline", "p", { class: "offline", role: "status" });
    this.forget = button({ class: "step", text: "Forget what belongs to no dataset here", onclick: () => this.#forget() });
    this.forget.hidden = true;
    say("notices", "ul", { class: "notices", "aria-live": "polite", "aria-label": "Messages" });
    this.offline.hidden = true;

    say("canvas", "canvas", { ...test("review-image"), role: "img", "aria-label": "No image yet", class: "away", width: 1, height: 1 });
    say("wait", "p", { class: "wait" });
    say("frame", "div", { class: "frame" }, this.canvas, this.wait);
    this.frame.addEventListener("pointermove", (event) => {
      this.pointer = event;
      if (this.isZoomed) this.#aim(event);
    });
    this.frame.addEventListener("pointerleave", () => {
      this.pointer = null;
    });
    this.frame.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.pointer = event;
      this.frame.setPointerCapture(event.pointerId);
      this.#zoom(true);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      this.frame.addEventListener(end, () => this.#zoom(false));
    }
    const figure = make("section", { class: "stage", "aria-label": "Image" },
      this.frame,
      make("div", { class: "caption" },
        this.back = button({ class: "quiet", "aria-label": "Look back", onclick: () => this.#look(-1) }, cap("←")),
        say("place", "span", { class: "place" }),
        say("sample", "span", { class: "sample" }),
        say("open", "a", { class: "open", text: "Open sample" }),
        button({ class: "quiet", "aria-label": "Look forth", onclick: () => this.#look(1) }, cap("→"))));

    this.rows = Array.from({ length: 9 }, (_, k) => {
      const nth = make("kbd", { text: String(k + 1), "aria-hidden": "true" });
      const name = make("span", { class: "name" });
      const tag = make("span", { class: "tag" });
      const row = button({ class: "likely-row", onclick: () => this.#nth(k + 1) }, nth, name, tag);
      row.hidden = true;
      return { row, nth, name, tag };
    });

    say("search", "input", {
      ...test("review-class-search"), type: "text", role: "combobox", autocomplete: "off", spellcheck: "false",
      placeholder: "Search all classes", "aria-label": "Search all classes", "aria-expanded": "false",
      "aria-controls": "classes", "aria-autocomplete": "list",
      oninput: () => this.#find(), onfocus: () => this.#find(), onblur: () => this.#closeSearch(),
      onkeydown: (event) => this.#searchKey(event),
    });
    say("options", "ul", { role: "listbox", id: "classes", "aria-label": "Classes" });
    say("optionsHint", "p", { class: "hint", role: "status" });
    say("popup", "div", { class: "popup" }, this.options, this.optionsHint);
    this.popup.hidden = true;

    say("note", "input", {
      type: "text", maxlength: "1000", autocomplete: "off", placeholder: "Note for this decision",
      "aria-label": "Note for this decision", oninput: () => this.#keepNote(),
      onkeydown: (event) => {
        if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
        event.preventDefault();
        this.note.blur();
      },
    });

    this.keep = button({ ...test("review-keep"), class: "verdict keep", onclick: () => this.#decide("keep") },
      cap("K"), make("span", { text: "Keep" }));
    say("acceptWord", "span", { class: "word", text: "Accept" });
    this.accept = button({
      ...test("review-relabel"), class: "verdict relabel", onclick: () => this.#accept(),
    }, cap("Enter"), this.acceptWord);
    const exclude = button({
      ...test("review-exclude"), class: "verdict exclude", onclick: () => this.#decide("exclude"),
    }, cap("X"), make("span", { text: "Exclude" }));
    const unsure = button({
      ...test("review-unsure"), class: "verdict unsure", onclick: () => this.#decide("unsure"),
    }, cap("U"), make("span", { text: "Unsure" }));

    const panel = make("section", { class: "panel", "aria-label": "Decision" },
      make("dl", { class: "labels" },
        make("div", { class: "of-given" }, make("dt", { text: "Given label" }),
          say("given", "dd", test("review-given"))),
        make("div", { class: "of-suggested" }, make("dt", { text: "Suggested label" }),
          say("suggested", "dd", test("review-suggested")))),
      say("facts", "p", { class: "facts" }),
      say("stands", "div", { class: "stands", role: "status" }, say("standsWord", "span", {}),
        button({ class: "quiet", text: "Undo it", onclick: () => this.#undoThis() })),
      make("div", { class: "verdicts" }, this.keep, this.accept, exclude, unsure),
      make("div", { class: "likely", role: "group", "aria-label": "Likely classes" },
        ...this.rows.map(({ row }) => row)),
      make("div", { class: "field find" }, cap("/"), this.search, this.popup),
      make("div", { class: "field" }, cap("N"), this.note));
    this.stands.hidden = true;

    say("body", "div", { class: "body" }, figure, panel);

    say("emptyWord", "h2", {});
    say("emptyNext", "p", {});
    say("toExport", "a", { class: "step first", text: "Export the labels" });
    say("toRanking", "a", { class: "step", text: "Go to the ranking" });
    say("empty", "section", { ...test("review-empty"), class: "empty" }, this.emptyWord, this.emptyNext,
      make("div", { class: "steps" }, this.toExport, this.toRanking,
        button({ class: "step", text: "Look again", onclick: () => this.#open() })));
    this.empty.hidden = true;

    say("strip", "ol", { class: "strip", "aria-label": "Last decisions, newest first; press one to undo it" });
    say("stripHint", "p", { class: "hint", text: "Your last ten decisions appear here; press one to undo it." });
    say("summary", "p", { class: "summary" });
    say("said", "p", { class: "said", role: "status", "aria-live": "polite" });
    this.undoButton = button({ ...test("review-undo"), class: "quiet", onclick: () => this.#undo() },
      cap("Z"), make("span", { text: "Undo" }));
    const foot = make("div", { class: "foot" },
      make("div", { class: "foot-head" }, this.undoButton, this.said, this.summary),
      make("div", { class: "strip-frame" }, this.strip, this.stripHint));

    say("sheet", "dialog", { class: "sheet", "aria-label": "Keys" },
      make("h2", { text: "Keys" }),
      make("dl", {}, ...HELP.flatMap(([key, words]) => [
        make("dt", {}, make("kbd", { text: key })), make("dd", { text: words }),
      ])),
      make("p", { class: "hint", text: "A held key never decides, and no key decides while you type in a field." }),
      button({ class: "step first", text: "Close", autofocus: true, onclick: () => this.sheet.close() }));
    this.sheet.addEventListener("keydown", (event) => {
      if (event.key === "?" && !event.repeat) this.sheet.close();
    });

    const root = make("div", { class: "station" }, top, this.offline, this.forget, this.notices, this.body, this.empty, foot,
      this.sheet);
    root.classList.toggle("keyless", !this.usesKeys);
    root.addEventListener("focusin", (event) => {
      this.typing = event.target.tagName === "INPUT" ? event.target : null;
    });
    // The focus that a dialog takes goes outside; the one that a person moves inside the page does, too,
    // but then there is no dialog.
    root.addEventListener("focusout", () => {
      const { typing } = this;
      if (typing) setTimeout(() => {
        if (this.typing === typing && !typing.matches(":focus") && !document.querySelector(MODAL)) this.typing = null;
      });
    });
    // In its shadow a field looks like a plain element from outside: what is typed must not go further.
    for (const kind of ["keydown", "keyup", "keypress"]) {
      root.addEventListener(kind, (event) => event.stopPropagation());
    }
    return root;
  }
}

const stations = new WeakMap();

export default function mount({ data, parentElement, setStateValue }) {
  let station = stations.get(parentElement);
  if (!station) {
    station = new Station(parentElement);
    stations.set(parentElement, station);
  }
  const generation = ++station.generation;
  station.update(data, setStateValue);
  return () => {
    // A call that a newer one has overtaken must not take the newer one's station away.
    if (station.generation !== generation || stations.get(parentElement) !== station) return;
    stations.delete(parentElement);
    station.destroy();
  };
}
