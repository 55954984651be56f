"""Which device a job uses: a leased GPU, the one a scheduler made visible, or the CPU."""

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from absynth.errors import InputError
from absynth.io.log import LOGGER
from absynth.workflow.environment import jobs_per_gpu

_LOCKS = Path(tempfile.gettempdir()) / f"absynth-{os.getuid()}"  # shared by the jobs of a machine
_LEASES: list[FileLock] = []  # held as long as the process lives; the system frees them when it ends
_PATIENCE = (
    60.0  # seconds that a job waits for a GPU: a job that was just killed takes a moment to release its own
)
_INTERVAL = 1.0  # seconds between two checks of a lock, or of the parent process


def acquire(*, gpu: int, threads: int) -> torch.device:
    """Choose the device of this job and set torch to `threads` threads; the job ends if its workflow is killed.

    gpu: how many GPUs the scheduler granted, 0 or 1; without a GPU in the machine the job runs on the CPU
    threads: those of the config. Snakemake grants fewer where there are fewer cores, and sums over a different number
        of threads are rounded differently, which changes trained weights
    As many jobs as the variable ABSYNTH_JOBS_PER_GPU says share a GPU, if Snakemake grants them.
    Raises InputError if a GPU was granted but all of them are held by other jobs, or if the variable is no number.
    """
    end_with_parent()
    torch.set_num_threads(max(1, threads))
    n_devices = torch.cuda.device_count() if gpu > 0 else 0
    if n_devices == 0:
        LOGGER.info("device cpu, %d threads", threads)
        return torch.device("cpu")
    device = torch.device("cuda", lease(_identities(n_devices), _LOCKS, _PATIENCE, jobs_per_gpu()))
    use_full_precision()
    LOGGER.info("device %s (%s)", device, torch.cuda.get_device_name(device))
    return device


def use_full_precision() -> None:
    """Convolve in float32 on CUDA, as the CPU does, and in the same order in every run.

    cuDNN's default, TF32, keeps 10 bits of each factor: logits change by a thousandth, and what an attack finds at
    the decision boundary is often classified correctly by the CPU.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.deterministic = True


@contextmanager
def full_precision() -> Iterator[None]:
    """`use_full_precision`, and in the end as it was."""
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32, convolutions.deterministic
    use_full_precision()
    try:
        yield
    finally:
        convolutions.allow_tf32, products.allow_tf32, convolutions.deterministic = before


def lease(identities: list[str], lock_folder: str | Path, patience: float = 0.0, jobs: int = 1) -> int:
    """Lease a place on the device named that most places are free on, of several the first.

    patience: seconds to wait for one to become free
    jobs: how many jobs may hold a device at a time, each in a place of its own
    Returns the position of the device.
    Raises InputError if no place becomes free.
    """
    Path(lock_folder).mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience
    while True:
        with FileLock(Path(lock_folder) / "choice.lock"):  # one job at a time, as it holds what it looks at
            free = [_free_places(identity, Path(lock_folder), jobs) for identity in identities]
            position = max(range(len(free)), key=lambda position: len(free[position]))
            chosen = free[position][:1]
            for place in (place for places in free for place in places if place not in chosen):
                place.release()
        if chosen:
            _LEASES.extend(chosen)
            return position
        if time.monotonic() >= deadline:
            break
        time.sleep(_INTERVAL)
    raise InputError(
        f"no free GPU among {', '.join(identities)}: give snakemake --resources gpu={len(identities) * jobs} at "
        "most, and end what is left of a killed run"
    )


def _free_places(identity: str, folder: Path, jobs: int) -> list[FileLock]:
    """The places of a device that no job holds, which this process holds now."""
    free = []
    for place in range(jobs):
        lock = FileLock(folder / f"gpu-{identity}{f'-{place}' if place else ''}.lock", blocking=False)
        with suppress(Timeout):
            lock.acquire()
            free.append(lock)
    return free


def end_with_parent() -> None:
    """End this process soon after the one that started it, which may be killed without notice.

    Otherwise an orphan would hold its GPU while the resumed workflow starts the same job again.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_INTERVAL)
        LOGGER.error("the workflow has ended, and so does this job")
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()


def _identities(n_devices: int) -> list[str]:
    """Names of the visible devices, the same for every process of the machine.

    Numbers are not: a scheduler may give every job a device 0 of its own.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    names = [name.strip() for name in visible] + [""] * n_devices
    return [
        names[i].replace("/", "-") if names[i].startswith("MIG-") else _uuid(i) for i in range(n_devices)
    ]  # a slice of a GPU may have no uuid of its own


def _uuid(position: int) -> str:
    return str(torch.cuda.get_device_properties(position).uuid)
