#!/usr/bin/env bash
# Guess: a rule whose params were `steps=40, restarts=10` and now are `steps=10, restarts=40` has changed params, and is
#   run again; so has one whose param was `epsilon=0.3` and now is `step_size=0.3`.
# Seen: Snakemake 9.27.1. What is recorded and compared are the values without their names, sorted: both rules are up to
#   date, and keep the results of the old settings. Within one param, as `options={"steps": 10, "restarts": 40}`, names
#   count, as does a new value.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet snakemake==9.27.1

cat > Snakefile <<'SNAKEFILE'
import os

old = os.environ["WHEN"] == "before"

rule all:
    input: "exchanged.txt", "renamed.txt", "mapping.txt", "value.txt"

rule exchanged:
    output: "exchanged.txt"
    params:
        steps=40 if old else 10,
        restarts=10 if old else 40,
    shell: "touch {output}"

rule renamed:
    output: "renamed.txt"
    params: **({"epsilon": 0.3} if old else {"step_size": 0.3})
    shell: "touch {output}"

rule mapping:
    output: "mapping.txt"
    params: options={"steps": 40, "restarts": 10} if old else {"steps": 10, "restarts": 40}
    shell: "touch {output}"

rule value:
    output: "value.txt"
    params:
        steps=40 if old else 41,
        restarts=10,
    shell: "touch {output}"
SNAKEFILE
WHEN=before environment/bin/snakemake --cores 1 --quiet all > log 2>&1 || { cat log >&2; exit 1; }
WHEN=after environment/bin/snakemake --cores 1 --dry-run > log 2>&1 || { cat log >&2; exit 1; }
for rule in exchanged renamed mapping value; do
    echo "$rule: $(grep -q "^rule $rule:" log && echo run again || echo up to date)"
done > seen
cat seen
printf '%s\n' "exchanged: up to date" "renamed: up to date" "mapping: run again" "value: run again" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
