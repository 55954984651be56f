"""A model whose weights are made from VAEs, in a workflow of its own."""

import pandas as pd
import pytest
from configs import ROOT

from absynth.models.loading import load_model
from absynth.models.prototypes import PrototypeABS

pytestmark = pytest.mark.workflow

MODELS = {
    **dict.fromkeys(("cnn", "binary_cnn", "nearest_neighbor", "madry", "binary_abs", "abs")),
    "drawn": {"kind": "prototype_abs", "prior_samples": 30, "encoded_images": 60, "label": "Drawn"},
}
ATTACKS = {
    "boundary": None,
    "gaussian_noise": None,
    "salt_pepper": None,
    "certificate": {"steps": 5, "class_pairs": 1},
}


def test_prototypes_of_imported_vaes_are_attacked_and_bounded(checkout):
    """The VAEs that ship know MNIST's digits, and so most of those that the data set `digits` has."""
    config = checkout.config(
        run="prototypes",
        trained_weights=str(ROOT / "resources" / "weights" / "mnist-small" / "models"),
        models=MODELS,
        attacks=ATTACKS,
        norms=["l2"],
        shards=1,
    )
    results = checkout.folder / "results" / "prototypes"
    names = (
        "tables/table1.md",
        "tables/verification.csv",
        "tables/bracket.csv",
        "models/drawn/calibration.json",
    )
    done = checkout.snakemake(*(f"results/prototypes/{name}" for name in names), config=config)
    assert done.returncode == 0, done.stdout
    assert "rule import_vaes" in done.stdout
    assert "rule train_vae" not in done.stdout
    bracket = pd.read_csv(results / "tables" / "bracket.csv")
    assert set(bracket["model"]) == {"drawn"}
    assert (bracket["upper"] >= bracket["lower"]).all()
    assert (bracket["lower"] > 0).any()
    assert "Drawn" in (results / "tables" / "table1.md").read_text(encoding="utf-8")
    model = load_model(results, "drawn")
    assert isinstance(model, PrototypeABS)
    assert len(model.counts) == 10
    assert all(30 < count <= 90 for count in model.counts)


def test_vaes_are_trained_for_prototypes_alone(checkout):
    planned = checkout.planned(
        "results/untrained/models/drawn/prototypes.pt",
        config=checkout.config(run="untrained", models=MODELS, attacks=ATTACKS),
    )
    made = {path.removeprefix("results/untrained/models/") for path in planned}
    assert {"drawn/prototypes.pt", "abs/vae_3.pt", "abs/unrefined/vae_3.pt"} <= made
