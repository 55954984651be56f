"""How much of an attack's result its budget explains: the same attack with several budgets, on a model of a run.

    python benchmarks/budgets.py results/mnist-small --model madry --attack boundary --norm l2
        --budget '{steps: 1000}' '{steps: 5000}' [--config config/mnist-small.yaml] [--images 40] [--device cpu]

Each budget is laid over that of the config (itself over config/config.yaml); the run's first test images, the seed
of the config. Prints a line of JSON for each: median distance, accuracy at the config's threshold (misread images
count as 0), queries an image, and CPU seconds an image, verdict included.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import torch
import yaml
from attacks import read_plan
from laid_over import ROOT, SCHEMAS
from snakemake.utils import update_config
from torch import Tensor, nn

from absynth import load_model
from absynth.attacks.run import attack_images
from absynth.data.splits import read_split
from absynth.errors import InputError
from absynth.models.files import resolve
from absynth.plan import Plan
from absynth.reduction import summarise


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--attack", required=True)
    parser.add_argument("--norm", required=True)
    parser.add_argument("--budget", nargs="+", type=yaml.safe_load, required=True, help="YAML mappings")
    parser.add_argument("--config", type=Path, default=ROOT / "config" / "mnist-small.yaml")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        plan = read_plan(options.config, options.model, options.images)
        plans = [Plan(_with_budget(plan, options.attack, budget), SCHEMAS) for budget in options.budget]
        model = load_model(options.run, options.model, device=options.device)
        images = read_split(options.run / "data" / "test.h5", 0, options.images)
        x, y = (torch.from_numpy(array).to(options.device) for array in images)
        for plan, budget in zip(plans, options.budget, strict=True):
            result = measure(plan, model, x, y, options.attack, options.norm)
            names = {key: getattr(options, key) for key in ("model", "attack", "norm")}
            print(json.dumps({**names, "budget": budget, **result}), flush=True)
    except InputError as error:
        parser.error(str(error))


def _with_budget(plan: Plan, attack: str, budget: Mapping[str, Any]) -> dict[str, Any]:
    if attack not in plan.attacks:
        raise InputError(f"--attack: found {attack}, the config has {', '.join(plan.attacks)}")
    config = {**plan.config, "attacks": {**plan.config["attacks"]}}
    config["attacks"][attack] = dict(plan.config["attacks"][attack])
    update_config(config["attacks"][attack], budget)
    return config


def measure(plan: Plan, model: nn.Module, x: Tensor, y: Tensor, attack: str, norm: str) -> dict[str, float]:
    """What the docstring of this file says of one budget."""
    built = resolve(plan.attacks[attack].builder)(norm, **plan.budget(attack))
    began = time.process_time()
    found = attack_images(
        built, model, x, y, torch.arange(len(x), device=x.device),
        norm=norm, name=attack, seed=plan.config["seed"],
        batch_size=plan.config["attacks"][attack]["batch_size"], starts=[],
    )  # fmt: skip
    seconds = time.process_time() - began
    summary = summarise(found["distance"].numpy(), plan.config["thresholds"][norm])
    return {
        **{key: round(value, 4) for key, value in summary.items()},
        "queries": round(found["queries"].double().mean().item(), 1),
        "cpu_seconds": round(seconds / len(x), 2),
    }


if __name__ == "__main__":
    main()
