"""The whole workflow on images of other shapes and numbers of classes than MNIST's."""

import shutil
from pathlib import Path

import colour_digits
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.image import imread
from torch import nn

from absynth.data.format import DataFormat
from absynth.data.split_files import read_format, read_split
from absynth.io.records import MINIMAL, SHARD, read_record
from absynth.models.loading import load_model

pytestmark = pytest.mark.workflow
PAPERS = ("cnn", "binary_cnn", "madry", "binary_abs", "abs")
NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, channels, classes, size):
        super().__init__(
            nn.Conv2d(channels, 8, 4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(8 * (size // 4) ** 2, classes)
        )
"""
ATTACKS = {
    "newton": {
        "class": "foolbox.attacks.NewtonFoolAttack",
        "arguments": {"steps": 2},
        "norms": ["l2"],
        "models": ["mine"],
    },
    "boundary": None,
    "gaussian_noise": None,
    "fgm": {"doublings": 6},
    "fgsm": {"doublings": 6},
    "salt_pepper": {"repetitions": 3},
    "fmn": {"steps": 20},
    "beam": {"width": 1, "candidates": 20},
}


def own_net(folder: Path, name: str, images: np.ndarray, labels: np.ndarray) -> dict:
    """Train a small network on images (n, C, H, W) in [0, 1], write it, and return its entry of a config."""
    (folder / f"{name}.py").write_text(NET, encoding="utf-8")
    torch.manual_seed(0)
    arguments = {"channels": images.shape[1], "classes": int(labels.max()) + 1, "size": images.shape[2]}
    names: dict = {}
    exec(NET, names)
    net = names["Net"](**arguments)
    x, y = torch.from_numpy(images).float(), torch.from_numpy(labels)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    torch.save(net.state_dict(), folder / f"{name}.pt")
    return {"class": f"{name}.Net", "weights": f"{name}.pt", "arguments": arguments}


@pytest.fixture(scope="module")
def colour(own_checkout):
    """A finished run on tinted digits, 3×32×32 in twelve classes, and its folder."""
    folder = own_checkout.folder
    shutil.copy(colour_digits.__file__, folder / "my_digits.py")
    images, labels = colour_digits.tinted(360)
    entry = own_net(folder, "colour_net", images.transpose(0, 3, 1, 2) / 255, labels)
    config = own_checkout.config(
        run="colour",
        dataset={"load": "my_digits.py:tinted_splits", "train": True, "name": "tinted"},
        n_samples=6,
        shards=1,
        n_calibration=60,
        norms=["l2", "linf", "l0"],
        distal={"labels": None, "seeds": 1, "steps": 3},
        models={
            "mine": entry,
            "nearest_neighbor": {},
            **dict.fromkeys(PAPERS),
            "robust": {"kind": "madry", "epochs": 5, "steps": 2},
        },
        attacks={**ATTACKS, "certificate": {"steps": 2, "norms": ["l0"], "models": ["nearest_neighbor"]}},
    )
    done = own_checkout.snakemake(config=config)
    assert done.returncode == 0, done.stdout
    return folder / "results" / "colour"


def test_the_data_are_as_the_function_returned_them(colour):
    assert read_format(colour / "data" / "test.h5") == DataFormat((3, 32, 32), 12)
    images, labels = read_split(colour / "data" / "test.h5")
    expected, classes = colour_digits.tinted(60, first=360)
    np.testing.assert_array_equal(images, expected.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(labels, classes)
    assert len(read_split(colour / "data" / "calibration.h5")[1]) == 60


@pytest.mark.parametrize("norm", ["l2", "linf", "l0"])
def test_distances_are_those_of_the_stored_images(colour, norm):
    clean, _ = read_split(colour / "data" / "test.h5", 0, 6)
    found, _attributes = read_record(colour / "minimal" / "mine" / f"{norm}.h5", MINIMAL, {"norm": norm})
    change = found["adversarial"].astype(np.float64) - clean
    distances = {
        "l2": np.sqrt(np.square(change).sum(axis=(1, 2, 3))),
        "linf": np.abs(change).max(axis=(1, 2, 3)),
        "l0": (change != 0).any(axis=1).sum(axis=(1, 2)),
    }
    succeeded = np.isfinite(found["distance"]) & (found["distance"] > 0)
    assert succeeded.sum() >= 4
    np.testing.assert_allclose(found["distance"][succeeded], distances[norm][succeeded], rtol=1e-12)


def test_l0_counts_pixels_in_every_attack(colour):
    several = 0
    for attack in ("salt_pepper", "fmn", "beam"):
        path = colour / "attacks" / "mine" / "l0" / attack / "0.h5"
        found, _ = read_record(path, SHARD)
        clean, _ = read_split(colour / "data" / "test.h5", 0, len(found["index"]))
        changed = found["adversarial"] != clean
        finite = np.isfinite(found["distance"]) & (found["distance"] > 0)
        np.testing.assert_array_equal(found["distance"][finite], changed.any(axis=1).sum(axis=(1, 2))[finite])
        several += int((changed.sum(axis=(1, 2, 3)) > changed.any(axis=1).sum(axis=(1, 2))).sum())
    assert several  # pixels of which more than one channel changed


def test_tables_and_report_are_complete_and_nothing_disagrees(colour):
    verification = pd.read_csv(colour / "tables" / "verification.csv")
    assert len(verification)
    assert not verification["disagreements"].sum()
    robustness = pd.read_csv(colour / "tables" / "robustness.csv")
    assert set(robustness["model"]) == {"mine", "nearest_neighbor", "robust"}
    models = pd.read_csv(colour / "tables" / "models.csv").set_index("model")
    assert models.loc["mine", "test_accuracy"] > 0.8
    assert models.loc["mine", "alpha"] > 0
    assert "How robust are 3 classifiers on tinted?" in (colour / "report.html").read_text(encoding="utf-8")


def test_bounds_are_below_what_attacks_found(colour):
    brackets = pd.read_csv(colour / "tables" / "bracket.csv")
    for norm in ("l2", "linf", "l0"):
        bracket = brackets[(brackets["model"] == "nearest_neighbor") & (brackets["norm"] == norm)]
        assert len(bracket)
        assert (bracket["lower"] <= bracket["upper"] + 1e-9).all()


def test_figures_are_in_colour(colour):
    for stem in ("adversarials", "distal"):
        path = colour / "figures" / f"{stem}.png"
        picture = imread(path)[..., :3]
        assert (picture.max(axis=2) - picture.min(axis=2) > 0.3).mean() > 0.05


@pytest.fixture(scope="module")
def small(own_checkout):
    """A finished run on digits of 1×8×8, without training images; what it planned, and its folder."""
    folder = own_checkout.folder
    images, labels = colour_digits.unresized(400)
    entry = own_net(folder, "small_net", images[:, None], labels)
    np.savez(folder / "digits.npz", x=images[:100].astype(np.float32), y=labels[:100])
    config = own_checkout.config(
        run="small",
        dataset={"npz": "digits.npz", "test": {"images": "x", "labels": "y"}},
        n_samples=4,
        shards=1,
        norms=["l2", "l0"],
        models={"mine": entry, "nearest_neighbor": None, **dict.fromkeys(PAPERS)},
        attacks={**ATTACKS, "fmn": None, "salt_pepper": {"repetitions": 3}},
    )
    done = own_checkout.snakemake(config=config)
    assert done.returncode == 0, done.stdout
    return done.stdout, folder / "results" / "small"


def test_a_run_without_training_images_does_without_them(small):
    printed, folder = small
    assert sorted(path.name for path in (folder / "data").iterdir()) == ["test.h5"]
    assert not (folder / "distal").exists()
    assert "generate_distal" not in printed
    models = pd.read_csv(folder / "tables" / "models.csv").set_index("model")
    assert models.loc["mine", "test_accuracy"] > 0.8
    assert np.isnan(models.loc["mine", "alpha"])
    assert (folder / "report.html").is_file()


def test_its_images_stay_as_small_as_they_are(small, monkeypatch):
    _, folder = small
    monkeypatch.chdir(folder.parents[1])  # where the class of the model and its weights are
    monkeypatch.syspath_prepend(folder.parents[1])
    images, labels = read_split(folder / "data" / "test.h5")
    assert images.shape == (100, 1, 8, 8)
    assert images.dtype == np.float32
    found, _ = read_record(folder / "minimal" / "mine" / "l0.h5", MINIMAL)
    assert found["adversarial"].shape == (4, 1, 8, 8)
    assert (found["distance"] < 64).all()
    model = load_model(folder, "mine")
    assert (model(torch.from_numpy(images)).argmax(dim=1).numpy() == labels).mean() > 0.8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"models": {"nearest_neighbor": {}}},
            "models.nearest_neighbor: it looks neighbours up, and the data set digits has no training images",
        ),
        (
            {"models": {"robust": {"kind": "madry"}}},
            "config key models.robust: it is trained, and the data set digits has no training images",
        ),
        (
            {"dataset": {"npz": "gone.npz", "test": {"images": "x", "labels": "y"}}},
            "config key dataset.npz: gone.npz is no file",
        ),
        (
            {"dataset": {"npz": "digits.npz", "test": {"images": "z", "labels": "y"}}},
            "config key dataset.test.images: digits.npz has no array 'z'; it has x, y",
        ),
        (
            {"dataset": {"npz": "digits.npz", "test": {"images": "x", "labels": "y"}, "n_classes": 9}},
            "digits: label 9 found; n_classes: 9 allows 0 to 8",
        ),
        (
            {"dataset": {"npz": "digits.npz", "test": {"images": "x", "labels": "y"}, "n_classes": 11}},
            "returns (105, 10), expected logits (105, 11), since the data set has 11 classes",
        ),
    ],
)
def test_what_does_not_agree_ends_in_one_line(own_checkout, small, changes, message):
    models = {
        "mine": {
            "class": "small_net.Net",
            "weights": "small_net.pt",
            "arguments": {"channels": 1, "classes": 10, "size": 8},
        },
        "nearest_neighbor": None,
        **dict.fromkeys(PAPERS),
    }
    settings = {
        "run": "refused",
        "dataset": {"npz": "digits.npz", "test": {"images": "x", "labels": "y"}},
        "attacks": ATTACKS,
        "norms": ["l2"],
        "shards": 1,
        **changes,
        "models": {**models, **changes.get("models", {})},
    }
    done = own_checkout.snakemake(
        "results/refused/models/mine/probe.json", config=own_checkout.config(**settings), cores=1
    )
    assert done.returncode != 0
    assert message in done.stdout
