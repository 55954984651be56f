"""The configs that ship, and variations of them."""

from copy import deepcopy
from functools import lru_cache
from pathlib import Path

import yaml

from absynth.workflow.plan import Plan

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "workflow" / "schemas"
OWN = {"class": "mine.Net", "weights": "net.pt"}


@lru_cache
def _shipped(name: str) -> dict:
    return yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text(encoding="utf-8"))


def shipped(name: str = "config") -> dict:
    """A fresh copy of config/{name}.yaml."""
    return deepcopy(_shipped(name))


def overlaid(base: dict, changes: dict) -> dict:
    """What Snakemake makes of a config with another laid over it, key by key."""
    merged = deepcopy(base)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = overlaid(merged[key], value) if nested else deepcopy(value)
    return merged


def tables(results: Path, run: str) -> dict[str, bytes]:
    """The CSV tables of a run by name, but for those that say how long it took."""
    paths = sorted((results / run / "tables").glob("*.csv"))
    return {path.name: path.read_bytes() for path in paths if path.stem not in ("attacks", "runtime")}


def plan(**changes) -> Plan:
    """The plan of the paper's config with `changes` laid over it."""
    return Plan(overlaid(shipped(), changes), SCHEMAS)
