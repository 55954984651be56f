"""A finished run elsewhere: copied as a page says, nothing is to be done there, and changes are still noticed."""

import os
import shutil

import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.timeout(900)]


def test_a_copy_of_the_whole_folder_with_its_times_has_nothing_to_do(copy):
    assert copy.planned() == set()


def test_results_in_a_new_clone_are_taken_over_by_touching_and_changes_noticed(finished, clone):
    """The files of the new clone are younger than the results, and those of another copy in any order."""
    folder = clone.folder
    shutil.copytree(finished.folder / "results", folder / "results", copy_function=shutil.copyfile)
    lost = "attacks/abs/l2/fgm/1.h5"
    (folder / "results" / "tiny" / lost).unlink()
    done = clone.snakemake("--touch", "--forceall")
    assert done.returncode == 0, done.stdout
    planned = clone.planned()
    assert {path for path in planned if path.startswith(("attacks/", "models/", "data/"))} == {lost}
    shutil.copy(finished.folder / "results" / "tiny" / lost, folder / "results" / "tiny" / lost)
    assert clone.snakemake("--touch", "--forceall").returncode == 0
    assert clone.planned() == set()
    changed = clone.config(attacks={"fgm": {"doublings": 9}})
    assert "attacks/cnn/l2/fgm/0.h5" in clone.planned(config=changed)
    module = folder / "src" / "absynth" / "attacks" / "noise.py"
    module.write_text(module.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")
    planned = clone.planned()
    assert "attacks/cnn/l0/salt_pepper/0.h5" in planned
    assert not any(path.startswith(("models/", "data/", "attacks/cnn/l2/fgm")) for path in planned)


def test_surroundings_without_effect(copy, tmp_path, monkeypatch):
    """Names with blanks and beyond ASCII, linked results, another absynth, a torch.py, odd settings of every kind."""
    (copy.folder / "results").rename(tmp_path / "elsewhere")
    (copy.folder / "results").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "modules" / "absynth.py", copy.folder / "torch.py"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"raise RuntimeError({path.name!r})\n", encoding="utf-8")
    (copy.folder / "matplotlibrc").write_text("text.usetex: True\naxes.facecolor: red\n")
    expected = {
        path: (tmp_path / "elsewhere" / "tiny" / path).read_bytes()
        for path in ("tables/robustness.csv", "figures/distribution.svg", "tables/table1.md")
    }
    settings = {
        "MPLBACKEND": "nonsense",
        "LC_ALL": "C",
        "PYTHONIOENCODING": "ascii",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TZ": "Asia/Tokyo",
        "TMPDIR": "/nowhere",
        "HOME": "/dev/null/nowhere",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PYTHONPATH": str(tmp_path / "modules"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    before = os.umask(0o077)
    try:
        assert copy.planned() == set()
        shard = "results/tiny/attacks/cnn/l2/fgm/0.h5"
        targets = [f"results/tiny/{path}" for path in expected if not path.endswith("svg")]
        done = copy.snakemake(
            "results/tiny/figures/distribution.png",
            *targets,
            "--forcerun",
            shard,
            "results/tiny/figures/distribution.png",
        )
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout
    assert "arning" not in done.stdout
    for path, content in expected.items():
        assert (tmp_path / "elsewhere" / "tiny" / path).read_bytes() == content, path


def test_a_package_that_pythonpath_hides_is_named_at_once(finished, tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = finished.snakemake("--dry-run")
    assert done.returncode != 0
    assert f"PYTHONPATH: {tmp_path / 'torch.py'} hides the installed torch" in done.stdout
    assert "Traceback" not in done.stdout
