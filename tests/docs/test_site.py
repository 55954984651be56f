"""The documentation builds as a site, without a request to the network, and refuses what is broken."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FETCHED = re.compile(
    r"<(?:script|img|iframe)[^>]*\bsrc=.?https?://|<link[^>]*rel=.?(?:stylesheet|preload|preconnect)[^>]*https?://"
)


def build(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """What `make docs` runs, in a copy of the checkout."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    return subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stdout
    return folder


def test_every_page_is_built(site):
    pages = [path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")]
    assert len(pages) > 20
    assert [page for page in pages if not (site / page).is_file()] == []


def test_pages_fetch_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        assert not FETCHED.search(page.read_text(encoding="utf-8")), page


def test_the_python_page_shows_signatures_and_docstrings(site):
    text = (site / "reference" / "python.html").read_text(encoding="utf-8")
    assert "absynth.models.loading.load_model" in text
    assert "its own parameters are frozen" in text


def test_what_is_broken_is_refused(tmp_path):
    for name in ("docs", "src", "config", "workflow", "mkdocs.yml"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            shutil.copy2(source, tmp_path / name)
    index = tmp_path / "docs" / "index.md"
    index.write_text(
        index.read_text(encoding="utf-8") + "\n[nowhere](tutorial.md#no-such-heading)\n", encoding="utf-8"
    )
    schema = tmp_path / "workflow" / "schemas" / "config.schema.yaml"
    schema.write_text(
        schema.read_text(encoding="utf-8").replace("seed of training", "a seed of training"), encoding="utf-8"
    )
    norms = tmp_path / "src" / "absynth" / "norms.py"
    norms.write_text(norms.read_text(encoding="utf-8") + "\n\ndef unsaid():\n    pass\n", encoding="utf-8")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    for reason in (
        "no-such-heading",
        "docs/reference/config.md is out of date",
        "absynth.norms.unsaid is public",
    ):
        assert reason in done.stdout
