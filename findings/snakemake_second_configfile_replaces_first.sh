#!/usr/bin/env bash
# Guess: `--configfile one.yaml --configfile two.yaml` lays the second file over the first, as
#   `--configfile one.yaml two.yaml` does, and as repeated options of this kind do in most tools.
# Seen: Snakemake 9.27.1. The first file is dropped without a word; its keys fall back to the workflow's defaults.
# An evaluation then runs with other settings than those asked for, and nothing in its output says so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet snakemake==9.27.1

printf 'steps: 100\nseed: 7\n' > one.yaml
printf 'seed: 8\n' > two.yaml
cat > Snakefile <<'SNAKEFILE'
with open("seen.txt", "w") as file:
    print(sorted(config.items()), file=file)

rule all:
    shell: "true"
SNAKEFILE

expect() {
    expected=$1
    shift
    environment/bin/snakemake --dry-run --quiet all "$@" > log 2>&1
    echo "$*: $(cat seen.txt)"
    [ "$(cat seen.txt)" = "$expected" ] || { echo "this has changed: $expected was seen" >&2; exit 1; }
}

expect "[('seed', 8), ('steps', 100)]" --configfile one.yaml two.yaml
expect "[('seed', 8)]" --configfile one.yaml --configfile two.yaml
