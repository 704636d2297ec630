"""One sample's image, as large as its place allows; small ones enlarged by whole pixels."""

from typing import Any

from streamlit.components.v2 import component

SIDE = 1024
"""Longest side that is asked for, in pixels."""

_HTML = """
<figure>
  <a target="_blank"><img decoding="async" alt=""></a>
  <figcaption role="status"></figcaption>
</figure>
"""

_CSS = """
figure { margin: 0; box-sizing: border-box; width: 100%; aspect-ratio: 1; max-height: var(--height);
  display: grid; place-items: center; overflow: hidden; background: var(--st-secondary-background-color);
  grid-template: minmax(0, 1fr) / minmax(0, 1fr);
  border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius); }
a { display: grid; place-items: center; width: 100%; height: 100%; overflow: hidden; }
a:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: -3px; }
img { display: block; }
img.is-enlarged { image-rendering: pixelated; }
figcaption { display: none; padding: 1.5rem; text-align: center; max-width: 40ch;
  font-family: var(--st-font); color: var(--st-text-color); }
figure.has-failed a { display: none; }
figure.has-failed figcaption { display: block; }
"""

_JS = """
const watched = new WeakMap();

function fit(place, image) {
  const wide = image.naturalWidth, high = image.naturalHeight;
  if (!wide || !high || !place.clientWidth) return;
  let times = Math.min(place.clientWidth / wide, place.clientHeight / high);
  const isEnlarged = times >= 2;
  if (isEnlarged) times = Math.floor(times);
  image.classList.toggle("is-enlarged", isEnlarged);
  image.style.width = `${Math.round(wide * times)}px`;
  image.style.height = `${Math.round(high * times)}px`;
}

async function explain(source, caption, image) {
  let reason = "";
  try {
    const answer = await fetch(source);
    if (!answer.ok) reason = (await answer.json()).error || "";
  } catch {
    reason = "The server does not answer.";
  }
  if (image.getAttribute("src") === source) caption.textContent = `This image cannot be shown. ${reason}`;
}

export default function ({ data, parentElement }) {
  const figure = parentElement.querySelector("figure");
  const [link, image, caption] = ["a", "img", "figcaption"].map((name) => figure.querySelector(name));
  figure.style.setProperty("--height", `${data.height}px`);
  if (!watched.has(figure)) {
    const observer = new ResizeObserver(() => fit(link, image));
    observer.observe(figure);
    watched.set(figure, observer);
    image.onload = () => { figure.classList.remove("has-failed"); fit(link, image); };
    image.onerror = () => {
      figure.classList.add("has-failed");
      explain(image.getAttribute("src"), caption, image);
    };
  }
  image.alt = data.alt;
  link.title = "Open in a new tab";
  link.href = data.source;
  if (image.getAttribute("src") !== data.source) {
    // Nothing of the sample before may stand beside the labels of this one.
    image.style.width = image.style.height = "0";
    image.src = data.source;
  }
  return () => { watched.get(figure)?.disconnect(); watched.delete(figure); };
}
"""

_component = component("labeltrace.sample_image", html=_HTML, css=_CSS, js=_JS)


def draw(dataset_id: str, position: int, *, alt: str, height: int = 340) -> None:
    """Draw a sample's image; where it cannot be read, the reason stands in its place.

    Parameters
    ----------
    dataset_id, position
        The sample.
    alt
        What somebody hears who does not see it.
    height
        Of its place at most, in pixels; where that is narrower, it is a square.
    """
    data: dict[str, Any] = {"source": address(dataset_id, position), "alt": alt, "height": height}
    _component(key="sample-image", data=data)


def address(dataset_id: str, position: int) -> str:
    """Return where a sample's image is served."""
    return f"api/datasets/{dataset_id}/image/{position}?side={SIDE}"
