// What the widgets that decide have in common: the outbox, addresses and the search for a class.
//
// Neither a module nor a build step: `outbox.script` in Python sets this text before that of a widget,
// and the tests do the same. So nothing is imported or exported here, and a widget declares no name anew.

const BATCH = 250; // decisions per message
const PREFIX = "labeltrace.outbox/";
const SEEN = "labeltrace.seen/";
const TOLD = "labeltrace.told";
const GONE_MS = 8000;

/** The address of a path of ours, wherever the pages are served. */
function address(path) {
  return new URL(path.replace(/^\/+/, ""), document.baseURI).href;
}

// -------------------------------------------------------------------------------- search for a class

/** Text without case and accents, for searching. */
function fold(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

/**
 * Positions of the classes whose name contains a text: the name itself first, then names that begin
 * with it, then those with a word that does, then the rest; ties in class order.
 */
function search(folded, text, most = Infinity) {
  const wanted = fold(text.trim());
  const groups = [[], [], [], []];
  folded.forEach((name, index) => {
    const at = name.indexOf(wanted);
    if (at < 0) return;
    const isWord = /[^\p{L}\p{N}]/u.test(name[at - 1] ?? "x") || name.includes(` ${wanted}`);
    groups[name === wanted ? 0 : at === 0 ? 1 : isWord ? 2 : 3].push(index);
  });
  const all = groups.flat();
  return { indices: all.slice(0, most), total: all.length };
}

// ---------------------------------------------------------------------------------------- the outbox

/** Acknowledged numbers of a client: a list, or the highest of all without a gap. */
function covers(acknowledged, seq) {
  return Array.isArray(acknowledged) ? acknowledged.includes(seq) : seq <= acknowledged;
}

/** Entries in the order in which they were made; a clock that is set back turns no client's round. */
function inOrder(entries) {
  const latest = new Map();
  const moments = new Map();
  for (const entry of [...entries].sort((a, b) => a.seq - b.seq)) {
    const before = latest.get(entry.client) ?? "";
    const moment = String(entry.at ?? "") > before ? String(entry.at) : before;
    latest.set(entry.client, moment);
    moments.set(entry, moment);
  }
  return [...entries].sort((a, b) => {
    const [one, other] = [moments.get(a), moments.get(b)];
    if (one !== other) return one < other ? -1 : 1;
    return a.client === b.client ? a.seq - b.seq : a.client < b.client ? -1 : 1;
  });
}

/**
 * What was decided and is not acknowledged. Every entry lies in the browser's storage under its own key
 * from the moment it is made, so a reload, a closed tab or a restarted server lose nothing. A document
 * writes under a client id of its own; what closed documents left behind is adopted and sent under
 * their ids, which is harmless even when two do it, because the server takes each number once.
 */
class Outbox {
  constructor(storage, client) {
    this.storage = storage;
    this.client = client;
    this.seq = 0;
    this.entries = new Map();
    this.isStored = !storage.isForbidden;
  }

  static key(entry) {
    return `${PREFIX}${entry.client}/${String(entry.seq).padStart(9, "0")}`;
  }

  get size() {
    return this.entries.size;
  }

  add(act) {
    const entry = { client: this.client, seq: ++this.seq, ...act };
    this.entries.set(Outbox.key(entry), entry);
    // Where the storage is full or forbidden it is still sent from memory.
    if (!put(this.storage, Outbox.key(entry), JSON.stringify(entry))) this.isStored = false;
    return entry;
  }

  /** The oldest entries, in the order in which they were made. */
  pending(most = Infinity, may = () => true) {
    const found = [];
    for (const entry of this.entries.values()) {
      if (found.length >= most) break;
      if (may(entry)) found.push(entry);
    }
    return found;
  }

  /** The oldest entries about datasets that the server knows; another workspace's wait for it. */
  sendable(datasets, most = BATCH) {
    const known = new Set(datasets);
    return this.pending(most, (entry) => known.has(entry.dataset) && !this.#isEarly(entry));
  }

  // An undo of what another document has not sent yet: it would be refused.
  #isEarly({ kind, of }) {
    if (kind !== "undo" || typeof of?.client !== "string") return false;
    const key = Outbox.key(of);
    return !this.entries.has(key) && this.storage.getItem(key) !== null;
  }

  drop(entry) {
    this.entries.delete(Outbox.key(entry));
    try {
      this.storage.removeItem(Outbox.key(entry));
    } catch {
      // nothing is stored where storage is forbidden
    }
  }

  /** Drop what the server has; true if anything went. */
  acknowledge(acks) {
    const before = this.size;
    for (const entry of [...this.entries.values()]) {
      if (entry.client in acks && covers(acks[entry.client], entry.seq)) this.drop(entry);
    }
    return this.size < before;
  }

  /** Drop what the server refused; returns the entries with the reasons. */
  refuse(refused, batch = []) {
    const gone = [];
    for (const { client, seq, index, reason } of refused) {
      // An entry that is broken beyond reading is named by its place in the batch.
      const named = client === null || seq === null ? batch[index] : { client, seq };
      const entry = named && this.entries.get(Outbox.key(named));
      if (!entry) continue;
      this.drop(entry);
      gone.push({ entry, reason });
    }
    return gone;
  }

  /** Clients that left entries in the storage and are not this one's. */
  strangers() {
    const known = new Set([this.client, ...[...this.entries.values()].map((entry) => entry.client)]);
    const found = new Set();
    for (const key of this.#stored()) {
      const client = key.slice(PREFIX.length).split("/")[0];
      if (!known.has(client)) found.add(client);
    }
    return [...found];
  }

  /** Take over what a client left behind; true if there was anything. */
  adopt(client) {
    const before = this.size;
    for (const key of this.#stored().filter((key) => key.startsWith(`${PREFIX}${client}/`)).sort()) {
      try {
        const entry = JSON.parse(this.storage.getItem(key));
        if (Outbox.key(entry) === key) this.entries.set(key, entry);
      } catch {
        this.storage.removeItem(key); // not ours, or torn: nothing could be sent from it
      }
    }
    if (this.size === before) return false;
    // An undo of this document may take back what was adopted just now.
    this.entries = new Map(inOrder([...this.entries.values()]).map((entry) => [Outbox.key(entry), entry]));
    return true;
  }

  /** Forget what another document has sent meanwhile. */
  refresh() {
    if (!this.isStored) return;
    const stored = new Set(this.#stored());
    for (const key of [...this.entries.keys()]) if (!stored.has(key)) this.entries.delete(key);
  }

  #stored() {
    const keys = [];
    try {
      for (let k = 0; k < this.storage.length; k++) {
        const key = this.storage.key(k);
        if (key?.startsWith(PREFIX)) keys.push(key);
      }
    } catch {
      this.isStored = false;
    }
    return keys;
  }
}

/** Store a text; false where the storage is full or forbidden. */
function put(storage, key, text) {
  try {
    storage.setItem(key, text);
    return true;
  } catch {
    return false;
  }
}

/** A storage of the browser, or one that forgets everything where the browser's settings forbid it. */
function storageOf(name) {
  try {
    const storage = globalThis[name];
    storage.getItem("labeltrace");
    return storage;
  } catch {
    const held = new Map();
    return {
      isForbidden: true,
      get length() {
        return held.size;
      },
      key: (k) => [...held.keys()][k] ?? null,
      getItem: (key) => held.get(key) ?? null,
      setItem: (key, value) => held.set(key, String(value)),
      removeItem: (key) => held.delete(key),
    };
  }
}

function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// The one outbox of this document. While a widget that sends is on the page its id is held by a lock
// that ends with the document; a lock that can be had tells that nobody sends for it any more.
class Post {
  constructor() {
    this.storage = storageOf("localStorage");
    this.outbox = new Outbox(this.storage, randomId());
    this.asked = new Set();
    this.taken = new Set();
    this.user = null;
    this.messages = 0; // sent by all widgets of this document: the server answers each number once
    this.sent = null;
    addEventListener("pagehide", () => this.storage.removeItem(`${SEEN}${this.outbox.client}`));
    addEventListener("beforeunload", (event) => {
      // What lies in the storage is sent later; what could not be stored would be lost.
      if (this.outbox.size && !this.outbox.isStored) event.preventDefault();
    });
  }

  /** Send for a widget from now on; its `adopted` is called when entries of closed documents came. */
  open(user) {
    if (this.user) this.close(this.user);
    this.user = user;
    this.outbox.refresh();
    this.hold();
    this.look();
    this.timer = setInterval(() => this.look(), 2000);
  }

  close(user) {
    if (this.user !== user) return;
    this.user = null;
    clearInterval(this.timer);
    this.release?.();
  }

  /** The next message about datasets that the server knows, or null. */
  message(datasets) {
    const entries = this.outbox.sendable(datasets);
    if (entries.length === 0) return null;
    this.sent = { nonce: `${this.outbox.client}-${++this.messages}`, entries };
    return this.sent;
  }

  /** Drop what an answer settles; returns whether anything went, and what was refused. */
  settle(answer) {
    const batch = this.sent?.nonce === answer.nonce ? this.sent.entries : [];
    const went = this.outbox.acknowledge(answer.acks ?? {});
    const refused = this.outbox.refuse(answer.refused ?? [], batch);
    return { went: went || refused.length > 0, refused };
  }

  /** The sentences of conflicts that nobody was told of yet: each meeting of two people is told once. */
  news(conflicts) {
    const told = (this.storage.getItem(TOLD) ?? "").split(" ").filter(Boolean);
    const fresh = (conflicts ?? []).filter(({ id }) => !told.includes(id));
    // Where nothing can be stored it is told again after a reload.
    if (fresh.length) {
      put(this.storage, TOLD, [...told.slice(-500), ...fresh.map(({ id }) => id)].join(" "));
    }
    return fresh.map(({ sentence }) => sentence);
  }

  hold() {
    const held = new Promise((release) => {
      this.release = release;
    });
    this.held = held;
    navigator.locks?.request(`${PREFIX}${this.outbox.client}`, () => held).catch(() => {});
    this.asked.clear();
    this.taken.clear();
  }

  look() {
    const { storage, outbox } = this;
    if (!navigator.locks) put(storage, `${SEEN}${outbox.client}`, String(Date.now()));
    for (const client of outbox.strangers()) {
      if (!navigator.locks) {
        const seen = Number(storage.getItem(`${SEEN}${client}`) ?? 0);
        if (Date.now() - seen < GONE_MS) continue;
        storage.removeItem(`${SEEN}${client}`);
        this.take(client);
      } else if (this.taken.has(client)) {
        this.take(client);
      } else if (!this.asked.has(client)) {
        this.asked.add(client);
        const held = this.held;
        navigator.locks.request(`${PREFIX}${client}`, () => {
          if (this.held !== held) return undefined; // this widget has left meanwhile
          this.take(client);
          return held;
        }).catch(() => this.asked.delete(client));
      }
    }
  }

  take(client) {
    this.taken.add(client);
    if (this.outbox.adopt(client)) this.user?.adopted();
  }
}

/** The post of this document, which all widgets share, each of which is a module of its own. */
function postOffice() {
  globalThis[Symbol.for("labeltrace.post")] ??= new Post();
  return globalThis[Symbol.for("labeltrace.post")];
}
