"""What the project does on a GPU: that its answers are those of the CPU, how fast it is, and that the workflow runs.

    python benchmarks/gpu.py --data DIR [--device cuda] [--size full] [--seconds 480] [--parts NAME ...] [--out FILE]

One command that ends within --seconds, for a GPU that is only lent for a while. DIR of data: MNIST's IDX files
(--size tiny takes the bundled digits and tiny numbers; with --device cpu it says whether the program itself works).
The models are those that ship. Each part appends lines of JSON, so that a part that fails or runs out of time loses
nothing; the parts, in this order:

- ceilings: float32 matrix products (TFLOP/s) and copies in memory (TB/s), which the others are compared with
- devices: two processes that ask for one GPU, and when each got it
- inference: queries/s of each model and batch size, TFLOP/s counted from the operators, share of the ceiling
- sessions: queries/s of answers with gradients near an image, through `Target`, as attacks ask
- launches: kernels, waits for the device and copies to the host in a step of some hot paths, by torch's profiler
- attacks: the strongest attacks of each norm on CNN, Madry et al. and ABS, all images in one batch
- bounds: lower bounds of ABS, nearest neighbour and prototype ABS
- training: seconds an epoch of a VAE, of its refinement, and of Madry et al.
- tests: the tests marked cuda
- workflow: mnist-bracket by Snakemake with `--resources gpu=1` in the time that is left, and how far it came
"""

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from gpu_setting import SIZES, Setting, Size
from gpu_speed import attacks, bounds, ceilings, inference, launches, sessions, training
from gpu_system import devices, tests, workflow

from absynth.io.log import start_log
from absynth.workflow.devices import use_full_precision

PARTS: dict[str, Callable[[Setting], Iterator[dict[str, Any]]]] = {
    "ceilings": ceilings,
    "devices": devices,
    "inference": inference,
    "sessions": sessions,
    "launches": launches,
    "attacks": attacks,
    "bounds": bounds,
    "training": training,
    "tests": tests,
    "workflow": workflow,
}


def run_parts(setting: Setting, names: list[str], out: Path) -> list[dict[str, Any]]:
    """Run parts one after the other; each result is a line in `out`, and so is the error of a part that fails."""
    lines: list[dict[str, Any]] = []
    with out.open("a", encoding="utf-8") as file:

        def write(line: dict[str, Any]) -> None:
            lines.append(line)
            print(json.dumps(line), flush=True)
            print(json.dumps(line), file=file, flush=True)

        write({"part": "machine", **setting.machine()})
        for name in names:
            began = time.monotonic()
            try:
                for line in PARTS[name](setting):
                    write({"part": name, **line})
                    if setting.seconds_left() <= 0:
                        write({"part": name, "stopped": "out of time"})
                        break
            except Exception as error:
                traceback.print_exc()
                write({"part": name, "error": f"{type(error).__name__}: {error}"[:500]})
            write({"part": name, "part_seconds": round(time.monotonic() - began, 2)})
    return lines


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with MNIST's IDX files; not with --size tiny")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", choices=list(SIZES), default="full")
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--out", type=Path, default=Path("gpu.jsonl"))
    return parser.parse_args(arguments)


def main(options: argparse.Namespace) -> list[dict[str, Any]]:
    size: Size = SIZES[options.size]
    if options.data is None and not size.digits:
        raise SystemExit("--data: found nothing, --size full needs the folder with MNIST's IDX files")
    use_full_precision()  # as every job does
    setting = Setting(torch.device(options.device), size, options.data, time.monotonic() + options.seconds)
    return run_parts(setting, options.parts, options.out)


if __name__ == "__main__":
    start_log(None)
    found = main(parse())
    sys.exit(any("error" in line for line in found))
