"""How sure the searched lower bounds of ABS are: how many of independent random starts end at the best minimum.

    python benchmarks/random_starts.py --weights DIR --data DIR [--images 20] [--starts 100] [--norm l2] [--threads 1]

DIR of weights: ABS_0.net … ABS_9.net, or vae_0.pt … vae_9.pt; DIR of data: MNIST's IDX files. For each correctly
classified image the rival class that determines the bound (with the default search, against one own reconstruction)
is searched again from latents drawn from N(0, 1), independently and without regard to the image. Prints one line of
JSON per image: the bound of the default search, the smallest of the random starts, the share of these within 1 % of
the smaller of both, and how many end more than 1 % below the bound. Then one line for all: the mean and least share,
and the rule of three, 3 / starts: with 95 % confidence no larger share of all random starts ends lower than any of
these did.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from inference import load_images, load_labels, load_vaes
from torch import Tensor

from absynth.certificates.pairs import Pairs
from absynth.certificates.search import RADIUS
from absynth.certificates.searched import SearchedBounds
from absynth.certificates.settings import SearchSettings
from absynth.models.abs.model import ABS
from absynth.models.abs.prior import clip_radius
from absynth.models.base import predict_labels
from absynth.norms import NORMS

NEAR = 0.01  # share of the bound


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--starts", type=int, default=100)
    parser.add_argument("--norm", choices=list(NORMS), default="l2")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = ABS(load_vaes(options.weights))
    images, labels = load_images(options.data, options.images), load_labels(options.data, options.images)
    generator = torch.Generator().manual_seed(options.seed)
    shares = []
    for i in (predict_labels(model, images) == labels).nonzero().flatten().tolist():
        found = search(
            model, images[i : i + 1], labels[i : i + 1], options.norm, draw(options.starts, generator)
        )
        shares.append(found["within_1_percent_of_best"])
        print(json.dumps({"image": i, **found}), flush=True)
    values = torch.tensor(shares)
    result = {"images": len(values), "mean_share": values.mean().item(), "least_share": values.min().item()}
    print(json.dumps({**result, "starts": options.starts, "rule_of_three": 3 / options.starts}))


def draw(count: int, generator: torch.Generator) -> Tensor:
    """Latents (count, 8) from N(0, 1), within the radius to which the model confines them."""
    return clip_radius(torch.randn(count, 8, generator=generator), RADIUS)


@torch.no_grad()
def search(model: ABS, x: Tensor, y: Tensor, norm: str, latents: Tensor) -> dict[str, float]:
    """The values that this file's docstring lists, for one image."""
    method = SearchedBounds(model, SearchSettings(own=1))
    pair = method.class_pairs(x, y, norm, 1)[0]
    assert pair.latents is not None
    bound = method.bound(x, y, norm).score.item()
    objective = method._needed(method.perturbations(x, norm), pair.own)
    pairs = Pairs(
        torch.zeros(len(latents), dtype=torch.int64), pair.label.expand(len(latents)).clone(), latents
    )
    _, score = method._search(objective).descend(pairs, method.settings.first_steps + method.settings.steps)
    best = min(bound, score.min().item())
    return {
        "rival": int(pair.label),
        "bound": round(bound, 4),
        "best_of_random": round(score.min().item(), 4),
        "within_1_percent_of_best": round((score <= best * (1 + NEAR)).double().mean().item(), 4),
        "below_bound_by_1_percent": int((score < bound * (1 - NEAR)).sum()),
    }


if __name__ == "__main__":
    main()
