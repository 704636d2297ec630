"""What detectors there are: a table for forms, help and documentation, free of torch."""

from dataclasses import dataclass, replace

from audit.detectors.parameters import Parameter, ParameterKind
from audit.detectors.protocol import Needs
from audit.errors import NotFoundError
from audit.records.run import Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One detector as people see it before they use it.

    Parameters
    ----------
    name, version
        As in `DetectorSpec`; the version is raised whenever the formula changes.
    title, summary
        A few words; one sentence.
    definition
        The formula in words and symbols, with the equation's number in `reference`.
    quantity_name, quantity_unit
        Column of the method's own value, and its unit.
    quantity_range
        Interval of the quantity, as text.
    low_is_suspect
        Direction of the quantity; suspicion is always high = suspect.
    has_cut
        Whether it flags samples by itself.
    is_main
        Whether it is offered first; the others are for comparison.
    needs, parameters
        What it must be given and what can be set.
    cost_in_trainings
        Cost in units of one ordinary training of the same network.
    known_failures
        Whole sentences about when not to believe it.
    reference
        Where it comes from.
    """

    name: str
    version: int
    title: str
    summary: str
    definition: str
    quantity_name: str
    quantity_unit: str
    quantity_range: str
    low_is_suspect: bool
    has_cut: bool
    is_main: bool
    needs: Needs
    parameters: tuple[Parameter, ...] = ()
    cost_in_trainings: float = 1.0
    known_failures: tuple[str, ...] = ()
    reference: str


_SKIP_FIRST = Parameter(
    name="skip_first",
    kind=ParameterKind.WHOLE,
    default=1,
    minimum=0,
    help="Epochs left out at the start, where the random initialisation decides.",
)

_ORDINARY = Needs(probe=Probe.NONE, n_runs=1, signals=("margin",), also=(Probe.CORRUPTED,))
"""One run of any kind in which most samples keep their label."""

_HARD_SAMPLES = "Rare or hard samples with right labels rank among the suspects."
_SYSTEMATIC = (
    "Wrong labels that always go from one class to the same other one are learnt like right ones "
    "and rank low."
)

CATALOG: tuple[Entry, ...] = (
    Entry(
        name="aum",
        version=1,
        title="Area under the margin",
        summary="Flags labels that the network finds no easier to learn than labels known to be "
        "wrong.",
        definition="AUM_i is the mean over epochs of the margin: the logit of the given label less "
        "the largest other one. A random part of the samples is given an extra class; the cut is "
        "the 99th percentile of their AUM. Two runs plant disjoint parts, so that every sample is "
        "scored; it is flagged where every run that scores it flags it.",
        quantity_name="aum",
        quantity_unit="logits",
        quantity_range="unbounded",
        low_is_suspect=True,
        has_cut=True,
        is_main=True,
        needs=Needs(probe=Probe.THRESHOLD, n_runs=2, signals=("margin",), also=(Probe.CORRUPTED,)),
        parameters=(
            _SKIP_FIRST,
            Parameter(
                name="max_epochs",
                kind=ParameterKind.WHOLE,
                default=None,
                minimum=1,
                help="Use only this many epochs from the start; empty uses all. Lower it when a "
                "run was trained past memorisation.",
            ),
            Parameter(
                name="percentile",
                kind=ParameterKind.NUMBER,
                default=99.0,
                minimum=0.0,
                maximum=100.0,
                help="Percentile of the threshold rows' AUM that becomes the cut; higher flags "
                "more.",
            ),
            Parameter(
                name="combine",
                kind=ParameterKind.CHOICE,
                default="and",
                choices=("and", "or", "first"),
                help="Flag where all runs that score a sample flag it, where any does, or where "
                "the first does.",
            ),
        ),
        cost_in_trainings=1.0,
        known_failures=(
            "Trained past memorisation the cut rises and flags almost everything; alpha well above "
            "0 and threshold rows predicted as the extra class are the signs.",
            "Flags about twice as many samples as are wrong where labels are mostly right.",
            _SYSTEMATIC,
            _HARD_SAMPLES,
            "With few classes each run gives much of the data away: a third with two classes, "
            "unless the share of threshold rows is capped.",
        ),
        reference="Pleiss, Zhang, Elenberg and Weinberger 2020, section 3, equations (1) and (2)",
    ),
    Entry(
        name="lstm",
        version=1,
        title="LSTM noise detector",
        summary="Asks a small network that has learnt on planted noise what the course of a wrong label "
        "looks like.",
        definition="The probability of the given label in every epoch, q_1..q_T, goes through two LSTM "
        "layers of 64 units; the last epoch's output gives the log odds of a wrong label, calibrated on "
        "held-out planted noise. Weights learn from trainings with symmetric noise and are then used on any "
        "data. As many samples are flagged as the network itself would have labelled otherwise, averaged "
        "over its epochs.",
        quantity_name="lstm_probability",
        quantity_unit="probability",
        quantity_range="[0, 1]",
        low_is_suspect=False,
        has_cut=True,
        is_main=True,
        needs=Needs(
            probe=Probe.NONE, n_runs=1, signals=("given_probability",), also=(Probe.CORRUPTED,)
        ),
        parameters=(
            Parameter(
                name="weights",
                kind=ParameterKind.TEXT,
                default=None,
                is_path=True,
                help="Shipped weights by name, or a .safetensors or .npz file with its card beside it; "
                "empty takes the shipped ones that suit the run best.",
            ),
            Parameter(
                name="weights_digest",
                kind=ParameterKind.TEXT,
                default=None,
                help="Identity of the weights; filled in, so that altered weights make other scores.",
            ),
            Parameter(
                name="resample",
                kind=ParameterKind.CHOICE,
                default="none",
                choices=("none", "linear"),
                help="linear: bring every sequence to the length that the weights learnt from.",
            ),
            Parameter(
                name="cut",
                kind=ParameterKind.CHOICE,
                default="network",
                choices=("network", "card"),
                help="network: flag as many samples as the network itself would label otherwise. card: flag "
                "by the cut that was best on the noise that the weights learnt from.",
            ),
        ),
        known_failures=(
            "Weights that learnt from another kind of training (schedule, length, network) rank worse; the "
            "result says in which ways a run differs.",
            "The probability is calibrated on the noise that was learnt from; on other data it is a rank, "
            "and with fewer classes or other noise mostly too low.",
            "Flags more samples than are wrong where labels are mostly right.",
            _SYSTEMATIC,
            _HARD_SAMPLES,
        ),
        reference="Jia, Li, Yu, Bian, Zhao, Li, Xiong and Dou 2023, section 3.2",
    ),
    Entry(
        name="dynacor",
        version=1,
        title="Dynamics clustered with corrupted copies",
        summary="Splits samples into two clusters by how their label was learnt; copies with labels known "
        "to be wrong show which cluster is the suspect one.",
        definition="The signs of the margin over the epochs are encoded by a small network, trained so that "
        "samples and copies form two tight clusters. q_noisy = (1 + d_clean) ÷ (2 + d_noisy + d_clean), d = "
        "cosine distance to a cluster's centre; flagged where q_noisy > 0.5. Epoch and weight of the "
        "alignment loss are those with the widest gap between copies and other samples.",
        quantity_name="dynacor_q_noisy",
        quantity_unit="none",
        quantity_range="[0.25, 0.75]",
        low_is_suspect=False,
        has_cut=True,
        is_main=True,
        needs=Needs(probe=Probe.CORRUPTED, n_runs=1, signals=("margin",)),
        parameters=(
            replace(_SKIP_FIRST, default=0),
            Parameter(
                name="alpha",
                kind=ParameterKind.NUMBER,
                default=None,
                minimum=0.0,
                maximum=100.0,
                help="Weight of the alignment loss; empty tries the paper's 0.05 and 0.5, which takes "
                "twice as long.",
            ),
            Parameter(
                name="epochs",
                kind=ParameterKind.WHOLE,
                default=15,
                minimum=0,
                maximum=1000,
                help="Passes of the encoder's training; 0 leaves it untrained, which costs little.",
            ),
            Parameter(
                name="batch",
                kind=ParameterKind.WHOLE,
                default=1024,
                minimum=2,
                help="Rows in a step of the encoder's training; of few rows an eighth.",
            ),
            Parameter(
                name="learning_rate",
                kind=ParameterKind.NUMBER,
                default=1e-5,
                minimum=0.0,
                maximum=1.0,
                help="Of the encoder.",
            ),
            Parameter(
                name="weight_decay",
                kind=ParameterKind.NUMBER,
                default=1e-4,
                minimum=0.0,
                maximum=1.0,
                help="Of the encoder.",
            ),
            Parameter(
                name="seed",
                kind=ParameterKind.WHOLE,
                default=0,
                minimum=0,
                maximum=2**31 - 1,
                help="Of the encoder's first weights and of the order of rows.",
            ),
        ),
        cost_in_trainings=1.1,
        known_failures=(
            "Trained past memorisation the copies are learnt like right labels and nothing tells them "
            "apart; it then refuses to answer.",
            "The cut moves with the encoder's random first weights: with 9 % wrong labels, 16 of them "
            "flagged 1.2 to 2.1 times as many samples as are wrong.",
            "Reads only on which side of 0 a margin lies, so that samples which are always right tie.",
            _SYSTEMATIC,
            _HARD_SAMPLES,
        ),
        reference="Kim, Lee, Kang, Chae, Jang and Yu 2024, section 4, equations (1) and (3) to (8)",
    ),
    Entry(
        name="planted",
        version=2,
        title="Cut by planted wrong labels",
        summary="Plants wrong labels of two kinds, and reads off them how many labels are wrong, where to "
        "cut, and how far to trust every cut.",
        definition="Ranked by the mean of tanh(margin) in an ordinary run, later epochs counting more. In a "
        "second run some labels are drawn uniformly, others from what the first run thought likely. The "
        "part of all labels that is as suspect as a part q of the planted ones, divided by q, is the noise "
        "rate while q is small; the mixture of the two kinds is the one that names classes as near and "
        "keeps that ratio flat. The cut has the largest estimated F1.",
        quantity_name="planted_statistic",
        quantity_unit="none",
        quantity_range="[-1, 1]",
        low_is_suspect=True,
        has_cut=True,
        is_main=True,
        needs=Needs(
            probe=Probe.PLANTED,
            n_runs=1,
            signals=("margin",),
            also=(Probe.CORRUPTED, Probe.NONE),
        ),
        cost_in_trainings=2.0,
        known_failures=(
            "Wrong labels that are neither blunders nor what a network finds likely are not counted.",
            "With few samples or hardly any wrong labels the estimate stays wide; it then falls back to a "
            "plain cut.",
            _SYSTEMATIC,
            _HARD_SAMPLES,
        ),
        reference="Our method; mixture proportions as in Blanchard, Lee and Scott 2010, section 3",
    ),
    Entry(
        name="margin",
        version=1,
        title="Average margin",
        summary="Ranks labels by how far the network preferred another class, averaged over an "
        "ordinary training.",
        definition="The mean over epochs of the margin, without planted rows and without a cut.",
        quantity_name="margin",
        quantity_unit="logits",
        quantity_range="unbounded",
        low_is_suspect=True,
        has_cut=False,
        is_main=True,
        needs=_ORDINARY,
        parameters=(_SKIP_FIRST,),
        known_failures=(
            "It ranks and does not say how many labels are wrong.",
            _SYSTEMATIC,
            _HARD_SAMPLES,
        ),
        reference="Pleiss, Zhang, Elenberg and Weinberger 2020, section 3, equations (1) and (2)",
    ),
    Entry(
        name="late_margin",
        version=1,
        title="Average margin of the second half",
        summary="Ranks labels by the average margin over the second half of the epochs only.",
        definition="The mean of the margin over the last ⌈T / 2⌉ of T epochs.",
        quantity_name="late_margin",
        quantity_unit="logits",
        quantity_range="unbounded",
        low_is_suspect=True,
        has_cut=False,
        is_main=False,
        needs=_ORDINARY,
        known_failures=(
            "A training long enough to memorise wrong labels makes it worse than the full average.",
            _SYSTEMATIC,
            _HARD_SAMPLES,
        ),
        reference="Our variant of Pleiss et al. 2020, equation (2)",
    ),
    Entry(
        name="tanh_epoch",
        version=1,
        title="Squashed margin, later epochs count more",
        summary="Ranks labels by the mean of tanh(margin), each epoch weighted by its number.",
        definition="sum of e · tanh(m_e) ÷ sum of e over the epochs e = 1..T.",
        quantity_name="tanh_epoch",
        quantity_unit="none",
        quantity_range="[-1, 1]",
        low_is_suspect=True,
        has_cut=False,
        is_main=False,
        needs=_ORDINARY,
        known_failures=(
            "Samples that are always far on one side come close to tying.",
            _HARD_SAMPLES,
        ),
        reference="Our statistic; a smooth form of the sign of the margin in Kim et al. 2024",
    ),
    Entry(
        name="log_ratio",
        version=1,
        title="Log ratio of mean probabilities",
        summary="Ranks labels by how much more probability the network gave to another class.",
        definition="log of the mean probability of the given label ÷ the largest mean probability "
        "of another class, over all epochs.",
        quantity_name="log_ratio",
        quantity_unit="nats",
        quantity_range="unbounded",
        low_is_suspect=True,
        has_cut=False,
        is_main=False,
        needs=replace(_ORDINARY, signals=(), mean_probabilities=True),
        known_failures=(
            "The first epoch counts like every other one, since only averages are recorded.",
            _SYSTEMATIC,
            _HARD_SAMPLES,
        ),
        reference="Our statistic",
    ),
    Entry(
        name="mixture",
        version=1,
        title="Two Gaussians on the average margin",
        summary="Flags what lies nearer to the lower of two Gaussians on the average margin of an ordinary "
        "training.",
        definition="Two Gaussians are fitted to the average margins of all samples by expectation "
        "maximisation. The cut is the value between both means at which they are equally likely.",
        quantity_name="mixture_margin",
        quantity_unit="logits",
        quantity_range="unbounded",
        low_is_suspect=True,
        has_cut=True,
        is_main=False,
        needs=_ORDINARY,
        parameters=(
            _SKIP_FIRST,
            Parameter(
                name="seed",
                kind=ParameterKind.WHOLE,
                default=0,
                minimum=0,
                maximum=2**31 - 1,
                help="Of the random starts of the fit.",
            ),
        ),
        known_failures=(
            "Where few labels are wrong, the lower Gaussian describes hard samples: with 9 % wrong labels it "
            "flags two to eight times as many samples as are wrong.",
            _SYSTEMATIC,
            _HARD_SAMPLES,
        ),
        reference='"Avg.Encoder" in Kim et al. 2024, table 1, with a cut between the means',
    ),
)
"""Every detector; the order is the order of offer."""


DEFAULT_RANKING = "tanh_epoch"
"""Of the ways to rank the samples of one ordinary training, the one that is never bad: docs/methods.md."""


def names() -> tuple[str, ...]:
    """Return the names of all detectors, the main ones first."""
    return tuple(entry.name for entry in CATALOG)


def entry(name: str) -> Entry:
    """Return the entry of a detector.

    Raises
    ------
    NotFoundError
        If there is none of this name; says which there are.

    Examples
    --------
    >>> entry("aum").quantity_unit
    'logits'
    """
    for candidate in CATALOG:
        if candidate.name == name:
            return candidate
    raise NotFoundError(f"There is no method {name!r}; there are {', '.join(names())}.")
