"""Configs as Snakemake reads them: config/config.yaml with another file laid over it."""

from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import update_config

ROOT = Path(__file__).parents[1]
SCHEMAS = ROOT / "workflow" / "schemas"


def read_config(path: Path) -> dict[str, Any]:
    """config/config.yaml with the file `path` laid over it, key by key; not checked."""
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    update_config(config, yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    return config
