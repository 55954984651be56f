"""The profile for Kubernetes: the specifications that the plugin sends, and their pods, which run on this machine.

The plugin is in a folder of its own, .venv/kubernetes, for Snakemake imports all that is installed at each start.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / ".venv" / "kubernetes"
PROGRAM = ROOT / "tests" / "helpers" / "kubernetes_cluster.py"
SMALL = {
    "n_samples": 4,
    "models": {
        "cnn": {"epochs": 1, "batch_size": 64},
        "nearest_neighbor": None,
        "binary_cnn": None,
        "madry": None,
        "abs": None,
        "binary_abs": None,
    },
}


def missing() -> str | None:
    """Why the profile cannot be tested here, or None."""
    if not (PLUGINS / "snakemake_executor_plugin_kubernetes").is_dir():
        return f"no plugin in {PLUGINS.relative_to(ROOT)} (make kubernetes)"
    programs = [name for name in ("git", "rsync") if not shutil.which(name)]
    return f"{programs[0]} is not installed" if programs else None


pytestmark = [
    pytest.mark.workflow,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(missing() is not None, reason=f"{missing()}"),
]


@pytest.fixture
def cluster(clone):
    """A copy of the checkout as it lies on the volume: a repository, and the profile names its place."""
    profile = clone.folder / "workflow" / "profiles" / "kubernetes" / "config.yaml"
    text = profile.read_text().replace(".org/absynth", ".org/image")
    profile.write_text(text.replace("/absynth", str(clone.folder)))
    (clone.folder / ".gitignore").write_text(".snakemake/\n")
    for name in ("data", "results"):
        (clone.folder / name).mkdir()
    (clone.folder / "results" / ".gitignore").write_text("*\n!.gitignore\n")
    for arguments in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *arguments], cwd=clone.folder, check=True)
    return clone


@pytest.fixture
def notes(tmp_path) -> Path:
    """The folder for what the clients note, with the commands that pods find in their image."""
    commands = {
        "python": f'PYTHONPATH={PLUGINS} exec {sys.executable} "$@"',
        "pip": "true",  # the image has the storage plugin
    }
    (tmp_path / "notes" / "bin").mkdir(parents=True)
    for name, line in commands.items():
        path = tmp_path / "notes" / "bin" / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)
    return tmp_path / "notes"


def submit(cluster, notes: Path, target: str, config: Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(PLUGINS), "KUBERNETES_NOTES": str(notes)}
    command = [sys.executable, str(PROGRAM), "--workflow-profile", "workflow/profiles/kubernetes", target]
    return subprocess.run(
        [*command, "--seconds-between-status-checks", "2", "--retries", "0", "--configfile", config.name],
        cwd=cluster.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip


def specifications(notes: Path) -> dict[str, dict]:
    """The specification of each rule's pod."""
    found = [json.loads(path.read_text())["spec"]["template"]["spec"] for path in notes.glob("*.json")]
    rules = ("prepare_data", "train_classifier")
    return {rule: pod for pod in found for rule in rules if f"{rule}:" in pod["containers"][0]["args"][1]}


def test_pods_ask_for_what_rules_state_and_make_what_a_local_run_makes(cluster, notes):
    target = "models/cnn/weights.pt"
    done = submit(cluster, notes, f"results/pods/{target}", cluster.config(**SMALL, run="pods"))
    logs = "".join(path.read_text()[-2000:] for path in notes.glob("*.log"))
    assert done.returncode == 0, done.stdout + logs
    pods = specifications(notes)
    assert pods.keys() == {"prepare_data", "train_classifier"}
    for pod in pods.values():
        (container,) = pod["containers"]
        assert container["image"] == "registry.example.org/image"
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts == {"workdir": "/workdir", "absynth": str(cluster.folder)}
        assert {"name": "absynth", "persistentVolumeClaim": {"claimName": "absynth"}} in pod["volumes"]
        resources = container["resources"]
        assert resources["limits"]["memory"] == resources["requests"]["memory"] == "4000M"
    for name in ("data", "results/pods"):
        links = {link.readlink() for link in notes.glob(f"*/{name}") if link.is_symlink()}
        assert links == {cluster.folder / name}
    training, data = pods["train_classifier"], pods["prepare_data"]
    asked = training["containers"][0]["resources"]
    assert asked["limits"]["nvidia.com/gpu"] == asked["requests"]["nvidia.com/gpu"] == "1"
    assert [toleration["key"] for toleration in training["tolerations"]] == ["nvidia.com/gpu"]
    assert "nvidia.com/gpu" not in data["containers"][0]["resources"]["requests"]
    assert "tolerations" not in data
    local = cluster.snakemake(f"results/local/{target}", config=cluster.config(**SMALL, run="local"))
    assert local.returncode == 0, local.stdout
    weights = [torch.load(cluster.folder / "results" / run / target) for run in ("pods", "local")]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
