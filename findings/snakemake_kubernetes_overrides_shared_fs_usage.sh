#!/usr/bin/env bash
# Guess: with a volume that Snakemake's main process and all pods mount, `--shared-fs-usage` tells Snakemake so, as it does
#   for every other executor, and jobs read and write that volume.
# Seen: Snakemake 9.27.1, snakemake-executor-plugin-kubernetes 0.5.1. The option is accepted and dropped: the plugin
#   implies that there is no shared file system, so Snakemake wants a storage provider that it copies files to and from.
#   The same option with an executor that implies nothing (cluster-generic 1.0.9) is heeded.
# Its own option --kubernetes-persistent-volumes mounts such volumes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet snakemake==9.27.1 snakemake-executor-plugin-kubernetes==0.5.1 \
    snakemake-executor-plugin-cluster-generic==1.0.9

cat > Snakefile <<'SNAKEFILE'
rule all:
    output: "result.txt"
    shell: "echo here > {output}"
SNAKEFILE

plan() {
    environment/bin/snakemake --jobs 1 --dry-run --shared-fs-usage input-output persistence sources source-cache \
        software-deployment storage-local-copies "$@" > log 2>&1 && echo planned || grep -o "If no shared filesystem" log
}

{
    echo "cluster-generic: $(plan --executor cluster-generic --cluster-generic-submit-cmd true)"
    echo "kubernetes: $(plan --executor kubernetes --kubernetes-persistent-volumes data:"$folder")"
} | tee seen
cat > expected <<'TEXT'
cluster-generic: planned
kubernetes: If no shared filesystem
TEXT
diff expected seen || { echo "this has changed" >&2; exit 1; }
