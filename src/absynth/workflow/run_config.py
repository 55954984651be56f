"""The config of a run, from the files and options that Snakemake was started with, in place of its own merge."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from absynth.errors import InputError
from absynth.workflow.config_files import check_command, merged_config

Config = dict[str, Any]


class Settings(Protocol):
    """What this reads of Snakemake's ConfigSettings: files and entries of `--configfile` and `--config`."""

    configfiles: Sequence[Path]
    config_args: Sequence[str]
    overwrite_config: Mapping[str, Any]
    replace_workflow_config: bool


class Workflow(Protocol):
    """What this reads of Snakemake's Workflow; `configfiles` are those of the settings, then those of Snakefiles."""

    configfiles: Sequence[str | Path]
    config_settings: Settings


def check_start(workflow: Any, arguments: Sequence[str]) -> None:
    """Refuse what would evaluate something else than the user of a workflow asked for; `arguments`: of the process.

    Raises InputError for an option of the config given twice or not handed on to jobs, and for a module's `prefix`.
    """
    check_command(arguments)
    if workflow.config_settings.replace_workflow_config:
        raise InputError(
            "--replace-workflow-config: Snakemake does not hand it on to jobs; leave it out and set to null "
            "what is to be left out"
        )
    paths = workflow.modifier.path_modifier
    if paths.prefix or paths.modifies_prefixes:
        raise InputError(
            "module absynth: `prefix` and `replace_prefix` are not taken; the config key run names the folder"
        )


def settle_config(config: Config, workflow: Workflow, *, module: bool) -> None:
    """Put into `config`, as Snakemake merged it, what its files and options say.

    module: whether another Snakefile uses this one as a module; it then hands over the whole config, a part of it,
        or one of its own making, which is left as it is
    Raises InputError for a file or an entry that is not sound, and where Snakemake's merge lost something that
    cannot be put back.
    """
    settings = workflow.config_settings
    given = list(settings.configfiles)
    of_snakefiles = list(workflow.configfiles[len(given) :])
    strict = merged_config([*of_snakefiles, *given], settings.config_args)
    if not module:
        _replace(config, strict)
        return
    merged = _as_snakemake_merges(of_snakefiles, settings)
    alone = of_snakefiles[-1:]  # of a module without `config:`, whose own file is the last
    own = _as_snakemake_merges(alone, settings), merged_config([*alone, *given], settings.config_args)
    for lenient, better in [(merged, strict), *_parts(merged, strict), own]:
        if config == lenient:
            _replace(config, better)
            return
    _refuse_losses(merged, strict, "")


def tell(notes: Sequence[str], workflow: Any) -> None:
    """Write lines for the user, once: not in the processes of jobs, which read the Snakefile again."""
    if workflow.is_main_process:
        for line in notes:
            sys.stderr.write(f"{line}\n")


def _as_snakemake_merges(files: Sequence[str | Path], settings: Settings) -> Config:
    from snakemake.common.configfile import load_configfile
    from snakemake.utils import update_config

    merged: Config = {}
    update_config(merged, settings.overwrite_config)
    for path in files:
        update_config(merged, load_configfile(path))
        update_config(merged, settings.overwrite_config)
    return merged


def _parts(merged: Config, strict: Config) -> Iterator[tuple[Config, Config]]:
    """The mappings at the top level of a config: as Snakemake merges them, and as they should be."""
    for key, part in merged.items():
        if isinstance(part, dict) and isinstance(strict.get(key), dict):
            yield part, strict[key]


def _replace(config: Config, other: Config) -> None:
    config.clear()
    config.update(other)


def _refuse_losses(merged: Any, strict: Any, path: str) -> None:
    """Raise InputError for the first key that Snakemake merged to anything but what the files and options say."""
    if isinstance(merged, dict) and isinstance(strict, dict):
        for key in strict:
            _refuse_losses(merged.get(key), strict[key], f"{path}.{key}" if path else key)
    elif merged != strict:
        raise InputError(
            f"config key {path}: found {merged!r}, but the config files and --config say {strict!r}, which "
            "Snakemake's merge loses; state it in one of them alone"
        )
