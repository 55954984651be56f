"""Proved lower bounds of prototype ABS on MNIST: clean accuracy, accuracy proved at some distances, median, cost.

    python benchmarks/prototypes.py --weights DIR --data DIR [--images 1000] [--first 0] [--split test] [--norms l2 …]
        [--prior 8000] [--encoded 5400] [--temperature 1] [--no-offsets] [--neighbors 4] [--threads 1]

DIR of weights: ABS_0.net … ABS_9.net, or vae_0.pt … vae_9.pt; DIR of data: MNIST's IDX files. The prototypes are
those of a run with these options: the last 5,000 training images are the calibration split and not encoded. Designs
are to be chosen on `--split calibration`. Prints one line of JSON per norm. Misclassified images count with a bound
of 0.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from inference import load_vaes

from absynth.certificates.proved import ProvedBounds
from absynth.certificates.settings import SearchSettings
from absynth.models.abs.enumeration import PrototypeSettings, enumerate_abs
from absynth.models.base import predict_labels
from absynth.models.prototypes import PrototypeABS
from absynth.norms import NORMS
from certificates import read

EPSILONS = {"l2": (0.3, 1.5, 1.58), "linf": (0.1, 0.2, 0.3), "l0": (5, 10, 12)}
CALIBRATION = 5000
BATCH = 16


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--split", choices=("test", "calibration"), default="test")
    parser.add_argument("--norms", nargs="+", choices=list(NORMS), default=list(NORMS))
    parser.add_argument("--prior", type=int, default=8000)
    parser.add_argument("--encoded", type=int, default=5400)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--no-offsets", action="store_true")
    parser.add_argument("--neighbors", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    images = read(options.data, "train-images-idx3")[:, None].float() / 255
    labels = read(options.data, "train-labels-idx1").long()
    settings = PrototypeSettings(
        options.prior, options.encoded, options.temperature, offsets=not options.no_offsets
    )
    model = enumerate_abs(
        load_vaes(options.weights),
        images[:-CALIBRATION],
        labels[:-CALIBRATION],
        settings,
        torch.device("cpu"),
    )
    if options.split == "test":
        images = read(options.data, "t10k-images-idx3")[:, None].float() / 255
        labels = read(options.data, "t10k-labels-idx1").long()
    else:
        images, labels = images[-CALIBRATION:], labels[-CALIBRATION:]
    chosen = slice(options.first, options.first + options.images)
    for norm in options.norms:
        measured = measure(model, images[chosen], labels[chosen], norm, options.neighbors)
        print(json.dumps({"norm": norm, "prototypes": len(model.images), **measured}), flush=True)


def measure(model: PrototypeABS, x: torch.Tensor, y: torch.Tensor, norm: str, neighbors: int) -> dict:
    """The values that this file's docstring lists, for one norm."""
    began = time.process_time()
    correct = predict_labels(model, x) == y
    decided = time.process_time()
    method = ProvedBounds(model, SearchSettings(neighbors=neighbors))
    rows = correct.nonzero().flatten()
    found = [method.bound(x[part], y[part], norm) for part in rows.split(BATCH)]
    seconds = time.process_time() - decided
    size = torch.zeros(len(x), dtype=torch.float64)
    size[rows] = torch.cat([part.size for part in found])
    solved = torch.cat([part.solved for part in found if part.solved is not None]).double()
    result = {
        "images": len(x),
        "clean": correct.double().mean().item(),
        **{f"proved_at_{e}": (size >= e).double().mean().item() for e in EPSILONS[norm]},
        "median": size.median().item(),
        "solved_mean": solved.mean().item(),
        "solved_max": solved.max().item(),
        "bound_cpu_ms_per_image": 1000 * seconds / len(x),
        "predict_cpu_ms_per_image": 1000 * (decided - began) / len(x),
    }
    return {key: round(value, 4) for key, value in result.items()}


if __name__ == "__main__":
    main()
