"""What predicted decisions save decision-based attacks on ABS: each attack with them, and with every query inferred.

    python benchmarks/decisions.py --weights DIR --data DIR [--images 20] [--attacks boundary …] [--cold]
        [--threads 1]

DIR of weights: ABS_0.net … ABS_9.net, or vae_0.pt … vae_9.pt; DIR of data: MNIST's t10k files. Prints one line of
JSON per attack: with each, the median and mean distance of the adversarials, queries and CPU seconds per image,
confirmation included, and the number of failures; and the ratio of the seconds. --cold: also with a cold start for
every query. Takes some minutes of one core per attack, with --cold a minute per image.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from estimation import measure
from inference import load_images, load_labels, load_vaes
from torch import Tensor

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


class InferringSession(WarmStartSession):
    """Infers every query from a warm start, as if a gradient were needed."""

    @torch.no_grad()
    def predict(self, queries: Tensor, rows: Tensor) -> Tensor:
        return self.logits(queries, rows).argmax(dim=1)


class ColdSession(WarmStartSession):
    """Infers every query from a cold start."""

    @torch.no_grad()
    def predict(self, queries: Tensor, rows: Tensor) -> Tensor:
        return self.model(queries).argmax(dim=1)


class Measured(ABS):
    """ABS whose sessions are of the type `session`."""

    session: type[WarmStartSession] = WarmStartSession

    def start_session(self, images: Tensor, labels: Tensor) -> WarmStartSession:
        return self.session(self, images, labels)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = Measured(load_vaes(options.weights))
    x = load_images(options.data, options.images)
    y = load_labels(options.data, options.images)
    for name in options.attacks:
        build, norm, chosen = ATTACKS[name]
        found = {}
        sessions = {"predicted": WarmStartSession, "inferred": InferringSession}
        if options.cold:
            sessions["cold"] = ColdSession
        for kind, session in sessions.items():
            model.session = session
            found[kind] = summarised(measure(build(norm, **chosen), model, x, y, norm), len(x))
        ratio = round(found["inferred"]["seconds"] / found["predicted"]["seconds"], 2)
        print(json.dumps({"attack": name, "images": len(x), **found, "ratio": ratio}), flush=True)


def summarised(measured: dict[str, Any], n: int) -> dict[str, Any]:
    """Distances summarised over the images attacked successfully, and seconds per image."""
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
