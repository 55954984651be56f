"""What the words of the results pages ask for: numbers of the run, its notes and its open questions."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from absynth.reporting.overview import share_text
from results_cells import Comparison
from results_comparison import Key, median_text, number
from results_notes import Note
from results_tables import attack_title, caption, model_label

TEMPLATES = Path(__file__).parent / "templates"


def template(page: str) -> Template:
    """The words of a page by its name, in which every number must be known."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )  # Markdown, so nothing is escaped
    return environment.get_template(f"{page}.md.j2")


class Words:
    """Numbers as they are printed. Cells of Table 1 are named norm/attack/model, say l2/fgm/cnn.

    Asking for a cell that the run does not have raises KeyError.

    other: the words of another run, which reasons may ask for as well
    """

    def __init__(self, of: Comparison, other: "Words | None" = None):
        self._of, self._other = of, other
        self._environment = Environment(undefined=StrictUndefined)  # Markdown, so nothing is escaped

    def cell(self, name: str) -> str:
        """Median and accuracy of the run."""
        return self._of.run.cells[_key(name)].text(_key(name)[0])

    def median(self, name: str) -> str:
        """The run's median distance."""
        return median_text(self._of.run.cells[_key(name)].median, _key(name)[0])

    def found(self, name: str) -> str:
        """The share of the correctly classified images for which an attack found an adversarial."""
        distances = self._distances(name)
        return f"{np.isfinite(distances[distances > 0]).mean():.0%}"

    def bound(self, model: str, norm: str, bound: str, statistic: str = "median") -> str:
        """The mean or the median of a lower bound over images."""
        table = self._of.run.tables["bounds"]
        rows = table[(table["model"] == model) & (table["norm"] == norm) & (table["bound"] == bound)]
        return number(float(rows[statistic].iloc[0]), "{:.3f}")

    @staticmethod
    def share(hits: int, n: int, decimals: int = 0) -> str:
        """A share of n images that was measured elsewhere, and its confidence interval."""
        return share_text(hits, n, decimals)

    def clean(self, model: str) -> str:
        """The accuracy on all clean test images."""
        return f"{self._of.run.cells['clean', 'clean', model].accuracy:.2f} %"

    def images(self) -> int:
        """How many images were attacked."""
        return int(self._of.run.tables["robustness"]["n"].max())

    def epsilon(self, norm: str) -> str:
        """The ε of accuracies in a norm."""
        return f"{self._of.run.config['epsilons'][norm]:g}"

    def differing(self) -> int:
        """How many cells of Table 1 differ from the paper's beyond the limits."""
        return len(self._of.differing)

    def compared(self) -> int:
        """How many cells of Table 1 both have, clean accuracies included."""
        return len(self._of.run.cells.keys() & self._of.paper.cells.keys())

    def by_chance(self) -> int:
        """How many of those that differ may do so by chance."""
        return sum(cell.chance for cell in self._of.differing.values())

    def notes(self) -> str:
        """All notes about cells of Table 1, in the order of their numbers."""
        texts = [self._note(number, note) for number, note in enumerate(self._of.notes, start=1)]
        return "\n\n".join(texts)

    def open(self) -> str:
        """How many questions are open, as the beginning of a sentence."""
        n = len(self._of.questions)
        return f"{n or 'No'} question{' is' if n == 1 else 's are'} open{':' if n else '.'}"

    def questions(self) -> str:
        """The open questions as a list, each with the cells that raise it."""
        lines = []
        for place, (question, keys) in enumerate(self._of.questions, start=1):
            cells = ", ".join(self._named(key) for key in keys)
            text = " ".join(self._filled(question.text).split())
            lines.append(f"{place}. **{question.title}.** {text} Cells: {cells}.")
        return "\n".join(lines)

    def origin(self) -> str:
        """Where the page comes from, and how the run was made."""
        return (
            f"<sub>Written by `python docs/results/make_results.py` from the tables in `{self._of.run.place}`, the "
            "paper's numbers in `resources/paper/`, and the words in `docs/results/notes/` and "
            f"`docs/results/templates/`.</sub>\n\n{caption(self._of.run)}"
        )

    def _note(self, place: int, note: Note) -> str:
        text = " ".join(self._filled(note.reason).split())
        if note.commands:
            text += f" Measured by {', '.join(f'`{command}`' for command in note.commands)}"
            text += f" ({note.measured})."
        elif note.measured:
            text += f" ({note.measured}.)"
        if note.question:
            link = f"{self._of.places.questions}#open-questions"
            text += f" The rest is [open question {self._of.question(note)}]({link})."
        return f'<a id="note-{place}"></a>**{place}.** {text}'

    def _named(self, key: Key) -> str:
        norm, attack, model = key
        title = attack_title(attack, norm)
        place = (
            f"Clean accuracy of {model_label(model)}"
            if norm == "clean"
            else f"{title} on {model_label(model)}"
        )
        marks = ", ".join(f"[{n}]({self._of.places.notes}#note-{n})" for n in self._of.numbers(key))
        return f"{place}{f' (note {marks})' if marks else ''}"

    def _filled(self, template: str) -> str:
        return self._environment.from_string(template).render(of=self, other=self._other)

    def _distances(self, name: str) -> npt.NDArray[np.float64]:
        found = self._of.run.distances(_key(name))
        if found is None:
            raise KeyError(f"{name}: the distances are gone")
        return found


def _key(name: str) -> Key:
    norm, attack, model = name.split("/")
    return norm, attack, model
