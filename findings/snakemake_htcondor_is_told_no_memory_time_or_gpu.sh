#!/usr/bin/env bash
# Guess: the plugin for HTCondor asks for what rules state in Snakemake's own words: mem_mb as request_memory, runtime as a
#   limit of time, gpu as request_gpus. mem_mb and runtime are Snakemake's standard resources, and other plugins read them.
# Seen: snakemake-executor-plugin-htcondor 0.3.0. Of these it hands on the threads alone. A job of 8,000 MB is submitted
#   without request_memory, so with the site's default, and one with `gpu=1` to a machine without a GPU. It reads
#   HTCondor's words: request_memory (or htcondor_request_mem_mb), allowed_execute_duration (seconds), request_gpus.
# A workflow that states mem_mb and runtime for Slurm or LSF must state them again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet snakemake-executor-plugin-htcondor==0.3.0 htcondor==24.12.24 \
    snakemake-interface-executor-plugins==9.4.0 snakemake-interface-common==1.23.0

cat > submit.py <<'PYTHON'
import logging
from types import SimpleNamespace

import snakemake_executor_plugin_htcondor as plugin


class Recorded(plugin.Executor):
    """The plugin's executor, for one job on a shared file system."""

    def __init__(self):
        self.logger = logging.getLogger()
        self.workflow = SimpleNamespace(storage_settings=SimpleNamespace(shared_fs_usage={"input-output"}))
        self.jobDir, self._unified_log_file = "jobs", "jobs/log"

    def envvars(self):
        return {}

    def _get_exec_args_and_transfer_files(self, job, needs_transfer):
        return "/bin/true", "", [], [], []

    def report_job_submission(self, info):
        pass


class Submit(dict):
    """In place of HTCondor's: keeps what is asked for."""

    def issue_credentials(self):
        pass


asked = []
plugin.htcondor.Submit = Submit
plugin.htcondor.Schedd = lambda: SimpleNamespace(submit=lambda job: asked.append(job) or SimpleNamespace(cluster=lambda: 1))
WORDS = ("request_cpus", "request_memory", "request_gpus", "allowed_execute_duration")
for resources in (
    {"mem_mb": 8000, "runtime": 60, "gpu": 1},
    {"htcondor_request_mem_mb": 8000, "allowed_execute_duration": 3600, "request_gpus": 1},
):
    job = SimpleNamespace(name="rule", jobid=1, threads=4, resources=resources)
    Recorded().run_job(job)
    print(resources, "->", {word: asked[-1][word] for word in WORDS if word in asked[-1]})
PYTHON
environment/bin/python -W ignore submit.py | tee seen
cat > expected <<'TEXT'
{'mem_mb': 8000, 'runtime': 60, 'gpu': 1} -> {'request_cpus': '4'}
{'htcondor_request_mem_mb': 8000, 'allowed_execute_duration': 3600, 'request_gpus': 1} -> {'request_cpus': '4', 'request_memory': '8000MB', 'request_gpus': 1, 'allowed_execute_duration': 3600}
TEXT
diff expected seen || { echo "this has changed" >&2; exit 1; }
