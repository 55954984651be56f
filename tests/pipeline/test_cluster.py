"""The profiles for clusters: a real Slurm where there can be one, with accounts and without, and dry runs."""

import os
import re
import subprocess
import sys
import time

import pytest
import slurm_cluster
import yaml
from configs import tables

pytestmark = [pytest.mark.workflow, pytest.mark.timeout(2400)]

SMALL = {
    "n_samples": 8,
    "shards": 4,
    "norms": ["l2"],
    "models": {
        "cnn": {"epochs": 2, "batch_size": 32},
        "nearest_neighbor": {},
        "binary_cnn": None,
        "madry": None,
        "abs": None,
        "binary_abs": None,
    },
    "attacks": {"fgm": {"doublings": 8}, "gaussian_noise": {"repetitions": 100}, "salt_pepper": None},
}


# Quicker than the profile, which must not ask a busy controller all the time.
SOON = [
    *("--latency-wait", "5", "--slurm-init-seconds-before-status-checks", "2"),
    *("--seconds-between-status-checks", "3", "--max-status-checks-per-second", "1"),
]
# The workflow with a watch that loses its patience in seconds.
HASTY = """
import sys
from absynth.workflow import slurm
slurm.LOOKS, slurm.PATIENCE = 1.0, 3.0
from snakemake.cli import main
main(sys.argv[1:])
"""


def needs_slurm(test, *, accounts: bool = False):
    reason = slurm_cluster.missing(accounts)
    return pytest.mark.slurm(pytest.mark.skipif(reason is not None, reason=f"{reason}")(test))


def needs_accounts(test):
    return needs_slurm(test, accounts=True)


def profiled(workflow, profile: str, *arguments: str, run: str) -> list[str]:
    config = workflow.config(**SMALL, run=run)
    return ["--workflow-profile", f"workflow/profiles/{profile}", *arguments, "--configfile", str(config)]


def submit(workflow, profile: str, *arguments: str, run: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *profiled(workflow, profile, *arguments, run=run)],
        cwd=workflow.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip


@needs_slurm
def test_slurm_gives_jobs_devices_of_their_own_and_the_tables_of_a_local_run(checkout):
    with slurm_cluster.slurm() as visible:
        done = submit(checkout, "slurm", *SOON, run="slurm")
        assert done.returncode == 0, done.stdout
        noted = {tuple(line.split()) for line in visible.read_text().splitlines()}
        records = subprocess.run(
            ["scontrol", "show", "job", "--details", "--oneliner"], capture_output=True, text=True, check=True
        ).stdout.splitlines()
    jobs = [dict(pair.split("=", 1) for pair in record.split() if "=" in pair) for record in records]
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    devices = dict(noted)
    assert len(devices) == len(noted), "a job saw different devices at different times"
    on_gpu = [job for job in jobs if devices[job["JobId"]] != "none"]
    assert {devices[job["JobId"]] for job in on_gpu} == {"0", "1"}
    shared = [
        (one["JobId"], other["JobId"])
        for one in on_gpu
        for other in on_gpu
        if one["JobId"] < other["JobId"]
        and devices[one["JobId"]] == devices[other["JobId"]]
        and max(one["StartTime"], other["StartTime"]) < min(one["EndTime"], other["EndTime"])
    ]
    assert not shared, "jobs that ran at the same time on the same device"
    planned = int(re.search(r"^total\s+(\d+)", done.stdout, flags=re.MULTILINE)[1])
    assert len(jobs) < planned / 2, "short jobs were not grouped"
    assert checkout.snakemake(config=checkout.config(**SMALL, run="local")).returncode == 0
    results = checkout.folder / "results"
    local = tables(results, "local")
    assert {"robustness.csv", "table1.csv", "bracket.csv"} <= local.keys()
    assert tables(results, "slurm") == local


@needs_accounts
@pytest.mark.parametrize("min_job_age", [3600, 5])  # the plugin asks squeue, and sacct
def test_slurm_that_keeps_accounts_runs_the_profile_and_sacct_too(checkout, min_job_age):
    with slurm_cluster.slurm(accounts=True, min_job_age=min_job_age):
        for command in ("", "sacct"):
            run = f"accounts_{min_job_age}{command}"
            chosen = ["--slurm-status-command", command] if command else []
            done = submit(checkout, "slurm", f"results/{run}/data/test.h5", *SOON, *chosen, run=run)
            assert done.returncode == 0, done.stdout
            assert "Unable to guess SLURM account" in done.stdout  # though sacct answers, and root has one
            assert ("Falling back to 'sacct'" in done.stdout) == (min_job_age == 5 and not command)
            assert (checkout.folder / "results" / run / "data" / "test.h5").is_file()
        accounts = subprocess.run(
            ["sacct", "--allocations", "--noheader", "--format=State"],
            capture_output=True,
            text=True,
            check=True,
        )
    assert accounts.stdout.split() == ["COMPLETED", "COMPLETED"]


@needs_slurm
@pytest.mark.parametrize(
    ("min_job_age", "command", "cure"),
    [
        (300, "sacct", "use --slurm-status-command squeue"),
        (60, "squeue", "use workflow/profiles/generic"),
    ],
)
def test_slurm_without_accounts_is_refused_what_would_wait_for_ever(checkout, min_job_age, command, cure):
    with slurm_cluster.slurm(min_job_age=min_job_age):
        done = submit(
            checkout,
            "slurm",
            "results/refused/data/test.h5",
            "--slurm-status-command",
            command,
            run="refused",
        )
        submitted = subprocess.run(
            ["squeue", "--noheader", "--states=all"], capture_output=True, text=True, check=True
        )
    assert done.returncode != 0
    assert cure in done.stdout, done.stdout
    assert "accounting storage is disabled" in done.stdout
    assert "Traceback" not in done.stdout
    assert submitted.stdout == ""
    assert not (checkout.folder / "results" / "refused").exists()
    assert not list(checkout.folder.glob(".snakemake/locks/*"))


@needs_slurm
@pytest.mark.parametrize(
    "sacct",
    ["", "case $* in *-X*) exit 1;; esac"],
    ids=["answers and knows no job", "fails from the first job on"],
)
def test_a_job_that_slurm_has_ended_and_the_run_waits_for_is_named(checkout, tmp_path, sacct):
    """With a sacct whose database lags behind, and one whose database ends during the run."""
    (tmp_path / "sacct").write_text(f"#!/bin/sh\n{sacct}\n")
    (tmp_path / "sacct").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(checkout.folder / "src"),
    }
    target = "results/watched/data/test.h5"
    chosen = ["--slurm-status-command", "sacct", "--slurm-status-attempts", "1", "--nolock", "--forceall"]
    arguments = profiled(checkout, "slurm", target, *SOON, *chosen, run="watched")
    log = tmp_path / "log"
    with slurm_cluster.slurm(), log.open("w") as stream:
        run = subprocess.Popen(
            [sys.executable, "-c", HASTY, *arguments],
            cwd=checkout.folder, env=environment, stdout=stream, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 900
            while "Slurm ended these jobs" not in log.read_text() and time.monotonic() < deadline:
                assert run.poll() is None, log.read_text()
                time.sleep(0.5)
            assert (checkout.folder / target).is_file()
        finally:
            run.kill()  # a run that is asked to end waits for its jobs
            run.wait()
    assert re.search(r"Slurm job \d+, prepare_data: COMPLETED\.", log.read_text()), log.read_text()


@pytest.mark.parametrize("profile", ["generic", "slurm"])
def test_profile_plans_a_run(checkout, profile):
    done = submit(checkout, profile, "--dry-run", run=f"planned_{profile}")
    assert done.returncode == 0, done.stdout
    asked = [line for line in done.stdout.splitlines() if "resources:" in line and "gpu=1" in line]
    assert len(asked) > 1 + 2 + 2 * 2 * 4  # training, calibrations, attacks
    assert all("runtime=" in line and "mem_mb=" in line for line in asked)


def test_profiles_name_rules_that_there_are(checkout):
    done = checkout.snakemake("--list-rules", config=checkout.config(**SMALL))
    assert done.returncode == 0, done.stdout
    imported = {"import_vaes", "import_classifier"}  # with published weights
    grouped = yaml.safe_load((checkout.folder / "workflow/profiles/slurm/config.yaml").read_text())["groups"]
    assert set(grouped) <= {*done.stdout.split(), *imported}
