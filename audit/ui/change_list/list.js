// Samples with thumbnails and what their labels become. Everything that people wrote is set as
// textContent, never as HTML. Where people disagree, radio buttons say whose decision stands.

/** Return a moment in the words of a place and time zone, and the same moment in UTC. */
export function moments(iso, { locale, timeZone } = {}) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return { local: iso, utc: iso };
  const day = { day: "numeric", month: "short", year: "numeric", timeZone };
  const time = { hour: "2-digit", minute: "2-digit", timeZone };
  return {
    local: `${at.toLocaleDateString(locale, day)}, ${at.toLocaleTimeString(locale, time)}`,
    utc: `${iso.slice(0, 19).replace("T", " ")} UTC`,
  };
}

/** Return where a tile lies on a sheet, as styles. */
export function place(number, { sheet, side, columns, n_tiles: tiles }) {
  const rows = Math.ceil(tiles / columns);
  return {
    backgroundImage: `url("${sheet}")`,
    backgroundPosition: `-${(number % columns) * side}px -${Math.floor(number / columns) * side}px`,
    backgroundSize: `${columns * side}px ${rows * side}px`,
  };
}

/** Return the choice of every row in which one is to be made, null for none. */
export function chosen(rows, picked) {
  const open = rows.filter((row) => row.choices.length);
  return Object.fromEntries(
    open.map((row) => [row.sample_key, picked.get(row.sample_key) ?? null]),
  );
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function time(iso) {
  const { local, utc } = moments(iso);
  const made = element("time", "faint", local);
  made.dateTime = iso;
  made.title = utc;
  return made;
}

function picture(row, data) {
  const made = element("span", "picture");
  made.style.width = made.style.height = `${data.side}px`;
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", `Image of ${row.sample_key}`);
  if (row.place !== null && data.sheet !== null) Object.assign(made.style, place(row.place, data));
  return made;
}

function sample(row, open) {
  const made = element("div", "sample");
  const link = element("a", "", row.sample_key);
  link.href = row.address;
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    open(row.sample_key);
  });
  made.append(link, element("p", "faint", `given ${row.given ?? "no label"}`));
  return made;
}

function labels(row) {
  const made = element("div", "labels");
  row.labels.forEach((label, place) => {
    if (place) made.append(element("span", "arrow", " → "));
    made.append(element("span", place === row.labels.length - 1 ? "new" : "", label));
  });
  return made;
}

function who(row) {
  const made = element("div", "who");
  if (row.by !== null) made.append(element("p", "", row.by));
  if (row.at !== null) made.append(time(row.at));
  return made;
}

function option(group, checked, choose, parts) {
  const made = element("label");
  const input = element("input");
  input.type = "radio";
  input.name = group;
  input.checked = checked;
  input.addEventListener("change", choose);
  const text = element("span");
  text.append(...parts);
  made.append(input, text);
  return made;
}

function choices(row, number, choose) {
  const made = element("fieldset");
  made.setAttribute("aria-label", `Whose decision stands on ${row.sample_key}`);
  const group = `choice-${number}`;
  made.append(
    option(group, row.chosen === null, () => choose(null), [
      "Not chosen: ",
      element("span", "faint", row.unless),
    ]),
  );
  for (const one of row.choices) {
    made.append(
      option(group, row.chosen === one.name, () => choose(one.name), [
        element("strong", "", one.name),
        `: ${one.says} `,
        element("span", "faint", `${one.detail}, `),
        time(one.at),
      ]),
    );
  }
  return made;
}

export default function ({ parentElement, data, setStateValue, setTriggerValue }) {
  const frame = parentElement.querySelector(".frame");
  frame.setAttribute("aria-label", data.title);
  for (const [name, colour] of Object.entries(data.colours)) {
    frame.style.setProperty(`--${name}`, colour);
  }
  const picked = new Map(data.rows.map((row) => [row.sample_key, row.chosen]));
  const open = (key) => setTriggerValue("open", key);
  const list = element("ul");
  data.rows.forEach((row, number) => {
    const line = element("li", row.choices.length ? "to-choose" : "");
    line.append(picture(row, data), sample(row, open));
    if (row.choices.length) {
      const choose = (name) => {
        picked.set(row.sample_key, name);
        setStateValue("choices", chosen(data.rows, picked));
      };
      line.append(choices(row, number, choose));
    } else {
      line.append(labels(row), who(row));
    }
    list.append(line);
  });
  // What is chosen is drawn anew: whoever works by keyboard stays where they are.
  const active = frame.getRootNode().activeElement;
  const at = active?.name ? [active.name, active.closest("fieldset")?.querySelectorAll("input")] : null;
  const number = at?.[1] ? Array.from(at[1]).indexOf(active) : -1;
  frame.replaceChildren(list);
  if (number >= 0) frame.querySelectorAll(`input[name="${at[0]}"]`)[number]?.focus();
}
