"""Which files of code a job's result depends on: Snakemake does not follow imports, so rules list them as inputs."""

import ast
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from absynth.errors import InputError
from absynth.io.contents import contents
from absynth.io.modules import is_file, split_named
from absynth.workflow.named_code import check_named, parsed
from absynth.workflow.plan import Plan

_ROOT = "absynth"


class Code:
    """The code behind each rule: what its script imports, and what the registries and the config name for it.

    base: the folder of the Snakefile, which holds scripts/ and src/
    A user's own modules are looked for where jobs look for them: beside the Snakefile, then in the working directory.
    """

    def __init__(self, plan: Plan, base: str | Path):
        self.plan, self.base = plan, Path(base)
        self.library = self.base / "src"
        self.folders = tuple(dict.fromkeys((self.base, Path.cwd())))
        self._known: dict[tuple[str, str | None, str | None], list[str]] = {}

    def behind(
        self,
        script: str,
        *,
        model: str | None = None,
        attack: str | None = None,
        models: Sequence[str] = (),
    ) -> list[str]:
        """The files, relative to the working directory and sorted, on which a script's result depends.

        The script itself, whose changes Snakemake sees, is not among them.
        script: its path within scripts/, without suffix; model, attack: those that it builds; models: if several
        Raises InputError if a user's own module is not valid Python.
        """
        if models:
            return sorted(
                {file for name in models for file in self.behind(script, model=name, attack=attack)}
            )
        key = (script, model, attack)
        if key not in self._known:
            start = self.base / "scripts" / f"{script}.py"
            named = self.plan.builders(model=model, attack=attack)
            files = [file for name in named for file in module_files(name, self.library)]
            found = {*imported_files([start, *files], self.library), *self._user_files(model, attack)} - {
                start
            }
            self._known[key] = sorted(map(os.path.relpath, found))
        return self._known[key]

    def own_modules(self, model: str) -> dict[str, str]:
        """The local modules behind a user's own model, for the run to keep: what is installed is not among them.

        Unlike `behind`, those in folders of PYTHONPATH into which nothing is installed, too.
        Returns the path of each within the folder that it is imported from, and relative to the working directory.
        """
        own: dict[str, str] = {}
        for path in self.plan.user_code(model=model):
            module, places = split_named(path)[0], (*_python_path(self.library), *self.folders)
            if is_file(module):
                files = [Path(module).expanduser().resolve()]
                places = (files[0].parent, *places)
            else:
                files = module_files(module, self.library, places)
            deepest = sorted(places, key=lambda place: len(place.parts), reverse=True)
            for file in imported_files(files, self.library, places):
                if not file.is_relative_to(self.library):
                    root = next(place for place in deepest if file.is_relative_to(place))
                    name, path = file.relative_to(root).as_posix(), os.path.relpath(file)
                    if own.setdefault(name, path) != path:
                        raise InputError(
                            f"config key models.{model}: found two modules {name}, {own[name]} and {path}; rename one"
                        )
        return own

    def content(self, *, model: str | None = None, attack: str | None = None) -> dict[str, dict[str, str]]:
        """What a user's own files behind a model and an attack hold, weights and modules, for a job's params.

        own: sha256 by path (see `absynth.io.contents`); {} without it where there are no such files, since another
        set of params runs a job again
        """
        weights = self.plan.planned(model).user_files if model else []
        modules = [file for file in self._user_files(model, attack) if not file.is_relative_to(self.library)]
        found = contents(sorted({*weights, *(os.path.relpath(file) for file in modules)}))
        return {"own": found} if found else {}

    def spec(self, model: str) -> dict[str, Any]:
        """`Plan.model_spec` and `content` together."""
        return {**self.plan.model_spec(model), **self.content(model=model)}

    def check(self) -> None:
        """Raise InputError if a module of a user's own code is not there, not Python, or lacks the name.

        Likewise for a function that cannot attack as it would be called. What is installed is not read.
        """
        for key, path, entry in self._named():
            check_named(path, key, self._own_file(path, key), called=entry)
        for model in self.plan.models:
            self._user_files(model)
            self.own_modules(model)
        for attack in self.plan.attacks:
            self._user_files(None, attack)

    def _named(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """What the config names of a user's own code: its key, the name, and for functions that attack the entry."""
        for model, planned in self.plan.models.items():
            for key, path in planned.user_code.items():
                yield f"models.{model}.{key}", path, {}
        for attack in self.plan.attacks:
            entry = self.plan.config["attacks"][attack]
            for key in ("class", "function"):
                if key in entry:
                    yield f"attacks.{attack}.{key}", entry[key], entry if key == "function" else {}
        dataset = self.plan.dataset
        if "load" in dataset.options:
            yield f"datasets.{dataset.name}.load", dataset.options["load"], {}

    def _user_files(self, model: str | None, attack: str | None = None) -> list[Path]:
        """The modules of a user's own class or function and all that they import from beside them or the library."""
        found: set[Path] = set()
        for path in self.plan.user_code(model=model, attack=attack):
            module = split_named(path)[0]
            if is_file(module):
                file = Path(module).expanduser().resolve()
                found |= {*imported_files([file], self.library, (file.parent, *self.folders))}
            else:
                files = module_files(module, self.library, self.folders)
                found |= {*imported_files(files, self.library, self.folders)} if files else set()
        return sorted(found)

    def _own_file(self, path: str, key: str) -> Path | None:
        """The user's file that a config's key names, None if it is installed. Raises InputError if there is none."""
        module, _ = split_named(path)
        if is_file(module):
            file = Path(module).expanduser()
            if not file.is_file():
                raise InputError(f"config key {key}: found {path}, but {Path.cwd() / file} is no file")
            return file.resolve()
        if not module:
            raise InputError(
                f"config key {key}: found {path}, allowed are such as my_code.py:{path} or my_code:{path}"
            )
        if _installed(module.split(".")[0], self.folders):
            return None
        files = module_files(module, self.library, self.folders)
        if not files or files[-1].stem not in (module.split(".")[-1], "__init__"):
            if _found(module.split(".")[0], self.folders) is not None:  # a package without a file of its own
                return None
            raise InputError(
                f"config key {key}: no module {module} beside the Snakefile, in {Path.cwd()}, or installed"
            )
        return files[-1]


def _python_path(library: Path) -> list[Path]:
    """The folders of PYTHONPATH in which a user's own modules may lie: those into which nothing is installed."""
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    places = [Path(entry).absolute() for entry in entries if entry]
    return [place for place in places if place != library.absolute() and not any(place.glob("*.dist-info"))]


def imported_files(files: Iterable[Path], library: Path, folders: Sequence[Path] = ()) -> list[Path]:
    """The given files and all that they import from the library or `folders`, directly or not; sorted.

    library: the folder that holds the package absynth, where a job looks first
    folders: those of a user's own modules, where a job looks last; what is installed, or part of Python, goes before
    Imports inside functions count, what is named as a string does not. The packages on the way to a module count
    with their `__init__.py`, but for the library's root: it names public functions of all parts of the library, of
    which the library itself and its scripts use none. A user's module that imports the root depends on them all.
    Files without a statement, as most `__init__.py` are, have no effect; leaving them out makes plans faster.
    Raises InputError naming the file and line of what is not valid Python.
    """
    seen: set[Path] = set()
    waiting = list(files)
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting += _imports(current, library, tuple(folders))
    return sorted(path for path in seen if _has_effect(path))


def module_files(module: str, library: Path, folders: Sequence[Path] = ()) -> list[Path]:
    """The file of a module and those of the packages on the way to it, as far as they lie here."""
    parts = module.split(".")
    if parts[0] == _ROOT:
        places: Sequence[Path] = (library,)
    else:
        places = () if _installed(parts[0], tuple(folders)) else folders
    names = [".".join(parts[: end + 1]) for end in range(len(parts))]
    if parts[0] == _ROOT and len(parts) > 1:
        del names[0]
    return [file for name in names if (file := _module_file(name, places))]


@cache
def _imports(path: Path, library: Path, folders: tuple[Path, ...]) -> tuple[Path, ...]:
    """The files that one file imports, those of the packages they are in included."""
    names: list[str] = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom):
            package = _package(path, (library, *folders), node.level) if node.level else []
            module = ".".join([*package, *([node.module] if node.module else [])])
            names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    if not folders or path.is_relative_to(library):
        names = [name for name in names if name != _ROOT]
    files = (file for name in dict.fromkeys(names) for file in module_files(name, library, folders))
    return tuple(dict.fromkeys(files))


def _module_file(module: str, folders: Sequence[Path]) -> Path | None:
    """The file of a module in the first of `folders` that has it: "a.b" is a/b/__init__.py or a/b.py."""
    for folder in folders:
        path = folder.joinpath(*module.split("."))
        for candidate in (path / "__init__.py", path.with_name(f"{path.name}.py")):
            if candidate.is_file():
                return candidate
    return None


@cache
def _installed(package: str, folders: tuple[Path, ...]) -> bool:
    """Whether a job finds a top-level module before it looks in `folders`: in Python itself, or installed."""
    found = _found(package, folders) if folders else None
    return package in sys.stdlib_module_names or (found is not None and found.origin is not None)


def _found(package: str, folders: tuple[Path, ...]) -> ModuleSpec | None:
    """What Python finds of a top-level module elsewhere than in `folders`."""
    ours = {folder.resolve() for folder in folders}
    return PathFinder.find_spec(
        package, [entry for entry in sys.path if entry and Path(entry).resolve() not in ours]
    )


def _package(path: Path, folders: Sequence[Path], level: int) -> list[str]:
    """The parts of the name of the package that a relative import in a file starts from."""
    folder = next(folder for folder in folders if path.is_relative_to(folder))
    return list(path.relative_to(folder).parts[:-level])


def _has_effect(path: Path) -> bool:
    """Whether a file holds any statement besides a docstring."""
    body = parsed(path).body
    return bool(body[1:] if ast.get_docstring(parsed(path), clean=False) is not None else body)
