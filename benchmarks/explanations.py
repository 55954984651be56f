"""How well ten VAEs explain MNIST's test images, and what ABS with them reads wrongly.

    python benchmarks/explanations.py --weights DIR --data DIR [--images 10000]

Prints one line of JSON. Energies are of fast inference: the images' own class, mean and 99 % quantile within each
class, averaged over classes, and the median margin to the nearest rival. `elbo` and `kl`: the loss of the VAEs at
KL factor 1 by their own encoders, and the KL term in it. DIR is what inference.py takes.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import torch
from inference import load_images, load_labels, load_vaes
from torch import Tensor

from absynth.calibration import predict
from absynth.inference.decoders import PIXELS
from absynth.models.abs import ABS
from absynth.models.vae import LATENT, VAE, negative_elbo

BATCH = 500


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    vaes = load_vaes(options.weights)
    x = load_images(options.data, options.images)
    y = load_labels(options.data, options.images)
    print(json.dumps({"images": len(x), **explain(vaes, x, y)}))


def explain(vaes: list[VAE], x: Tensor, y: Tensor) -> dict:
    """What the docstring of this file says."""
    energies = -PIXELS * predict(ABS(vaes), x, BATCH, x.device)
    own = energies.gather(1, y[:, None]).squeeze(1)
    rival = energies.scatter(1, y[:, None], torch.inf).min(dim=1).values
    wrong = energies.argmin(dim=1) != y
    by_class = [own[y == label] for label in y.unique()]
    generator = torch.Generator().manual_seed(0)
    elbo, kl = torch.empty_like(own), torch.empty_like(own)
    for label, vae in enumerate(vaes):
        images = x[y == label]
        noise = torch.randn(len(images), LATENT, generator=generator)
        elbo[y == label], kl[y == label] = negative_elbo(vae, images, 1.0, noise)
    values = {
        "accuracy": 1 - wrong.double().mean(),
        "own_mean": torch.stack([part.mean() for part in by_class]).mean(),
        "own_99%": torch.stack([part.quantile(0.99) for part in by_class]).mean(),
        "margin_median": (rival - own).median(),
        "elbo": elbo.mean(),
        "kl": kl.mean(),
    }
    rounded = {key: round(value.item(), 4) for key, value in values.items()}
    return {**rounded, "errors": [int(wrong[y == label].sum()) for label in range(len(vaes))]}


if __name__ == "__main__":
    main()
