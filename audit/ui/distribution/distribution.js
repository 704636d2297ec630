// The distribution of a method's quantity as bars from a finished histogram: no values ever travel.
// Drawn by hand, because a plotting library costs more time than everything else on its page.

const SVG = "http://www.w3.org/2000/svg";

/** Return round numbers between two bounds, about as many as wanted. */
export function ticks(low, high, wanted = 5) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((size) => size >= rough * 0.999);
  const marks = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n += 1) {
    const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    marks.push(Number((n * step).toFixed(decimals)));
  }
  return marks;
}

/** Return whether the middle of a bar lies on the suspect side of a cut. */
export function isSuspect(middle, cut, lowIsSuspect) {
  return cut !== null && (lowIsSuspect ? middle <= cut : middle >= cut);
}

function shape(name, className, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  if (className) made.setAttribute("class", className);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  parent.append(made);
  return made;
}

class Distribution {
  constructor(root) {
    this.figure = root.querySelector("figure");
    this.svg = root.querySelector("svg");
    this.marks = root.querySelector(".ticks");
    this.caption = root.querySelector("figcaption");
    this.svg.addEventListener("pointermove", (event) => this.say(this.valueAt(event)));
    this.svg.addEventListener("pointerleave", () => this.say(null));
    this.svg.addEventListener("click", (event) => {
      const { low, step } = this.data;
      const value = low + Math.round((this.valueAt(event) - low) / step) * step;
      this.component.setTriggerValue("cut", value);
    });
  }

  update(component) {
    this.component = component;
    const { data } = component;
    const drawn = JSON.stringify(data);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.data = data;
    for (const [name, colour] of Object.entries(data.colours)) {
      this.figure.style.setProperty(`--${name}`, colour);
    }
    this.svg.setAttribute("aria-label", data.alt);
    this.draw();
  }

  draw() {
    const { low, high, counts, threshold, band, cut } = this.data;
    const width = (high - low) / counts.length;
    const across = (value) => ((value - low) / (high - low)) * 1000;
    this.svg.setAttribute("viewBox", "0 0 1000 100");
    this.svg.replaceChildren();
    if (band) {
      const [from, to] = band.map(across);
      shape("rect", "band", { x: from, y: 0, width: to - from, height: 100 }, this.svg);
    }
    const largest = Math.max(1, ...counts);
    counts.forEach((count, index) => {
      if (!count) return;
      const middle = low + (index + 0.5) * width;
      const height = Math.max(0.8, (count / largest) * 96);
      const side = isSuspect(middle, cut, this.data.low_is_suspect) ? "bar suspect" : "bar";
      const x = across(low + index * width) + 0.8;
      shape("rect", side, { x, y: 100 - height, width: across(low + width) - 1.6, height }, this.svg);
    });
    if (threshold) {
      const tallest = Math.max(1e-9, ...threshold);
      let path = "M0 101";
      threshold.forEach((rows, index) => {
        const y = 101 - (rows / tallest) * 90;
        path += `L${across(low + index * width)} ${y}L${across(low + (index + 1) * width)} ${y}`;
      });
      shape("path", "rows", { d: `${path}L1000 101` }, this.svg);
    }
    if (cut !== null) {
      shape("line", "cut", { x1: across(cut), x2: across(cut), y1: 0, y2: 100 }, this.svg);
    }
    this.marks.replaceChildren(
      ...ticks(low, high).map((value) => {
        const mark = document.createElement("span");
        mark.textContent = String(value).replace("-", "−");
        mark.style.left = `clamp(0.8rem, ${across(value) / 10}%, calc(100% - 0.8rem))`;
        return mark;
      }),
    );
    this.say(null);
  }

  valueAt(event) {
    const box = this.svg.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    return this.data.low + share * (this.data.high - this.data.low);
  }

  say(value) {
    const { low, high, counts, threshold, precision, name, unit } = this.data;
    const parts = [[null, `${name}${unit ? ` in ${unit}` : ""}`]];
    if (value !== null) {
      const at = Math.min(counts.length - 1, Math.floor(((value - low) / (high - low)) * counts.length));
      const rows = threshold ? `, ${Math.round(threshold[at])} threshold rows` : "";
      parts[0] = [null, `${counts[at].toLocaleString("en")} samples${rows} near ${value.toPrecision(2)}`];
      const edge = Math.round(((value - low) / (high - low)) * counts.length);
      if (precision && precision[edge] !== null) {
        parts.push([null, `a cut here: about ${precision[edge]} % of its suspects are wrong`]);
      }
    } else if (threshold) {
      parts.push(["threshold", "threshold rows"]);
    }
    this.caption.replaceChildren(
      ...parts.map(([colour, text]) => {
        const part = document.createElement("span");
        if (colour) {
          const swatch = document.createElement("i");
          swatch.style.background = `var(--${colour})`;
          part.append(swatch);
        }
        part.append(text);
        return part;
      }),
    );
  }
}

const drawn = new WeakMap();

export default function (component) {
  const { parentElement } = component;
  if (!drawn.has(parentElement)) drawn.set(parentElement, new Distribution(parentElement));
  drawn.get(parentElement).update(component);
  return () => drawn.delete(parentElement);
}
