"""CPU seconds of calibrating ABS and Binary ABS, part by part, and what telling classes alone saves.

    python benchmarks/calibration.py --weights DIR --data DIR [--models abs binary_abs] [--images 300]
        [--prior-samples 8000] [--threads 1]

DIR of weights: vae_0.pt … vae_9.pt, or ABS_0.net … ABS_9.net; DIR of data: MNIST's t10k files. For each model, on the
first --images test images, one line of JSON:

build_s: the model, prior samples decoded
logits_s: logits, from which classes were told before; decide_s: classes as calibration tells them (`ABS.decide`)
differing: images whose class differs between the two; pairs: of an image and a class, searched by each, step by step
gamma_s: γ's line search on the logits of Binary ABS, by which its classes are told
peak_mb: peak memory of the process
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from inference import load_images, load_labels, load_vaes
from torch import Tensor

from absynth.evaluation.calibration import classes, fit_gamma, predict
from absynth.models.abs.model import ABS

CPU = torch.device("cpu")


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What a call returns, and the CPU seconds it took."""
    began = time.process_time()
    found = call()
    return found, round(time.process_time() - began, 2)


def searched(model: ABS, call: Callable[[], Any]) -> tuple[Any, float, int]:
    """The same, and how many pairs of an image and a class it took steps for."""
    pairs, original = [0], model.decoders.with_jacobian

    def counted(z: Tensor, counts: list[int]) -> tuple[Tensor, Tensor]:
        pairs[0] += len(z)
        return original(z, counts)

    model.decoders.with_jacobian = counted
    try:
        return (*timed(call), pairs[0])
    finally:
        model.decoders.with_jacobian = original


def measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The line of one model."""
    x, y = (load(options.data, options.images) for load in (load_images, load_labels))
    vaes = load_vaes(options.weights)
    model, build_s = timed(
        lambda: ABS(vaes, binary=name == "binary_abs", prior_samples=options.prior_samples).eval()
    )
    logits, logits_s, before = searched(model, lambda: predict(model, x, 500, CPU))
    gamma, gamma_s = timed(lambda: fit_gamma(logits, y)) if model.binary else (None, 0.0)
    factors = torch.tensor(gamma or 1.0)
    found, decide_s, after = searched(model, lambda: classes(model, x, factors, 500, CPU))
    return {
        "model": name, "images": len(x), "prior_samples": options.prior_samples, "threads": options.threads,
        "build_s": build_s, "logits_s": logits_s, "decide_s": decide_s, "gamma_s": gamma_s, "pairs": [before, after],
        "differing": int((found != (logits * factors).argmax(dim=1)).sum()),
        "accuracy": round((found == y).double().mean().item(), 4),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=["abs", "binary_abs"], choices=["abs", "binary_abs"])
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--prior-samples", type=int, default=8000)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for chosen in arguments.models:
        sys.stdout.write(json.dumps(measured(chosen, arguments)) + "\n")
        sys.stdout.flush()
