#!/usr/bin/env bash
# Guess: where a job names no account, the plugin for Slurm asks sacct for those of the user's jobs and takes the last
#   line: it runs `sacct -nu "$USER" -o Account%256 | tail -1` and logs "Guessed SLURM account".
# Seen: snakemake-executor-plugin-slurm 2.8.0. The command is split into words and run without a shell, so that sacct is
#   handed "|", "tail" and "-1". Slurm's sacct (22.05) ends with "invalid option -- '1'", and no account is guessed, on
#   any site. Here a stand-in shows what sacct is given; one that takes any argument makes all its lines the account.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --no-deps snakemake-executor-plugin-slurm==2.8.0 snakemake-interface-common==1.23.0 \
    packaging==25.0
cp environment/lib/python3*/site-packages/snakemake_executor_plugin_slurm/accounts.py .  # alone, without the rest

mkdir bin
cat > bin/sacct <<'SACCT'
#!/bin/sh
for argument in "$@"; do echo "$argument"; done > "$(dirname "$0")/../given"
printf 'first\nlast\n'
SACCT
chmod +x bin/sacct
cat > ask.py <<'PYTHON'
import logging

from accounts import get_account

print("guessed:", repr(get_account(logging.getLogger())))
PYTHON
PATH="$folder/bin:$PATH" environment/bin/python ask.py | tee seen
echo "sacct was given: $(tail -3 given | tr '\n' ' ')" | tee -a seen
cat > expected <<'TEXT'
guessed: 'first\nlast'
sacct was given: | tail -1 
TEXT
diff expected seen || { echo "this has changed" >&2; exit 1; }
