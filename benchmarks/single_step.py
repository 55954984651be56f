"""How FGM and FGSM depend on the loss whose gradient they follow: three losses, on a model of a run.

    python benchmarks/single_step.py results/mnist-small [--model cnn] [--images 500] [--alpha A] [--eta E]
        [--device cpu] [--threads 1]

The losses: `attack`, that of the attacks themselves (log Σ_{c≠y} exp(l_c) − l_y, on one scale for all images);
`cross_entropy` of the model's logits as they are; `confidence`, −log p(y|x) of the paper's equation 4, with α and η
as the run calibrated them unless they are given. All with the line search of the attacks, on the run's first test
images. Prints one line of JSON per norm and loss: median distance, and accuracy at the paper's epsilon.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from laid_over import ROOT, read_config
from torch import Tensor

from absynth import load_model
from absynth.attacks.gradient import fgm, fgsm, steepest, steepest_direction
from absynth.attacks.line_search import search_line
from absynth.attacks.target import Target
from absynth.data.split_files import read_split
from absynth.errors import InputError
from absynth.evaluation.calibration import log_confidence
from absynth.evaluation.minima import summarise
from absynth.models.calibration_file import read_calibration

ATTACKS = {"l2": fgm, "linf": fgsm}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--alpha", type=float)
    parser.add_argument("--eta", type=float)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        model = load_model(options.run, options.model, device=options.device)
        calibration = read_calibration(options.run / "models" / options.model / "calibration.json")
        images = read_split(options.run / "data" / "test.h5", 0, options.images)
    except InputError as error:
        parser.error(str(error))
    x, y = (torch.from_numpy(array).to(options.device) for array in images)
    given = {key: getattr(options, key) for key in ("alpha", "eta")}
    alpha, eta = (calibration[key] if value is None else value for key, value in given.items())
    directions = {
        "attack": steepest_direction,
        "cross_entropy": partial(downhill, score=lambda logits: logits.log_softmax(dim=1)),
        "confidence": partial(downhill, score=lambda logits: log_confidence(logits, alpha, eta)),
    }
    epsilons = read_config(ROOT / "config" / "config.yaml")["epsilons"]
    for norm, attack in ATTACKS.items():
        for loss, direction in directions.items():
            target = Target(model, x, y, norm)
            search_line(target, direction(target), **asdict(attack(norm)))
            found = summarise(target.best_distance.cpu().numpy(), epsilons[norm])
            constants = {"alpha": alpha, "eta": eta} if loss == "confidence" else {}
            print(json.dumps({"model": options.model, "norm": norm, "loss": loss, **constants, **found}))


def downhill(target: Target, score: Callable[[Tensor], Tensor]) -> Tensor:
    """The direction (n, 1, 28, 28), of length 1 in the target's norm, in which the score of the label falls fastest.

    score: of logits (n, 10), such as log p(c|x): (n, 10)
    """
    x, y = target.active
    leaf = x.clone().requires_grad_()
    of_label = score(target(leaf)).gather(1, y[:, None]).sum()
    (gradient,) = torch.autograd.grad(-of_label, leaf)
    return steepest(gradient, target.norm)


if __name__ == "__main__":
    main()
