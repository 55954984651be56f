"""What `absynth.attack` costs beside the bare call of Foolbox: same model, same images, same steps, in one process.

    python benchmarks/python_api.py [--models grey colour] [--frozen yes no] [--attacks ddn fmn] [--refine 0 10]
        [--images 50] [--steps 100] [--pairs 3] [--device cpu] [--threads 1]

The models are modules of the user's own: `grey` the CNN that ships, on scikit-learn's digits; `colour` a network of
four convolutions with random weights, on random images 3×32×32 and its own predictions. Attacks are DDN (L2) and FMN
(L∞), with Foolbox's own options. Foolbox's call and ours alternate, so that both meet the same load; each pair gives
one ratio of CPU seconds (on CUDA, seconds). `frozen`: whether the model's parameters require no gradient; where they
do, as in a model just trained, Foolbox computes theirs as well. `refine`: queries of the final bisection towards the
clean image, which Foolbox's attacks do not have; 10 is our default. Prints a Markdown table: the least seconds of
both, to which other work on the machine adds least, and their ratio; median and range of the pairs' ratios; median
distances.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import foolbox
import torch
from laid_over import ROOT
from torch import Tensor, nn

import absynth
from absynth.data.sources import find_dataset
from absynth.data.splits import load_dataset
from absynth.norms import distance

BARE = {
    "ddn": ("l2", lambda steps: foolbox.attacks.DDNAttack(steps=steps)),
    "fmn": ("linf", lambda steps: foolbox.attacks.LInfFMNAttack(steps=steps)),
}


class Own(nn.Module):
    """The CNN that ships as a user's own module, so that it is guarded like any other."""

    def __init__(self) -> None:
        super().__init__()
        self.network = absynth.load_model(ROOT / "resources" / "weights" / "mnist-small", "cnn")

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)


def grey(n: int) -> tuple[nn.Module, Tensor, Tensor]:
    """The CNN that ships, and the first n test images of scikit-learn's digits with their labels."""
    _, _, x, y = load_dataset(find_dataset("digits", None), None, ROOT)
    images = torch.from_numpy(x[:n]).float().view(n, 1, *x.shape[1:]) / 255
    return Own().eval(), images, torch.from_numpy(y[:n]).long()


def colour(n: int) -> tuple[nn.Module, Tensor, Tensor]:
    """A network with random weights, n random images 3×32×32, and what it predicts for them."""
    torch.manual_seed(0)
    widths = (3, 32, 32, 64, 64)
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(pairwise(widths)):
        layers += [nn.Conv2d(before, after, 3, stride=1 + i % 2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 8 * 8, 10)).eval()
    x = torch.rand(n, 3, 32, 32)
    with torch.no_grad():
        return network, x, network(x).argmax(dim=1)


MODELS = {"grey": grey, "colour": colour}


def timed(call: Callable[[], Any], device: str) -> tuple[float, Any]:
    """CPU seconds of this process, on CUDA seconds, and what the call returns."""
    clock = time.process_time
    if device != "cpu":
        torch.cuda.synchronize()
        clock = time.perf_counter
    began = clock()
    found = call()
    if device != "cpu":
        torch.cuda.synchronize()
    return clock() - began, found


def compare(
    name: str, model: nn.Module, x: Tensor, y: Tensor, refine: int, options: argparse.Namespace
) -> dict[str, Any]:
    """A line of the table: pairs of the bare call and ours, in turn first and second."""
    norm, made = BARE[name]

    def bare() -> Tensor:
        wrapped = foolbox.PyTorchModel(model.eval(), bounds=(0, 1), device=options.device)
        _, found, success = made(options.steps)(wrapped, x, y, epsilons=None)
        return torch.where(success.view(-1, 1, 1, 1), found, torch.nan)

    def ours() -> absynth.Result:
        return absynth.attack(model, x, y, name, norm=norm, steps=options.steps, refine_steps=refine)

    seconds: dict[str, list[float]] = {"bare": [], "ours": []}
    for pair in range(options.pairs):
        calls = {"bare": bare, "ours": ours}
        for side in sorted(calls, reverse=pair % 2 == 1):
            spent, found = timed(calls[side], options.device)
            seconds[side].append(spent)
            if side == "ours":
                result = found
            else:
                bare_distance = distance(x, found, norm).nan_to_num(torch.inf)
    ratios = [ours / bare for ours, bare in zip(seconds["ours"], seconds["bare"], strict=True)]
    return {
        "attack": name, "norm": norm, "refine": refine,
        "Foolbox": f"{min(seconds['bare']):.3f}", "absynth": f"{min(seconds['ours']):.3f}",
        "ratio": f"{min(seconds['ours']) / min(seconds['bare']):.3f}",
        "median of pairs": f"{statistics.median(ratios):.3f}",
        "range": f"{min(ratios):.3f} to {max(ratios):.3f}",
        "distance by Foolbox": f"{bare_distance.quantile(0.5).item():.4f}",
        "by absynth": f"{result.distance.quantile(0.5).item():.4f}",
    }  # fmt: skip


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--frozen", nargs="+", choices=["yes", "no"], default=["yes", "no"])
    parser.add_argument("--attacks", nargs="+", choices=list(BARE), default=list(BARE))
    parser.add_argument("--refine", nargs="+", type=int, default=[0, 10])
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


def main(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The lines of the table."""
    torch.set_num_threads(options.threads)
    lines = []
    for chosen in options.models:
        model, x, y = (part.to(options.device) for part in MODELS[chosen](options.images))
        absynth.attack(model, x[:2], y[:2], "ddn", steps=1)  # set-up that only the first call has
        for frozen in (choice == "yes" for choice in options.frozen):
            model.requires_grad_(not frozen)
            about = {"model": chosen, "frozen": "yes" if frozen else "no"}
            for name in options.attacks:
                lines += [
                    {**about, **compare(name, model, x, y, refine, options)} for refine in options.refine
                ]
    return lines


def table(lines: list[dict[str, Any]]) -> str:
    """Lines as a Markdown table."""
    rows = [
        list(lines[0]),
        ["---"] * len(lines[0]),
        *([str(value) for value in line.values()] for line in lines),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    print(table(main(parse())))
