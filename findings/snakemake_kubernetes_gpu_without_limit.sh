#!/usr/bin/env bash
# Guess: a job with `gpu=1` becomes a pod whose container has a GPU: `nvidia.com/gpu: 1` among its limits, which is where
#   Kubernetes wants it ("You can specify GPU limits without specifying requests [...] You cannot specify GPU requests
#   without specifying limits", kubernetes.io, Schedule GPUs).
# Seen: snakemake-executor-plugin-kubernetes 0.5.1. The GPU is among the requests alone, and the container has no limits
#   at all, unless the job has a resource `scale` that is 0 (or false). Its default, 1, is described as scaling.
# A pod that only requests a GPU is not a valid one.
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


for scale in ({}, {"scale": 1}, {"scale": 0}):
    executor = Recorded()
    resources = {"gpu": 1, "gpu_manufacturer": "nvidia", "mem_mb": 1000, **scale}
    executor.run_job(SimpleNamespace(resources=resources, jobid=1, attempt=1, is_containerized=False))
    asked = executor.pod.containers[0].resources
    print(scale, "requests", asked.requests["nvidia.com/gpu"], "GPU, limits:", asked.limits)
PYTHON
environment/bin/python pods.py | tee seen
cat > expected <<'TEXT'
{} requests 1 GPU, limits: None
{'scale': 1} requests 1 GPU, limits: None
{'scale': 0} requests 1 GPU, limits: {'cpu': '1000m', 'memory': '1000M', 'nvidia.com/gpu': '1'}
TEXT
diff expected seen || { echo "this has changed" >&2; exit 1; }
