"""How often fast and reference inference predict the same class: on clean images, and near the decision boundary.

Near the boundary: adversarials found by DeepFool with fast inference, by bisection at the boundary, then moved 0,
0.5, 1 and 2 % further away from the clean image.

    python benchmarks/agreement.py --weights DIR --data DIR [--images 1000] [--adversarials 100] [--seed 3]

Prints one line of JSON: accuracy of both on clean images, the share on which they agree, and for each push
the share of adversarials on which they agree and the share that the reference misclassifies.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from inference import load_images, load_labels, load_vaes

from absynth.attacks.gradient import deepfool
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.models.abs.model import ABS
from absynth.models.base import predict_labels

PUSHES = (0.0, 0.005, 0.01, 0.02)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--adversarials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=3, help="of the prior samples")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = ABS(load_vaes(options.weights), prior_seed=options.seed)
    x = load_images(options.data, options.images)
    y = load_labels(options.data, options.images)

    predictions = {name: predict_labels(model.with_inference(name), x) for name in ("fast", "reference")}
    result = {f"{name}_accuracy": (p == y).float().mean().item() for name, p in predictions.items()}
    result["clean_agreement"] = (predictions["fast"] == predictions["reference"]).float().mean().item()

    right = ((predictions["fast"] == y) & (predictions["reference"] == y)).nonzero().squeeze(1)
    rows = right[: options.adversarials]
    target = Target(model.with_inference("fast"), x[rows], y[rows], "l2")
    deepfool("l2")(target, SampleRandom(0, "agreement", rows.tolist(), x.device))
    found = target.best_distance.isfinite()
    rows, adversarials = rows[found], target.best[found]
    result["adversarials"] = len(rows)
    result["median_l2"] = target.best_distance.median().item()
    for push in PUSHES:
        pushed = (x[rows] + (1 + push) * (adversarials - x[rows])).clamp(0, 1)
        fooled = [
            predict_labels(model.with_inference(name), pushed) != y[rows] for name in ("fast", "reference")
        ]
        result[f"agreement_{100 * push:g}%"] = (fooled[0] == fooled[1]).float().mean().item()
        result[f"reference_fooled_{100 * push:g}%"] = fooled[1].float().mean().item()
    print(json.dumps({key: round(value, 5) for key, value in result.items()}))


if __name__ == "__main__":
    main()
