"""Files are written whole or not at all."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from absynth.errors import InputError
from absynth.io import atomic
from absynth.io.atomic import replacing, write_text

SCRIPTS = Path(atomic.__file__).parents[2]


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


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    code = """if True:
        import os, sys
        from absynth.io.atomic import replacing
        with replacing(sys.argv[1]) as temporary:
            os.kill(os.getpid(), 9)
    """
    path, other = tmp_path / "shard.h5", tmp_path / "shard2.h5"
    for killed in (path, path, other):
        subprocess.run([sys.executable, "-c", code, killed], cwd=SCRIPTS, check=False)
    assert len(list(tmp_path.iterdir())) == 2  # the second writer has removed what the first left
    write_text(path, "whole")
    left = [entry for entry in tmp_path.iterdir() if entry != path]
    assert len(left) == 1
    assert left[0].name.startswith(".shard2-")
    write_text(other, "whole")
    assert sorted(tmp_path.iterdir()) == [path, other]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, r"cannot be written \(No space left on device\); make space and run again"),
        (errno.EROFS, r"cannot be written \(Read-only file system\); use a folder that can be written to"),
        (errno.EDQUOT, "make space within your quota"),
    ],
)
def test_a_disk_that_takes_nothing_is_named_with_the_cure(tmp_path, number, message):
    path = tmp_path / "x"
    write_text(path, "old")
    with pytest.raises(InputError, match=rf"x: .*{message}"):
        write_half(path, OSError(number, os.strerror(number)))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "folder").write_text("")
    with pytest.raises(InputError, match=r"folder/x: cannot be written .*; move away the file"):
        write_text(tmp_path / "folder" / "x", "")
