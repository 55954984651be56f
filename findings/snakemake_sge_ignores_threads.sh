#!/usr/bin/env bash
# Guess: with `--sge-pe smp` a rule of four threads and 8,000 MB asks SGE for four slots of 2,000 MB each
#   (`-pe smp 4 -l h_vmem=2000M`), and a rule with `gpu=1` for a GPU.
# Seen: snakemake-executor-plugin-sge 0.6.31 with Snakemake 9.27.1. It asks for one slot of 8,000 MB, and for no GPU: it
#   takes the number of threads from a resource `threads`, which Snakemake does not set, and has no name for a GPU. Rules
#   must state the resources threads=4 and sge_resources="gpu=1", in the site's word for a GPU.
# So each such job takes one core of its node, and its threads others that are given to someone else.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet snakemake==9.27.1 snakemake-executor-plugin-sge==0.6.31 \
    snakemake-interface-executor-plugins==9.4.0

mkdir bin
# Notes what it is asked for, and refuses the job.
printf '#!/bin/sh\necho "$@" > "%s/asked"\nexit 1\n' "$folder" > bin/qsub
printf '#!/bin/sh\n' > bin/qstat
chmod +x bin/*
cat > Snakefile <<'SNAKEFILE'
rule plain:
    output: "plain.txt"
    threads: 4
    resources: mem_mb=8000, gpu=1, runtime=90
    shell: "touch {output}"

rule spelt:
    output: "spelt.txt"
    threads: 4
    resources: mem_mb=8000, threads=4, sge_resources="gpu=1", runtime=90
    shell: "touch {output}"
SNAKEFILE

for rule in plain spelt; do
    PATH="$folder/bin:$PATH" environment/bin/snakemake --executor sge --jobs 1 --sge-pe smp --retries 0 $rule > log 2>&1 || true
    echo "$rule: $(grep -oE -- '-(pe smp|l) [^ ]+( [0-9]+)?' asked | tr '\n' ' ')"
done | tee seen
cat > expected <<'TEXT'
plain: -pe smp 1 -l h_rt=01:30:00 -l h_vmem=8000M -l tmem=8000M 
spelt: -pe smp 4 -l h_rt=01:30:00 -l h_vmem=2000M -l tmem=2000M -l gpu=1 
TEXT
diff expected seen || { cat log >&2; echo "this has changed" >&2; exit 1; }
