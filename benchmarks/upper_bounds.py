"""How near presets of attacks come on the weights that ship: medians, accuracies, who holds the minima, rounds.

    python benchmarks/upper_bounds.py --models madry binary_cnn cnn --images 0:100 [--every 1] --preset strong
        [--preset paper] [--config FILE] [--norms l2 linf l0] [--data DIR] [--jobs 2] [--chunk 10] [--device cpu]
        [--seconds 3600] [--leave-out ATTACK …] [--out results.jsonl]

Each preset's attacks and relay, and those of each config laid over config/config.yaml, run on images A to B − 1 of
MNIST's test images, or on every Nth of them, in --jobs processes of one thread each, with the planning, options, seed
and random numbers of the workflow; only that no proved bound leaves an image out of a relay. Images are split into
chunks, one job each for a model and norm: with --seconds, small enough for a job to end in time. What is not finished
by then is abandoned, and the attacks that are count.

Every attack's result on a chunk is a line of --out: distances (0 where the clean image is misclassified, null where
the attack failed), queries and gradients per image, seconds and CPU seconds. Prints Markdown tables, also from such
files alone with --show FILE …: median and accuracy at ε over all attacks, with CPU seconds per image; how many minima
each attack holds, ties counting for each, and its own median; the median after each round of the relay; and, of
several presets or configs, what each would gain by another.
"""

import argparse
import json
import math
import multiprocessing
import os
import queue
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from laid_over import ROOT, SCHEMAS
from upper_bounds_tables import tables

from absynth import __version__
from absynth.attacks.run import Samples
from absynth.attacks.sequence import Step, run_sequence
from absynth.data.split_files import read_split
from absynth.errors import InputError
from absynth.io.log import LOGGER, start_log
from absynth.models.base import predict_labels
from absynth.models.building import build
from absynth.norms import NORMS
from absynth.workflow.at_hand import step_of
from absynth.workflow.config_files import lay_over, merged_config
from absynth.workflow.devices import use_full_precision
from absynth.workflow.plan import Plan
from absynth.workflow.presets import expand_presets, read_preset

sys.path.insert(0, str(ROOT))
from scripts.data.prepare_data import main as prepare_data

WEIGHTS = ROOT / "resources" / "weights" / "mnist-small" / "models"
CONFIG = ROOT / "config" / "config.yaml"


@dataclass(frozen=True)
class Task:
    """The attacks of one plan on a chunk of images: of a span, first to one past the last, every `every`th."""

    plan: str
    model: str
    norm: str
    span: tuple[int, int]
    every: int = 1


class Bench:
    """What a process needs to do tasks: the plans by name, and models as they are asked for."""

    def __init__(self, plans: dict[str, Plan], folder: Path, device: str):
        self.plans, self.folder, self.device = plans, folder, device
        self._models: dict[str, torch.nn.Module] = {}

    def do(self, task: Task) -> Iterator[dict[str, Any]]:
        """The task's attacks, each a line of the results."""
        plan, model = self.plans[task.plan], self._model(self.plans[task.plan], task.model)
        arrays = (array[:: task.every].copy() for array in read_split(self._test, *task.span))
        x, y = (torch.from_numpy(array).to(self.device) for array in arrays)
        predict_labels(model, x[:1])  # set-up by the first call is not a cost of the attacks
        index = torch.arange(*task.span, task.every, device=self.device)
        steps = [self._step(plan, name, task) for name in plan.in_order(task.model, task.norm)]
        wall, cpu = time.perf_counter(), time.process_time()
        for name, columns in run_sequence(steps, model, Samples(x, y, index), task.norm, plan.config["seed"]):
            seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
            yield {
                "plan": task.plan, "model": task.model, "norm": task.norm, "attack": name,
                "round": plan.relay_rounds.get(name, 0), "first": task.span[0], "every": task.every,
                "last": name == steps[-1].name,
                "epsilon": plan.config["epsilons"][task.norm], "seconds": seconds, "cpu_seconds": cpu_seconds,
                "distance": [None if math.isinf(value) else value for value in columns["distance"].tolist()],
                **{key: columns[key].tolist() for key in ("queries", "gradients", "stopped") if key in columns},
            }  # fmt: skip
            wall, cpu = time.perf_counter(), time.process_time()

    @property
    def _test(self) -> Path:
        return self.folder / "data" / "test.h5"

    def _model(self, plan: Plan, name: str) -> torch.nn.Module:
        if name not in self._models:
            self._models[name] = build(plan.model_spec(name), self.folder).to(self.device)
        return self._models[name]

    def _step(self, plan: Plan, name: str, task: Task) -> Step:
        entry = plan.attacks[name]
        needs = {"substitute": self._model(plan, "substitute")} if entry.substitute else {}
        return step_of(plan, name, task.model, task.norm, needs)


def read_plans(options: argparse.Namespace) -> dict[str, Plan]:
    """The plans of the presets and configs, by name; raises InputError for a name that none of them knows."""
    configs = {}
    for name in options.preset:
        configs[name] = merged_config([CONFIG], []) | read_preset(name, SCHEMAS)
    for path in options.config:
        configs[path.stem] = merged_config([CONFIG, path], [])
    plans = {}
    for name, config in configs.items():
        one_shard = {"shards": 1, "images_per_shard": None}
        plain = {"n_samples": options.images[1], **one_shard, "dataset": "mnist"}
        plan = Plan(without(lay_over(config, plain), options.leave_out), SCHEMAS)
        for model in options.models:
            if model not in plan.models:
                raise InputError(f"--models: found {model}, allowed are {', '.join(plan.models)}")
        plans[name] = plan
    return plans


def without(config: dict[str, Any], attacks: Sequence[str]) -> dict[str, Any]:
    """The config without some attacks, in its relay and as starts too; its presets are expanded in place."""
    if not attacks:
        return config
    expand_presets(config, SCHEMAS)
    kept = {name: entry for name, entry in config["attacks"].items() if name not in attacks}
    for entry in kept.values():
        if entry and "start_from" in entry:
            entry["start_from"] = [name for name in entry["start_from"] if name not in attacks]
    relay = config.get("relay")
    if relay:
        relay = relay | {"attacks": [name for name in relay["attacks"] if name not in attacks]}
    return config | {"attacks": kept, "relay": relay}


def tasks_of(plans: dict[str, Plan], options: argparse.Namespace) -> list[Task]:
    """All tasks, so that at any time about as many images are done in each model and norm."""
    (first, stop), width = options.images, options.chunk * options.every
    spans = [(begin, min(begin + width, stop)) for begin in range(first, stop, width)]
    return [
        Task(plan, model, norm, span, options.every)
        for span in spans
        for plan in plans
        for model in options.models
        for norm in options.norms
        if plans[plan].attacks_on(model, norm)
    ]


def work(
    bench: Bench, tasks: "multiprocessing.Queue[Task | None]", lines: "multiprocessing.Queue[Any]"
) -> None:
    """Do tasks until one is None; puts each line, a text where a task failed, and None at the end."""
    torch.set_num_threads(1)
    use_full_precision()  # as every job does
    while (task := tasks.get()) is not None:
        try:
            for line in bench.do(task):
                lines.put(line)
        except Exception as error:
            lines.put(f"{task}: {type(error).__name__}: {error}")
    lines.put(None)


def results(bench: Bench, tasks: Sequence[Task], jobs: int, seconds: float) -> Iterator[dict[str, Any]]:
    """The lines of all tasks, as they come; what is not finished after `seconds` is abandoned."""
    until = time.monotonic() + seconds
    context = multiprocessing.get_context("spawn")
    todo, lines = context.Queue(), context.Queue()
    for task in [*tasks, *[None] * jobs]:
        todo.put(task)
    workers = [context.Process(target=work, args=(bench, todo, lines), daemon=True) for _ in range(jobs)]
    for worker in workers:
        worker.start()
    working = jobs
    while working and time.monotonic() < until:
        try:
            line = lines.get(timeout=max(0.0, min(10.0, until - time.monotonic())))
        except queue.Empty:
            if any(worker.is_alive() for worker in workers):
                continue
            raise InputError("a process ended without a word; see above, or try fewer --jobs") from None
        if line is None:
            working -= 1
        elif isinstance(line, str):
            LOGGER.error("failed: %s", line)
        else:
            LOGGER.info("%(plan)s %(model)s %(norm)s %(attack)s from image %(first)d: %(seconds).1f s", line)
            yield line
    todo.cancel_join_thread()  # tasks that nobody takes any more need not reach the pipe
    for worker in workers:
        worker.terminate()


def span(text: str) -> tuple[int, int]:
    """First and one past the last image of A:B."""
    first, _, stop = text.partition(":")
    if not (first.isdecimal() and stop.isdecimal() and int(first) < int(stop)):
        raise argparse.ArgumentTypeError(f"found {text}, allowed is A:B with A less than B, such as 0:100")
    return int(first), int(stop)


def number(text: str) -> int:
    """A number of images."""
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"found {text}, allowed is a number from 1")
    return int(text)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["madry", "binary_cnn", "cnn", "nearest_neighbor"])
    parser.add_argument("--images", type=span, default=(0, 100), metavar="A:B")
    parser.add_argument(
        "--every", type=number, default=1, metavar="N", help="every Nth of these images alone"
    )
    parser.add_argument("--preset", nargs="+", action="extend", default=[])
    parser.add_argument("--config", nargs="+", type=Path, default=[])
    parser.add_argument("--norms", nargs="+", choices=list(NORMS), default=list(NORMS))
    parser.add_argument("--leave-out", nargs="+", default=[], metavar="ATTACK")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("ABSYNTH_DATA"), help="folder of MNIST's IDX files"
    )
    parser.add_argument("--out", type=Path, help="file of JSON lines, replaced if it is there")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--chunk", type=number, default=10, help="images of a job")
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument(
        "--show", nargs="+", type=Path, default=[], help="print the tables of such files alone"
    )
    return parser.parse_args(arguments)


def main(options: argparse.Namespace) -> list[dict[str, Any]]:
    if options.show:
        return [
            line
            for path in options.show
            for line in map(json.loads, path.read_text(encoding="utf-8").splitlines())
            if "attack" in line
        ]
    plans = read_plans(options)
    lines = []
    paths = ("data", "out", "show")  # of one machine
    settings = {key: str(value) for key, value in vars(options).items() if key not in paths} | {
        "torch": torch.__version__,
        "absynth": __version__,
        "date": time.strftime("%Y-%m-%d"),
    }
    with tempfile.TemporaryDirectory() as name, open(options.out or os.devnull, "w", encoding="utf-8") as out:
        folder = Path(name)
        (folder / "models").symlink_to(WEIGHTS)
        splits = {split: folder / "data" / f"{split}.h5" for split in ("train", "calibration", "test")}
        prepare_data(
            **splits, dataset="mnist", description=None, data_dir=options.data, cache=folder / "cache",
            n_calibration=5000,
        )  # fmt: skip
        print(json.dumps(settings), file=out, flush=True)
        bench = Bench(plans, folder, options.device)
        for line in results(bench, tasks_of(plans, options), options.jobs, options.seconds):
            lines.append(line)
            print(json.dumps(line), file=out, flush=True)
    return lines


if __name__ == "__main__":
    start_log(None)
    try:
        found = main(parse())
    except InputError as error:
        sys.exit(str(error))
    print(tables(found))
