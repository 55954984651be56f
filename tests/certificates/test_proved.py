"""Proved lower bounds against brute force, and against perturbations just inside them."""

import typing

import brute_force
import pytest
import torch
from brute_force import energies, toy
from hypothesis import given, settings
from hypothesis import strategies as st
from soundness import check_sound
from torch import Tensor

from absynth.certificates import proved
from absynth.certificates.lower_bounds import lower_bounds
from absynth.certificates.perturbations import Box
from absynth.certificates.proved import ProvedBounds
from absynth.certificates.rounding import GUARANTEED
from absynth.certificates.screening import screen
from absynth.certificates.settings import SearchSettings
from absynth.errors import InputError
from absynth.models.building import resolve
from absynth.models.registry import KINDS
from absynth.norms import NORMS

D, CLASSES = 5, 3
GRID = (0.0, 0.25, 0.5, 0.75, 1.0)
pixels = st.sampled_from(GRID) | st.floats(0, 1, width=32)


@st.composite
def toys(draw, per_class: int = 3, grid: bool = False):
    """A model and an image (d,): pixels at the ends of the box, on a grid and between; ties and duplicates."""
    size = draw(st.integers(CLASSES, CLASSES * per_class))
    kind = st.sampled_from(GRID) if grid else pixels
    images = torch.tensor(
        draw(st.lists(st.lists(kind, min_size=D, max_size=D), min_size=size, max_size=size))
    )
    labels = torch.arange(size) % CLASSES
    if draw(st.booleans()):  # the same image in two classes
        images[draw(st.integers(0, size - 1))] = images[draw(st.integers(0, size - 1))]
    offsets = torch.tensor(
        draw(st.lists(st.sampled_from((0.0, 0.125, 0.5, 3.0)), min_size=size, max_size=size))
    )
    x = torch.tensor(draw(st.lists(kind, min_size=D, max_size=D)))
    return toy(images, labels, offsets), x


def proved_bound(model, x: Tensor, label: int, norm: str, neighbors: int) -> float:
    method = ProvedBounds(model, SearchSettings(neighbors=neighbors))
    return method.bound(x[None], torch.tensor([label]), norm).size.item()


@pytest.fixture(autouse=True, params=["small blocks", "as shipped"])
def blocks(request, monkeypatch):
    """Small ones, so that stopping early matters."""
    if request.param == "small blocks":
        for name, size in {"_CHUNK": 2, "_BLOCK": 3, "_SOLVED": 1}.items():
            monkeypatch.setattr(proved, name, size)


@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=50, deadline=None)
@given(case=toys(), neighbors=st.integers(1, 3))
def test_bound_is_that_of_brute_force_rounded_down(norm, case, neighbors):
    model, x = case
    label = int(energies(model, x[None]).argmin())
    found = proved_bound(model, x, label, norm, neighbors)
    expected = brute_force.bound(model, x, label, norm, neighbors)
    assert found <= expected * (1 + 1e-9) + 1e-9
    if norm == "l0":  # a margin of rounding errors alone may be a pixel
        assert found >= expected - (1 if expected < 1e9 else 0)
    elif expected == float("inf"):
        assert found == expected
    else:
        assert found >= expected * (1 - 1e-5) - 1e-6


@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=40, deadline=None)
@given(case=toys(grid=True))
def test_bound_equals_brute_force_where_arithmetic_is_exact(norm, case):
    """Pixels and offsets in eighths: margins are exact, ties and margins of 0 among them."""
    model, x = case
    label = int(energies(model, x[None]).argmin())
    expected = brute_force.bound(model, x, label, norm, 2)
    assert proved_bound(model, x, label, norm, 2) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=50, deadline=None)
@given(case=toys(), neighbors=st.integers(1, 3))
def test_nothing_inside_the_bound_changes_the_decision(norm, case, neighbors):
    model, x = case
    label = int(energies(model, x[None]).argmin())
    check_sound(model, x, label, proved_bound(model, x, label, norm, neighbors), norm)


def fixed_toy():
    """One prototype a class: the bound is the distance to the decision boundary. Some pixels have no room."""
    images = torch.tensor(
        [
            [1.0, 0.6, 0.0, 1.0, 0.9, 0.0, 1.0, 1.0, 0.1, 1.0],
            [0.0, 0.3, 1.0, 0.5, 0.0, 0.2, 0.2, 0.3, 0.6, 1.0],
            [0.6, 0.0, 0.6, 1.0, 1.0, 0.0, 0.3, 0.0, 0.1, 0.9],
        ]
    )
    x = torch.tensor([1.0, 0.8, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    return toy(images, torch.arange(3), torch.tensor([1.25, 0.5, 0.0])), x


def test_the_toy_of_the_wrong_bounds_is_sound():
    model, x = fixed_toy()
    for norm in NORMS:
        size = proved_bound(model, x, 0, norm, 1)
        assert size > 0.1
        check_sound(model, x, 0, size, norm)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_just_outside_the_bound_of_two_prototypes_the_decision_changes(norm):
    """So nothing is given away: the bound is the distance."""
    model, x = fixed_toy()
    with pytest.raises(AssertionError):
        check_sound(model, x, 0, proved_bound(model, x, 0, norm, 1) * (1 + 1e-6), norm)


def _without_offsets(monkeypatch):
    monkeypatch.setattr(
        ProvedBounds,
        "__init__",
        lambda self, model, settings, original=ProvedBounds.__init__: original(
            self, toy(model.images, _labels(model), torch.zeros_like(model.offsets)), settings
        ),
    )


def _labels(model) -> Tensor:
    return torch.arange(len(model.counts)).repeat_interleave(torch.tensor(model.counts))


def _room_too_small(monkeypatch):
    for norm, original in list(GUARANTEED.items()):
        monkeypatch.setitem(
            GUARANTEED, norm, lambda margin, gain, room, f=original: f(margin, gain, room.clamp_max(0.1))
        )


def _margin_too_large(monkeypatch):
    for norm, original in list(GUARANTEED.items()):
        monkeypatch.setitem(
            GUARANTEED, norm, lambda margin, gain, room, f=original: f(1.6 * margin, gain, room)
        )


def _screened_too_high(monkeypatch):
    monkeypatch.setattr(proved, "_SOLVED", 1)
    monkeypatch.setattr(
        proved,
        "screen",
        lambda queries, rivals, norm, few=False: 20 * (screen(queries, rivals, norm) > 0) * rivals.extent,
    )


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    "mistake", [_without_offsets, _room_too_small, _margin_too_large, _screened_too_high]
)
def test_a_wrong_bound_is_caught(mistake, norm, monkeypatch):
    """The tests above tell a bound from one that is not: this is what they do with four mistakes."""
    model, x = fixed_toy()
    mistake(monkeypatch)
    with pytest.raises(AssertionError):
        check_sound(model, x, 0, proved_bound(model, x, 0, norm, 1), norm)


@pytest.mark.parametrize("norm", NORMS)
def test_a_prototype_shared_by_two_classes_leaves_nothing(norm):
    images = torch.tensor([[0.5, 0.5, 0, 0, 1], [0.5, 0.5, 0, 0, 1], [1.0, 1, 1, 1, 1]])
    model = toy(images, torch.arange(3), torch.tensor([1.0, 1.0, 0.0]))
    assert proved_bound(model, torch.tensor([0.5, 0.4, 0, 0, 1]), 0, norm, 2) == 0


@pytest.mark.parametrize("norm", NORMS)
def test_a_rival_that_cannot_win_leaves_all(norm):
    """Its offset exceeds what any image can gain."""
    model = toy(torch.tensor([[0.5] * D, [0.25] * D]), torch.arange(2), torch.tensor([0.0, 50.0]))
    assert proved_bound(model, torch.full((D,), 0.5), 0, norm, 1) == float("inf")


def test_bounds_that_are_not_numbers_are_none(monkeypatch):
    model, x = fixed_toy()
    for norm in NORMS:
        monkeypatch.setitem(GUARANTEED, norm, lambda margin, gain, room: margin * torch.nan)
        assert proved_bound(model, x, 0, norm, 1) == 0


@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=40, deadline=None)
@given(case=toys())
def test_screened_bounds_are_below_the_exact_ones(norm, case):
    model, x = case
    method = ProvedBounds(model, SearchSettings(neighbors=1))
    own = torch.tensor([0])
    queries, rivals = method._queries(x[None], own), method._rivals(slice(None))
    found = torch.maximum(*(screen(queries, rivals, norm, few=few)[0] for few in (False, True)))
    energy = (model.images.double() - x.double()).square().sum(dim=1) + model.offsets.double()
    exact = [
        brute_force.smallest(x, model.images[0], u, (energy[i] - energy[0]).item(), norm)
        for i, u in enumerate(model.images)
    ]
    assert (found.double() <= torch.tensor(exact).double() * (1 + 1e-12)).all()


@pytest.mark.parametrize("norm", NORMS)
def test_guaranteed_sizes_agree_with_the_search_and_are_rounded_down(norm):
    generator = torch.Generator().manual_seed(1)
    w = torch.randn(50, 784, generator=generator).double() / 4
    x = (1.4 * torch.rand(1, 784, generator=generator) - 0.2).clamp(0, 1).double()
    room = torch.where(w > 0, 1 - x, x)
    total = (2 * w.abs() * room).sum(dim=1)
    margin = total * torch.linspace(0.01, 0.99, 50).double()
    zero = torch.zeros(50, dtype=torch.int64)
    searched = Box(norm, x)(zero, margin, w, zero).size
    found = GUARANTEED[norm](margin, 2 * w.abs(), room)
    torch.testing.assert_close(found, searched, rtol=1e-5, atol=1e-9)
    if (
        norm != "l0"
    ):  # water filling ends at a level of its own rounding; the true size is at most that of a full one
        delta = Box(norm, x)(zero, margin * (1 + 1e-5), w, zero).delta
        assert ((2 * w * delta).sum(dim=1) > margin).all()
        assert (found < NORMS[norm].measure(delta)).all()


def test_few_of_many_rivals_are_solved_and_their_number_is_reported():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(1000) % 10
    centres = (torch.rand(10, 784, generator=generator) > 0.8).float()
    noise, share = (torch.rand(1000, 784, generator=generator) for _ in range(2))
    images = torch.where(share < 0.05, noise, centres[labels])
    model = toy(images, labels, torch.rand(1000, generator=generator))
    x = 0.8 * images[:3] + 0.2 * images[7:10]
    for norm in NORMS:
        found = ProvedBounds(model, SearchSettings()).bound(x, torch.arange(3), norm)
        assert found.solved is not None
        assert (found.solved >= 1).all()
        assert (found.solved <= 300).all()
        for image, label, size in zip(x, range(3), found.size.tolist(), strict=True):
            check_784(model, image, label, size, norm)


def check_784(model, x: Tensor, label: int, size: float, norm: str) -> None:
    """The least over all rivals of the largest over own images, solved with no screening, in float64."""
    method = ProvedBounds(model, SearchSettings())
    own = method._own(x[None], torch.tensor([label]), method.settings.neighbors)[0]
    rivals = (_labels(model) != label).nonzero().flatten()
    every = torch.cat([method._guaranteed(x, own, part, norm).amax(dim=1) for part in rivals.split(300)])
    assert every.min().item() == size


def test_images_of_another_dtype_are_refused():
    """Their pixels near 0 or 1 would be rounded onto it."""
    model, x = fixed_toy()
    with pytest.raises(
        InputError, match=r"images have dtype torch\.float64, the model's prototypes torch\.float32"
    ):
        ProvedBounds(model, SearchSettings()).bound(x[None].double(), torch.tensor([0]), "l2")


def test_own_image_and_rival_are_screened_with_products_of_any_precision():
    model, x = fixed_toy()
    before = torch.get_float32_matmul_precision()
    plain = ProvedBounds(model, SearchSettings()).bound(x[None], torch.tensor([0]), "l2").size
    torch.set_float32_matmul_precision("medium")
    try:
        found = ProvedBounds(model, SearchSettings()).bound(x[None], torch.tensor([0]), "l2").size
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(found, plain)


def test_the_registry_knows_whose_bounds_are_proved():
    """By the classes that its builders return."""
    for kind in KINDS.values():
        if kind.lower_bound:
            built = typing.get_type_hints(resolve(kind.builder))["return"]
            proved = lower_bounds.dispatch(built) is ProvedBounds
            assert kind.proved is proved, kind.label
