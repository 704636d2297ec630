// Logic of gallery, confusion table and distribution that needs no browser; run by test_ui_gallery.py.
import assert from "node:assert/strict";
import test from "node:test";
import { deciding, plain } from "./sources.mjs";

const gallery = await deciding("gallery/gallery.js");
const { ticks, isSuspect } = await plain("distribution/distribution.js");
const confusion = await plain("confusion/confusion.js");

const tile = {
  position: 4, key: "a/b.png", given: "cat", suggested: "dog", suspicion: 0.987, rank: 3, flagged: true,
  verdict: null, label: null, decision: null, problem: null,
};

test("a tile is described in words, with what is decided", () => {
  assert.equal(
    gallery.describe(tile),
    "rank 3, a/b.png, given cat, suggested dog, suspicion 0.99, flagged, undecided",
  );
  const bare = { ...tile, given: null, suggested: null, suspicion: null, rank: null, flagged: false };
  assert.equal(gallery.describe({ ...bare, problem: "The file is empty." }),
    "not scored, a/b.png, no given label, The file is empty., undecided");
  assert.match(gallery.describe({ ...tile, verdict: "relabel", label: "fox" }), /relabelled to fox$/);
  assert.match(gallery.describe({ ...tile, verdict: "exclude" }), /excluded$/);
});

test("an act means a verdict and a label, or nothing where it cannot be done", () => {
  assert.deepEqual(gallery.meant("keep", tile), ["keep", "cat"]);
  assert.deepEqual(gallery.meant("suggestion", tile), ["relabel", "dog"]);
  assert.deepEqual(gallery.meant("relabel", tile, "fox"), ["relabel", "fox"]);
  assert.deepEqual(gallery.meant("relabel", tile, "cat"), ["keep", "cat"]);
  assert.deepEqual(gallery.meant("exclude", tile), ["exclude", null]);
  assert.equal(gallery.meant("keep", { ...tile, given: null }), null);
  assert.equal(gallery.meant("suggestion", { ...tile, suggested: null }), null);
});

test("a tile stands as the acts that are not sent yet say, in their order", () => {
  const about = { dataset: "d", key: tile.key };
  const kept = { ...about, client: "a", seq: 1, kind: "decide", verdict: "keep", label: "cat" };
  const dropped = { ...about, client: "a", seq: 2, kind: "decide", verdict: "exclude", label: null };
  const undo = { ...about, client: "a", seq: 3, kind: "undo", of: { client: "a", seq: 2 } };
  const verdict = (...entries) => gallery.standing(tile, "d", entries).verdict;
  assert.equal(verdict(kept, dropped), "exclude");
  assert.equal(verdict(kept, dropped, undo), "keep");
  assert.equal(verdict({ ...kept, dataset: "other" }, { ...kept, key: "b" }), null);
  const decided = { ...tile, verdict: "exclude" };
  assert.equal(gallery.standing(decided, "d", [undo]).verdict, null);
  assert.equal(gallery.standing(decided, "d", [{ ...undo, before: { verdict: "unsure" } }]).verdict, "unsure");
});

test("arrows stay inside the grid, home and end reach its corners, other keys move nothing", () => {
  const from = (key, at) => gallery.moved(key, at, 10, 4);
  assert.deepEqual(["ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown"].map((key) => from(key, 0)), [0, 0, 1, 4]);
  assert.equal(from("ArrowDown", 7), 7);
  assert.deepEqual([from("Home", 5), from("End", 5), from("x", 5)], [0, 9, null]);
});

test("ticks are round numbers inside the range", () => {
  assert.deepEqual(ticks(-3.9, 4.05), [-2, 0, 2, 4]);
  assert.deepEqual(ticks(0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  for (const [low, high] of [[1e-9, 2e-9], [-4e8, 9e8], [0.3, 0.31]]) {
    const marks = ticks(low, high);
    assert.ok(marks.length >= 2 && marks.length <= 8, `${marks}`);
    assert.ok(marks[0] >= low * (1 - 1e-9) - 1e-12 || low < 0);
  }
});

test("a bar is suspect on the suspect side of the cut alone", () => {
  assert.ok(isSuspect(-1, 0, true) && !isSuspect(1, 0, true));
  assert.ok(isSuspect(1, 0, false) && !isSuspect(-1, 0, false));
  assert.ok(!isSuspect(-1, null, true));
});

test("a cell says how many samples it holds, and larger counts are stronger", () => {
  const names = { 3: "cat", 5: "dog" };
  assert.equal(confusion.describe({ given: 3, suggested: 5, n_samples: 1 }, names), "1 sample given cat, suggested dog");
  assert.ok(confusion.strength(1, 400) > 0.1);
  assert.ok(confusion.strength(100, 400) < confusion.strength(400, 400));
  assert.equal(confusion.strength(0, 400), 0);
});
