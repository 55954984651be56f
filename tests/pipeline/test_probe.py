"""A model that cannot be evaluated ends the run in one line, before any attack on it has started."""

import json

import h5py
import pandas as pd
import pytest
import torch

from absynth.data.split_files import read_split

pytestmark = pytest.mark.workflow

MODELS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(784, 10)

    def forward(self, x):
        return self.head(x.flatten(1))

class Pair(Net):
    def forward(self, x):
        return super().forward(x), x

class Noisy(Net):
    def forward(self, x):
        return super().forward(x) + torch.randn(10)

class Broken(Net):
    def forward(self, x):
        x[x < 0.1] = 0
        logits = super().forward(x)
        return torch.where((x == 1).flatten(1).sum(1, keepdim=True) > 250, torch.nan, logits)
"""
SMALL = {
    "norms": ["l2"],
    "models": {"nearest_neighbor": {}, **dict.fromkeys(("cnn", "binary_cnn", "madry", "binary_abs", "abs"))},
    "attacks": {
        "fgm": {"doublings": 4},
        "gaussian_noise": {"repetitions": 1},
        "newton": {
            "class": "foolbox.attacks.NewtonFoolAttack",
            "arguments": {"steps": 2},
            "norms": ["l2"],
            "models": ["nearest_neighbor"],
        },
        **dict.fromkeys(("salt_pepper", "boundary")),
    },
}


@pytest.fixture(scope="module")
def with_models(own_checkout):
    (own_checkout.folder / "probed_models.py").write_text(MODELS, encoding="utf-8")
    split = "results/data/data/train.h5"
    done = own_checkout.snakemake(split, config=own_checkout.config(**{**SMALL, "run": "data"}))
    assert done.returncode == 0, done.stdout
    images, labels = map(torch.from_numpy, read_split(own_checkout.folder / split))
    wanted = torch.nn.functional.one_hot(labels, 10).float()
    weight = torch.linalg.lstsq(images.flatten(1), wanted, driver="gelsd").solution
    torch.save(
        {"head.weight": weight.T.contiguous(), "head.bias": torch.zeros(10)}, own_checkout.folder / "head.pt"
    )
    return own_checkout


def config(workflow, name, **entry):
    mine = {"class": f"probed_models.{name}", "weights": "head.pt", **entry}
    return workflow.config(**{**SMALL, "models": {**SMALL["models"], "mine": mine}, "run": name.lower()})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Pair", r"returns a tuple, expected logits"),
        ("Noisy", r"gives the same images other answers when it is asked again"),
        ("Broken", r"its logits are not finite for the white image"),
    ],
)
def test_a_bad_model_ends_the_run_in_one_line_before_any_attack(with_models, name, message):
    done = with_models.snakemake(config=config(with_models, name))
    assert done.returncode != 0
    results = with_models.folder / "results" / name.lower()
    said = [line for line in done.stdout.splitlines() if f"probe: mine (probed_models.{name})" in line]
    assert message in said[0]
    assert "Traceback (most recent call last)" not in (results / "logs/probe_model/mine.log").read_text()
    assert not [*results.glob("attacks/mine/**/*.h5"), *results.glob("logs/run_attack/mine*")]
    assert not (results / "models/mine/calibration.json").exists()


def test_a_declared_model_is_attacked_verified_and_its_warnings_are_listed(with_models):
    settings = config(with_models, "Broken", nonfinite=True)
    targets = [f"results/broken/tables/{name}.csv" for name in ("verification", "models", "attacks")]
    done = with_models.snakemake(*targets, "results/broken/distal/mine.h5", config=settings)
    assert done.returncode == 0, done.stdout
    results = with_models.folder / "results" / "broken"
    found = json.loads((results / "models/mine/probe.json").read_text())
    assert [warning.split()[0] for warning in found["warnings"]][:2] == ["changes", "answers"]
    models = pd.read_csv(results / "tables/models.csv").set_index("model")
    assert models["probe"]["mine"] == "; ".join(found["warnings"])
    assert pd.isna(models["probe"]["nearest_neighbor"])
    assert (pd.read_csv(results / "tables/verification.csv")["disagreements"] == 0).all()
    attacks = pd.read_csv(results / "tables/attacks.csv").set_index(["model", "attack"])["nonfinite"]
    assert (attacks["nearest_neighbor"] == 0).all()
    assert attacks["mine"].sum() > 0
    counted = 0
    for path in results.glob("attacks/*/l2/*/*.h5"):
        with h5py.File(path) as file:
            assert ("nonfinite" in file) == ("mine" in path.parts)
            counted += int(file["nonfinite"][:].sum()) if "nonfinite" in file else 0
    assert counted == attacks.sum()


def test_a_declared_random_model_is_evaluated_in_expectation(with_models):
    settings = config(with_models, "Noisy", random=True, draws=4)
    targets = [f"results/noisy/tables/{name}.csv" for name in ("verification", "models", "attacks")]
    done = with_models.snakemake(*targets, config=settings)
    assert done.returncode == 0, done.stdout
    tables = with_models.folder / "results" / "noisy" / "tables"
    verification = pd.read_csv(tables / "verification.csv").set_index("model").loc[["mine"]]
    assert (verification["disagreements"] == 0).all()
    assert "over 4 fixed draws" in pd.read_csv(tables / "models.csv").set_index("model")["probe"]["mine"]
    assert pd.read_csv(tables / "attacks.csv").set_index("model")["found"]["mine"].sum() > 0
