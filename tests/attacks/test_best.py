"""The best adversarials: what a rough distance in float32 leaves out would not have improved on any."""

import pytest
import torch

from absynth.attacks.best import BestAdversarial

SHAPE = (3, 7, 5)


class Measured(BestAdversarial):
    """Counts the images whose distance is computed exactly."""

    exact = 0

    def measure(self, rows, images):
        self.exact += len(rows)
        return super().measure(rows, images)


class All(Measured):
    """Computes it of all that are misclassified."""

    def _near(self, rows, images):
        return torch.ones_like(rows, dtype=torch.bool)


def queries(x: torch.Tensor, scale: float):
    """Rows and images: far away, half of the way, then ever nearer by no more than float32 can tell, and back."""
    generator = torch.Generator().manual_seed(1)
    delta = scale * torch.rand(x.shape, generator=generator)
    steps = [1.0, 0.5, *(0.5 * (1 - 1e-8 * step) for step in range(40)), 0.7, 0.4999, 0.0]
    for step in steps:
        rows = torch.randperm(len(x), generator=generator)[:3]
        yield rows, (x + step * delta)[rows].clamp(0, 1)


@pytest.mark.parametrize("threshold", [None, 0.5])
@pytest.mark.parametrize("norm", ["l0", "l2", "linf"])
@pytest.mark.parametrize("scale", [0.5, 1e-6, 1e-22])
def test_nothing_that_improves_is_left_out(norm, threshold, scale):
    torch.manual_seed(0)
    x = torch.rand(4, *SHAPE) * (scale > 1e-20)  # so that the smallest changes are changes
    rough, exact = Measured(x, norm, threshold), All(x, norm, threshold)
    for rows, images in queries(x, scale):
        wrong = torch.rand(len(rows)) < 0.9
        for tracker in (rough, exact):
            tracker.offer(rows, images, wrong)
    assert torch.equal(rough.best, exact.best)
    assert torch.equal(rough.distance, exact.distance)
    assert torch.equal(rough.history, exact.history)
    assert rough.exact <= exact.exact
    if threshold is None:
        assert rough.distance.isfinite().all()


def test_images_farther_than_the_best_are_not_measured_exactly():
    x = torch.zeros(2, *SHAPE)
    tracker, rows = Measured(x, "l2"), torch.arange(2)
    for level in (0.5, 0.6, 0.5001):
        tracker.offer(rows, x + level, torch.ones(2, dtype=torch.bool))
    assert tracker.exact == 2


def test_images_in_float64_are_measured_as_they_are():
    x = torch.zeros(1, *SHAPE)
    tracker, rows, wrong = BestAdversarial(x, "linf"), torch.zeros(1, dtype=torch.int64), torch.ones(1) > 0
    for level in (0.5, 0.5 - 1e-12):
        tracker.offer(rows, x.double() + level, wrong)
    assert tracker.distance.item() == 0.5 - 1e-12
