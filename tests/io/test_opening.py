"""A file that cannot be opened is told apart from a damaged one, by every reader, and no cure deletes it."""

import builtins
import errno
import fcntl
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from absynth.attacks.checkpoint import Progress
from absynth.data.fetch import Downloads, locate
from absynth.data.files import IdxFile
from absynth.data.idx import read_idx
from absynth.data.sources import Dataset
from absynth.data.split_files import read_split, write_split
from absynth.errors import InputError
from absynth.io import records
from absynth.io.atomic import read_json, read_rows
from absynth.io.opening import BROUGHT, MADE, NotOpenedError, opening, refusal
from absynth.io.records import SAMPLES, read_record, write_record
from absynth.io.tables import read_table
from absynth.models.calibration_file import read_calibration
from absynth.models.weights import load_weights, read_state, save_weights
from absynth.training.checkpoint import Training


def write_toy_record(path):
    n = 2
    columns = {
        "index": np.arange(n), "label": np.zeros(n), "latent": np.zeros((n, 3)), "image": np.zeros((n, 1, 28, 28)),
    }  # fmt: skip
    write_record(path, columns, {"run": "toy"}, SAMPLES)


def write_toy_split(path):
    write_split(path, np.zeros((3, 28, 28), np.uint8), np.zeros(3, np.uint8), "toy", "test")


def write_safetensors(path):
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(1, 1), "bias": torch.zeros(1)}, path)


SOURCE = Path(records.__file__).parents[2]
READERS = {
    "0.h5": (write_toy_record, lambda path: read_record(path, SAMPLES)),
    "test.h5": (write_toy_split, read_split),
    "net.pt": (lambda path: save_weights(path, nn.Linear(1, 1)), read_state),
    "net.safetensors": (write_safetensors, read_state),
    "calibration.json": (lambda path: path.write_text('{"gamma": 1}'), lambda path: read_calibration(path, "gamma")),
    "provenance.json": (lambda path: path.write_text('{"run": "toy"}'), read_json),
    "rows.csv": (lambda path: path.write_text("a,b\n1,2\n"), lambda path: read_rows([path])),
    "table.csv": (lambda path: path.write_text("a,b\n1,2\n"), read_table),
    "labels": (lambda path: path.write_bytes(b"\0\0\x08\x01\0\0\0\x011"), read_idx),
}  # fmt: skip
CURES = {
    errno.EAGAIN: "export HDF5_USE_FILE_LOCKING=FALSE",
    errno.ENOLCK: "export HDF5_USE_FILE_LOCKING=FALSE",
    errno.EACCES: "chmod",
    errno.EPERM: "chmod",
    errno.EIO: "the disk or the network file system fails",
    errno.ETIMEDOUT: "the disk or the network file system fails",
    errno.ESTALE: "run again",
    errno.EMFILE: "ulimit -n",
    errno.ENFILE: "too many files are open",
    errno.EISDIR: "a folder stands in its place",
    errno.ENOSPC: "make space",
    errno.ENOMEM: "memory is used up",
    errno.EBUSY: "another program",
}


@pytest.fixture(params=READERS)
def reader(request, tmp_path):
    """A sound file and the function that reads it."""
    write, read = READERS[request.param]
    path = tmp_path / request.param
    write(path)
    read(path)
    return path, read


@pytest.mark.parametrize("number", CURES, ids=lambda number: errno.errorcode[number])
def test_every_reader_names_what_the_system_refuses_and_the_cure(reader, monkeypatch, number):
    path, read = reader

    def refusing(opened):
        def refuse(file, *arguments, **options):
            if str(file) == str(path):
                raise OSError(number, os.strerror(number), str(file))
            return opened(file, *arguments, **options)

        return refuse

    for place, name in ((builtins, "open"), (io, "open"), (h5py, "File")):
        monkeypatch.setattr(place, name, refusing(getattr(place, name)))
    with pytest.raises(NotOpenedError) as refused:
        read(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: cannot be opened ({os.strerror(number)}); ")
    assert CURES[number] in message
    assert "delete" not in message
    assert "damaged" not in message


def test_every_reader_refuses_a_folder_in_the_file_s_place(reader):
    path, read = reader
    path.unlink()
    path.mkdir()
    with pytest.raises(NotOpenedError, match=r"cannot be opened \(Is a directory\)"):
        read(path)


def test_every_reader_names_what_is_missing(reader):
    path, read = reader
    path.unlink()
    with pytest.raises(NotOpenedError, match=f"{path.name}: no such "):
        read(path)
    path.symlink_to(path.parent / "nowhere")
    with pytest.raises(NotOpenedError, match=f"{path.name}: no such "):
        read(path)


def test_every_reader_names_links_in_a_circle(reader):
    path, read = reader
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(
        NotOpenedError, match=r"Too many levels of symbolic links\); its links lead in a circle"
    ):
        read(path)


@pytest.mark.parametrize("kept", [0, 1, 5])
def test_what_is_cut_off_is_damage_with_advice(reader, kept):
    path, read = reader
    path.write_bytes(path.read_bytes()[:kept])
    if path.suffix == ".csv" and kept:
        path.write_bytes(b"\xff\xfe,b\n1,2\n")
    with pytest.raises(InputError) as refused:
        read(path)
    assert not isinstance(refused.value, NotOpenedError)
    message = str(refused.value)
    assert str(path) in message
    assert "\n" not in message
    if path.name in ("net.pt", "net.safetensors", "labels"):  # a user may have brought them
        assert "delete" not in message
    else:
        assert MADE in message


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Unable to synchronously open file (unable to lock file, errno = 11, error message = 'x')", errno.EAGAIN),
        ("unable to open file (unable to lock file, errno = 38, error message = 'Function not implemented')", 38),
        ("Can't read data (file read failed: time = 1, errno = 5, error message = 'Input/output error')", errno.EIO),
    ],
)  # fmt: skip
def test_errors_of_the_hdf5_library_are_read_from_their_words(text, number):
    for error in (OSError(text), RuntimeError(text), BlockingIOError(11, text)):
        found = refusal(error)
        assert found is not None
        assert os.strerror(number) in found
        assert ("HDF5_USE_FILE_LOCKING=FALSE" in found) == ("lock" in text)


def test_a_lock_that_another_program_holds_is_named(tmp_path):
    path = tmp_path / "0.h5"
    write_toy_record(path)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code = f"import sys; from absynth.io.records import *; read_record({str(path)!r}, SAMPLES)"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=SOURCE, capture_output=True, text=True, check=False
        )
    last = done.stderr.strip().splitlines()[-1]
    assert "NotOpenedError" in last
    assert "export HDF5_USE_FILE_LOCKING=FALSE" in last


@pytest.mark.parametrize(
    "text", ["file signature not found", "truncated file: eof = 96", "its checksum does not match"]
)
def test_what_concerns_the_content_passes(tmp_path, text):
    (tmp_path / "x").touch()
    with pytest.raises(OSError, match=text), opening(tmp_path / "x"):
        raise OSError(text)


def test_a_run_s_own_weights_may_be_deleted_and_a_user_s_never(tmp_path):
    path = tmp_path / "net.pt"
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"damaged weights file \(.*\); " + MADE):
        load_weights(path, nn.Linear(1, 1), damaged=MADE)
    with pytest.raises(InputError, match=BROUGHT):
        load_weights(path, nn.Linear(1, 1))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_checkpoints_that_cannot_be_opened_are_not_begun_anew(tmp_path, monkeypatch, number):
    path = tmp_path / "0.h5"
    path.write_bytes(b"work of hours")

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    module = nn.Linear(1, 1)
    training = Training(module, torch.optim.Adam(module.parameters()), torch.Generator(), {})
    monkeypatch.setattr(io, "open", refuse)
    monkeypatch.setattr("zipfile.is_zipfile", refuse)
    with pytest.raises(NotOpenedError):
        Progress(path, "a", "l2", torch.arange(3)).resume()
    with pytest.raises(NotOpenedError):
        training.resume(path)
    monkeypatch.undo()
    assert path.read_bytes() == b"work of hours"


def test_a_data_folder_that_cannot_be_entered_is_named_and_nothing_downloaded(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.is_file", refuse)
    file = IdxFile("labels.gz")
    with pytest.raises(NotOpenedError, match="chmod"):
        locate(file, Dataset("toy", "idx", None, None, mirrors=()), tmp_path, tmp_path / "cache", Downloads())


def test_constants_that_a_calibration_lacks_are_named(tmp_path):
    path = tmp_path / "calibration.json"
    for content, found in (({"alpha": 1}, "lacks 'gamma'"), ([1], "holds no JSON object")):
        path.write_text(json.dumps(content))
        with pytest.raises(InputError, match=f"{found}; {MADE}"):
            read_calibration(path, "gamma")


def test_rows_that_end_early_are_damage(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n3")
    with pytest.raises(InputError, match=f"ends within a row; {MADE}"):
        read_rows([path])
