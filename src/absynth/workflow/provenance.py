"""What a run was made with: settings, versions, hardware and dates."""

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from absynth import __version__
from absynth.workflow.environment import COMMAND

_PACKAGES = ("torch", "foolbox", "snakemake", "numpy", "pandas", "matplotlib")
_RECORDED = ("absynth", "torch", "foolbox")
_CPU_INFO = Path("/proc/cpuinfo")


def versions(packages: Iterable[str] = _PACKAGES) -> dict[str, str]:
    """The versions of absynth, Python and `packages` that are installed here."""
    return {
        "absynth": __version__,
        "Python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def hardware(cpu_info: str | os.PathLike[str] = _CPU_INFO) -> dict[str, Any]:
    """processor (its name), cores (logical, that this process may use) and memory_gib of this machine."""
    try:
        lines = Path(cpu_info).read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [
        value.strip()
        for key, _, value in (line.partition(":") for line in lines)
        if key.strip() == "model name"
    ]
    affinity = getattr(os, "sched_getaffinity", None)
    pages = ("SC_PAGE_SIZE", "SC_PHYS_PAGES")
    known = all(name in os.sysconf_names for name in pages)
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "memory_gib": round(os.sysconf(pages[0]) * os.sysconf(pages[1]) / 2**30, 1) if known else None,
    }


def gpu_names() -> list[str]:
    """The names of the GPUs that this process sees."""
    import torch

    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def provenance(
    config: Mapping[str, Any], attributes: Iterable[Mapping[str, Any]], times: Sequence[float]
) -> dict[str, Any]:
    """What tables/provenance.json holds.

    attributes: those of all attack shards; the versions recorded in them replace those installed here
    times: when the run's records were written, seconds since 1970
    The hardware is that of the machine on which this runs, the devices are those that the attacks ran on. The command
    is that of the workflow that this is a job of, left out where it is not known.
    """
    found: dict[str, set[str]] = {name: set() for name in ("device", *_RECORDED)}
    for shard in attributes:
        for name, values in found.items():
            values.add(str(shard[name]))
    devices = sorted(found["device"])
    recorded = {name: ", ".join(sorted(found[name])) for name in _RECORDED}
    dates = [
        datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds") for time in (min(times), max(times))
    ]
    gpus = gpu_names() if any(device.startswith("cuda") for device in devices) else []
    command = os.environ.get(COMMAND)
    return {
        "config": dict(config),
        **({"command": command} if command else {}),
        "versions": {**versions(), **{name: value for name, value in recorded.items() if value}},
        "hardware": {**hardware(), "gpus": gpus, "devices": devices},
        "first_record": dates[0],
        "last_record": dates[1],
    }
