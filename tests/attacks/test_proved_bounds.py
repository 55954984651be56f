"""No attack of any kind gets below a proved lower bound."""

import pytest
import torch
from linear_models import ten_class

from absynth.attacks.registry import ATTACKS
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.certificates.lower_bounds import compute_lower_bounds
from absynth.certificates.settings import SearchSettings
from absynth.models.building import resolve
from absynth.models.prototypes import PrototypeABS
from absynth.norms import NORMS

pytestmark = pytest.mark.slow

N = 6
# Small budgets, by what builders call them; a builder takes those of its own.
SMALL = {
    "repetitions": 2, "draws": 5, "steps": 10, "trials": 2, "doublings": 4, "bisections": 6, "per_doubling": 1,
    "restarts": 1, "binary_search_steps": 2, "starts": 3, "initial_gradient_eval_steps": 5,
    "max_gradient_eval_steps": 10, "candidates": 3, "refine_steps": 8, "epsilons": (0.2,), "step_sizes": (0.4,),
}  # fmt: skip
# Estimated gradients need many queries and find no more than exact ones; Latent Descent needs latents, flips a model
# that binarises its input.
CASES = [
    (name, norm)
    for name, entry in ATTACKS.items()
    for norm in entry.norms
    if not entry.latents and not entry.input_threshold and not entry.estimates
]


@pytest.fixture(scope="module")
def model() -> PrototypeABS:
    """Six noisy copies of one picture a class."""
    generator = torch.Generator().manual_seed(3)
    pictures = 0.5 + 0.3 * (torch.rand(10, 1, 784, generator=generator) - 0.5)
    images = (pictures + 0.1 * torch.randn(10, 6, 784, generator=generator)).clamp(0, 1).flatten(0, 1)
    return PrototypeABS(images, 3 * torch.rand(60, generator=generator), torch.full((10,), 6)).eval()


@pytest.fixture(scope="module")
def samples(model) -> Samples:
    """Noisy prototypes of six classes, some pixels at the ends of the box; the second one's label is another."""
    noise = 0.2 * torch.randn(N, 784, generator=torch.Generator().manual_seed(4))
    x = (model.images[: 6 * N : 6] + noise).clamp(0, 1).view(N, 1, 28, 28)
    labels = torch.arange(N)
    assert torch.equal(model(x).argmax(dim=1), labels)
    labels[1] = 7
    return Samples(x, labels, torch.arange(N))


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_no_attack_gets_below_a_proved_bound(name, norm, model, samples):
    entry = ATTACKS[name]
    builder = resolve(entry.builder)
    options = {key: SMALL[key] for key in SMALL if key in (builder.__kwdefaults__ or {})}
    if entry.substitute:
        options["substitute"] = ten_class().requires_grad_(False)
    if entry.at_epsilons:
        options["epsilon"] = {norm: 0.5 * NORMS[norm].largest(samples.images.shape[1:])}
    settings = AttackSettings(builder(norm, **options), name, norm, 0, N)
    distance = attack_images(settings, model, samples)["distance"]
    columns, _ = compute_lower_bounds(model, samples.images, samples.labels, norm, SearchSettings())
    bounds = columns["joint"]
    assert columns["correct"].tolist() == (distance > 0).tolist() == [True, False, True, True, True, True]
    assert (bounds[columns["correct"]] > 0).all()
    assert (distance >= bounds).all()
    if name == "certificate":
        assert distance.isfinite().all()
        assert (distance <= 1.3 * bounds + (norm == "l0")).all()
