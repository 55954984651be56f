"""A user's own models and nothing besides, from the config to copy; and lower bounds without attacks."""

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from configs import ROOT
from torch import nn

pytestmark = [pytest.mark.workflow, pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")]

CODE = """
import torch
from torch import nn
from head import WIDTH

def net(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(WIDTH, 3))
"""
MODELS = """
models:
  only: true
  made: {class: nets/my_models.py:net, arguments: {seed: 1}, preprocessing: {mean: [0.4, 0.5, 0.6], std: 0.5}}
  scripted: {program: net.pt}
"""
NEVER = (
    "train_",
    "generate_distal",
    "compute_lower_bounds",
    "sample_prior",
    "refine_vae",
    "build_prototypes",
)


@pytest.fixture(scope="module")
def own(own_checkout):
    """The config to copy with its models and options replaced, beside a user's files."""
    folder = own_checkout.folder
    (folder / "nets").mkdir()
    (folder / "nets" / "my_models.py").write_text(CODE)
    (folder / "nets" / "head.py").write_text("WIDTH = 3 * 6 * 5\n")
    torch.manual_seed(0)
    scripted = nn.Sequential(nn.Flatten(), nn.Linear(90, 3))
    torch.jit.script(scripted).save(folder / "net.pt")
    draws = np.random.default_rng(0)
    images = draws.integers(0, 256, (12, 3, 6, 5), np.uint8)
    labels = scripted(torch.from_numpy(images / np.float32(255))).argmax(dim=1).numpy()
    np.savez(folder / "my_data.npz", x_test=images, y_test=labels)
    text = (ROOT / "config" / "own-model.yaml").read_text(encoding="utf-8")
    start, end = text.index("models:\n"), text.index("# <- Images")
    replaced = f"{text[:start]}{MODELS}\n{text[end:]}".replace("n_samples: 100", "n_samples: 4")
    path = folder / "own-model.yaml"
    path.write_text(replaced.replace("attacks: quick", "attacks: [ddn]").replace("[l2, linf, l0]", "[l2]"))
    return own_checkout, path


def test_a_program_and_a_functions_network_are_attacked_and_nothing_else_runs(own):
    checkout, config = own
    planned = checkout.snakemake("--dry-run", config=config)
    assert planned.returncode == 0, planned.stdout
    assert not [
        line
        for line in planned.stdout.splitlines()
        if line.startswith("rule ") and any(n in line for n in NEVER)
    ]
    targets = [f"results/my-model/tables/{name}" for name in ("verification.csv", "models.csv", "table1.md")]
    done = checkout.snakemake(*targets, config=config)
    assert done.returncode == 0, done.stdout
    results = checkout.folder / "results" / "my-model"
    models = pd.read_csv(results / "tables" / "models.csv").set_index("model")
    assert models.index.tolist() == ["made", "scripted"]
    assert models.loc["scripted", "test_accuracy"] == 1
    assert models["alpha"].isna().all()
    verified = pd.read_csv(results / "tables" / "verification.csv")
    assert (verified["disagreements"] == 0).all()
    assert verified["checked"].sum() > 0
    with h5py.File(results / "attacks" / "scripted" / "l2" / "ddn" / "0.h5") as file:
        assert np.isfinite(file["distance"][:]).all()
    assert not (results / "data" / "train.h5").exists()


def test_an_edit_of_a_program_reruns_its_jobs_alone(own):
    checkout, config = own
    path = checkout.folder / "net.pt"
    torch.manual_seed(1)
    torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(90, 3))).save(path)
    planned = checkout.planned("results/my-model/tables/models.csv", config=config)
    assert {name.partition("models/")[2] for name in planned if "/models/" in f"/{name}"} >= {
        "scripted/probe.json"
    }
    assert not [name for name in planned if "made" in name]


def test_lower_bounds_are_made_without_attacks_with_a_table_and_a_report(own):
    checkout, _ = own
    config = checkout.folder / "bounds.yaml"
    config.write_text(
        "{run: bounds, dataset: digits, n_samples: 2, shards: 1, n_calibration: 100, norms: [l2], "
        "threads: {train: 1, calibrate: 1, attack: 1}, models: {only: [nearest_neighbor]}}"
    )
    done = checkout.snakemake("certificates", config=config)
    assert done.returncode == 0, done.stdout
    results = checkout.folder / "results" / "bounds"
    assert not (results / "attacks").exists()
    row = pd.read_csv(results / "tables" / "certificates.csv").iloc[0]
    bounds = pd.read_csv(results / "bounds" / "nearest_neighbor" / "l2.csv")
    assert row["median"] == pytest.approx(bounds["joint"].median())
    assert row["basis"] == "proved"
    assert f"{row['median']:.2f} / " in (results / "tables" / "certificates.md").read_text(encoding="utf-8")
    page = (results / "certificates.html").read_text(encoding="utf-8")
    assert f"{row['median']:.3g}" in page
    assert "lower bounds of the smallest adversarial perturbations" in page
    assert "attacked on the first" not in page


def test_certificates_of_models_that_have_none_are_refused(own):
    checkout, config = own
    done = checkout.snakemake("certificates", "--dry-run", config=config)
    assert done.returncode != 0
    assert "target certificates: no model of this run has lower bounds; add one of the kinds" in done.stdout
