"""A user's own model, in modules beside the Snakefile that are called as modules of classifiers usually are."""

import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch
from torch import nn

pytestmark = pytest.mark.workflow

# None of these names may be taken by a module of this project.
FILES = {
    "models.py": """
from torch import nn
from attack import LOGITS
from data import PIXELS
from nets.layers import head
from report import scale
from workflow.blocks import flat

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = head(PIXELS, LOGITS)

    def forward(self, x):
        return scale(self.head(flat(x)))
""",
    "attack.py": "LOGITS = 10\n",
    "data.py": "PIXELS = 28 * 28\n",
    "report.py": "def scale(logits):\n    return 2 * logits\n",
    "workflow/blocks.py": "def flat(x):\n    return x.flatten(1)\n",
    "nets/layers.py": "from .parts import Linear as head\n",
    "nets/parts.py": "from torch.nn import Linear\n",
    "unused.py": "X = 1\n",
}
ATTACK = """
import torch

def step(model, x, y, epsilon, norm, generator, *, factor):
    x = x.clone().requires_grad_()
    two = model(x).topk(2).values
    (gradient,) = torch.autograd.grad((two[:, 0] - two[:, 1]).sum(), x)
    square = gradient.flatten(1).square().sum(dim=1)
    return (x - (factor * (two[:, 0] - two[:, 1]) / square).view(-1, 1, 1, 1) * gradient).detach()
"""
SMALL = {
    "run": "own",
    "norms": ["l2"],
    "models": {
        "mine": {"class": "models.Net", "weights": "net.pt", "label": "Mine"},
        "nearest_neighbor": {},
        **dict.fromkeys(("cnn", "binary_cnn", "madry", "binary_abs", "abs")),
    },
    "attacks": {
        "fgm": {"doublings": 4},
        "step": {
            "function": "own_attacks:step",
            "norms": ["l2"],
            "models": ["mine"],
            "arguments": {"factor": 1.01},
        },
        "newton": {
            "class": "foolbox.attacks.NewtonFoolAttack",
            "arguments": {"steps": 2},
            "norms": ["l2"],
            "models": ["nearest_neighbor"],
        },
        **dict.fromkeys(("salt_pepper", "gaussian_noise", "boundary")),
    },
}
TARGETS = [
    "results/own/tables/verification.csv",
    "results/own/distal/mine.h5",
    "results/own/models/mine/kept.json",
]


@pytest.fixture(scope="module")
def attacked(own_checkout):
    """A finished run of the user's model and another."""
    folder = own_checkout.folder
    for name, text in {**FILES, "own_attacks.py": ATTACK}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    torch.manual_seed(0)
    linear = nn.Linear(28 * 28, 10)
    torch.save({f"head.{name}": value for name, value in linear.state_dict().items()}, folder / "net.pt")
    done = own_checkout.snakemake(*TARGETS, config=own_checkout.config(**SMALL))
    assert done.returncode == 0, done.stdout
    return own_checkout


def test_its_model_is_loaded_anywhere_without_the_users_files(attacked, tmp_path):
    shutil.copytree(attacked.folder / "results" / "own", tmp_path / "moved")
    code = (
        "import absynth, torch; run = absynth.open_run('moved'); found = run.minima('mine', 'l2');"
        "logits = run.load_model('mine')(torch.from_numpy(found.adversarial));"
        "assert (logits.argmax(dim=1).numpy() == found.prediction).all(); print(len(found))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env={"PYTHONPATH": str(attacked.folder / "src")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "4\n"


def planned(attacked, **changes) -> set[str]:
    outputs = attacked.planned(*TARGETS, config=attacked.config(**{**SMALL, **changes}))
    return {path.removeprefix("results/own/") for path in outputs}


BUILT_FROM_IT = {
    "models/mine/probe.json",
    "models/mine/calibration.json",
    "models/mine/kept.json",
    "models/mine/kept",
    "attacks/mine/l2/fgm/0.h5",
    "attacks/mine/l2/fgm/1.h5",
    "attacks/mine/l2/step/0.h5",
    "attacks/mine/l2/step/1.h5",
    "minimal/mine/l2.h5",
    "minimal/mine/l2.csv",
    "verification/mine/l2.csv",
    "distal/mine.h5",
    "tables/verification.csv",
}


def test_a_finished_run_has_nothing_left_to_do(attacked):
    assert planned(attacked) == set()


@pytest.mark.parametrize("name", FILES)
def test_an_edit_reruns_what_is_built_from_it_and_nothing_else(attacked, name):
    path = attacked.folder / name
    before = path.read_text(encoding="utf-8")
    try:
        path.write_text(before + "\n# edited\n", encoding="utf-8")
        assert planned(attacked) == (set() if name == "unused.py" else BUILT_FROM_IT)
    finally:
        path.write_text(before, encoding="utf-8")


@pytest.mark.parametrize("name", ["net.pt", "nets/parts.py"])
def test_another_file_in_the_place_of_one_is_noticed_however_old_it_is(attacked, name):
    """Snakemake compares times: a checkpoint of before the run, moved into place, would count as up to date."""
    path = attacked.folder / name
    before, times = path.read_bytes(), path.stat()
    try:
        if path.suffix == ".py":
            path.write_bytes(before + b"\n# another\n")
        else:
            torch.save({key: 2 * value for key, value in torch.load(path).items()}, path)
        os.utime(path, (0, 0))
        assert planned(attacked) == BUILT_FROM_IT
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert planned(attacked) == set()


def test_a_users_function_finds_adversarials_and_an_edit_of_it_reruns_it_alone(attacked):
    found = []
    for shard in range(2):
        with h5py.File(attacked.folder / f"results/own/attacks/mine/l2/step/{shard}.h5") as file:
            assert file.attrs["attack"] == "step"
            found += file["distance"][:].tolist()
    assert len(found) == 4
    assert np.isfinite(found).all()
    path = attacked.folder / "own_attacks.py"
    try:
        path.write_text(ATTACK + "\n# edited\n", encoding="utf-8")
        assert {name for name in planned(attacked) if name.startswith("attacks/")} == {
            "attacks/mine/l2/step/0.h5",
            "attacks/mine/l2/step/1.h5",
        }
    finally:
        path.write_text(ATTACK, encoding="utf-8")


def test_a_touch_reruns_nothing(attacked):
    (attacked.folder / "nets" / "parts.py").touch()
    assert planned(attacked) == set()


def test_a_module_that_is_not_valid_python_ends_in_one_line(attacked):
    path = attacked.folder / "report.py"
    before = path.read_text(encoding="utf-8")
    try:
        path.write_text("def scale(logits:\n", encoding="utf-8")
        done = attacked.snakemake("--dry-run", *TARGETS, config=attacked.config(**SMALL))
    finally:
        path.write_text(before, encoding="utf-8")
    assert done.returncode != 0
    assert "report.py, line 1: not valid Python (" in done.stdout
    assert "Traceback" not in done.stdout
