"""How much of an attack's result its budget explains: the same attack with several budgets, on a model of a run.

    python benchmarks/budgets.py results/mnist-small --model madry --attack boundary --norm l2
        --budget '{steps: 1000}' '{steps: 5000}' [--config config/mnist-small.yaml] [--images 40] [--unprocessed]
        [--device cpu]

Each budget is laid over that of the config (itself over config/config.yaml); the run's first test images, the seed
of the config; transfer attacks take the run's substitute. --unprocessed counts adversarials of a model that binarises
its input as they were asked for, not moved to the nearest image that the model cannot tell from them. Prints a line
of JSON for each budget: median distance, accuracy at the config's threshold (misclassified images count as 0), queries an
image, and CPU seconds an image, confirmation included.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
import torch
import yaml
from attack_table import distances_of
from laid_over import ROOT, SCHEMAS
from snakemake.utils import update_config

from absynth import load_model
from absynth.data.splits import read_split
from absynth.errors import InputError
from absynth.evaluation.minima import summarise
from absynth.models.building import build
from absynth.workflow.plan import Plan
from attacks import Session, read_plan


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
    parser.add_argument("--unprocessed", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        plans = [with_budget(options, budget) for budget in options.budget]
        model = load_model(options.run, options.model, device=options.device)
        if options.unprocessed:
            model.input_threshold = None
        spec = plans[0].substitute_spec(options.attack)
        substitute = build(spec, options.run).to(options.device) if spec else None
        images = read_split(options.run / "data" / "test.h5", 0, options.images)
        x, y = (torch.from_numpy(array).to(options.device) for array in images)
        names = {key: getattr(options, key) for key in ("model", "attack", "norm")}
        for plan, budget in zip(plans, options.budget, strict=True):
            session = Session(plan, options.model, model, substitute, x, y, None)
            result = measure(session, options.attack, options.norm)
            print(json.dumps({**names, "budget": budget, **result}), flush=True)
    except InputError as error:
        parser.error(str(error))


def with_budget(options: argparse.Namespace, budget: dict) -> Plan:
    """The plan of the config with `budget` laid over the attack's own.

    Raises InputError if the attack does not apply to the model and norm.
    """
    plan = read_plan(options.config, options.model, options.images)
    update_config(plan.config, {"attacks": {options.attack: {"per_model": {options.model: budget}}}})
    plan = Plan(plan.config, SCHEMAS)
    attack, norm = options.attack, options.norm
    if attack not in plan.attacks or not plan.applies(attack, options.model, norm):
        raise InputError(f"{attack} in {norm} is not run on {options.model} by {options.config}")
    return plan


def measure(session: Session, attack: str, norm: str) -> dict[str, float]:
    """What the docstring of this file says of one budget."""
    found = session.measure(attack, norm)
    summary = summarise(distances_of(found), session.plan.config["epsilons"][norm])
    return {
        **{key: round(value, 4) for key, value in summary.items()},
        "queries": round(float(np.mean(found["queries"])), 1),
        "cpu_seconds": round(found["cpu_seconds"] / summary["n"], 2),
    }


if __name__ == "__main__":
    main()
