"""What YAML reads otherwise than it looks, found in the nodes of a config file before they become values."""

import re
from collections.abc import Hashable

import yaml

from absynth.errors import InputError

_MERGE, _INT, FLOAT, _STR = (f"tag:yaml.org,2002:{name}" for name in ("merge", "int", "float", "str"))
_EXPONENT = re.compile(r"[-+]?(\d[\d_]*[.]?|(\d[\d_]*)?[.]\d[\d_]*)[eE][-+]?\d+")
_OCTAL = re.compile(r"[-+]?0[0-7_]+")


def check_node(node: yaml.Node, name: str) -> None:
    """Raise InputError, with the line of the file `name`, for the first such slip below a node.

    These are a key that stands twice or is no text, a number in base 8 or 60, an anchor that holds an alias of
    itself, and among `arguments` a text that was meant as a number.
    """
    _check(node, name, (), set())


def number_in_text(text: str) -> int | float | None:
    """The number that a text spells which YAML takes for text, such as 1e-3 or "50"; None if it spells none."""
    for kind in (int, float):
        try:
            return kind(text) if text.strip() == text else None
        except ValueError:
            continue
    return None


def _check(node: yaml.Node, name: str, above: tuple[yaml.Node, ...], checked: set[int]) -> None:
    """Refuse what YAML reads otherwise than it looks, below a node.

    above: the nodes that it is in; checked: ids of those that need no second look, as aliases name them again
    """
    if any(node is other for other in above):
        raise InputError(f"{name}, line {node.start_mark.line + 1}: an anchor that holds an alias of itself")
    if id(node) in checked:
        return
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.ScalarNode):
        _check_number(node, name)
    elif isinstance(node, yaml.SequenceNode):
        parts = node.value
    elif isinstance(node, yaml.MappingNode):
        _check_keys(node, name)
        parts = [value for _, value in node.value]
        for key, value in node.value:
            if key.value == "arguments":  # of a user's own code, which no schema knows
                _check_texts(value, name, key.value)
    for part in parts:
        _check(part, name, (*above, node), checked)
    checked.add(id(node))


def _check_keys(node: yaml.MappingNode, name: str) -> None:
    """Refuse keys that stand twice, and those that are not text. What a merge key brings may be overwritten."""
    lines: dict[Hashable, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise InputError(f"{name}, line {line}: a key that is no text; write it as text")
        if key.tag not in ("tag:yaml.org,2002:str", _MERGE):
            kind = key.tag.rpartition(":")[2]
            raise InputError(
                f"{name}, line {line}: config key {key.value} is of type {kind} in YAML; "
                f"put it in quotes, '{key.value}'"
            )
        if key.value in lines:
            raise InputError(
                f"{name}, line {line}: config key {key.value} stands twice, first in line {lines[key.value]}; "
                "leave one of them out"
            )
        lines[key.value] = line


def _check_number(node: yaml.ScalarNode, name: str) -> None:
    """Refuse numbers in base 8 or 60, which YAML 1.1 reads from 010 and 1:30."""
    if node.tag not in (_INT, FLOAT):
        return
    octal = node.tag == _INT and _OCTAL.fullmatch(node.value)
    if octal or ":" in node.value:
        base = 8 if octal else 60
        raise InputError(
            f"{name}, line {node.start_mark.line + 1}: {node.value} is a number in base {base} in YAML; "
            "write it without leading zeros and colons, or a text in quotes"
        )


def _check_texts(node: yaml.Node, name: str, key: str) -> None:
    """Refuse what looks like a number and is a text in YAML, such as 1e-3, unless it stands in quotes."""
    if isinstance(node, yaml.SequenceNode):
        for i, part in enumerate(node.value):
            _check_texts(part, name, f"{key}.{i}")
    elif isinstance(node, yaml.MappingNode):
        for part, value in node.value:
            _check_texts(value, name, f"{key}.{part.value}")
    elif (
        isinstance(node, yaml.ScalarNode)
        and node.tag == _STR
        and node.style is None
        and _EXPONENT.fullmatch(node.value)
    ):
        raise InputError(
            f"{name}, line {node.start_mark.line + 1}: config key {key}: {node.value} is a text in YAML; "
            f"write {number_in_text(node.value)}, or put it in quotes if a text is meant"
        )
