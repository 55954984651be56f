"""The Pointwise attack (l0, one repetition) beside Foolbox's, on a CNN: calls, evaluations, seconds, medians.

    python benchmarks/pointwise.py --weights cnn.pt --data mnist [--images 20]

Prints one line of JSON within ten seconds on one core.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import foolbox
import numpy as np
import torch
from torch import Tensor, nn

from absynth.attacks.pointwise import pointwise
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.data.idx import read_idx
from absynth.models.cnn import CNN
from absynth.models.weights import load_weights
from absynth.norms import distance


class Counted(nn.Module):
    """A model that counts its calls and the images in them."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model, self.calls, self.images = model, 0, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.images += len(x)
        return self.model(x)


def attack_ours(model: nn.Module, x: Tensor, y: Tensor, seed: int, block: int) -> Tensor:
    target = Target(model, x, y, "l0")
    pointwise("l0", repetitions=1, block=block)(
        target, SampleRandom(seed, "pointwise", range(len(x)), x.device)
    )
    return target.best


def attack_foolbox(model: nn.Module, x: Tensor, y: Tensor, seed: int) -> Tensor:
    np.random.seed(seed)
    torch.manual_seed(seed)
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1))
    attack = foolbox.attacks.PointwiseAttack(l2_binary_search=False)
    return attack.run(wrapped, x, foolbox.criteria.Misclassification(y))


def measure(
    attack: Callable[[nn.Module], Tensor], model: nn.Module, x: Tensor, y: Tensor
) -> dict[str, float]:
    """Costs and distances of one attack; its adversarials are confirmed by the model."""
    counted = Counted(model).eval()
    begin = time.perf_counter()
    with torch.no_grad():
        found = attack(counted)
        seconds = time.perf_counter() - begin
        success = model(found).argmax(dim=1) != y
    pixels = distance(x, found, "l0").where(success, torch.inf)
    return {
        "calls": counted.calls,
        "evaluations": counted.images,
        "seconds": round(seconds, 3),
        "median_pixels": pixels.median().item(),
        "mean_pixels": round(pixels.mean().item(), 2),
    }


def load_images(folder: Path, model: nn.Module, count: int) -> tuple[Tensor, Tensor]:
    """The first `count` test images that the model classifies correctly, (n, 1, 28, 28), and their labels (n,)."""
    images = read_idx(folder / "t10k-images-idx3-ubyte.gz")[: 2 * count]
    x = torch.from_numpy(images).float().div(255)[:, None]
    y = torch.from_numpy(read_idx(folder / "t10k-labels-idx1-ubyte.gz")[: 2 * count]).long()
    with torch.no_grad():
        correct = model(x).argmax(dim=1) == y
    return x[correct][:count], y[correct][:count]


def main(weights: Path, data: Path, images: int, threads: int, seed: int, block: int) -> dict:
    torch.set_num_threads(threads)
    model = CNN().eval()
    load_weights(weights, model)
    x, y = load_images(data, model, images)
    with torch.no_grad():
        model(x)  # warm up
    ours = measure(lambda counted: attack_ours(counted, x, y, seed, block), model, x, y)
    theirs = measure(lambda counted: attack_foolbox(counted, x, y, seed), model, x, y)
    ratio = {key: round(theirs[key] / ours[key], 1) for key in ("calls", "evaluations", "seconds")}
    return {"images": len(x), "threads": threads, "ours": ours, "foolbox": theirs, "ratio": ratio}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True, help="state dict of absynth.models.cnn.CNN")
    parser.add_argument("--data", type=Path, required=True, help="folder with the t10k IDX files, gzipped")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--block", type=int, default=3, help="candidates per image and model call")
    print(json.dumps(main(**vars(parser.parse_args()))))
