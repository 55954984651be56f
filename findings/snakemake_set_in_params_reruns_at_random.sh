#!/usr/bin/env bash
# Guess: `params: norms={"l0", "l2", "linf"}` is compared with the set of the last run as sets are: where nothing was
#   edited, nothing is run again; nor where 0.1 has become NumPy's 0.1, which is equal to it.
# Seen: Snakemake 9.27.1. The texts of both are compared. A set of names is written in an order that Python draws anew for
#   each process, so most calls find that "params have changed", and run hours of attacks again; `sorted` helps. An
#   equal number of NumPy's, or 1 for 1.0, is a change as well.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet snakemake==9.27.1 numpy==2.4.6

cat > Snakefile <<'SNAKEFILE'
import os

import numpy as np

norms = {"l0", "l1", "l2", "linf"}
values = {"set": norms, "sorted": sorted(norms), "epsilon": 0.1 if "OLD" in os.environ else np.float64(0.1)}

rule all:
    input: expand("{name}.txt", name=values)

for name, value in values.items():
    rule:
        name: name
        output: f"{name}.txt"
        params: value=value
        shell: "touch {output}"
SNAKEFILE
OLD=1 PYTHONHASHSEED=0 environment/bin/snakemake --cores 1 --quiet all > log 2>&1 || { cat log >&2; exit 1; }
for seed in 0 1 2 3; do
    OLD=1 PYTHONHASHSEED=$seed environment/bin/snakemake --cores 1 --dry-run > log 2>&1 || { cat log >&2; exit 1; }
    echo "hash seed $seed:" $(sed -n 's/^rule \([a-z]*\):$/\1/p' log | grep -v all | sort)
done > seen
PYTHONHASHSEED=0 environment/bin/snakemake --cores 1 --dry-run > log 2>&1 || { cat log >&2; exit 1; }
echo "NumPy's 0.1:" $(sed -n 's/^rule \([a-z]*\):$/\1/p' log | grep -v all | sort) >> seen
cat seen
printf '%s\n' "hash seed 0:" "hash seed 1: set" "hash seed 2: set" "hash seed 3: set" "NumPy's 0.1: epsilon" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
