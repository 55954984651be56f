"""The machine that a run was made on, in words."""

from collections.abc import Mapping
from typing import Any


def machine(about: Mapping[str, Any]) -> dict[str, str]:
    """What tables/provenance.json says of the machine and the dates, in words by title; without what is unknown.

    Without records there are no dates.
    """
    hardware = about["hardware"]
    found = {
        "processor": hardware["processor"],
        "cores": hardware["cores"],
        "memory": hardware["memory_gib"] and f"{hardware['memory_gib']:.1f} GiB",
        "GPUs": ", ".join(hardware["gpus"]),
        "attacks ran on": ", ".join(hardware["devices"]),
        "records made (UTC)": " to ".join(
            dict.fromkeys(about[key][:10] for key in ("first_record", "last_record") if key in about)
        ),
    }
    return {title: str(value) for title, value in found.items() if value}
