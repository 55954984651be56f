"""Which files a script's result depends on: Snakemake does not follow imports, so rules list them as inputs."""

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path


def imported_files(files: Iterable[str | Path], root: str | Path) -> list[Path]:
    """The files below `root`, a folder of `sys.path`, that the given ones import, directly or not; sorted.

    Imports inside functions count; what a registry names as a string does not. A file among those given counts
    only if it lies below `root`. The packages on the way to a module count with their `__init__.py`.
    """
    root = Path(root)
    seen: set[Path] = set()
    waiting = [Path(file) for file in files]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting += _imports(root, current)
    return sorted(path for path in seen if path.is_relative_to(root))


def module_file(root: str | Path, module: str) -> Path | None:
    """The file of a module below `root`, None if it has none there: "a.b" is a/b.py or a/b/__init__.py."""
    path = Path(root, *module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


@cache
def _imports(root: Path, path: Path) -> tuple[Path, ...]:
    """Files below `root` that one file imports, those of the packages they are in included."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            package = path.relative_to(root).parts[: -node.level] if node.level else ()
            module = ".".join([*package, *([node.module] if node.module else [])])
            names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    parts = (name.split(".") for name in names)
    prefixes = (".".join(part[: end + 1]) for part in parts for end in range(len(part)))
    files = (module_file(root, name) for name in dict.fromkeys(prefixes))
    return tuple(file for file in files if file)
