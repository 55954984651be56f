#!/usr/bin/env bash
# Guess: `runtime="90s"`, a job's time limit, becomes 2 minutes, rounded up, as memory is (`mem="0.9MB"` is 1 MB): whoever
#   asks for 90 seconds gets them.
# Seen: Snakemake 9.27.1. Seconds are cut to whole minutes: 90 seconds are 1 minute, 119 are 1, 150 are 2 (30
#   are 1: never 0). A cluster is told that limit, and may end a job of 100 seconds that had asked for 119.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet snakemake==9.27.1

cat > Snakefile <<'SNAKEFILE'
times = {"a": "30s", "b": "90s", "c": "119s", "d": "150s", "e": "1.5h"}

rule all:
    input: expand("{name}.txt", name=times)

for name, time in times.items():
    rule:
        name: name
        output: f"{name}.txt"
        params: asked=time
        resources:
            runtime=time,
            mem="0.9MB",
        shell: "echo {params.asked}: {resources.runtime} min, {resources.mem_mb} MB >> {output}"
SNAKEFILE
environment/bin/snakemake --cores 1 --quiet all > log 2>&1 || { cat log >&2; exit 1; }
cat ?.txt > seen
cat seen
printf '%s\n' "30s: 1 min, 1 MB" "90s: 1 min, 1 MB" "119s: 1 min, 1 MB" "150s: 2 min, 1 MB" "1.5h: 90 min, 1 MB" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
