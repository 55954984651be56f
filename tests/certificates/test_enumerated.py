"""Lower bounds for the nearest-neighbour classifier against full enumeration."""

import pytest
import torch

from absynth.attacks.certificate import certificate_attack
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.certificates.class_pair import Reconstruction, minimal_perturbation
from absynth.certificates.lower_bounds import compute_lower_bounds, lower_bounds
from absynth.certificates.perturbations import Box
from absynth.certificates.proved import ProvedBounds
from absynth.certificates.settings import SearchSettings
from absynth.data.format import DataFormat
from absynth.errors import InputError
from absynth.models.cnn import CNN
from absynth.models.nearest_neighbor import NearestNeighbor
from absynth.norms import distance

NORMS = ("l2", "linf", "l0")


def pictures(n: int, seed: int) -> torch.Tensor:
    """Random images, black and white pixels among the grey ones, (n, 784)."""
    drawn = torch.rand(n, 784, generator=torch.Generator().manual_seed(seed))
    return (1.4 * drawn - 0.2).clamp(0, 1)


TRAIN, LABELS = pictures(120, 0), torch.arange(120) % 10


@pytest.fixture(scope="module")
def model() -> NearestNeighbor:
    return NearestNeighbor(TRAIN, LABELS)


@pytest.fixture(scope="module")
def images() -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy copies of four training images."""
    x = (0.7 * TRAIN[:4] + 0.3 * pictures(4, 1)).view(-1, 1, 28, 28)
    return x, LABELS[:4]


def enumerated(x: torch.Tensor, label: int, norm: str, neighbors: int) -> float:
    """The minimum over rival images of the maximum over the nearest own images."""
    rivals = TRAIN[label != LABELS]
    own = TRAIN[label == LABELS]
    own = own[(own - x).square().sum(dim=1).argsort()[:neighbors]]
    sample = torch.zeros(len(rivals), dtype=torch.int64)
    zero, one = torch.zeros(len(rivals)), torch.ones(len(rivals))
    sizes = [
        minimal_perturbation(
            Box(norm, x[None]),
            sample,
            Reconstruction(v.expand_as(rivals), zero, one),
            Reconstruction(rivals, zero, one),
        ).size
        for v in own
    ]
    return torch.stack(sizes).amax(dim=0).amin().item()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("neighbors", [1, 3])
def test_bound_is_that_of_full_enumeration(model, images, norm, neighbors, monkeypatch):
    for name, size in {"_CHUNK": 7, "_BLOCK": 5, "_SOLVED": 2}.items():  # so that stopping early matters
        monkeypatch.setattr(f"absynth.certificates.proved.{name}", size)
    x, y = images
    found = ProvedBounds(model, SearchSettings(neighbors=neighbors)).bound(x, y, norm)
    expected = [enumerated(a, b, norm, neighbors) for a, b in zip(x.flatten(1), y.tolist(), strict=True)]
    torch.testing.assert_close(found.size.float(), torch.tensor(expected))
    assert (found.rival != y).all()


@pytest.mark.parametrize("norm", NORMS)
def test_a_rival_equal_to_the_own_image_is_found(norm, monkeypatch):
    """No perturbation gains anything for it, and none is needed."""
    monkeypatch.setattr("absynth.certificates.proved._SOLVED", 1)
    model = NearestNeighbor(torch.cat([TRAIN, TRAIN[:1]]), torch.cat([LABELS, torch.tensor([5])]))
    x = (0.7 * TRAIN[:1] + 0.3 * pictures(1, 1)).view(1, 1, 28, 28)
    found = ProvedBounds(model, SearchSettings(neighbors=1)).bound(x, LABELS[:1], norm)
    assert (found.size.item(), found.rival.item()) == (0, 5)


def test_between_two_images_the_bound_is_half_their_distance():
    black, white = torch.zeros(784), torch.zeros(784)
    white[:16] = 1.0
    model = NearestNeighbor(torch.stack([black, white]), torch.tensor([0, 1]), DataFormat((1, 28, 28), 2))
    x, y = torch.zeros(1, 1, 28, 28), torch.zeros(1, dtype=torch.int64)
    bounds = {norm: ProvedBounds(model, SearchSettings()).bound(x, y, norm).size.item() for norm in NORMS}
    assert bounds == {"l2": pytest.approx(2.0), "linf": pytest.approx(0.5), "l0": 8.0}


@pytest.mark.parametrize("norm", NORMS)
def test_the_attack_ends_just_above_the_bound(model, images, norm):
    x, y = images
    bound = ProvedBounds(model, SearchSettings()).bound(x, y, norm).size.double()
    target = Target(model, x, y, norm)
    certificate_attack(norm, steps=25)(target, SampleRandom(0, "test", range(4), x.device))
    assert (model(target.best).argmax(dim=1) != y).all()
    torch.testing.assert_close(distance(x, target.best, norm), target.best_distance)
    assert (target.best_distance >= bound - 1e-3).all()
    assert (target.best_distance <= 1.1 * bound + (1 if norm == "l0" else 0)).all()
    assert (target.queries > 0).all()
    assert (target.gradients == 0).all()


def test_attack_queries_active_images_only(model, images):
    x, y = images
    target = Target(model, x, y, "l2")
    with target.only(torch.tensor([2])):
        certificate_attack("l2", steps=3, class_pairs=1)(target, SampleRandom(0, "test", range(4), x.device))
    assert (target.queries > 0).tolist() == [False, False, True, False]


def test_margin_is_positive_for_clean_images_and_negative_for_images_of_other_classes(model, images):
    x, y = images
    method = lower_bounds(model, SearchSettings())
    assert (method.margin(x, y, x) > 0).all()
    other = TRAIN[4:8].view_as(x)
    assert (method.margin(other, y, x) < 0).all()
    torch.testing.assert_close(
        method.margin(other, LABELS[4:8], x), (-model(other)).topk(2, largest=False).values[:, 1]
    )


def test_paper_has_no_bound_and_misclassified_images_none(model, images):
    x, y = images
    columns, seeds = compute_lower_bounds(
        model, x, torch.tensor([0, 5, 2, 3]), "l2", SearchSettings(batch_size=3)
    )
    assert seeds == []
    assert columns["correct"].tolist() == [True, False, True, True]
    assert columns["joint"][1] == 0
    assert columns["rival"][1] == -1
    assert not columns["joint"].isnan().any()
    nothing, _ = compute_lower_bounds(model, x, (y + 1) % 10, "l2", SearchSettings())
    assert nothing["joint"].tolist() == [0, 0, 0, 0]


def test_models_without_lower_bounds_are_refused():
    with pytest.raises(InputError, match="CNN offers no lower bounds"):
        lower_bounds(CNN(), SearchSettings())
