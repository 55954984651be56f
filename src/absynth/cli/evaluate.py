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
from absynth.cli.going_on import going_on
from absynth.cli.workflow_process import Call

_ERROR = " ERROR "  # between the time and the message of a line in a log
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
        reason = reason_of(wanted.results, began) or "the workflow stopped, for the reason above"
        sys.stderr.write(f"absynth evaluate: {reason}{going_on(reason)}\n")
        return 1
    if call.runs:
        _show(wanted.results)
    return 0


def reason_of(results: Path, began: float) -> str | None:
    """Why a job failed, by the last error in the newest of the run's logs, and that log; None if none has any.

    began: logs that were last written before, in seconds since 1970, say nothing
    """
    logs = [path for path in (results / "logs").rglob("*.log") if path.stat().st_mtime >= began]
    for path in sorted(logs, key=lambda log: log.stat().st_mtime, reverse=True):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        errors = [line.partition(_ERROR)[2] for line in lines if _ERROR in line]
        if errors:
            return f"{errors[-1]} ({path})"
    return None


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
