"""The review station in a real browser, against a real server and its database."""

import re
import shutil
from types import SimpleNamespace

import pytest
from playwright.sync_api import expect

from audit.records.decision import Decision, Undo
from audit.store import decisions
from audit.workbench.shelf import Shelf

pytestmark = pytest.mark.browser

IN_STATION = "document.querySelector('[data-testid=stBidiComponentIsolated]')?.shadowRoot"


class Desk:
    """A tab on the review page of a dataset, and the log that its server writes."""

    def __init__(self, tab, server, name):
        self.tab, self.server, self.name = tab, server, name
        self.shelf = Shelf.open(server.workspace)
        self.dataset = self.shelf.dataset(name)

    def open(self, query="", *, waits=True):
        self.tab.goto(f"{self.server.url}/review?dataset={self.name}{query}")
        if waits:
            self.part("review-image").and_(self.tab.locator("[data-sample-key]")).wait_for()
        return self

    def part(self, test_id):
        return self.tab.get_by_test_id(test_id)

    @property
    def key(self):
        return self.part("review-image").get_attribute("data-sample-key")

    def press(self, *keys):
        """Press keys, each once the last one's image is painted; return the samples decided on."""
        seen = []
        for key in keys:
            seen.append(self.key)
            self.tab.keyboard.press(key)
            self.wait(
                f"s => s.querySelector('[data-testid=review-image]').dataset.sampleKey !== {seen[-1]!r}"
            )
        return seen

    def wait(self, condition):
        self.tab.wait_for_function(
            f"() => {{ const s = {IN_STATION}; return s && ({condition})(s); }}"
        )

    def says(self, text):
        self.tab.get_by_role("status").filter(has_text=text).first.wait_for()

    def unsent(self, n):
        self.wait(f"s => s.querySelector('[data-testid=review-unsent]').textContent === '{n}'")

    def log(self):
        """Return the log as (key, verdict or "undo", label) once everything is sent."""
        self.unsent(0)
        return [
            (e.sample_key, "undo", None)
            if isinstance(e, Undo)
            else (e.sample_key, str(e.verdict), e.label)
            for e in decisions.log(self.shelf.workspace, self.dataset.id)
        ]

    def given(self, key):
        return self.dataset.class_names[
            self.dataset.given_labels[self.dataset.sample_keys.index(key)]
        ]


@pytest.fixture(scope="module")
def workshop(stage, staged_workspace, tmp_path_factory):
    """Serve a workspace with a dataset for every test, which decides in its own."""
    from audit.store.workspace import Workspace

    folder = tmp_path_factory.mktemp("station")
    path = shutil.copytree(staged_workspace, folder / "workspace")
    with Workspace.open(path) as workspace:
        for name in ("verdicts", "held", "unpainted", "alone", "undo", "dead"):
            stage(workspace, folder, name=name, n_samples=40, n_epochs=4, methods=("margin",))
        stage(workspace, folder, name="few", n_samples=24, n_epochs=4, methods=("margin",))
        many = [f"class {number}" for number in range(40)]
        stage(
            workspace, folder, name="many", n_samples=80, n_classes=40, n_epochs=4,
            methods=("margin",), class_names=[*many[:38], "<b>bold</b>", "Éclair"],
        )  # fmt: skip
    return SimpleNamespace(path=path)


@pytest.fixture(scope="module")
def server(workshop, serve_module):
    return serve_module(workshop.path)


@pytest.fixture
def desk(tab, server):
    return lambda name: Desk(tab, server, name)


def test_every_key_records_its_verdict_on_the_image_that_was_painted(desk):
    here = desk("verdicts").open()
    first = here.part("review-suggested").inner_text()
    keys = here.press("Enter", "k", "x", "U")
    given = here.part("review-given").inner_text()
    other = next(n for n, name in enumerate(here.dataset.class_names) if name != given)
    keys += here.press(str(other + 1))
    assert here.log() == [
        (keys[0], "relabel", first),
        (keys[1], "keep", here.given(keys[1])),
        (keys[2], "exclude", None),
        (keys[3], "unsure", None),
        (keys[4], "relabel", here.dataset.class_names[other]),
    ]
    assert len(set(keys)) == 5
    assert here.part("review-progress").inner_text().startswith("5 of 40 decided")
    event = decisions.log(here.shelf.workspace, here.dataset.id)[0]
    assert isinstance(event, Decision)
    shown = event.evidence["shown"]
    assert shown["rank"] == 1
    assert shown["suggested"] == first
    assert shown["method"] == "margin"
    assert shown["position"] == here.dataset.sample_keys.index(keys[0])
    # The buttons do the same as the keys, and leave the keys alone.
    seen = here.key
    here.part("review-exclude").click()
    here.wait(f"s => s.querySelector('[data-testid=review-image]').dataset.sampleKey !== {seen!r}")
    accepted = here.part("review-suggested").inner_text()
    keys = here.press("Enter")
    assert here.log()[5:] == [(seen, "exclude", None), (keys[0], "relabel", accepted)]


def test_a_held_key_decides_once_and_a_held_arrow_goes_on(desk):
    here = desk("alone").open()
    first = here.key
    here.tab.keyboard.down("k")
    here.wait(f"s => s.querySelector('[data-testid=review-image]').dataset.sampleKey !== {first!r}")
    for _ in range(5):
        here.tab.keyboard.down("k")
    here.tab.keyboard.up("k")
    # A button with the focus is pressed once by a held Enter, too.
    second = here.key
    here.part("review-keep").focus()
    here.tab.keyboard.down("Enter")
    here.wait(
        f"s => s.querySelector('[data-testid=review-image]').dataset.sampleKey !== {second!r}"
    )
    for _ in range(5):
        here.tab.keyboard.down("Enter")
    here.tab.keyboard.up("Enter")
    assert [key for key, *_ in here.log()] == [first, second]
    # Nor without the single-key shortcuts.
    here.tab.get_by_role("switch").click()
    third = here.key
    here.part("review-keep").focus()
    for _ in range(5):
        here.tab.keyboard.down("Enter")
    here.tab.keyboard.up("Enter")
    assert [key for key, *_ in here.log()] == [first, second, third]
    here.tab.get_by_role("switch").click()
    for _ in range(3):
        here.tab.keyboard.down("ArrowRight")
    here.tab.keyboard.up("ArrowRight")
    here.wait("s => s.textContent.includes('7 of 40')")


def test_a_key_decides_nothing_until_the_image_is_painted(desk):
    here = desk("unpainted")
    here.tab.route("**/images?**", lambda _: None)
    here.open(waits=False)
    here.wait("s => s.querySelector('[data-testid=review-given]')?.textContent")
    for key in ("k", "Enter", "1", "x", "u"):
        here.tab.keyboard.press(key)
    here.says("This image is not on the screen yet: nothing was decided.")
    assert here.part("review-unsent").inner_text() == "0"
    assert here.key is None
    here.tab.unroute("**/images?**")
    here.part("review-image").and_(here.tab.locator("[data-sample-key]")).wait_for()
    first = here.press("x")
    assert here.log() == [(first[0], "exclude", None)]


def test_what_is_typed_in_a_field_decides_nothing_and_a_search_decides_once(desk):
    here = desk("many").open()
    first = here.key
    name = here.tab.get_by_role("textbox", name="Your name")
    name.fill("")
    name.press_sequentially("k1 rux")
    here.tab.keyboard.press("Tab")
    here.tab.locator("h1").click()
    here.wait("s => s.querySelector('.station').dataset.reviewer === 'k1 rux'")
    here.tab.keyboard.press("n")
    here.tab.keyboard.type("kxu 1 cr?")
    here.tab.keyboard.press("Enter")
    here.tab.keyboard.press("/")
    here.tab.keyboard.type("k")
    here.tab.keyboard.press("Escape")
    assert here.key == first
    assert here.part("review-unsent").inner_text() == "0"
    here.tab.keyboard.press("/")
    here.tab.keyboard.type("<b>")
    option = here.tab.get_by_role("option")
    assert option.all_inner_texts() == ["<b>bold</b>"]
    here.tab.keyboard.press("Enter")
    here.wait(f"s => s.querySelector('[data-testid=review-image]').dataset.sampleKey !== {first!r}")
    second = here.key
    here.tab.keyboard.press("/")
    here.tab.keyboard.type("CLASS 1")
    here.tab.keyboard.press("ArrowDown")
    here.tab.keyboard.press("Enter")
    here.wait(
        f"s => s.querySelector('[data-testid=review-image]').dataset.sampleKey !== {second!r}"
    )
    assert here.log() == [(first, "relabel", "<b>bold</b>"), (second, "relabel", "class 10")]
    (event, _) = decisions.log(here.shelf.workspace, here.dataset.id)
    assert (event.note, event.reviewer) == ("kxu 1 cr?", "k1 rux")


def test_undo_takes_back_the_last_and_any_other_decision(desk):
    here = desk("undo").open()
    keys = here.press("k", "x", "u", "k")
    here.tab.keyboard.press("z")
    here.wait(
        f"s => s.querySelector('[data-testid=review-image]').dataset.sampleKey === {keys[3]!r}"
    )
    here.tab.keyboard.press("z")
    here.wait(
        f"s => s.querySelector('[data-testid=review-image]').dataset.sampleKey === {keys[2]!r}"
    )
    here.tab.get_by_role("button", name=f"Undo: {keys[0]}").click()
    here.wait(
        f"s => s.querySelector('[data-testid=review-image]').dataset.sampleKey === {keys[0]!r}"
    )
    undone = [key for key, verdict, _ in here.log() if verdict == "undo"]
    assert undone == [keys[3], keys[2], keys[0]]
    assert set(decisions.current(here.shelf.workspace, here.dataset.id)) == {keys[1]}
    # Undo reaches back beyond a reload, too.
    here.open()
    here.tab.keyboard.press("z")
    here.says("Undone")
    here.unsent(0)
    assert decisions.current(here.shelf.workspace, here.dataset.id) == {}
    assert here.part("review-undo").is_disabled()


def test_looking_back_shows_what_was_decided_and_deciding_again_goes_on_where_it_was(desk):
    here = desk("dead").open()
    keys = here.press("k", "k")
    here.press("ArrowLeft", "ArrowLeft")
    here.says("Already kept as")
    assert here.key == keys[0]
    here.press("x")
    assert here.log() == [
        (keys[0], "keep", here.given(keys[0])),
        (keys[1], "keep", here.given(keys[1])),
        (keys[0], "exclude", None),
    ]
    here.wait("s => s.textContent.includes('3 of 40')")


def test_a_list_that_is_done_says_so_and_offers_what_comes_next(desk):
    here = desk("few").open("&state=todo&cut=-1e9", waits=False)
    here.part("review-empty").wait_for()
    here.open("&cls=class%20a")
    n_samples = int((here.dataset.given_labels == 0).sum())
    here.press(*["u"] * (n_samples - 1))
    here.tab.keyboard.press("u")
    here.part("review-empty").get_by_text(
        f"Nothing is left to decide in this list of {n_samples}."
    ).wait_for()
    assert len(here.log()) == n_samples
    here.tab.get_by_role("link", name="Export the labels").click()
    here.tab.wait_for_url("**/export?dataset=few")


def test_the_sheet_of_keys_opens_and_closes_and_keys_can_be_switched_off(desk):
    here = desk("held").open()
    before = len(here.log())
    here.tab.keyboard.press("?")
    sheet = here.tab.get_by_role("dialog", name="Keys")
    sheet.wait_for()
    here.tab.keyboard.press("k")
    here.tab.keyboard.press("Escape")
    sheet.wait_for(state="hidden")
    here.tab.get_by_role("switch", name="Single-key shortcuts").click()
    here.open()
    here.tab.keyboard.press("k")
    here.tab.keyboard.press("?")
    assert here.tab.get_by_role("switch").get_attribute("aria-checked") == "false"
    assert len(here.log()) == before


def test_what_could_not_be_taken_back_stands_again_and_can_be_tried_again(desk):
    here = desk("held").open()
    (key,) = here.press("x")
    before = here.log()
    here.tab.get_by_role("link", name="History", exact=True).click()
    here.tab.get_by_role("heading", name="History", exact=True).wait_for()
    here.tab.evaluate(
        """name => {
          const acts = JSON.parse(sessionStorage[name]);
          acts.at(-1).client = "unheard";
          sessionStorage[name] = JSON.stringify(acts);
        }""",
        f"labeltrace.history/{here.dataset.id}",
    )
    here.open("&state=exclude")
    here.tab.keyboard.press("z")
    here.tab.get_by_text(f"{key}: The decision to take back is not known here.").wait_for()
    here.says("Already excluded by you.")
    assert here.key == key
    assert here.part("review-undo").is_enabled()
    expect(here.tab.get_by_role("button", name=f"Undo: {key}")).to_have_count(1)
    assert here.log() == before


def test_a_browser_that_stores_nothing_still_decides(desk):
    here = desk("held")
    here.tab.add_init_script(
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };"
        "Object.defineProperty(navigator, 'locks', { value: undefined });"
    )
    here.open()
    before = len(here.log())
    here.press("x")
    assert len(here.log()) == before + 1


def test_a_message_after_a_visit_to_another_page_is_not_taken_for_an_earlier_one(desk):
    here, sent = desk("held"), set()

    def note(frame):
        data = frame if isinstance(frame, bytes) else frame.encode()
        for nonce in re.findall(rb'"nonce": ?"([0-9a-f]+-[0-9]+)"', data):
            sent.add((nonce, tuple(re.findall(rb'"seq": ?([0-9]+)', data))))

    here.tab.on("websocket", lambda socket: socket.on("framesent", note))
    here.open()
    here.press("k")
    here.unsent(0)
    for page in ("History", "Review"):
        here.tab.get_by_role("link", name=page, exact=True).click()
        here.tab.get_by_role("heading", name=page, exact=True).wait_for()
    here.part("review-image").and_(here.tab.locator("[data-sample-key]")).wait_for()
    here.press("k")
    here.unsent(0)
    assert len({nonce for nonce, _ in sent}) == len(sent) >= 2


def test_decisions_survive_a_killed_server_and_a_closed_tab(staged_copy, serve, tab):
    server = serve(staged_copy)
    here = Desk(tab, server, "staged").open()
    keys = here.press("k", "x")
    here.unsent(0)
    server.kill()
    keys += here.press("Enter", "u", "x", "k")
    assert here.part("review-unsent").inner_text() == "4"
    here.says("Offline: decisions are kept here and sent later.")
    server.start()
    here.unsent(0)  # without a further key
    server.kill()
    keys += here.press("u", "u", "u")
    other = tab.context.new_page()
    tab.close()
    server.start()
    there = Desk(other, server, "staged").open()
    assert there.key not in keys
    log = there.log()
    assert [key for key, *_ in log] == keys
    assert there.key not in keys
