"""What an attack sees of a model: queries counted, the best adversarial of all kept."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from absynth.attacks.target import Target


class Bright(torch.nn.Module):
    """Class 1 for images whose first pixel is at least the limit, else class 0."""

    limit = 0.5

    def forward(self, x):
        excess = x[:, 0, 0, 0] - self.limit + 1e-9
        return torch.stack([torch.zeros_like(excess), excess], dim=1)


def target(n: int = 3, norm: str = "l2") -> Target:
    x = torch.zeros(n, 1, 28, 28)
    return Target(Bright(), x, torch.zeros(n, dtype=torch.int64), norm)


def queries(*first: float) -> torch.Tensor:
    """Images that are black but for the first pixel."""
    images = torch.zeros(len(first), 1, 28, 28)
    images[:, 0, 0, 0] = torch.tensor(first)
    return images


def test_nothing_is_found_at_first():
    made = target()
    assert torch.equal(made.best, made.x)
    assert made.best_distance.tolist() == [torch.inf] * 3
    assert made.best_distance.dtype == torch.float64
    assert made.queries.tolist() == made.gradients.tolist() == [0, 0, 0]


def test_the_nearest_over_all_queries_is_kept():
    made = target()
    made(queries(0.9, 0.2, 0.6))
    made(queries(0.7, 0.1, 0.8))
    made(queries(1.0, 0.4, 0.9))
    assert made.best[:, 0, 0, 0].tolist() == pytest.approx([0.7, 0.0, 0.6])
    assert made.best_distance.tolist() == pytest.approx([0.7, torch.inf, 0.6])
    assert made.queries.tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    ("norm", "expected"), [("l0", [2, 1]), ("linf", [0.5, 1.0]), ("l2", [0.5**0.5, 1.0])]
)
def test_nearest_in_its_norm(norm, expected):
    for order in (1, -1):
        made = target(1, norm)
        spread = queries(0.5)
        spread[0, 0, 5, 5] = 0.5
        for query in [spread, queries(1.0)][::order]:
            made(query)
        assert made.best_distance.item() == pytest.approx(min(expected))


def test_blocks_belong_to_the_active_images_in_order():
    made = target(2)
    logits = made(queries(0.9, 0.1, 0.6, 0.8))  # two blocks of two
    assert logits.shape == (4, 2)
    assert made.best_distance.tolist() == pytest.approx([0.6, 0.8])
    assert made.queries.tolist() == [2, 2]


def test_active_images_may_be_narrowed_for_a_while():
    made = target()
    with made.only(torch.tensor([True, False, True])):
        assert made.rows.tolist() == [0, 2]
        made(queries(0.6, 0.7))
        with made.only(torch.tensor([1])):
            assert made.rows.tolist() == [2]
            made(queries(0.9, 0.65))
        assert made.active[0].shape == (2, 1, 28, 28)
    assert made.rows.tolist() == [0, 1, 2]
    assert made.queries.tolist() == [1, 0, 3]
    assert made.best_distance.tolist() == pytest.approx([0.6, torch.inf, 0.65])


def test_active_images_come_back_after_a_failure():
    made = target()
    with pytest.raises(RuntimeError, match="attack"), made.only(torch.tensor([0])):
        raise RuntimeError("attack")
    assert made.rows.tolist() == [0, 1, 2]


def test_gradients_are_counted_when_they_are_taken():
    made = target(2)
    made(queries(0.1, 0.2))
    logits = made(queries(0.1, 0.2, 0.3, 0.4).requires_grad_())
    assert made.gradients.tolist() == [0, 0]
    with made.only(torch.tensor([0])):
        made(queries(0.1).requires_grad_()).sum().backward()
        logits.sum().backward()  # of both images, though one alone is active now
    assert made.gradients.tolist() == [3, 2]
    assert made.queries.tolist() == [4, 3]


def test_gradient_is_that_of_the_model():
    asked = queries(0.1, 0.2, 0.3).requires_grad_()
    target()(asked)[:, 1].sum().backward()
    assert torch.equal(asked.grad, queries(1.0, 1.0, 1.0))


def test_misclassified_queries_are_reported():
    made = target(2)
    assert made.adversarial(queries(0.6, 0.1, 0.4, 0.9)).tolist() == [True, False, False, True]
    assert made.queries.tolist() == [2, 2]
    assert made.gradients.tolist() == [0, 0]


def test_kept_image_is_not_the_attacks_own_memory():
    made = target(1)
    query = queries(0.9)
    made(query)
    query.zero_()
    assert made.best[0, 0, 0, 0] == pytest.approx(0.9)
    assert made.x.max() == 0


def test_images_offered_are_held_against_their_own_labels():
    made = target(2)
    made.offer(queries(0.9, 0.3), torch.tensor([7, 0]))  # the second is correctly classified
    assert made.best_distance.tolist() == pytest.approx([0.9, torch.inf])
    assert made.queries.tolist() == [0, 0]


class Banded(torch.nn.Module):
    """Class 1 for images whose mean lies in one of two bands; binarises its input if it has a threshold."""

    def __init__(self, threshold: float | None):
        super().__init__()
        self.input_threshold = threshold

    def forward(self, x):
        seen = x if self.input_threshold is None else (x >= self.input_threshold).to(x.dtype)
        mean = seen.flatten(1).mean(dim=1)
        inside = ((mean > 0.2) & (mean < 0.3)) | (mean > 0.45)
        return torch.stack([~inside, inside], dim=1).to(x.dtype)


@given(
    blocks=st.integers(1, 12),
    norm=st.sampled_from(["l2", "linf", "l0"]),
    threshold=st.sampled_from([None, 0.5]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=60)
def test_many_queries_at_once_leave_what_they_leave_block_by_block(blocks, norm, threshold, seed):
    torch.manual_seed(seed)
    x, y = 0.1 * torch.rand(4, 1, 4, 4), torch.tensor([0, 0, 1, 0])
    at_once, one_by_one = (Target(Banded(threshold), x, y, norm) for _ in range(2))
    for _ in range(3):
        change = torch.rand(4 * blocks, 1, 1, 1) * torch.rand(4 * blocks, 1, 4, 4)
        asked = (x.repeat(blocks, 1, 1, 1) + change).clamp(0, 1)
        at_once.adversarial(asked)
        for block in asked.split(4):
            one_by_one.adversarial(block)
    for tracker in ("best", "recorded"):
        both = [getattr(each.findings, tracker) for each in (at_once, one_by_one)]
        assert torch.equal(both[0].best, both[1].best)
        assert torch.equal(both[0].distance, both[1].distance)
        assert torch.equal(both[0].history, both[1].history)
    assert torch.equal(at_once.queries, one_by_one.queries)


def test_queries_that_fit_no_block_are_refused():
    with pytest.raises(ValueError, match="4 queries are no multiple of the 3 active images"):
        target()(queries(0.1, 0.2, 0.3, 0.4))


def test_none_active_asks_nothing():
    made = target()
    with made.only(torch.zeros(3, dtype=torch.bool)):
        assert made.adversarial(queries()).shape == (0,)
    assert made.queries.tolist() == [0, 0, 0]


def test_what_is_recorded_for_another_query_stays_when_the_best_is_rolled_back():
    """With a threshold the best recorded may be of a query that is far away itself."""
    x = torch.zeros(1, 1, 28, 28)
    model = Bright()
    model.input_threshold = 0.5
    made = Target(model, x, torch.zeros(1, dtype=torch.int64), "l2")
    one_pixel, two_pixels = queries(1.0), queries(0.55)
    two_pixels[0, 0, 0, 1] = 0.55
    made(one_pixel)
    made(two_pixels)
    assert made.findings.best.distance.tolist() == pytest.approx([math.hypot(0.55, 0.55)])
    assert made.findings.recorded.distance.tolist() == [0.5]
    made.model.limit = 0.75
    assert made.recheck().tolist() == [True]
    assert made.findings.best.distance.tolist() == [1]
    assert made.findings.recorded.distance.tolist() == [0.5]
    assert torch.equal(made.findings.recorded.best, one_pixel)


def test_history_keeps_the_bests_that_were_beaten_by_a_fair_margin():
    class Always(torch.nn.Module):
        def forward(self, x):
            return torch.tensor([[0.0, 1.0]]).expand(len(x), 2)

    x = torch.zeros(2, 1, 28, 28)
    target = Target(Always(), x, torch.zeros(2, dtype=torch.int64), "linf")
    for first, second in ((0.8, 0.5), (0.6, 0.499), (0.595, 0.495), (0.3, 0.4), (0.9, 0.9)):
        target(torch.stack([torch.full((1, 28, 28), first), torch.full((1, 28, 28), second)]))
    kept = [
        sorted(
            {round(v, 3) for v in target.findings.recorded.history[:, i].amax(dim=(1, 2, 3)).tolist()} - {0.0}
        )
        for i in (0, 1)
    ]
    assert kept == [[0.595, 0.6, 0.8], [0.495, 0.5]]


def test_best_adversarials_that_are_now_correctly_classified_are_rolled_back():
    """Those before take their place, as far as they lie a twentieth further away; the others keep theirs."""
    made = target()
    for step in ((0.9, 0.9, 0.6), (0.8, 0.8, 0.4), (0.62, 0.76, 0.4), (0.6, 0.76, 0.4)):
        made(queries(*step))
    made.model.limit = 0.75
    assert made.recheck().tolist() == [True, False, True]
    assert made.best_distance.tolist() == pytest.approx([0.8, 0.76, torch.inf])
    assert made.best[:, 0, 0, 0].tolist() == pytest.approx([0.8, 0.76, 0.0])
    assert made.queries.tolist() == [5, 5, 5]
    made.model.limit = 0.85
    with made.only(torch.tensor([0])):
        assert made.recheck().tolist() == [True]
    assert made.best_distance.tolist() == pytest.approx([0.9, 0.76, torch.inf])
    made(queries(0.86, 0.8, 0.87))
    assert made.best_distance.tolist() == pytest.approx([0.86, 0.76, 0.87])
