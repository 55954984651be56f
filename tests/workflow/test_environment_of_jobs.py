"""Where the jobs of a run find Python modules."""

import os
import sys

from absynth.workflow.environment import share_library, share_working_directory


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
