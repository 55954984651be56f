"""What messages advise is done to the letter and ends in a good run. Each test has a copy of the finished run."""

import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from configs import tables
from hdf5_files import altered

from absynth.io.records import SHARD, read_record

pytestmark = [pytest.mark.workflow, pytest.mark.timeout(1800)]

# Tables apart: behind records that are made again they are made again as well, before anything reads them.
DAMAGED_RECORDS = {
    "models/nearest_neighbor/calibration.json": b"[",
    "attacks/abs/l2/boundary/1.h5": b"\x89HDF",
    "minimal/cnn/l0.csv": b"",
    "bounds/abs/l0/0.csv": b"",
}
DAMAGED_TABLES = {
    "tables/distances.csv": b"",
    "tables/provenance.json": b'{"config"',
    "tables/audit.csv": b"\xff",
}
LOST = [
    "attacks/cnn/l0/salt_pepper/0.h5",
    "attacks/abs/l2/gaussian_noise/1.h5",
    "minimal/abs/l2.h5",
    "minimal/cnn/l2.csv",
    "verification/abs/l0.csv",
    "bounds/abs/l2/1.csv",
    "bounds/nearest_neighbor/l0.csv",
    "tables/bracket_medians.csv",
    "models/cnn/calibration.json",
    "distal/abs.h5",
    "tables/table1.md",
    "figures/bracket.png",
]


def results(workflow) -> Path:
    return workflow.folder / "results" / "tiny"


def advised(text: str) -> list[str]:
    """The files that messages say to delete."""
    lines = [line for line in text.splitlines() if " ERROR " in line and "rerun" in line]
    assert all(re.search(r"delete (it|both|them|those files)( and rerun|$)", line) for line in lines), lines
    return sorted({path for line in lines for path in re.findall(r"results/tiny/[\w/.]+\.\w+", line)})


def test_the_files_that_verification_names_are_deleted_and_made_again(copy):
    path = results(copy) / "attacks/cnn/l2/gaussian_noise/1.h5"
    expected, times = read_record(path, SHARD)[0], path.stat()
    with altered(path) as file:
        file["distance"][1] = 123.0
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    failed = copy.snakemake("verify", "--forcerun", "results/tiny/verification/cnn/l2.csv")
    assert failed.returncode != 0
    named = advised(failed.stdout)
    assert "results/tiny/attacks/cnn/l2/gaussian_noise/1.h5" in named
    for name in named:
        (copy.folder / name).unlink(missing_ok=True)
    done = copy.snakemake("verify")
    assert done.returncode == 0, done.stdout
    assert (read_record(path, SHARD)[0]["distance"] == expected["distance"]).all()
    table = pd.read_csv(results(copy) / "tables" / "verification.csv")
    assert (table["disagreements"] == 0).all()


@pytest.mark.parametrize("damage", [DAMAGED_RECORDS, DAMAGED_TABLES], ids=["records", "tables"])
def test_damaged_files_are_deleted_as_messages_say_until_the_run_is_whole(copy, finished, damage):
    for name, content in damage.items():
        (results(copy) / name).write_bytes(content)
    deleted = set()
    for _ in range(6):
        done = copy.snakemake("--keep-going")
        assert "Traceback" not in done.stdout
        if done.returncode == 0:
            break
        named = advised(done.stdout)
        assert named, done.stdout
        for name in named:
            (copy.folder / name).unlink(missing_ok=True)
        deleted.update(name.removeprefix("results/tiny/") for name in named)
    assert done.returncode == 0, done.stdout
    assert deleted >= damage.keys()
    after, before = (tables(workflow.folder / "results", "tiny") for workflow in (copy, finished))
    assert after == before
    assert copy.planned() == set()


@pytest.mark.parametrize("name", LOST)
def test_a_lost_file_is_noticed_by_the_plain_command(copy, name):
    (results(copy) / name).unlink()
    assert name in copy.planned()


def test_a_shard_that_another_has_replaced_is_refused_and_made_again(copy):
    """A copy of another shard: sound in itself, but of other images."""
    first, second = (results(copy) / f"attacks/cnn/l2/fgm/{shard}.h5" for shard in (0, 1))
    expected = read_record(second, SHARD)[0]
    shutil.copy(first, second)
    failed = copy.snakemake("verify")
    assert failed.returncode != 0
    named = advised(failed.stdout)
    assert "results/tiny/attacks/cnn/l2/fgm/1.h5" in named
    for name in named:
        (copy.folder / name).unlink()
    assert copy.snakemake("verify").returncode == 0
    assert (read_record(second, SHARD)[0]["index"] == expected["index"]).all()


def test_a_lost_shard_is_noticed_by_verify_audit_and_report(copy):
    name = "attacks/cnn/l0/salt_pepper/0.h5"
    (results(copy) / name).unlink()
    for target in ("verify", "audit", "report"):
        assert name in copy.planned(target)
