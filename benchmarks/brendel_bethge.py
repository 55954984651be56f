"""Brendel & Bethge's attack beside Foolbox's implementation: medians, and CPU seconds of a job.

    python benchmarks/brendel_bethge.py --data DIR [--models cnn madry] [--norms l2 linf l0] [--images 20]
        [--steps 100] [--threads 1]

On the weights that ship; DIR holds MNIST's IDX files, gzipped. Both begin from the same salt-and-pepper noises. Each
norm of each implementation has a process of its own, as a job has: `start_cpu_s` is what that took to import, load
and, on one image and in one step, to compile, `attack_cpu_s` the attack on all images. Prints one line of JSON for
each model, norm and implementation. Takes three CPU minutes, most of them of numba's compilation for Foolbox.
"""

import argparse
import json
import multiprocessing
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from torch import Tensor, nn

from absynth.attacks.line_search import bisect_to_clean
from absynth.attacks.noise import start_from_noise
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.data.idx import read_idx
from absynth.models.base import predict_labels
from absynth.models.building import build
from absynth.models.calibration_file import read_calibration

RUN = Path(__file__).parents[1] / "resources" / "weights" / "mnist-small"
NORMS = ("l2", "linf", "l0")
LR, STARTS, REFINE_STEPS = 1e-2, 10, 10  # the attack's defaults


@dataclass(frozen=True)
class Job:
    """One norm of one implementation ("ours" or "foolbox") on some models."""

    implementation: str
    norm: str
    models: tuple[str, ...]
    data: Path
    images: int
    steps: int
    threads: int


def ours(target: Target, random: SampleRandom, steps: int) -> None:
    """The attack of this program."""
    from absynth.attacks.brendel_bethge import brendel_bethge

    attack = brendel_bethge(target.norm, steps=steps, lr=LR, starts=STARTS, refine_steps=REFINE_STEPS)
    attack(target, random)


def foolbox(target: Target, random: SampleRandom, steps: int) -> None:
    """Foolbox's, from the same starts, and with the same bisection at its end."""
    from foolbox import attacks

    from absynth.attacks.foolbox.bridge import isolate, run_minimization

    kinds = {
        "l2": attacks.L2BrendelBethgeAttack,
        "linf": attacks.LinfinityBrendelBethgeAttack,
        "l0": attacks.L0BrendelBethgeAttack,
    }

    def walk() -> None:
        attack = kinds[target.norm](steps=steps, lr=LR / len(target.rows))  # which it multiplies by them
        run_minimization(target, attack, starting_points=target.best[target.rows])

    start_from_noise(target, random, STARTS)
    with target.only(target.best_distance[target.rows].isfinite()):
        isolate(target, walk)
    bisect_to_clean(target, REFINE_STEPS)


IMPLEMENTATIONS = {"ours": ours, "foolbox": foolbox}


def load(name: str, data: Path, count: int) -> tuple[nn.Module, Tensor, Tensor]:
    """A model that ships, and the first `count` test images that it classifies correctly, with labels (n,)."""
    spec = read_calibration(RUN / "models" / name / "calibration.json", "model")["model"]
    model = build(spec, RUN).eval().requires_grad_(False)
    x = torch.from_numpy(read_idx(data / "t10k-images-idx3-ubyte.gz")[: 2 * count]).float().div(255)[:, None]
    y = torch.from_numpy(read_idx(data / "t10k-labels-idx1-ubyte.gz")[: 2 * count]).long()
    correct = predict_labels(model, x) == y
    return model, x[correct][:count], y[correct][:count]


def measured(job: Job) -> list[dict[str, Any]]:
    """The rows of one job, one a model; in a process of its own, as CPU seconds count from its start."""
    torch.set_num_threads(job.threads)
    attack = IMPLEMENTATIONS[job.implementation]
    loaded = {name: load(name, job.data, job.images) for name in job.models}
    for model, x, y in list(loaded.values())[:1]:
        attack(Target(model, x[:1], y[:1], job.norm), SampleRandom(0, "first", [0], x.device), 1)
    start = time.process_time()
    rows = []
    for name, (model, x, y) in loaded.items():
        target = Target(model, x, y, job.norm)
        began = time.process_time()
        attack(target, SampleRandom(0, f"brendel_bethge/{job.norm}", range(len(x)), x.device), job.steps)
        rows.append(
            {
                "model": name,
                "norm": job.norm,
                "implementation": job.implementation,
                "images": len(x),
                "steps": job.steps,
                "median": round(target.best_distance.median().item(), 5),
                "mean": round(target.best_distance.mean().item(), 5),
                "queries": round(target.queries.double().mean().item(), 1),
                "start_cpu_s": round(start, 2),
                "attack_cpu_s": round(time.process_time() - began, 2),
            }
        )
    return rows


def main(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows, printed as they come."""
    rows = []
    for norm in arguments.norms:
        for implementation in arguments.implementations:
            job = Job(
                implementation, norm, tuple(arguments.models), arguments.data,
                arguments.images, arguments.steps, arguments.threads,
            )  # fmt: skip
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                found = pool.apply(measured, (job,))
            for row in found:
                print(json.dumps(row), flush=True)
            rows += found
    return rows


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with the t10k IDX files, gzipped")
    parser.add_argument("--models", nargs="+", default=["cnn", "madry"])
    parser.add_argument("--norms", nargs="+", choices=NORMS, default=list(NORMS))
    parser.add_argument(
        "--implementations", nargs="+", choices=IMPLEMENTATIONS, default=list(IMPLEMENTATIONS)
    )
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    return parser


if __name__ == "__main__":
    main(parser().parse_args())
