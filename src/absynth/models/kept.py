"""A user's own model as its run keeps it: loaded from the copy of its files and its code, wherever this is called.

The rule keep_model writes models/{model}/kept.json, which says what was kept, and the folder models/{model}/kept.
"""

import builtins
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from absynth.errors import InputError
from absynth.io.atomic import read_json
from absynth.io.opening import MADE, opening

MANIFEST, FOLDER, CODE = "kept.json", "kept", "code"
_PREFIX = "absynth_kept_"


def kept_spec(folder: str | Path, spec: Mapping[str, Any]) -> dict[str, Any]:
    """What a model is built from, with its own files and its class taken from what a run keeps of it.

    folder: models/{model} of the run, with the manifest; spec: as of `absynth.models.building.build`
    Nothing is executed before the model is built. The copies of the modules are imported apart from all other
    modules of their names, under a package of their own.
    Raises InputError if a file is missing, or is not what was kept.
    """
    folder = Path(folder).resolve()
    manifest = _read_manifest(folder)
    for place, digest in manifest["sha256"].items():
        with opening(folder / place), (folder / place).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise InputError(
                    f"{folder / place}: not the file that was kept; delete {folder / MANIFEST} and rerun"
                )
    options = {**spec["options"], **{key: str(folder / path) for key, path in manifest["options"].items()}}
    options |= {key: _in_package(named, manifest, folder) for key, named in manifest["code"].items()}
    return {**spec, "options": options}


def lacking(folder: str | Path) -> str:
    """What the code of a kept model imports that is not found here, in words; "" if nothing."""
    manifest = _read_manifest(Path(folder))
    absent = [
        f"{name} ({about})"
        for name, about in {**manifest["packages"], **manifest["missing"]}.items()
        if importlib.util.find_spec(name) is None
    ]
    return f"not found here, and not kept: {', '.join(absent)}" if absent else ""


def _read_manifest(folder: Path) -> dict[str, Any]:
    manifest = read_json(folder / MANIFEST)
    for key in ("code", "options", "modules", "sha256", "packages", "missing"):
        if key not in manifest:
            raise InputError(f"{folder / MANIFEST}: lacks {key!r}; {MADE}")
    return manifest


def _in_package(named: str, manifest: Mapping[str, Any], folder: Path) -> str:
    """The "module:name" of kept code, in a package made for the copies; what is installed under its own name."""
    module, _, name = named.replace(":", ".").rpartition(".")
    tops = frozenset(path.partition("/")[0].removesuffix(".py") for path in manifest["modules"])
    if module.partition(".")[0] not in tops:
        return named
    package = (
        _PREFIX + hashlib.sha256(f"{folder}\n{sorted(manifest['sha256'].items())}".encode()).hexdigest()[:12]
    )
    if package not in sys.modules:
        root = ModuleType(package, f"Modules kept in {folder}.")
        root.__path__ = [str(folder / FOLDER / CODE)]
        _FINDER.tops[package] = tops
        sys.modules[package] = root
        if _FINDER not in sys.meta_path:
            sys.meta_path.insert(0, _FINDER)
        importlib.invalidate_caches()
    return f"{package}.{module}:{name}"


class _Finder(MetaPathFinder):
    """Finds modules of the packages that `_in_package` makes; tops: the names at the top of each."""

    def __init__(self) -> None:
        self.tops: dict[str, frozenset[str]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package = fullname.partition(".")[0]
        if package not in self.tops:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


_FINDER = _Finder()


class _Loader(SourceFileLoader):
    """Loads a kept module, whose imports of others that were kept beside it lead to these, now and later."""

    def set_data(self, path: Any, data: Any, *, _mode: int = 0o666) -> None:
        """Write no bytecode into the run."""

    def exec_module(self, module: ModuleType) -> None:
        package = module.__name__.partition(".")[0]
        tops = _FINDER.tops[package]

        def import_kept(
            name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
        ) -> Any:
            top = name.partition(".")[0]
            if level or top not in tops:
                return builtins.__import__(name, globals, locals, fromlist, level)
            found = builtins.__import__(f"{package}.{name}", globals, locals, fromlist, 0)
            return found if fromlist else sys.modules[f"{package}.{top}"]

        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": import_kept}
        super().exec_module(module)
