"""The profiles for clusters: a real Slurm where there can be one, and a dry run of the other."""

import re
import subprocess
import sys

import pytest
import slurm_cluster
import yaml
from configs import tables

pytestmark = [pytest.mark.workflow, pytest.mark.timeout(1500)]

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


def submit(workflow, profile: str, *arguments: str, run: str) -> subprocess.CompletedProcess:
    config = workflow.config(**SMALL, run=run)
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", f"workflow/profiles/{profile}"]
    return subprocess.run(
        [*command, *arguments, "--configfile", str(config)],
        cwd=workflow.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip


@pytest.mark.slurm
@pytest.mark.skipif(slurm_cluster.missing() is not None, reason=f"{slurm_cluster.missing()}")
def test_slurm_gives_jobs_devices_of_their_own_and_the_tables_of_a_local_run(checkout):
    with slurm_cluster.slurm() as visible:
        done = submit(
            checkout, "slurm", "--slurm-status-command", "squeue", "--latency-wait", "5",
            "--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "3", run="slurm",
        )  # fmt: skip
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
