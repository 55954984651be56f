"""Queries per second and energies of ABS inference, all in one run on the same weights and images.

(a) paper: the paper's procedure, class by class as in the released code's structure
(b) reference: the same definition, all classes batched, batch norm folded
(c) fast, from a cold start, and (d) fast, from the latents inferred before every pixel changed by ±0.02

    python benchmarks/inference.py --weights DIR --data DIR [--images 100] [--device cpu] [--threads 2] [--profile]

DIR of weights: ABS_0.net … ABS_9.net, or vae_0.pt … vae_9.pt; DIR of data: MNIST's t10k files. Prints one line
of JSON: queries per second (*_qps), their ratios to (a), the share of images for which fast and reference
predict the same class, the energy of the class predicted by the reference under fast minus that under the reference,
and peak memory. With --profile it prints instead the share of each operator in the time of (b) to (d).
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from torch import Tensor

from absynth.data.idx import read_idx
from absynth.models.abs.model import ABS
from absynth.models.abs.prior import clip_radius
from absynth.models.abs.reference import RADIUS
from absynth.models.abs.vae import VAE
from absynth.models.weights import load_weights

CHANGE = 0.02


def load_vaes(folder: Path) -> list[VAE]:
    """The ten VAEs in a folder, by either naming."""
    pattern = "ABS_{}.net" if (folder / "ABS_0.net").is_file() else "vae_{}.pt"
    vaes = [VAE() for _ in range(10)]
    for label, vae in enumerate(vaes):
        load_weights(folder / pattern.format(label), vae)
    return [vae.eval().requires_grad_(False) for vae in vaes]


def load_images(folder: Path, n: int) -> Tensor:
    """The first n test images, (n, 1, 28, 28)."""
    (path,) = sorted(folder.glob("t10k-images-idx3-ubyte*"))[:1]
    return torch.from_numpy(read_idx(path)[:n]).float()[:, None] / 255


def load_labels(folder: Path, n: int) -> Tensor:
    """Those of the first n test images, (n,)."""
    (path,) = sorted(folder.glob("t10k-labels-idx1-ubyte*"))[:1]
    return torch.from_numpy(read_idx(path)[:n]).long()


def paper_energies(vaes: list[VAE], latents: Tensor, prototypes: list[Tensor], x: Tensor) -> Tensor:
    """The paper's inference, class by class: x (n, 784) to energies (n, 10)."""
    start = []
    for images in prototypes:
        squares = torch.cdist(x, images, compute_mode="use_mm_for_euclid_dist").square()
        start.append(latents[(squares + 0.5 * latents.square().sum(dim=1)).argmin(dim=1)])
    z = torch.stack(start, dim=1).requires_grad_(True)  # (n, 10, 8)
    optimizer = torch.optim.Adam([z], lr=0.05)
    for _ in range(50):
        loss = sum(class_energy(vae, z[:, c], x).sum() for c, vae in enumerate(vaes))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        z.data = clip_radius(z.data, RADIUS)
    with torch.no_grad():
        return torch.stack([class_energy(vae, z[:, c], x) for c, vae in enumerate(vaes)], dim=1)


def class_energy(vae: VAE, z: Tensor, x: Tensor) -> Tensor:
    return (vae.Decoder(z).flatten(1) - x).square().sum(dim=1) + 0.5 * z.square().sum(dim=1)


def timed(run: Callable[[], Tensor], device: torch.device) -> tuple[Tensor, float]:
    """The result of `run`, and the seconds of the faster of two calls, or of the only one if it is long."""
    seconds = float("inf")
    for _ in range(2):
        began = time.perf_counter()
        result = run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = min(seconds, time.perf_counter() - began)
        if seconds > 5:
            break
    return result, seconds


def change(x: Tensor) -> Tensor:
    """Images with every pixel CHANGE up or down, within [0, 1]."""
    signs = torch.randint(0, 2, x.shape, generator=torch.Generator().manual_seed(0))
    return (x + CHANGE * (2 * signs.to(x) - 1)).clamp(0, 1)


def profiles(vaes: list[VAE], x: Tensor, device: torch.device) -> dict[str, dict[str, float]]:
    """For (b) to (d), the operators that take most time, with their shares."""
    model, changed = ABS(vaes).to(device), change(x)
    start = model.infer(x)
    procedures = {
        "reference": lambda: model.with_inference("reference")(x),
        "fast": lambda: model.with_inference("fast")(x),
        "warm": lambda: model.logits_at(changed, model.infer_near(changed, start)),
    }
    return {name: operators(run, device) for name, run in procedures.items()}


def operators(run: Callable[[], Tensor], device: torch.device, n: int = 10) -> dict[str, float]:
    """The n operators with most time of their own in `run`, and their shares of its time."""
    kinds = {torch.profiler.ProfilerActivity.CPU}
    if device.type == "cuda":
        kinds.add(torch.profiler.ProfilerActivity.CUDA)
    run()
    with torch.profiler.profile(activities=kinds) as profile:
        run()
    field = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    times = {event.key: getattr(event, field) for event in profile.key_averages()}
    largest = sorted(times, key=times.get, reverse=True)[:n]
    return {name: round(times[name] / sum(times.values()), 3) for name in largest}


def measure(vaes: list[VAE], x: Tensor, device: torch.device) -> dict[str, float]:
    """All four procedures on images x (n, 1, 28, 28)."""
    n, flat = len(x), x.flatten(1)
    model = ABS(vaes).to(device)
    latents = model.prototypes.latents
    images = list(model.prototypes.images)
    changed = change(x)
    by_reference, by_fast = model.with_inference("reference"), model.with_inference("fast")
    for view in (by_reference, by_fast):
        view(x[:4])  # warm up
    start = model.infer(x)

    parts = flat.split(50)
    paper, paper_s = timed(
        lambda: torch.cat([paper_energies(vaes, latents, images, p) for p in parts]), device
    )
    reference, reference_s = timed(lambda: by_reference(x), device)
    fast, fast_s = timed(lambda: by_fast(x), device)
    _, warm_s = timed(lambda: model.logits_at(changed, model.infer_near(changed, start)), device)

    chosen = reference.argmax(dim=1, keepdim=True)
    gap = 784 * (reference - fast).gather(1, chosen)
    on_cuda = device.type == "cuda"
    peak = (
        torch.cuda.max_memory_allocated()
        if on_cuda
        else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    )
    return {
        "paper_qps": n / paper_s,
        "reference_qps": n / reference_s,
        "fast_qps": n / fast_s,
        "warm_qps": n / warm_s,
        "cold_ratio": paper_s / fast_s,
        "warm_ratio": paper_s / warm_s,
        "reference_ratio": paper_s / reference_s,
        "decision_agreement": (fast.argmax(dim=1) == chosen.squeeze(1)).float().mean().item(),
        "paper_agreement": (paper.argmin(dim=1) == chosen.squeeze(1)).float().mean().item(),
        "energy_gap_mean": gap.mean().item(),
        "energy_gap_max": gap.max().item(),
        "peak_mb": peak / 2**20,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    vaes = [vae.to(device) for vae in load_vaes(options.weights)]
    x = load_images(options.data, options.images).to(device)
    if options.profile:
        print(json.dumps(profiles(vaes, x, device), indent=1))
        return
    result = measure(vaes, x, device)
    rounded = {key: float(f"{value:.5g}") for key, value in result.items()}
    print(
        json.dumps({**rounded, "images": options.images, "device": str(device), "threads": options.threads})
    )


if __name__ == "__main__":
    main()
