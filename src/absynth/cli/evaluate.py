"""Attack a model of your own on images of your own, and write a table, figures and a report.

    absynth evaluate my_models.py:Net weights.pt --data my.npz --images 100 --norms l2 linf --preset standard

The same command goes on with a run that was interrupted, and adds to one that is there: more images, other attacks
or norms, a further model. Options that are not listed here go to Snakemake: --dry-run, --resources gpu=1, ...
"""

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from absynth.cli import workflow_process
from absynth.cli.arguments import add_arguments as add_shared
from absynth.cli.calls import Asked, asked
from absynth.cli.going_on import declared, going_on
from absynth.cli.reasons import locked, reason_of
from absynth.cli.workflow_process import Call

_UNLOCK = (
    "the run is locked: another call is at work on it, or one was killed. If none is at work, call the same command "
    "once with --unlock, and then as before"
)
HELP = "attack a model of your own; table, figures, report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_shared(parser)


def run(options: argparse.Namespace) -> int:
    """Evaluate; 0 once the report is written, 1 where the workflow stopped."""
    with TemporaryDirectory() as folder:
        wanted = asked(options, Path(folder))
        call = wanted.written()
        _say_what(wanted, call)
        began = time.time()
        code = workflow_process.run(call)
    if code:
        sys.stderr.write(f"absynth evaluate: {_stopped(wanted, began)}\n")
        return 1
    if call.runs:
        _show(wanted.results)
    return 0


def _stopped(wanted: Asked, began: float) -> str:
    """Why the workflow stopped, and what to do, in one line."""
    if locked(began):
        return _UNLOCK
    reason = reason_of(wanted.results, began) or "the workflow stopped, for the reason above"
    return f"{reason}{declared(reason, wanted.place) if wanted.place else ''}{going_on(reason)}"


def _say_what(wanted: Asked, call: Call) -> None:
    """One line on what is evaluated, and where its config is."""
    plan = wanted.plan
    norms = ", ".join(plan.norms)
    sys.stderr.write(
        f"{', '.join(plan.models)} on {plan.config['n_samples']} images of {plan.dataset.name}, in {norms}; "
        f"config: {call.config}\n"
    )


def _show(results: Path) -> None:
    from absynth.cli.summary import summary  # pandas and scipy: only once something is done

    sys.stdout.write("\n" + summary(results))
