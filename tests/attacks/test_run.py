"""One attack on one shard, from the clean prediction to the record."""

import pytest
import torch

from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.io.records import SHARD

N = 6
NEVER = 9  # an image with this label is misclassified


class Bright(torch.nn.Module):
    """Class 1 for images whose mean is above the threshold of its inference, else class 0."""

    epsilons = {"fast": 0.5, "reference": 0.52}  # noqa: RUF012

    def __init__(self, inference="fast", used=None):
        super().__init__()
        self.inference = inference
        self.used = [] if used is None else used

    def with_inference(self, inference):
        return Bright(inference, self.used)

    def forward(self, x):
        self.used.append((self.inference, len(x)))
        excess = x.mean(dim=(1, 2, 3)) - self.epsilons[self.inference]
        return torch.nn.functional.pad(
            torch.stack([torch.zeros_like(excess), excess], dim=1), (0, 8), value=-9
        )


def brighten(target, random):
    """Asks for each image as it is, then, with a gradient, at 0.51, which fools the fast inference only."""
    x, _ = target.active
    target(x)
    target(torch.full_like(x, 0.51).requires_grad_()).sum().backward()


def noisy(target, random):
    """One random image a sample: bright enough only for some."""
    x, _ = target.active
    target(0.35 + 0.4 * random.uniform(torch.arange(len(x)), 1, 1, 1) + torch.zeros_like(x))


def lazy(target, random):
    """Gives up at once."""


def run(attack, *, norm="linf", batch_size=4, labels=None, first=10, seed=0, rows=slice(None), model=None):
    images = torch.linspace(0, 0.3, N)[:, None, None, None].expand(N, 1, 28, 28).clone()
    labels = torch.tensor([0, NEVER, 0, 0, NEVER, 0]) if labels is None else labels
    index = torch.arange(first, first + N)
    settings = AttackSettings(attack, "toy", norm, seed, batch_size)
    return attack_images(settings, model or Bright(), Samples(images, labels, index)[rows])


@pytest.mark.parametrize("attack", [brighten, noisy, lazy])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_columns_are_those_of_a_shard(attack, batch_size):
    columns = run(attack, batch_size=batch_size)
    assert list(columns) == [name for name in SHARD if name != "stopped"]  # which only a relay has
    for name, values in columns.items():
        row = (1, 28, 28) if SHARD[name].row else ()
        assert values.shape == (N, *row), name
        assert str(values.dtype) == f"torch.{SHARD[name].dtype}", name
        assert not values.requires_grad
    assert columns["index"].tolist() == list(range(10, 16))


def test_misclassified_images_are_at_zero_and_cost_nothing():
    columns = run(brighten)
    misclassified = columns["label"] == NEVER
    assert columns["distance"][misclassified].tolist() == [0, 0]
    assert (
        columns["queries"][misclassified].tolist() == columns["gradients"][misclassified].tolist() == [0, 0]
    )
    assert columns["clean_prediction"][misclassified].tolist() == [0, 0]
    assert columns["adversarial_prediction"][misclassified].tolist() == [0, 0]
    torch.testing.assert_close(columns["adversarial"][misclassified][:, 0, 0, 0], torch.tensor([0.06, 0.24]))


def test_others_are_pushed_to_the_reference_and_counted():
    columns = run(brighten)
    attacked = columns["label"] == 0
    assert columns["queries"][attacked].tolist() == [2] * 4
    assert columns["gradients"][attacked].tolist() == [1] * 4
    assert columns["clean_prediction"][attacked].tolist() == [0] * 4
    assert columns["adversarial_prediction"][attacked].tolist() == [1] * 4
    clean = torch.linspace(0, 0.3, N)[attacked].double()
    torch.testing.assert_close(columns["distance"][attacked], 0.52 - clean, atol=2e-3, rtol=0)
    assert (columns["adversarial"][attacked].mean(dim=(1, 2, 3)) > 0.52).all()


def test_failures_are_at_infinity_and_hold_the_clean_image():
    columns = run(lazy, labels=torch.zeros(N, dtype=torch.int64))
    assert columns["distance"].tolist() == [torch.inf] * N
    assert columns["adversarial_prediction"].tolist() == [0] * N
    torch.testing.assert_close(columns["adversarial"][:, 0, 0, 0], torch.linspace(0, 0.3, N))


def test_attacks_run_on_fast_inference_and_the_reference_confirms():
    model = Bright()
    run(brighten, batch_size=N, model=model)
    # clean images, the attack's two queries of the four correctly classified, then candidates and their push
    assert model.used[:4] == [("reference", 6), ("fast", 4), ("fast", 4), ("reference", 4)]
    assert {inference for inference, _ in model.used[4:]} == {"reference"}


def test_batch_of_misclassified_images_alone_is_not_attacked():
    def attack(target, random):
        raise AssertionError("nothing is there to attack")

    columns = run(attack, labels=torch.full((N,), NEVER))
    assert columns["distance"].tolist() == [0] * N


@pytest.mark.parametrize("batch_size", [1, 3, 100])
@pytest.mark.parametrize("split", [1, 4])
def test_neither_batches_nor_shards_change_the_result(batch_size, split):
    whole = run(noisy, batch_size=100)
    parts = [run(noisy, batch_size=batch_size, rows=rows) for rows in (slice(split), slice(split, None))]
    for name, values in whole.items():
        assert torch.equal(torch.cat([part[name] for part in parts]), values), name
    found = whole["distance"][whole["label"] == 0]
    assert 0 < found.isfinite().sum() < len(found)


def test_another_seed_draws_other_images():
    assert not torch.equal(run(noisy)["distance"], run(noisy, seed=1)["distance"])


@pytest.mark.parametrize(("norm", "expected"), [("l0", 784), ("l2", 28 * 0.6), ("linf", 0.6)])
def test_distance_is_in_the_norm_of_the_attack(norm, expected):
    def attack(target, random):
        target(torch.full_like(target.x, 0.6))

    columns = run(attack, norm=norm, rows=slice(1))
    assert columns["distance"].item() == pytest.approx(expected, rel=1e-6)
