"""Proved lower bounds of prototype ABS on MNIST: clean accuracy, accuracy proved at some distances, median, cost.

    python benchmarks/prototypes.py --weights DIR --data DIR [--images 1000] [--first 0] [--split test] [--norms l2 …]
        [--model prototype_abs] [--prior 8000] [--encoded 5400] [--moved-by 0] [--temperature 1] [--no-offsets]
        [--neighbors 4] [--mixtures 0] [--attack-steps 20] [--batch 16] [--threads 1] [--rows FILE.csv] [--enlarge N]

DIR of weights: ABS_0.net … ABS_9.net, or vae_0.pt … vae_9.pt; DIR of data: MNIST's IDX files. The prototypes are
those of a run with these options: the last 5,000 training images are the calibration split and not encoded. Designs
are to be chosen on `--split calibration`. Prints one line of JSON per norm. Misclassified images count with a bound
of 0. With --rows, results by image are added to a file, and those that it holds already are not computed again; it
is of one design. With --enlarge, means of pairs of a class's prototypes are added until it has N, to measure how cost
grows; the model is then no better. With --mixtures, the certificate attack says how tight the bounds are, upper /
lower; with --attack-steps 0 it is left out. With --model nearest_neighbor the training images without the calibration
split are the model, and the options of prototypes have no effect.
"""

import argparse
import csv
import json
import resource
import sys
import time
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from inference import load_vaes
from torch import Tensor

from absynth.attacks.certificate import certificate_attack
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.certificates.proved import ProvedBounds
from absynth.certificates.settings import SearchSettings
from absynth.models.abs.enumeration import PrototypeSettings, enumerate_abs
from absynth.models.base import predict_labels
from absynth.models.nearest_neighbor import NearestNeighbor
from absynth.models.prototypes import PrototypeABS
from absynth.norms import NORMS
from certificates import read

EPSILONS = {"l2": (0.3, 1.5, 1.58), "linf": (0.1, 0.2, 0.3), "l0": (5, 10, 12)}
CALIBRATION = 5000
COLUMNS = ("index", "correct", "bound", "upper", "solved", "cpu_ms", "predict_cpu_ms", "attack_cpu_ms")


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
    parser.add_argument("--model", choices=("prototype_abs", "nearest_neighbor"), default="prototype_abs")
    parser.add_argument("--prior", type=int, default=8000)
    parser.add_argument("--encoded", type=int, default=5400)
    parser.add_argument("--moved-by", type=int, default=0)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--no-offsets", action="store_true")
    parser.add_argument("--neighbors", type=int, default=4)
    parser.add_argument("--mixtures", type=int, default=0)
    parser.add_argument("--attack-steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--enlarge", type=int, help="prototypes a class")
    parser.add_argument("--rows", type=Path, help="a file for each norm is made from it: FILE-l2.csv")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    images = read(options.data, "train-images-idx3")[:, None].float() / 255
    labels = read(options.data, "train-labels-idx1").long()
    model = make_model(options, images[:-CALIBRATION], labels[:-CALIBRATION])
    if options.split == "test":
        images = read(options.data, "t10k-images-idx3")[:, None].float() / 255
        labels = read(options.data, "t10k-labels-idx1").long()
    else:
        images, labels = images[-CALIBRATION:], labels[-CALIBRATION:]
    chosen = torch.arange(options.first, min(options.first + options.images, len(images)))
    search = SearchSettings(neighbors=options.neighbors, mixtures=options.mixtures)
    for norm in options.norms:
        path = options.rows and options.rows.with_name(f"{options.rows.stem}-{norm}.csv")
        rows = known_rows(path)
        for part in chosen[~torch.isin(chosen, torch.tensor([int(row[0]) for row in rows]))].split(
            options.batch
        ):
            rows += (
                found := measure(model, images[part], labels[part], part, norm, search, options.attack_steps)
            )
            if path:
                with path.open("a") as file:
                    csv.writer(file).writerows(found)
        print(json.dumps({"norm": norm, "prototypes": len(model.images), **summary(rows, norm)}), flush=True)


def make_model(options: argparse.Namespace, images: Tensor, labels: Tensor) -> PrototypeABS | NearestNeighbor:
    """The model of training images (n, 1, 28, 28) and labels (n,) that the options describe."""
    if options.model == "nearest_neighbor":
        return NearestNeighbor(images.flatten(1), labels)
    settings = PrototypeSettings(
        options.prior,
        options.encoded,
        options.moved_by,
        options.temperature,
        offsets=not options.no_offsets,
    )
    model = enumerate_abs(load_vaes(options.weights), images, labels, settings, torch.device("cpu"))
    return enlarged(model, options.enlarge) if options.enlarge else model


def enlarged(model: PrototypeABS, count: int) -> PrototypeABS:
    """With `count` prototypes a class: the means of two random ones, and of their offsets, are added."""
    generator = torch.Generator().manual_seed(0)
    ends = torch.tensor(model.counts).cumsum(0).tolist()
    images, offsets = [], []
    for end, number in zip(ends, model.counts, strict=True):
        of_class = slice(end - number, end)
        pairs = torch.randint(number, (2, max(0, count - number)), generator=generator)
        for values, found in ((model.images[of_class], images), (model.offsets[of_class], offsets)):
            found += [values, *(values[pair].mean(dim=0) for pair in pairs.split(4096, dim=1))]
    counts = torch.tensor([max(count, number) for number in model.counts])
    return PrototypeABS(torch.cat(images), torch.cat(offsets), counts)


def known_rows(path: Path | None) -> list[list[float]]:
    """What a file holds, without its last line if that was cut off."""
    if path is None or not path.exists():
        return []
    with path.open() as file:
        return [[float(value) for value in row] for row in csv.reader(file) if len(row) == len(COLUMNS)]


@torch.no_grad()
def measure(
    model: PrototypeABS | NearestNeighbor,
    x: Tensor,
    y: Tensor,
    index: Tensor,
    norm: str,
    search: SearchSettings,
    steps: int,
) -> list[list[float]]:
    """One row of `COLUMNS` per image (n, 1, 28, 28); upper is NaN without mixtures or without steps of the attack."""
    times = [time.process_time()]
    correct = predict_labels(model, x) == y
    times.append(time.process_time())
    bound, upper, solved = torch.zeros(len(x)).double(), torch.full((len(x),), torch.nan), torch.zeros(len(x))
    if correct.any():
        found = ProvedBounds(model, search).bound(x[correct], y[correct], norm)
        bound[correct], solved[correct] = found.size.double(), found.solved.float()
    times.append(time.process_time())
    if search.mixtures and steps:
        target = Target(model, x, y, norm)
        random = SampleRandom(0, "certificate", index.tolist(), x.device)
        certificate_attack(norm, class_pairs=2, steps=steps, mixtures=search.mixtures)(target, random)
        upper = torch.where(correct, target.best_distance, 0)
    times.append(time.process_time())
    each = [1000 * (b - a) / len(x) for a, b in pairwise(times)]
    spent = [torch.full((len(x),), each[i]) for i in (1, 0, 2)]
    columns = [column.double().tolist() for column in (index, correct, bound, upper, solved, *spent)]
    return [list(row) for row in zip(*columns, strict=True)]


def summary(rows: list[list[float]], norm: str) -> dict[str, float]:
    """The values that this file's docstring lists, for one norm."""
    _, correct, bound, upper, solved, spent, predicting, attacking = torch.tensor(rows).double().T
    result = {
        "images": len(rows),
        "clean": correct.mean().item(),
        **{f"proved_at_{e}": (bound >= e).double().mean().item() for e in EPSILONS[norm]},
        "median": bound.median().item(),
        "solved_mean": solved[correct > 0].mean().item(),
        "solved_max": solved.max().item(),
        "bound_cpu_ms_per_image": spent.mean().item(),
        "predict_cpu_ms_per_image": predicting.mean().item(),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    if not upper.isnan().any():
        ratio = (upper / bound)[bound > 0]
        result |= {
            "median_upper": upper.median().item(),
            "median_ratio": ratio.median().item(),
            "max_ratio": ratio.max().item(),
            **{f"ratio_below_{r}": (ratio <= r).double().mean().item() for r in (1.0001, 1.001, 1.01, 1.1)},
            "violations": int((upper < bound).sum()),
            "attack_cpu_ms_per_image": attacking.mean().item(),
        }
    return {key: round(value, 4) for key, value in result.items()}


if __name__ == "__main__":
    main()
