"""Why cells of Table 1 differ from the paper's, and what is not known: what docs/results/notes.yaml holds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from absynth.errors import InputError
from results_comparison import Key


@dataclass(frozen=True)
class Note:
    """A reason that some cells share.

    cells: norm/attack/model of each; names may contain * and ?
    reason: in words, as a template that may ask for numbers of the run (`results_words.Words`)
    commands: those that measured what the run did not
    measured: the date of these measurements; empty if there are none
    question: the key of what the reason leaves open; empty if nothing
    """

    cells: tuple[str, ...]
    reason: str
    commands: tuple[str, ...] = ()
    measured: str = ""
    question: str = ""

    def concerns(self, key: Key) -> bool:
        """Whether a cell is one of those that the note is about."""
        return any(fnmatchcase("/".join(key), pattern) for pattern in self.cells)


@dataclass(frozen=True)
class Question:
    """Something that is not known. text: a template, as `Note.reason`"""

    title: str
    text: str


@dataclass(frozen=True)
class Notes:
    """All notes, and all questions by key."""

    notes: Sequence[Note]
    questions: Mapping[str, Question]

    @classmethod
    def read(cls, path: Path) -> "Notes":
        """Read a file of notes; raises InputError for an unknown or missing key."""
        content = _checked(path, "", yaml.safe_load(path.read_text(encoding="utf-8")), ("notes", "questions"))
        notes, questions = content.get("notes") or [], content.get("questions") or {}
        for place, entry in enumerate(notes):
            allowed = ("cells", "reason", "commands", "measured", "question")
            _checked(path, f"notes[{place}].", entry, allowed, ("cells", "reason"))
            for key in ("cells", "commands"):
                if not isinstance(entry.get(key, []), list):
                    raise InputError(f"{path}: notes[{place}].{key}: found {entry[key]}; expected a list")
            wrong = [cell for cell in entry["cells"] if cell.count("/") != 2]
            if wrong:
                raise InputError(
                    f"{path}: notes[{place}].cells: found {wrong[0]}; expected norm/attack/model"
                )
            if "commands" in entry and "measured" not in entry:
                raise InputError(f"{path}: notes[{place}]: has commands, and no date: add measured")
            if entry.get("question", "") not in ("", *questions):
                raise InputError(
                    f"{path}: notes[{place}].question: found {entry['question']}; questions are "
                    f"{', '.join(questions) or 'none'}"
                )
        for key, entry in questions.items():
            _checked(path, f"questions.{key}.", entry, ("title", "text"), ("title", "text"))
        return cls(
            [_note(entry) for entry in notes], {key: Question(**entry) for key, entry in questions.items()}
        )

    def of(self, key: Key) -> list[Note]:
        """The notes about a cell."""
        return [note for note in self.notes if note.concerns(key)]

    def unused(self, differing: Iterable[Key]) -> list[str]:
        """The patterns of cells that are none of those that differ, and the keys of questions that no note asks."""
        differing = [*differing]
        names = ["/".join(key) for key in differing]
        patterns = [pattern for note in self.notes for pattern in note.cells]
        asked = {note.question for key in differing for note in self.of(key)}
        return [
            *(pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in names)),
            *(f"questions.{key}" for key in self.questions if key not in asked),
        ]


def _note(entry: Mapping[str, Any]) -> Note:
    lists = {key: tuple(entry.get(key, ())) for key in ("cells", "commands")}
    return Note(**{**entry, **lists, "measured": str(entry.get("measured", ""))})


def _checked(
    path: Path, prefix: str, entry: Any, allowed: Sequence[str], needed: Sequence[str] = ()
) -> dict[str, Any]:
    """A mapping; raises InputError for a key that is not allowed, or one that is needed and missing."""
    entry = {} if entry is None else entry
    unknown = [key for key in entry if key not in allowed]
    if unknown:
        raise InputError(f"{path}: unknown key {prefix}{unknown[0]}; allowed are {', '.join(allowed)}")
    missing = [key for key in needed if key not in entry]
    if missing:
        raise InputError(f"{path}: lacks {prefix}{missing[0]}")
    return entry
