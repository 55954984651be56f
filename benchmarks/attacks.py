"""Every attack of a config on the authors' released weights: what it finds and what it costs.

    python benchmarks/attacks.py --weights DIR --data DIR [--model cnn] [--images 10]
        [--config config/mnist-small.yaml] [--norms l2 l0] [--attacks ddn fmn] [--out results.json]

Prints a Markdown table. The attacks run as in the workflow on the first test images, with the options and the seed
of the config (laid over config/config.yaml), in one process. Time includes the confirmation by the
reference. Queries and gradients are means over the images that the model classifies
correctly; an attack holds a minimum where no other attack found a closer adversarial. With --out, results are written
after each attack, and finished attacks are not run again.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
import torch
from attack_table import table
from laid_over import ROOT, SCHEMAS, read_config
from snakemake.utils import update_config
from torch import Tensor, nn

from absynth import __version__
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.data.sources import find_dataset
from absynth.data.splits import load_dataset
from absynth.errors import InputError
from absynth.io.atomic import write_text
from absynth.io.log import LOGGER, start_log
from absynth.models.base import predict_labels, with_inference
from absynth.models.building import ModelFiles, resolve
from absynth.models.registry import KINDS
from absynth.workflow.plan import Plan

# Those whose weights were released and that need no other files.
MODELS = ("cnn", "binary_cnn", "abs")


def read_plan(config: Path, model: str, images: int) -> Plan:
    """The plan of config/config.yaml with the file `config` laid over it, for one model and shard."""
    whole = read_config(config)
    if whole["models"].get(model) is None:
        raise InputError(f"{config}: leaves out the model {model}")
    update_config(whole, {"n_samples": images, "shards": 1, "images_per_shard": None})
    return Plan(whole, SCHEMAS)


def released_model(plan: Plan, name: str, folder: Path) -> nn.Module:
    """A model of the run, built from the released weights themselves."""
    kind = KINDS[name]
    spec = plan.model_spec(name)
    model = resolve(spec["builder"])(
        ModelFiles(tuple(folder / file for file in kind.published)), **spec["options"]
    )
    return model.eval().requires_grad_(False)


def test_images(plan: Plan, data: Path | None, n: int) -> tuple[Tensor, Tensor]:
    """The first n test images (n, 1, 28, 28) float32 in [0, 1] and their labels (n,)."""
    name = plan.config["dataset"]
    dataset = find_dataset(name, plan.config["datasets"].get(name))
    *_, images, labels = load_dataset(dataset, data, ROOT / "results" / "downloads")
    x = images[:n, None].astype(np.float32) / np.float32(255)
    return torch.from_numpy(x), torch.from_numpy(labels[:n].astype(np.int64))


def in_order(plan: Plan) -> Iterator[str]:
    """The attacks of the run, each after those that it starts from."""
    return TopologicalSorter(
        {a: plan.config["attacks"][a]["start_from"] for a in plan.attacks}
    ).static_order()


class AttackRuns:
    """Attacks on one model and its images, and the results of those that are finished.

    results: by "attack/norm", as `measure` makes them; skipped: why others have none
    """

    def __init__(
        self,
        plan: Plan,
        name: str,
        model: nn.Module,
        substitute: nn.Module | None,
        x: Tensor,
        y: Tensor,
        out: Path | None,
    ):
        self.plan, self.name, self.model, self.substitute = plan, name, model, substitute
        self.x, self.y, self.out = x, y, out
        self.settings = {
            "model": name,
            "images": len(x),
            **{key: plan.config[key] for key in ("dataset", "seed", "inference")},
            "device": str(x.device),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "absynth": __version__,
        }
        self.results: dict[str, dict[str, Any]] = self._finished()
        self.skipped: dict[str, str] = {}
        self._found: dict[str, Tensor] = {}  # adversarials, for attacks that start from them

    def run(self, norms: Sequence[str], attacks: Sequence[str]) -> None:
        """Run the given attacks in the given norms; one that fails is skipped, and the others go on."""
        for norm in norms:
            for attack in in_order(self.plan):
                if attack in attacks and norm in self.plan.attacks[attack].norms:
                    self._run(attack, norm)

    def _run(self, attack: str, norm: str) -> None:
        key = f"{attack}/{norm}"
        if not self.plan.applies(attack, self.name, norm):
            self.skipped[key] = f"the config or its need of gradients keeps it from {self.name}"
        elif self.results.get(key, {}).get("options") == self._options(attack):
            LOGGER.info("%s: finished before", key)
        else:
            try:
                self.results[key] = self.measure(attack, norm)
            except InputError as error:
                self.skipped[key] = str(error)
            except Exception as error:
                LOGGER.exception("%s failed", key)
                self.skipped[key] = f"failed: {type(error).__name__}: {error}"
            else:
                self._save()

    def measure(self, attack: str, norm: str) -> dict[str, Any]:
        """One attack in one norm: its options, seconds and CPU seconds; for every image distance (null where it
        failed), queries and gradients."""
        starts = [self._adversarials(start, norm) for start in self.plan.starts(attack, self.name, norm)]
        entry = self.plan.attacks[attack]
        needs = {"substitute": self.substitute} if entry.substitute else {}
        built = resolve(entry.builder)(norm, **self.plan.options(attack, self.name), **needs)
        wall, cpu = time.perf_counter(), time.process_time()
        batch_size = self.plan.config["attacks"][attack]["batch_size"]
        settings = AttackSettings(built, attack, norm, self.plan.config["seed"], batch_size)
        index = torch.arange(len(self.x), device=self.x.device)
        found = attack_images(settings, self.model, Samples(self.x, self.y, index, starts))
        result = {
            "options": self._options(attack),
            "seconds": time.perf_counter() - wall,
            "cpu_seconds": time.process_time() - cpu,
            "distance": [None if math.isinf(value) else value for value in found["distance"].tolist()],
            **{name: found[name].tolist() for name in ("queries", "gradients")},
        }
        self._found[f"{attack}/{norm}"] = found["adversarial"].to(self.x.device)
        LOGGER.info("%s/%s: %.1f CPU s", attack, norm, result["cpu_seconds"])
        return result

    def _adversarials(self, attack: str, norm: str) -> Tensor:
        """The adversarials of an attack; it runs again if only its numbers were stored."""
        key = f"{attack}/{norm}"
        if key not in self._found:
            self.measure(attack, norm)
        return self._found[key]

    def _options(self, attack: str) -> dict[str, Any]:
        """Everything that an attack's result depends on, its starts included."""
        entry = self.plan.config["attacks"][attack]
        starts = {start: self._options(start) for start in entry["start_from"]}
        return {
            **self.plan.options(attack, self.name),
            "batch_size": entry["batch_size"],
            "start_from": starts,
        }

    def _finished(self) -> dict[str, dict[str, Any]]:
        if not (self.out and self.out.is_file()):
            return {}
        try:
            content = json.loads(self.out.read_text(encoding="utf-8"))
            settings, results = content["settings"], content["results"]
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{self.out}: no results of this program; give another --out") from None
        for key, value in self.settings.items():
            if settings.get(key) != value:
                raise InputError(
                    f"{self.out}: made with {key} {settings.get(key)}, now {value}; give another --out"
                )
        return results

    def _save(self) -> None:
        if self.out:
            write_text(self.out, json.dumps({"settings": self.settings, "results": self.results}) + "\n")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True, help="folder of the released weights")
    parser.add_argument("--data", type=Path, help="folder of the data set (default: ABSYNTH_DATA)")
    parser.add_argument("--model", choices=MODELS, default="cnn")
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--config", type=Path, default=ROOT / "config" / "mnist-small.yaml")
    parser.add_argument("--norms", nargs="+", help="default: all of the config")
    parser.add_argument("--attacks", nargs="+", help="default: all of the config")
    parser.add_argument("--out", type=Path, help="JSON file of results, resumed if it is there")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


def chosen(names: Sequence[str] | None, known: Sequence[str], option: str) -> list[str]:
    """The names given, or all; raises InputError for one that the config does not have."""
    for name in names or ():
        if name not in known:
            raise InputError(f"{option}: found {name}, the config has {', '.join(known)}")
    return list(names or known)


def main(options: argparse.Namespace) -> AttackRuns:
    torch.set_num_threads(options.threads)
    plan = read_plan(options.config, options.model, options.images)
    norms = chosen(options.norms, plan.norms, "--norms")
    attacks = chosen(options.attacks, list(plan.attacks), "--attacks")
    x, y = (part.to(options.device) for part in test_images(plan, options.data, options.images))
    model = released_model(plan, options.model, options.weights).to(options.device)
    substitute = None
    if any(plan.attacks[name].substitute for name in attacks):
        substitute = released_model(plan, "substitute", options.weights).to(options.device)
    runs = AttackRuns(plan, options.model, model, substitute, x, y, options.out)
    predict_labels(
        with_inference(model, "reference"), x[:1]
    )  # set-up by the first call is not a cost of the attacks
    runs.run(norms, attacks)
    return runs


if __name__ == "__main__":
    start_log(None)
    finished = main(parse())
    print(table(finished.results))
    for name, reason in finished.skipped.items():
        print(f"\nskipped {name}: {reason}")
