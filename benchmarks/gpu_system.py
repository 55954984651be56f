"""The parts of benchmarks/gpu.py that start processes of their own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpu_setting import RUN, Setting
from laid_over import ROOT

from absynth.workflow.environment import JOBS_PER_GPU

Line = dict[str, Any]
_OVERLAY = "overlay.yaml"
CHECKOUT = ("Snakefile", "config", "workflow", "scripts", "src", "envs", "resources")
_HOLD = """
import time
began = time.monotonic()
from absynth.workflow.devices import acquire
device = acquire(gpu=1, threads=1)
asked = time.time()
time.sleep({hold})
print(device, asked, time.time())
"""
_RESERVE = 15.0  # seconds, to stop the workflow in


def environment() -> dict[str, str]:
    """That of the jobs, which each have the GPU to themselves."""
    return {
        **{key: value for key, value in os.environ.items() if key != JOBS_PER_GPU},
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
    }


def devices(setting: Setting) -> Iterator[Line]:
    """Two jobs that each want a GPU: where there is one, the second starts when the first has ended."""
    command = [sys.executable, "-c", _HOLD.format(hold=3 if setting.device.type == "cuda" else 0.1)]
    both = [subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    found = sorted(
        (float(got), float(ended), device)
        for device, got, ended in (process.communicate(timeout=120)[0].split() for process in both)
    )
    (_, first_ended, first), (second_got, _, second) = found
    yield {
        "devices": [first, second],
        "shared": bool(first == second != "cpu" and second_got < first_ended),
        "second_waited_seconds": round(second_got - found[0][0], 2),
    }


def tests(setting: Setting) -> Iterator[Line]:
    """The tests of CUDA; on the CPU they are only collected."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "cuda",
        "tests/test_cuda.py",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:benchmark",  # pytest-benchmark warns beside -n, and warnings are errors here
    ]
    command += ["-n", "6"] if setting.device.type == "cuda" else ["--collect-only"]
    limit = max(10.0, setting.seconds_left())
    result = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=limit, check=False
    )
    last = result.stdout.strip().splitlines()[-1]
    failed = [line for line in result.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    yield {"summary": last, "status": result.returncode, "failed": failed}


def workflow(setting: Setting) -> Iterator[Line]:
    """The run in a folder of its own; stopped as by Ctrl-C when the time is up, and its finished jobs counted."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name in CHECKOUT:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, place / name)
        (place / _OVERLAY).write_text(json.dumps(setting.size.workflow), encoding="utf-8")  # JSON is YAML
        began, stopped = time.monotonic(), False
        log = place / "log.txt"
        with log.open("w") as file:
            process = subprocess.Popen(
                _snakemake(setting), cwd=place, env=environment(), stdout=file, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
            try:
                process.wait(timeout=max(5.0, setting.seconds_left() - _RESERVE))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(timeout=_RESERVE)
                stopped = True
        seconds = time.monotonic() - began
        text = log.read_text()
        yield {
            "status": "out of time" if stopped else process.returncode,
            "seconds": round(seconds, 1),
            "progress": (re.findall(r"\d+ of \d+ steps \(\d+%\) done", text) or ["none"])[-1],
            "errors": re.findall(r"Error in rule (\w+)", text),
            "end": "" if stopped or process.returncode == 0 else text[-600:],
            "jobs": _durations(place),
        }
        yield {"files": _finished(place)}


def _snakemake(setting: Setting) -> list[str]:
    gpu = 1 if setting.device.type == "cuda" else 0
    data = [] if setting.data is None else [f"data_dir={setting.data.resolve()}"]
    weights = f"trained_weights={RUN / 'models'}"
    cores = str(min(8, os.cpu_count() or 1))
    return [
        sys.executable, "-m", "snakemake", "--cores", cores, "--resources", f"gpu={gpu}", "--keep-going",
        "--configfile", "config/mnist-bracket.yaml", _OVERLAY, "--config", weights, *data,
    ]  # fmt: skip


def _durations(place: Path) -> dict[str, list[float]]:
    """Seconds of the finished jobs of each rule, by Snakemake's own measurement."""
    found: dict[str, list[float]] = {}
    for path in sorted((place / "results" / "mnist-bracket" / "benchmarks").rglob("*.tsv")):
        rule = path.relative_to(place / "results" / "mnist-bracket" / "benchmarks").parts[0]
        found.setdefault(rule.removesuffix(".tsv"), []).append(
            float(path.read_text().splitlines()[1].split("\t")[0])
        )
    return found


def _finished(place: Path) -> dict[str, int]:
    """How many files of each kind the run has made: shards by attack, bounds, records."""
    run = place / "results" / "mnist-bracket"
    kinds = {"shards": "attacks/**/*.h5", "bounds": "bounds/**/*.csv", "minimal": "minimal/**/*.h5"}
    return {kind: len(list(run.glob(pattern))) for kind, pattern in kinds.items()}
