"""Leases of devices among processes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from absynth import devices
from absynth.errors import InputError

SCRIPTS = Path(devices.__file__).parents[1]
# Without torch, which a lease does not need, a holder starts in a tenth of a second.
HOLDER = """if True:
    import sys, types
    sys.modules["torch"] = types.SimpleNamespace(device=None)
    from absynth.devices import lease
    try:
        print(lease(sys.argv[2:], sys.argv[1]), flush=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path):
    """Start a process that leases a device, and return it with what it was given."""
    started = []

    def start(*identities: str) -> tuple[subprocess.Popen, str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, tmp_path / "locks", *identities],
            cwd=SCRIPTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        with process:
            process.kill()


def test_processes_get_distinct_devices_and_then_an_error(start):
    assert [start("A", "B", "C")[1] for _ in range(3)] == ["0", "1", "2"]
    assert start("A", "B", "C")[1] == (
        "InputError no free GPU among A, B, C: give snakemake --resources gpu=3 at most"
    )


def test_device_is_free_again_when_its_holder_is_killed(start):
    (first, got), _ = start("A", "B"), start("A", "B")
    assert got == "0"
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert start("A", "B")[1] == "0"


def test_device_is_free_again_when_its_holder_ends(start):
    first, _ = start("A")
    first.stdin.close()
    first.wait()
    assert start("A")[1] == "0"


def test_device_is_known_by_its_name_not_its_position(start):
    assert start("A", "B")[1] == "0"
    assert start("B", "A")[1] == "0"  # B
    assert start("A", "B")[1].startswith("InputError")


def test_one_process_gets_two_devices(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "_LEASES", [])
    assert [devices.lease(["A", "B"], tmp_path) for _ in range(2)] == [0, 1]
    with pytest.raises(InputError, match="no free GPU among A, B"):
        devices.lease(["A", "B"], tmp_path)


@pytest.mark.parametrize(("gpu", "count"), [(0, 2), (1, 0)])
def test_without_a_device_the_job_runs_on_its_threads(monkeypatch, gpu, count):
    threads = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert devices.acquire(gpu=gpu, threads=3) == torch.device("cpu")
    assert threads == [3]


def test_granted_device_is_leased_by_its_visible_name(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "toy")
    monkeypatch.setattr(devices, "_LOCKS", tmp_path)
    monkeypatch.setattr(devices, "_LEASES", [])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, MIG-1/2")
    assert devices.acquire(gpu=1, threads=1) == torch.device("cuda:0")
    assert devices.acquire(gpu=1, threads=1) == torch.device("cuda:1")
    assert {path.name for path in tmp_path.iterdir()} == {"gpu-5.lock", "gpu-MIG-1-2.lock"}
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert devices._identities(2) == ["0", "1"]
