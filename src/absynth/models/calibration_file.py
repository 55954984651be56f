"""The file that holds a model's calibration; read without torch."""

from pathlib import Path
from typing import Any

from absynth.errors import InputError
from absynth.io.atomic import read_json
from absynth.io.opening import MADE


def read_calibration(path: str | Path, *needed: str) -> dict[str, Any]:
    """Read a calibration.json.

    Raises InputError if it is missing, damaged, lacks one of the keys `needed`, or cannot be opened.
    """
    content = read_json(path, "no such file; the rule calibrate_model makes it")
    missing = [key for key in needed if key not in content]
    if missing:
        raise InputError(f"{path}: lacks {missing[0]!r}; {MADE}")
    return content
