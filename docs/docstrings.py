"""Docstrings as this project writes them, as Markdown: "name: meaning" and "Returns …" become the items of a list."""

import re
from typing import Any

import griffe

# A name, or several, with shape and type up to the colon; or one of the words that begin a part of a contract.
_ITEM = re.compile(
    r"^(?P<name>[a-zα-ω_][\w, ]*(?: \([^)]*\))?(?: [a-z0-9]+)?(?=:)|(?:Takes|Reads|Returns|Raises)\b)"
)


def as_markdown(text: str) -> str:
    """Docstring text with its items as Markdown lists and literal asterisks; code is left alone."""
    text = (
        text
        if "```" in text
        else re.sub(r"\*\*(?=\w)|\*(?=_)", lambda found: found[0].replace("*", r"\*"), text)
    )
    return "\n\n".join(_paragraph(part) for part in text.split("\n\n"))


def _paragraph(text: str) -> str:
    lines = text.splitlines()
    starts = [i for i, line in enumerate(lines) if _ITEM.match(line)]
    if not starts or text.lstrip().startswith(("```", "- ")):
        return text
    prose, items = lines[: starts[0]], lines[starts[0] :]
    listed = [
        _ITEM.sub(r"- **\g<name>**", line) if _ITEM.match(line) else f"  {line.strip()}" for line in items
    ]
    return "\n".join([*prose, *([""] if prose else []), *listed])


class ContractDocstrings(griffe.Extension):
    """Rewrites the docstring of every object that the site shows."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called by griffe for each object that it has read."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)
