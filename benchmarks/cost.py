"""What a config would cost on this machine, estimated from a finished run of a smaller one.

    python benchmarks/cost.py results/mnist-small [--config config/config.yaml] [--more measured.json …]

Prints Markdown: core hours per model and stage, and what could not be estimated. A job holds its cores while it
runs: its core seconds are its running time (in the run's `benchmarks/`) times its threads; where other work on the
cores made it wait, its CPU time and half a minute per thread, by which that may lag. The run's seconds per image are
scaled to the config's images and options: time is taken to be in proportion to an attack's steps, repetitions,
restarts, step sizes and epsilons. Where an attack did not run on a model, its queries per image on another model,
scaled alike, are taken at the seconds per query of the attacks that did. --more adds such measurements: files that
`benchmarks/attacks.py --out` wrote.
"""

import argparse
import csv
import json
import math
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from laid_over import ROOT, SCHEMAS, read_config

from absynth.errors import InputError
from absynth.io.tables import read_table
from absynth.workflow.plan import Plan

# Options that time is proportional to.
EFFORT = ("steps", "repetitions", "restarts", "step_sizes", "epsilons")
STAGES = ("training", "calibration", "attacks run", "attacks by queries", "verification", "lower bounds")
POLLING = 30  # seconds between Snakemake's readings of a job's CPU time
Key = tuple[str, str, str]  # model, norm, attack


class Measured(NamedTuple):
    """One attack on one model, per image; seconds is NaN where only the queries are known."""

    seconds: float
    queries: float
    options: Mapping[str, Any]


def effort(options: Mapping[str, Any]) -> float:
    """What an attack's time is taken to be in proportion to."""
    sizes = (options.get(key, 1) for key in EFFORT)
    return math.prod(len(size) if isinstance(size, list) else size for size in sizes)


class Jobs:
    """What a finished run's jobs took."""

    def __init__(self, plan: Plan, run: Path):
        self.threads, self.folder = plan.config["threads"], run / "benchmarks"

    def seconds(self, stage: str, pattern: str) -> float:
        """Core seconds of the jobs whose files fit; stage: a key of `threads`. NaN: no such job ran here."""
        times = [self._core_seconds(path, self.threads[stage]) for path in self.folder.glob(pattern)]
        return sum(times) if times else math.nan

    @staticmethod
    def _core_seconds(path: Path, threads: int) -> float:
        with path.open(newline="", encoding="utf-8") as file:
            (job,) = csv.DictReader(file, delimiter="\t")
        held = threads * float(job["s"])
        if job["cpu_time"] == "NA":  # ended before it was first read
            return held
        return min(held, float(job["cpu_time"]) + threads * POLLING)


def measured(plan: Plan, run: Path) -> dict[Key, Measured]:
    """Every attack of a finished run whose jobs all have their measurements."""
    table = read_table(run / "tables" / "attacks.csv").set_index(["model", "norm", "attack"])["queries"]
    jobs, found = Jobs(plan, run), {}
    for model, norm, attack in table.index:
        files = [f"run_attack/{model}-{norm}-{attack}-{shard}.tsv" for shard in range(len(plan.spans))]
        seconds = sum(jobs.seconds("attack", file) for file in files) / plan.config["n_samples"]
        if not math.isnan(seconds):
            queries = float(table[model, norm, attack])
            found[model, norm, attack] = Measured(seconds, queries, plan.options(attack, model))
    return found


def more(paths: Sequence[Path]) -> dict[Key, Measured]:
    """Queries per image that benchmarks/attacks.py measured."""
    found = {}
    for path in paths:
        content = json.loads(path.read_text(encoding="utf-8"))
        for name, result in content["results"].items():
            attack, norm = name.split("/")
            queries = sum(result["queries"]) / len(result["queries"])
            found[content["settings"]["model"], norm, attack] = Measured(math.nan, queries, result["options"])
    return found


class Estimate:
    """Core seconds by model and stage; what is not known, by title, and the models for which it is not."""

    def __init__(self, target: Plan, known: Mapping[Key, Measured]):
        self.seconds: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(STAGES, 0.0))
        self.unknown: dict[str, list[str]] = defaultdict(list)
        self.target, self.known = target, known
        for model in target.models:
            for norm in target.norms:
                for attack in target.attacks_on(model, norm):
                    self._attack(model, norm, attack)

    def _attack(self, model: str, norm: str, attack: str) -> None:
        images, options = self.target.config["n_samples"], self.target.options(attack, model)
        own = self.known.get((model, norm, attack))
        others = [
            value
            for (_, n, name), value in self.known.items()
            if (n, name) == (norm, attack) and value.queries
        ]
        rate = self._seconds_per_query(model)
        if own and not math.isnan(own.seconds):
            scale = effort(options) / effort(own.options)
            self.seconds[model]["attacks run"] += images * own.seconds * scale
        elif others and rate:
            queries = others[0].queries * effort(options) / effort(others[0].options)
            self.seconds[model]["attacks by queries"] += images * queries * rate
        else:
            self.unknown[f"{attack} ({norm})"].append(model)

    def _seconds_per_query(self, name: str) -> float:
        """The average over all attacks that ran on a model and queried it."""
        ran = [
            value
            for (model, *_), value in self.known.items()
            if model == name and value.queries and not math.isnan(value.seconds)
        ]
        queries = sum(value.queries for value in ran)
        return sum(value.seconds for value in ran) / queries if queries else 0.0


def stages(estimate: Estimate, target: Plan, source: Plan, run: Path) -> None:
    """Add all stages but the attacks, of the models of both runs, from the jobs of the finished one."""
    jobs = Jobs(source, run)
    images = target.config["n_samples"] / source.config["n_samples"]
    draws = [1 + plan.config["certificates"]["seeds"] for plan in (target, source)]
    for name, model in target.models.items():
        if name not in source.models:
            estimate.unknown["all but attacks"].append(name)
            continue
        old = source.models[name]
        seconds = {
            "calibration": jobs.seconds("calibrate", f"calibrate_model/{name}.tsv"),
            "verification": images * jobs.seconds("attack", f"verify_records/{name}-*.tsv"),
        }
        if model.kind.trainer == "classifier":
            passes = [
                math.prod((training.get("epochs", 1), 1 + training.get("steps", 0)))
                for training in (model.training, old.training)
            ]
            trained = jobs.seconds("train", f"train_classifier/{name}.tsv")
            seconds["training"] = trained * passes[0] / passes[1]
        if name == "abs":
            wanted, known = target.config["vae"], source.config["vae"]
            seconds["training"] = (
                jobs.seconds("train", "train_vae/*.tsv") * wanted["epochs"] / known["epochs"]
            )
            if wanted["refine"] and known["refine"]:
                scale = wanted["refine"]["epochs"] / known["refine"]["epochs"]
                seconds["training"] += jobs.seconds("train", "refine_vae/*.tsv") * scale
            elif wanted["refine"]:
                estimate.unknown["refinement"].append(name)
        if name in target.with_lower_bounds:
            bounds = images * jobs.seconds("attack", f"compute_lower_bounds/{name}-*.tsv")
            seconds["lower bounds"] = bounds * (draws[0] / draws[1] if model.generative else 1)
        for stage, value in seconds.items():
            if math.isnan(value):
                estimate.unknown[stage].append(name)
            else:
                estimate.seconds[name][stage] += value


def markdown(estimate: Estimate) -> str:
    """Hours by model and stage, their sums, and what is missing."""
    rows = {name: [row[stage] / 3600 for stage in STAGES] for name, row in estimate.seconds.items()}
    rows["together"] = [sum(values) for values in zip(*rows.values(), strict=True)]
    lines = [("core hours", *STAGES, "all"), (":--", *["--:"] * (len(STAGES) + 1))]
    lines += [(name, *(f"{v:.2f}" for v in values), f"{sum(values):.1f}") for name, values in rows.items()]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    missing = "; ".join(f"{attack} on {', '.join(models)}" for attack, models in estimate.unknown.items())
    return f"{text}\n\nNot estimated: {missing or 'nothing'}."


def main(run: Path, config: Path, others: Sequence[Path]) -> str:
    settings = run / "tables" / "provenance.json"
    if not settings.is_file():
        raise InputError(f"{run}: not a finished run: lacks tables/provenance.json")
    source = Plan(json.loads(settings.read_text(encoding="utf-8"))["config"], SCHEMAS)
    target = Plan(read_config(config), SCHEMAS)
    estimate = Estimate(target, {**more(others), **measured(source, run)})
    stages(estimate, target, source, run)
    return markdown(estimate)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--config", type=Path, default=ROOT / "config" / "config.yaml")
    parser.add_argument("--more", type=Path, nargs="+", default=[])
    options = parser.parse_args()
    try:
        print(main(options.run, options.config, options.more))
    except InputError as error:
        parser.error(str(error))
