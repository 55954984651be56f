"""Bounds from mixtures of own images: the distance to the region in which a rival beats them all."""

from types import SimpleNamespace

import brute_force
import pytest
import torch
from brute_force import energies, toy
from hypothesis import given, settings
from hypothesis import strategies as st
from soundness import check_sound
from torch import Tensor

from absynth.attacks.certificate import certificate_attack
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.certificates import mixtures, proved
from absynth.certificates.lower_bounds import lower_bounds
from absynth.certificates.proved import ProvedBounds
from absynth.certificates.settings import SearchSettings
from absynth.certificates.whole_pixels import PixelProgram
from absynth.models.prototypes import PrototypeABS
from absynth.norms import NORMS, distance

D, CLASSES = 3, 3
pixels = st.sampled_from((0.0, 0.25, 0.5, 1.0)) | st.floats(0, 1, width=32)


@st.composite
def toys(draw):
    """A model of up to four images a class and an image (D,), with ties, duplicates and pixels at the ends."""
    size = draw(st.integers(CLASSES, 4 * CLASSES))
    rows = st.lists(pixels, min_size=D, max_size=D)
    images = torch.tensor(draw(st.lists(rows, min_size=size, max_size=size)))
    offsets = torch.tensor(
        draw(st.lists(st.sampled_from((0.0, 0.0, 0.125, 0.5)), min_size=size, max_size=size))
    )
    return toy(images, torch.arange(size) % CLASSES, offsets), torch.tensor(draw(rows))


def mixed_bound(model, x: Tensor, norm: str, most: int = 20, neighbors: int = 2) -> tuple[float, int]:
    """The bound at x (d,), and its label."""
    label = int(energies(model, x[None]).argmin())
    method = ProvedBounds(model, SearchSettings(neighbors=neighbors, mixtures=most))
    return method.bound(x[None], torch.tensor([label]), norm).size.item(), label


@pytest.fixture(autouse=True, params=["small blocks", "as shipped"])
def blocks(request, monkeypatch):
    """Small ones, so that order and stopping early matter."""
    if request.param == "small blocks":
        for name, size in {"_CHUNK": 2, "_BLOCK": 3, "_SOLVED": 1, "_KNOWN": 1}.items():
            monkeypatch.setattr(proved, name, size)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@settings(max_examples=25, deadline=None)
@given(case=toys())
def test_bound_is_the_distance_rounded_down(norm, case):
    model, x = case
    found, label = mixed_bound(model, x, norm)
    expected = brute_force.distance(model, x, label, norm)
    assert found <= expected * (1 + 1e-9) + 1e-9
    if expected < float("inf"):
        assert found >= expected * (1 - 1e-4) - 1e-5


@settings(max_examples=40, deadline=None)
@given(case=toys())
def test_bound_is_the_number_of_whole_pixels(case):
    """Up to ties, at which rounding may lower it: then no less than with the own images worse off by 1e-4."""
    model, x = case
    found, label = mixed_bound(model, x, "l0")
    assert found <= brute_force.distance(model, x, label, "l0")
    labels = torch.arange(len(model.counts)).repeat_interleave(torch.tensor(model.counts))
    favoured = model.offsets.double() + 1e-4 * (labels == label)
    assert found >= brute_force.distance(replaced(model, favoured), x, label, "l0")


def replaced(model: SimpleNamespace, offsets: Tensor) -> SimpleNamespace:
    return SimpleNamespace(images=model.images, offsets=offsets, counts=model.counts, channels=1)


@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=25, deadline=None)
@given(case=toys(), most=st.integers(1, 3))
def test_bound_is_sound_and_no_smaller_than_that_of_single_images(norm, case, most):
    model, x = case
    found, label = mixed_bound(model, x, norm, most)
    check_sound(model, x, label, found, norm)
    assert found >= mixed_bound(model, x, norm, 0)[0]


def between() -> tuple:
    """Two own images, both of which a rival must beat: halfway between them, further than from either."""
    images = torch.tensor([[0.5, 0.2, 0.1], [0.5, 0.8, 0.1], [0.5, 0.5, 0.9]])
    return toy(images, torch.tensor([0, 0, 1]), torch.zeros(3)), torch.tensor([0.5, 0.5, 0.2])


def test_two_own_images_together_give_more_than_each():
    """Against each, δ·w ≥ m / 2 with w = (0, ±0.3, 0.8); against their mean the second pixel cancels."""
    model, x = between()
    margin = 0.7**2 - (0.3**2 + 0.1**2)
    single, mixed = mixed_bound(model, x, "l2", 0)[0], mixed_bound(model, x, "l2")[0]
    assert single == pytest.approx(margin / 2 / (0.3**2 + 0.8**2) ** 0.5)
    assert mixed == pytest.approx(margin / 2 / 0.8)
    assert mixed_bound(model, x, "linf")[0] == pytest.approx(margin / 2 / 0.8)


def test_any_weights_give_a_bound(monkeypatch):
    model, x = between()
    for share in (0.0, 0.3, 0.9):
        weights = torch.tensor([share, 1 - share]).double()
        monkeypatch.setattr(mixtures, "best_mixture", lambda m, w, x, norm, weights=weights: (weights, 0 * x))
        for norm in NORMS:
            found, label = mixed_bound(model, x, norm)
            check_sound(model, x, label, found, norm)


def test_a_wrong_mixture_is_caught(monkeypatch):
    """Margins that are not mixed as w is."""
    model, x = between()
    monkeypatch.setattr(
        mixtures, "mixture", lambda margin, w, weights: (1.3 * (weights @ margin), weights @ w)
    )
    found, label = mixed_bound(model, x, "l2")
    with pytest.raises(AssertionError):
        check_sound(model, x, label, found, "l2")


def test_a_bound_that_is_not_a_number_does_not_count(monkeypatch):
    model, x = between()
    monkeypatch.setattr(mixtures, "mixture", lambda margin, w, weights: (margin[0] * torch.nan, w[0]))
    assert mixed_bound(model, x, "l2")[0] == mixed_bound(model, x, "l2", 0)[0]


def test_an_image_shared_by_two_classes_leaves_nothing():
    images = torch.tensor([[0.5, 0.2, 0.1], [0.5, 0.2, 0.1], [0.4, 0.2, 0.2]])
    model = toy(images, torch.tensor([0, 1, 0]), torch.tensor([0.0, 0.0, 1.0]))
    for norm in NORMS:
        assert mixed_bound(model, torch.tensor([0.5, 0.3, 0.1]), norm)[0] == 0


def copies(number: int, noise: float, offset: float) -> PrototypeABS:
    """So many noisy copies of one picture a class, with offsets of up to that."""
    generator = torch.Generator().manual_seed(3)
    pictures = 0.5 + 0.3 * (torch.rand(10, 1, 784, generator=generator) - 0.5)
    images = (pictures + noise * torch.randn(10, number, 784, generator=generator)).clamp(0, 1).flatten(0, 1)
    offsets = offset * torch.rand(10 * number, generator=generator)
    return PrototypeABS(images, offsets, torch.full((10,), number)).eval()


@pytest.fixture(scope="module")
def model() -> PrototypeABS:
    return copies(6, 0.1, 3)


@pytest.mark.parametrize(("norm", "gap"), [("l2", 1.001), ("linf", 1.001), ("l0", 1)])
def test_the_attack_ends_at_the_bound(norm, gap, model):
    """Means of the own images are correctly classified, and several of those must be beaten at once."""
    x = model.images.view(10, 6, 784).mean(dim=1)[:4].view(4, 1, 28, 28)
    y = torch.arange(4)
    options = SearchSettings(mixtures=10)
    bound = lower_bounds(model, options).bound(x, y, norm).size
    single = lower_bounds(model, SearchSettings()).bound(x, y, norm).size
    target = Target(model, x, y, norm)
    certificate_attack(norm, class_pairs=1, steps=20, mixtures=10)(
        target, SampleRandom(0, "test", range(4), x.device)
    )
    assert (bound >= single).all()
    assert (bound > single).any()
    assert (target.best_distance >= bound).all()
    assert (target.best_distance <= gap * bound).all()


@pytest.mark.parametrize(
    ("number", "noise", "offset"), [(12, 0.2, 1), (6, 0.1, 3)], ids=["capped", "unsolved"]
)
def test_in_l0_pixels_also_change_all_the_way(number, noise, offset, monkeypatch):
    """Where more than five own images must be beaten, or HiGHS finds nothing, no values that suffice are known."""
    if number == 6:
        monkeypatch.setattr(PixelProgram, "fewest", lambda self: None)
    model = copies(number, noise, offset)
    x = model.images.view(10, number, 784).mean(dim=1)[1].view(1, 1, 28, 28)
    y, rows = torch.tensor([1]), torch.tensor([0])
    method = lower_bounds(model, SearchSettings(mixtures=5))
    delta = method.minimisers(x, y, "l0")
    in_part = (x.flatten(1) + delta).clamp(0, 1).view_as(x)
    whole = method.perturbations(x, "l0").apply(rows, delta).view_as(x)
    assert model(in_part).argmax() == 1
    assert model(whole).argmax() != 1
    target = Target(model, x, y, "l0")
    certificate_attack("l0", class_pairs=0, steps=1, mixtures=5)(
        target, SampleRandom(0, "test", [0], x.device)
    )
    assert target.best_distance <= distance(x, whole, "l0")


def two_inequalities(last_offset: float) -> SimpleNamespace:
    """Every pixel gains 2 of the 5 that the first own image asks for; the second is easy."""
    own, margins = (
        torch.stack([torch.zeros(8), 0.5 * torch.ones(8)]).double(),
        torch.tensor([5.0, 0.1]).double(),
    )
    return SimpleNamespace(
        x=torch.zeros(8).double(),
        own=own,
        offsets=torch.tensor([0.0, last_offset]).double(),
        rival=lambda position: (torch.ones(8).double(), torch.tensor(-100.0).double()),
        margin=lambda position, places: margins[places],
        nearest=lambda point: 0,
    )


def test_no_program_of_whole_pixels_is_solved_twice(monkeypatch):
    """The bound is raised by a pixel at a time, and the program stays the same."""
    solved = []
    fewest = PixelProgram.fewest
    monkeypatch.setattr(PixelProgram, "fewest", lambda self: solved.append(self) or fewest(self))
    start = mixtures.Candidate(1.0, 0, [0, 1], torch.tensor([1.0, 0.0]).double())
    search = mixtures.Mixtures("l0", two_inequalities(0.0), most=2)
    found, _ = search.smallest(iter([(0.0, lambda: [start])]))
    assert (found.bound, found.delta.count_nonzero(), len(solved)) == (3, 3, 1)


def test_each_own_image_has_a_weight_with_whole_pixels_too():
    start = mixtures.Candidate(1.0, 0, [0], torch.ones(1).double())
    found = mixtures.Mixtures("l0", two_inequalities(-1000.0), most=2)._whole(start)
    assert found.active == [0, 1]
    assert found.weights.tolist() == [1, 0]
    assert found.whole == 1
