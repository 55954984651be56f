#!/usr/bin/env bash
# Guess: the logger plugin "rich", which shows a progress bar on a terminal, writes a line for each finished job into a
#   file, as Snakemake itself does: the log of a batch job says how far the workflow is.
# Seen: snakemake-logger-plugin-rich 0.5.1 with Snakemake 9.27.1. The file has the table of jobs that are planned and
#   "Workflow Finished". Between the two there is nothing on jobs that succeed, however long the workflow takes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet snakemake==9.27.1 snakemake-logger-plugin-rich==0.5.1

cat > Snakefile <<'SNAKEFILE'
rule all:
    input: expand("{i}.txt", i=range(3))

rule job:
    output: "{i}.txt"
    shell: "touch {output}"
SNAKEFILE

lines() {
    rm -f ./?.txt
    environment/bin/snakemake --cores 1 "$@" > log 2>&1 || { cat log >&2; exit 1; }
    grep -cE "^(Finished jobid|rule job:|localrule job:)|[0-9]\.txt" log || true
}
own=$(lines)
rich=$(lines --logger rich)
echo "lines about single jobs, Snakemake's own output: $([ "$own" -ge 6 ] && echo "two or more for each" || echo "$own")"
echo "lines about single jobs, rich: $rich"
grep -q "Workflow Finished" log || { echo "the log of rich has changed" >&2; exit 1; }
[ "$own" -ge 6 ] && [ "$rich" = 0 ] || { echo "this has changed" >&2; exit 1; }
