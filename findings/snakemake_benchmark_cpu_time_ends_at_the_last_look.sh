#!/usr/bin/env bash
# Guess: the column `cpu_time` of a benchmark file is the CPU time of the job, as `s` is its wall time and `max_rss` its most
#   memory, perhaps without its last half second.
# Seen: Snakemake 9.27.1. It is what the process had used when it was last looked at: every half second for the first
#   fifteen seconds, and from then on every thirty. A job that waits 17 seconds and then computes for 8 has a `cpu_time` of less than
#   one; `s` is right. So CPU times of jobs that compute all along pile up at 15, 45 and 75 seconds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet snakemake==9.27.1

cat > busy.py <<'PYTHON'
import time

time.sleep(17)
while time.process_time() < 8:
    pass
print(time.process_time())
PYTHON
cat > Snakefile <<'SNAKEFILE'
rule busy:
    output: "used"
    benchmark: "benchmark.tsv"
    shell: "environment/bin/python busy.py > {output}"
SNAKEFILE
environment/bin/snakemake --cores 1 --quiet all > log 2>&1 || { cat log >&2; exit 1; }
environment/bin/python - <<'PYTHON'
import csv

with open("benchmark.tsv", encoding="utf-8") as file:
    (row,) = csv.DictReader(file, delimiter="\t")
with open("used", encoding="utf-8") as file:
    used = float(file.read())
print(f"used {used:.1f} CPU s, recorded cpu_time {row['cpu_time']} and s {row['s']}")
if float(row["s"]) < 25 or float(row["cpu_time"]) > 1:
    raise SystemExit("this has changed")
PYTHON
