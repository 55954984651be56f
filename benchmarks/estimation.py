"""What estimated gradients add to exact ones on ABS: FGSM, DeepFool and BIM with both, confirmed by the reference.

    python benchmarks/estimation.py --weights DIR --data DIR [--images 5] [--differences 0.1 0.6] [--threads 1]

DIR of weights: ABS_0.net … ABS_9.net, or vae_0.pt … vae_9.pt; DIR of data: MNIST's t10k files. Prints one
line of JSON per attack: medians, queries per image and CPU seconds with exact gradients and with estimates, and for
how many images estimates find an adversarial closer by more than 1 %. Takes some minutes on one core.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from inference import load_images, load_labels, load_vaes

from absynth.attacks import estimation, gradient
from absynth.attacks.api import Attack
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.models.abs.model import ABS

OPTIONS = {
    ("fgsm", "linf"): {},
    ("deepfool", "l2"): {"steps": 10},
    ("bim", "l2"): {"steps": 5, "step_sizes": [0.4], "doublings": 4, "bisections": 2},
}


def measure(attack: Attack, model: ABS, x: torch.Tensor, y: torch.Tensor, norm: str) -> dict:
    """Distances (n,), queries per image and CPU seconds of an attack."""
    began = time.process_time()
    settings = AttackSettings(attack, "estimation", norm, seed=0, batch_size=len(x))
    found = attack_images(settings, model, Samples(x, y, torch.arange(len(x))))
    return {
        "distance": found["distance"],
        "queries": round(found["queries"].double().mean().item()),
        "seconds": round(time.process_time() - began, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=5)
    parser.add_argument("--differences", type=float, nargs="+", default=[0.1, 0.6])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = ABS(load_vaes(options.weights))
    x = load_images(options.data, options.images)
    y = load_labels(options.data, options.images)
    for (name, norm), chosen in OPTIONS.items():
        exact = getattr(gradient, name)(norm, **chosen)
        by_estimate = getattr(estimation, f"{name}_ge")(norm, differences=options.differences, **chosen)
        found = {
            "exact": measure(exact, model, x, y, norm),
            "estimated": measure(by_estimate, model, x, y, norm),
        }
        distances = [result.pop("distance") for result in found.values()]
        for result, distance in zip(found.values(), distances, strict=True):
            result["median"] = round(distance.median().item(), 4)
        closer = int((distances[1] < 0.99 * distances[0]).sum())
        line = {"attack": name, "norm": norm, "images": len(x), **found, "estimated_closer": closer}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
