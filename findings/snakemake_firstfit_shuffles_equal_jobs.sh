#!/usr/bin/env bash
# Guess: the scheduler "first fit" takes the jobs that fit in the order in which they come, so that two runs of one
#   workflow on one core take its jobs in the same order.
# Seen: snakemake-scheduler-plugin-firstfit 0.1.4 with Snakemake 9.27.1. Jobs of equal priority and input are shuffled
#   anew in every run, by a random number of each: what was done by the time that a run was stopped is not the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet snakemake==9.27.1 snakemake-scheduler-plugin-firstfit==0.1.4

cat > Snakefile <<'SNAKEFILE'
rule all:
    input: expand("{i}.txt", i=range(12))

rule job:
    output: "{i}.txt"
    shell: "echo {wildcards.i} >> {config[order]}; touch {output}"
SNAKEFILE

for run in 1 2 3; do
    rm -f ./*.txt
    environment/bin/snakemake --cores 1 --scheduler firstfit --quiet all --config order="$run.order" > log 2>&1 \
        || { cat log >&2; exit 1; }
    echo "run $run: $(paste -sd' ' "$run.order")"
done
[ "$(cat ./*.order | sort -n | uniq -c | awk '$1 != 3')" = "" ] || { echo "jobs are missing" >&2; exit 1; }
if cmp -s 1.order 2.order && cmp -s 2.order 3.order; then
    echo "this has changed: three orders were not the same" >&2
    exit 1
fi
