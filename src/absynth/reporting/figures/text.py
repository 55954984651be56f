"""Labels as matplotlib shows them as they are written, broken into lines, and how wide they are."""

import re
from collections.abc import Iterable, Mapping

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

LINE = 1.25  # height of a line of text, in font sizes
_HINTING = 1.04  # letters on whole pixels are up to so much wider than their outlines
_WORD = re.compile(r"[^\s_/.:-]*[\s_/.:-]*")  # what ends where a line may end


def as_written(labels: Mapping[str, str], width: int | None = None) -> dict[str, str]:
    """A user's labels as matplotlib shows them as they are written: it would set formulas between two `$`.

    width: the most characters in a line, None for any number
    """
    return {name: escaped(wrapped(label, width) if width else label) for name, label in labels.items()}


def escaped(label: str) -> str:
    """A label that matplotlib shows as it is written."""
    return label.replace("$", r"\$")


def wrapped(label: str, width: int) -> str:
    """The label in lines of at most `width` characters, broken after spaces and signs, or within longer words.

    Lines that it has stay apart.
    """
    return "\n".join("\n".join(_lines(line, width)) for line in label.split("\n"))


def _lines(label: str, width: int) -> list[str]:
    lines = [""]
    for word in _WORD.findall(label):
        if len(lines[-1]) + len(word.rstrip()) > width and lines[-1]:
            lines.append("")
        while len(lines[-1] + word.rstrip()) > width:
            lines[-1], word = word[:width], word[width:]
            lines.append("")
        lines[-1] += word
    return [line.rstrip() for line in lines] if len(lines) > 1 else [label]


def n_lines(labels: Iterable[str]) -> int:
    """The most lines that any of the labels has; 1 if there is none."""
    return max((label.count("\n") + 1 for label in labels), default=1)


def text_width(labels: Iterable[str], size: float) -> float:
    """Inches that the widest line of the labels takes, set in `size` points."""
    font = FontProperties(size=size)
    lines = {line for label in labels for line in label.split("\n") if line}
    return max(
        (
            text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] / 72 * _HINTING
            for line in lines
        ),
        default=0.0,
    )
