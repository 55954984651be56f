"""Snakemake's plugin for Kubernetes with clients that note each job's specification and run its pod on this machine.

`python kubernetes_cluster.py ARGUMENTS` is Snakemake with these clients in place of the API's. The variable
KUBERNETES_NOTES names a folder: there each job's specification is written to `NAME.json`, and its pod runs in the
folder `NAME`, with the commands in `bin` before all others, as those of an image.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import kubernetes

NOTES = Path(os.environ.get("KUBERNETES_NOTES", "."))


class Secrets:
    """In place of CoreV1Api: secrets are not kept, and no pod is ever listed."""

    def create_namespaced_secret(self, namespace, secret):
        self.secret = secret

    def delete_namespaced_secret(self, name, namespace, body):
        del self.secret

    def list_namespaced_pod(self, namespace, label_selector):
        return SimpleNamespace(items=[])


class Jobs:
    """In place of BatchV1Api: a job's one pod is a process of this machine."""

    def __init__(self):
        self.pods: dict[str, subprocess.Popen] = {}

    def create_namespaced_job(self, namespace, body):
        name = body.metadata.name
        (NOTES / f"{name}.json").write_text(
            json.dumps(kubernetes.client.ApiClient().sanitize_for_serialization(body))
        )
        (container,) = body.spec.template.spec.containers
        folder = NOTES / name  # mounted at its working_dir
        folder.mkdir()
        variables = {"PATH": f"{NOTES / 'bin'}:/usr/bin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1"}
        with (NOTES / f"{name}.log").open("w") as log:
            self.pods[name] = subprocess.Popen(
                [*container.command, *container.args], cwd=folder, env=variables, stdout=log, stderr=log
            )
        return body

    def read_namespaced_job_status(self, name, namespace):
        code = self.pods[name].poll()
        return SimpleNamespace(status=SimpleNamespace(failed=int(bool(code)), succeeded=int(code == 0)))

    def delete_namespaced_job(self, name, namespace, propagation_policy, body):
        self.pods.pop(name).kill()


if __name__ == "__main__":
    kubernetes.config.load_kube_config = lambda: None
    kubernetes.client.CoreV1Api = Secrets
    kubernetes.client.BatchV1Api = Jobs
    from snakemake.cli import main

    main(sys.argv[1:])
