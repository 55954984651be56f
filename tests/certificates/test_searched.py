"""Lower bounds for ABS: toys with known boundaries, then the authors' weights."""

import math
from dataclasses import replace

import pytest
import torch
from toy_abs import ToyABS, blocks

from absynth.attacks.certificate import certificate_attack
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.certificates.class_pair import Reconstruction, minimal_perturbation
from absynth.certificates.lower_bounds import compute_lower_bounds
from absynth.certificates.rivals import RivalSearch, closest
from absynth.certificates.search import Minima, Search
from absynth.certificates.searched import SearchedBounds
from absynth.certificates.settings import SearchSettings
from absynth.errors import InputError
from absynth.models.abs.energy import energies
from absynth.models.abs.model import build_abs
from absynth.models.building import ModelFiles

pytestmark = pytest.mark.slow

NORMS = ("l2", "linf", "l0")
QUICK = SearchSettings(starts=2, screened=8, steps=40, own=2, seeds=2)
LABEL = torch.zeros(1, dtype=torch.int64)


def image(flat: torch.Tensor) -> torch.Tensor:
    return flat.view(1, 1, 28, 28)


def flat(value: float) -> Reconstruction:
    return Reconstruction(torch.full((1, 4), value), torch.zeros(1), torch.ones(1))


def test_two_pictures_have_a_hyperplane_between_them():
    """E_1 - E_0 = m - 2w·δ with w = p_1 - p_0: the distance to the plane, exactly, in every norm."""
    pictures = torch.stack([blocks(0.5, 0.5, 0.5, 0.5), blocks(0.6, 0.5, 0.45, 0.5)])
    bounds = SearchedBounds(ToyABS(pictures), QUICK)
    x = image(pictures[0])
    w = pictures[1] - pictures[0]
    margin = w.square().sum()
    assert bounds.bound(x, LABEL, "l2").size.item() == pytest.approx((margin / 2 / w.norm()).item(), rel=1e-4)
    linf = (margin / 2 / w.abs().sum()).item()
    assert bounds.bound(x, LABEL, "linf").size.item() == pytest.approx(linf, rel=1e-4)
    assert bounds.bound(x, LABEL, "l0").size.item() == math.ceil(margin / (2 * 0.1 * 0.5) - 1e-4)
    assert bounds.bound(x, LABEL, "l2").rival.item() == 1
    # The paper's formula bounds the two energies by different perturbations; with r = 0 and z_y = 0 that is tight.
    with_kl, without_kl = next(bounds.paper_bounds("l2"))(x, LABEL)
    assert with_kl.item() == pytest.approx((w.norm() / 2).item(), rel=1e-4)
    assert without_kl.item() == pytest.approx((w.norm() / 2).item(), rel=1e-4)


@pytest.mark.parametrize("norm", NORMS)
def test_the_search_finds_the_best_latent_of_a_rival(norm):
    """One latent moves the rival's picture; the minimum over it is known from a dense grid."""
    pictures = torch.stack([blocks(0.5, 0.55, 0.5, 0.5), blocks(0.6, 0.62, 0.5, 0.52)])
    slopes = torch.zeros(2, 8, 784)
    slopes[1, 0] = blocks(0.0, 0.04, -0.01, 0.0)
    model = ToyABS(pictures, slopes)
    x = image(blocks(0.5, 0.5, 0.5, 0.5))
    bounds = SearchedBounds(model, QUICK)
    latents = torch.linspace(-5, 5, 4001)
    rival = Reconstruction(pictures[1] + latents[:, None] * slopes[1, 0], 0.5 * latents**2, torch.ones(4001))
    own = Reconstruction(pictures[:1].expand(4001, -1), torch.zeros(4001), torch.ones(4001))
    sample = torch.zeros(4001, dtype=torch.int64)
    grid = minimal_perturbation(bounds.perturbations(x, norm), sample, own, rival).score
    assert 0.1 < abs(latents[grid.argmin()].item()) < 4.9  # neither at the start nor at the edge
    found = bounds.bound(x, LABEL, norm)
    assert found.score.item() == pytest.approx(grid.min().item(), rel=1e-3)
    assert found.disagreement.item() < 1e-3


def test_each_rival_needs_the_most_against_any_own_reconstruction():
    """The second own reconstruction is fitted half-way to rival 1.

    Against it rival 1 needs more than against the first, and rival 2 needs less.
    """
    pictures = torch.stack(
        [blocks(0.5, 0.5, 0.5, 0.5), blocks(0.6, 0.5, 0.5, 0.5), blocks(0.5, 0.61, 0.5, 0.5)]
    )
    slopes = torch.zeros(3, 8, 784)
    slopes[0, 0] = blocks(0.1, 0.0, 0.0, 0.0)
    bounds = SearchedBounds(ToyABS(pictures, slopes), QUICK)
    # 196 pixels a block: z = 196 · 0.1 · 0.025 / (196 · 0.01 + ½) fits x + ½δ = 0.525, and shifts the block by 0.1 z
    z = 0.49 / 2.46
    own = 1.96 * z**2 + 0.5 * z**2
    first = [14 * 0.1 / 2, 14 * 0.11 / 2]
    second = [
        (1.96 - own) / (2 * 14 * (0.1 - 0.1 * z)),
        (1.96 * 1.21 - own) / (2 * 14 * math.hypot(0.11, 0.1 * z)),
    ]
    assert first[0] < second[1] < first[1] < second[0]
    found = bounds.bound(image(pictures[0]), LABEL, "l2")
    assert found.score.item() == pytest.approx(first[1], rel=1e-3)
    assert found.rival.item() == 2


def test_a_class_needs_no_more_than_either_half_found_against_one_own_reconstruction():
    """Class 1 needs 1.1 throughout; class 2 needs 1.0 against either, though each half missed that once."""
    wanted = torch.tensor([[False, True, True]])
    inf = torch.inf
    scores = [[[[inf, inf], [1.1, 1.1], [1.0, 1.2]]], [[[inf, inf], [1.1, 1.1], [1.2, 1.0]]]]
    searches = [
        RivalSearch(flat(own), wanted, None, Minima(torch.tensor(score), torch.zeros(1, 3, 2, 8)))
        for own, score in zip((0.0, 1.0), scores, strict=True)
    ]
    assert closest(searches)[0].item() == 2
    searches[1] = replace(searches[1], minima=Minima(searches[1].minima.score + 0.05, searches[1].minima.z))
    label, own, _ = closest(searches)  # against the second reconstruction class 2 now needs 1.05
    assert (label.item(), own.image[0, 0].item()) == (2, 1.0)


def test_perturbed_restarts_lower_only_the_minima_that_are_wanted():
    """From a latent far from the best one; a class or an image that is not wanted stays as it is."""
    pictures, slopes = blocks(0.5, 0.5, 0.5, 0.5).repeat(2, 1), torch.zeros(2, 8, 784)
    slopes[:, 0] = blocks(0.1, 0.0, 0.0, 0.0)
    model = ToyABS(pictures, slopes)

    def energy(pairs, images):
        target = pictures[pairs.sample]
        return energies(images, target, pairs.z), target

    start = Minima(torch.full((2, 2, 2), 9.0), torch.ones(2, 2, 2, 8))
    wanted = torch.tensor([[True, False], [False, True]])
    label = torch.tensor([[1, 0], [0, 0]])
    found = Search(model.decoders, energy, QUICK, prior=1.0).restart(start, label, wanted)
    lowered = torch.zeros(2, 2, 2, dtype=torch.bool)
    lowered[0, 1, 0] = lowered[1, 0, 1] = True
    assert (found.score[lowered] < 1e-2).all()
    assert torch.equal(found.score[~lowered], start.score[~lowered])
    assert torch.equal(found.z[~lowered], start.z[~lowered])
    images = model.decoders(found.z[lowered], [1, 1])
    torch.testing.assert_close(energies(images, pictures, found.z[lowered]), found.score[lowered])


def test_binary_bound_counts_flips():
    """Ten pixels tell the pictures apart, and half of them must flip."""
    one, other = torch.zeros(784), torch.zeros(784)
    other[:10] = 1.0
    x = torch.full((784,), 0.1)
    x[:10] = torch.linspace(0.05, 0.45, 10)
    bounds = SearchedBounds(ToyABS(torch.stack([one, other]), binary=True), QUICK)
    assert bounds.bound(image(x), LABEL, "l0").size.item() == 5
    costs = (0.5 - x[:10]).sort().values
    assert bounds.bound(image(x), LABEL, "linf").size.item() == pytest.approx(costs[4].item())
    assert bounds.bound(image(x), LABEL, "l2").size.item() == pytest.approx(costs[:5].norm().item(), rel=1e-4)


def test_binary_bound_weighs_energies_by_gamma():
    """γ (10 - k) ≤ k: with γ = 1.6 for the rival, 7 of 10 pixels; with γ = 0.6, 4."""
    one, other = torch.zeros(784), torch.zeros(784)
    other[:10] = 1.0
    for gamma in (1.6, 0.6):
        model = ToyABS(torch.stack([one, other]), binary=True, gamma=[1.0, gamma])
        least = math.ceil(10 * gamma / (1 + gamma))
        assert SearchedBounds(model, QUICK).bound(image(torch.zeros(784)), LABEL, "l0").size.item() == least


def test_gamma_without_binarisation_is_refused():
    with pytest.raises(InputError, match="only for binarised input"):
        SearchedBounds(ToyABS(torch.zeros(2, 784), gamma=[1.0, 1.1]), QUICK)


def test_paper_linf_bound_is_where_its_two_sides_meet():
    """r = 0: the own energy grows to Σ ε², the rival's shrinks to Σ (|w| - ε)²; w is one block of pixels."""
    pictures = torch.stack([blocks(0.5, 0.5, 0.5, 0.5), blocks(0.6, 0.5, 0.5, 0.5)])
    bounds = SearchedBounds(ToyABS(pictures), QUICK)
    with_kl, without_kl = next(bounds.paper_bounds("linf"))(image(pictures[0]), LABEL)
    # 196 (0.1 - ε)² = 784 ε²: 0.1 - ε = 2ε
    assert with_kl.item() == pytest.approx(0.1 / 3, rel=1e-4)
    assert without_kl.item() == pytest.approx(0.1 / 3, rel=1e-4)


def test_each_seed_has_its_own_prior_samples():
    bounds = SearchedBounds(ToyABS(torch.rand(2, 784), 0.02 * torch.randn(2, 8, 784)), QUICK)
    assert len(list(bounds.paper_bounds("l2"))) == 2
    assert list(bounds.paper_bounds("l0")) == []


@pytest.fixture(scope="module")
def released(published):
    files = ModelFiles(tuple(published / f"ABS_{label}.net" for label in range(10)))
    return build_abs(files, prior_samples=2000).eval()


SEARCH = SearchSettings(starts=3, steps=20, own=1, seeds=1)


@pytest.mark.published
@pytest.mark.mnist
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_joint_bound_is_never_below_the_papers(released, mnist_test, norm):
    x, y = (part[:8] for part in mnist_test)
    columns, (paper,) = compute_lower_bounds(released, x, y, norm, SEARCH)
    assert columns["correct"].all()
    assert (columns["joint"] >= paper["paper_without_kl"]).all()
    assert (paper["paper_without_kl"] >= paper["paper"]).all()
    assert (columns["joint"] > 1.5 * paper["paper"]).all()
    assert (columns["rival"] != y).all()


@pytest.mark.published
@pytest.mark.mnist
def test_no_perturbation_inside_the_bound_changes_the_converged_decision(released, mnist_test):
    x, y = (part[:4] for part in mnist_test)
    bounds = SearchedBounds(released.with_inference("reference"), replace(SEARCH, own=2))
    generator = torch.Generator().manual_seed(0)
    for norm in ("l2", "linf"):
        bound = bounds.bound(x, y, norm).size[:, None]
        (pair,) = bounds.class_pairs(x, y, norm, 1)
        perturbations = bounds.perturbations(x, norm)
        worst = minimal_perturbation(perturbations, torch.arange(4), pair.own, pair.rival).delta
        noise = torch.randn(4, 784, generator=generator)
        for direction in (worst, worst + 0.5 * worst.norm(dim=1, keepdim=True) * noise / 28, noise):
            delta = direction.sign() if norm == "linf" else direction / direction.norm(dim=1, keepdim=True)
            points = (x.flatten(1) + 0.99 * bound * delta).clamp(0, 1).view_as(x)
            assert (bounds.margin(points, y, x) > 0).all()


@pytest.mark.published
@pytest.mark.mnist
def test_misclassified_images_have_no_bound(released, mnist_test):
    x, y = mnist_test[0][:3], mnist_test[1][:3].clone()
    y[1] = (y[1] + 1) % 10
    columns, (paper,) = compute_lower_bounds(released, x, y, "l2", SEARCH)
    assert columns["correct"].tolist() == [True, False, True]
    assert (columns["joint"] > 0).tolist() == [True, False, True]
    assert columns["rival"][1] == -1
    assert (paper["paper"][1], columns["disagreement"][1]) == (0, 0)


@pytest.mark.parametrize("changes", [{"perturbed_restarts": 0}, {"first_steps": 0}, {"pruning_share": 0.0}])
def test_a_reduced_search_still_gives_a_bound(changes):
    pictures = torch.stack(
        [blocks(0.5, 0.5, 0.5, 0.5), blocks(0.6, 0.5, 0.45, 0.5), blocks(0.9, 0.1, 0.5, 0.5)]
    )
    bounds = SearchedBounds(ToyABS(pictures), replace(QUICK, **changes))
    found = bounds.bound(image(pictures[0]), LABEL, "l2")
    assert found.rival.item() == 1
    half = (pictures[1] - pictures[0]).norm().item() / 2
    assert half * 0.99 <= found.size.item() <= half + 1.0  # latents away from 0 cost at most their prior


@pytest.mark.published
@pytest.mark.mnist
@pytest.mark.parametrize("norm", NORMS)
def test_attack_ends_above_the_bound_and_near_it(released, mnist_test, norm):
    x, y = (part[:3] for part in mnist_test)
    columns, _ = compute_lower_bounds(released, x, y, norm, SEARCH)
    found = attack_images(
        AttackSettings(
            certificate_attack(norm, class_pairs=2, steps=15), "certificate", norm, seed=0, batch_size=2
        ),
        released,
        Samples(x, y, torch.arange(3)),
    )
    assert (found["distance"] >= columns["joint"] - 1e-3).all()
    assert (found["distance"].median() / columns["joint"].median()).item() < 1.15
