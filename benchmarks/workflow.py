"""What the workflow itself costs, attacks apart: starting jobs, building the DAG, reducing shards.

    python benchmarks/workflow.py [--shards 10 100 1000] [--images 1000] [--attacks 5]
        [--jobs 20] [--repeats 3] [--keep DIR]

Needs no data, weights or GPU, but Linux. Prints a Markdown table for each part as it is measured, and all of it as
a line of JSON at the end. CPU and wall seconds are of a process with its children; peak memory is of the process
alone.

- Starting a job: a fresh Python that imports what a script does (median of --repeats), and one more job in a
  Snakemake run of jobs that only import what `gather_minima` does (mean of --jobs).
- The DAG: a dry run of config/config.yaml with ten shards, then of one model and norm with each number of --shards,
  nothing done yet. A single shard's and four shards' dry runs are what a job, and a group of four, costs on a
  cluster before it starts: there each begins with a Snakemake of its own.
- Reductions: the scripts that read all shards, on made-up shards of --images images by --attacks attacks.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
import yaml

from absynth.io.records import SHARD, write_record
from absynth.workflow.plan import Plan

ROOT = Path(__file__).parents[1]
# What a job's Python imports: its script, and what that is told to import by the config.
STARTS = {
    "nothing": "pass",
    "Snakemake's preamble": "from snakemake.logging import logger; from snakemake.iocontainers import Snakemake",
    "gather_minima": "import scripts.attacks.gather_minima",
    "tabulate_minima": "import scripts.tables.tabulate_minima",
    "plot_accuracy_distortion": "import scripts.figures.plot_accuracy_distortion",
    "run_attack, salt & pepper noise": "import scripts.attacks.run_attack, absynth.attacks.noise",
    "run_attack, FGM": "import scripts.attacks.run_attack, absynth.attacks.gradient",
}
CHECKOUT = ("Snakefile", "config", "workflow", "scripts", "src", "envs")
MODEL, NORM, RUN = "cnn", "l2", "growth"
_IDENTITY = {"run": RUN, "model": MODEL, "norm": NORM}
_NO_WORK = """
rule all:
    input:
        [f"done/{number}" for number in range(config["jobs"])],

rule one:
    output:
        "done/{number}",
    script:
        "one.py"
"""
# The peak since the process began its own program: the kernel's ru_maxrss has its parent's memory in it.
_REDUCE = """
import importlib, json, sys
importlib.import_module(f"scripts.{sys.argv[1]}").main(**json.loads(open(sys.argv[2]).read()))
(peak,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) / 1024)
"""

Row = dict[str, Any]


def measure(command: Sequence[str], folder: Path) -> tuple[Row, str]:
    """Run a command in a folder: CPU and wall seconds of it and its children, and what it wrote to stdout.

    Raises RuntimeError with the end of its stderr if it fails.
    """
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}: {err.read()[-2000:]}")
        cpu = usage.ru_utime + usage.ru_stime
        return {"cpu_seconds": round(cpu, 4), "seconds": round(seconds, 4)}, out.read()


def start_up(folder: Path, repeats: int, starts: Mapping[str, str] = STARTS) -> list[Row]:
    """A fresh Python for each of `starts`, the median over `repeats` once everything lies in the disk cache."""
    rows = []
    for title, statement in starts.items():
        command = [sys.executable, "-c", statement]
        found = [measure(command, folder)[0] for _ in range(repeats + 1)][1:]
        medians = {key: statistics.median(row[key] for row in found) for key in found[0]}
        rows.append({"imports": title, **medians})
    return rows


def launched(folder: Path, jobs: int) -> list[Row]:
    """One more job in a run of a script that only imports what `gather_minima` does and touches its output."""
    place = folder / "launched"
    place.mkdir()
    (place / "Snakefile").write_text(_NO_WORK, encoding="utf-8")
    (place / "one.py").write_text(
        "from pathlib import Path\nimport scripts.attacks.gather_minima\nPath(snakemake.output[0]).touch()\n",
        encoding="utf-8",
    )
    costs = []
    for count in (1, 1 + jobs):
        shutil.rmtree(place / "done", ignore_errors=True)
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "all"]
        costs.append(measure([*command, "--config", f"jobs={count}"], place)[0])
    one, many = costs
    return [
        {"run": "one job", **one},
        {"run": f"each of {jobs} more", **{key: round((many[key] - one[key]) / jobs, 4) for key in one}},
    ]


def checkout(folder: Path) -> Path:
    """A copy of all that Snakemake reads, so that nothing done before counts."""
    place = folder / "checkout"
    place.mkdir()
    for name in CHECKOUT:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, place / name)
    return place


def one_model(config: Path) -> dict[str, Any]:
    """What to lay over the paper's config to leave one model in one norm, with all attacks on it."""
    whole = yaml.safe_load(config.read_text(encoding="utf-8"))
    others = {name: None for name in whole["models"] if name != MODEL}
    plan = Plan(whole, config.parents[1] / "workflow" / "schemas")
    attacks = {name: None for name in whole["attacks"] if not plan.applies(name, MODEL, NORM)}
    return {"models": others, "norms": [NORM], "attacks": attacks}


def dry_run(
    place: Path,
    title: str,
    shards: int,
    overlay: Mapping[str, Any] | None = None,
    targets: Sequence[str] = (),
) -> Row:
    """A dry run in a checkout: its cost and how many jobs it found. Each shard has an image at least."""
    path = place / "overlay.json"
    sizes = {"run": RUN, "shards": shards, "n_samples": max(1000, shards)}
    path.write_text(json.dumps({**(overlay or {}), **sizes}), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", *targets, "--dry-run", "--cores", "1", "--quiet", "rules"]
    cost, out = measure([*command, "--configfile", str(path)], place)
    jobs = re.findall(r"^total\s+(\d+)$", out, re.MULTILINE)[-1]
    return {"matrix": title, "shards": shards, "jobs": int(jobs), **cost}


def dags(folder: Path, shards: Sequence[int]) -> list[Row]:
    """The paper's matrix, a shard and a group of shards of it, and one model in one norm as shards grow."""
    place = checkout(folder)
    overlay = one_model(place / "config" / "config.yaml")
    some = [f"results/{RUN}/attacks/{MODEL}/{NORM}/fgm/{shard}.h5" for shard in range(4)]
    return [
        dry_run(place, "the paper's", 10),
        dry_run(place, "one shard of it", 10, targets=some[:1]),
        dry_run(place, "four shards of it", 10, targets=some),
        *(dry_run(place, "one model and norm", count, overlay) for count in shards),
    ]


def write_shards(folder: Path, attacks: int, shards: int, images: int) -> dict[str, list[str]]:
    """Write shards of random adversarials; each attack is best on its share of the images, a tenth is misclassified.

    Returns the paths of all shards, attack by attack, and of their benchmark files, as Snakemake writes them
    """
    paths: dict[str, list[str]] = {"shards": []}
    for number in range(attacks):
        attack, random = f"attack{number}", np.random.default_rng(number)
        for shard in range(shards):
            index = np.arange(shard * images // shards, (shard + 1) * images // shards)
            n = len(index)
            columns = {name: np.zeros(n, column.dtype) for name, column in SHARD.items()}
            columns["index"], columns["queries"], columns["gradients"] = index, index, index
            columns["adversarial"] = random.random((n, 1, 28, 28), dtype=np.float32)
            columns["distance"] = np.where(index % 10 == 0, 0, 1 + (index + number) % attacks)
            path = folder / "attacks" / MODEL / NORM / attack / f"{shard}.h5"
            about = {**_IDENTITY, "attack": attack, "seed": 0, "seconds": 1.0, "device": "cpu"}
            write_record(path, columns, about, SHARD)
            paths["shards"].append(str(path))
    return paths


def reductions(folder: Path, attacks: int, shards: int, images: int) -> list[Row]:
    """Each script that reads all shards, in a Python of its own."""
    place = folder / f"shards-{shards}"
    paths = write_shards(place, attacks, shards, images)
    names = [f"attack{number}" for number in range(attacks)]
    minimal, limits = str(place / "minimal.h5"), {"tolerance": 0.05, "share": 0.25, "failures": 0.5}
    arguments: dict[str, dict[str, Any]] = {
        "attacks.gather_minima": {
            **_IDENTITY, "shards": paths["shards"], "attacks": names, "of_paper": [], "epsilon": 1.5,
            "minimal": minimal, "summary": str(place / "summary.csv"),
        },
        "tables.audit_attacks": {
            "shards": paths["shards"], "run": RUN, "table": str(place / "audit.csv"),
            "optimality": str(place / "optimality.csv"), "attacks": str(place / "attacks.csv"),
            "minimal": [minimal], "roles": {name: {"gradients": True} for name in names},
            "limits": limits,
        },
        "tables.tabulate_minima": {
            "minimal": [minimal], "summaries": [str(place / "summary.csv")], "brackets": [], "run": RUN,
            "tables": {name: str(place / f"{name}.csv")
                       for name in ("robustness", "distances", "curves", "pairs", "confusion",
                                    "markdown", "csv", "latex")},
            "models": {MODEL: MODEL}, "attacks": {NORM: {name: name for name in names}},
            "epsilons": {NORM: 1.5}, "of_paper": [],
        },
    }  # fmt: skip
    rows = []
    for script, given in arguments.items():
        (place / "arguments.json").write_text(json.dumps(given), encoding="utf-8")
        cost, out = measure([sys.executable, "-c", _REDUCE, script, "arguments.json"], place)
        rows.append(
            {
                "script": script.partition(".")[2],
                "shards": shards,
                "files": attacks * shards,
                **cost,
                "peak_mb": round(float(out), 1),
            }
        )
    return rows


def table(rows: Sequence[Row]) -> str:
    """Rows with the same keys as a Markdown table."""
    lines = [list(rows[0]), [":--", *["--:"] * (len(rows[0]) - 1)]]
    lines += [
        [f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()] for row in rows
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--images", type=int, default=1000, help="of each attack, in all its shards together")
    parser.add_argument("--attacks", type=int, default=5, help="whose made-up shards are reduced")
    parser.add_argument("--jobs", type=int, default=20, help="that do nothing")
    parser.add_argument("--repeats", type=int, default=3, help="of a fresh Python")
    parser.add_argument("--keep", type=Path, help="a new folder to work in and leave behind")
    return parser.parse_args(arguments)


def main(options: argparse.Namespace, folder: Path) -> dict[str, list[Row]]:
    """Measure and print one part after another; they work in `folder`."""
    parts: dict[str, Callable[[], list[Row]]] = {
        "start_up": lambda: start_up(folder, options.repeats),
        "launched": lambda: launched(folder, options.jobs),
        "dag": lambda: dags(folder, options.shards),
        "reductions": lambda: [
            row
            for shards in options.shards
            for row in reductions(folder, options.attacks, shards, max(options.images, shards))
        ],
    }
    results = {}
    for name, part in parts.items():
        results[name] = part()
        print(f"{name}\n\n{table(results[name])}\n", flush=True)
    return results


if __name__ == "__main__":
    chosen = parse()
    with tempfile.TemporaryDirectory() as temporary:
        if chosen.keep:
            chosen.keep.mkdir(parents=True)
        print(json.dumps(main(chosen, (chosen.keep or Path(temporary)).resolve())))
