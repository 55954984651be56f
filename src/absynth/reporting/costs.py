"""What a run cost, in words."""

import pandas as pd


def duration(seconds: float) -> str:
    """A duration in seconds, minutes or hours."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def costs(runtime: pd.DataFrame, attacks: pd.DataFrame | None) -> dict[str, str]:
    """What the measured jobs and the attacks took, by title; without what is unknown.

    runtime: tables/runtime.csv; attacks: tables/attacks.csv
    """
    found = {}
    if len(runtime):
        jobs, total = int(runtime["jobs"].sum()), float(runtime["seconds"].sum())
        found["costly jobs"] = f"{jobs}, which took {duration(total)} one after the other"
        found["longest job"] = duration(float(runtime["longest"].max()))
        if runtime["memory"].notna().any():
            found["peak memory of a job"] = f"{runtime['memory'].max():,.0f} MB"
    if attacks is not None and len(attacks):
        n = attacks["n"]
        asked = [f"{(attacks[name] * n).sum():,.0f} {name}" for name in ("queries", "gradients")]
        found["attacks asked for"] = " and ".join(asked)
    return found
