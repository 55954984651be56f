"""Say what `absynth evaluate` would do with the same arguments: jobs, and estimated hours, before anything runs.

absynth plan my_models.py:Net weights.pt --data my.npz --images 1000 --preset standard
absynth plan --config my_config.yaml
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from absynth.cli.arguments import add_arguments as add_shared
from absynth.cli.calls import Asked, asked
from absynth.cli.others import check_plan
from absynth.cli.workflow_process import PlannedJob, planned_jobs, workflow_folder

HELP = "jobs and estimated hours of an evaluation, before anything runs"
COSTS = Path("resources", "attack_costs.csv")
_BASIS = f"""\
Estimated from that and from how often each attack asked two networks on MNIST ({COSTS}), in proportion
to its steps and the like; what attacks compute besides grows with the pixels. Every image is taken to be attacked.
The ranges allow for half as much again, and a third less, on other models; some may be further off."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_shared(parser)


def run(options: argparse.Namespace) -> int:
    """Plan; 0."""
    check_plan(options.others)
    with TemporaryDirectory() as folder:
        wanted = asked(options, Path(folder))
        jobs = planned_jobs(wanted.call)
    if not jobs:  # as Snakemake says
        sys.stdout.write(f"nothing is left to do: the run is complete in {wanted.results}\n")
        return 0
    sys.stdout.write(_text(wanted, jobs))
    return 0


def _text(wanted: Asked, jobs: Sequence[PlannedJob]) -> str:
    from absynth.cli.attack_costs import read_costs
    from absynth.cli.estimate import estimated, span
    from absynth.cli.measuring import measured
    from absynth.cli.summary import aligned

    measurements = measured(wanted.plan, wanted.results)
    costs = read_costs(workflow_folder() / COSTS)
    found = estimated(wanted.plan, jobs, costs, measurements.speeds, measurements.values, measurements.n_test)
    table = [("job", "count"), *((rule, str(count)) for rule, count in found.jobs.items())]
    table.append(("together", str(sum(found.jobs.values()))))
    stages = [(stage, span(seconds)) for stage, seconds in found.seconds.items()]
    stages.append(("together", span(found.total)))
    parts = [aligned(table), aligned([(f"{measurements.unit}", "estimate"), *stages]), *measurements.notes]
    if found.unknown:
        parts.append("Not estimated: " + ", ".join(f"{what} ({n} jobs)" if n > 1 else what
                                                   for what, n in found.unknown.items()))  # fmt: skip
    if wanted.call.cores.isdigit() and measurements.device == "cpu":
        clock = span(found.total.over(int(wanted.call.cores)))
        parts.append(f"By the clock, on {wanted.call.cores} cores: {clock}, if nothing else runs there.")
    parts.append(_BASIS)
    return "\n\n".join(part for part in parts if part) + "\n"
