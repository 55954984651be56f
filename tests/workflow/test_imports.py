"""The closure of imports that rules list as inputs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from absynth.workflow.imports import modules_behind

LIBRARY = Path(__file__).parents[2] / "scripts" / "absynth"
MODULES = ["plan", "reduction", "attacks.run", "models.abs", "training.vae"]


@pytest.fixture
def toy(tmp_path):
    """A library that imports in every way there is: inside functions, relatively, in a circle."""
    files = {
        "__init__.py": "",
        "top.py": "import toy.middle\nfrom toy.pack import leaf\nimport os\n",
        "middle.py": "def f():\n    from toy.bottom import x\n",
        "bottom.py": "import toyota.engine\nx = 1\n",
        "lonely.py": "'toy.bottom'\n",
        "pack/__init__.py": "",
        "pack/leaf.py": "from toy.pack.twig import f\n",
        "pack/twig.py": "from toy.pack import leaf\nf = 1\n",
        "through.py": "from toy import bottom\n",
        "near.py": "from . import bottom\nfrom .pack import leaf\n",
    }
    for name, text in files.items():
        (tmp_path / "toy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "toy" / name).write_text(text, encoding="utf-8")
    return tmp_path / "toy"


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("bottom", {"bottom"}),
        ("lonely", {"lonely"}),
        ("middle", {"middle", "bottom"}),
        ("pack.leaf", {"pack/leaf", "pack/twig"}),
        ("top", {"top", "middle", "bottom", "pack/leaf", "pack/twig"}),
        ("pack", {"pack/__init__", "pack/leaf", "pack/twig"}),
        ("through", {"through", "bottom"}),
        ("near", {"near", "bottom", "pack/leaf", "pack/twig"}),
    ],
)
def test_closure_on_paper(toy, module, expected):
    assert modules_behind([module], toy) == sorted(str(toy / f"{name}.py") for name in expected)


def test_closures_of_several_modules_are_united_and_sorted(toy):
    found = modules_behind(["middle", "lonely"], toy)
    assert [Path(path).stem for path in found] == ["bottom", "lonely", "middle"]
    assert found == sorted(found)
    assert modules_behind([], toy) == []


def test_unknown_module_is_an_error(toy):
    with pytest.raises(FileNotFoundError, match="atacks"):
        modules_behind(["atacks"], toy)


def test_an_edit_concerns_just_the_closures_that_contain_it(toy):
    """What Snakemake sees: the contents of a rule's code inputs."""

    def contents() -> dict[str, list[str]]:
        names = ("top", "middle", "bottom", "lonely", "pack", "through")
        return {name: [Path(path).read_text() for path in modules_behind([name], toy)] for name in names}

    before = contents()
    (toy / "bottom.py").write_text("x = 2\n", encoding="utf-8")
    after = contents()
    assert {name for name in after if after[name] != before[name]} == {"top", "middle", "bottom", "through"}


@pytest.fixture(scope="module")
def imported() -> dict[str, list[str]]:
    """Of each of MODULES, the files of the library that Python itself loads for it."""
    code = """if True:
        import importlib, json, sys
        loaded = {}
        for name in sys.argv[1:]:
            for known in [known for known in sys.modules if known.startswith("absynth")]:
                del sys.modules[known]
            importlib.import_module("absynth." + name)
            loaded[name] = [m.__file__ for k, m in list(sys.modules.items()) if k.startswith("absynth")]
        json.dump(loaded, sys.stdout)
    """
    command = [sys.executable, "-c", code, *MODULES]
    done = subprocess.run(command, cwd=LIBRARY.parent, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("module", MODULES)
def test_closure_holds_all_that_python_loads(imported, module):
    """Packages' own files are left out: they hold a docstring (and the version)."""
    loaded = {str(Path(path).resolve()) for path in imported[module] if not path.endswith("__init__.py")}
    assert loaded <= set(modules_behind([module], LIBRARY))
    assert len(loaded) > 1


@pytest.mark.parametrize(
    ("module", "without"),
    [("attacks.run", "training"), ("records", "attacks"), ("tables", "models"), ("training.vae", "attacks")],
)
def test_editing_one_part_spares_another(module, without):
    assert not [path for path in modules_behind([module], LIBRARY) if f"/{without}/" in path]


def test_files_of_packages_hold_no_code_that_a_closure_would_miss():
    for path in LIBRARY.glob("*/__init__.py"):
        assert path.read_text(encoding="utf-8").count("\n") == 1, path
