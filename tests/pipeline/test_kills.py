"""Whatever is killed, and whenever: the documented commands go on to the same tables."""

import random
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from configs import tables

from absynth.io.records import SHARD, read_record

pytestmark = [pytest.mark.workflow, pytest.mark.timeout(1800)]

KILLS = 20
SMALL = {
    "n_samples": 6,
    "norms": ["l2"],
    "models": {
        "cnn": {"epochs": 4, "batch_size": 16},
        "nearest_neighbor": {},
        "binary_cnn": None,
        "madry": None,
        "abs": None,
        "binary_abs": None,
    },
    "attacks": {
        "fgm": {"batch_size": 1, "doublings": 8},
        "gaussian_noise": {"batch_size": 1, "repetitions": 3000, "bisections": 8},
        "salt_pepper": None,
    },
}
SHARD_PATH = "attacks/nearest_neighbor/l2/gaussian_noise/0.h5"


def start(workflow, *arguments: str, run: str) -> subprocess.Popen:
    """Start snakemake in a copy of the project; its output is thrown away."""
    config = workflow.config(**SMALL, run=run)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments, "--configfile", str(config)]
    return subprocess.Popen(
        command, cwd=workflow.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def unlock(workflow) -> None:
    done = subprocess.run([sys.executable, "-m", "snakemake", "--unlock"], cwd=workflow.folder, check=False)
    assert done.returncode == 0


def jobs_of(process: subprocess.Popen) -> list[psutil.Process]:
    """The scripts that snakemake runs at the moment."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if ".snakemake/scripts" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


@pytest.fixture(scope="module")
def undisturbed(checkout) -> dict[str, bytes]:
    assert start(checkout, run="whole").wait() == 0
    return tables(checkout.folder / "results", "whole")


def disturb(process: subprocess.Popen, draw: random.Random, kills: int) -> tuple[int, bool]:
    """Kill the workflow or one of its jobs at random moments, `kills` times at most.

    Returns how many kills were done, and whether the last was the workflow's own.
    """
    done = 0
    while done < kills:
        try:
            process.wait(draw.uniform(0, 4))
            return done, False
        except subprocess.TimeoutExpired:
            jobs = jobs_of(process)
        if jobs and draw.random() < 0.7:
            victim = draw.choice(jobs)
            done += victim.is_running()
            victim.kill()
        elif draw.random() < 0.5:
            process.kill()
            process.wait()
            return done + 1, True
    process.wait()
    return done, False


def test_kills_at_random_moments_do_not_change_the_tables(checkout, undisturbed):
    draw = random.Random(0)
    run, done = 0, 0
    while done < KILLS:
        run += 1
        while True:  # until this run is complete
            process = start(checkout, "--rerun-incomplete", "--retries", "50", run=f"killed{run}")
            kills, workflow_killed = disturb(process, draw, KILLS - done)
            done += kills
            if workflow_killed:
                unlock(checkout)
            elif process.returncode == 0:
                break
        assert tables(checkout.folder / "results", f"killed{run}") == undisturbed
        left = [path for path in (checkout.folder / "results" / f"killed{run}").rglob("*") if path.is_file()]
        assert not [path for path in left if path.name.startswith(".") or "checkpoints" in path.parts]
    assert {"robustness.csv", "verification.csv"} <= undisturbed.keys()


def test_a_killed_attack_goes_on_where_it_was(checkout, undisturbed):
    target = f"results/resumed/{SHARD_PATH}"
    checkpoint = (
        checkout.folder / "results/resumed/checkpoints/attack/nearest_neighbor-l2-gaussian_noise-0.h5"
    )
    process = start(checkout, target, run="resumed")
    while not checkpoint.exists():
        assert process.poll() is None, "finished without a checkpoint"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    unlock(checkout)
    assert start(checkout, target, "--rerun-incomplete", run="resumed").wait() == 0
    log = (
        checkout.folder / "results/resumed/logs/run_attack/nearest_neighbor-l2-gaussian_noise-0.log"
    ).read_text()
    assert "resumed from " in log
    assert not checkpoint.exists()
    found, attributes = read_record(checkout.folder / target, SHARD)
    expected, others = read_record(checkout.folder / "results/whole" / SHARD_PATH, SHARD)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
    assert attributes.keys() == others.keys()
