"""l0 on images of several channels: pixels are counted, and attacks change whole ones. Other shapes, many classes."""

from itertools import combinations, product

import pytest
import torch
from threshold_models import run
from torch import Tensor, nn

from absynth.attacks.minimum_norm import keep_largest
from absynth.attacks.noise import salt_pepper_noise
from absynth.attacks.pixels import any_channel, by_channel, channels_of, every_channel
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.registry import ATTACKS
from absynth.attacks.single_changes import Ends, additions, ends_of
from absynth.attacks.target import Target
from absynth.certificates.proved import ProvedBounds
from absynth.certificates.settings import SearchSettings
from absynth.data.format import DataFormat
from absynth.evaluation.calibration import calibrate
from absynth.evaluation.verification import measure
from absynth.models.building import resolve
from absynth.models.nearest_neighbor import NearestNeighbor
from absynth.norms import NORMS, distance

SHAPE = (3, 4, 5)
N = 4


class Linear(nn.Module):
    """Logits W x + b of flat images, binarised at 0.5 if so wanted, the gradient passed straight through."""

    def __init__(self, shape=SHAPE, n_classes: int = 2, *, binary: bool = False, seed: int = 0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        size = shape[0] * shape[1] * shape[2]
        self.weight = nn.Parameter(torch.randn(n_classes, size, generator=generator))
        self.input_threshold = 0.5 if binary else None

    def forward(self, x: Tensor) -> Tensor:
        if self.input_threshold is not None:
            x = x + ((x >= 0.5).to(x.dtype) - x).detach()
        return x.flatten(1) @ self.weight.T


def images(model: nn.Module, shape=SHAPE, n: int = N, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Of many images those nearest to a decision boundary, and the classes that the model gives them."""
    x = torch.rand(200, *shape, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        best = model(x).topk(2, dim=1)
    nearest = (best.values[:, 0] - best.values[:, 1]).argsort()[:n]
    return x[nearest], best.indices[nearest, 0]


def fewest_pixels(model: Linear, x: Tensor, y: Tensor) -> Tensor:
    """The l0 distance (n,) of a linear model of two classes: pixels by what all channels of one can gain together."""
    w = (model.weight[1 - y] - model.weight[y]).detach()  # (n, d)
    flat = x.flatten(1)
    if model.input_threshold is None:
        gain = torch.where(w > 0, w * (1 - flat), -w * flat)
    else:
        flat = (flat >= 0.5).float()
        gain = torch.where((w > 0) != (flat > 0), w.abs(), 0)
    margin = -(w * flat).sum(dim=1)
    total = gain.unflatten(1, (x.shape[1], -1)).sum(dim=1).sort(dim=1, descending=True).values.cumsum(dim=1)
    return (total < margin[:, None]).sum(dim=1).double() + 1


L0 = {
    "salt_pepper": {"repetitions": 20},
    "pointwise": {"repetitions": 1, "draws": 10},
    "fmn": {"steps": 60},
    "brendel_bethge": {"steps": 20},
    "beam": {"width": 2, "candidates": 30, "pixels": 20},
}


@pytest.mark.parametrize("name", L0)
def test_no_attack_needs_fewer_pixels_than_there_must_be(name):
    model = Linear()
    x, y = images(model)
    found = run(resolve(ATTACKS[name].builder)("l0", **L0[name]), model, x, y, "l0")
    least = fewest_pixels(model, x, y)
    best, distances = found.best, found.best_distance
    assert (distances >= least).all()
    assert distances.isfinite().all()
    assert torch.equal(distances, (best != x).any(dim=1).flatten(1).sum(dim=1).double())
    assert (model(best).argmax(dim=1) != y).all()


@pytest.mark.parametrize("binary", [False, True])
def test_beam_search_finds_the_fewest_pixels_of_a_linear_model(binary):
    """The gradient says exactly which colour of which pixel gains most."""
    model = Linear(binary=binary)
    x, y = images(model)
    target = run(resolve(ATTACKS["beam"].builder)("l0", pixels=20), model, x, y, "l0")
    assert target.findings.recorded.distance.tolist() == fewest_pixels(model, x, y).tolist()


def test_flips_count_pixels():
    model = Linear(binary=True)
    x, y = images(model)
    target = run(resolve(ATTACKS["flips"].builder)("l0", rounds=5), model, x, y, "l0")
    least = fewest_pixels(model, x, y)
    found = target.findings.recorded.distance
    assert (found >= least).all()
    assert (found <= least + 1).all()


def test_fmn_keeps_whole_pixels():
    delta = torch.tensor([[0.9, 0.1, 0.3], [0.0, 0.8, 0.3], [0.0, 0.0, 0.3]]).view(1, 3, 1, 3)
    kept = keep_largest(delta, torch.tensor([2.0]))
    assert torch.equal(kept, delta * torch.tensor([1.0, 1.0, 0.0]))


def test_noise_changes_all_channels_of_a_pixel_to_a_corner():
    model = Linear()
    x, y = images(model)
    target = Target(model, x, y, "l0")
    found, there = salt_pepper_noise(target, SampleRandom(0, "noise", range(N), x.device), draws=20)
    assert there.all()
    changed = (found.view_as(x) != x).any(dim=1, keepdim=True).expand_as(x)
    assert ((found.view_as(x) == 0) | (found.view_as(x) == 1))[changed].all()


# What a pixel is


def test_channels_are_one_pixel_in_l0_alone():
    model = Linear()
    x, y = images(model)
    assert [channels_of(Target(model, x, y, norm)) for norm in ("l0", "l2", "linf")] == [3, 1, 1]
    flat = x.flatten(1)
    assert torch.equal(by_channel(flat, 3), x.flatten(2))
    assert torch.equal(any_channel(flat > 0.9, 3), (x > 0.9).any(dim=1).flatten(1))
    assert torch.equal(every_channel(flat[:, :20], 3).view_as(x), x[:, :1].expand_as(x))
    assert any_channel(flat > 0.9, 1).shape == flat.shape


def test_a_pixel_may_take_all_eight_colours():
    clean = torch.full((1, 6), 0.25)
    ends = ends_of(clean, None, 3)
    assert {tuple(value[0].view(3, 2)[:, 0].tolist()) for value in ends.value} == set(
        product((0.0, 1.0), repeat=3)
    )
    assert ends_of(clean.repeat(1, 5), None, 5).value.shape == (2, 1, 30)  # black and white alone
    assert ends_of(clean, 0.5, 3).value.shape == (7, 1, 6)  # each choice of channels that cross the threshold


def test_additions_rank_pixels_by_the_sum_over_channels():
    """Pixel 1 gains 2 · 0.6, pixel 0 at most 1, though its first channel alone gains more than any of pixel 1."""
    clean = torch.zeros(1, 4)
    gradients = torch.tensor([[[-1.0, -0.6, 0.0, -0.6]]])  # (w, m, d): channel by channel
    found = additions(clean[None], clean, Ends(*ends_of(clean, None, 2)), gradients, 2, 2)
    assert found.pixel[:, 0].tolist() == [1, 0]
    assert found.value[0, 0].tolist() == [1, 1]


@pytest.mark.parametrize("norm", NORMS)
def test_distances_and_their_verification_count_the_same(norm):
    x = torch.rand(5, *SHAPE)
    other = torch.where(torch.rand(5, *SHAPE) < 0.2, torch.rand(5, *SHAPE), x)
    assert measure(x.numpy(), other.numpy(), norm) == pytest.approx(
        distance(x, other, norm).numpy(), rel=1e-12
    )
    largest = distance(torch.zeros(1, *SHAPE), torch.ones(1, *SHAPE), norm).item()
    assert NORMS[norm].largest(SHAPE) == pytest.approx(largest, rel=1e-15)


def test_one_channel_or_all_of_a_pixel_count_once():
    x = torch.zeros(2, 3, 2, 2)
    other = x.clone()
    other[0, 1, 0, 0] = other[1, :, 0, 0] = 0.5
    assert distance(x, other, "l0").tolist() == [1, 1]
    assert measure(x.numpy(), other.numpy(), "l0").tolist() == [1, 1]


# Lower bounds


def brute_force(x: Tensor, own: Tensor, rivals: Tensor) -> float:
    """The fewest pixels (2×2) that any rival needs, if all channels of those are set as they gain most."""
    fewest = []
    for u in rivals.double():
        needed = []
        for v in own.double():
            w = u - v
            gain = 2 * (w.abs() * torch.where(w > 0, 1 - x.double(), x.double())).view(3, 4).sum(dim=0)
            margin = (u - x).square().sum() - (v - x).square().sum()
            sizes = [
                k for k in range(5) for some in combinations(range(4), k) if gain[list(some)].sum() >= margin
            ]
            needed.append(min(sizes, default=torch.inf) if margin > 0 else 0)
        fewest.append(max(needed))
    return min(fewest)


@pytest.mark.parametrize("seed", range(4))
def test_l0_bounds_of_nearest_neighbour_count_pixels(seed):
    generator = torch.Generator().manual_seed(seed)
    train = torch.rand(30, 12, generator=generator)
    labels = torch.arange(30) % 3
    model = NearestNeighbor(train, labels, DataFormat((3, 2, 2), 3))
    x = torch.rand(6, 3, 2, 2, generator=generator)
    y = model(x).argmax(dim=1)
    found = ProvedBounds(model, SearchSettings(neighbors=10)).bound(x, y, "l0")
    expected = [
        brute_force(image.flatten(), train[labels == label], train[labels != label])
        for image, label in zip(x, y, strict=True)
    ]
    assert found.size.tolist() == expected


# Many classes


# Options; None for what needs another model.
CHEAP = {
    "transfer": None, "latent_descent": None, "certificate": None, "flips": None,
    "boundary": {"steps": 5},
    "hop_skip_jump": {"steps": 1, "initial_gradient_eval_steps": 5}, "carlini_wagner": {"steps": 20},
    "sparse_l2": {"rounds": 1}, "gaussian_noise": {"repetitions": 2},
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in ATTACKS if CHEAP.get(name, {}) is not None])
def test_every_attack_takes_any_shape_and_a_hundred_classes(name):
    shape = (2, 5, 3)
    model = Linear(shape, 100, seed=3)
    x, y = images(model, shape, 3)
    entry = ATTACKS[name]
    for norm in entry.norms:
        within = {"epsilon": {norm: 0.5 * NORMS[norm].largest(shape)}} if entry.at_epsilons else {}
        target = run(resolve(entry.builder)(norm, **CHEAP.get(name, {}), **within), model, x, y, norm)
        assert target.best.shape == x.shape
        found = target.best_distance.isfinite()
        assert found.any()
        assert (model(target.best).argmax(dim=1) != y)[found].all()
        assert (target.best_distance[found] <= NORMS[norm].largest(shape)).all()


def test_a_hundred_classes_are_calibrated():
    labels = torch.arange(300) % 100
    logits = 5.0 * torch.eye(100)[labels]
    logits[:30] = logits[:30].roll(1, dims=1)
    found = calibrate(logits, labels)
    assert found["accuracy"] == pytest.approx(0.9)
    assert 0 < found["alpha"] < 10
