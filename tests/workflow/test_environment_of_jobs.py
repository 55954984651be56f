"""Where the jobs of a run find Python modules."""

import os
import sys

import pytest

from absynth.errors import InputError
from absynth.workflow.environment import check_hidden, share_library, share_working_directory


def test_the_library_goes_before_what_pythonpath_holds_and_is_there_once(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["first", "", str(tmp_path), "second"]))
    for _ in range(2):
        share_library(tmp_path)
        assert os.environ["PYTHONPATH"].split(os.pathsep) == [str(tmp_path), "first", "second"]


def test_without_a_pythonpath_the_library_is_all_of_it(monkeypatch, tmp_path):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    share_library(tmp_path)
    assert os.environ["PYTHONPATH"] == str(tmp_path)


def test_the_working_directory_is_searched_last_and_once(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    monkeypatch.setattr(sys, "path", list(before))
    for _ in range(2):
        share_working_directory()
        assert sys.path == [*before, str(tmp_path)]


def test_the_working_directory_comes_last_wherever_it_stood(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", str(tmp_path), "/installed"])
    share_working_directory()
    assert sys.path == ["/installed", str(tmp_path)]


@pytest.mark.parametrize("file", ["torch.py", "numpy/__init__.py", "sklearn.py"])
def test_a_file_that_hides_an_installed_package_is_refused(tmp_path, monkeypatch, file):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.touch()
    monkeypatch.setenv("PYTHONPATH", f"/nowhere:{tmp_path}")
    with pytest.raises(InputError, match=rf"PYTHONPATH: {path} hides the installed .*; rename it, or leave"):
        check_hidden()
    (tmp_path / "torch-2.13.0.dist-info").mkdir()  # a place of installed packages
    check_hidden()


def test_a_user_s_own_modules_in_pythonpath_are_let_be(tmp_path, monkeypatch):
    for name in ("my_models.py", "absynth.py"):
        (tmp_path / name).touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    check_hidden()
