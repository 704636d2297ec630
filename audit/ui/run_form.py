"""The form that starts runs: what to look for, a preset, settings; checked and estimated as one types."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import streamlit as st

from audit.detectors import catalog
from audit.errors import AuditError
from audit.records import preset as presets
from audit.records.dataset import SPLITS, Dataset, Split
from audit.records.preset import Preset
from audit.records.run import Augmentation, Precision, Probe
from audit.store import datasets as dataset_rows
from audit.ui import palette, session, shell
from audit.ui.texts import plain
from audit.workbench import estimating, launching, machine, scoring, settled, watching
from audit.workbench.launching import Plan
from audit.workbench.scoring import Budget
from audit.workbench.settling import Wishes
from audit.workbench.shelf import Shelf
from audit.workbench.wording import on_the_page

_FORM = "runs_form_id"

_PRESET = "as the preset"
"""Choice that leaves a setting to the preset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    title: str
    caption: str
    methods: tuple[str, ...]


_LOOKS: Mapping[str, _Look] = {
    "aum": _Look(
        title="Wrong labels, flagged",
        caption="AUM says which labels are suspect. It trains twice.",
        methods=("aum",),
    ),
    "planted": _Look(
        title="A cut and how precise it is",
        caption="Planted says how many labels are wrong and where to cut. It trains twice.",
        methods=("planted",),
    ),
    "lstm": _Look(
        title="A judge trained elsewhere",
        caption="The LSTM noise detector reads how each label was learnt. It trains once.",
        methods=("lstm",),
    ),
    "dynacor": _Look(
        title="What behaves like a wrong copy",
        caption="DynaCor compares with copies that it labels wrongly. It trains once.",
        methods=("dynacor",),
    ),
    "ranking": _Look(
        title="A ranking",
        caption="The margin, late epochs counting more, orders all samples. It trains once.",
        methods=(catalog.DEFAULT_RANKING,),
    ),
    "both": _Look(
        title="Both",
        caption="Two opinions on every sample. It trains three times.",
        methods=("aum", catalog.DEFAULT_RANKING),
    ),
    "all": _Look(
        title="All opinions",
        caption="Every detector, for comparison. It trains five times.",
        methods=("aum", "lstm", "dynacor", "planted", "margin"),
    ),
}

_AUGMENTATIONS = {
    _PRESET: "as suits the images",
    Augmentation.NONE: "none",
    Augmentation.CROP: "shifted crops",
    Augmentation.CROP_FLIP: "shifted crops, mirrored",
}
_PRECISIONS = {
    _PRESET: "as suits it",
    Precision.FLOAT32: "float32",
    Precision.BFLOAT16: "bfloat16",
}


def draw(shelf: Shelf) -> Dataset | None:
    """Draw the form and what it stands for; return the chosen dataset, ``None`` where there is none."""
    if not dataset_rows.all(shelf.workspace):
        _nothing_to_train_on()
        return None
    with st.container(border=True, key="new_run"):
        st.header("New run")
        left, right = st.columns([3, 2], gap="large")
        with left:
            dataset = session.choose_dataset()
            assert dataset is not None, "there is one to choose"
            look = _LOOKS[_ask_look()]
            budget = _ask_budget(look)
            wishes = _ask_wishes(shelf, dataset, look)
        with right, st.spinner("Looking at the images and this machine…"):
            planned = launching.plan(shelf, dataset, look.methods, wishes, budget=budget)
            _summary(planned)
            _start(shelf, planned, look, wishes, budget)
    return dataset


def _nothing_to_train_on() -> None:
    with st.container(border=True, key="no_dataset"):
        st.header("Nothing to train on yet")
        st.markdown(
            "A run needs a dataset. Import a folder of class folders, a table or an array file; "
            "nothing is copied or changed."
        )
        if st.button("Import a dataset", type="primary", icon=":material/add:"):
            st.switch_page(shell.page_path("datasets"))


def _ask_look() -> str:
    return st.radio(
        "What to look for",
        tuple(_LOOKS),
        format_func=lambda name: _LOOKS[name].title,
        captions=[look.caption for look in _LOOKS.values()],
        key="run_look",
        width="stretch",
    )


def _ask_budget(look: _Look) -> Budget:
    """Ask whether one training is to serve all methods, where they would take more."""
    n_kinds = len(scoring.needed_probes(look.methods))
    if n_kinds < 2 and look.methods != ("aum",):
        return Budget.FULL
    is_quick = st.toggle(
        "Train once for all",
        key="run_budget",
        help="One training with corrupted copies instead of one for each kind of method. AUM's cut rests "
        "on the copies then, and “planted” falls back to a simpler cut.",
    )
    return Budget.QUICK if is_quick else Budget.FULL


def _ask_wishes(shelf: Shelf, dataset: Dataset, look: _Look) -> Wishes:
    name = st.selectbox(
        "Preset",
        tuple(presets.PRESETS),
        key="run_preset",
        help="One fixed setting for all data, named by what it is for.",
    )
    preset = presets.find(name)
    st.caption(plain(preset.purpose))
    with st.expander("Settings", key="run_settings"):
        network = _ask_network(shelf, preset)
        st.caption("What is left empty is as the preset has it.")
        training = _ask_training(preset, dataset, look)
    return Wishes(preset=name, **network, **training)


def _ask_network(shelf: Shelf, preset: Preset) -> dict[str, Any]:
    left, right = st.columns(2)
    architecture = left.selectbox(
        "Architecture",
        (_PRESET, *presets.ARCHITECTURES),
        key="run_architecture",
        help="The network that learns the labels. “features” is a classifier on a frozen backbone.",
    )
    architecture = None if architecture == _PRESET else architecture
    on_features = (architecture or preset.architecture) == "features"
    usual = preset.backbone or "squeezenet"
    backbone = right.selectbox(
        "Backbone",
        (_PRESET, *presets.BACKBONES),
        disabled=not on_features,
        key="run_backbone",
        help="The pretrained network whose features “features” learns on.",
    )
    backbone = None if backbone == _PRESET else backbone
    known = launching.known_weights(shelf, backbone or usual) if on_features else None
    weights = st.text_input(
        "Weights file",
        value="" if known is None else str(known),
        placeholder="/path/to/weights.safetensors or .npz",
        disabled=not on_features,
        key=f"run_weights_{backbone or usual}_{on_features}",
        help="Of the backbone, on the machine that trains. Left empty, torchvision's downloads are "
        "looked into.",
    )
    side = "suits the data" if preset.image_size is None else str(preset.image_size)
    left, right = st.columns(2)
    image_size = left.number_input(
        "Image size",
        min_value=8,
        max_value=1024,
        value=None,
        placeholder=side,
        key="run_image_size",
        help="Side in pixels of the square that the network sees. Larger is slower.",
    )
    augmentation = right.selectbox(
        "Augmentation",
        tuple(_AUGMENTATIONS),
        format_func=_AUGMENTATIONS.__getitem__,
        key="run_augmentation",
        help="Random views of each image. Mirroring is left out where a mirrored class is another one.",
    )
    return {
        "architecture": architecture,
        "backbone": backbone if on_features else None,
        "weights": Path(weights.strip()) if on_features and weights.strip() else None,
        "image_size": image_size,
        "augmentation": None if augmentation == _PRESET else augmentation,
    }


def _ask_training(preset: Preset, dataset: Dataset, look: _Look) -> dict[str, Any]:
    is_probe = {method: method == "aum" for method in look.methods}.values()
    usual_epochs = dict.fromkeys(preset.probe_epochs if p else preset.epochs for p in is_probe)
    usual_rates = dict.fromkeys(
        preset.probe_learning_rate if p else preset.learning_rate for p in is_probe
    )
    left, middle, right = st.columns(3)
    epochs = left.number_input(
        "Epochs",
        min_value=1,
        max_value=10_000,
        value=None,
        placeholder=" / ".join(str(number) for number in usual_epochs),
        key="run_epochs",
        help="How often every image is seen. Wrong labels give themselves away before the network has "
        "memorised them: more is not better.",
    )
    batch_size = middle.number_input(
        "Batch size",
        min_value=1,
        max_value=65_536,
        value=None,
        placeholder=str(preset.batch_size),
        key="run_batch_size",
        help="Images per step.",
    )
    learning_rate = right.number_input(
        "Learning rate",
        min_value=1e-6,
        max_value=100.0,
        value=None,
        step=0.01,
        format="%.4g",
        placeholder=" / ".join(f"{number:g}" for number in usual_rates),
        key="run_learning_rate",
        help="The peak of the schedule. Lower it if the loss stops being finite.",
    )
    left, middle, right = st.columns(3)
    devices = ("auto", "cpu", "cuda", "mps") if machine.may_have_accelerator() else ("auto", "cpu")
    device = left.selectbox(
        "Device",
        devices,
        accept_new_options=True,
        key="run_device",
        help="“auto” takes an accelerator if there is one. One run at a time trains on a device; "
        "“cuda:1” names a second card.",
    )
    precision = middle.selectbox(
        "Precision",
        tuple(_PRECISIONS),
        format_func=_PRECISIONS.__getitem__,
        key="run_precision",
        help="bfloat16 is faster where the hardware has it. What is recorded is float32 either way.",
    )
    seed = right.number_input(
        "Seed",
        min_value=0,
        value=0,
        key="run_seed",
        help="Of every random draw. The same settings and seed give the same run.",
    )
    splits = _ask_splits(dataset)
    stops = st.checkbox(
        "Stop when the ranking has settled",
        key="run_stop_when_stable",
        help=f"Seals a run before its last epoch if it can. {settled.EXPLAINED} docs/stability.md says "
        "what this saves and costs.",
    )
    return {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "device": device or "auto",
        "precision": None if precision == _PRESET else precision,
        "seed": seed or 0,
        "splits": splits,
        "stop_when_stable": stops,
    }


def _ask_splits(dataset: Dataset) -> tuple[Split, ...]:
    there = [split for code, split in enumerate(SPLITS) if bool((dataset.splits == code).any())]
    usual = [Split.TRAIN] if Split.TRAIN in there else there[:1]
    chosen = st.pills(
        "Splits",
        there,
        selection_mode="multi",
        default=usual,
        format_func=str,
        key=f"run_splits_{dataset.id}",
        help="Whose samples are trained on and scored. The others are left for comparisons.",
    )
    return tuple(chosen or usual)


def _summary(planned: Plan) -> None:
    if planned.problem is not None:
        st.warning(plain(planned.problem), icon=":material/error:")
        return
    config = (planned.configs or planned.parts[0].configs)[0]
    is_plain = config.augmentation is Augmentation.NONE
    views = "" if is_plain else f", {_AUGMENTATIONS[config.augmentation]}"
    rows = {
        "Trains": " and ".join(_runs_in_words(planned)),
        "Network": config.architecture
        if config.backbone is None
        else f"classifier on {config.backbone}",
        "Images": f"{config.image_size} × {config.image_size} pixels{views}",
        "Steps of": f"{config.batch_size} images at a rate of {config.learning_rate:g}",
        "On": f"{config.device}, {config.threads} "
        f"{'thread' if config.threads == 1 else 'threads'}, {config.precision}",
    }
    colours = palette.current()
    body = "".join(f"<div>{escape(k)}</div><div>{escape(v)}</div>" for k, v in rows.items())
    st.html(
        "<style>.lt-plan{display:grid;grid-template-columns:5.2rem minmax(0,1fr);row-gap:.35rem;"
        "font-size:.93rem;color:var(--lt-ink);overflow-wrap:anywhere}"
        ".lt-plan div:nth-child(odd){color:var(--lt-faint)}</style>"
        f'<div class="lt-plan" style="--lt-ink:{colours.ink};--lt-faint:{colours.faint}">{body}</div>'
    )


def _runs_in_words(planned: Plan) -> list[str]:
    words: list[str] = []
    for part in planned.to_train or planned.parts:
        config, n_runs = part.configs[0], len(part.configs)
        kind = "" if config.probe is Probe.NONE else f" with {watching.LOOKS_FOR[config.probe]}"
        times = f"{n_runs} × " if n_runs > 1 else ""
        most = "at most " if config.stop_when_stable else ""
        words.append(f"{times}{most}{config.epochs} epochs{kind}")
    return words


def _start(shelf: Shelf, planned: Plan, look: _Look, wishes: Wishes, budget: Budget) -> None:
    if planned.problem is None:
        _estimate(planned)
        _same_before(shelf, planned)
    form_id = st.session_state.setdefault(_FORM, secrets.token_hex(8))
    if not st.button(
        "Start run",
        key="start_run",
        type="secondary" if planned.is_sealed else "primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=planned.problem is not None or planned.is_under_way,
    ):
        return
    try:
        started = launching.start(
            shelf, planned.dataset, look.methods, wishes, form_id=form_id, budget=budget
        )
    except AuditError as error:
        st.error(plain(on_the_page(str(error))))
        return
    st.session_state[_FORM] = secrets.token_hex(8)
    names = ", ".join(run.name for run in started)
    st.toast(f"Started {plain(names)}.", icon=":material/play_arrow:")
    st.rerun()


def _estimate(planned: Plan) -> None:
    config = (planned.configs or planned.parts[0].configs)[0]
    if planned.is_under_way:
        st.info("These very settings are being trained already; see above.")
        return
    where = f"on {config.device}"
    if planned.estimate is None:
        time, source = "No estimate yet", f"Nothing like it has run {where} before."
    else:
        found = planned.estimate
        time = estimating.span_in_words(found.low, found.high)
        source = (
            f"from {found.n_runs} earlier {'run' if found.n_runs == 1 else 'runs'} of this kind here"
            if found.n_runs
            else "a rough guess: nothing like it has run here yet"
        )
    waits = f" It waits for {plain(planned.waits_for)} first." if planned.waits_for else ""
    less = ", less if the ranking settles sooner" if config.stop_when_stable else ""
    st.markdown(f"**{plain(time[0].upper() + time[1:])}** {plain(where + less)}")
    st.caption(f"{plain(source[0].upper() + source[1:].rstrip('.'))}.{waits}")


def _same_before(shelf: Shelf, planned: Plan) -> None:
    sealed = [part for part in planned.parts if part.sealed]
    if not sealed:
        return
    names = ", ".join(run.name for part in sealed for run in part.sealed or ())
    if not planned.is_sealed:
        st.caption(f"Made before with these very settings and used again: {plain(names)}.")
        return
    st.info(
        f"These very settings were trained before: {plain(names)}. A new run would give the same."
    )
    if st.button("Use it", key="use_sealed", type="primary", width="stretch"):
        waits = launching.use(shelf, planned)
        if waits:
            st.toast("Its scores are being made.")
            st.rerun()
        method = planned.parts[0].methods[0]
        asked = {"dataset": planned.dataset.name, "method": method}
        st.switch_page(shell.page_path("ranking"), query_params=asked)
