"""The rule verify in a finished run: it passes, and names the file and row that somebody changed."""

import os

import pandas as pd
import pytest
from hdf5_files import altered

pytestmark = pytest.mark.workflow


def test_a_finished_run_is_verified(finished):
    table = pd.read_csv(finished.folder / "results/tiny/tables/verification.csv")
    assert len(table) == 26 + 3 * 2  # shards, and minima of each model and norm
    assert set(table["attack"]) == {"fgm", "salt_pepper", "gaussian_noise", "boundary", "newton", "all"}
    assert (table["disagreements"] == 0).all()
    assert table["reason"].isna().all()
    assert (table[table["attack"] != "all"]["n"] == 2).all()
    assert table["checked"].sum() > 20


def test_a_changed_record_fails_the_run_and_is_named(finished):
    """Changed behind Snakemake's back: only a re-evaluation on request can see it."""
    path = "results/tiny/attacks/cnn/l2/gaussian_noise/1.h5"
    shard = finished.folder / path
    whole, times = shard.read_bytes(), shard.stat()
    part = "results/tiny/verification/cnn/l2.csv"
    table = "results/tiny/tables/verification.csv"
    try:
        with altered(shard) as file:
            file["distance"][1] = 123.0
        os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
        done = finished.snakemake(table, "--forcerun", part)
        assert done.returncode != 0
        assert f"{path}, row 1: distance" in done.stdout
        assert "Traceback" not in done.stdout
        assert not (finished.folder / table).exists()
        findings = pd.read_csv(finished.folder / part)
        bad = findings[findings["disagreements"] > 0]
        assert bad.iloc[0]["file"] == "attacks/cnn/l2/gaussian_noise/1.h5"
        assert bad.iloc[0]["first_row"] == 1
    finally:
        shard.write_bytes(whole)
        os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert finished.snakemake("--forcerun", part).returncode == 0
    assert finished.planned() == set()
