"""Lower bounds of the released models on MNIST: their means, disagreement between starts, and cost.

    python benchmarks/certificates.py --weights DIR --data DIR [--images 200] [--threads 1] [--only MODEL ...]

DIR of weights: ABS_0.net … ABS_9.net, or vae_0.pt … vae_9.pt; DIR of data: MNIST's IDX files. Prints one line of
JSON per model (abs, binary_abs with the paper's γ, nearest_neighbor with all training images) and norm: mean and
median of each bound (the paper's from --seeds draws of prior samples, with the standard error), the share of images
whose bounds from the two halves of the starts differ by more than 1 %, and CPU seconds per image for all bounds
together. With a larger --radius the search leaves the ball of latents to which the model is restricted, as the
paper's formula does.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import pandas as pd
import torch
from inference import load_images, load_labels, load_vaes
from torch import nn

from absynth.certificates import search
from absynth.certificates.lower_bounds import bound_rows, compute_lower_bounds
from absynth.certificates.settings import SearchSettings
from absynth.data.idx import read_idx
from absynth.evaluation.lower_bounds import summarise_bounds
from absynth.models.abs.model import ABS
from absynth.models.nearest_neighbor import NearestNeighbor
from absynth.norms import NORMS

GAMMA = (1, 0.96, 1.001, 1.06, 0.98, 0.96, 1.03, 1, 1, 1)  # appendix A.5


def read(folder: Path, stem: str) -> torch.Tensor:
    (path,) = sorted(folder.glob(f"{stem}-ubyte*"))[:1]
    return torch.from_numpy(read_idx(path))


def nearest_neighbor(folder: Path) -> NearestNeighbor:
    images = read(folder, "train-images-idx3").flatten(1).float() / 255
    return NearestNeighbor(images, read(folder, "train-labels-idx1").long())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=1, help="draws of prior samples for the paper's bounds")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=["abs", "binary_abs", "nearest_neighbor"])
    parser.add_argument("--norms", nargs="+", default=list(NORMS))
    parser.add_argument("--radius", type=float, default=search.RADIUS, help="of the latents searched")
    options = parser.parse_args()
    search.RADIUS = options.radius
    torch.set_num_threads(options.threads)
    builders: dict[str, Callable[[], nn.Module]] = {
        "abs": lambda: ABS(load_vaes(options.weights)),
        "binary_abs": lambda: ABS(load_vaes(options.weights), binary=True, gamma=GAMMA),
        "nearest_neighbor": lambda: nearest_neighbor(options.data),
    }
    x = load_images(options.data, options.images)
    y = load_labels(options.data, options.images)
    for name in options.only:
        model = builders[name]()
        for norm in options.norms:
            print(
                json.dumps({"model": name, "norm": norm, **measure(model, x, y, norm, options.seeds)}),
                flush=True,
            )


def measure(model: nn.Module, x: torch.Tensor, y: torch.Tensor, norm: str, seeds: int) -> dict:
    """The values that this file's docstring lists, for one model and norm."""
    began = time.process_time()
    columns, found = compute_lower_bounds(model, x, y, norm, SearchSettings(seeds=seeds))
    result = {"images": len(x), "cpu_seconds_per_image": (time.process_time() - began) / len(x)}
    rows = bound_rows(columns, found, torch.arange(len(x)), y)
    for row in summarise_bounds(*map(pd.DataFrame, rows)):
        result |= {f"{row['bound']}_mean": row["mean"], f"{row['bound']}_median": row["median"]}
        if row["standard_error"] != "":
            result[f"{row['bound']}_standard_error"] = row["standard_error"]
        if row["disagreeing"] != "":
            result["disagreeing"] = row["disagreeing"] / len(x)
    return {key: round(value, 4) for key, value in result.items()}


if __name__ == "__main__":
    main()
