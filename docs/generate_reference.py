"""Write the tables of docs/reference/ that follow from the schemas, the registry of attacks and the files' layouts.

python docs/generate_reference.py           # after a change of a schema or of the registry
python docs/generate_reference.py --check   # fails if a page is not what it should be

A page holds prose and, between `<!-- generated: NAME -->` and `<!-- end -->`, what this program writes. What the
schemas and the registry do not know of an attack (a sentence, the paper's title and address) is in
docs/reference/attacks.yaml.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from absynth.attacks.outside import BUILDERS
from absynth.attacks.registry import ATTACKS, AttackEntry
from absynth.io import records
from absynth.models.registry import KINDS
from absynth.norms import NORMS

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PAGES = ("reference/config.md", "reference/attacks.md", "reference/outputs.md")
_BLOCK = re.compile(r"(?P<begin><!-- generated: (?P<name>[\w .]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL)
# Keys of an attack's entry that are none of its options.
SELECTION = ("models", "norms", "batch_size", "start_from", "per_model")


def main(check: bool) -> int:
    """Write the pages anew, or only say which of them would change; the number of those."""
    stale = [page for page in PAGES if generated(page) != _read(page)]
    for page in stale:
        if check:
            print(f"docs/{page} is out of date: run python docs/generate_reference.py", file=sys.stderr)
        else:
            (DOCS / page).write_text(generated(page), encoding="utf-8")
    return len(stale) if check else 0


def generated(page: str) -> str:
    """The text of a page with its generated parts as they should be."""

    def renewed(block: re.Match[str]) -> str:
        kind, _, argument = block["name"].partition(" ")
        return f"{block['begin']}\n{_PARTS[kind](argument)}\n\n{block['end']}"

    return _BLOCK.sub(renewed, _read(page))


def keys_table(schema: Mapping[str, Any], prefix: str = "", shipped: Mapping[str, Any] | None = None) -> str:
    """A row for each property of a schema that has none itself.

    shipped: values that replace the schema's defaults
    """
    rows = [
        (f"`{prefix}{key}`", part["description"], allowed(part), _default(key, part, schema, shipped or {}))
        for key, part in schema["properties"].items()
        if not part.get("properties") or "string" in part["type"]  # a block has a table of its own
    ]
    return table(("key", "meaning", "allowed", "default"), rows)


def allowed(part: Mapping[str, Any]) -> str:
    """What a property may hold, in words."""
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    kinds = part.get("type", "object")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return " or ".join(_WORDS[kind](part) for kind in kinds)


def _numbers(noun: str) -> Callable[[Mapping[str, Any]], str]:
    def described(part: Mapping[str, Any]) -> str:
        low, high = part.get("minimum"), part.get("maximum")
        if low is not None and high is not None:
            return f"{noun}, {_plain(low)} to {_plain(high)}"
        words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
        limits = [
            f"{word}\N{NO-BREAK SPACE}{_plain(part[key])}" for key, word in words.items() if key in part
        ]
        return ", ".join([noun, *limits])

    return described


_WORDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "integer": _numbers("integer"),
    "number": _numbers("number"),
    "string": lambda part: "text",
    "boolean": lambda part: "`true`, `false`",
    "object": lambda part: "mapping",
    "array": lambda part: (
        f"list of {allowed(part['items']).replace('integer', 'integers').replace('number', 'numbers')}"
    ),
    "null": lambda part: "`null`",
}


def _default(key: str, part: Mapping[str, Any], schema: Mapping[str, Any], shipped: Mapping[str, Any]) -> str:
    value = shipped[key] if key in shipped else part.get("default")
    if key in schema.get("required", []) and key not in shipped:
        return "required"
    if value is None:
        return "`null`" if "default" in part or key in shipped else "–"
    return f"`{json.dumps(value, ensure_ascii=False)}`" if value != {} else "–"


def _plain(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def config_part(block: str) -> str:
    """The keys of config.yaml: those at the top, or those of a block, which may be nested ("vae.refine")."""
    schema, shipped = _schema("config"), yaml.safe_load((ROOT / "config" / "config.yaml").read_text("utf-8"))
    for name in filter(None, block.split(".")):
        schema, shipped = schema["properties"][name], shipped.get(name) or {}
    if block:
        return keys_table(schema, f"{block}.", shipped)
    hidden = {"models", "attacks", "substitute"}
    properties = {key: part for key, part in schema["properties"].items() if key not in hidden}
    return keys_table({**schema, "properties": properties}, shipped=shipped)


def model_part(kind: str) -> str:
    """The keys of a model of one kind."""
    return keys_table(_schema("models")[kind])


def kinds_part(_: str) -> str:
    """The kinds of model and what they offer to attacks."""
    offers = {
        "gradients": "gradients",
        "latents": "latents",
        "lower_bound": "lower bounds",
        "input_threshold": "a binarised input",
    }
    rows = [
        (f"`{name}`", kind.label, ", ".join(word for key, word in offers.items() if getattr(kind, key)))
        for name, kind in KINDS.items()
        if name not in ("custom", "substitute")
    ]
    return table(("kind", "title", "offers"), rows)


def selection_part(_: str) -> str:
    """What the entries of all attacks have in common."""
    properties = _schema("attacks")["fgm"]["properties"]
    return keys_table({"properties": {key: properties[key] for key in SELECTION}})


def outside_part(kind: str) -> str:
    """The keys of an attack that is named by its class or function; `kind` is a key of `BUILDERS`."""
    return _options(kind)


def overview_part(_: str) -> str:
    """A row for each attack of the registry."""
    rows = [
        (f"[`{name}`](#{name})", _norms(entry), knowledge(entry), _notes()["attacks"][name])
        for name, entry in ATTACKS.items()
    ]
    return table(("attack", "norms", "needs", "in a sentence"), rows)


def attacks_part(_: str) -> str:
    """A section for each attack of the registry: source, norms, knowledge, options."""
    return "\n\n".join("\n\n".join(_section(name, entry)) for name, entry in ATTACKS.items())


def _section(name: str, entry: AttackEntry) -> Iterator[str]:
    source = _notes()["sources"][entry.source]
    yield f"### {name}"
    sentence = _notes()["attacks"][name]
    yield f"{sentence[0].upper()}{sentence[1:]}."
    lines = [
        f"- **Norms**: {_norms(entry)}; in tables: {', '.join(dict.fromkeys(entry.norms.values()))}",
        f"- **Needs**: {knowledge(entry)}",
        f"- **Source**: {entry.source}, [{source['title']}]({source['url']})",
    ]
    if entry.takes_start:
        lines.append(
            "- Can [start from](config.md#starting-from-another-attack) the adversarials of other attacks"
        )
    yield "\n".join(lines)
    yield _options(name)


def _options(name: str) -> str:
    schema = _schema("attacks")[name]
    properties = {key: part for key, part in schema["properties"].items() if key not in SELECTION}
    if name in BUILDERS:
        del properties["kind"]  # of which it has none
        properties = {"norms": schema["properties"]["norms"], **properties}
    return keys_table({**schema, "properties": properties}).replace("| key |", "| option |", 1)


def knowledge(entry: AttackEntry) -> str:
    """What an attack must know of the model, in words."""
    if entry.input_threshold:
        return "logits, and a binarised input"
    if entry.lower_bound:
        return "lower bounds"
    if entry.latents:
        return "latents"
    if entry.substitute:
        return "decisions, and gradients of a substitute"
    if entry.gradients:
        return "gradients"
    return "logits" if entry.estimates or entry.logits else "decisions"


def record_part(layout: str) -> str:
    """The datasets of an HDF5 file, by the name of its layout in `absynth.io.records`."""
    rows = [
        (f"`{name}`", _shape(column.row), column.dtype, column.unit)
        for name, column in getattr(records, layout).items()
    ]
    return table(("dataset", "shape", "type", "content or unit"), rows)


def _shape(row: tuple[int | None, ...]) -> str:
    sizes = ["n", *("any" if size is None else str(size) for size in row)]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


def _norms(entry: AttackEntry) -> str:
    return ", ".join(NORMS[norm].title for norm in ("l2", "linf", "l0") if norm in entry.norms)


def _schema(name: str) -> dict[str, Any]:
    text = (ROOT / "workflow" / "schemas" / f"{name}.schema.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def _notes() -> dict[str, Any]:
    return yaml.safe_load(_read("reference/attacks.yaml"))


def _read(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


_PARTS: dict[str, Callable[[str], str]] = {
    "config": config_part,
    "model": model_part,
    "kinds": kinds_part,
    "selection": selection_part,
    "outside": outside_part,
    "record": record_part,
    "overview": overview_part,
    "attacks": attacks_part,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page would change")
    sys.exit(main(parser.parse_args().check))
