"""Which library modules a script needs: Snakemake does not follow imports, so rules list them as inputs."""

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path


def modules_behind(modules: Iterable[str], library: str | Path) -> list[str]:
    """Files of the modules named (relative to the package, "attacks.run"; a package's name means all of it)
    and of everything in the library that they import, sorted.

    Imports inside functions count; what a registry names as a string does not.
    """
    library = Path(library)
    found: set[Path] = set()
    for module in modules:
        path = library / module.replace(".", "/")
        found.update(path.glob("*.py") if path.is_dir() else _closure(library, path.with_suffix(".py")))
    for path in list(found):
        found |= _closure(library, path)
    return sorted(map(str, found))


@cache
def _closure(library: Path, path: Path) -> frozenset[Path]:
    seen, waiting = set(), [path]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting += _imported(library, current)
    return frozenset(seen)


@cache
def _imported(library: Path, path: Path) -> tuple[Path, ...]:
    """Files of the library that one file imports."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            package = path.relative_to(library.parent).parts[: -node.level] if node.level else ()
            module = ".".join([*package, *([node.module] if node.module else [])])
            names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    own = (name for name in names if name.startswith(f"{library.name}."))
    files = (library.parent / Path(*name.split(".")).with_suffix(".py") for name in own)
    return tuple(dict.fromkeys(file for file in files if file.is_file()))
