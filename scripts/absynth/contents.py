"""What a run's report contains, worked out when the workflow starts: sections and figures, as data."""

from collections.abc import Sequence
from dataclasses import dataclass, field

SECTIONS = {
    "minimal": {
        "title": "Minimal adversarials",
        "intro": "How far an image must be changed before a model misreads it, by the best of all attacks on it.",
    },
    "distal": {
        "title": "Distal adversarials",
        "intro": "What a model can be made sure of far from any data.",
    },
    "synthesis": {
        "title": "Analysis by synthesis",
        "intro": "What the generative models have learnt, and why they decide as they do.",
    },
    "attacks": {"title": "Attacks", "intro": "What each attack contributed, and what it cost."},
    "training": {
        "title": "Models",
        "intro": "How the models were made, and how well they read clean images.",
    },
    "run": {"title": "Run", "intro": "What this page was made with."},
}


@dataclass(frozen=True)
class FigureEntry:
    """One figure: its file's stem, its section, its title (which may name wildcards, as in "{norm}"), the stem
    of its caption if that is another, and the wildcards of its rule."""

    stem: str
    section: str
    title: str
    caption: str = ""
    wildcards: dict[str, str] = field(default_factory=dict)


def figure_entries(
    *, norms: Sequence[str], bracketed: bool, climbed: bool, generative: bool, explained: bool, trained: bool
) -> list[FigureEntry]:
    """The figures of a run, in the order of its report.

    norms: those in which any model was attacked; bracketed: whether any such has a certificate
    climbed: whether any model has a gradient to climb
    generative: whether any model draws samples; explained: whether any such was attacked
    trained: whether any training left its curve, as none does where released weights replace them all
    """
    entries = []
    if norms:
        entries += [
            FigureEntry("accuracy_distortion", "minimal", "Accuracy against distance"),
            FigureEntry("distribution", "minimal", "Distribution of distances"),
            FigureEntry("adversarials", "minimal", "Nearest adversarials"),
        ]
    for norm in norms:
        title = "Error quantiles, {norm}"
        entries.append(FigureEntry(f"quantiles_{norm}", "minimal", title, "quantiles", {"norm": norm}))
    if bracketed:
        entries.append(FigureEntry("bracket", "minimal", "Between certificate and attacks"))
    if climbed:
        entries.append(FigureEntry("distal", "distal", "Climbed from noise"))
    if generative:
        entries.append(FigureEntry("samples", "synthesis", "Samples of the prior"))
    if explained:
        entries.append(FigureEntry("reconstructions", "synthesis", "Reconstructions"))
    if norms:
        entries.append(FigureEntry("attacks", "attacks", "Minima and costs"))
    if trained:
        entries.append(FigureEntry("training", "training", "Training"))
    return entries
