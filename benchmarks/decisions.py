"""What foreseeing decisions saves attacks by decisions on ABS: each with it, and with every query inferred.

    python benchmarks/decisions.py --weights DIR --data DIR [--images 20] [--attacks boundary …] [--nothing]
        [--threads 1]

DIR of weights: ABS_0.net … ABS_9.net, or vae_0.pt … vae_9.pt; DIR of data: MNIST's t10k files. Prints a line of
JSON an attack: of either side the median and mean distance of what was found, queries and CPU seconds an image,
confirmation included, and how many failed; and the ratio of the seconds. --nothing: on a third side every query is
inferred from nothing, whatever was found before. Some minutes of one core an attack, with it a minute an image.
"""

import argparse
import json
import sys
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from estimation import measure
from inference import load_images, load_labels, load_vaes
from torch import Tensor

from absynth.attacks import target
from absynth.attacks.boundary import boundary
from absynth.attacks.noise import gaussian_noise, salt_pepper
from absynth.attacks.pointwise import pointwise
from absynth.models.abs.model import ABS
from absynth.models.abs.session import WarmStartSession

ATTACKS = {
    "boundary": (boundary, "l2", {"steps": 1000}),
    "gaussian_noise": (gaussian_noise, "l2", {"repetitions": 51}),
    "pointwise_l2": (pointwise, "l2", {"repetitions": 1}),
    "pointwise_l0": (pointwise, "l0", {"repetitions": 1}),
    "salt_pepper": (salt_pepper, "l0", {"repetitions": 101}),
}


class Inferring(WarmStartSession):
    """Infers every query, as where a gradient is wanted."""

    def decide(self, queries: Tensor, rows: Tensor) -> Tensor:
        return self(queries, rows).argmax(dim=1)


class FromNothing(WarmStartSession):
    """Infers every query as if it were the first."""

    def decide(self, queries: Tensor, rows: Tensor) -> Tensor:
        return self.model(queries).argmax(dim=1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    parser.add_argument("--nothing", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = ABS(load_vaes(options.weights))
    x = load_images(options.data, options.images)
    y = load_labels(options.data, options.images)
    for name in options.attacks:
        build, norm, budget = ATTACKS[name]
        found = {}
        sides = {"foreseen": WarmStartSession, "inferred": Inferring}
        if options.nothing:
            sides["nothing"] = FromNothing
        for side, session in sides.items():
            with patch.object(target, "WarmStartSession", session):
                found[side] = summarised(measure(build(norm, **budget), model, x, y, norm), len(x))
        ratio = round(found["inferred"]["seconds"] / found["foreseen"]["seconds"], 2)
        print(json.dumps({"attack": name, "images": len(x), **found, "ratio": ratio}), flush=True)


def summarised(measured: dict, n: int) -> dict:
    distance = measured["distance"]
    return {
        "median": round(distance[distance.isfinite()].median().item(), 4),
        "mean": round(distance[distance.isfinite()].mean().item(), 4),
        "failed": int(distance.isinf().sum()),
        "queries": measured["queries"],
        "seconds": round(measured["seconds"] / n, 2),
    }


if __name__ == "__main__":
    main()
