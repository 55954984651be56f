"""The surroundings of the processes of a run: where they find Python modules, and what their streams can show."""

import io
import os
import shlex
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path

from absynth.errors import InputError

JOBS_PER_GPU = "ABSYNTH_JOBS_PER_GPU"  # the variable that says how many jobs may share a GPU, 1 by default
COMMAND = "ABSYNTH_COMMAND"  # the variable that tells jobs what the workflow was started with

# What jobs import from outside this project.
_PACKAGES = (
    *(
        "foolbox",
        "h5py",
        "matplotlib",
        "numba",
        "numpy",
        "pandas",
        "safetensors",
        "scipy",
        "sklearn",
    ),
    *("torch", "tqdm"),
)


def share_library(library: str | Path) -> None:
    """Let the jobs of this process find `library` before all that is installed, whatever environment they run in.

    Jobs on a cluster run a Snakemake of their own, which does so again.
    """
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    others = [entry for entry in known if entry and entry != str(library)]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(library), *others])


def share_command(arguments: Sequence[str]) -> None:
    """Let the jobs of this process know the command that it was started with; `arguments`: its `sys.argv`."""
    os.environ[COMMAND] = shlex.join(["snakemake", *arguments[1:]])


def share_working_directory() -> None:
    """Let this process and its jobs find modules in the working directory, after all others.

    `python -m snakemake` looks there first, so that a file torch.py there would stand in for torch.
    Snakemake hands the folders of its `sys.path`, that of the Snakefile among them, to its jobs.
    """
    here = str(Path.cwd())
    sys.path[:] = [*(entry for entry in sys.path if entry not in ("", here)), here]


def check_hidden() -> None:
    """Refuse a PYTHONPATH in which a user's own file stands before an installed package of the same name.

    Raises InputError, naming the file. A folder that holds installed packages itself may do so.
    """
    for entry in filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)):
        others = [other for other in sys.path if other not in ("", entry)]
        if any(Path(entry).glob("*.dist-info")):
            continue
        for name in _PACKAGES:
            files = (Path(entry, f"{name}.py"), Path(entry, name, "__init__.py"))
            found = next((file for file in files if file.is_file()), None)
            if found and PathFinder.find_spec(name, others):
                raise InputError(
                    f"PYTHONPATH: {found} hides the installed {name}; rename it, or leave {entry} out of PYTHONPATH"
                )


def jobs_per_gpu() -> int:
    """How many jobs may share a GPU, by the variable ABSYNTH_JOBS_PER_GPU; 1 without it."""
    given = os.environ.get(JOBS_PER_GPU, "1")
    if not (given.isdecimal() and int(given) > 0):
        raise InputError(
            f"{JOBS_PER_GPU}: found {given!r}, allowed is how many jobs may share a GPU, 1 or more"
        )
    return int(given)


def escape_on_streams() -> None:
    """Let stdout and stderr escape what their encoding lacks, such as ε in ASCII, in place of a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
