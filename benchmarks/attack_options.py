"""How an attack's result depends on its options: the same attack with several options, on a model of a run.

    python benchmarks/attack_options.py results/mnist-small --model madry --attack boundary --norm l2
        --options '{steps: 1000}' '{steps: 5000}' [--config config/mnist-small.yaml] [--images 40] [--unprocessed]
        [--device cpu]

Each set of options is laid over that of the config (itself over config/config.yaml); images are the run's first
test images, the seed is the config's, and transfer attacks use the run's substitute. --unprocessed: without the
post-processing of models that binarise their input, distances are those of the queries themselves and not of the
closest images that the model cannot distinguish from them. Prints one line of JSON per set of options: median
distance, accuracy at the config's epsilon (misclassified images count as distance 0), queries per image, and CPU
seconds per image, confirmation included.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
import torch
import yaml
from attack_table import distances_of
from laid_over import ROOT, SCHEMAS
from snakemake.utils import update_config

from absynth import load_model
from absynth.data.split_files import read_split
from absynth.errors import InputError
from absynth.evaluation.minima import summarise
from absynth.models.building import build
from absynth.workflow.plan import Plan
from attacks import AttackRuns, read_plan


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--attack", required=True)
    parser.add_argument("--norm", required=True)
    parser.add_argument("--options", nargs="+", type=yaml.safe_load, required=True, help="YAML mappings")
    parser.add_argument("--config", type=Path, default=ROOT / "config" / "mnist-small.yaml")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--unprocessed", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    try:
        plans = [with_options(arguments, options) for options in arguments.options]
        model = load_model(arguments.run, arguments.model, device=arguments.device)
        if arguments.unprocessed:
            model.input_threshold = None
        spec = plans[0].substitute_spec(arguments.attack)
        substitute = build(spec, arguments.run).to(arguments.device) if spec else None
        images = read_split(arguments.run / "data" / "test.h5", 0, arguments.images)
        x, y = (torch.from_numpy(array).to(arguments.device) for array in images)
        names = {key: getattr(arguments, key) for key in ("model", "attack", "norm")}
        for plan, options in zip(plans, arguments.options, strict=True):
            runs = AttackRuns(plan, arguments.model, model, substitute, x, y, None)
            result = measure(runs, arguments.attack, arguments.norm)
            print(json.dumps({**names, "options": options, **result}), flush=True)
    except InputError as error:
        parser.error(str(error))


def with_options(arguments: argparse.Namespace, options: dict[str, Any]) -> Plan:
    """The plan of the config with `options` laid over the attack's own.

    Raises InputError if the attack does not apply to the model and norm.
    """
    plan = read_plan(arguments.config, arguments.model, arguments.images)
    update_config(plan.config, {"attacks": {arguments.attack: {"per_model": {arguments.model: options}}}})
    plan = Plan(plan.config, SCHEMAS)
    attack, norm = arguments.attack, arguments.norm
    if attack not in plan.attacks or not plan.applies(attack, arguments.model, norm):
        raise InputError(f"{attack} in {norm} is not run on {arguments.model} by {arguments.config}")
    return plan


def measure(runs: AttackRuns, attack: str, norm: str) -> dict[str, float]:
    """The line for one set of options."""
    found = runs.measure(attack, norm)
    summary = summarise(distances_of(found), runs.plan.config["epsilons"][norm])
    return {
        **{key: round(value, 4) for key, value in summary.items()},
        "queries": round(float(np.mean(found["queries"])), 1),
        "cpu_seconds": round(found["cpu_seconds"] / summary["n"], 2),
    }


if __name__ == "__main__":
    main()
