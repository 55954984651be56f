#!/usr/bin/env bash
# Guess: where sacct fails, as on every site without accounting ("Slurm accounting storage is disabled"), the plugin for
#   Slurm asks squeue, which lists jobs for some minutes after their end; or it says so; or it asks again at the next check.
# Seen: snakemake-executor-plugin-slurm 2.8.0. It falls back to squeue only where there is no program sacct. When all five
#   attempts of one check fail (half a second at the default rate), it warns of nothing and drops all jobs from those that
#   it asks for: they are neither done nor asked for again. The run itself waits for ever for
#   jobs that Slurm has completed. So it is on a site without accounting, and after any second without an answer.
# Here one check is made, with stand-ins for Slurm's commands.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet snakemake-executor-plugin-slurm==2.8.0 snakemake-interface-executor-plugins==9.4.0 \
    snakemake-interface-common==1.23.0

mkdir bin
printf '#!/bin/sh\necho "Slurm accounting storage is disabled" >&2\nexit 1\n' > bin/sacct
printf '#!/bin/sh\necho "7|COMPLETED"\n' > bin/squeue
printf '#!/bin/sh\necho "MinJobAge = 300 sec"\n' > bin/scontrol
cp bin/scontrol bin/sinfo
chmod +x bin/*

cat > check.py <<'PYTHON'
import asyncio
import logging
from pathlib import Path
from types import SimpleNamespace

from snakemake_executor_plugin_slurm import Executor, ExecutorSettings
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo


class NoLimit:
    async def __aenter__(self): ...
    async def __aexit__(self, *error): ...


class One(Executor):
    """The plugin's executor, for one check of one job."""

    def __init__(self, settings):
        self.workflow = SimpleNamespace(
            executor_settings=settings,
            remote_execution_settings=SimpleNamespace(seconds_between_status_checks=1),
        )
        self.logger = logging.getLogger()
        self.status_rate_limiter, self.run_uuid, self._preemption_warning = NoLimit(), "run", False
        self._next_seconds_between_status_checks = None
        self._status_query_calls = self._status_query_failures = 0
        self._status_query_total_seconds = self._status_query_max_seconds = 0.0
        self._status_query_min_seconds, self._status_query_cycle_rows = None, []
        self.done = []

    def report_job_success(self, info):
        self.done.append(info.external_jobid)

    async def check(self):
        job = SubmittedJobInfo(None, external_jobid="7", aux={"slurm_logfile": Path("log")})
        return [info.external_jobid async for info in self.check_active_jobs([job])]


for chosen in ({}, {"status_command": "squeue"}):
    settings = ExecutorSettings(**chosen)
    one = One(settings)
    waiting = asyncio.run(one.check())
    print(f"{settings.status_command}: asks again for {waiting}, done {one.done}, failed queries: {one._status_query_failures}")
PYTHON
PATH="$folder/bin:$PATH" environment/bin/python check.py > seen 2> warnings
cat seen
echo "warnings: $(grep -c . warnings || true)" | tee -a seen
cat > expected <<'TEXT'
sacct: asks again for [], done [], failed queries: 5
squeue: asks again for [], done ['7'], failed queries: 0
warnings: 0
TEXT
diff expected seen || { cat warnings >&2; echo "this has changed" >&2; exit 1; }
