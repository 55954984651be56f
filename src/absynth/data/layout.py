"""What a data set's entry says of how its images and labels lie in their files, where that is not plain.

Imported when a workflow starts, so it does without numpy. `absynth.data.published` reads such files.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from absynth.errors import InputError

CHANNELS = (
    "first",
    "last",
)  # the order of an image's axes: (channels, rows, columns) or (rows, columns, channels)
LAYOUT = {"transposed", "first_label"}  # the keys of an entry that say it
_EMNIST = "emnist"  # what the names of EMNIST's files start with


def check_layout(name: str, entry: Mapping[str, Any]) -> None:
    """Check what an entry says of the layout: channels, transposed (true or false), first_label (0, 1, …).

    Raises `InputError` with the key, the value and what is allowed.
    """
    if entry.get("channels", "last") not in CHANNELS:
        raise InputError(f"{name}.channels: {entry['channels']!r}; {' and '.join(CHANNELS)} are allowed")
    if not isinstance(entry.get("transposed", False), bool):
        raise InputError(f"{name}.transposed: {entry['transposed']!r}; true and false are allowed")
    first = entry.get("first_label", 0)
    if isinstance(first, bool) or not isinstance(first, int) or first < 0:
        raise InputError(f"{name}.first_label: {first!r}; a whole number from 0 on is allowed")


def check_stated(name: str, entry: Mapping[str, Any], files: Iterable[str]) -> None:
    """Refuse files called as EMNIST's are where the entry does not say whether to turn their images upright."""
    called = next((file for file in files if file.lower().startswith(_EMNIST)), None)
    if called and "transposed" not in entry:
        raise InputError(
            f"{name}.transposed: missing; {called} is called as a file of EMNIST, which are published with rows and "
            "columns of images exchanged: true turns them upright, false keeps them, for a model trained on them so "
            "(torchvision turns none)"
        )
