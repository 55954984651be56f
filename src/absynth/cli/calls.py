"""From the arguments of `absynth evaluate` and `absynth plan` to a call of Snakemake."""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

from absynth.cli import run_file
from absynth.cli.arguments import config_entries
from absynth.cli.workflow_process import Call
from absynth.errors import InputError
from absynth.workflow.plan import Plan

_OF_MODELS = {"data": "--data", "keys": "--keys", "data_args": "--data-args", "n_classes": "--n-classes",
              "images": "--images", "norms": "--norms", "epsilons": "--epsilons", "preset": "--preset",
              "model_args": "--model-args", "model_keys": "--model-keys", "mean": "--mean", "std": "--std",
              "model_name": "--as", "name": "--name"}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A call, the plan of its run, and where the config of the run is to be, None where the user named a file."""

    call: Call
    plan: Plan
    place: Path | None

    @property
    def results(self) -> Path:
        """The folder of the run."""
        return Path("results", self.plan.config["run"])

    def written(self) -> Call:
        """The call, with the config written to its place if jobs are to be run."""
        if self.place is None or not self.call.runs:
            return self.call
        run_file.write(self.place, run_file.read(self.call.config))
        return replace(self.call, config=self.place)


def asked(options: argparse.Namespace, folder: Path) -> Asked:
    """What `options` ask for, checked as far as that is possible before anything runs.

    folder: an empty one, for a config that is not yet that of the run
    Raises InputError for what is missing, contradicts itself or cannot be.
    """
    file, changes = config_entries(options.config)
    place = None
    if file:
        _check_alone(options, file)
        config = Path(file)
    else:
        if any(change.partition("=")[0] == "run" for change in changes):
            raise InputError("--config: found run, which --name names beside a model; leave it out")
        place, content = run_file.settled(options)
        config = folder / run_file.NAME
        run_file.write(config, content)
    call = Call(config, changes, options.cores, options.others)
    return Asked(call, call.plan(), place)


def _check_alone(options: argparse.Namespace, file: str) -> None:
    """Refuse arguments of a model beside a config that says it all."""
    given = [shown for name, shown in _OF_MODELS.items() if getattr(options, name)]
    given = [options.model] if options.model else given
    if given:
        raise InputError(
            f"--config: {file} says what is evaluated, and {given[0]} stands beside it; "
            "write that into the file, or leave one of them out"
        )
