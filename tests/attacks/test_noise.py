"""Noise attacks, and the line searches below them, against answers known on paper."""

import pytest
import torch
from threshold_models import SIZE, black, run, ten_classes, threshold

from absynth.attacks.line_search import Family, bisect_curve, smallest_of_draws, smallest_success
from absynth.attacks.noise import gaussian_noise, rank, salt_pepper, salt_pepper_noise
from absynth.attacks.pointwise import pointwise
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target


def brightness(parts: int, m: int) -> Family:
    """Black images (m) that become brighter in all pixels, each of the curves at its own speed 1, 2, …"""
    speed = torch.arange(1.0, parts + 1)[:, None, None].expand(parts, m, SIZE)
    return Family(lambda t, clean, speed: (clean + t * speed).clamp(0, 1), torch.zeros(m, SIZE), (speed,))


def bright_target(m: int = 2, level: float = 0.3) -> Target:
    """Class 1 above a mean brightness of `level`."""
    return Target(threshold(torch.ones(SIZE) / SIZE, level), *black(m), "linf")


def test_smallest_success_is_found_to_the_bisection():
    target = bright_target()
    found = smallest_success(target, brightness(1, 2), torch.tensor([0.25, 0.5, 1.0]), bisections=10)
    assert ((found >= 0.3) & (found <= 0.3 + 0.25 * 2**-10)).all()
    assert target.queries.tolist() == [12, 12]


def test_no_success_on_the_grid_is_infinity():
    target = bright_target(level=0.9)
    assert smallest_success(target, brightness(1, 2), torch.tensor([0.5, 0.75]), bisections=3).isinf().all()
    assert target.queries.tolist() == [2, 2]


def test_bisection_stops_at_the_resolution():
    target = bright_target()
    found = bisect_curve(
        target,
        brightness(1, 2),
        torch.zeros(2),
        torch.tensor([1.0, torch.inf]),
        bisections=50,
        resolution=0.25,
    )
    assert found.tolist() == [0.5, torch.inf]
    assert target.queries.tolist() == [2, 0]


@pytest.mark.parametrize(("resolution", "bisections", "best"), [(0.0, 4, 0.3125), (0.0625, 3, 0.25)])
def test_a_faster_curve_is_found_among_many_at_one_query_each(resolution, bisections, best):
    """The first curve succeeds at 0.3125; the faster of the next five do too, down to 0.85 times `best`."""
    target = bright_target()
    found, images = smallest_of_draws(
        target,
        lambda k, _: brightness(k, 2),
        6,
        torch.tensor([0.5, 1.0]),
        bisections=4,
        resolution=resolution,
    )
    torch.testing.assert_close(found, torch.full((2,), 0.85 * best))
    assert target.queries.tolist() == [1 + bisections + 5] * 2
    assert (target.model(images.view(-1, 1, 28, 28)).argmax(dim=1) == 1).all()


def test_rank_counts_places_and_keeps_ties_in_order():
    assert rank(torch.tensor([[3.0, 1.0, 2.0], [5.0, 5.0, 0.0]])).tolist() == [[2, 0, 1], [1, 2, 0]]


def test_gaussian_noise_reaches_the_boundary_along_its_direction():
    """From grey, where small noise is not clipped, noise t·η crosses the plane at t = margin / weight · η."""
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(SIZE, generator=generator)
    x = torch.full((3, 1, 28, 28), 0.5)
    y = torch.zeros(3, dtype=torch.int64)
    margin = 0.5
    target = run(
        gaussian_noise("l2", repetitions=1, bisections=14),
        threshold(weight, weight.sum().item() / 2 + margin),
        x,
        y,
        "l2",
        index=[0, 4, 7],
    )
    direction = SampleRandom(0, "test", [0, 4, 7], x.device).normal(torch.arange(3), 1, SIZE)[:, 0]
    slope = direction @ weight
    scale = margin / slope
    unclipped = (slope > 0) & (scale * direction.abs().amax(dim=1) < 0.5)
    assert unclipped.any()
    expected = (scale * direction.norm(dim=1))[unclipped].double()
    torch.testing.assert_close(target.best_distance[unclipped], expected, rtol=2e-3, atol=0)


def test_gaussian_noise_is_never_stronger_than_the_largest():
    """One direction, of known scale at the boundary: out of reach below it, found above it."""
    weight = torch.ones(SIZE) / SIZE
    grey = torch.full((1, 1, 28, 28), 0.5), torch.zeros(1, dtype=torch.int64)

    def distance(largest: float) -> float:
        attack = gaussian_noise("l2", repetitions=1, largest=largest, doublings=0, bisections=14)
        return run(attack, threshold(weight, 0.501), *grey, "l2", index=[0]).best_distance.item()

    direction = SampleRandom(0, "test", [0], grey[0].device).normal(torch.arange(1), 1, SIZE)[0, 0]
    scale = 0.001 / direction.mean().item()
    assert 0 < scale * direction.abs().max() < 0.5
    assert distance(0.9 * scale) == torch.inf
    assert distance(1.1 * scale) == pytest.approx(scale * direction.norm().item(), rel=1e-3)


@pytest.mark.parametrize(("level", "pixels"), [(0.5, 1), (20.5, 21), (64.5, 65), (299.5, 300)])
@pytest.mark.parametrize("build", [salt_pepper, pointwise])
def test_equal_weights_take_exactly_so_many_white_pixels(build, level, pixels):
    x, y = black(3)
    model = threshold(torch.ones(SIZE), level)
    # One draw: with half of 784 pixels white, 300 are there in every one of these.
    option = {salt_pepper: {"repetitions": 1}, pointwise: {"draws": 1}}[build]
    assert run(build("l0", **option), model, x, y, "l0").best_distance.tolist() == [pixels] * 3


def test_salt_and_pepper_changes_pixels_to_black_or_white_only():
    model, x, y = ten_classes()
    best = run(salt_pepper("l0", repetitions=12), model, x, y, "l0").best
    changed = best[best != x]
    assert ((changed == 0) | (changed == 1)).all()
    assert (changed == 0).any()
    assert (changed == 1).any()


@pytest.mark.parametrize(
    "build",
    [
        lambda n: gaussian_noise("l2", repetitions=n),
        lambda n: salt_pepper("l0", repetitions=n),
        lambda n: pointwise("l0", repetitions=n),
    ],
    ids=["gaussian_noise", "salt_pepper", "pointwise"],
)
def test_repetitions_help_and_the_first_stays_the_same(build):
    model, x, y = ten_classes()
    norm = "l2" if "Gaussian" in type(build(1)).__name__ else "l0"
    one, many = (run(build(n), model, x, y, norm).best_distance for n in (1, 21 if norm == "l2" else 5))
    assert (many <= one).all()
    assert (many < one).any()


def test_the_number_of_pixels_is_searched_among_those_that_change():
    """21 white pixels on black, half of all draws black: 1, 2, 4, 8, 16, 32, then 24, 20, 22, 21."""
    x, y = black(3)
    target = run(salt_pepper("l0", repetitions=1), threshold(torch.ones(SIZE), 20.5), x, y, "l0")
    assert target.queries.tolist() == [10] * 3


def test_evolved_noise_needs_fewer_pixels_than_independent_draws():
    weight = torch.rand(SIZE, generator=torch.Generator().manual_seed(5)) ** 4  # a few pixels matter most
    (x, y), pixels = black(4), {}
    for evolve in (False, True):
        target = Target(threshold(weight, 10.0), x, y, "l0")
        random = SampleRandom(0, "test", range(len(x)), x.device)
        images, found = salt_pepper_noise(target, random, draws=101, evolve=evolve)
        assert found.all()
        assert (target.model(images).argmax(dim=1) != y).all()
        pixels[evolve] = (images != 0).sum(dim=1)
    assert (pixels[True] < 0.8 * pixels[False]).all()
