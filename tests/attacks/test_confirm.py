"""The confirmation: what is recorded is misclassified by the reference, close to its boundary."""

import pytest
import torch

from absynth.attacks.confirm import confirm
from absynth.attacks.ties import ROUNDING
from absynth.models.base import predict_labels
from absynth.norms import NORMS, distance

RESOLUTION = 0.002


class Brightness(torch.nn.Module):
    """Class 1 where the mean over the upper half is above `threshold`, else class 0."""

    def __init__(self, threshold: float):
        super().__init__()
        self.threshold = threshold
        self.asked = 0

    def forward(self, x):
        self.asked += len(x)
        excess = x[:, 0, :14].mean(dim=(1, 2)) - self.threshold
        return torch.stack([torch.zeros_like(excess), excess], dim=1)


@pytest.fixture
def clean():
    """Four dark images of class 0, of different brightness."""
    x = torch.linspace(0, 0.3, 4)[:, None, None, None].expand(4, 1, 28, 28).clone()
    return x, torch.zeros(4, dtype=torch.int64)


def brightened(x, to: float):
    """The upper half at mean `to`, the lower one as it was."""
    moved = x.clone()
    moved[:, :, :14] = to
    return moved


@pytest.mark.parametrize("norm", NORMS)
def test_what_fools_the_reference_is_left_alone(clean, norm):
    candidates = brightened(clean[0], 0.6)
    reference = Brightness(0.5)
    confirmation = confirm(reference, *clean, candidates, norm)
    assert torch.equal(confirmation.adversarial, candidates)
    assert torch.equal(confirmation.distance, distance(clean[0], candidates, norm))
    assert confirmation.prediction.tolist() == [1] * 4
    assert reference.asked == 4


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("boundary", [0.5005, 0.51, 0.56, 0.75, 0.95])
def test_push_finds_the_boundary_of_the_reference(clean, boundary, norm):
    """The fast inference errs from 0.5 on; the reference later, along the line from the clean image."""
    x, y = clean
    candidates = brightened(x, 0.5001)
    reference = Brightness(boundary)
    confirmation = confirm(reference, x, y, candidates, norm)
    reachable = x[:, 0, 0, 0] + 2.0 * (0.5001 - x[:, 0, 0, 0]) > boundary
    assert reachable.any()
    assert (confirmation.prediction[reachable] == 1).all()
    assert torch.equal(predict_labels(reference, confirmation.adversarial), confirmation.prediction)
    assert torch.equal(
        confirmation.distance[reachable], distance(x, confirmation.adversarial, norm)[reachable]
    )
    assert torch.equal(confirmation.adversarial[:, :, 14:], x[:, :, 14:])  # l0 does not grow
    if norm == "linf":
        needed = boundary - x[:, 0, 0, 0].double()
        excess = (confirmation.distance - needed)[reachable]
        slack = RESOLUTION * (0.5001 - x[:, 0, 0, 0].double())[reachable] + 1e-6
        assert (excess > -1e-6).all()
        assert (excess <= slack).all()
    assert confirmation.distance[~reachable].isinf().all()


@pytest.mark.parametrize("norm", NORMS)
def test_failures_hold_the_clean_image_at_infinity(clean, norm):
    x, y = clean
    candidates = brightened(x, 0.4)
    candidates[0] = x[0]  # nothing was found
    confirmation = confirm(Brightness(0.99), x, y, candidates, norm)
    assert confirmation.distance.isinf().all()
    assert torch.equal(confirmation.adversarial, x)
    assert confirmation.prediction.tolist() == [0] * 4


def test_clean_image_is_no_adversarial_whatever_is_said_of_it(clean):
    """A batch may round differently from the one in which the clean image was correctly classified."""
    x, y = clean
    confirmation = confirm(Brightness(-1.0), x, y, x.clone(), "l2")
    assert confirmation.distance.isinf().all()
    assert torch.equal(confirmation.prediction, y)


def test_images_of_a_batch_are_confirmed_independently(clean):
    x, y = clean
    candidates = torch.cat(
        [x[:1], brightened(x[1:2], 0.6), brightened(x[2:3], 0.5001), brightened(x[3:], 0.31)]
    )
    confirmation = confirm(Brightness(0.51), x, y, candidates, "linf")
    assert confirmation.distance.isinf().tolist() == [True, False, False, True]
    assert confirmation.distance[1].item() == pytest.approx(0.5)
    assert confirmation.distance[2].item() == pytest.approx(0.31, abs=0.001)
    assert torch.equal(confirmation.adversarial[3], x[3])


def test_pushed_image_stays_in_the_box():
    x = torch.full((1, 1, 28, 28), 0.5)
    candidates = x.clone()
    candidates[:, :, :7] = 0.95
    candidates[:, :, 7:14] = 0.6
    reference = Brightness(0.83)  # reached at (1 + 0.66) / 2: the brighter rows have long been white
    confirmation = confirm(reference, x, torch.zeros(1, dtype=torch.int64), candidates, "l2")
    assert confirmation.distance.isfinite().all()
    assert confirmation.adversarial.max() == 1
    assert confirmation.adversarial[0, 0, 7, 0].item() == pytest.approx(0.66, abs=1e-3)


def test_nothing_to_confirm():
    none = torch.empty(0, 1, 28, 28)
    confirmation = confirm(Brightness(0.5), none, torch.empty(0, dtype=torch.int64), none, "l2")
    assert confirmation.distance.shape == (0,)
    assert confirmation.prediction.dtype == torch.int64


def test_where_no_push_helps_the_closest_confirmed_of_the_history_is_taken():
    """A reference that counts white pixels: a push along the line does not change their number."""

    class Counts(torch.nn.Module):
        def forward(self, x):
            white = (x > 0.5).flatten(1).sum(dim=1).float()
            return torch.stack([4.5 - white, white - 4.5], dim=1)

    def white(k):
        image = torch.zeros(1, 28, 28)
        image.view(-1)[:k] = 1
        return image

    x, y = torch.zeros(2, 1, 28, 28), torch.zeros(2, dtype=torch.int64)
    history = torch.stack([torch.stack([white(k), white(0)]) for k in (9, 4, 6, 0)])
    confirmation = confirm(Counts(), x, y, torch.stack([white(3), white(3)]), "l0", history)
    assert confirmation.distance.tolist() == [6.0, torch.inf]
    assert confirmation.prediction.tolist() == [1, 0]
    torch.testing.assert_close(confirmation.adversarial, torch.stack([white(6), white(0)]))


@pytest.mark.parametrize("excess", [0.0, 1e-8, 3e-7])
def test_ties_are_nudged_past_the_boundary(excess):
    """What fools the reference by less than rounding may be classified correctly in another batch."""
    x, y = torch.full((1, 1, 28, 28), 0.2), torch.ones(1, dtype=torch.int64)
    candidates = x.clone()
    candidates[:, :, :14] = 0.7

    class Darkness(Brightness):
        """As the base, but class 1 and 0 exchanged and a third, far off, that makes the range of logits 1."""

        def forward(self, x):
            value = super().forward(x)[:, 1:]
            return torch.cat([value, torch.zeros_like(value), value.clamp(max=0) * 0 - 1], dim=1)

    reference = Darkness(candidates[0, 0, :14].mean().item() - excess)
    assert predict_labels(reference, candidates).tolist() == [0]  # of a tie the first class
    confirmation = confirm(reference, x, y, candidates, "linf")
    assert confirmation.prediction.tolist() == [0]
    assert predict_labels(reference.double(), confirmation.adversarial.double()).tolist() == [0]
    assert (reference(confirmation.adversarial)[0, 0] > ROUNDING).item()
    assert 0.5 < confirmation.distance.item() < 0.5 * (1 + 2**-14)


def test_ties_that_no_nudge_ends_are_kept(clean):
    """A model whose logits are whole numbers answers with ties that no batch decides otherwise."""

    class Steps(torch.nn.Module):
        def forward(self, x):
            bright = (x[:, 0, :14].mean(dim=(1, 2)) > 0.5).to(x.dtype)
            return torch.stack([bright, torch.ones_like(bright), torch.zeros_like(bright)], dim=1)

    x, y = clean[0], torch.ones(4, dtype=torch.int64)
    candidates = brightened(x, 0.6)
    confirmation = confirm(Steps(), x, y, candidates, "l2")
    assert torch.equal(confirmation.adversarial, candidates)
    assert confirmation.prediction.tolist() == [0] * 4
    assert torch.equal(confirmation.distance, distance(x, candidates, "l2"))


def test_what_takes_the_place_of_a_candidate_is_nudged_too():
    """The candidate's own line does not lead past the boundary, and the former best lies on it."""
    x, y = torch.full((1, 1, 28, 28), 0.2), torch.ones(1, dtype=torch.int64)
    former, candidate = x.clone(), x.clone()
    former[:, :, :14] = 0.7
    candidate[:, :, 14:] = 0.7

    class Darkness(Brightness):
        def forward(self, x):
            value = super().forward(x)[:, 1:]
            return torch.cat([value, torch.zeros_like(value), value.clamp(max=0) * 0 - 1], dim=1)

    reference = Darkness(former[0, 0, :14].mean().item())
    confirmation = confirm(reference, x, y, candidate, "linf", former[None])
    assert confirmation.prediction.tolist() == [0]
    assert (reference(confirmation.adversarial)[0, 0] > ROUNDING).item()
    assert 0.5 < confirmation.distance.item() < 0.5 * (1 + 2**-14)


def test_what_the_push_finds_is_nudged_too():
    """Logits that jump to a tie at the boundary, and grow from there."""

    class Jumps(torch.nn.Module):
        def forward(self, x):
            bright = x[:, 0, :14].mean(dim=(1, 2)) - 0.7
            value = torch.where(bright < 0, -1, (bright - 3e-4).clamp(min=0))
            return torch.stack([value, torch.zeros_like(value), torch.full_like(value, -1)], dim=1)

    x, y = torch.full((1, 1, 28, 28), 0.2), torch.ones(1, dtype=torch.int64)
    candidates = x.clone()
    candidates[:, :, :14] = 0.67
    confirmation = confirm(Jumps(), x, y, candidates, "linf")
    assert confirmation.prediction.tolist() == [0]
    assert (Jumps()(confirmation.adversarial)[0, 0] > ROUNDING).item()
