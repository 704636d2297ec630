// A table of recorded decisions. Everything that people wrote is set as textContent, never as HTML.
// A press becomes a wish with a token of its own; the list of wishes is component state, so that a
// message that is lost or repeated changes nothing twice.

const MOST_WISHES = 32;
const SHORT = 7; // digits of a version that tell it apart at a glance
const VERDICTS = { keep: "Keep", relabel: "Relabel", exclude: "Exclude", unsure: "Unsure" };
const HEADS = ["When", "Person", "Sample", "Given → label", "Verdict", "Shown", "Version", "Outcome", ""];

/** Return a moment in the words of a place and time zone, and the same moment in UTC. */
export function moments(iso, { seconds = true, locale, timeZone } = {}) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return { local: iso, utc: iso };
  const day = { day: "numeric", month: "short", year: "numeric", timeZone };
  const time = { hour: "2-digit", minute: "2-digit", timeZone };
  if (seconds) time.second = "2-digit";
  return {
    local: `${at.toLocaleDateString(locale, day)}, ${at.toLocaleTimeString(locale, time)}`,
    utc: `${iso.slice(0, 19).replace("T", " ")} UTC`,
  };
}

/** Say what became of a decision. */
export function fate(row) {
  if (row.state === "stands") return "Stands";
  if (row.state === "undone") return `Undone by ${row.by}`;
  return `Replaced by ${row.by}`;
}

/** Say what a person had before them. */
export function shown(row) {
  if (row.method === null) return "–";
  return row.rank === null ? row.method : `${row.method}, rank ${row.rank}`;
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function time(iso, options) {
  const { local, utc } = moments(iso, options);
  const made = element("time", "", local);
  made.dateTime = iso;
  made.title = utc;
  return made;
}

function labels(row) {
  const cell = element("td", "labels");
  cell.append(element("span", row.given === null ? "none" : "name", row.given ?? "no label"));
  const is_other = row.verdict === "relabel";
  if (is_other) {
    cell.append(element("span", "arrow", " → "), element("span", "name new", row.label ?? ""));
  }
  return cell;
}

function drawn(row, act, open) {
  const line = element("tr", row.state);
  line.dataset.number = row.number;

  const when = element("td", "when");
  when.append(time(row.at));

  const sample = element("td", "sample");
  const link = element("a", "", row.sample_key);
  link.href = row.address;
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    open(row.sample_key);
  });
  sample.append(link);
  if (row.note) sample.append(element("p", "note", row.note));

  const verdict = element("td");
  verdict.append(element("span", `verdict ${row.verdict}`, VERDICTS[row.verdict] ?? row.verdict));

  const now = element("td", "now");
  now.append(element("span", "fate", fate(row)));
  if (row.by_at !== null) {
    const detail = element("p", "detail");
    if (row.state === "replaced") detail.append(`“${row.by_verdict}” `);
    detail.append(time(row.by_at, { seconds: false }));
    now.append(detail);
  }

  const version = element("td", "version", row.version.slice(0, SHORT));
  version.title = row.version;

  const acts = element("td", "acts");
  const name = row.state === "stands" ? "Undo" : "Decide again";
  const button = element("button", "", name);
  button.type = "button";
  button.setAttribute("aria-label", `${name}: ${row.verdict} on ${row.sample_key} by ${row.reviewer}`);
  button.addEventListener("click", () => {
    button.setAttribute("aria-disabled", "true");
    act(row.state === "stands" ? "undo" : "again", row.number);
  });
  const back = element("button", "quiet", "Back to here");
  back.type = "button";
  back.setAttribute("aria-label", `Back to here: take back what came after ${row.number}`);
  back.title = "Look at what taking back everything after this decision would do";
  back.addEventListener("click", () => act("after", row.number));
  acts.append(button, back);

  line.append(
    when,
    element("td", "person", row.reviewer),
    sample,
    labels(row),
    verdict,
    element("td", "shown", shown(row)),
    version,
    now,
    acts,
  );
  return line;
}

function head() {
  const line = element("tr");
  for (const name of HEADS) {
    const cell = element("th", "", name);
    cell.scope = "col";
    if (!name) cell.append(element("span", "unseen", "Take back or decide again"));
    line.append(cell);
  }
  const made = element("thead");
  made.append(line);
  return made;
}

const wishesOf = new WeakMap();

export default function ({ parentElement, data, setStateValue, setTriggerValue }) {
  const frame = parentElement.querySelector(".frame");
  for (const [name, colour] of Object.entries(data.colours)) {
    frame.style.setProperty(`--${name}`, colour);
  }
  const act = (kind, number) => {
    const wish = { token: crypto.randomUUID?.() ?? token(), act: kind, number };
    const wishes = [...(wishesOf.get(parentElement) ?? []), wish].slice(-MOST_WISHES);
    wishesOf.set(parentElement, wishes);
    setStateValue("wishes", wishes);
  };
  const body = element("tbody");
  const open = (key) => setTriggerValue("open", key);
  body.append(...data.rows.map((row) => drawn(row, act, open)));
  const table = element("table");
  table.append(head(), body);
  // The button that was pressed is drawn anew: whoever works by keyboard stays in its row.
  const focused = frame.getRootNode().activeElement?.closest?.("tr")?.dataset.number;
  frame.replaceChildren(table);
  if (focused) frame.querySelector(`tr[data-number="${focused}"] button`)?.focus();
}

// Only secure contexts have randomUUID, and a dashboard may be reached by plain http.
function token() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
