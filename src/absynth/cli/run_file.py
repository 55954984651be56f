"""The config file of a run that `absynth evaluate` makes, results/RUN/config.yaml: written, and added to later."""

import argparse
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from absynth.cli.additions import dataset_of_run, models_of_run
from absynth.cli.arguments import mapping
from absynth.cli.data_argument import dataset_entry
from absynth.cli.workflow_process import workflow_folder
from absynth.errors import InputError
from absynth.io.atomic import write_text
from absynth.models.registry import EXPORTED, SCRIPTS
from absynth.norms import NORMS
from absynth.workflow.config import check, read_schema
from absynth.workflow.config_files import read_config
from absynth.workflow.presets import expand_presets

NAME = "config.yaml"
_HEADER = """\
# The config of this run, written by `absynth evaluate`, which adds to it when it is called for the run again.
# Every key is explained in docs/reference/config.md. After an edit: absynth evaluate --config {path}
"""
# Presets of which each has the attacks of the one before, with more steps.
_LADDER = ("quick", "standard", "strong")
_IMAGES, _PRESET = 100, "standard"  # of a new run
_OF_A_MODEL = {"model_name": "--as", "model_args": "--model-args", "model_keys": "--model-keys", "mean": "--mean",
               "std": "--std"}  # fmt: skip
_OF_DATA = {"keys": "--keys", "data_args": "--data-args"}
Config = dict[str, Any]


def run_path(name: str) -> Path:
    """Where the config of a run lies, relative to the working directory."""
    return Path("results", name, NAME)


def settled(options: argparse.Namespace) -> tuple[Path, Config]:
    """Where the config of the run that `options` ask for is to be, and the config: a new one, or one added to.

    options: those of `absynth.cli.arguments`; a run that is there needs neither model nor data
    Raises InputError for what is missing or contradicts the run that is there.
    """
    there = bool(options.name) and run_path(options.name).is_file()
    if not there and not (options.model and options.data):
        lacks = f"; there is no run {options.name} to go on with" if options.name else ""
        raise InputError(
            "a model and --data are needed: absynth evaluate my_models.py:Net weights.pt --data my.npz"
            + lacks
        )
    _check_whose(options)
    models = dict([model_entry(options)]) if options.model else {}
    dataset = None
    if options.data:
        dataset = dataset_entry(options.data, options.keys, mapping(options.data_args, "--data-args"))
    name = options.name or _run_name(next(iter(models)), dataset or "")
    path = run_path(name)
    if path.is_file():
        return path, added(path, _read_checked(path), options, models, dataset)
    if path.parent.is_dir():
        raise InputError(
            f"{path.parent}: a run without {NAME}, so not made by absynth evaluate; give yours another --name, or "
            "go on with that one by absynth evaluate --config FILE, the config that it was made from"
        )
    return path, added(path, {"run": name}, options, models, dataset)


def _read_checked(path: Path) -> Config:
    """The config of a run, which may have been edited. Raises InputError for what its schema does not allow."""
    config = read_config(path)
    schemas = workflow_folder() / "workflow" / "schemas"
    schema = {**read_schema(schemas, "config"), "required": []}  # the workflow's own config has the rest
    filled = deepcopy(config)
    try:
        if "attacks" in filled:
            expand_presets(filled, schemas)
        check(filled, schema)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return config


def added(
    path: Path,
    config: Config,
    options: argparse.Namespace,
    models: Mapping[str, Config],
    dataset: str | Config | None,
) -> Config:
    """The config of a run, in the file `path`, with what `options` ask for besides: models, images, norms, attacks.

    models, dataset: those that the call names, if any
    Raises InputError as `absynth.cli.additions`, for what contradicts the run.
    """
    config = {**config, "dataset": dataset_of_run(config, dataset, options.n_classes, path)}
    if options.images and not (path.parent / "data" / "test.h5").is_file():
        config.pop(
            "n_samples", None
        )  # of a call that took nothing from the data, perhaps since they have fewer
    return _completed(config, options, models_of_run(config, models, path))


def _check_whose(options: argparse.Namespace) -> None:
    """Refuse arguments that say more of a model, or of data, without naming it."""
    for named, arguments in (("model", _OF_A_MODEL), ("data", _OF_DATA)):
        given = [shown for key, shown in arguments.items() if getattr(options, key)]
        if given and not getattr(options, named):
            option = "--data" if named == "data" else "MODEL"
            raise InputError(f"{given[0]}: says more of {option}, which is missing; name that as well")


def write(path: Path, config: Config) -> None:
    """Write the config of a run, atomically."""
    body = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    write_text(path, _HEADER.format(path=path) + body)


def model_entry(options: argparse.Namespace) -> tuple[str, Config]:
    """The name of a model, and its entry in a config: a class or function with its weights, or a program.

    Raises InputError for what is neither, and for files that are not there.
    """
    entry: Config
    path, _, attribute = options.model.rpartition(":")
    if Path(options.model).suffix in (*SCRIPTS, *EXPORTED):
        if options.weights:
            raise InputError(
                f"{options.model} is a program, which has its weights; leave {options.weights} out"
            )
        entry = {"program": options.model}
        _check_file(options.model)
        attribute = re.sub(r"\W", "_", Path(options.model).stem)
    elif path and attribute.isidentifier():
        entry = {"class": options.model}
        if path.endswith(".py"):
            _check_file(path)
    else:
        raise InputError(
            f"found {options.model!r} for a model, allowed are my_models.py:Net, package.module:Net, and programs "
            f"({', '.join(SCRIPTS)} of TorchScript, {', '.join(EXPORTED)} of torch.export)"
        )
    if options.weights:
        _check_file(options.weights)
        entry["weights"] = options.weights
    arguments = mapping(options.model_args, "--model-args")
    if arguments:
        entry["arguments"] = arguments
    if (options.mean is None) != (options.std is None):
        given, lacks = ("--mean", "--std") if options.std is None else ("--std", "--mean")
        raise InputError(f"found {given} without {lacks}; images are normalised with both")
    if options.mean is not None:
        entry["preprocessing"] = {"mean": options.mean, "std": options.std}
    entry |= mapping(options.model_keys, "--model-keys")
    return options.model_name or attribute.lstrip("_") or attribute, entry


def _check_file(path: str) -> None:
    if not Path(path).expanduser().is_file():
        raise InputError(f"{path} is no file")


def _run_name(model: str, dataset: str | Config) -> str:
    """A name for the run of a model on a data set."""
    source = dataset if isinstance(dataset, str) else str(next(iter(dataset.values())))
    stem = source.rpartition(":")[2] if ":" in source else Path(source).stem
    return re.sub(r"[^A-Za-z0-9._-]", "_", f"{model}-{stem}").lstrip("._-")[:64]


def _completed(config: Config, options: argparse.Namespace, models: Mapping[str, Config]) -> Config:
    """The config with what `options` say laid over it."""
    images = max(config.get("n_samples", 0), options.images or 0) or _IMAGES
    norms = set(options.norms or ([] if "norms" in config else NORMS)) | set(config.get("norms", []))
    epsilons = epsilon_sizes(mapping(options.epsilons, "--epsilons"))
    changed = {
        "n_samples": images,
        "norms": [norm for norm in NORMS if norm in norms],
        "attacks": attacks(config.get("attacks", []), options.preset),
        "threads": config.get("threads", {"train": 1, "calibrate": 1, "attack": 1}),
        "models": {"only": True, **models},
    }
    if epsilons or "epsilons" in config:
        changed["epsilons"] = {**config.get("epsilons", {}), **epsilons}
    return {**config, **changed}


def attacks(known: Any, presets: Sequence[str]) -> Any:
    """The config's `attacks` with presets, or attacks, added.

    Of quick, standard and strong the strongest stays: it has the attacks of the others, with more steps.
    """
    if isinstance(known, Mapping):
        if "preset" not in known and presets:
            raise InputError("--preset: the run's config names its attacks one by one; add to them there")
        return {**known, "preset": attacks(known["preset"], presets)} if presets else dict(known)
    names = [*([known] if isinstance(known, str) else known), *presets] or [_PRESET]
    strongest = max((_LADDER.index(name) for name in names if name in _LADDER), default=-1)
    kept = [name for name in dict.fromkeys(names) if name not in _LADDER[: max(strongest, 0)]]
    return kept[0] if len(kept) == 1 else kept


def epsilon_sizes(entries: Mapping[str, Any]) -> dict[str, float]:
    """Epsilons by norm, of which each may be written as a fraction such as 8/255.

    Raises InputError for other norms, and for what is no positive number.
    """
    sizes = {}
    for norm, value in entries.items():
        numerator, _, denominator = str(value).partition("/")
        try:
            size = float(numerator) / float(denominator or 1)
        except (ValueError, ZeroDivisionError):
            size = 0.0
        if norm not in NORMS or not 0 < size < float("inf"):
            raise InputError(
                f"--epsilons: found {norm}={value}, allowed are positive numbers and fractions for {', '.join(NORMS)}"
            )
        sizes[norm] = size
    return sizes


def read(path: Path) -> Config:
    """The config that `write` wrote."""
    return read_config(path)
