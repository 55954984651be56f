"""Write docs/results/brief.md: how robust each model is, in tables and a few sentences, from what was kept of runs.

python docs/results/make_brief.py

Its words are in docs/results/templates/brief.md.j2, its numbers in resources/results/ (see keep_run.py) and
resources/paper/.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from absynth.evaluation.bracket import INTERVALS, is_tight
from absynth.io.atomic import write_text
from absynth.norms import NORMS
from absynth.reporting import overview
from results_comparison import median_text
from results_data import Paper, Run, Together
from results_tables import caption, markdown, model_label
from results_words import template

FOLDER = Path(__file__).parent
KEPT = FOLDER.parents[1] / "resources" / "results"
PAPER = FOLDER.parents[1] / "resources" / "paper"
# In this order a model's numbers in a norm are looked for: of the networks trained here, and of the authors'.
RUNS = ("mnist-1000-h100", "mnist-cnns", "mnist-abs")
RELEASED = ("mnist-cnns-published",)


class Numbers:
    """What the words of the page ask for: numbers of the runs that were kept, as they are printed.

    runs: with one ε for each norm; a model's numbers in a norm are those of the first run that has them
    """

    def __init__(self, runs: Sequence[Run], paper: Paper):
        self.together, self._paper = Together(runs), paper
        self._best = self.together.table("distances")
        bounded = any(run.file("bracket").is_file() for run in runs)
        self._bounds = self.together.table("bracket") if bounded else pd.DataFrame(columns=list(INTERVALS))
        self.epsilons: Mapping[str, float] = self.together.config["epsilons"]

    def models(self, norm: str) -> list[str]:
        """The models that were attacked in a norm."""
        rows = self._best[self._best["norm"] == norm]
        return [*dict.fromkeys(rows["model"])]

    def images(self, model: str, norm: str) -> int:
        """How many images were attacked."""
        return len(self._distances(model, norm))

    def median(self, model: str, norm: str) -> str:
        """The median distance of the best adversarial, 0 where the clean image is misclassified."""
        return median_text(float(np.median(self._distances(model, norm))), norm)

    def accuracy(self, model: str, norm: str) -> str:
        """The share of images that withstand every attack at the norm's ε."""
        return f"{np.mean(self._distances(model, norm) > self.epsilons[norm]):.0%}"

    def lower(self, model: str, norm: str) -> str:
        """The median lower bound; "–" where there is none."""
        values = self._lower(model, norm)
        return median_text(float(np.median(values)), norm) if len(values) else "–"

    def withstood(self, model: str, norm: str, epsilon: float) -> str:
        """The share of images whose lower bound is at least ε."""
        return f"{np.mean(self._lower(model, norm) >= epsilon):.1%}"

    def ratio(self, model: str, norm: str) -> str:
        """The median of upper over lower bound, of images that are correctly classified."""
        rows = self._rows(self._bounds, model, norm)
        rows = rows[rows["upper"] > 0]
        return f"{(rows['upper'] / rows['lower']).median():.4f}"

    def tight(self, model: str, norm: str, within: float) -> str:
        """The share of images whose bounds are apart by at most a share `within` of the lower one."""
        return f"{is_tight(self._rows(self._bounds, model, norm), within).mean():.1%}"

    def paper(self, model: str, norm: str) -> str:
        """The paper's median and accuracy over all its attacks."""
        return self._paper.text((norm, "all", model))

    def curve(self, model: str, norm: str) -> str:
        """Median and accuracy over all attacks by the curves that an author of the paper published later."""
        return self._paper.curve(norm, model)

    def table(self, norm: str) -> str:
        """One row per model, as Markdown: what attacks found, the paper's attacks, and what bounds say, if any do."""
        header = ["model", "images", "clean", "median distance", "accuracy", "paper's attacks"]
        if len(self._bounds):
            header += ["median lower bound", "accuracy by bounds", "basis", "upper / lower"]
        return markdown(header, [self._row(model, norm) for model in self.models(norm)])

    def captions(self) -> str:
        """How each of the runs was made."""
        return "\n\n".join(caption(run) for run in self.together.runs)

    def _row(self, model: str, norm: str) -> list[str]:
        values, epsilon = self._distances(model, norm), self.epsilons[norm]
        row = [model_label(model), str(len(values)), _share(values > 0)]
        row += [overview.median_text(values, norm), _share(values > epsilon)]
        row.append(self.paper(model, norm))
        if not len(self._bounds):
            return row
        if not len(self._lower(model, norm)):
            return [*row, "–", "–", "–", "–"]
        basis = self._rows(self._bounds, model, norm)["basis"].iloc[0]
        held = _share(self._lower(model, norm) > epsilon)
        return [*row, self.lower(model, norm), held, basis, self.ratio(model, norm)]

    def _distances(self, model: str, norm: str) -> npt.NDArray[np.float64]:
        return self._rows(self._best, model, norm)["distance"].to_numpy(dtype=float)

    def _lower(self, model: str, norm: str) -> npt.NDArray[np.float64]:
        return self._rows(self._bounds, model, norm)["lower"].to_numpy(dtype=float)

    @staticmethod
    def _rows(table: pd.DataFrame, model: str, norm: str) -> pd.DataFrame:
        return table[(table["model"] == model) & (table["norm"] == norm)]


def _share(withstood: npt.NDArray[np.bool_]) -> str:
    """The share of images (n,) that withstood, and its confidence interval."""
    return overview.share_text(int(withstood.sum()), len(withstood), 1)


def page(folders: Sequence[Path], released: Sequence[Path], paper: Path = PAPER) -> str:
    """The page of the runs kept in some folders; raises InputError if one of them is not whole.

    released: folders of the runs on the weights that the paper's authors released
    """
    own, theirs = (Numbers([Run(folder) for folder in part], Paper(paper)) for part in (folders, released))
    words: Any = {"of": own, "released": theirs, "places": " ".join(Run(folder).place for folder in folders)}
    return template("brief").render(**words, norms=NORMS, inf=math.inf)


if __name__ == "__main__":
    write_text(FOLDER / "brief.md", page([KEPT / name for name in RUNS], [KEPT / name for name in RELEASED]))
