"""docs/tutorial.md and the code of docs/how-to/read-results-in-a-notebook.md: what a reader types works.

The blocks are taken from the pages: those with a title are written to that file, shell blocks are run, and so are
Python blocks without a title, as the cells of one notebook.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$", re.M | re.S)
COPIED = ("Snakefile", "workflow", "scripts", "src", "config", "envs")


@dataclass(frozen=True)
class Block:
    language: str
    title: str | None
    text: str


def blocks(page: str) -> Iterator[Block]:
    text = (DOCS / page).read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        yield Block(found["language"], found["title"], found["text"])


def run(command: list[str], folder: Path) -> str:
    """What a command prints, run where a reader would have activated the environment; it must succeed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(folder / "src"), "MPLBACKEND": "agg"}
    done = subprocess.run(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A copy of the checkout in which the tutorial was followed, and what its shell blocks printed."""
    folder = tmp_path_factory.mktemp("tutorial")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy2(source, folder / name)
    printed = []
    for block in blocks("tutorial.md"):
        if block.title:
            (folder / block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "sh":
            printed.append(run(["bash", "-euo", "pipefail", "-c", block.text], folder))
    return folder, printed


@pytest.mark.slow
@pytest.mark.workflow
def test_every_block_of_the_tutorial_is_run_or_written(finished):
    folder, printed = finished
    kinds = {(block.language, block.title is not None) for block in blocks("tutorial.md")}
    assert kinds == {("python", True), ("yaml", True), ("sh", False)}
    assert {"my_models.py", "my_config.yaml", "train_my_model.py", "my_weights.pt"} <= set(os.listdir(folder))
    assert any("report.html" in text for text in printed)


@pytest.mark.slow
@pytest.mark.workflow
def test_the_tutorial_ends_with_the_table_that_it_shows(finished):
    folder, _ = finished
    made = (folder / "results" / "my-first-run" / "tables" / "table1.md").read_text(encoding="utf-8")
    shown = re.search(
        r"^\|  \| My network.*?(?=\n\n)", (DOCS / "tutorial.md").read_text("utf-8"), re.M | re.S
    )
    assert titles(shown[0]) == titles(made)  # the numbers depend on the machine


def titles(table: str) -> list[str]:
    """The head and the first cells of the rows of a Markdown table."""
    head, *rows = table.strip().splitlines()
    return [head, *(row.split("|")[1].strip() for row in rows)]


@pytest.mark.slow
@pytest.mark.workflow
def test_a_model_that_was_trained_survives_small_perturbations_only(finished):
    folder, _ = finished
    table = pd.read_csv(folder / "results" / "my-first-run" / "tables" / "robustness.csv")
    minima = table[table["attack"] == "all"].set_index("norm")
    assert (minima["n"] == 20).all()
    assert 0.1 < minima.loc["l2", "median"] < 10
    assert 0.005 < minima.loc["linf", "median"] < 0.5


@pytest.mark.slow
@pytest.mark.workflow
def test_the_code_for_notebooks_reads_the_run(finished):
    folder, _ = finished
    cells = [
        block.text for block in blocks("how-to/read-results-in-a-notebook.md") if block.language == "python"
    ]
    assert len(cells) >= 4
    program = "\n".join(cells)
    assert "results/my-first-run" in program
    run([sys.executable, "-W", "error", "-c", program], folder)
