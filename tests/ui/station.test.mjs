// Logic of the review station that needs no browser; run by test_ui_station_logic.py.
import assert from "node:assert/strict";
import test from "node:test";
import { deciding } from "./sources.mjs";

const { act, isTaken, mayRepeat, mediaType, perMinute, quietAfter, settle, unpack } = await deciding(
  "review_station/station.js",
);

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

test("a message of one who looks first only lets the next picture be painted; a flood waits for a pause", () => {
  const alone = quietAfter([5000]);
  assert.equal(quietAfter([4000, 5000]), alone);
  assert.equal(quietAfter([]), alone);
  const pressed = quietAfter([4000, 4950, 5000]);
  assert.ok(alone < pressed, `${alone} ms must be less than ${pressed} ms`);
  // Longer than the gap of such a flood, or a message would leave between two of its keys.
  assert.ok(pressed > 50);
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
