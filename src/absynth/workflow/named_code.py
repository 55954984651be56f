"""Code of a user's own that a config names: whether its file has it, and how it can be called, without running it."""

import ast
import inspect
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from absynth.attacks.outside import FUNCTION_PARAMETERS
from absynth.errors import InputError
from absynth.io.modules import split_named
from absynth.io.spelling import nearest

_WITH_NAMES_OF_THEIR_OWN = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file. Raises InputError, with the line, if it is not valid Python."""
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:  # ValueError: null bytes
        number = getattr(error, "lineno", None)
        line = f", line {number}" if number else ""
        raise InputError(f"{path}{line}: not valid Python ({getattr(error, 'msg', error)})") from None


def check_named(named: str, key: str, file: Path | None, *, called: Mapping[str, Any]) -> None:
    """Refuse a name that a user's file does not have, and a function that cannot attack as it is called.

    named, key: "module:name" or "file.py:name", and where it stands in the config
    file: the user's own, None for what is installed, which is not read
    called: the config entry of a function that attacks; empty for all else
    """
    if file is None:
        return
    name = split_named(named)[1]
    tree = parsed(file)
    names = _names(tree)
    if name not in names and not names & {"*", "__getattr__"}:
        meant = nearest(name, names)
        raise InputError(
            f"config key {key}: {file} has no {'function' if called else 'class or function'} {name}"
            f"{f'; did you mean {meant}?' if meant else ''}"
        )
    defined = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    if called and defined and not defined[-1].decorator_list:
        _check_signature(defined[-1], key, dict(called.get("arguments") or {}))


def _check_signature(function: ast.FunctionDef, key: str, arguments: dict[str, Any]) -> None:
    """Refuse a function that does not take what attacks are handed, and the config's arguments."""
    signature = inspect.Signature(_parameters(function.args))
    try:
        signature.bind(*FUNCTION_PARAMETERS, **arguments)
    except TypeError as error:
        given = f" and the arguments {', '.join(arguments)}" if arguments else ""
        raise InputError(
            f"config key {key}: {function.name} takes ({', '.join(signature.parameters)}), expected "
            f"({', '.join(FUNCTION_PARAMETERS)}){given}; {error}"
        ) from None


def _parameters(given: ast.arguments) -> list[inspect.Parameter]:
    """The parameters of a function, by its syntax."""
    kind = inspect.Parameter
    positional = [
        *((argument.arg, kind.POSITIONAL_ONLY) for argument in given.posonlyargs),
        *((argument.arg, kind.POSITIONAL_OR_KEYWORD) for argument in given.args),
    ]
    required = len(positional) - len(given.defaults)
    found = [
        kind(name, how, default=kind.empty if i < required else None)
        for i, (name, how) in enumerate(positional)
    ]
    if given.vararg:
        found.append(kind(given.vararg.arg, kind.VAR_POSITIONAL))
    for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        found.append(kind(argument.arg, kind.KEYWORD_ONLY, default=kind.empty if default is None else None))
    if given.kwarg:
        found.append(kind(given.kwarg.arg, kind.VAR_KEYWORD))
    return found


def _names(tree: ast.Module) -> set[str]:
    """What a module defines, imports or assigns, under conditions and in loops as well, and names it may hide.

    What is inside functions and classes is not the module's, but for what a function declares global.
    """
    names = {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}
    waiting: list[ast.AST] = [*tree.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _WITH_NAMES_OF_THEIR_OWN):
            names |= {node.name} if hasattr(node, "name") else set()
            continue
        if isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        waiting += ast.iter_child_nodes(node)
    return names
