"""How Snakemake is called."""

from pathlib import Path

import pytest

from absynth.cli import workflow_process
from absynth.cli.workflow_process import Call, visible_gpus


def words(others=(), changes=()):
    return Call(Path("c.yaml"), changes, "2", others).command()


@pytest.mark.parametrize(("named", "count"), [("0,1", 2), ("", 0), ("-1", 0), ("GPU-abc", 1)])
def test_no_more_jobs_run_on_gpus_than_there_are(monkeypatch, named, count):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    monkeypatch.setattr(workflow_process, "version", lambda package: "2.13.0")
    assert visible_gpus() == count
    assert (f"gpu={count}" in words()) == (count > 0)
    assert words(["--resources", "gpu=7"]).count("--resources") == 1
    monkeypatch.setattr(workflow_process, "version", lambda package: "2.13.0+cpu")
    assert visible_gpus() == 0


def test_snakemake_is_quiet_where_it_runs_and_the_user_says_nothing_else():
    assert "--quiet" in words()
    assert "--quiet" not in words(["--dry-run"])
    assert "--quiet" not in words(["--verbose"])
    assert words(changes=["seed=3"])[words().index("--rerun-incomplete") + 1 :][:2] == ["--config", "seed=3"]
