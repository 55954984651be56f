"""The same seed gives the same adversarials; in any batch too, for the attacks that promise it."""

import pytest
import torch
from linear_models import ten_class
from torch import Tensor, nn

from absynth.attacks.outside import outside_entry
from absynth.attacks.registry import ATTACKS, AttackEntry
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.models.binarize import THRESHOLD, binarize
from absynth.models.building import resolve
from absynth.models.nearest_neighbor import NearestNeighbor

N = 6
# Small budgets, by what builders call them; a builder takes those of its own.
SMALL = {
    "repetitions": 2, "draws": 5, "steps": 6, "trials": 2, "doublings": 3, "bisections": 4, "per_doubling": 1,
    "restarts": 2, "binary_search_steps": 2, "starts": 3, "initial_gradient_eval_steps": 5,
    "max_gradient_eval_steps": 10, "candidates": 3, "refine_steps": 4, "epsilons": (0.2,), "step_sizes": (0.4,),
    "differences": (0.1,), "rounds": 2, "removals": 1, "walks": 3, "toggled": 0.3, "exchanges": 3, "shrinks": 3,
    "queries": 60, "targets": 3,
}  # fmt: skip
SMALL_ESTIMATED = {"steps": 2, "doublings": 2, "bisections": 1, "restarts": 1}  # 1,568 queries a step


class Rowwise(nn.Module):
    """A linear classifier that computes each image by itself, so that its companions change no rounding."""

    def __init__(self):
        super().__init__()
        self.linear = ten_class().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        products = (x.flatten(1) - 0.5)[:, None] * self.linear.weight  # (n, 10, 784), summed one by one
        return products.sum(dim=2) + self.linear.bias


class Binarised(Rowwise):
    """The same on binarised images."""

    input_threshold = THRESHOLD

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(binarize(x))


def smaller(entry: AttackEntry, norm: str, entry_options: dict):
    """The attack with those of SMALL that its builder knows."""
    builder = resolve(entry.builder)
    known, small = dict(builder.__kwdefaults__ or {}), SMALL
    if entry.estimates:
        known |= resolve(ATTACKS[entry.estimates].builder).__kwdefaults__
        small = SMALL | SMALL_ESTIMATED
    options = {key: small[key] for key in small if key in known} | entry_options
    if entry.substitute:
        options["substitute"] = Rowwise()
    if entry.at_epsilons:
        options["epsilon"] = {"l2": 2.0, "linf": 0.1}
    return builder(norm, **options)


def results(
    entry: AttackEntry,
    norm: str,
    options: dict,
    *,
    batch_size: int,
    seed: int = 0,
    model: nn.Module | None = None,
) -> dict:
    model = model or (Binarised() if entry.input_threshold else Rowwise())
    generator = torch.Generator().manual_seed(5)
    x = 0.2 + 0.6 * torch.rand(N, 1, 28, 28, generator=generator)
    y = model(x).argmax(dim=1)
    y[1] = (y[1] + 1) % 10  # one that is misclassified, and left out of its batch
    torch.manual_seed(batch_size)  # what the global generators hold must not matter
    attack = smaller(entry, norm, options)
    settings = AttackSettings(attack, "x", norm, seed, batch_size)
    return attack_images(settings, model, Samples(x, y, torch.arange(N)))


def same(one: dict, other: dict) -> bool:
    return all(
        torch.equal(one[name], other[name]) for name in ("distance", "adversarial", "adversarial_prediction")
    )


# Latent Descent has its own test of batches, as it needs a model of its own.
CASES = [(name, norm) for name, entry in ATTACKS.items() for norm in entry.norms if not entry.latents]


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_promises_of_the_registry(name, norm):
    entry = ATTACKS[name]
    if entry.lower_bound:
        check_certificate(entry, norm)
        return
    whole = results(entry, norm, {}, batch_size=100)
    assert whole["distance"].isfinite().sum() > 1, "nothing was found that could differ"
    assert same(whole, results(entry, norm, {}, batch_size=100))
    in_batches = [same(whole, results(entry, norm, {}, batch_size=size)) for size in (1, 4)]
    assert all(in_batches) or not entry.batch_free


def check_certificate(entry: AttackEntry, norm: str) -> None:
    """On nearest neighbours, whose matrix products are rounded otherwise in other batches."""
    pictures = torch.rand(40, 784, generator=torch.Generator().manual_seed(1))
    model = NearestNeighbor(pictures, torch.arange(40) % 10)
    whole, again, single = (
        results(entry, norm, {}, batch_size=size, model=model)["distance"] for size in (100, 100, 1)
    )
    assert whole.isfinite().sum() > 1
    assert torch.equal(whole, again)
    torch.testing.assert_close(whole, single, rtol=1e-5, atol=0)


def test_attacks_of_the_config_promise_nothing_about_batches():
    entry = outside_entry("foolbox", "Noise", ["l2"], True)
    assert not entry.batch_free
    options = {
        "class_path": "foolbox.attacks.L2RepeatedAdditiveGaussianNoiseAttack",
        "arguments": {"repeats": 3},
    }
    whole = results(entry, "l2", options, batch_size=100)
    assert same(whole, results(entry, "l2", options, batch_size=100))
    assert not same(whole, results(entry, "l2", options, batch_size=1))
