"""The shape of the code: in which direction packages import, how long functions are, what things are called."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "src" / "absynth"
SCRIPTS = sorted((ROOT / "scripts").rglob("*.py"))
MODULES = sorted(LIBRARY.rglob("*.py"))

# What each package may import: those on the levels below, and those named here of its own level.
LEVELS = [
    {"errors", "norms", "basis"},
    {"io"},
    {"data"},
    {"models"},
    {"training", "attacks", "certificates"},
    {"evaluation"},
    {"reporting"},
    {"workflow"},
    {"api"},
    {"cli"},
    {"__main__"},
]
BESIDE = {("attacks", "certificates")}
LONGEST_FUNCTION, MOST_PARAMETERS = 50, 8

Function = ast.FunctionDef | ast.AsyncFunctionDef


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def package_of(path: Path) -> str:
    """The package, or the module at the root, that a file of the library belongs to."""
    return path.relative_to(LIBRARY).with_suffix("").parts[0]


def imported(path: Path) -> Iterator[str]:
    """Dotted names within absynth that a file imports, inside functions as well; "" is the root itself."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if (node.module or "").split(".")[0] == "absynth":
                within = (node.module or "").partition(".")[2]
                yield from ([within] if within else [alias.name for alias in node.names])
        elif isinstance(node, ast.Import):
            names = (alias.name for alias in node.names)
            yield from (name.partition(".")[2] for name in names if name.split(".")[0] == "absynth")


def package_graph() -> dict[str, set[str]]:
    """The packages that each package of the library imports, without itself; the root names the public functions."""
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        package = package_of(path)
        if package != "__init__":
            found = {name.split(".")[0] for name in imported(path)} - {"__version__"}
            graph.setdefault(package, set()).update(found - {package})
    return graph


def functions(path: Path) -> Iterator[tuple[str, Function]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, Function):
            yield node.name, node


def names(paths: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


def test_packages_import_in_one_direction():
    graph = package_graph()
    level = {package: depth for depth, packages in enumerate(LEVELS) for package in packages}
    assert graph.keys() <= level.keys(), "a package without a level"
    upwards = {
        (package, other)
        for package, others in graph.items()
        for other in others
        if level[other] >= level[package] and (package, other) not in BESIDE
    }
    assert not upwards


def test_packages_have_no_cycle():
    graph = package_graph()
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the packages
    assert set(order) >= graph.keys()


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS], ids=names([*MODULES, *SCRIPTS]))
def test_the_root_is_asked_for_its_version_alone(path):
    """What rules list as their inputs leaves the root out (absynth.workflow.imports)."""
    if path != LIBRARY / "__init__.py":
        known = {*(package_of(module) for module in MODULES), "__version__"}
        assert {name.split(".")[0] for name in imported(path)} <= known


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS], ids=names([*MODULES, *SCRIPTS]))
def test_functions_are_short(path):
    lengths = {name: (node.end_lineno or 0) - node.lineno + 1 for name, node in functions(path)}
    assert not {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION}


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_public_functions_have_few_parameters(path):
    counts = {}
    for name, node in functions(path):
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        counts[name] = len([argument for argument in given if argument.arg not in ("self", "cls")])
    public = {name: count for name, count in counts.items() if not name.startswith("_") or name == "__init__"}
    assert not {name: count for name, count in public.items() if count > MOST_PARAMETERS}


def test_no_script_shares_its_name_with_a_module():
    assert not {path.stem for path in SCRIPTS} & {path.stem for path in MODULES}


def scripts_of_rules() -> Iterator[tuple[str, str, str]]:
    """Name, script (its path within scripts/, without suffix) and text of each rule that runs one."""
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        text = path.read_text(encoding="utf-8")
        for name, body in re.findall(r"^ *rule (\w+):\n(.*?)(?=^ *rule |\Z)", text, re.MULTILINE | re.DOTALL):
            (script,) = re.findall(r'script:\s*"../../scripts/([\w/]+)\.py"', body)
            yield name, script, body


def test_each_rule_is_named_like_its_script_and_each_script_has_a_rule():
    found = {name: script for name, script, _ in scripts_of_rules()}
    assert all(script.rpartition("/")[2] == name for name, script in found.items())
    assert sorted(found.values()) == [
        path.relative_to(ROOT / "scripts").with_suffix("").as_posix() for path in SCRIPTS
    ]


@pytest.mark.parametrize(("name", "script", "body"), [*scripts_of_rules()], ids=lambda value: value[:30])
def test_each_rule_lists_the_code_behind_its_script(name, script, body):
    assert f'code("{script}"' in body
