"""A model that cannot be evaluated ends the run in one line, before any attack on it has started."""

import json

import h5py
import pandas as pd
import pytest
import torch

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
    "run": "probed",
    "norms": ["l2"],
    "models": {"nearest_neighbor": {}, **dict.fromkeys(("cnn", "binary_cnn", "madry", "binary_abs", "abs"))},
    "attacks": {
        "fgm": {"doublings": 4},
        "gaussian_noise": {},
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
    torch.manual_seed(0)
    head = torch.nn.Linear(784, 10)
    torch.save(
        {f"head.{name}": value for name, value in head.state_dict().items()}, own_checkout.folder / "head.pt"
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
    assert not list(results.glob("attacks/**/*.h5"))
    assert not list(results.glob("logs/run_attack/*"))


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


def test_an_edit_of_the_probe_reruns_the_probes_and_nothing_else(with_models):
    settings = config(with_models, "Broken", nonfinite=True)
    path = with_models.folder / "src/absynth/evaluation/probe.py"
    before = path.read_text(encoding="utf-8")
    try:
        path.write_text(before + "\n# edited\n", encoding="utf-8")
        planned = with_models.planned("results/broken/tables/verification.csv", config=settings)
    finally:
        path.write_text(before, encoding="utf-8")
    assert {output.removeprefix("results/broken/") for output in planned} == {
        f"models/{name}/probe.json" for name in ("mine", "nearest_neighbor")
    }
