"""What a run's report contains, known when the workflow starts: sections and figures, as data.

The only place of the titles of sections and figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

SECTIONS = {
    "checks": {
        "title": "Checks",
        "intro": "What was checked of this run's own results, and what to look at before believing them.",
    },
    "minimal": {
        "title": "Minimal adversarials",
        "intro": "The perturbation that each image needs to be misclassified, by the best of all attacks on it.",
    },
    "images": {
        "title": "Image by image",
        "intro": "Every model's best adversarial of each image, and what its class is mistaken for.",
    },
    "certificates": {
        "title": "Lower bounds",
        "intro": "Below which distance no attack changes a decision: proved, or if a search found the minimum.",
    },
    "distal": {
        "title": "Distal adversarials",
        "intro": "Images far from any data that a model classifies with high confidence.",
    },
    "synthesis": {
        "title": "Analysis by synthesis",
        "intro": "What the generative models have learnt, and the reconstructions behind their decisions.",
    },
    "attacks": {"title": "Attacks", "intro": "What each attack found, and what it cost."},
    "training": {
        "title": "Models",
        "intro": "How the models were trained, and their accuracy on clean images.",
    },
    "run": {"title": "Run", "intro": "Time, versions, machine and settings."},
}


class Figure(NamedTuple):
    """A figure: the section it belongs to, and its title, which may name a wildcard of its rule."""

    section: str
    title: str


FIGURES = {
    "accuracy_distortion": Figure("minimal", "Accuracy under attack"),
    "distribution": Figure("minimal", "Distribution of distances"),
    "adversarials": Figure("minimal", "Best adversarials"),
    "quantiles": Figure("minimal", "Adversarials by quantile of distance, {norm}"),
    "bracket": Figure("minimal", "Lower and upper bound of each image"),
    "distal": Figure("distal", "Distal adversarials: gradient ascent from noise"),
    "samples": Figure("synthesis", "Samples of the prior"),
    "reconstructions": Figure("synthesis", "Reconstructions"),
    "attacks": Figure("attacks", "Best adversarials and costs by attack"),
    "training": Figure("training", "Training curves"),
}


@dataclass(frozen=True)
class FigureEntry:
    """A figure of a run: its key in `FIGURES`, also the stem of its caption, and the wildcards of its rule."""

    figure: str
    wildcards: dict[str, str] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """The stem of its files."""
        return "_".join([self.figure, *self.wildcards.values()])

    @property
    def section(self) -> str:
        return FIGURES[self.figure].section

    @property
    def title(self) -> str:
        return FIGURES[self.figure].title


def figure_entries(
    *,
    norms: Sequence[str],
    bracketed: bool,
    differentiable: bool,
    generative: bool,
    reconstructed: bool,
    trained: bool,
) -> list[FigureEntry]:
    """The figures of a run, in the order of its report.

    norms: those in which any model was attacked
    bracketed: whether any model has lower bounds in one of these norms
    differentiable: whether any model has gradients; generative: whether any model draws samples
    reconstructed: whether any generative model was attacked
    trained: whether any training of this run left a curve
    """
    wanted = {
        "bracket": bracketed,
        "distal": differentiable,
        "samples": generative,
        "reconstructions": reconstructed,
        "training": trained,
    }
    entries = []
    for figure in FIGURES:
        if figure == "quantiles":
            entries += [FigureEntry(figure, {"norm": norm}) for norm in norms]
        elif wanted.get(figure, bool(norms)):
            entries.append(FigureEntry(figure))
    return entries


def legend(markdown: str, *, attacked: bool) -> str:
    """What the cells of a table mean: a line or two.

    markdown: the text of tables/table1.md, if attacked, or else of tables/certificates.md
    """
    if attacked:
        lines = [
            "Attacks: median distance of each image's best adversarial / share of the images that withstand ε."
        ]
    else:
        lines = ["Cells: median of each image's lower bound / share of the images whose bound exceeds ε."]
    if "ower bound" in markdown:
        lines.append(
            "Lower bounds: no smaller perturbation changes the class; proved, or searched, which assumes that a "
            "search found its minimum."
        )
    return "\n".join(lines)
