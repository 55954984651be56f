#!/usr/bin/env bash
# Guess: a rule with `gpu=0` asks Kubernetes for no GPU, as it asks other executors for none; and one with `gpu=1` for one,
#   as `nvidia.com/gpu`, which almost every cluster has.
# Seen: snakemake-executor-plugin-kubernetes 0.5.1. Both raise "GPU requested but no manufacturer set" without a resource
#   gpu_manufacturer. With it, the pod of `gpu=0` tolerates the taint of GPU nodes and requests 0 GPUs there.
# A workflow that runs everywhere else with `--default-resources gpu=0` submits no job.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet snakemake-executor-plugin-kubernetes==0.5.1 kubernetes==32.0.1 \
    snakemake-interface-executor-plugins==9.4.0 snakemake-interface-common==1.23.0

cat > pods.py <<'PYTHON'
import logging
from types import SimpleNamespace

from snakemake_executor_plugin_kubernetes import Executor
from snakemake_interface_common.exceptions import WorkflowError


class Recorded(Executor):
    """The plugin's executor, with a client that keeps the job it is to create."""

    def __init__(self):
        self.logger = logging.getLogger()
        self.run_namespace, self.namespace, self.container_image = "run", "default", "image"
        self.persistent_volumes, self.secret_envvars = [], {}
        self.privileged = self.k8s_service_account_name = None
        self.k8s_cpu_scalar = 1.0
        self.batchapi = self

    def format_job_exec(self, job):
        return "true"

    def create_namespaced_job(self, namespace, body):
        self.pod = body.spec.template.spec

    def _kubernetes_retry(self, call):
        return call()

    def report_job_submission(self, info):
        pass


for resources in ({}, {"gpu": 0}, {"gpu": 1}, {"gpu": 0, "gpu_manufacturer": "nvidia"}):
    executor = Recorded()
    job = SimpleNamespace(resources=resources, jobid=1, attempt=1, is_containerized=False)
    try:
        executor.run_job(job)
        asked = executor.pod.containers[0].resources.requests.get("nvidia.com/gpu")
        print(resources, "asks for", asked, "GPUs, tolerates", [t.key for t in executor.pod.tolerations or []])
    except WorkflowError as error:
        print(resources, "is refused:", str(error).split(".")[0])
PYTHON
environment/bin/python pods.py | tee seen
cat > expected <<'TEXT'
{} asks for None GPUs, tolerates []
{'gpu': 0} is refused: GPU requested but no manufacturer set
{'gpu': 1} is refused: GPU requested but no manufacturer set
{'gpu': 0, 'gpu_manufacturer': 'nvidia'} asks for 0 GPUs, tolerates ['nvidia.com/gpu']
TEXT
diff expected seen || { echo "this has changed" >&2; exit 1; }
