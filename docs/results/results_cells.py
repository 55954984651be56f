"""Which cells of Table 1 differ from the paper's, the numbers of the notes about them, and what stays open."""

from collections.abc import Iterator
from dataclasses import dataclass

from results_comparison import Beyond, Difference, Entry, Key, difference, within_chance
from results_data import Paper, Run
from results_notes import Note, Notes, Question
from results_tables import models_of, rows_of

UNEXPLAINED = Question(
    "No reason known", "The cells differ from the paper's by more than chance, and nothing was tried yet."
)


@dataclass(frozen=True)
class Places:
    """How links to the pages that have the notes and the open questions begin; both empty for one page of all."""

    notes: str = ""
    questions: str = ""


@dataclass(frozen=True)
class Differing:
    """A cell that differs beyond the limits. beyond: None if the run's distances are gone"""

    ours: Entry
    theirs: Entry
    by: Difference
    beyond: Beyond | None

    @property
    def chance(self) -> bool:
        """Whether the difference may be due to the choice of images (`within_chance`)."""
        return within_chance(self.ours, self.theirs, self.beyond)


class Comparison:
    """A run beside the paper.

    places: where notes and questions stand
    differing: the cells that differ beyond the limits, in the order of the tables
    notes: of those cells; the first has number 1
    questions: what is open, and the cells that raise it
    """

    def __init__(self, run: Run, paper: Paper, notes: Notes, places: Places):
        self.run, self.paper, self._notes, self.places = run, paper, notes, places
        self.differing = dict(_differing(run, paper))
        beyond_chance = [key for key, cell in self.differing.items() if not cell.chance]
        self.notes: list[Note] = [*dict.fromkeys(note for key in beyond_chance for note in notes.of(key))]
        self.questions: list[tuple[Question, list[Key]]] = []
        for name, question in notes.questions.items():
            cells = [key for key in beyond_chance if any(note.question == name for note in notes.of(key))]
            self.questions += [(question, cells)] if cells else []
        unexplained = [key for key in beyond_chance if not notes.of(key)]
        self.questions += [(UNEXPLAINED, unexplained)] if unexplained else []
        self.unused = notes.unused(beyond_chance)

    def numbers(self, key: Key) -> list[int]:
        """The numbers of the notes about a cell; none if it does not differ by more than chance."""
        cell = self.differing.get(key)
        if cell is None or cell.chance:
            return []
        return [self.notes.index(note) + 1 for note in self._notes.of(key)]

    def question(self, note: Note) -> int:
        """The number of the question that a note leaves open."""
        asked = [question for question, _ in self.questions]
        return asked.index(self._notes.questions[note.question]) + 1

    def mark(self, key: Key, place: str = "") -> str:
        """What stands beside a cell: links to its notes, ≈ for chance, ? for no reason; empty if it does not differ.

        place: the page that has the notes, "" for the same page
        """
        if key not in self.differing:
            return ""
        if self.differing[key].chance:
            return "≈"
        links = [f"[{number}]({place}#note-{number})" for number in self.numbers(key)]
        return ", ".join(links) or f"[?]({self.places.questions}#open-questions)"


def _differing(run: Run, paper: Paper) -> Iterator[tuple[Key, Differing]]:
    for norm, attack in rows_of(run, paper):
        for model in models_of(run, paper):
            key = (norm, attack, model)
            by = difference(run.cells.get(key), paper.cells.get(key))
            if by:
                ours, theirs = run.cells[key], paper.cells[key]
                distances = None if theirs.median is None else run.distances(key)
                beyond = None if distances is None else Beyond.of(distances, theirs.median)
                yield key, Differing(ours, theirs, by, beyond)
