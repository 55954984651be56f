"""The file that holds a model's calibration; read without torch."""

import json
from pathlib import Path
from typing import Any

from absynth.errors import InputError


def read_calibration(path: str | Path) -> dict[str, Any]:
    """Read a calibration.json. Raises InputError if it is missing or damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the rule calibrate makes it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid JSON ({error}); delete it and rerun") from None
