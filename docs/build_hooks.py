"""What `mkdocs build --strict` checks besides links: public names are documented, generated pages are current.

A module is documented if docs/reference/python.md shows it (`::: module`).
"""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

from generate_reference import PAGES, generated

DOCS = Path(__file__).parent
SOURCE = DOCS.parent / "src"
_SHOWN = re.compile(r"^::: (absynth[\w.]*)$", re.MULTILINE)
_LOG = logging.getLogger("mkdocs.plugins.absynth")


def on_pre_build(config: Any) -> None:
    """Warn, which --strict makes an error, of undocumented names and of pages that are out of date."""
    for name in undocumented_names():
        _LOG.warning("%s is public and has no docstring", name)
    for page in stale_pages():
        _LOG.warning("docs/%s is out of date: run python docs/generate_reference.py", page)


def stale_pages() -> list[str]:
    """The generated pages that are not what the schemas and the registry say now."""
    return [page for page in PAGES if generated(page) != (DOCS / page).read_text(encoding="utf-8")]


def documented_objects() -> list[str]:
    """The modules, classes and functions that the reference shows."""
    return _SHOWN.findall((DOCS / "reference" / "python.md").read_text(encoding="utf-8"))


def undocumented_names() -> list[str]:
    """Public functions, classes and methods without a docstring: of the modules shown, and of `absynth.__all__`."""
    package = griffe.load("absynth", search_paths=[SOURCE], resolve_aliases=True)
    public = [f"absynth.{name}" for name in package.exports or ()]
    found = [
        name for path in [*public, *documented_objects()] for name in _undocumented(_find(package, path))
    ]
    return sorted(set(found))


def _find(package: griffe.Module, path: str) -> griffe.Object:
    found = package[path.removeprefix("absynth").lstrip(".")] if path != "absynth" else package
    return found.final_target if isinstance(found, griffe.Alias) else found


def _undocumented(shown: griffe.Object) -> Iterator[str]:
    """What an object lacks; methods that another class of the module documents, say a protocol, need no docstring."""
    if not shown.has_docstring:
        yield shown.path
    if shown.is_function:
        return
    for member in shown.members.values():
        if member.is_alias or member.name.startswith("_") or member.name == "forward":
            continue
        named = member.is_function or member.is_class or "property" in member.labels
        if named and not (shown.is_class and _documented_elsewhere(shown, member.name)):
            yield from _undocumented(member)


def _documented_elsewhere(shown: griffe.Object, method: str) -> bool:
    others = (other for other in shown.module.members.values() if not other.is_alias and other.is_class)
    return any(method in other.members and other.members[method].has_docstring for other in others)
