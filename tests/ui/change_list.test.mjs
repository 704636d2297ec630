// What the list of changes computes in the browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { plain } from "./sources.mjs";

const { chosen, moments, place } = await plain("change_list/list.js");

test("a tile lies in its row and column of the sheet", () => {
  const data = { sheet: "api/x", side: 64, columns: 10, n_tiles: 13 };
  assert.deepEqual(place(12, data), {
    backgroundImage: 'url("api/x")',
    backgroundPosition: "-128px -64px",
    backgroundSize: "640px 128px",
  });
});

test("every row with a choice to make is told, chosen or not", () => {
  const rows = [
    { sample_key: "a", choices: [{}, {}] },
    { sample_key: "b", choices: [] },
    { sample_key: "c", choices: [{}, {}] },
  ];
  assert.deepEqual(chosen(rows, new Map([["a", "ann"]])), { a: "ann", c: null });
});

test("a time is said in a place's words, and in UTC", () => {
  const told = moments("2026-11-03T10:12:00Z", { locale: "en-GB", timeZone: "Asia/Tokyo" });
  assert.equal(told.local, "3 Nov 2026, 19:12");
  assert.equal(told.utc, "2026-11-03 10:12:00 UTC");
  assert.equal(moments("soon").local, "soon");
});
