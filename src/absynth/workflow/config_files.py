"""The files that a config comes from: read strictly, since YAML lets slips pass, and laid over one another.

Snakemake's own merge leaves null where a later file has an empty mapping, its reader keeps the last of two equal
keys, and nested values of `--config` arrive as text.
"""

import json
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from absynth.attacks.registry import ATTACKS
from absynth.errors import InputError
from absynth.models.registry import KINDS
from absynth.workflow.only import check_only
from absynth.workflow.yaml_nodes import FLOAT, check_node

Layer = Mapping[str, Any]
_OPTIONS = {"--configfile": ("--configfile", "--configfiles"), "--config": ("--config", "-C")}
_JOINED = {"--configfile": "A B", "--config": "a=1 b=2"}
_PLAIN = {
    "": None,
    "null": None,
    "~": None,
    "None": None,
    "True": True,
    "False": False,
}  # after --config KEY=


class _OptionLoader(yaml.SafeLoader):
    """Reads Python's None and numbers such as 1e-3 as well, as they may stand after `--config`."""


_OptionLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("None$"), ["N"])
_OptionLoader.add_implicit_resolver(FLOAT, re.compile(r"[-+]?\d+[.]?\d*[eE][-+]?\d+$"), [*"-+0123456789"])


def read_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a config file, YAML or JSON.

    Raises InputError, naming the file and where known the line, if it cannot be read, is not UTF-8, not YAML, empty
    or no mapping, holds a key twice or one that is not text, refers to itself, or is a template.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    config = parse_config(text, str(path))
    if config is None:
        raise InputError(f"{path}: empty; a config with the keys of docs/reference/config.md is needed")
    if not isinstance(config, dict):
        raise InputError(f"{path}: holds {_kind(config)}; keys with their values (key: value) are needed")
    if "__use_yte__" in config:
        raise InputError(f"{path}: config key __use_yte__: templates are not read; write the values out")
    return config


def parse_config(text: str, name: str, kind: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """The value of a YAML or JSON text; `name` stands in messages. Raises InputError as `read_config`."""
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _mapping(pairs, name))
    except ValueError:
        pass  # JSON allows tabs, YAML does not; all other JSON is YAML
    loader = kind(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        check_node(node, name)
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2024-99-99
        raise InputError(f"{name}{_line_of(error)}: not valid YAML ({_problem(error, text)})") from None
    finally:
        loader.dispose()


def parse_option(entry: str) -> tuple[str, Any]:
    """Key and value of one entry of `--config`, KEY=VALUE.

    Nested values are YAML, or Python as Snakemake's help has them; null is null. All others are as Snakemake reads
    them.
    """
    key, _, quoted = entry.partition("=")
    text = quoted.strip("'\"")
    if text in _PLAIN:
        return key, _PLAIN[text]
    for kind in (int, float):
        try:
            return key, kind(text)
        except ValueError:
            continue
    if text[0] not in "{[":
        return key, text
    return key, parse_config(text, f"--config {key}", _OptionLoader)


def parse_options(entries: Iterable[str]) -> dict[str, Any]:
    """All entries of `--config`. Raises InputError for a key given twice, and as `parse_config`."""
    options: dict[str, Any] = {}
    for key, value in map(parse_option, entries):
        if key in options:
            raise InputError(f"--config: {key} is given twice; give it once")
        options[key] = value
    return options


def lay_over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `base` in which `over` replaces values key by key; a mapping replaces all but a mapping."""
    merged = deepcopy(dict(base))
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = lay_over(below, value)
        else:
            merged[key] = deepcopy(value)
    return merged


def merged_config(files: Iterable[str | os.PathLike[str]], options: Iterable[str]) -> dict[str, Any]:
    """The config of files, each laid over those before it, and of the entries of `--config` over them all."""
    config: dict[str, Any] = {}
    for layer in (*map(read_config, files), parse_options(options)):
        check_only(layer)
        config = _lay_over_whole(config, layer)
    return config


def _lay_over_whole(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """As `lay_over`, but for keys of which one replaces another.

    Presets of attacks replace attacks and relay, and a mapping is laid over presets by name. Either of
    `images_per_shard` and `shards` replaces the other. Null takes out an attack or a model of a name of its own.
    """
    for key, other in (("images_per_shard", "shards"), ("shards", "images_per_shard")):
        if over.get(key) is not None:
            base = {name: value for name, value in base.items() if name != other}
    for section, known in (("attacks", ATTACKS), ("models", KINDS)):
        base, over = _without_own(base, over, section, known)
    attacks, below = over.get("attacks"), base.get("attacks")
    if isinstance(attacks, str | list) or (isinstance(attacks, Mapping) and "preset" in attacks):
        base = {key: value for key, value in base.items() if key not in ("attacks", "relay")}
    elif isinstance(attacks, Mapping) and isinstance(below, str | list):
        base = {**base, "attacks": {"preset": below}}
    return lay_over(base, over)


def _without_own(base: Layer, over: Layer, section: str, known: Collection[str]) -> tuple[Layer, Layer]:
    """Both without the entries of a section that `base` has, by no `known` name, and that are null in `over`."""
    below, above = base.get(section), over.get(section)
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return base, over
    gone = {name for name, entry in above.items() if entry is None and name in below and name not in known}
    base_left, over_left = (
        {**layer, section: {name: entry for name, entry in layer[section].items() if name not in gone}}
        for layer in (base, over)
    )
    return base_left, over_left


def check_command(arguments: Sequence[str]) -> None:
    """Refuse a command line that gives an option of the config twice, of which Snakemake takes the last alone.

    arguments: those of the process, the program first; of a program other than Snakemake nothing is refused
    """
    program = Path(arguments[0]) if arguments else Path()
    if "snakemake" not in (program.name, program.parent.name):
        return
    for option, spellings in _OPTIONS.items():
        given = [word for word in arguments[1:] if _spells(word, spellings)]
        if len(given) > 1:
            raise InputError(
                f"{given[0]} and then {given[1]}: the second replaces the first; "
                f"write one {option} {_JOINED[option]}"
            )


def _spells(word: str, spellings: Sequence[str]) -> bool:
    """Whether a word of a command line is one of an option's spellings, its value joined to it or not."""
    short = [name for name in spellings if len(name) == 2]
    return word.partition("=")[0] in spellings or any(word.startswith(name) for name in short)


def _mapping(pairs: Sequence[tuple[str, Any]], name: str) -> dict[str, Any]:
    """A mapping of JSON, in which no key may stand twice."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise InputError(f"{name}: config key {key} stands twice; leave one of them out")
        found[key] = value
    return found


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else f"the one value {value!r}"


def _line_of(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f", line {mark.line + 1}" if mark else ""


def _problem(error: Exception, text: str) -> str:
    mark = getattr(error, "problem_mark", None)
    lines = text.splitlines()
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "a tab indents it; write spaces"
    return " ".join(str(getattr(error, "problem", None) or error).split())
