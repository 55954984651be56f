"""Files are written whole or not at all."""

import os
from pathlib import Path

import pytest

from absynth.atomic import replacing, write_text


def test_text_is_written_into_new_folders(tmp_path):
    write_text(tmp_path / "a" / "b" / "c.txt", "ε ≤ 1\n")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "ε ≤ 1\n".encode()


def test_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "table.csv"
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
        assert temporary.suffix == ".csv"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def write_half(path: Path, error: type[BaseException] | BaseException) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failure_keeps_the_old_file_and_leaves_no_other(tmp_path, error):
    path = tmp_path / "table.csv"
    write_text(path, "old")
    with pytest.raises(error):
        write_half(path, error)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_failure_without_an_old_file_leaves_none(tmp_path):
    with pytest.raises(OSError, match="full"):
        write_half(tmp_path / "x", OSError("disk full"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_file_is_shared_as_the_umask_says(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "x", "")
        assert os.umask(mask) == mask  # reading it left it as it was
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == mode


def test_two_writers_do_not_share_a_temporary_file(tmp_path):
    path = tmp_path / "x"
    with replacing(path) as one, replacing(path) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"  # the last to finish
