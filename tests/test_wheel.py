"""What pip install puts into an environment: the library under one name, and nothing else."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import absynth

ROOT = Path(__file__).parents[1]
LINKED = ("workflow/schemas", "workflow/presets", "config/config.yaml")  # what the library reads at the root
NAMES = "import pkgutil; print(*(module.name for module in pkgutil.iter_modules()))"


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, since a build leaves files beside what it builds."""
    place = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", place / "src", ignore=ignored, symlinks=True)
    for name in ("scripts", "workflow", "tests"):  # what a build might take along
        (place / name).mkdir()
        (place / name / "models.py").touch()
    for name in LINKED:
        (place / name).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, place / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place)
    options = ("--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir")
    run(sys.executable, "-m", "pip", "wheel", *options, place / "dist", place)
    (path,) = (place / "dist").glob("*.whl")
    return path


def test_a_wheel_holds_the_library_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    about = f"absynth-{absynth.__version__}.dist-info/"
    plugin = "snakemake_logger_plugin_absynth/__init__.py"  # a name that Snakemake prescribes
    assert [name for name in names if not name.startswith(("absynth/", about))] == [plugin]
    library = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src" / "absynth").rglob("*.py")}
    read = {
        f"absynth/workflow/files/{path.relative_to(ROOT).as_posix()}"
        for name in LINKED
        for path in ((ROOT / name).glob("*.yaml") if (ROOT / name).is_dir() else [ROOT / name])
    }
    assert len(read) > 5
    assert library | read | {"absynth/py.typed"} == {name for name in names if name.startswith("absynth/")}


def test_an_install_adds_one_importable_name_and_the_plugin(wheel, tmp_path):
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "env")
    python = tmp_path / "env" / "bin" / "python"
    before = set(run(python, "-I", "-c", NAMES).split())
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        "--quiet",
        wheel,
    )
    assert set(run(python, "-I", "-c", NAMES).split()) - before == {
        "absynth",
        "snakemake_logger_plugin_absynth",
    }
    assert (
        run(python, "-I", "-c", "import absynth; print(absynth.__version__)").strip() == absynth.__version__
    )
