"""What runs on the CPU runs on CUDA as well, with the same answers: models, attacks, bounds, training, checkpoints.

Most run on the CPU too, so that a machine without a GPU says whether the tests themselves are sound.
"""

import dataclasses
import math

import pytest
import torch
from gpu_setting import RUN, SIZES, Setting
from laid_over import ROOT, SCHEMAS, read_config
from snakemake.utils import update_config

from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.certificates.lower_bounds import compute_lower_bounds
from absynth.certificates.settings import SearchSettings
from absynth.models.base import predict_labels, with_inference
from absynth.models.building import ModelFiles, resolve
from absynth.models.cnn import build_substitute
from absynth.norms import NORMS
from absynth.training.vae import VAESettings, train_vae
from absynth.workflow.devices import use_full_precision
from absynth.workflow.plan import Plan

pytestmark = pytest.mark.slow

SHIPPED = ("cnn", "binary_cnn", "madry", "abs", "binary_abs")
ENUMERATED = ("nearest_neighbor", "prototype_abs")
N = 3
# Each attack on the cheapest model that takes it, and some on ABS, whose inference is a loop of its own.
ON_ABS = ("ddn", "fmn", "certificate")
SLOW = ("bim_ge", "mim_ge", "deepfool_ge", "latent_descent", "certificate")
BEYOND_DIGITS = {
    "apgd": {"steps": 20, "restarts": 1},
    "fab": {"steps": 10, "restarts": 1},
    "beam": {"width": 2, "candidates": 8},
    "sparse_l2": {"width": 1, "candidates": 20, "rounds": 1, "exchanges": 2},
    "flips": {"walks": 1, "rounds": 3},
    "boundary_descent": {"steps": 10, "walks": 1},
    "brendel_bethge": {"steps": 10},
    "sigma_zero": {"steps": 20},
    "sparse_rs": {"queries": 50},
    "square": {"queries": 50},
}


def plan():
    config = read_config(ROOT / "config" / "digits.yaml")
    update_config(config, {"attacks": BEYOND_DIGITS})
    return Plan(config, SCHEMAS)


PLAN = plan()


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request):
    """CPU, and CUDA where there is one."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    use_full_precision()  # as every job does
    return torch.device(request.param)


def models_and_digits():
    """Small models, built on the CPU as they are asked for, and the bundled digits."""
    size = dataclasses.replace(SIZES["tiny"], prototypes=(100, 50))
    return Setting(torch.device("cpu"), size, None, deadline=math.inf)


ON_CPU, MOVED = models_and_digits(), models_and_digits()


def model_on(name, device):
    """The same object for all tests on a device, and another on each."""
    return ON_CPU.model(name) if device.type == "cpu" else MOVED.model(name).to(device)


def classified(name, n=N):
    """The first n test images that a model classifies correctly, and their labels."""
    *_, x, y = ON_CPU.splits
    x, y = x[:60], y[:60]
    rows = (predict_labels(with_inference(ON_CPU.model(name), "reference"), x) == y).nonzero().flatten()[:n]
    assert len(rows) == n
    return x[rows], y[rows]


@pytest.mark.parametrize("name", SHIPPED + ENUMERATED)
def test_logits_and_gradients_are_those_of_the_cpu(name, device):
    x, y = classified(name)
    x = (x + 0.1 * torch.rand(x.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    model = model_on(name, device)
    expected, found = (ask(net, x.to(where), y.to(where)) for net, where in
                       ((ON_CPU.model(name), torch.device("cpu")), (model, device)))  # fmt: skip
    for before, after in zip(expected, found, strict=True):
        assert (after.cpu() - before).abs().max() <= 1e-3 * before.abs().max()


def ask(model, x, y):
    x = x.clone().requires_grad_()
    logits = model(x)
    (gradient,) = torch.autograd.grad(logits.gather(1, y[:, None]).sum(), x)
    return logits.detach(), gradient


def runs():
    """(attack, model, norm): every attack that config/digits.yaml runs on the CNN or Binary CNN, and some on ABS."""
    for attack, entry in PLAN.attacks.items():
        for norm in entry.norms:
            cheap = [name for name in ("cnn", "binary_cnn", "abs") if PLAN.applies(attack, name, norm)]
            yield from ((attack, name, norm) for name in cheap[:1])
            if attack in ON_ABS and cheap[:1] != ["abs"] and "abs" in cheap:
                yield attack, "abs", norm


@pytest.mark.parametrize(("attack", "name", "norm"), list(runs()))
def test_attack(attack, name, norm, device):
    if attack in SLOW and device.type == "cpu":
        pytest.skip("other tests run it on the CPU, where it takes long")
    x, y = classified(name)
    entry = PLAN.attacks[attack]
    needs = {}
    if entry.substitute:
        substitute = build_substitute(ModelFiles((RUN / "models" / "substitute" / "weights.pt",)))
        needs = {"substitute": substitute.eval().requires_grad_(False).to(device)}
    built = resolve(entry.builder)(norm, **PLAN.options(attack, name), **needs)
    settings = AttackSettings(built, attack, norm, seed=0, batch_size=N)
    samples = Samples(x.to(device), y.to(device), torch.arange(N, device=device))
    found = attack_images(settings, model_on(name, device), samples)
    assert all(values.device.type == "cpu" for values in found.values())
    success = found["distance"].isfinite()
    assert ((found["adversarial"] >= 0) & (found["adversarial"] <= 1)).all()
    change = (found["adversarial"].double() - x.double()).flatten(1)
    by_norm = {
        "l2": change.norm(dim=1),
        "linf": change.abs().amax(dim=1),
        "l0": (change != 0).sum(1).double(),
    }
    assert torch.allclose(by_norm[norm][success], found["distance"][success], rtol=1e-9)
    logits = with_inference(ON_CPU.model(name), "reference")(found["adversarial"])
    margin = logits.gather(1, y[:, None]).squeeze(1) - logits.scatter(1, y[:, None], -torch.inf).amax(dim=1)
    # On the boundary another device may round to the other side.
    assert (margin[success] <= 1e-4 * logits.abs().amax(dim=1)[success]).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ["abs", *ENUMERATED])
def test_lower_bounds_are_those_of_the_cpu(name, norm, device):
    x, y = classified(name)
    settings = SearchSettings(**{**PLAN.config["certificates"], "seeds": 1})
    found, _ = compute_lower_bounds(model_on(name, device), x.to(device), y.to(device), norm, settings)
    expected, _ = compute_lower_bounds(ON_CPU.model(name), x, y, norm, settings)
    # A search may end elsewhere on another device; an enumeration may not.
    tolerance = 0.05 if name == "abs" else 1e-5
    assert torch.allclose(found["joint"].cpu(), expected["joint"], rtol=tolerance, atol=1e-7)


def test_training_resumes_on_its_device(device, tmp_path):
    images, labels = ON_CPU.splits[:2]
    images = images[labels == 3]
    settings = {
        "batch_size": 32,
        "learning_rate": 1e-3,
        "kl_start": 0.1,
        "kl_end": 1.0,
        "kl_epochs": 2,
        "seed": 0,
    }
    whole, curve = train_vae(images, VAESettings(epochs=2, **settings), device=device)
    assert next(whole.parameters()).device.type == device.type
    assert curve[1]["loss"] < curve[0]["loss"]
    again, _ = train_vae(
        images, VAESettings(epochs=2, **settings), device=device, checkpoint=tmp_path / "c.pt"
    )
    for before, after in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.allclose(before.float(), after.float(), atol=1e-4)
