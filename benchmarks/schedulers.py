"""CPU seconds of Snakemake's schedulers, with many jobs open at once and few free cores, as at the start of a run.

    python benchmarks/schedulers.py [--jobs 2000 14000] [--schedulers ilp greedy firstfit] [--rounds 3]
    python benchmarks/schedulers.py --whole [--jobs 300]

Selections alone, by default: each scheduler chooses among so many jobs, each with the resources that this workflow's
attacks ask for, for two free cores, and prints one line of JSON: the number of jobs chosen and the least CPU seconds
of a selection, its solver's process included. A run makes one whenever a job has finished. With --whole Snakemake
itself runs a workflow of so many independent jobs, each of which makes a file, on two cores, and the CPU seconds of
all that are printed. `firstfit` needs snakemake-scheduler-plugin-firstfit, which this project does not.
"""

import argparse
import json
import logging
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from snakemake_interface_scheduler_plugins.registry import SchedulerPluginRegistry

CORES = 2
SNAKEFILE = """
rule all:
    input:
        expand("{{i}}.txt", i=range({n})),


rule attack:
    output:
        "{{i}}.txt",
    resources:
        gpu=1,
        mem_mb=4000,
    shell:
        "touch {{output}}"
"""


class Job(SimpleNamespace):
    """An open job as schedulers see it."""

    __hash__ = object.__hash__


class File(str):
    """An input file that is not temporary."""

    def is_flagged(self, flag: str) -> bool:
        return False


def open_jobs(n: int, inputs: int = 40) -> tuple[list[Job], dict[File, int]]:
    """Jobs that need one core each, with as many inputs as an attack's job has, and the sizes of these."""
    files = [File(f"module_{i}.py") for i in range(inputs)]
    shards = [File(f"shard_{i}.h5") for i in range(n)]
    needs = {"_cores": 1, "_nodes": 1, "gpu": 1, "mem_mb": 4000}
    jobs = [Job(scheduler_resources=needs, priority=0, input=[*files, shard]) for shard in shards]
    return jobs, dict.fromkeys([*files, *shards], 4000)


def cpu_seconds() -> float:
    """CPU seconds of this process and of the children that have ended."""
    times = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in times)


def select(name: str, n: int, rounds: int) -> dict[str, Any]:
    """The jobs that a scheduler chooses among n, and the least CPU seconds of some selections."""
    plugin = SchedulerPluginRegistry().get_plugin(name)
    scheduler = plugin.scheduler(SimpleNamespace(), plugin.settings_cls(), logging.getLogger(name))
    jobs, sizes = open_jobs(n)
    free = {"_cores": CORES, "_nodes": sys.maxsize, "gpu": sys.maxsize, "mem_mb": sys.maxsize}
    seconds, chosen = [], None
    for _ in range(rounds):
        began = cpu_seconds()
        chosen = scheduler.select_jobs(jobs, jobs, free, sizes)
        seconds.append(cpu_seconds() - began)
    return {"selected": None if chosen is None else len(chosen), "cpu_s": round(min(seconds), 3)}


def whole(name: str, n: int) -> dict[str, Any]:
    """CPU seconds of Snakemake and of n jobs that make a file each."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Snakefile").write_text(SNAKEFILE.format(n=n), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--quiet", "all", "--max-jobs-per-timespan", "10000/1s"]
        began = cpu_seconds()
        subprocess.run([*command, "--cores", str(CORES), "--scheduler", name], cwd=folder, check=True)
        return {"cpu_s": round(cpu_seconds() - began, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, nargs="+", default=[2000, 14000])
    parser.add_argument("--schedulers", nargs="+", default=["ilp", "greedy", "firstfit"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--whole", action="store_true")
    arguments = parser.parse_args()
    for n in arguments.jobs:
        for name in arguments.schedulers:
            found = whole(name, n) if arguments.whole else select(name, n, arguments.rounds)
            print(json.dumps({"scheduler": name, "jobs": n, **found}), flush=True)


if __name__ == "__main__":
    main()
