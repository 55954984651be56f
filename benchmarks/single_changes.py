"""What sessions save in which single changes share work: attacks on CNN and Binary CNN with them and without.

    python benchmarks/single_changes.py --data DIR [--images 10] [--models cnn binary_cnn]
        [--attacks fgm_ge fgsm_ge deepfool_ge beam flips sparse_l2] [--out FILE]

Runs each attack on the first test images of MNIST and the weights that ship, one thread, one batch, in all its norms:
on the model as it is, and on one that answers every query as a whole. Prints a line of JSON for each: CPU seconds an
image, queries and medians of both, the ratio of the times, and on how many images the distances differ by more than
1e-4 of the distance.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from attack_costs import WEIGHTS, Whole
from inference import load_images, load_labels
from torch import nn

from absynth import load_model
from absynth.attacks.registry import ATTACKS
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.models.base import input_threshold
from absynth.models.building import resolve

OPTIONS: dict[str, dict[str, Any]] = {"deepfool_ge": {"steps": 50}, "beam": {"width": 2, "removals": 2}}


def measure(attack: str, norm: str, model: nn.Module, samples: Samples) -> dict[str, Any]:
    """Distances (n,), queries and CPU seconds an image."""
    settings = AttackSettings(
        resolve(ATTACKS[attack].builder)(norm, **OPTIONS.get(attack, {})), attack, norm, 0, len(samples)
    )
    began = time.process_time()
    columns = attack_images(settings, model, samples)
    seconds = (time.process_time() - began) / len(samples)
    return {
        "distance": columns["distance"],
        "queries": columns["queries"].double().mean().item(),
        "seconds": seconds,
    }


def main(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    x, y = load_images(options.data, options.images), load_labels(options.data, options.images)
    samples = Samples(x, y, torch.arange(len(x)))
    lines = []
    for name in options.models:
        model = load_model(WEIGHTS, name)
        for attack in options.attacks:
            if attack == "flips" and input_threshold(model) is None:
                continue
            for norm in ATTACKS[attack].norms:
                shared, whole = (measure(attack, norm, each, samples) for each in (model, Whole(model)))
                same = torch.isclose(shared["distance"], whole["distance"], rtol=1e-4, atol=0)
                lines.append(json.dumps({
                    "model": name, "attack": attack, "norm": norm, "images": len(x),
                    "seconds": round(shared["seconds"], 3), "as_a_whole": round(whole["seconds"], 3),
                    "ratio": round(whole["seconds"] / shared["seconds"], 2),
                    "queries": shared["queries"], "queries_as_a_whole": whole["queries"],
                    "median": shared["distance"].median().item(),
                    "median_as_a_whole": whole["distance"].median().item(), "different": int((~same).sum()),
                }))  # fmt: skip
                sys.stdout.write(f"{lines[-1]}\n")
                sys.stdout.flush()
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--models", nargs="+", default=["cnn", "binary_cnn"])
    parser.add_argument(
        "--attacks", nargs="+", default=["fgm_ge", "fgsm_ge", "deepfool_ge", "beam", "flips", "sparse_l2"]
    )
    parser.add_argument("--out", type=Path)
    main(parser.parse_args())
