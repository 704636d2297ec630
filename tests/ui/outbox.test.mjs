// What all widgets that decide have in common: outbox and search; run by test_ui_outbox.py.
import assert from "node:assert/strict";
import test from "node:test";
import { deciding } from "./sources.mjs";

const { Outbox, Post, fold, search } = await deciding("gallery/gallery.js");

class Storage {
  #held = new Map();
  isFull = false;
  get length() { return this.#held.size; }
  key(k) { return [...this.#held.keys()][k] ?? null; }
  getItem(key) { return this.#held.get(key) ?? null; }
  setItem(key, value) {
    if (this.isFull) throw new Error("QuotaExceededError");
    this.#held.set(key, value);
  }
  removeItem(key) { this.#held.delete(key); }
}

test("search puts names that begin with the text first and ignores case and accents", () => {
  const names = ["Crème brûlée", "brussels griffon", "ice BREAD", "sabre", "Bre"].map(fold);
  assert.deepEqual(search(names, "bre").indices, [4, 2, 3]);
  assert.deepEqual(search(names, "BRU").indices, [1, 0]);
  assert.deepEqual(search(names, "", 2), { indices: [0, 1], total: 5 });
  assert.deepEqual(search(names, "nothing"), { indices: [], total: 0 });
});

test("search answers at once for twenty thousand classes", () => {
  const names = Array.from({ length: 20000 }, (_, k) => `class ${k}`);
  const found = search(names, "class 1999", 60);
  assert.equal(names[found.indices[0]], "class 1999");
  assert.equal(found.total, 11);
});

test("an entry stays until it is acknowledged, alone or with all before it", () => {
  const storage = new Storage();
  const outbox = new Outbox(storage, "me");
  for (const key of ["a", "b", "c"]) outbox.add({ key });
  assert.equal(storage.length, 3);
  assert.ok(outbox.acknowledge({ me: [2], somebody: [1] }));
  assert.deepEqual(outbox.pending().map((entry) => entry.key), ["a", "c"]);
  outbox.acknowledge({ me: 3 });
  assert.equal(outbox.size + storage.length, 0);
  assert.ok(!outbox.acknowledge({ me: 3 }));
});

test("what a closed tab left is adopted under its own numbers, in order", () => {
  const storage = new Storage();
  const closed = new Outbox(storage, "closed");
  for (let k = 0; k < 12; k++) closed.add({ key: `sample ${k}` });
  const outbox = new Outbox(storage, "me");
  outbox.add({ key: "own" });
  assert.deepEqual(outbox.strangers(), ["closed"]);
  assert.ok(outbox.adopt("closed"));
  assert.deepEqual(outbox.pending().filter(({ client }) => client === "closed").map((entry) => entry.seq), [...Array(12).keys()].map((k) => k + 1));
  assert.deepEqual(outbox.strangers(), []);
  outbox.acknowledge({ closed: 12, me: [1] });
  assert.equal(storage.length, 0);
});

test("what another document has sent meanwhile is forgotten", () => {
  const storage = new Storage();
  const outbox = new Outbox(storage, "me");
  const entry = outbox.add({ key: "a" });
  storage.removeItem(Outbox.key(entry));
  outbox.refresh();
  assert.equal(outbox.size, 0);
  assert.equal(outbox.add({ key: "b" }).seq, 2, "a number is never used twice");
});

test("a full storage keeps entries in memory and says so", () => {
  const storage = new Storage();
  const outbox = new Outbox(storage, "me");
  storage.isFull = true;
  outbox.add({ key: "a" });
  assert.ok(!outbox.isStored);
  outbox.refresh();
  assert.equal(outbox.pending().length, 1);
});

test("refused entries leave, also those that are named by their place only", () => {
  const outbox = new Outbox(new Storage(), "me");
  const batch = [outbox.add({ key: "a" }), outbox.add({ key: "b" }), outbox.add({ key: "c" })];
  const gone = outbox.refuse([
    { client: "me", seq: 1, index: 0, reason: "no such class" },
    { client: null, seq: null, index: 2, reason: "broken" },
    { client: "else", seq: 9, index: 3, reason: "not ours" },
  ], batch);
  assert.deepEqual(gone.map(({ entry, reason }) => [entry.key, reason]), [["a", "no such class"], ["c", "broken"]]);
  assert.deepEqual(outbox.pending().map((entry) => entry.key), ["b"]);
});

test("torn entries of a stranger are dropped and do not hinder the others", () => {
  const storage = new Storage();
  new Outbox(storage, "closed").add({ key: "a" });
  storage.setItem("labeltrace.outbox/closed/000000002", '{"client": "clo');
  const outbox = new Outbox(storage, "me");
  assert.ok(outbox.adopt("closed"));
  assert.equal(outbox.size, 1);
  assert.equal(storage.length, 1);
});

test("only what is about datasets of this server is sent, the rest stays", () => {
  const storage = new Storage();
  const outbox = new Outbox(storage, "me");
  for (const dataset of ["here", "elsewhere", "here"]) outbox.add({ dataset });
  assert.deepEqual(outbox.sendable(["here", "other"]).map(({ seq }) => seq), [1, 3]);
  assert.equal(outbox.sendable(["here"], 1).length, 1);
  outbox.acknowledge({ me: [1, 3] });
  assert.deepEqual(new Outbox(storage, "next").strangers(), ["me"], "it waits for its own server");
});

test("an undo waits for the decision of a closed tab and follows it", () => {
  const storage = new Storage();
  const closed = new Outbox(storage, "zzz");
  const kept = closed.add({ dataset: "d", kind: "decide", at: "2026-01-01T00:00:05.000Z" });
  closed.add({ dataset: "d", kind: "decide", at: "2026-01-01T00:00:01.000Z" }); // the clock was set back
  const outbox = new Outbox(storage, "me");
  outbox.add({ dataset: "d", kind: "undo", at: "2026-01-01T00:00:09.000Z", of: { client: "zzz", seq: kept.seq } });
  assert.deepEqual(outbox.sendable(["d"]), []);
  outbox.adopt("zzz");
  assert.deepEqual(outbox.sendable(["d"]).map(({ client, seq }) => client + seq), ["zzz1", "zzz2", "me1"]);
  const stored = outbox.add({ dataset: "d", kind: "undo", of: { client: "sent long ago", seq: 3 } });
  assert.ok(outbox.sendable(["d"]).includes(stored));
});

test("a browser whose storage is full or forbidden still sends, and is asked before it forgets", () => {
  for (const isForbidden of [true, false]) {
    const storage = new Storage();
    storage.isFull = !isForbidden;
    const asks = {};
    globalThis.addEventListener = (kind, call) => { asks[kind] = call; };
    Object.defineProperty(globalThis, "localStorage", {
      configurable: true,
      get: () => { if (isForbidden) throw new Error("SecurityError"); return storage; },
    });
    Object.defineProperty(globalThis, "navigator", { configurable: true, value: {} });
    const post = new Post();
    const user = { adopted() {} };
    post.open(user);
    post.outbox.add({ dataset: "d", kind: "decide" });
    assert.equal(post.message(["d"]).entries.length, 1);
    let isAsked = false;
    const leaving = { preventDefault() { isAsked = true; } };
    asks.beforeunload(leaving);
    assert.ok(isAsked);
    assert.ok(post.settle({ nonce: post.sent.nonce, acks: { [post.outbox.client]: [1] } }).went);
    isAsked = false;
    asks.beforeunload(leaving);
    assert.ok(!isAsked);
    assert.deepEqual(post.news([{ id: "1-2", sentence: "Ada kept it." }]), ["Ada kept it."]);
    post.close(user);
  }
});
