"""The attacks that other libraries have too, beside theirs: same model, same images, as many steps.

    pip install adv-lib==0.2.8 pyautoattack==0.2.0
    python benchmarks/peers.py resources/weights/mnist-small --model cnn [--images 20] [--steps 100]
        [--norms l2 linf l0] [--attacks ddn fmn fab apgd sigma_zero] [--data DIR] [--repeats 2] [--out results.json]
        [--threads 1]

The first argument is the folder of a run, of which only the models are read; images are the first test images of
MNIST. Ours run with the options of their builders but for the steps; theirs with those of the libraries: adv-lib's
DDN (without rounding to 256 levels), FMN, FAB (nine targets), minimal APGD (targeted DLR with one target) and σ-zero,
and FAB-T of AutoAttack, whose nearest adversarial over its targets is taken. Whatever an attack returns is clipped to
the box, asked again, and measured in float64, within the time of theirs as of ours. Prints a Markdown table: median
distance, how many images have no adversarial, by how much the median of ours is smaller, the geometric mean of the
ratios of our distances to theirs where both found one, gradients and queries per image, and CPU seconds per image, of
the faster of `--repeats` runs that take turns.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
import torch
from laid_over import ROOT
from torch import Tensor, nn

from absynth import load_model
from absynth.attacks.registry import ATTACKS
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.data.sources import find_dataset
from absynth.data.splits import load_dataset
from absynth.errors import InputError
from absynth.io.atomic import write_text
from absynth.models.base import predict_labels
from absynth.models.building import resolve
from absynth.norms import NORMS, distance

ORDER = {name: norm.order for name, norm in NORMS.items()}
# Of a model, images, labels and a norm to adversarials.
Peer = Callable[[nn.Module, Tensor, Tensor, str], Tensor]


class Counted(nn.Module):
    """A model that counts the images it is asked for, and those of which a gradient is taken."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model, self.queries, self.gradients = model, 0, 0

    def forward(self, x: Tensor) -> Tensor:
        logits = self.model(x)
        self.queries += len(x)
        if logits.requires_grad:
            logits.register_hook(lambda gradient: self._count(len(x)))
        return logits

    def _count(self, n: int) -> None:
        self.gradients += n


def adv_lib_peers(steps: int) -> dict[str, Peer]:
    """adv-lib's attacks, by the name of ours."""
    try:
        from adv_lib import attacks
        from adv_lib.attacks.auto_pgd import minimal_apgd
    except ImportError as error:
        raise InputError(f"adv-lib cannot be imported ({error}); pip install adv-lib==0.2.8") from None
    return {
        "ddn": lambda model, x, y, norm: attacks.ddn(model, x, y, steps=steps, levels=None),
        "fmn": lambda model, x, y, norm: attacks.fmn(model, x, y, norm=ORDER[norm], steps=steps),
        "sigma_zero": lambda model, x, y, norm: attacks.sigma_zero(model, x, y, num_steps=steps),
        "fab": lambda model, x, y, norm: attacks.fab(
            model, x, y, norm=ORDER[norm], n_iter=steps, targeted_restarts=True
        ),
        "apgd": lambda model, x, y, norm: minimal_apgd(
            model, x, y, norm=ORDER[norm], max_eps=NORMS[norm].largest(x.shape[1:]) / 2, binary_search_steps=12,
            targeted_version=True, n_iter=steps, num_targets=1,
        ),
    }  # fmt: skip


def autoattack_peers(steps: int) -> dict[str, Peer]:
    """AutoAttack's minimum-norm attack, by the name of ours."""
    try:
        from pyautoattack.fab_pt import FABAttack_PT
    except ImportError as error:
        raise InputError(
            f"AutoAttack cannot be imported ({error}); pip install pyautoattack==0.2.0"
        ) from None

    def fab(model: nn.Module, x: Tensor, y: Tensor, norm: str) -> Tensor:
        attack = FABAttack_PT(model, norm={"l2": "L2", "linf": "Linf"}[norm], n_iter=steps, targeted=True)
        best, nearest = x.clone(), torch.full((len(x),), torch.inf, dtype=torch.float64)
        for attack.target_class in range(2, model(x[:1]).shape[1] + 1):
            found = attack.attack_single_run(x, y, is_targeted=True)
            far = distance(x, found, norm)
            nearer = (far > 0) & (far < nearest)
            best[nearer], nearest[nearer] = found[nearer], far[nearer]
        return best

    return {"fab": fab}


def measure_ours(
    model: nn.Module, x: Tensor, y: Tensor, norm: str, *, attack: str, steps: int
) -> dict[str, Any]:
    """Distances (n,), queries, gradients and CPU seconds of our attack."""
    built = resolve(ATTACKS[attack].builder)(norm, steps=steps)
    began = time.process_time()
    settings = AttackSettings(built, attack, norm, seed=0, batch_size=len(x))
    found = attack_images(settings, model, Samples(x, y, torch.arange(len(x))))
    counts = {name: int(found[name].sum()) for name in ("queries", "gradients")}
    return {"distance": found["distance"].tolist(), **counts, "seconds": time.process_time() - began}


def measure_peer(peer: Peer, model: nn.Module, x: Tensor, y: Tensor, norm: str) -> dict[str, Any]:
    """The same of another's attack: the distance is inf where what it returns does not fool the model."""
    torch.manual_seed(0)
    counted = Counted(model)
    began = time.process_time()
    found = peer(counted, x.clone(), y.clone(), norm).detach().clamp(0, 1)
    fooled = predict_labels(model, found) != y
    distances = torch.where(fooled, distance(x, found, norm), torch.inf)
    seconds = time.process_time() - began
    counts = {"queries": counted.queries, "gradients": counted.gradients}
    return {"distance": distances.tolist(), **counts, "seconds": seconds}


def first_test_images(n: int, data: Path | None) -> tuple[Tensor, Tensor]:
    *_, images, labels = load_dataset(find_dataset("mnist", None), data, ROOT / "results" / "downloads")
    x = images[:n, None].astype(np.float32) / np.float32(255)
    return torch.from_numpy(x), torch.from_numpy(labels[:n].astype(np.int64))


def table(results: dict[str, dict[str, Any]], n: int) -> str:
    """Results by "attack/norm/library" as a Markdown table."""
    lines = [
        "| attack | norm | library | median | without | ours nearer by | ours / theirs "
        "| gradients/image | queries/image | CPU s/image |",
        "| :-- | :-- | :-- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for key, result in results.items():
        attack, norm, library = key.split("/")
        theirs, ours = (np.array(each["distance"]) for each in (result, results[f"{attack}/{norm}/absynth"]))
        median = np.median(theirs)
        gain = ratio = ""
        if library != "absynth":
            both = np.isfinite(theirs) & np.isfinite(ours) & (theirs > 0) & (ours > 0)
            gain = f"{100 * (1 - np.median(ours) / median):.2f} %"
            ratio = f"{np.exp(np.log(ours[both] / theirs[both]).mean()):.4f}" if both.any() else "–"
        costs = (result["gradients"] / n, result["queries"] / n)
        lines.append(
            f"| {attack} | {norm} | {library} | {median:.4g} | {np.isinf(theirs).sum()} | {gain} | {ratio} | "
            f"{costs[0]:.0f} | {costs[1]:.0f} | {result['seconds'] / n:.3g} |"
        )
    return "\n".join(lines)


def compare(model: nn.Module, x: Tensor, y: Tensor, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """All measurements, by "attack/norm/library"; images that the model misclassifies are left out."""
    correct = predict_labels(model, x) == y
    x, y = x[correct], y[correct]
    libraries = {"adv-lib": adv_lib_peers(options.steps), "AutoAttack": autoattack_peers(options.steps)}
    results: dict[str, dict[str, Any]] = {}
    measure_ours(model, x[:1], y[:1], "l2", attack="ddn", steps=1)  # what only a first call costs
    for attack in options.attacks:
        for norm in (norm for norm in ATTACKS[attack].norms if norm in options.norms):
            measures = {"absynth": partial(measure_ours, attack=attack, steps=options.steps)}
            for library, peers in libraries.items():
                if attack in peers:
                    measures[library] = partial(measure_peer, peers[attack])
            for _ in range(options.repeats):
                for library, measure in measures.items():
                    key = f"{attack}/{norm}/{library}"
                    again = measure(model, x, y, norm)
                    again["seconds"] = min(again["seconds"], results.get(key, again)["seconds"])
                    results[key] = again
                    print(key, file=sys.stderr, flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--norms", nargs="+", choices=list(NORMS), default=list(NORMS))
    known = ["ddn", "fmn", "fab", "apgd", "sigma_zero"]
    parser.add_argument("--attacks", nargs="+", choices=known, default=known)
    parser.add_argument("--data", type=Path, default=os.environ.get("ABSYNTH_DATA"))
    parser.add_argument("--out", type=Path, help="JSON file of the distances")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        model = load_model(options.run, options.model)
        x, y = first_test_images(options.images, options.data)
        results = compare(model, x, y, options)
    except InputError as error:
        parser.error(str(error))
    if options.out:
        write_text(options.out, json.dumps(results) + "\n")
    print(table(results, len(next(iter(results.values()))["distance"])))


if __name__ == "__main__":
    main()
