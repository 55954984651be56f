"""Check a config against its schema, fill in defaults, and report in one line what is wrong."""

import math
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend

from absynth.errors import InputError
from absynth.io.spelling import nearest
from absynth.workflow.yaml_nodes import number_in_text

# Keys that were renamed, without the `per_model.{model}` that an attack's option may stand in.
RENAMED = {
    "thresholds": "epsilons",
    "certificates.hops": "perturbed_restarts",
    "certificates.margin": "pruning_share",
    "attacks.certificate.duels": "class_pairs",
}
_PER_MODEL = re.compile(r"\bper_model\.[^.]+\.")


def _is_integer(_: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_: Any, value: Any) -> bool:
    return _is_integer(_, value) or (isinstance(value, float) and math.isfinite(value))


# JSON Schema takes 50.0 for an integer, and infinity and NaN, which JSON lacks, for numbers.
_Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    ),
)


def read_schema(folder: str | Path, name: str) -> Mapping[str, Any]:
    """Read workflow/schemas/{name}.schema.yaml; all who read it share what is returned, so nobody changes it."""
    return _parsed(Path(folder) / f"{name}.schema.yaml")


@cache
def _parsed(path: Path) -> Mapping[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def check(value: Any, schema: Mapping[str, Any], key: str = "") -> None:
    """Validate `value`, then fill in the schema's defaults, nested ones included, in place.

    key: where `value` stands in the config, for the message
    Raises InputError with the key, what was found and what is allowed.
    """
    error = best_match(_Validator(schema).iter_errors(value))
    if error:
        raise InputError(_message(error, key))
    fill_defaults(value, schema)


def check_entry(name: str, entry: Any, schemas: Mapping[str, Any], key: str) -> None:
    """Validate one entry of `models` or `attacks` by the schema that its name has.

    Raises InputError as `check` and `check_known`.
    """
    check_known(name, schemas, key)
    check(entry, schemas[name], key)


def check_known(name: str, known: Mapping[str, Any], key: str) -> None:
    """Raise InputError unless `name` is known, with the names there are and the closest among them."""
    if name not in known:
        raise InputError(f"config key {key}: unknown; {_suggest(name, known)}")


def fill_defaults(value: Any, schema: Mapping[str, Any]) -> None:
    """Fill in the defaults of missing properties, in place."""
    if not isinstance(value, dict):
        return
    for name, part in schema.get("properties", {}).items():
        if "default" in part:
            value.setdefault(name, deepcopy(part["default"]))
        if name in value:
            fill_defaults(value[name], part)


def check_plain(value: Any, key: str) -> None:
    """Raise InputError, with the key, for a value that YAML knows but a config cannot hand on to jobs as it is.

    Allowed are texts, numbers, truth values, null, and lists and mappings of these, as in JSON.
    """
    if isinstance(value, Mapping):
        for name, part in value.items():
            if not isinstance(name, str):
                raise InputError(f"config key {key}: its key {name!r} is no text; put it in quotes, '{name}'")
            check_plain(part, f"{key}.{name}")
    elif isinstance(value, list):
        for i, part in enumerate(value):
            check_plain(part, f"{key}.{i}")
    elif isinstance(value, date):  # a datetime too
        raise InputError(
            f"config key {key}: found the {type(value).__name__} {value}, which is no text, number or list; "
            f"put it in quotes, '{value}'"
        )
    elif value is not None and not isinstance(value, str | int | float):
        raise InputError(
            f"config key {key}: found {value!r} of type {type(value).__name__}, allowed are text, numbers, true, "
            "false, null, lists and mappings; write it as one of these, or put it in quotes"
        )


def _message(error: ValidationError, key: str) -> str:
    path = ".".join([key] * bool(key) + [str(part) for part in error.absolute_path])
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
        return _unknown_key(path, [str(name) for name in error.instance if name not in known], known)
    where = f"config key {path}" if path else "config"
    found = repr(error.instance)
    found = found if len(found) <= 80 else found[:77] + "..."
    return f"{where}: {_REASONS.get(error.validator, _other)(error, found)}"


def _unknown_key(parent: str, names: Sequence[str], known: Mapping[str, Any]) -> str:
    """What is wrong with the keys `names` of `parent`: that one was renamed, else that the first is unknown."""
    paths = {name: ".".join([parent] * bool(parent) + [name]) for name in names}
    for path in paths.values():
        new = RENAMED.get(_PER_MODEL.sub("", path))
        if new:
            return f"config key {path}: was renamed to {new}"
    name, path = next(iter(paths.items()))
    return f"config key {path}: unknown; {_suggest(name, known)}"


def _type(error: ValidationError, found: str) -> str:
    allowed = error.validator_value
    allowed = [allowed] if isinstance(allowed, str) else list(allowed)
    words = " or ".join(_TYPES[name] for name in allowed)
    return f"found {found}, allowed is {words}{_hint(error.instance, allowed)}"


def _hint(value: Any, allowed: Sequence[str]) -> str:
    """What to write instead of a value that YAML reads as another type than it looks."""
    if isinstance(value, str) and ("integer" in allowed or "number" in allowed):
        number = number_in_text(value)
        if isinstance(number, int) or (number is not None and "number" in allowed):
            return f"; write {number}, which YAML does not take for text"
        if "number" in allowed and (fraction := _FRACTION.fullmatch(value)) and float(fraction[2]):
            return f"; write {float(fraction[1]) / float(fraction[2]):.6g}: YAML has no fractions"
    if isinstance(value, str) and "array" in allowed:
        return f"; write a list, [{value}]"
    if "string" in allowed and isinstance(value, bool | int | float | date):
        return "; put it in quotes"
    return ""


def _allowed(error: ValidationError) -> str:
    """What a pattern allows: the examples that its schema has, else the pattern."""
    examples = error.schema.get("examples") if isinstance(error.schema, Mapping) else None
    return f"such as {' or '.join(examples)}" if examples else f"what matches {error.validator_value}"


def _other(error: ValidationError, found: str) -> str:
    return f"found {found}: {error.message}"


# What JSON Schema calls a type, and what a reader of YAML does.
_TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
_FRACTION = re.compile(r"\s*(\d+(?:\.\d*)?)\s*/\s*(\d+(?:\.\d*)?)\s*")
_REASONS = {
    "type": _type,
    "enum": lambda error, found: f"found {found}, allowed are {', '.join(map(str, error.validator_value))}",
    "minimum": lambda error, found: f"found {found}, allowed is {error.validator_value} or more",
    "maximum": lambda error, found: f"found {found}, allowed is {error.validator_value} or less",
    "exclusiveMinimum": lambda error, found: f"found {found}, allowed is more than {error.validator_value}",
    "exclusiveMaximum": lambda error, found: f"found {found}, allowed is less than {error.validator_value}",
    "minLength": lambda error, found: (
        f"found {found}, allowed are {error.validator_value} characters or more"
    ),
    "maxLength": lambda error, found: (
        f"found {len(error.instance)} characters ({found}), allowed are {error.validator_value} or fewer"
    ),
    "minItems": lambda error, found: f"found {found}, allowed are {error.validator_value} items or more",
    "uniqueItems": lambda error, found: f"found {found}, allowed are items that differ",
    "pattern": lambda error, found: f"found {found}, allowed is {_allowed(error)}",
    "required": lambda error, found: f"{error.message.split(' is ')[0]} is missing",
}


def _suggest(name: str, known: Mapping[str, Any]) -> str:
    close = nearest(name, known)
    meant = f"did you mean {close}? " if close else ""
    return f"{meant}allowed are {', '.join(known)}"
