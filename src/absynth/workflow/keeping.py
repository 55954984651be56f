"""What a run keeps of a user's own model, so that it can be loaded from anywhere: files and the code of its class."""

import ast
import os
import sys
from collections.abc import Iterable, Mapping
from importlib.machinery import PathFinder
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from absynth.io.contents import sha256
from absynth.io.modules import is_file, split_named
from absynth.models.kept import CODE, FOLDER


def describe(
    named: Mapping[str, str],
    files: Mapping[str, str | os.PathLike[str]],
    modules: Mapping[str, str | os.PathLike[str]],
) -> tuple[dict[str, Any], dict[str, Path]]:
    """What the manifest of a kept model says, and which file goes where beside it.

    named: its code, "module:name" or "file.py:name", by the option of its builder that names it
    files: its files, likewise
    modules: as of `absynth.workflow.imports.Code.own_modules`
    packages: the version of each installed distribution that the modules import, for whoever loads the model
    missing: what they import that is neither kept nor installed as a distribution, each in words
    """
    places = {option: f"{FOLDER}/{option}{Path(path).suffix}" for option, path in files.items()}
    sources = {places[option]: Path(path) for option, path in files.items()}
    sources |= {f"{FOLDER}/{CODE}/{name}": Path(path) for name, path in modules.items()}
    packages, missing = _imported(named, modules)
    manifest = {
        "code": {option: _by_module(path) for option, path in named.items()},
        "options": places,
        "modules": sorted(modules),
        "sha256": {place: sha256(path) for place, path in sources.items()},
        "packages": packages,
        "missing": missing,
    }
    return manifest, sources


def _by_module(path: str) -> str:
    """The "module:name" of code, which of a file is the module that it is as it is kept."""
    module, name = split_named(path)
    return f"{Path(module).stem if is_file(module) else module}:{name}"


def _imported(
    named: Mapping[str, str], modules: Mapping[str, str | os.PathLike[str]]
) -> tuple[dict[str, str], dict[str, str]]:
    """Of what a model and its kept modules import from elsewhere: the versions, and what is not kept and why."""
    kept = {name.partition("/")[0].removesuffix(".py") for name in modules}
    importers: dict[str, str] = {}
    for name, path in modules.items():
        for top in _top_level_imports(Path(path)):
            importers.setdefault(top, name)
    for path in named.values():
        importers.setdefault(_by_module(path).replace(":", ".").partition(".")[0], "the config itself")
    known, packages, missing = packages_distributions(), dict[str, str](), dict[str, str]()
    for top, importer in sorted(importers.items()):
        if top in kept or top in sys.stdlib_module_names or top == "absynth":
            continue
        if top in known:
            packages[top] = f"{known[top][0]} {version(known[top][0])}"
        else:
            spec = PathFinder.find_spec(top, sys.path)
            place = "found nowhere" if spec is None else f"not kept, of {spec.origin or top}"
            missing[top] = f"imported by {importer}, {place}"
    return packages, missing


def _top_level_imports(path: Path) -> Iterable[str]:
    """The first parts of the names of all modules that a file imports, anywhere in it, but for relative imports."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]
