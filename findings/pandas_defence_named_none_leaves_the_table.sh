#!/usr/bin/env bash
# Guess: a CSV in which the undefended model is called None is read as it is written, text among texts; what pandas takes
#   for a missing value is an empty field, NA or NaN.
# Seen: pandas 3.1.1. None is one of those words as well, and so are null, nan and n/a. The name becomes NaN, `groupby`
#   leaves NaN out by default, and the table of results has every defence but the row that they are compared with.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet numpy==2.4.6 pandas==3.1.1

cat > results.csv <<'CSV'
defence,seed,accuracy
None,0,0.02
None,1,0.04
Madry,0,0.88
Madry,1,0.90
TRADES,0,0.89
TRADES,1,0.91
CSV
cat > table.py <<'PYTHON'
import pandas as pd

for keep in (True, False):
    results = pd.read_csv("results.csv", keep_default_na=keep)
    print(f"keep_default_na={keep}:", ", ".join(results.groupby("defence")["accuracy"].mean().index))
PYTHON
environment/bin/python table.py > seen
cat seen
printf '%s\n' "keep_default_na=True: Madry, TRADES" "keep_default_na=False: Madry, None, TRADES" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
