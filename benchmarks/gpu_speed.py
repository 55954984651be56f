"""The parts of benchmarks/gpu.py that run in its own process."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from gpu_setting import RUN, Setting
from inference import change, load_vaes
from laid_over import ROOT, SCHEMAS, read_config
from snakemake.utils import update_config
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.attacks.target import Target
from absynth.certificates.lower_bounds import compute_lower_bounds
from absynth.certificates.settings import SearchSettings
from absynth.models.base import with_inference
from absynth.models.building import resolve
from absynth.models.cnn import MadryNet
from absynth.norms import NORMS
from absynth.training.classifier import Adversary, ClassifierSettings, train_classifier
from absynth.training.vae import RefinementSettings, VAESettings, refine_vae, train_vae
from absynth.workflow.plan import Plan

Line = dict[str, Any]
FORWARD = ("cnn", "madry", "nearest_neighbor", "prototype_abs")
# The strongest in each norm, with options beyond config/config.yaml's.
STRONGEST: dict[str, dict[str, dict[str, Any]]] = {
    "l2": {"ddn": {}, "boundary_descent": {"walks": 3}},
    "linf": {"fmn": {}, "boundary_descent": {"walks": 3}},
    "l0": {"fmn": {}, "beam": {"width": 1}},
}
EXPENSIVE = {("abs", "beam"), ("abs", "boundary_descent")}  # minutes, for all images
EPSILONS = {"l2": 1.5, "linf": 0.3, "l0": 12}


def figures(value: float) -> float | None:
    """Four digits; null, as JSON has it, where there is no number."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def ceilings(setting: Setting) -> Iterator[Line]:
    n = setting.size.product
    a, b = (torch.randn(n, n, device=setting.device) for _ in range(2))
    seconds = setting.timed(lambda: a @ b)
    yield {"what": "float32 product", "n": n, "tflops": figures(2 * n**3 / seconds / 1e12)}
    source, copy = torch.randn(4, n, n, device=setting.device), torch.empty(4, n, n, device=setting.device)
    seconds = setting.timed(lambda: copy.copy_(source))
    yield {"what": "copy", "tb_per_second": figures(2 * source.nbytes / seconds / 1e12)}


def inference(setting: Setting) -> Iterator[Line]:
    n = setting.size.product
    a = torch.randn(n, n, device=setting.device)
    ceiling = 2 * n**3 / setting.timed(lambda: a @ a)
    for batch in setting.size.batches:
        x, _ = setting.images(batch)
        for name, run in _forward_passes(setting, x):
            flops = _flops(run)
            seconds = setting.timed(run)
            yield {
                "model": name,
                "batch": batch,
                "queries_per_second": figures(batch / seconds),
                "mflop_per_query": figures(flops / batch / 1e6),
                "tflops": figures(flops / seconds / 1e12),
                "share_of_product": figures(flops / seconds / ceiling),
                "peak_memory_mb": setting.peak_memory_mb(),
            }


def _flops(run: Callable[[], object]) -> int:
    """Operations of the matrix products and convolutions in a call, which may take gradients of its own."""
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _NoModules()  # torch's own refuses gradients at leaves inside of a module
    with counter:
        run()
    return counter.get_total_flops()


class _NoModules(nullcontext):
    parents = frozenset({"Global"})


def _forward_passes(setting: Setting, x: Tensor) -> Iterator[tuple[str, Callable[[], object]]]:
    for name in FORWARD:
        model = setting.model(name)
        yield name, lambda model=model: model(x)
        yield f"{name}, gradient", lambda model=model: _gradient(model, x)
    model = setting.model("abs")
    near, start = change(x), model.infer(x)
    yield "abs, reference", lambda: model.with_inference("reference")(x)
    yield "abs, fast", lambda: model.with_inference("fast")(x)
    yield "abs, warm", lambda: model.logits_at(near, model.infer_near(near, start))


def _gradient(model: nn.Module, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(x).logsumexp(dim=1).sum(), x)
    return gradient


def sessions(setting: Setting) -> Iterator[Line]:
    for name in ("cnn", "nearest_neighbor", "prototype_abs", "abs", "binary_abs"):
        for batch in setting.size.batches:
            x, y = setting.images(batch)
            target = Target(with_inference(setting.model(name), "fast"), x, y, "l2")
            seconds = setting.timed(lambda target=target, x=x: _gradient(target, change(x)))
            yield {
                "model": name,
                "batch": batch,
                "queries_with_gradient_per_second": figures(batch / seconds),
            }


def launches(setting: Setting) -> Iterator[Line]:
    """Counts of one step: what a GPU waits for are launches of small kernels, `item`s and copies to the host."""
    x, y = setting.images(min(100, setting.size.attacked))
    for name in ("cnn", "abs"):
        model = with_inference(setting.model(name), "fast")
        target = Target(model, x, y, "l2")
        _gradient(target, x)
        yield {"what": f"{name}, a query with gradient through Target"} | _counts(
            setting, lambda target=target: _gradient(target, change(x))
        )
    for name, norm, attack in (
        ("cnn", "l2", "ddn"),
        ("cnn", "linf", "fmn"),
        ("cnn", "l2", "boundary_descent"),
    ):
        plan, built = _built(attack, norm, {"steps": 10})
        settings = AttackSettings(built, attack, norm, plan.config["seed"], len(x))
        model = setting.model(name)
        samples = Samples(x, y, torch.arange(len(x), device=x.device))
        counted = _counts(setting, lambda s=settings, m=model, p=samples: attack_images(s, m, p))
        yield {"what": f"{attack} {norm} on {name}, 10 steps, {len(x)} images"} | counted


def _counts(setting: Setting, run: Callable[[], object]) -> Line:
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if setting.device.type == "cuda":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    seconds = setting.timed(run, repeats=1)
    with torch.profiler.profile(activities=kinds) as profile:
        run()
        setting.wait()
    count: Counter[str] = Counter()
    for event in profile.key_averages():
        count[event.key] += event.count
    device_us = sum(event.self_device_time_total for event in profile.key_averages())
    return {
        "seconds": figures(seconds),
        "device_busy_seconds": figures(device_us / 1e6),
        "operators": sum(value for key, value in count.items() if key.startswith("aten::")),
        "launches": count["cudaLaunchKernel"] + count["cuLaunchKernel"] + count["cudaLaunchKernelExC"],
        "items": count["aten::_local_scalar_dense"],
        "nonzeros": count["aten::nonzero"],
        "waits": count["cudaStreamSynchronize"],
        "copies": count["cudaMemcpyAsync"],
    }


def _built(attack: str, norm: str, options: dict[str, Any], factor: float = 1.0) -> tuple[Plan, Any]:
    config = read_config(ROOT / "config" / "mnist-small.yaml")
    update_config(config, {"attacks": {attack: options}})
    plan = Plan(config, SCHEMAS)
    found = plan.options(attack, "cnn")
    if factor < 1 and "steps" in found:
        found["steps"] = max(2, int(factor * found["steps"]))
    return plan, resolve(plan.attacks[attack].builder)(norm, **found)


def attacks(setting: Setting) -> Iterator[Line]:
    x, y = setting.images(setting.size.attacked)
    samples = Samples(x, y, torch.arange(len(x), device=x.device))
    for name in setting.size.attacked_models:
        model = setting.model(name)
        for norm, chosen in STRONGEST.items():
            for attack, options in chosen.items():
                if (name, attack) in EXPENSIVE or setting.seconds_left() <= 0:
                    continue
                plan, built = _built(attack, norm, options, setting.size.steps)
                settings = AttackSettings(built, attack, norm, plan.config["seed"], len(x))
                began = time.perf_counter()
                found = attack_images(settings, model, samples)
                seconds = time.perf_counter() - began
                queries = int(found["queries"].sum())
                yield {
                    "model": name,
                    "norm": norm,
                    "attack": attack,
                    "images": len(x),
                    "median": figures(found["distance"].median().item()),
                    "accuracy": figures((found["distance"] > EPSILONS[norm]).double().mean().item()),
                    "seconds": figures(seconds),
                    "queries_per_second": figures(queries / seconds),
                    "peak_memory_mb": setting.peak_memory_mb(),
                }


def bounds(setting: Setting) -> Iterator[Line]:
    for name in ("prototype_abs", "nearest_neighbor", "abs"):
        model = setting.model(name)
        x, y = setting.images(max(1, setting.size.bounded // (8 if name == "abs" else 1)))
        for norm in NORMS:
            began = time.perf_counter()
            found, _ = compute_lower_bounds(model, x, y, norm, SearchSettings(seeds=1))
            seconds = time.perf_counter() - began
            yield {
                "model": name,
                "norm": norm,
                "images": len(x),
                "median": figures(found["joint"].median().item()),
                "ms_per_image": figures(1000 * seconds / len(x)),
                "peak_memory_mb": setting.peak_memory_mb(),
            }
            if setting.seconds_left() <= 0:
                return


def training(setting: Setting) -> Iterator[Line]:
    images, labels = setting.splits[:2]
    epochs, n = setting.size.epochs, setting.size.trained
    one = images[labels == 1][:n]
    common = {"epochs": epochs, "batch_size": 64, "learning_rate": 1e-3, "seed": 0}
    vae = VAESettings(**common, kl_start=0.1, kl_end=1.0, kl_epochs=epochs)
    refined = RefinementSettings(**common, averaged_epochs=1, kl_weight=0.5, shift=1, zoom=0.1)
    adversary = Adversary(epsilon=0.3, steps=10, step_size=0.05)
    start = load_vaes(RUN / "models" / "abs")[1].requires_grad_(True)
    classifier = ClassifierSettings(**common, adversary=adversary)
    parts: dict[str, tuple[int, Callable[[], list[dict[str, float]]]]] = {
        "VAE": (len(one), lambda: train_vae(one, vae, device=setting.device)[1]),
        "refinement": (len(one), lambda: refine_vae(start, one, refined, device=setting.device)[1]),
        "Madry et al.": (
            n,
            lambda: train_classifier(MadryNet(), images[:n], labels[:n], classifier, device=setting.device),
        ),
    }
    for name, (count, run) in parts.items():
        began = time.perf_counter()
        curve = run()
        seconds = time.perf_counter() - began
        yield {
            "what": name,
            "images": count,
            "seconds_per_epoch": figures(seconds / epochs),
            "images_per_second": figures(count * epochs / seconds),
            "last_loss": figures(curve[-1]["loss"]),
        }
