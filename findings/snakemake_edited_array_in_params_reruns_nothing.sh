#!/usr/bin/env bash
# Guess: a NumPy array of epsilons, or a Path, in a rule's params is compared with that of the last run as a list or a
#   string is: another value runs the rule again.
# Seen: Snakemake 9.27.1. Params of other types than Python's built-in ones and pandas' are left out of the record, without
#   a word. Another array, another path and another fraction rerun nothing; the same epsilons as a list or a Series do.
#   Results of the old epsilons stay.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet snakemake==9.27.1 numpy==2.4.6 pandas==3.1.1

cat > Snakefile <<'SNAKEFILE'
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd

old = os.environ["WHEN"] == "before"
epsilons = np.array([0.1, 0.2]) if old else np.array([1.0, 2.0, 3.0])
values = {
    "array": epsilons,
    "path": Path("old.pt" if old else "new.pt"),
    "fraction": Fraction(8 if old else 16, 255),
    "list": epsilons.tolist(),
    "series": pd.Series(epsilons),
}

rule all:
    input: expand("{name}.txt", name=values)

for name, value in values.items():
    rule:
        name: name
        output: f"{name}.txt"
        params: value=value
        shell: "touch {output}"
SNAKEFILE
WHEN=before environment/bin/snakemake --cores 1 --quiet all > log 2>&1 || { cat log >&2; exit 1; }
WHEN=after environment/bin/snakemake --cores 1 --dry-run > log 2>&1 || { cat log >&2; exit 1; }
for rule in array path fraction list series; do
    echo "$rule: $(grep -q "^rule $rule:" log && echo run again || echo up to date)"
done > seen
cat seen
printf '%s\n' "array: up to date" "path: up to date" "fraction: up to date" "list: run again" "series: run again" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
