"""The table of what each attack found and what it cost, from all shards of a run; no torch."""

from collections.abc import Sequence
from pathlib import Path

from absynth.evaluation.statistics import AttackTotals
from absynth.io.atomic import write_csv
from absynth.io.records import MINIMAL, SHARD, read_record

KEY = ("model", "norm", "attack")
COLUMNS = (*KEY, *AttackTotals("").row())
LAYOUT = {name: SHARD[name] for name in ("index", "distance", "queries", "gradients", "nonfinite", "stopped")}


def write_attack_table(
    *,
    shards: Sequence[str | Path],
    minimal: Sequence[str | Path],
    table: str | Path,
    run: str,
) -> None:
    """Write one row per model, norm and attack, in the order of `shards`; only the header if there are none."""
    best_attacks = {}
    for path in minimal:
        columns, attributes = read_record(path, MINIMAL, {"run": run})
        found_by = dict(zip(columns["index"].tolist(), columns["attack"], strict=True))
        best_attacks[attributes["model"], attributes["norm"]] = found_by
    totals: dict[tuple[str, ...], AttackTotals] = {}
    for path in shards:
        columns, attributes = read_record(path, LAYOUT, {"run": run})
        model, norm, attack = key = tuple(attributes[name] for name in KEY)
        total = totals.setdefault(key, AttackTotals(attack))
        total.add(columns, float(attributes["seconds"]), attributes["device"], best_attacks[model, norm])
    rows = [{**dict(zip(KEY, key, strict=True)), **total.row()} for key, total in totals.items()]
    write_csv(table, rows, COLUMNS)
