"""Where the processes of a run find Python modules."""

import os
import sys
from pathlib import Path


def share_library(library: str | Path) -> None:
    """Let the jobs of this process find `library` before all that is installed, whatever environment they run in.

    Jobs on a cluster run a Snakemake of their own, which does so again.
    """
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    others = [entry for entry in known if entry and entry != str(library)]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(library), *others])


def share_working_directory() -> None:
    """Let this process and its jobs find modules in the working directory, after all others.

    Snakemake hands the folders of its `sys.path`, that of the Snakefile among them, to its jobs.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
