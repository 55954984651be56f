"""Which images are reconstructed, and what of them is drawn."""

import numpy as np
import pytest
import torch
from scripts.figures.plot_reconstructions import main as plot
from scripts.synthesis import reconstruct_images

from absynth.data.split_files import write_split
from absynth.evaluation.selection import one_per_class
from absynth.io.records import MINIMAL, RECONSTRUCTIONS, read_record, write_record
from absynth.models.abs.model import ABS
from absynth.models.abs.synthesis import reconstruct
from absynth.models.abs.vae import VAE

N, ABOUT = 12, {"run": "toy", "model": "abs", "norm": "l2"}
LABEL = np.arange(N) % 3
DISTANCE = np.where(np.arange(N) % 5 == 1, np.inf, np.where(np.arange(N) == 2, 0.0, 1.0))
FOUND = np.flatnonzero((DISTANCE > 0) & np.isfinite(DISTANCE))


@pytest.fixture(scope="module")
def model() -> ABS:
    torch.manual_seed(0)
    vaes = [VAE() for _ in range(10)]
    return ABS(vaes, prior_samples=20, gamma=[1.0] * 10, inference="reference", steps=2).eval()


@pytest.fixture
def write(tmp_path, monkeypatch, model):
    monkeypatch.setattr(reconstruct_images, "build", lambda spec, folder: model)
    monkeypatch.setattr(reconstruct_images, "_TOGETHER", 2)
    pixels = np.random.default_rng(0).integers(0, 256, (N, 28, 28), dtype=np.uint8)
    write_split(tmp_path / "test.h5", pixels, LABEL, "toy", "test")

    def written(first: int, distance: np.ndarray = DISTANCE) -> dict[str, np.ndarray]:
        columns = {
            "index": np.arange(N),
            "label": LABEL,
            "distance": distance,
            "attack": np.full(N, "ddn", dtype=object),
            "adversarial": np.float32(1) - pixels[:, None].astype(np.float32) / np.float32(255),
            "adversarial_prediction": LABEL + 1,
        }
        write_record(tmp_path / "l2.h5", columns, ABOUT, MINIMAL)
        reconstruct_images.main(
            images=tmp_path / "test.h5", minimal=tmp_path / "l2.h5", reconstructions=tmp_path / "abs.h5",
            run="toy", model="abs", folder=tmp_path, spec={}, seed=0, first=first, device=torch.device("cpu"),
        )  # fmt: skip
        return read_record(tmp_path / "abs.h5", RECONSTRUCTIONS, ABOUT)[0]

    return written


@pytest.mark.parametrize("first", [0, 7, 1000])
def test_the_first_images_that_have_an_adversarial_and_one_per_class_are_reconstructed(write, model, first):
    made = write(first)
    drawn = FOUND[one_per_class(FOUND, LABEL[FOUND], {"abs": np.ones(len(FOUND))}, seed=0)]
    assert made["index"].tolist() == sorted({*FOUND[first > FOUND].tolist(), *drawn.tolist()})
    assert made["index"][made["drawn"] == 1].tolist() == sorted(drawn.tolist())
    assert (made["label"] == LABEL[made["index"]]).all()
    assert (made["rival"] == made["label"] + 1).all()
    np.testing.assert_allclose(made["adversarial"], 1 - made["clean"], atol=1e-6)
    last = torch.from_numpy(made["adversarial"][-1:])
    classes = torch.tensor([[made["label"][-1], made["rival"][-1]]])
    images, energies = reconstruct(model, last, classes)
    np.testing.assert_allclose(made["reconstruction"][-1, 1], images[0], atol=1e-5)
    np.testing.assert_allclose(made["energy"][-1, 1], energies[0], rtol=1e-5)


def test_what_is_drawn_does_not_depend_on_how_many_are_reconstructed(write):
    few, all_of_them = write(0), write(1000)
    rows = all_of_them["drawn"] == 1
    assert len(rows) > rows.sum() == len(few["index"])
    for name, values in few.items():
        assert np.array_equal(all_of_them[name][rows], values), name


def test_no_adversarials_give_an_empty_file(write):
    made = write(1000, np.full(N, np.inf))
    assert {len(values) for values in made.values()} == {0}


def test_the_figure_has_one_image_per_class_in_the_order_of_the_labels(write, tmp_path, monkeypatch):
    write(1000)
    grids = []

    def grid(found, norms, *, models):
        grids.append(found["abs"])
        return

    monkeypatch.setattr("scripts.figures.plot_reconstructions.reconstructions_grid", grid)
    monkeypatch.setattr("scripts.figures.plot_reconstructions.save_figure", lambda *_: None)
    plot(reconstructions=[tmp_path / "abs.h5"], png="a.png", svg="a.svg", run="toy", models={"abs": "ABS"})
    assert grids[0]["label"].tolist() == [0, 1, 2]
    assert (grids[0]["drawn"] == 1).all()
    older = {name: values for name, values in grids[0].items() if name != "drawn"}
    write_record(tmp_path / "abs.h5", older, ABOUT, RECONSTRUCTIONS)
    plot(reconstructions=[tmp_path / "abs.h5"], png="a.png", svg="a.svg", run="toy", models={"abs": "ABS"})
    assert grids[1]["index"].tolist() == grids[0]["index"].tolist()
