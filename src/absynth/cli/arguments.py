"""The arguments that `absynth evaluate` and `absynth plan` share: a model, its data, and what is asked of it."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absynth.errors import InputError
from absynth.norms import NORMS
from absynth.workflow.config_files import parse_option

_LADDER = "quick, standard, strong"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of an evaluation to a command."""
    parser.add_argument("model", nargs="?", metavar="MODEL", help="my_models.py:Net or package.module:Net, class or "
                        "function; or a program of TorchScript or torch.export")  # fmt: skip
    parser.add_argument("weights", nargs="?", metavar="WEIGHTS",
                        help="state dict, .pt or .safetensors; none if the model comes with its weights")  # fmt: skip
    data = parser.add_argument_group("data")
    data.add_argument("--data", metavar="DATA", help="mnist, fashion_mnist, kmnist, qmnist, digits; my.npz, my.h5; a "
                      "folder with a folder of images for each class; my_data.py:function")  # fmt: skip
    data.add_argument("--keys", nargs=2, metavar=("IMAGES", "LABELS"),
                      help="arrays of an .npz or HDF5 file, if they cannot be told by their names")  # fmt: skip
    data.add_argument(
        "--data-args", nargs="+", default=[], metavar="KEY=VALUE", help="arguments of the function"
    )
    data.add_argument("--n-classes", type=_classes, metavar="K",
                      help="classes of data of your own, where the largest label does not tell")  # fmt: skip
    data.add_argument("--images", type=_count, metavar="N",
                      help="attack the first N test images; 100 for a new run")  # fmt: skip
    asked = parser.add_argument_group("evaluation")
    asked.add_argument("--norms", nargs="+", choices=list(NORMS), metavar="NORM",
                       help=f"{', '.join(NORMS)}; all for a new run")  # fmt: skip
    asked.add_argument("--epsilons", nargs="+", default=[], metavar="NORM=ε",
                       help="perturbation sizes at which accuracies are reported; pixels are in [0, 1]")  # fmt: skip
    asked.add_argument("--preset", nargs="+", default=[], metavar="NAME",
                       help=f"attacks: {_LADDER}, others, or names of attacks; standard for a new run")  # fmt: skip
    model = parser.add_argument_group("model")
    for name, what in (("--mean", "mean"), ("--std", "standard deviation")):
        model.add_argument(name, nargs="+", type=float, metavar="X",
                           help=f"{what} of pixels, of all or each channel, to normalise by")  # fmt: skip
    model.add_argument("--model-args", nargs="+", default=[], metavar="KEY=VALUE",
                       help="arguments of the class")  # fmt: skip
    model.add_argument("--model-keys", nargs="+", default=[], metavar="KEY=VALUE",
                       help="further keys of its config entry: label='My net' gradients=false …")  # fmt: skip
    model.add_argument(
        "--as", dest="model_name", metavar="NAME", help="its name in tables; that of the class"
    )
    run = parser.add_argument_group("run")
    run.add_argument(
        "--name", metavar="RUN", help="the run, in results/RUN/; a run that is there is added to"
    )
    run.add_argument("-c", "--cores", default=str(_cores()), metavar="N",
                     help="of this machine to use; all")  # fmt: skip
    run.add_argument("--config", nargs="+", default=[], metavar="FILE or KEY=VALUE",
                     help="a config in place of model and data; config keys that change it")  # fmt: skip


def mapping(entries: Sequence[str], option: str) -> dict[str, Any]:
    """The KEY=VALUE entries of an option; values as after Snakemake's `--config`.

    Raises InputError, naming the option, for an entry without `=` and a key given twice.
    """
    found: dict[str, Any] = {}
    for entry in entries:
        if not entry.partition("=")[0].isidentifier() or "=" not in entry:
            raise InputError(f"{option}: found {entry!r}, KEY=VALUE is allowed")
        key, value = parse_option(entry)
        if key in found:
            raise InputError(f"{option}: {key} is given twice")
        found[key] = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    return found


def config_entries(entries: Sequence[str]) -> tuple[str | None, list[str]]:
    """What `--config` names: a file, or None, and changes KEY=VALUE.

    Raises InputError for several files, and for one that is not there.
    """
    files = [entry for entry in entries if "=" not in entry]
    if len(files) > 1:
        raise InputError(f"--config: found the files {' and '.join(files)}, one is allowed")
    if files and not Path(files[0]).is_file():
        raise InputError(f"--config: {files[0]} is no file, and no KEY=VALUE")
    return (files[0] if files else None), [entry for entry in entries if "=" in entry]


def _cores() -> int:
    """The cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _count(text: str, least: int = 1, what: str = "images") -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"found {text!r}, a number of {what}, {least} or more, is allowed")
    return number


def _classes(text: str) -> int:
    return _count(text, 2, "classes")
