"""Leases of devices among processes."""

import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from absynth.errors import InputError
from absynth.workflow import devices, environment

LIBRARY = Path(devices.__file__).parents[2]
# Without torch, which a lease does not need, a holder starts in a tenth of a second.
HOLDER = """if True:
    import sys, types
    sys.modules["torch"] = types.SimpleNamespace(device=None)
    from absynth.workflow.devices import lease
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
            cwd=LIBRARY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
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
        "InputError no free GPU among A, B, C: give snakemake --resources gpu=3 at most, "
        "and end what is left of a killed run"
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


def test_a_job_waits_for_a_device_that_becomes_free(start, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "_LEASES", [])
    holder, got = start("A")
    assert got == "0"
    waited = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        holder.kill()
        holder.wait()

    monkeypatch.setattr(devices.time, "sleep", sleep)
    assert devices.lease(["A"], tmp_path / "locks", patience=60) == 0
    assert len(waited) == 1


CHILD = """if True:
    import sys, time, types
    sys.modules["torch"] = types.SimpleNamespace(device=None)
    from absynth.workflow import devices
    devices._INTERVAL = 0.02
    devices.end_with_parent()
    devices.lease(["A"], sys.argv[1])
    print("ready", flush=True)
    time.sleep(300)
"""
PARENT = """if True:
    import subprocess, sys
    subprocess.run([sys.executable, "-c", sys.argv[1], sys.argv[2]])
"""


def test_a_job_does_not_outlive_its_workflow(start, tmp_path):
    command = [sys.executable, "-c", PARENT, CHILD, tmp_path / "locks"]
    with subprocess.Popen(
        command, cwd=LIBRARY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout.readline() == "ready\n"
        assert start("A")[1].startswith("InputError")
        parent.kill()
        assert parent.stdout.read() == ""  # returns once the job has closed its end
    assert start("A")[1] == "0"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Two GPUs that are not there, and no watch on the process that runs the tests."""
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    monkeypatch.setattr(devices, "end_with_parent", lambda: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "toy")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda i: types.SimpleNamespace(uuid=f"uuid{i}"))
    monkeypatch.setattr(devices, "_LOCKS", tmp_path)
    monkeypatch.setattr(devices, "_LEASES", [])
    monkeypatch.setattr(devices, "_PATIENCE", 0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(("gpu", "count"), [(0, 2), (1, 0)])
def test_without_a_device_the_job_runs_on_its_threads(monkeypatch, gpu, count):
    threads = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert devices.acquire(gpu=gpu, threads=3) == torch.device("cpu")
    assert threads == [3]


@pytest.mark.usefixtures("machine")
def test_granted_devices_are_leased_one_by_one(tmp_path):
    assert devices.acquire(gpu=1, threads=1) == torch.device("cuda:0")
    assert devices.acquire(gpu=1, threads=1) == torch.device("cuda:1")
    assert {path.name for path in tmp_path.iterdir()} == {"choice.lock", "gpu-uuid0.lock", "gpu-uuid1.lock"}
    with pytest.raises(InputError, match="no free GPU among uuid0, uuid1"):
        devices.acquire(gpu=1, threads=1)


@pytest.mark.usefixtures("machine")
def test_a_leased_device_computes_in_full_precision(monkeypatch):
    products = types.SimpleNamespace(allow_tf32=True)
    monkeypatch.setattr(torch.backends.cuda, "matmul", products)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    devices.acquire(gpu=1, threads=1)
    assert not torch.backends.cudnn.allow_tf32
    assert not products.allow_tf32
    assert torch.backends.cudnn.deterministic


@pytest.mark.usefixtures("machine")
def test_slices_of_a_device_are_told_apart_by_their_visible_names(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, MIG-1/2")
    assert devices.acquire(gpu=1, threads=1) == torch.device("cuda:0")
    assert devices.acquire(gpu=1, threads=1) == torch.device("cuda:1")
    assert {path.name for path in tmp_path.iterdir()} == {"choice.lock", "gpu-uuid0.lock", "gpu-MIG-1-2.lock"}


@pytest.mark.usefixtures("machine")
def test_jobs_that_each_see_their_own_device_as_the_first_do_not_collide(monkeypatch):
    """As under a scheduler that hides all devices but one."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    for uuid in ("left", "right"):
        properties = types.SimpleNamespace(uuid=uuid)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda i, found=properties: found)
        assert devices.acquire(gpu=1, threads=1) == torch.device("cuda:0")


def test_torch_keeps_to_the_threads_granted():
    code = """if True:
        import torch
        from absynth.workflow.devices import acquire
        acquire(gpu=0, threads=3)
        print(torch.get_num_threads())
    """
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=LIBRARY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "3"


def test_jobs_share_a_device_once_each_has_one(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "_LEASES", [])
    assert [devices.lease(["A", "B"], tmp_path, jobs=2) for _ in range(4)] == [0, 1, 0, 1]
    with pytest.raises(InputError, match="--resources gpu=4 at most"):
        devices.lease(["A", "B"], tmp_path, jobs=2)


def test_a_job_goes_to_the_device_that_fewest_use(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "_LEASES", leases := [])
    assert [devices.lease(["A", "B"], tmp_path, jobs=2) for _ in range(4)] == [0, 1, 0, 1]
    for place in (1, 3):  # both jobs of B end, and one of A
        leases[place].release()
    leases[0].release()
    assert [devices.lease(["A", "B"], tmp_path, jobs=2) for _ in range(3)] == [1, 0, 1]


def test_a_device_is_shared_only_where_the_variable_says_so(monkeypatch):
    monkeypatch.delenv(environment.JOBS_PER_GPU, raising=False)
    assert environment.jobs_per_gpu() == 1
    monkeypatch.setenv(environment.JOBS_PER_GPU, "4")
    assert environment.jobs_per_gpu() == 4


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5", ""])
def test_variable_that_is_no_number_of_jobs_is_refused(monkeypatch, given):
    monkeypatch.setenv(environment.JOBS_PER_GPU, given)
    with pytest.raises(InputError, match=f"ABSYNTH_JOBS_PER_GPU: found '{given}', allowed is how many"):
        environment.jobs_per_gpu()
