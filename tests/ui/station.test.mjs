// Logic of the review station that needs no browser; run by test_ui_station_logic.py.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

const file = new URL("../../audit/ui/review_station/station.js", import.meta.url);
const source = readFileSync(file, "utf8");
const { Outbox, act, fold, isTaken, mayRepeat, mediaType, perMinute, search, settle, unpack } = await import(
  `data:text/javascript;base64,${Buffer.from(source).toString("base64")}`
);

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

const press = (key, more = {}) => act({ key, code: "", ctrlKey: false, metaKey: false, altKey: false, ...more });

test("letters mean the same with and without capitals", () => {
  assert.deepEqual(press("k"), { name: "keep" });
  assert.deepEqual(press("K"), { name: "keep" });
});

test("keys with Ctrl, Meta or Alt and keys that compose text mean nothing", () => {
  for (const held of ["ctrlKey", "metaKey", "altKey", "isComposing"]) {
    assert.equal(press("k", { [held]: true }), null);
  }
  assert.equal(press("Enter", { keyCode: 229 }), null);
});

test("a slash above a digit searches and a digit under a letter still counts", () => {
  assert.deepEqual(press("/", { code: "Digit7", shiftKey: true }), { name: "search" });
  assert.deepEqual(press("&", { code: "Digit1" }), { name: "nth", nth: 1 });
  assert.equal(press("!", { code: "Digit1", shiftKey: true }), null);
});

test("only looking back and forth goes on while a key is held", () => {
  const names = ["keep", "accept", "nth", "exclude", "unsure", "undo", "note", "search", "help", "zoom"];
  assert.deepEqual(names.filter(mayRepeat), []);
  assert.ok(mayRepeat("back") && mayRepeat("forth"));
});

test("keys in fields, lists and dialogs are taken", () => {
  const node = (tagName, role = null, more = {}) => ({ tagName, getAttribute: () => role, ...more });
  const body = node("BODY");
  for (const taken of [node("INPUT"), node("TEXTAREA"), node("SELECT"), node("DIALOG"), node("DIV", "listbox"),
    node("DIV", "dialog"), node("DIV", null, { isContentEditable: true })]) {
    assert.ok(isTaken([taken, body, {}]));
  }
  assert.ok(!isTaken([node("BUTTON"), node("DIV", "group"), body, {}]));
});

test("relabelling to the given label keeps it", () => {
  assert.deepEqual(settle("relabel", "cat", "cat"), { verdict: "keep", label: "cat" });
  assert.deepEqual(settle("relabel", "dog", "cat"), { verdict: "relabel", label: "dog" });
  assert.deepEqual(settle("exclude", "dog", "cat"), { verdict: "exclude", label: null });
});

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

test("the pace regards the last decisions without long pauses", () => {
  assert.equal(perMinute([0, 1000]), null);
  assert.equal(perMinute([0, 1000, 2000, 3000]), 60);
  assert.equal(perMinute([0, 900000, 902000, 904000, 906000]), 30);
});

test("a pack is taken apart, and one that ends early is an error", () => {
  const pack = new Uint8Array([2, 0, 0, 0, 0xff, 0xd8, 0, 0, 0, 0, 1, 0, 0, 0, 7]).buffer;
  const parts = unpack(pack, 3);
  assert.deepEqual([...parts[0]], [0xff, 0xd8]);
  assert.equal(parts[1], null);
  assert.deepEqual([...parts[2]], [7]);
  assert.equal(mediaType(parts[0]), "image/jpeg");
  assert.throws(() => unpack(pack.slice(0, 12), 3));
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
  assert.deepEqual(outbox.pending().slice(1).map((entry) => entry.seq), [...Array(12).keys()].map((k) => k + 1));
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
