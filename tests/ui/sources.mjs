// Loads a widget's JavaScript as the browser gets it: after outbox.js where the widget decides.
import { readFileSync } from "node:fs";

const read = (path) => readFileSync(new URL(`../../audit/ui/${path}`, import.meta.url), "utf8");

const load = (source) => import(`data:text/javascript;base64,${Buffer.from(source).toString("base64")}`);

export const plain = (path) => load(read(path));

export const deciding = (path) =>
  load(`${read("outbox/outbox.js")}\n${read(path)}\nexport { Outbox, Post, fold, search };`);
