"""The code that rules list as inputs: what a script imports, what registries name, a user's own modules."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from configs import OWN, ROOT, plan

from absynth.errors import InputError
from absynth.workflow.imports import Code, imported_files, module_files

LIBRARY = ROOT / "src"
MODULES = ["workflow.plan", "evaluation.minima", "attacks.run", "models.abs.model", "training.vae"]
SCRIPTS = sorted(path.relative_to(ROOT / "scripts") for path in (ROOT / "scripts").glob("*/*.py"))


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def toy(tmp_path):
    """A library that imports in every way there is: inside functions, relatively, in a circle."""
    files = {
        "__init__.py": "def __getattr__(name):\n    from absynth.lonely import x\n",
        "top.py": "import absynth.middle\nfrom absynth.pack import leaf\nimport os\n",
        "middle.py": "def f():\n    from absynth.bottom import x\n",
        "bottom.py": "import toyota.engine\nfrom absynth import __version__\nx = 1\n",
        "lonely.py": "'absynth.bottom'\nx = 1\n",
        "pack/__init__.py": "'Says nothing.'\nx = 1\n",
        "bare/__init__.py": "'Only a docstring.'\n",
        "bare/leaf.py": "from absynth.empty import x\n",
        "empty.py": "",
        "pack/leaf.py": "from absynth.pack.twig import f\n",
        "pack/twig.py": "from absynth.pack import leaf\nf = 1\n",
        "through.py": "from absynth import bottom\n",
        "near.py": "from . import bottom\nfrom .pack import leaf\n",
    }
    return write(tmp_path / "src" / "absynth", files)


def closure(toy: Path, *modules: str) -> set[str]:
    """The files behind modules of the toy library, within it and without suffix."""
    files = [file for module in modules for file in module_files(f"absynth.{module}", toy.parent)]
    found = imported_files(files, toy.parent)
    assert found == sorted(found)
    return {path.relative_to(toy).with_suffix("").as_posix() for path in found}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("bottom", {"bottom"}),
        ("lonely", {"lonely"}),
        ("middle", {"middle", "bottom"}),
        ("pack.leaf", {"pack/__init__", "pack/leaf", "pack/twig"}),
        ("top", {"top", "middle", "bottom", "pack/__init__", "pack/leaf", "pack/twig"}),
        ("pack", {"pack/__init__"}),
        ("bare.leaf", {"bare/leaf"}),
        ("through", {"through", "bottom"}),
        ("near", {"near", "bottom", "pack/__init__", "pack/leaf", "pack/twig"}),
    ],
)
def test_closure_on_paper(toy, module, expected):
    assert closure(toy, module) == expected


def test_closures_of_several_modules_are_united(toy):
    assert closure(toy, "middle", "lonely") == {"bottom", "lonely", "middle"}
    assert closure(toy) == set()


def test_an_edit_concerns_just_the_closures_that_contain_it(toy):
    names = ("top", "middle", "bottom", "lonely", "pack.leaf", "through")
    assert {name for name in names if "bottom" in closure(toy, name)} == {
        "top",
        "middle",
        "bottom",
        "through",
    }


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
    done = subprocess.run(command, cwd=LIBRARY, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("module", MODULES)
def test_closure_holds_all_that_python_loads(imported, module):
    """Packages' own files as well, where they hold more than a docstring, but for the library's root."""
    loaded = {Path(path).resolve() for path in imported[module]} - {LIBRARY / "absynth" / "__init__.py"}
    loaded -= {path for path in loaded if path.read_text(encoding="utf-8").count("\n") == 1}
    files = module_files(f"absynth.{module}", LIBRARY)
    assert loaded <= set(imported_files(files, LIBRARY))
    assert len(loaded) > 1


@pytest.mark.parametrize(
    ("script", "without"),
    [
        ("attacks/run_attack", "training"),
        ("data/prepare_data", "models"),
        ("tables/tabulate_minima", "models"),
        ("models/train_vae", "attacks"),
        ("report/write_report", "workflow"),
    ],
)
def test_editing_one_part_of_the_library_spares_another(script, without):
    found = Code(plan(), ROOT).behind(script)
    assert found
    assert not [path for path in found if f"/absynth/{without}/" in path]


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_no_script_depends_on_the_root_of_the_library_or_on_itself(script):
    found = Code(plan(), ROOT).behind(script.with_suffix("").as_posix())
    assert found == sorted(found)
    assert not [path for path in found if path.endswith(("absynth/__init__.py", script.name))]


def test_a_script_that_builds_several_models_depends_on_the_code_of_each():
    code, script = Code(plan(), ROOT), "models/probe_model"
    cnn, neighbor = (set(code.behind(script, model=model)) for model in ("cnn", "nearest_neighbor"))
    assert cnn - neighbor
    assert neighbor - cnn
    assert code.behind(script, models=["cnn", "nearest_neighbor"]) == sorted(cnn | neighbor)
    assert code.behind(script, models=[]) == code.behind(script)


def test_what_registries_name_is_added():
    code = Code(plan(), ROOT)
    assert set(code.behind("attacks/run_attack")) < set(code.behind("attacks/run_attack", model="abs"))
    for attack, module in (("fgm", "attacks/gradient.py"), ("transfer", "models/cnn.py")):
        found = code.behind("attacks/run_attack", model="nearest_neighbor", attack=attack)
        assert any(path.endswith(f"src/absynth/{module}") for path in found)
        assert not any(path.endswith("src/absynth/models/abs/fast.py") for path in found)


USER_FILES = {
    "models.py": "import helper\nfrom parts.blocks import Block\nfrom torch import nn\nclass Net: pass\n",
    "helper.py": "import json\n",
    "parts/blocks.py": "from .inner import x\n",
    "parts/inner.py": "x = 1\n",
    "unused.py": "x = 1\n",
    "json.py": "'never imported: Python has one of its own'\n",
    "h5py.py": "'nor is this, since the environment has one'\n",
    "pack/__init__.py": "from .net import Net\n",
    "pack/net.py": "from . import layers\nimport h5py\nclass Net: pass\n",
    "pack/layers.py": "x = 1\n",
    "deep/er/net.py": "from ..near import y\nfrom absynth.models.binarize import binarize\nclass Net: pass\n",
    "deep/near.py": "y = 1\n",
    "public.py": "from absynth import load_model\n",
}


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("models.Net", {"models.py", "helper.py", "parts/blocks.py", "parts/inner.py"}),
        ("models:Net", {"models.py", "helper.py", "parts/blocks.py", "parts/inner.py"}),
        ("pack.Net", {"pack/__init__.py", "pack/net.py", "pack/layers.py"}),
        ("pack.net:Net", {"pack/__init__.py", "pack/net.py", "pack/layers.py"}),
        ("deep.er.net.Net", {"deep/er/net.py", "deep/near.py"}),
        ("json.Net", set()),
        ("h5py.Net", set()),
        ("missing.Net", set()),
    ],
)
def test_a_users_module_counts_with_all_that_it_imports_from_beside_it(
    tmp_path, monkeypatch, named, expected
):
    monkeypatch.chdir(write(tmp_path, USER_FILES))
    code = Code(plan(models={"mine": {**OWN, "class": named}}), ROOT)
    found = {
        path for path in code.behind("models/calibrate_model", model="mine") if not path.startswith("..")
    }
    assert found == expected
    assert not any(path in code.behind("models/calibrate_model", model="cnn") for path in expected)


def test_what_a_users_module_imports_of_the_library_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(write(tmp_path, USER_FILES))
    code = Code(plan(models={"mine": {**OWN, "class": "public.Net"}}), ROOT)
    found = code.behind("models/calibrate_model", model="mine")
    for module in ("__init__.py", "models/loading.py"):
        assert any(path.endswith(f"src/absynth/{module}") for path in found), module


def test_a_run_keeps_the_local_modules_of_a_model_where_they_are_imported_from(tmp_path, monkeypatch):
    library, path = tmp_path / "library", tmp_path / "on_path"
    write(
        tmp_path / "base",
        {"nets/net.py": "import here\nimport torch\nfrom .parts import x", "nets/parts.py": "x = 1"},
    )
    monkeypatch.chdir(
        write(tmp_path / "base" / "inside", {"here.py": "import there\nimport absynth", "not.py": "x = 1"})
    )
    write(path, {"there.py": "x = 1"})
    monkeypatch.setenv("PYTHONPATH", f"{library}:{path}")
    monkeypatch.syspath_prepend(str(path))
    code = Code(plan(models={"mine": {**OWN, "class": "nets.net:Net"}}), tmp_path / "base")
    assert code.own_modules("mine") == {
        "nets/net.py": "../nets/net.py",
        "nets/parts.py": "../nets/parts.py",
        "here.py": "here.py",
        "there.py": "../../on_path/there.py",
    }
    code = Code(plan(models={"mine": {**OWN, "class": "../nets/parts.py:x"}}), tmp_path / "base")
    assert code.own_modules("mine") == {"parts.py": "../nets/parts.py"}


def test_two_modules_of_one_name_cannot_both_be_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(write(tmp_path, {"a/net.py": "class Net: ...", "b/net.py": "class Before: ..."}))
    entry = {**OWN, "class": "a/net.py:Net", "preprocessing": "b/net.py:Before"}
    code = Code(plan(models={"mine": entry}), tmp_path / "base")
    with pytest.raises(
        InputError, match=r"models\.mine: found two modules net\.py, a/net\.py and b/net\.py; rename one"
    ):
        code.own_modules("mine")


def test_modules_beside_the_snakefile_go_before_those_of_the_working_directory(tmp_path, monkeypatch):
    base = write(tmp_path / "base", {"net.py": "x = 1", "scripts/a/b.py": ""})
    monkeypatch.chdir(write(tmp_path / "here", {"net.py": "x = 1", "other.py": "x = 1"}))
    made = plan(models={"one": {**OWN, "class": "net.Net"}, "two": {**OWN, "class": "other.Net"}})
    code = Code(made, base)
    assert code.behind("a/b", model="one") == ["../base/net.py"]
    assert code.behind("a/b", model="two") == ["other.py"]


@pytest.mark.parametrize(("text", "place"), [("class Net(:\n", ", line 1"), ("x = 1\n\0", "")])
def test_a_users_module_that_is_no_python_is_named(tmp_path, monkeypatch, text, place):
    monkeypatch.chdir(write(tmp_path, {"net.py": text}))
    code = Code(plan(models={"mine": {**OWN, "class": "net.Net"}}), ROOT)
    with pytest.raises(InputError, match=rf"net\.py{place}: not valid Python \("):
        code.check()


@pytest.mark.parametrize(
    "entry", [{"function": "public:walk"}, {"function": "public.walk"}, {"class": "public.Attack"}]
)
def test_the_module_of_a_users_attack_counts_for_that_attack_alone(tmp_path, monkeypatch, entry):
    files = {
        "public.py": "from beside import x\ndef walk(*args): ...\nclass Attack: ...\n",
        "beside.py": "x = 1\n",
    }
    monkeypatch.chdir(write(tmp_path, files))
    monkeypatch.setattr("absynth.attacks.foolbox.bridge.check_foolbox", lambda *_: None)
    code = Code(plan(attacks={"mine": {**entry, "norms": ["l2"]}}), ROOT)
    code.check()
    found = code.behind("attacks/run_attack", model="cnn", attack="mine")
    assert {path for path in found if not path.startswith("..")} == {"public.py", "beside.py"}
    kind = "foreign/function.py" if "function" in entry else "foolbox/bridge.py"
    assert any(path.endswith(f"src/absynth/attacks/{kind}") for path in found)
    other = code.behind("attacks/run_attack", model="cnn", attack="ddn")
    assert not {"public.py", "beside.py"} & set(other)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            "absent:walk",
            r"attacks\.mine\.function: no module absent beside the Snakefile, in .*, or installed",
        ),
        ("present:run", r"attacks\.mine\.function: .*present\.py has no function run"),
        ("broken:walk", r"broken\.py, line 1: not valid Python"),
        (
            "walk",
            r"attacks\.mine\.function: found walk, allowed are such as my_code\.py:walk or my_code:walk",
        ),
        ("gone.py:walk", r"attacks\.mine\.function: found gone\.py:walk, but /.*/gone\.py is no file"),
        ("present.py:run", r"attacks\.mine\.function: .*present\.py has no function run"),
        ("present:wolk", r"has no function wolk; did you mean walk\?"),
        (
            "present:walk",
            r"walk takes \(\), expected \(model, x, y, epsilon, norm, generator\); too many positional",
        ),
        (
            "present:more",
            r"more takes \(.*, step\), expected \(.*\); missing a required (keyword-only )?argument: 'step'",
        ),
    ],
)
def test_a_users_function_that_is_not_there_is_refused_at_the_start(tmp_path, monkeypatch, function, message):
    more = "def more(model, x, y, epsilon, norm, generator, *, step): ...\n"
    files = {"present.py": "def walk(): ...\n" + more, "broken.py": "def walk(:\n"}
    monkeypatch.chdir(write(tmp_path, files))
    with pytest.raises(InputError, match=message):
        Code(plan(attacks={"mine": {"function": function, "norms": ["l2"]}}), ROOT).check()


def test_a_function_that_a_users_module_only_imports_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(
        write(tmp_path, {"front.py": "from back import walk\n", "back.py": "def walk(*args): ...\n"})
    )
    Code(plan(attacks={"mine": {"function": "front:walk", "norms": ["l2"]}}), ROOT).check()


@pytest.mark.parametrize(
    "text",
    [
        "def walk(model, x, y, epsilon, norm, generator, *, step, more=1): ...\n",
        "def walk(model, x, y, epsilon, norm, generator, /, step): ...\n",
        "def walk(*args, **options): ...\n",
        "@decorated\ndef walk(): ...\n",
        "walk = make()\n",
        "from elsewhere import *\n",
        "try:\n    from fast import walk\nexcept ImportError:\n    pass\n",
        "if True:\n    for name in 'ab':\n        with open(name) as walk:\n            pass\n",
        "def make():\n    global walk\n    walk = print\n",
        "def __getattr__(name): ...\n",
    ],
)
def test_functions_that_may_be_called_so_are_not_refused(tmp_path, monkeypatch, text):
    monkeypatch.chdir(write(tmp_path, {"front.py": text}))
    entry = {"function": "front.py:walk", "norms": ["l2"], "arguments": {"step": 1}}
    Code(plan(attacks={"mine": entry}), ROOT).check()


def test_a_file_counts_with_what_lies_beside_it_wherever_it_is(tmp_path, monkeypatch):
    files = {
        "nets/net.py": "from parts import x\nclass Net: ...\n",
        "nets/parts.py": "x = 1\n",
        "front/scaling.py": "class Front: ...\n",
    }
    monkeypatch.chdir(write(tmp_path, files))
    entry = {"class": "nets/net.py:Net", "weights": "net.pt", "preprocessing": "front/scaling.py:Front"}
    code = Code(plan(models={"mine": entry}), ROOT)
    code.check()
    found = code.behind("models/probe_model", model="mine")
    assert {path for path in found if not path.startswith("..")} == files.keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"class": "absent:Net"},
            r"models\.mine\.class: no module absent beside the Snakefile, in .*, or installed",
        ),
        ({"class": "net.py:net"}, r"net\.py has no class or function net; did you mean Net\?"),
        (
            {"class": "net:Nit"},
            r"models\.mine\.class: .*net\.py has no class or function Nit; did you mean Net\?",
        ),
        ({"class": "gone.py:Net"}, r"models\.mine\.class: found gone\.py:Net, but .*gone\.py is no file"),
        (
            {"preprocessing": "net:Front"},
            r"models\.mine\.preprocessing: .*net\.py has no class or function Front",
        ),
    ],
)
def test_a_users_model_that_is_not_there_is_refused_at_the_start(tmp_path, monkeypatch, changes, message):
    text = "class Net:\n    net = 1\n\n\ndef made():\n    net = Net()\n    return net\n"
    monkeypatch.chdir(write(tmp_path, {"net.py": text}))
    entry = {"class": "net.py:Net", "weights": "net.pt", **changes}
    with pytest.raises(InputError, match=message):
        Code(plan(models={"mine": entry}), ROOT).check()


def test_an_installed_package_without_a_file_of_its_own_is_not_refused(tmp_path, monkeypatch):
    (tmp_path / "site" / "spread").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.chdir(tmp_path / "here")
    Code(plan(models={"mine": {**OWN, "class": "spread.nets:Net"}}), ROOT).check()


def test_a_function_of_data_that_is_not_there_is_refused_at_the_start(tmp_path, monkeypatch):
    monkeypatch.chdir(write(tmp_path, {"my_data.py": "def small(): ..."}))
    mine = {"models": {"only": True, "mine": {"class": "my_data.py:small"}}}
    Code(plan(**mine, dataset={"load": "my_data.py:small"}), ROOT).check()
    with pytest.raises(
        InputError, match=r"load: .*my_data\.py has no class or function smal; did you mean small"
    ):
        Code(plan(**mine, dataset={"load": "my_data.py:smal"}), ROOT).check()
