"""Mixtures of own reconstructions bound what each of them bounds, and more."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from absynth.certificates.class_pair import Reconstruction, minimal_perturbation
from absynth.certificates.own_mixtures import OwnMixtures, likeliest, mixed
from absynth.certificates.perturbations import Box, Flips
from absynth.certificates.search import Minima
from absynth.models.binarize import binarize

PIXELS = 6
NORMS = ("l2", "linf", "l0")
seeds = st.integers(0, 2**31)


def reconstructions(generator: torch.Generator, count: int, n: int = 3) -> list[Reconstruction]:
    """`count` of n images each, in float64."""

    def drawn(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    return [Reconstruction(drawn(n, PIXELS), drawn(n), torch.ones(n).double()) for _ in range(count)]


@settings(deadline=None, max_examples=50)
@given(seeds, st.floats(0, 1))
def test_the_energy_of_a_mixture_is_the_mean_of_the_energies_everywhere(seed, share):
    generator = torch.Generator().manual_seed(seed)
    first, second = reconstructions(generator, 2)
    x = torch.rand(3, PIXELS, generator=generator, dtype=torch.float64)
    expected = (1 - share) * first.energy(x) + share * second.energy(x)
    torch.testing.assert_close(mixed(first, second, share).energy(x), expected)


def perturbations_of(x: torch.Tensor, norm: str, binary: bool) -> Box | Flips:
    return Flips(norm, x, binarize(x)) if binary else Box(norm, x)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("norm", NORMS)
@settings(deadline=None, max_examples=15)
@given(seeds)
def test_no_image_at_which_a_rival_beats_every_own_reconstruction_is_nearer_than_the_bound(
    norm, binary, seed
):
    """On thousands of images around each: that is what makes the score against a mixture a lower bound."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(3, PIXELS, generator=generator, dtype=torch.float64)
    perturbations = perturbations_of(x, norm, binary)
    mixtures, own = OwnMixtures(perturbations), reconstructions(generator, 3)
    rivals = reconstructions(generator, 2)
    for one in own:
        mixtures.add(one)
    for rival in rivals:
        mixtures.face(rival, torch.ones(3, dtype=torch.bool))
    _, score = mixtures.best()
    others = torch.rand(4000, 3, PIXELS, generator=generator, dtype=torch.float64)
    kept = torch.rand(4000, 3, PIXELS, generator=generator) < torch.rand(4000, 3, 1, generator=generator)
    others = torch.where(
        kept, x, others.lerp(x, torch.rand(4000, 3, 1, generator=generator, dtype=torch.float64))
    )
    seen = perturbations.preprocess(others)
    energy = torch.stack([torch.stack([one.energy(p) for p in seen]) for one in own]).amin(dim=0)
    best = torch.stack([torch.stack([one.energy(p) for p in seen]) for one in rivals]).amin(dim=0)
    change = (others - x).abs()
    size = {"l2": change.norm(dim=2), "linf": change.amax(dim=2), "l0": (change > 0).sum(dim=2)}[norm]
    assert (size[best <= energy] >= score.expand_as(size)[best <= energy] - 1e-6).all()


@pytest.mark.parametrize("norm", NORMS)
@settings(deadline=None, max_examples=20)
@given(seeds)
def test_the_mixture_chosen_bounds_no_less_than_any_reconstruction_alone(norm, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(3, PIXELS, generator=generator, dtype=torch.float64)
    perturbations, rows = Box(norm, x), torch.arange(3)
    mixtures, own, rivals = OwnMixtures(perturbations), *(reconstructions(generator, 3) for _ in range(2))
    for one, rival in zip(own, rivals, strict=True):
        mixtures.add(one)
        mixtures.face(rival, torch.ones(3, dtype=torch.bool))
    mixture, score = mixtures.best()

    def against(one):
        return torch.stack([minimal_perturbation(perturbations, rows, one, r).score for r in rivals]).amin(
            dim=0
        )

    torch.testing.assert_close(score, against(mixture))
    for one in own:
        assert (score >= against(one)).all()


def test_two_reconstructions_on_either_side_bound_more_together():
    """What is nearer to (0.9, ½) than to (½, ¼) lies nearer to (½, ½) than what is nearer than to (½, ¾) besides."""

    def one(*image):
        return Reconstruction(torch.tensor([image]), torch.zeros(1), torch.ones(1))

    perturbations = Box("l2", torch.full((1, 2), 0.5))
    mixtures = OwnMixtures(perturbations)
    for image in ((0.5, 0.25), (0.5, 0.75)):
        mixtures.add(one(*image))
    mixtures.face(one(0.9, 0.5), torch.ones(1, dtype=torch.bool))
    mixture, score = mixtures.best()
    # In the middle the offset is ¼²; along the first pixel 0.4² - 0.8 t = ¼².
    assert mixture.image[0].tolist() == pytest.approx([0.5, 0.5], abs=0.05)
    assert score.item() == pytest.approx((0.4**2 - 0.25**2) / 0.8, rel=0.01)


def test_rivals_that_do_not_count_are_ignored_and_images_do_not_touch_each_other():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, PIXELS, generator=generator, dtype=torch.float64)
    own, rivals = (reconstructions(generator, 2) for _ in range(2))
    counts = torch.tensor([[True, True, True], [True, False, True]])
    mixtures = OwnMixtures(Box("l2", x))
    for one, rival, counted in zip(own, rivals, counts, strict=True):
        mixtures.add(one)
        mixtures.face(rival, counted)
    together = mixtures.best()[1]
    for row in range(3):
        alone = OwnMixtures(Box("l2", x[row : row + 1]))
        for one, rival, counted in zip(own, rivals, counts, strict=True):
            alone.add(one[torch.tensor([row])])
            if counted[row]:
                alone.face(rival[torch.tensor([row])], torch.ones(1, dtype=torch.bool))
        torch.testing.assert_close(alone.best()[1], together[row : row + 1])


def test_the_likeliest_rivals_are_those_of_least_score_of_each_half():
    score = torch.tensor([[[9.0, 9.0], [3.0, 1.0], [2.0, 5.0], [4.0, torch.inf], [1.0, 3.0]]])
    z = torch.arange(10.0).view(1, 5, 2, 1).expand(1, 5, 2, 8)
    wanted = torch.tensor([[False, True, True, True, True]])
    found = likeliest(Minima(score, z), wanted)
    assert [(label.item(), latent[0, 0].item()) for label, latent, _ in found] == [
        (4, 8),
        (2, 4),
        (1, 2),
        (1, 3),
        (4, 9),
        (2, 5),
    ]
    assert all(counts.all() for *_, counts in found)
    (*_, counts), *_ = likeliest(Minima(score, z), torch.zeros_like(wanted))
    assert not counts.any()
