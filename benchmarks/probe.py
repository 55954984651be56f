"""CPU seconds of the probe of each model of a config beyond imports, each in a process of its own.

    python benchmarks/probe.py [--config config/config.yaml] [--weights resources/weights/mnist-small/models]
        [--models cnn …] [--threads 1] [--run DIR]

Data as the config says, MNIST in the folder that ABSYNTH_DATA names for config.yaml. Prepares it, and the prototypes
of prototype_abs from the VAEs, in a temporary folder, or in --run where they are then found the next time. Prints one
line of JSON per model: CPU seconds to build the model and of the whole probe, the number of test images, peak memory
of the process and warnings. Takes two minutes, one and a half of them for the prototypes.
"""

import argparse
import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
import yaml

from absynth.workflow.plan import Plan

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Case:
    """One model's probe: what the rule probe_model hands its script."""

    name: str
    run: Path
    threads: int
    settings: dict[str, Any]
    builders: list[str]


def cases(plan: Plan, run: Path, names: list[str], threads: int) -> list[Case]:
    """The probes of the models `names`, as the rule has them."""
    return [
        Case(
            name,
            run,
            threads,
            {
                "spec": plan.probe_spec(name),
                "gradients": plan.planned(name).gradients,
                "binarises": plan.planned(name).binarises,
                "n": plan.probe_images(name),
            },
            plan.builders(model=name),
        )
        for name in names
    ]


def prepare(plan: Plan, run: Path, weights: Path, names: list[str]) -> None:
    """Data, weights and prototypes in the folder of a run, unless they are there."""
    config, splits = (
        plan.config,
        {split: run / f"data/{split}.h5" for split in ("train", "calibration", "test")},
    )
    if not splits["test"].is_file():
        import_module("scripts.data.prepare_data").main(
            **splits,
            dataset=config["dataset"],
            description=config["datasets"].get(config["dataset"]),
            data_dir=config["data_dir"],
            cache=run / "downloads",
            n_calibration=config["n_calibration"],
        )
    shutil.copytree(weights, run / "models", dirs_exist_ok=True)
    for name in names:
        model = plan.planned(name)
        if model.kind.trainer != "prototypes" or (run / model.weights[0]).is_file():
            continue
        (run / model.weights[0]).parent.mkdir(exist_ok=True)
        import_module("scripts.models.build_prototypes").main(
            images=splits["train"],
            vaes=[run / "models" / source for source in model.kind.sources],
            weights=run / model.weights[0],
            settings=model.training,
            device=torch.device("cpu"),
        )


def measured(case: Case) -> dict[str, Any]:
    """What one probe costs in this process, once everything is imported."""
    torch.set_num_threads(case.threads)
    script = import_module("scripts.models.probe_model")
    for builder in case.builders:
        import_module(builder)
    seconds: dict[str, float] = {}
    build = script.build

    def timed(*arguments: Any) -> Any:
        start = time.process_time()
        try:
            return build(*arguments)
        finally:
            seconds["build"] = time.process_time() - start

    script.build = timed
    output, start = case.run / f"models/{case.name}/probe.json", time.process_time()
    output.parent.mkdir(exist_ok=True)
    script.main(
        images=case.run / "data/test.h5",
        output=output,
        folder=case.run,
        name=case.name,
        device=torch.device("cpu"),
        **case.settings,
    )
    seconds["probe"] = time.process_time() - start
    found = json.loads(output.read_text(encoding="utf-8"))
    return {
        "model": case.name,
        **{f"{part}_cpu_s": round(value, 2) for part, value in seconds.items()},
        "images": found["n"],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "warnings": found["warnings"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=ROOT / "config/config.yaml")
    parser.add_argument("--weights", type=Path, default=ROOT / "resources/weights/mnist-small/models")
    parser.add_argument(
        "--models", nargs="+", help="of the config, or kinds; all of the config's and prototype_abs"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--run", type=Path, help="a folder to keep data and prototypes in")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    config = yaml.safe_load(options.config.read_text(encoding="utf-8"))
    for name in options.models or ["prototype_abs"]:
        config["models"].setdefault(name, {})
    plan = Plan(config, ROOT / "workflow/schemas")
    names = options.models or list(plan.models)
    with tempfile.TemporaryDirectory() as folder:
        run = options.run or Path(folder)
        (run / "data").mkdir(parents=True, exist_ok=True)
        prepare(plan, run, options.weights, names)
        # A fresh process for each, so that none finds another's memory and kernels ready.
        context = multiprocessing.get_context("spawn")
        for case in cases(plan, run, names, options.threads):
            with context.Pool(1) as pool:
                print(json.dumps(pool.apply(measured, (case,)), ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
