"""What attacks ask of a model and what they cost besides: resources/attack_costs.csv, on which `absynth plan` rests.

    python benchmarks/attack_costs.py --models cnn madry --preset quick standard --images 4 32 --data DIR
        [--norms l2 linf l0] [--attacks ddn fmn] [--out resources/attack_costs.csv]

Runs the attacks of presets on the first test images of MNIST and the weights that ship, one thread, in batches of
each of the numbers --images, and adds a row to the table for each attack, norm, model and number of images:

queries, gradients: mean per image that is attacked
seconds: CPU seconds of the attack for all images; calls of the model would take model_seconds of these, by the time
    that one forward and one forward and backward pass of such a batch took just before
options: those that time is in proportion to (`absynth.cli.attack_costs.EFFORT`), as JSON

The networks are asked as a user's own would be: without a session in which single changes share work.

Rows that the table has already are not measured again, but for those of --attacks: then these attacks alone are
measured, without what they start from, and their rows take the place of the old ones.
"""

import argparse
import csv
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from laid_over import ROOT, SCHEMAS
from torch import nn

from absynth import load_model
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.cli.attack_costs import COLUMNS, effort_options
from absynth.cli.model_speed import measure
from absynth.data.places import DOWNLOADS
from absynth.data.sources import find_dataset
from absynth.data.splits import load_dataset
from absynth.io.atomic import write_csv
from absynth.models.base import input_threshold
from absynth.models.building import resolve
from absynth.workflow.config_files import lay_over, merged_config
from absynth.workflow.plan import Plan

WEIGHTS = ROOT / "resources" / "weights" / "mnist-small"
Row = dict[str, Any]


class Whole(nn.Module):
    """A model that answers each query as a whole."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model, self.input_threshold = model, input_threshold(model)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x)


def plan_of(preset: str, model: str, norms: Sequence[str]) -> Plan:
    """The plan of a preset's attacks on one model that ships."""
    paper = merged_config([ROOT / "config" / "config.yaml"], [])
    models = {name: entry if name == model else None for name, entry in paper["models"].items()}
    base = {key: value for key, value in paper.items() if key not in ("attacks", "relay", "models")}
    return Plan(lay_over(base, {"models": models, "attacks": preset, "norms": list(norms)}), SCHEMAS)


def rows_of(
    plan: Plan, preset: str, samples: Samples, known: set[tuple[str, ...]], only: Sequence[str]
) -> list[Row]:
    """The rows of one preset on its model and a number of images; only: of these attacks, or of all not yet known."""
    (name,), n, rows = plan.models, len(samples), []
    model = Whole(load_model(WEIGHTS, name))
    for norm in plan.norms:
        found: dict[str, torch.Tensor] = {}
        for attack in plan.in_order(name, norm):
            wanted = attack in only if only else (attack, norm, name, preset, str(n)) not in known
            if not wanted:
                continue
            speed = measure(model, samples.images)
            starts = [found[start] for start in plan.starts(attack, name, norm) if start in found]
            built = resolve(plan.attacks[attack].builder)(norm, **plan.options(attack, name))
            began = time.process_time()
            columns = attack_images(
                AttackSettings(built, attack, norm, plan.config["seed"], n), model,
                Samples(samples.images, samples.labels, samples.index, starts),
            )  # fmt: skip
            seconds = time.process_time() - began
            found[attack] = columns["adversarial"]
            attacked = columns["queries"] > 0
            queries, gradients = (
                columns[key][attacked].double().mean().item() for key in ("queries", "gradients")
            )
            rows.append({
                "attack": attack, "norm": norm, "model": name, "preset": preset, "images": n,
                "values": samples.images[0].numel(), "queries": round(queries, 1), "gradients": round(gradients, 1),
                "seconds": round(seconds, 4),
                "model_seconds": round(queries * speed.forward + gradients * speed.backward, 4),
                "options": json.dumps(effort_options(plan.options(attack, name))),
            })  # fmt: skip
            sys.stderr.write(f"{rows[-1]}\n")
    return rows


def main(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    *_, images, labels = load_dataset(find_dataset("mnist", None), options.data, DOWNLOADS)
    rows: list[Row] = []
    if options.out.is_file():
        with options.out.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    for n in options.images:
        x = torch.from_numpy(images[:n, None]).float() / 255
        samples = Samples(x, torch.from_numpy(labels[:n]).long(), torch.arange(n))
        for model in options.models:
            for preset in options.preset:
                keys = ("attack", "norm", "model", "preset", "images")
                known = {tuple(str(row[key]) for key in keys): place for place, row in enumerate(rows)}
                plan = plan_of(preset, model, options.norms)
                for row in rows_of(plan, preset, samples, set(known), options.attacks):
                    place = known.get(tuple(str(row[key]) for key in keys), len(rows))
                    rows[place : place + 1] = [row]
                write_csv(options.out, rows, COLUMNS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["cnn", "madry"])
    parser.add_argument("--preset", nargs="+", default=["quick", "standard"])
    parser.add_argument("--images", nargs="+", type=int, default=[4, 32])
    parser.add_argument("--norms", nargs="+", default=["l2", "linf", "l0"])
    parser.add_argument("--attacks", nargs="+", default=[])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "resources" / "attack_costs.csv")
    main(parser.parse_args())
