"""An interrupted training, resumed, equals an uninterrupted one."""

import csv
from functools import partial
from itertools import count

import pytest
import torch

from absynth.errors import InputError
from absynth.io.atomic import write_csv
from absynth.io.log import LOGGER
from absynth.models.abs.vae import VAE
from absynth.training import classifier, vae
from absynth.training.checkpoint import Training, fit
from absynth.training.classifier import Adversary, ClassifierSettings, train_classifier
from absynth.training.vae import RefinementSettings, VAESettings, refine_vae, train_vae

CPU = torch.device("cpu")
GENERATOR = torch.Generator().manual_seed(0)
IMAGES, LABELS = torch.rand(22, 1, 28, 28, generator=GENERATOR), torch.arange(22) % 10


class Small(torch.nn.Sequential):
    """A classifier with batch norm, whose running statistics belong to its state."""

    def __init__(self, width: int = 6):
        super().__init__(
            torch.nn.Conv2d(1, width, 5, stride=3),
            torch.nn.BatchNorm2d(width),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(64 * width, 10),
        )


def small(checkpoint=None, *, width=6, images=IMAGES, adversary=None, **changes):
    """Train a small classifier; returns its state and its curve."""
    torch.manual_seed(1)
    model = Small(width)
    values = {
        "epochs": 4,
        "batch_size": 8,
        "learning_rate": 0.01,
        "seed": 3,
        "adversary": adversary,
        **changes,
    }
    settings = ClassifierSettings(**values)
    curve = train_classifier(model, images, LABELS, settings, device=CPU, checkpoint=checkpoint)
    return model.state_dict(), curve


def autoencoder(checkpoint=None, **changes):
    """Train a VAE; returns its state and its curve."""
    settings = dict(epochs=4, batch_size=8, learning_rate=2e-3, kl_start=10, kl_end=1, kl_epochs=3, seed=3)
    changed = VAESettings(**{**settings, **changes})
    made, curve = train_vae(IMAGES, changed, device=CPU, checkpoint=checkpoint)
    return made.state_dict(), curve


def refined(checkpoint=None, *, start=1, **changes):
    """Refine a VAE with random weights; returns its state and its curve."""
    torch.manual_seed(start)
    settings = dict(
        epochs=4,
        averaged_epochs=2,
        batch_size=8,
        learning_rate=1e-3,
        kl_weight=0.7,
        shift=1,
        zoom=1.2,
        seed=3,
    )
    changed = RefinementSettings(**{**settings, **changes})
    made, curve = refine_vae(VAE(), IMAGES, changed, device=CPU, checkpoint=checkpoint)
    return made.state_dict(), curve


TRAININGS = {
    "vae": (autoencoder, vae),
    "refinement": (refined, vae),
    "classifier": (small, classifier),
    "adversarial": (partial(small, adversary=Adversary(0.1, 2, 0.05, warmup_epochs=2)), classifier),
}


def interrupt(monkeypatch, module, last: int) -> None:
    """Make the epoch `last`, from 0, fail in its first step."""
    original, epochs = module.batches, count()

    def failing(*arguments):
        if next(epochs) == last:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(module, "batches", failing)


@pytest.mark.parametrize("name", TRAININGS)
@pytest.mark.parametrize("last", [1, 3])
def test_resumed_training_equals_an_uninterrupted_one(tmp_path, monkeypatch, name, last):
    """Bit for bit, curve included."""
    train, module = TRAININGS[name]
    whole_state, whole_curve = train()
    with monkeypatch.context() as patch:
        interrupt(patch, module, last)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "state.pt")
    torch.rand(17)  # another process has another global state
    state, curve = train(tmp_path / "state.pt")
    assert curve == whole_curve
    assert state.keys() == whole_state.keys()
    assert all(torch.equal(state[key], whole_state[key]) for key in state)


def test_finished_training_is_not_repeated(tmp_path, monkeypatch):
    state, curve = small(tmp_path / "state.pt")
    interrupt(monkeypatch, classifier, 0)
    again, same = small(tmp_path / "state.pt")
    assert same == curve
    assert all(torch.equal(state[key], again[key]) for key in state)


@pytest.fixture
def warnings(monkeypatch):
    """Messages that were logged as warnings."""
    logged = []
    monkeypatch.setattr(LOGGER, "warning", lambda message, *values: logged.append(message % values))
    return logged


OTHER = [
    {"epochs": 5},
    {"batch_size": 11},
    {"learning_rate": 0.02},
    {"shift": 1},
    {"seed": 4},
    {"images": IMAGES[:20]},
    {"images": 1 - IMAGES},
    {"width": 5},
    {"adversary": Adversary(0.1, 1, 0.1)},
]


@pytest.mark.parametrize("changes", OTHER, ids=[next(iter(changes)) for changes in OTHER])
def test_checkpoint_of_other_settings_is_ignored(tmp_path, warnings, changes):
    small(tmp_path / "state.pt", **changes)
    state, curve = small(tmp_path / "state.pt")
    expected, expected_curve = small()
    assert curve == expected_curve
    assert all(torch.equal(state[key], expected[key]) for key in state)
    assert warnings == [f"{tmp_path / 'state.pt'}: checkpoint of other settings ignored"]


@pytest.mark.parametrize("changes", [{"kl_start": 9}, {"kl_end": 2}, {"kl_epochs": 2}])
def test_checkpoint_of_another_schedule_is_ignored(tmp_path, warnings, changes):
    autoencoder(tmp_path / "state.pt", epochs=1, **changes)
    _, curve = autoencoder(tmp_path / "state.pt", epochs=1)
    assert curve[0]["beta"] == 10
    assert len(warnings) == 1


@pytest.mark.parametrize(
    "changes", [{"averaged_epochs": 1}, {"kl_weight": 1}, {"shift": 2}, {"zoom": 1}, {"start": 2}]
)
def test_checkpoint_of_another_refinement_is_ignored(tmp_path, warnings, changes):
    refined(tmp_path / "state.pt", **changes)
    state, _ = refined(tmp_path / "state.pt")
    expected, _ = refined()
    assert all(torch.equal(state[key], expected[key]) for key in state)
    assert len(warnings) == 1


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_damaged_checkpoint_is_ignored(tmp_path, warnings, share):
    small(tmp_path / "state.pt")
    content = (tmp_path / "state.pt").read_bytes()
    (tmp_path / "state.pt").write_bytes(content[: int(share * len(content))])
    _, curve = small(tmp_path / "state.pt")
    assert len(curve) == 4
    assert "unreadable checkpoint ignored" in warnings[0]
    assert "\n" not in warnings[0]


def test_checkpoint_of_a_vae_on_other_images_is_ignored(tmp_path, warnings, monkeypatch):
    autoencoder(tmp_path / "state.pt", epochs=1)
    monkeypatch.setitem(globals(), "IMAGES", 1 - IMAGES)
    _, curve = autoencoder(tmp_path / "state.pt", epochs=1)
    assert curve == autoencoder(epochs=1)[1]
    assert len(warnings) == 1


@pytest.mark.parametrize("part", ["module", "optimizer", "generator", "epoch", "curve"])
def test_checkpoint_without_a_part_is_refused(tmp_path, part):
    small(tmp_path / "state.pt")
    content = torch.load(tmp_path / "state.pt", weights_only=True)
    del content[part]
    torch.save(content, tmp_path / "state.pt")
    with pytest.raises(InputError, match=r"state\.pt: does not fit the model; delete it to start afresh"):
        small(tmp_path / "state.pt")


def test_each_epoch_leaves_one_whole_checkpoint(tmp_path):
    module = torch.nn.Linear(2, 1)
    training = Training(module, torch.optim.Adam(module.parameters()), torch.Generator(), {"n": 1})
    path = tmp_path / "deep" / "state.pt"
    kept = []

    def run_epoch(epoch: int) -> dict[str, float]:
        kept.append(torch.load(path, weights_only=True)["epoch"] if path.exists() else 0)
        return {"loss": 1.0}

    fit(training, run_epoch, epochs=3, checkpoint=path)
    assert kept == [0, 1, 2]
    assert list(path.parent.iterdir()) == [path]
    assert not module.training


def test_curve_is_written_as_a_table(tmp_path):
    write_csv(tmp_path / "curve.csv", [{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": 0.25}])
    with (tmp_path / "curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert [float(row["loss"]) for row in rows] == [0.1 + 0.2, 0.25]
