"""What a run's report contains, worked out when the workflow starts: sections and figures, as data."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

SECTIONS = {
    "minimal": {
        "title": "Minimal adversarials",
        "intro": "How far an image must be changed before a model misclassifies it, by the best of all attacks on it.",
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


class Figure(NamedTuple):
    """A figure of every run that has what it shows: its section, and its title, which may name a wildcard."""

    section: str
    title: str


FIGURES = {
    "accuracy_distortion": Figure("minimal", "Accuracy against distance"),
    "distribution": Figure("minimal", "Distribution of distances"),
    "adversarials": Figure("minimal", "Nearest adversarials"),
    "quantiles": Figure("minimal", "Error quantiles, {norm}"),
    "bracket": Figure("minimal", "Between certificate and attacks"),
    "distal": Figure("distal", "Climbed from noise"),
    "samples": Figure("synthesis", "Samples of the prior"),
    "reconstructions": Figure("synthesis", "Reconstructions"),
    "attacks": Figure("attacks", "Minima and costs"),
    "training": Figure("training", "Training"),
}


@dataclass(frozen=True)
class FigureEntry:
    """A figure of a run: its key in `FIGURES`, which is its caption's stem too, and the wildcards of its rule."""

    figure: str
    wildcards: dict[str, str] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """Of its file."""
        return "_".join([self.figure, *self.wildcards.values()])

    @property
    def section(self) -> str:
        return FIGURES[self.figure].section

    @property
    def title(self) -> str:
        return FIGURES[self.figure].title


def figure_entries(
    *, norms: Sequence[str], bracketed: bool, climbed: bool, generative: bool, explained: bool, trained: bool
) -> list[FigureEntry]:
    """The figures of a run, in the order of its report.

    norms: those in which any model was attacked; bracketed: whether any such has a certificate
    climbed: whether any model has a gradient to climb
    generative: whether any model draws samples; explained: whether any such was attacked
    trained: whether any training left its curve, as none does where other weights replace them all
    """
    wanted = {
        "bracket": bracketed,
        "distal": climbed,
        "samples": generative,
        "reconstructions": explained,
        "training": trained,
    }
    entries = []
    for figure in FIGURES:
        if figure == "quantiles":
            entries += [FigureEntry(figure, {"norm": norm}) for norm in norms]
        elif wanted.get(figure, bool(norms)):
            entries.append(FigureEntry(figure))
    return entries
