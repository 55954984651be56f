"""Random numbers belong to a sample, not to its batch."""

import pytest
import torch

from absynth.attacks.randomness import SampleRandom

CPU = torch.device("cpu")
INDEX = [0, 1, 17, 998]


def rows(*positions: int) -> torch.Tensor:
    return torch.tensor(positions, dtype=torch.int64)


@pytest.mark.parametrize("draw", ["normal", "uniform"])
def test_a_sample_draws_the_same_in_any_batch(draw):
    together = getattr(SampleRandom(3, "fgm/l2", INDEX, CPU), draw)(rows(0, 1, 2, 3), 2, 5)
    for order in ([3, 2, 1, 0], [1], [2, 0]):
        batch = SampleRandom(3, "fgm/l2", [INDEX[i] for i in order], CPU)
        assert torch.equal(getattr(batch, draw)(rows(*range(len(order))), 2, 5), together[order])


def test_what_others_draw_changes_nothing():
    alone, crowded = (SampleRandom(3, "fgm/l2", INDEX, CPU) for _ in range(2))
    first = alone.normal(rows(2), 3)
    crowded.normal(rows(0, 1, 3), 100)
    crowded.uniform(rows(1), 7)
    torch.rand(10)
    assert torch.equal(crowded.normal(rows(2), 3), first)
    assert torch.equal(crowded.uniform(rows(3, 2), 4)[1], alone.uniform(rows(2), 4)[0])


def test_draws_go_on():
    random = SampleRandom(3, "fgm/l2", INDEX, CPU)
    assert not torch.equal(random.normal(rows(0), 8), random.normal(rows(0), 8))


@pytest.mark.parametrize(
    ("seed", "name", "index"), [(4, "fgm/l2", 0), (3, "fgm/linf", 0), (3, "bim/l2", 0), (3, "fgm/l2", 10)]
)
def test_seed_attack_norm_and_sample_each_matter(seed, name, index):
    first, other = SampleRandom(3, "fgm/l2", [0], CPU), SampleRandom(seed, name, [index], CPU)
    assert not torch.equal(first.normal(rows(0), 8), other.normal(rows(0), 8))


def test_samples_of_a_batch_differ():
    drawn = SampleRandom(3, "fgm/l2", range(50), CPU).uniform(torch.arange(50), 1)
    assert len(drawn.unique()) == 50


def test_distributions():
    random = SampleRandom(0, "x", [5], CPU)
    uniform, normal = random.uniform(rows(0), 20_000), random.normal(rows(0), 20_000)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.01)
    assert normal.mean().item() == pytest.approx(0, abs=0.03)
    assert normal.std().item() == pytest.approx(1, abs=0.03)


def test_no_rows_draw_nothing():
    assert SampleRandom(0, "x", [5], CPU).normal(rows(), 3, 2).shape == (0, 3, 2)
