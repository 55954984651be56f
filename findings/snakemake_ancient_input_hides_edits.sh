#!/usr/bin/env bash
# Guess: `ancient()` takes the age of one input out of the decision whether to rerun a job. An edit of the job's
#   other inputs reruns it as ever.
# Seen: Snakemake 9.27.1. True only while the ancient input is up to date. If it is made anew in the same run, as
#   when it depends on the file that was edited, the job behind it is not rerun: the run ends well, with the old
#   result in place. A second run of the same command, without any change, makes it.
# Met where a probe of a user's model was an ancient input of all jobs on that model: an edit of the model remade the
#   probe, and kept every result of the old model.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet snakemake==9.27.1

cat > Snakefile <<'SNAKEFILE'
rule all:
    input: "result.txt"

rule check:
    input: "source.txt"
    output: "checked.txt"
    shell: "echo sound > {output}"

rule use:
    input: checked=ancient("checked.txt"), source="source.txt"
    output: "result.txt"
    shell: "cp {input.source} {output}"
SNAKEFILE

run() { environment/bin/snakemake --cores 1 --quiet all > log 2>&1; }
expect() {
    found=$(cat result.txt)
    echo "$1: result.txt holds '$found'"
    [ "$found" = "$2" ] || { echo "this has changed: '$2' was seen" >&2; exit 1; }
}

echo old > source.txt
run
expect "first run" old
sleep 1.1
echo new > source.txt
run
expect "after the edit of source.txt" old
run
expect "the same command again" new
