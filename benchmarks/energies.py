"""How well ten VAEs reconstruct MNIST's test images, and which of them ABS misclassifies.

    python benchmarks/energies.py --weights DIR [DIR ...] --data DIR [--images 10000] [--moved 0]

Prints one line of JSON per DIR of weights. Energies are those of fast inference: that of the true class, its mean
and 99 % quantile within each class, averaged over classes, and the median margin to the best other class. `elbo`
and `kl`: the loss of the VAEs at KL factor 1 with their own encoders, and the KL term in it. `moved`: own_mean and
accuracy on the first --moved images as they are, shifted two pixels to the right or down, and enlarged. For several
DIRs one more line: how many images both of a pair misclassify, and the accuracy of all combined, where each class
has the lowest energy of its VAEs. DIR is as for inference.py.
"""

import argparse
import json
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
import torch.nn.functional as F
from inference import load_images, load_labels, load_vaes
from torch import Tensor

from absynth.evaluation.calibration import predict
from absynth.models.abs.decoders import PIXELS
from absynth.models.abs.model import ABS
from absynth.models.abs.vae import LATENT, VAE, negative_elbo

BATCH = 500
MOVES = {  # scale and shift (right, down; in half widths) of the map from places in the result to those in the image
    "none": (1.0, 0.0, 0.0),
    "right 2": (1.0, -4 / 28, 0.0),
    "down 2": (1.0, 0.0, -4 / 28),
    "zoom 1.1": (1 / 1.1, 0.0, 0.0),
    "zoom 1.2": (1 / 1.2, 0.0, 0.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, nargs="+", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--moved", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    x = load_images(options.data, options.images)
    y = load_labels(options.data, options.images)
    energies = {}
    for folder in options.weights:
        vaes = load_vaes(folder)
        model = ABS(vaes)
        energies[str(folder)] = energies_of(model, x)
        result = {
            "weights": str(folder),
            "images": len(x),
            **energy_statistics(vaes, energies[str(folder)], x, y),
        }
        if options.moved:
            result["moved"] = moved_energies(model, x[: options.moved], y[: options.moved])
        print(json.dumps(result), flush=True)
    if len(energies) > 1:
        print(json.dumps(together(energies, y)))


def energy_statistics(vaes: list[VAE], energies: Tensor, x: Tensor, y: Tensor) -> dict:
    """The line of one set of VAEs, whose energies are (n, C), but for `moved`."""
    own = own_energies(energies, y)
    rival = energies.scatter(1, y[:, None], torch.inf).min(dim=1).values
    wrong = energies.argmin(dim=1) != y
    generator = torch.Generator().manual_seed(0)
    elbo, kl = torch.empty_like(own), torch.empty_like(own)
    for label, vae in enumerate(vaes):
        images = x[y == label]
        noise = torch.randn(len(images), LATENT, generator=generator)
        elbo[y == label], kl[y == label] = negative_elbo(vae, images, 1.0, noise)
    values = {
        "accuracy": accuracy(energies, y),
        "own_mean": over_classes(own, y, Tensor.mean),
        "own_99%": over_classes(own, y, lambda part: part.quantile(0.99)),
        "margin_median": (rival - own).median().item(),
        "elbo": elbo.mean().item(),
        "kl": kl.mean().item(),
    }
    rounded = {key: round(value, 4) for key, value in values.items()}
    return {**rounded, "errors": [int(wrong[y == label].sum()) for label in range(len(vaes))]}


def moved_energies(model: ABS, x: Tensor, y: Tensor) -> dict:
    """own_mean and accuracy on digits that are shifted or enlarged, bilinearly."""
    result = {}
    for name, (scale, right, down) in MOVES.items():
        theta = torch.tensor([[scale, 0.0, right], [0.0, scale, down]]).expand(len(x), 2, 3)
        grid = F.affine_grid(theta, x.shape, align_corners=False)
        energies = energies_of(model, F.grid_sample(x, grid, align_corners=False))
        own_mean = over_classes(own_energies(energies, y), y, Tensor.mean)
        result[name] = {"own_mean": round(own_mean, 4), "accuracy": round(accuracy(energies, y), 4)}
    return result


def together(energies: dict[str, Tensor], y: Tensor) -> dict:
    """The last line, for several sets of VAEs."""
    wrong = {name: values.argmin(dim=1) != y for name, values in energies.items()}
    both = {f"{a} and {b}": int((wrong[a] & wrong[b]).sum()) for a, b in combinations(wrong, 2)}
    best = torch.stack(list(energies.values())).amin(dim=0)
    return {"errors_of_both": both, "accuracy_of_best": round(accuracy(best, y), 4)}


def energies_of(model: ABS, x: Tensor) -> Tensor:
    """The energy of each image under each class: (n, C)."""
    return -PIXELS * predict(model, x, BATCH, x.device)


def own_energies(energies: Tensor, y: Tensor) -> Tensor:
    """The energies (n, C) under the images' own classes: (n,)."""
    return energies.gather(1, y[:, None]).squeeze(1)


def over_classes(values: Tensor, y: Tensor, statistic: Callable[[Tensor], Tensor]) -> float:
    """A statistic of each class's values (n,), averaged over the classes."""
    return torch.stack([statistic(values[y == label]) for label in y.unique()]).mean().item()


def accuracy(energies: Tensor, y: Tensor) -> float:
    """The share of images whose own class has the least energy (n, C)."""
    return (energies.argmin(dim=1) == y).double().mean().item()


if __name__ == "__main__":
    main()
