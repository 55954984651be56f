"""What an attack needs beyond the model under attack enters the workflow where it is needed, and only there."""

import numpy as np
import pytest

from absynth.io.records import SHARD, read_record

pytestmark = pytest.mark.workflow

SUBSTITUTE = "models/substitute/weights.pt"


def test_substitute_is_trained_for_transfer_attacks_alone(checkout):
    config = checkout.config(run="needs", attacks={"transfer": {}})
    shards = {attack: f"results/needs/attacks/cnn/l2/{attack}/0.h5" for attack in ("transfer", "fgm")}
    planned = {
        attack: {path.removeprefix("results/needs/") for path in checkout.planned(shard, config=config)}
        for attack, shard in shards.items()
    }
    assert SUBSTITUTE in planned["transfer"]
    assert planned["transfer"] - planned["fgm"] == {
        "attacks/cnn/l2/transfer/0.h5",
        SUBSTITUTE,
        "models/substitute/curve.csv",
    }


def test_transfer_attacks_run_on_it(checkout):
    settings = {"steps": 3, "epsilons": [0.1], "step_sizes": [0.5]}
    config = checkout.config(run="needs", attacks={"transfer": settings})
    shard = "results/needs/attacks/nearest_neighbor/l2/transfer/0.h5"
    done = checkout.snakemake(shard, config=config)
    assert done.returncode == 0, done.stdout
    columns, _ = read_record(checkout.folder / shard, SHARD)
    attacked = columns["clean_prediction"] == columns["label"]
    assert attacked.any()
    assert (columns["queries"][attacked] > 0).all()
    assert columns["gradients"].sum() == 0
    assert np.isfinite(columns["distance"][~attacked]).all()


def test_latent_descent_is_planned_for_models_with_latents(checkout):
    planned = checkout.planned(config=checkout.config(attacks={"latent_descent": {}}))
    found = {path.split("/")[1] for path in planned if "/latent_descent/" in path}
    assert found == {"abs"}


def test_latent_descent_on_a_model_without_latents_is_refused(checkout):
    config = checkout.config(attacks={"latent_descent": {"models": ["cnn"]}})
    done = checkout.snakemake("--dry-run", config=config)
    assert done.returncode != 0
    assert "attacks.latent_descent.models: found cnn, which has no latents; allowed are abs" in done.stdout
