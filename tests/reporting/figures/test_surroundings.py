"""What a user has set up for matplotlib of their own changes no figure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from absynth.reporting import figures

SOURCE = Path(figures.__file__).parents[3]
DRAW = """if True:
    import sys
    from absynth.reporting.figures.style import save_figure, set_style
    import matplotlib.pyplot as plt
    set_style()
    figure, axes = plt.subplots()
    axes.plot([0, 1], label="ε")
    axes.legend(title="norm")
    save_figure(figure, sys.argv[1:])
"""
SETTINGS = """text.usetex: True
font.family: Comic Sans MS
axes.facecolor: red
backend: nonsense
no.such.key: 3
svg.fonttype: none
"""


def drawn(folder: Path, **environment: str | None) -> tuple[bytes, ...]:
    """Draw a figure from within a folder; its bytes as SVG and PNG. Nothing is warned of."""
    known = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    paths = [folder / "figure.svg", folder / "figure.png"]
    command = [sys.executable, "-c", DRAW, *map(str, paths)]
    known["PYTHONPATH"] = os.pathsep.join([str(SOURCE), environment.get("PYTHONPATH") or ""])
    done = subprocess.run(command, cwd=folder, env=known, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return tuple(path.read_bytes() for path in paths)


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> tuple[bytes, ...]:
    return drawn(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("backend", ["nonsense", "TkAgg", "module://nowhere", "svg"])
def test_the_backend_of_the_environment_counts_for_nothing(tmp_path, expected, backend):
    assert drawn(tmp_path, MPLBACKEND=backend) == expected


@pytest.mark.parametrize("place", ["working directory", "MATPLOTLIBRC", "MPLCONFIGDIR", "HOME"])
def test_a_matplotlibrc_counts_for_nothing(tmp_path, expected, place):
    folder, environment = tmp_path, {}
    if place != "working directory":
        folder = tmp_path / "set"
        environment = {place: str(folder), "XDG_CONFIG_HOME": None}
    if place == "HOME":
        folder = folder / ".config" / "matplotlib"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "matplotlibrc").write_text(SETTINGS)
    assert drawn(tmp_path, **environment) == expected


def test_a_matplotlibrc_that_is_no_text_counts_for_nothing(tmp_path, expected):
    (tmp_path / "matplotlibrc").write_bytes(b"\xff\xfe\0")
    assert drawn(tmp_path) == expected


@pytest.mark.parametrize("home", ["/dev/null/nowhere", "/proc/nowhere", ""])
def test_a_home_that_cannot_be_written_to_warns_of_nothing(tmp_path, expected, home):
    none = {"XDG_CONFIG_HOME": None, "XDG_CACHE_HOME": None, "MPLCONFIGDIR": None, "TMPDIR": str(tmp_path)}
    assert drawn(tmp_path, HOME=home, **none) == expected
    assert {path.name for path in tmp_path.iterdir()} - {".config", ".cache"} == {"figure.svg", "figure.png"}


def test_the_environment_is_left_as_it_was(tmp_path):
    code = "import os; before = dict(os.environ), os.getcwd(); import absynth.reporting.figures as f; " \
        "assert (dict(os.environ), os.getcwd()) == before"  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "MPLBACKEND": "nonsense"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)


def test_style_does_not_depend_on_what_was_set_before():
    import matplotlib as mpl

    from absynth.reporting.figures.style import set_style

    set_style()
    expected = dict(mpl.rcParams)
    mpl.rcParams.update({"text.usetex": True, "axes.facecolor": "red", "lines.linewidth": 9})
    set_style()
    assert dict(mpl.rcParams) == expected
