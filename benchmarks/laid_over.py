"""Configs as the workflow reads them: config/config.yaml with another file laid over it."""

from pathlib import Path
from typing import Any

from absynth.workflow.config_files import merged_config

ROOT = Path(__file__).parents[1]
SCHEMAS = ROOT / "workflow" / "schemas"


def read_config(path: Path) -> dict[str, Any]:
    """config/config.yaml with the file `path` laid over it, key by key; not checked."""
    return merged_config([ROOT / "config" / "config.yaml", path], [])
