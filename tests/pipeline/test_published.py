"""The authors' released weights, or those of another run, in place of training."""

import shutil

import pytest
import torch

from absynth.models.abs.vae import VAE
from absynth.models.cnn import CNN, SUBSTITUTE_WIDTHS
from absynth.models.weights import load_weights, read_state, save_weights

pytestmark = pytest.mark.workflow

IMPORTED = ("models/cnn/weights.pt", "models/substitute/weights.pt", "models/abs/vae_3.pt")


@pytest.mark.published
def test_import_rules_replace_training(checkout, published):
    config = checkout.config(run="imported", published_weights=str(published))
    targets = [f"results/imported/{path}" for path in IMPORTED]
    done = checkout.snakemake(*targets, config=config)
    assert done.returncode == 0, done.stdout
    assert "rule import_vaes" in done.stdout
    assert "rule train" not in done.stdout
    load_weights(checkout.folder / targets[0], CNN())
    load_weights(checkout.folder / targets[1], CNN(SUBSTITUTE_WIDTHS))


@pytest.mark.published
def test_without_trainings_there_is_no_figure_of_them(checkout, published):
    models = {
        "cnn": {},
        "nearest_neighbor": {},
        "abs": {},
        **dict.fromkeys(("binary_cnn", "madry", "binary_abs")),
    }
    config = checkout.config(run="imported", published_weights=str(published), models=models)
    done = checkout.snakemake("--dry-run", config=config)
    assert done.returncode == 0, done.stdout
    assert "figures/reconstructions.png" in done.stdout
    assert "figures/training" not in done.stdout


@pytest.mark.published
def test_weights_that_do_not_fit_are_named(checkout, published, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    shutil.copy(published / "vanilla_cnn.net", folder / "transfer_cnn.net")
    state = torch.load(published / "vanilla_cnn.net", weights_only=True, map_location="cpu")
    del state["conv_2.bias"]
    torch.save(state, folder / "vanilla_cnn.net")
    config = checkout.config(run="misfit", published_weights=str(folder))
    for path, found in (
        ("models/cnn/weights.pt", "vanilla_cnn.net: lacks 'conv_2.bias'"),
        ("models/substitute/weights.pt", "transfer_cnn.net: 'conv_0.weight' has shape (20, 1, 5, 5)"),
    ):
        done = checkout.snakemake(f"results/misfit/{path}", config=config)
        assert done.returncode != 0
        assert found in done.stdout
        assert "Traceback" not in done.stdout


@pytest.mark.published
def test_a_missing_file_is_named(checkout, published, tmp_path):
    config = checkout.config(run="missing", published_weights=str(tmp_path))
    done = checkout.snakemake("--dry-run", "results/missing/models/abs/vae_3.pt", config=config)
    assert done.returncode != 0
    assert "ABS_3.net" in done.stdout


def test_weights_of_another_run_replace_training(checkout):
    trained = checkout.folder / "results" / "trained" / "models"
    save_weights(trained / "cnn" / "weights.pt", CNN())
    for label in range(10):
        save_weights(trained / "abs" / f"vae_{label}.pt", VAE())
    config = checkout.config(run="taken", trained_weights="results/trained/models")
    paths = ("cnn/weights.pt", "abs/vae_3.pt")
    done = checkout.snakemake(*(f"results/taken/models/{path}" for path in paths), config=config)
    assert done.returncode == 0, done.stdout
    assert "rule train" not in done.stdout
    for path in paths:
        found, expected = (
            read_state(folder / path) for folder in (checkout.folder / "results/taken/models", trained)
        )
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    missing = checkout.snakemake("--dry-run", "results/taken/models/substitute/weights.pt", config=config)
    assert missing.returncode != 0
    assert "results/trained/models/substitute/weights.pt" in missing.stdout
