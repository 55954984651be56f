#!/usr/bin/env bash
# Guess: a logger plugin is code that runs if `--logger` names it.
# Seen: Snakemake 9.27.1. Every installed module named snakemake_logger_plugin_* is imported at each start, whichever is
#   chosen, for `--version` and in the process of each job, too. So it is with executors, storage and schedulers.
# What such a module imports at its top every user of that environment pays for, in a run of 1,000 jobs some 1,000 times;
#   ours imports inside its functions.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet snakemake==9.27.1

package=$(environment/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/snakemake_logger_plugin_shy
mkdir "$package"
cat > "$package/__init__.py" <<PYTHON
from snakemake_interface_logger_plugins.base import LogHandlerBase

with open("$folder/imported", "a") as file:
    print("imported", file=file)


class LogHandler(LogHandlerBase):
    writes_to_stream = writes_to_file = has_filter = has_formatter = needs_rulegraph = False

    def emit(self, record):
        with open("$folder/imported", "a") as file:
            print("used", file=file)
PYTHON

cat > Snakefile <<'SNAKEFILE'
rule first:
    output: "first.txt"
    run: open(output[0], "w").close()

rule second:
    output: "second.txt"
    run: open(output[0], "w").close()
SNAKEFILE

count() {
    : > imported
    environment/bin/snakemake "$@" > log 2>&1
    echo "$*: imported $(grep -c imported imported || true) times, $(grep -q used imported && echo used || echo never used)"
}
{
    count --version
    count --cores 1 first second
} | tee seen
cat > expected <<'TEXT'
--version: imported 1 times, never used
--cores 1 first second: imported 3 times, never used
TEXT
diff expected seen || { echo "this has changed" >&2; exit 1; }
