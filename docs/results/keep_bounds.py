"""Add columns to docs/results/proved-bounds.csv.gz, from files that benchmarks/prototypes.py --rows writes.

python docs/results/keep_bounds.py prototype_abs_moved_l2=moved-l2.csv prototype_abs_linf=default-linf.csv

Each image of MNIST's test set has a row, each model and norm a column: the proved lower bound, rounded down to five
decimals; empty where the clean image is misclassified, `not computed` where the file lacks the image.
"""

import argparse
import csv
import gzip
import io
import math
from collections.abc import Mapping
from pathlib import Path

from absynth.io.atomic import write_bytes

PLACE = Path(__file__).parent / "proved-bounds.csv.gz"
N_TEST, DECIMALS = 10_000, 5


def main(columns: Mapping[str, Path], place: Path) -> None:
    """Write the columns to the file, in place of those of the same names."""
    table: dict[str, list[str]] = {"index": [str(index) for index in range(N_TEST)]}
    if place.exists():
        with gzip.open(place, "rt", encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        table |= {name: [row[i] for row in rows] for i, name in enumerate(header)}
    for name, path in columns.items():
        with path.open(encoding="utf-8", newline="") as file:
            found = {int(float(row[0])): row for row in csv.reader(file)}
        table[name] = [
            written(*found[index][1:3]) if index in found else "not computed" for index in range(N_TEST)
        ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([[*table], *zip(*table.values(), strict=True)])
    write_bytes(place, gzip.compress(text.getvalue().encode(), mtime=0))


def written(correct: str, bound: str) -> str:
    """A bound as the file has it."""
    if float(correct) == 0:
        return ""
    value = float(bound)
    if value.is_integer():
        return str(int(value))  # a number of pixels
    return f"{math.floor(value * 10**DECIMALS) / 10**DECIMALS:.{DECIMALS}f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("columns", nargs="+", metavar="NAME=FILE")
    named = [text.partition("=") for text in parser.parse_args().columns]
    main({name: Path(path) for name, _, path in named}, PLACE)
