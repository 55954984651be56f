"""The command `absynth` from a user's own folder: evaluated, interrupted, grown, shown, compared."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from colour_digits import unresized
from configs import ROOT
from torch import nn

pytestmark = pytest.mark.workflow

NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, classes):
        super().__init__(nn.Flatten(), nn.Linear(64, classes))
"""
ARGUMENTS = [
    *("my_models.py:Net", "w.pt", "--data", "my.npz", "--norms", "l2", "--cores", "2"),
    *("--model-args", "classes=10", "--config", "images_per_shard=4"),
]


class Folder:
    """A user's folder, outside of the checkout, with a model and images."""

    def __init__(self, path: Path):
        self.path = path
        images, labels = unresized(400)
        x, y = torch.from_numpy(images).float(), torch.from_numpy(labels)
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
        for _ in range(60):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
        torch.save(net.state_dict(), path / "w.pt")
        np.savez(path / "my.npz", images=images[:30], labels=labels[:30])
        (path / "my_models.py").write_text(NET, encoding="utf-8")

    def start(self, *words: str) -> subprocess.Popen:
        """The command in a process group of its own, as a terminal starts it; both streams as stdout."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "absynth", *words], cwd=self.path, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def absynth(self, *words: str) -> str:
        """What the command says; it must end well."""
        process = self.start(*words)
        text, _ = process.communicate()
        assert process.returncode == 0, text
        return text

    def shard(self, attack: str, number: int) -> Path:
        return self.path / "results" / "Net-my" / "attacks" / "Net" / "l2" / attack / f"{number}.h5"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run that was interrupted and went on."""
    made = Folder(tmp_path_factory.mktemp("users"))
    process = made.start("evaluate", *ARGUMENTS, "--images", "4", "--preset", "fgm", "ddn")
    prepared, probed = (
        made.path / "results" / "Net-my" / path for path in ("data/test.h5", "models/Net/probe.json")
    )
    while process.poll() is None and not probed.exists():
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    text, _ = process.communicate()
    assert process.returncode == 130, text
    assert text.endswith("absynth evaluate: interrupted; the same command goes on from here\n")
    assert "Traceback" not in text.splitlines()[-1]
    before = prepared.stat().st_mtime_ns
    made.text = made.absynth("evaluate", *ARGUMENTS, "--images", "4", "--preset", "fgm", "ddn")
    assert prepared.stat().st_mtime_ns == before
    return made


def test_an_evaluation_ends_with_the_table_and_the_places(folder):
    lines = folder.text.splitlines()
    assert "Net on 4 images of my, in l2; config: results/Net-my/config.yaml" in lines[0]
    (row,) = [line for line in lines if line.startswith("Net ") and " L2 " in line]
    assert row.split()[2] == "4"
    assert "report  results/Net-my/report.html" in lines
    for line in lines[-6:]:
        assert (folder.path / line.split()[1]).exists(), line


def test_a_dry_run_changes_nothing_and_says_so(folder):
    text = folder.absynth("evaluate", *ARGUMENTS, "--images", "9", "--dry-run")
    assert "This was a dry-run" in text
    assert "n_samples: 4" in (folder.path / "results" / "Net-my" / "config.yaml").read_text()


def test_a_run_grows_by_images_alone(folder):
    old = folder.shard("ddn", 0)
    before = old.stat().st_mtime_ns
    planned = folder.absynth("plan", *ARGUMENTS, "--images", "8")
    assert [line.split() for line in planned.splitlines() if line.startswith("run_attack")] == [
        ["run_attack", "2"]
    ]
    assert "Measured here: Net takes" in planned
    assert "By the clock, on 2 cores" in planned
    folder.absynth("evaluate", *ARGUMENTS, "--images", "8")
    assert old.stat().st_mtime_ns == before
    assert folder.shard("ddn", 1).exists()
    assert folder.shard("fgm", 1).exists()  # the attacks stay those of the run
    assert "nothing is left to do" in folder.absynth("plan", *ARGUMENTS)


def test_the_run_is_shown_and_compared_with_another(folder):
    torch.save({"1.weight": torch.zeros(10, 64), "1.bias": torch.arange(10.0)}, folder.path / "v.pt")
    arguments = [*ARGUMENTS, "--images", "4", "--preset", "fgm", "--name", "constant"]
    arguments[1] = "v.pt"
    done = folder.start("evaluate", *arguments)
    text, _ = done.communicate()
    assert done.returncode == 1  # the probe refuses a model without gradients
    last = text.splitlines()[-1]
    assert last.startswith(
        "absynth evaluate: probe: Net (my_models.py:Net): its gradient with respect to the images is zero"
    )
    assert last.endswith(  # until it is put right nothing goes on
        "(results/constant/logs/probe_model/Net.log); the entry is in results/constant/config.yaml, and --model-keys "
        "gradients=false after the model writes it"
    )
    weights = torch.load(folder.path / "w.pt", weights_only=True)
    torch.save({name: value / 2 for name, value in weights.items()}, folder.path / "v.pt")
    folder.absynth("evaluate", *arguments)
    shown = folder.absynth("show", "constant")
    assert "Net    L2    4" in shown
    compared = folder.absynth("compare", "Net-my", "constant", "--out", "both")
    assert "left out, since not all models were attacked on them: 4 of Net-my/Net" in compared
    assert (folder.path / "both" / "differences.svg").exists()
