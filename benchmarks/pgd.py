"""Accuracy of a model of a finished run under projected gradient descent (Madry et al. 2018) in L∞.

    python benchmarks/pgd.py results/mnist-small [--model madry] [--images 10000] [--epsilon 0.3] [--steps 40]
        [--step-size 0.01] [--restarts 1] [--seed 0] [--device cpu]

Foolbox's PGD with a random start, on the run's first test images; an image counts as correctly classified only if
it is so clean and after every restart. Prints one line of JSON.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from foolbox import PyTorchModel
from foolbox.attacks import LinfProjectedGradientDescentAttack

from absynth import load_model
from absynth.data.split_files import read_split
from absynth.errors import InputError

BATCH = 500


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--model", default="madry")
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--epsilon", type=float, default=0.3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--step-size", type=float, default=0.01)
    parser.add_argument("--restarts", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    try:
        model = load_model(options.run, options.model, device=options.device)
        images, labels = read_split(options.run / "data" / "test.h5", 0, options.images)
    except InputError as error:
        parser.error(str(error))
    torch.manual_seed(options.seed)
    attack = LinfProjectedGradientDescentAttack(
        abs_stepsize=options.step_size, steps=options.steps, random_start=True
    )
    attacked = PyTorchModel(model, bounds=(0, 1), device=options.device)
    clean = robust = 0
    began = time.process_time()
    for first in range(0, len(images), BATCH):
        rows = slice(first, first + BATCH)
        x, y = (torch.from_numpy(array[rows]).to(options.device) for array in (images, labels))
        correct = model(x).argmax(dim=1) == y
        clean += correct.sum().item()
        for _ in range(options.restarts):
            *_, fooled = attack(attacked, x, y, epsilons=options.epsilon)
            correct &= ~fooled
        robust += correct.sum().item()
    settings = {key: getattr(options, key) for key in ("model", "epsilon", "steps", "step_size", "restarts")}
    result = {"images": len(images), "clean_accuracy": clean / len(images), "accuracy": robust / len(images)}
    print(json.dumps({**settings, **result, "cpu_seconds": round(time.process_time() - began, 1)}))


if __name__ == "__main__":
    main()
