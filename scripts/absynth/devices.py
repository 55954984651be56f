"""Which device a job uses: a leased GPU, the one a scheduler made visible, or the CPU."""

import os
import tempfile
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from absynth.errors import InputError
from absynth.log import LOGGER

_LOCKS = Path(tempfile.gettempdir()) / f"absynth-{os.getuid()}"  # shared by the jobs of a machine
_LEASES: list[FileLock] = []  # held for the life of the process, and freed by the system when it ends


def acquire(*, gpu: int, threads: int) -> torch.device:
    """The device for this job; torch is set to `threads` threads.

    gpu: how many GPUs the scheduler granted, 0 or 1; without a GPU in the machine the job runs on the CPU
    Raises InputError if a GPU was granted but all of them are taken by other jobs.
    """
    torch.set_num_threads(max(1, threads))
    n_devices = torch.cuda.device_count() if gpu > 0 else 0
    if n_devices == 0:
        LOGGER.info("device cpu, %d threads", threads)
        return torch.device("cpu")
    device = torch.device("cuda", lease(_identities(n_devices), _LOCKS))
    LOGGER.info("device %s (%s)", device, torch.cuda.get_device_name(device))
    return device


def lease(identities: list[str], lock_folder: str | Path) -> int:
    """Take the first free one of the devices named; returns its position.

    Raises InputError if none is free.
    """
    Path(lock_folder).mkdir(parents=True, exist_ok=True)
    for position, identity in enumerate(identities):
        lock = FileLock(Path(lock_folder) / f"gpu-{identity}.lock", blocking=False)
        try:
            lock.acquire()
        except Timeout:
            continue
        _LEASES.append(lock)
        return position
    raise InputError(
        f"no free GPU among {', '.join(identities)}: give snakemake --resources gpu={len(identities)} at most"
    )


def _identities(n_devices: int) -> list[str]:
    """Names of the visible devices, the same for every process of the machine."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(i) for i in range(n_devices)]
    return [name.strip().replace("/", "-") for name in names[:n_devices]]
