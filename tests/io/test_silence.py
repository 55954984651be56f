"""What compiled libraries print does not reach standard output."""

import ctypes
import os
import subprocess
import sys

import pytest

from absynth.io.silence import silent


def test_what_is_printed_meanwhile_is_dropped_and_all_else_is_kept(capfd):
    library = ctypes.CDLL(None)
    library.puts(b"before")
    with silent():
        os.write(1, b"by the system\n")
        library.puts(b"by a library")  # which keeps it in a buffer at first
    library.puts(b"after")
    library.fflush(None)
    assert capfd.readouterr().out == "before\nafter\n"


def test_output_is_restored_after_an_error_and_no_descriptor_is_left_open(capfd):
    count = len(os.listdir("/dev/fd"))
    with pytest.raises(RuntimeError), silent():
        raise RuntimeError
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"
    assert len(os.listdir("/dev/fd")) == count


def test_a_closed_output_is_no_error():
    program = (
        "import os; from absynth.io.silence import silent\nos.close(1)\nwith silent(): pass\nos._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
