"""How Snakemake is called."""

import os
import subprocess
from pathlib import Path

import pytest
from configs import ROOT

from absynth.cli import workflow_process
from absynth.cli.workflow_process import Call, planned_jobs, visible_gpus
from absynth.errors import InputError


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


def test_each_job_has_its_line_unless_the_user_says_something_else():
    assert words()[words().index("--logger") + 1] == "absynth"
    assert "--quiet" not in words()  # with which Snakemake tells its loggers of no job
    assert "--logger" not in words(["--dry-run"])
    assert "--logger" not in words(["--verbose"])
    assert words(["--logger", "other"]).count("--logger") == 1
    assert words(changes=["seed=3"])[words().index("--rerun-incomplete") + 1 :][:2] == ["--config", "seed=3"]


def test_what_a_run_tells_of_a_job_reaches_the_terminal(tmp_path, monkeypatch):
    """A workflow of one job, in a folder without a profile, called as the project's own is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workflow_process, "workflow_folder", lambda: tmp_path)
    (tmp_path / "Snakefile").write_text(
        'rule prepare_data:\n    output: "made"\n    log: "made.log"\n    shell: "echo > {output}; touch {log}"\n'
    )
    (tmp_path / "c.yaml").write_text("{}")
    done = subprocess.run(
        Call(Path("c.yaml"), [], "1", []).command(), capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(ROOT) / "src")},
    )  # fmt: skip
    assert "1/1  prepare_data" in done.stderr
    assert len(done.stderr.splitlines()) < 10


@pytest.mark.parametrize(
    ("said", "jobs"),
    [
        ("localrule all:\n    input: a\n", ["all"]),
        ("Nothing to be done (all requested files are present)", []),
    ],
)
def test_a_run_is_complete_only_if_snakemake_says_so(monkeypatch, said, jobs):
    def answer(text):
        monkeypatch.setattr(
            workflow_process.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, text, "")
        )

    answer(said)
    assert [job.rule for job in planned_jobs(Call(Path("c.yaml"), [], "2", []))] == jobs
    answer("digraph snakemake_dag {}")
    with pytest.raises(InputError, match="lists no jobs, and does not say that nothing is to be done"):
        planned_jobs(Call(Path("c.yaml"), [], "2", []))
