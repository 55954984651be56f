"""Whether two runs hold the same numbers, to the bit: datasets of HDF5 files, CSV tables, weights and calibrations.

python benchmarks/compare_runs.py BEFORE AFTER    (folders results/{run}, of any two versions of absynth)

Meant for changes that must change no number: run the same small config before and after, with the same threads on the
same machine. Files are matched by their paths within the run, columns by their names; RENAMED_FILES and
RENAMED_COLUMNS hold what had another name before. Attributes, logs, benchmarks and what measures the machine are left
out, and so are columns of words. Prints one line per file that differs, and a summary; exits with 1 if any differs.
"""

import argparse
import csv
import json
import sys
from pathlib import Path

import h5py
import numpy as np
import torch

# Files and columns that had another name before version 0.2.
RENAMED_FILES = {"tables/refutations.csv": "tables/bound_violations.csv"}
RENAMED_COLUMNS = {"explained": "attributed_to_inference", "closed": "tight", "open": "loose"}
TIMES = {"seconds", "s_per_image", "wall_seconds", "cpu_seconds", "hours", "mean_load", "max_rss"}
FOLDERS = (
    "data",
    "attacks",
    "minimal",
    "bounds",
    "distal",
    "synthesis",
    "tables",
    "verification",
    "models",
)
# Measurements of the machine, and sentences.
LEFT_OUT = {"tables/runtime.csv", "tables/provenance.json"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    options = parser.parse_args()
    files, values, different = 0, 0, 0
    for path in sorted(path for folder in FOLDERS for path in (options.before / folder).rglob("*")):
        name = path.relative_to(options.before).as_posix()
        if path.suffix not in COMPARE or name in LEFT_OUT:
            continue
        files += 1
        other = options.after / RENAMED_FILES.get(name, name)
        if not other.is_file():
            problems = ["missing"]
        else:
            count, problems = COMPARE[path.suffix](path, other)
            values += count
        for problem in problems:
            sys.stdout.write(f"{name}: {problem}\n")
        different += bool(problems)
    sys.stdout.write(f"{files} files, {values} values compared; {different} files differ\n")
    sys.exit(1 if different else 0)


def compare_hdf5(path: Path, other: Path) -> tuple[int, list[str]]:
    """How many values were compared, and which datasets differ."""
    count, problems = 0, []
    with h5py.File(path) as one, h5py.File(other) as two:
        for name in one:
            if name not in two:
                problems.append(f"dataset {name} is missing")
                continue
            a, b = one[name][()], two[name][()]
            count += a.size
            if a.shape != b.shape or a.dtype != b.dtype or a.tobytes() != b.tobytes():
                same = (
                    a.shape == b.shape
                    and a.dtype == b.dtype
                    and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
                )
                if not same:
                    problems.append(f"dataset {name} differs")
    return count, problems


def compare_csv(path: Path, other: Path) -> tuple[int, list[str]]:
    """How many cells were compared, and which columns differ; cells are compared as they are written."""
    one, two = (list(csv.DictReader(file.read_text(encoding="utf-8").splitlines())) for file in (path, other))
    if len(one) != len(two):
        return 0, [f"{len(one)} rows, then {len(two)}"]
    columns = [name for name in (one[0] if one else {}) if name not in TIMES]
    problems = []
    for name in columns:
        now = name if two and name in two[0] else RENAMED_COLUMNS.get(name, name)
        if [row[name] for row in one] != [row.get(now) for row in two]:
            problems.append(f"column {name} differs")
    return len(one) * len(columns), problems


def compare_weights(path: Path, other: Path) -> tuple[int, list[str]]:
    """How many values of state dicts were compared, and which tensors differ."""
    one, two = (torch.load(file, weights_only=True) for file in (path, other))
    different = [name for name in one if name not in two or not torch.equal(one[name], two[name])]
    return sum(value.numel() for value in one.values()), [f"tensor {name} differs" for name in different]


def compare_calibration(path: Path, other: Path) -> tuple[int, list[str]]:
    """How many constants were compared, and which differ; what the model is built from is left out."""
    one, two = (json.loads(file.read_text(encoding="utf-8")) for file in (path, other))
    names = [name for name in one if name != "model"]
    return len(names), [f"{name} differs" for name in names if one[name] != two.get(name)]


COMPARE = {".h5": compare_hdf5, ".csv": compare_csv, ".pt": compare_weights, ".json": compare_calibration}

if __name__ == "__main__":
    main()
