"""The options of a command line that absynth does not know, which go to Snakemake."""

import argparse
import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from absynth.errors import InputError

_PLACE = "the workflow is that of this project, and results go to the folder that absynth is called from"
_OWN_FILE = "the file is named by absynth's own --config"
_OURS = {"--snakefile": _PLACE, "-s": _PLACE, "--directory": _PLACE, "-d": _PLACE, "--configfile": _OWN_FILE,
         "--configfiles": _OWN_FILE, "-C": _OWN_FILE}  # fmt: skip
_DRY_RUN = {"-n", "--dry-run", "--dryrun"}
_TELLING = ("--quiet", "-q", "--logger", "--log-handler-script")  # what a dry run tells
# Options with which Snakemake runs no job of an evaluation, but says or prepares something.
_PREPARING = {
    *_DRY_RUN,
    *(
        "-h",
        "--help",
        "-v",
        "--version",
        "--unlock",
        "--lint",
        "-t",
        "--touch",
    ),
    *("-l", "--list", "--list-rules", "--list-target-rules", "--list-changes", "--list-input-changes"),
    *(
        "--dag",
        "--rulegraph",
        "--filegraph",
        "--d3dag",
        "-S",
        "--summary",
        "-D",
        "--detailed-summary",
        "--report",
    ),
    *("--cleanup-metadata", "--cleanup-shadow", "--delete-all-output", "--delete-temp-output", "--archive"),
    *("--conda-cleanup-envs", "--conda-create-envs-only", "--conda-list-envs", "--list-conda-envs"),
    *("--containerize", "--export-cwl", "--generate-unit-tests", "--print-compilation"),
}


def split(words: Sequence[str], known: Iterable[str]) -> tuple[list[str], list[str]]:
    """The words of a command line that are absynth's, and those that are Snakemake's: its options and their values.

    known: absynth's options
    Short options that are joined, with their value (-c4) or with others (-np), come apart.
    Raises InputError for an option that neither knows, and for one of Snakemake's that absynth sets itself.
    """
    own = set(known)
    ours, others = list[str](), list[str]()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name = word.partition("=")[0]
        if not _is_option(word) or name in own:
            ours.append(word)
            continue
        if name in _OURS:
            raise InputError(f"{name}: {_OURS[name]}; leave it out")
        theirs = {} if word[:2] in own else _snakemakes()
        if name not in theirs and word[:2] in {*own, *theirs, *_OURS} and not word.startswith("--"):
            flag = word[:2] in theirs and theirs[word[:2]].nargs == 0
            rest[:0] = [word[:2], f"-{word[2:]}" if flag else word[2:]]
            continue
        if name not in theirs:
            raise InputError(f"{name}: unknown to absynth and to Snakemake{_meant(name, [*own, *theirs])}")
        others.append(word)
        if "=" not in word:
            count = _values(theirs[name].nargs, rest)
            others += rest[:count]
            rest = rest[count:]
    return ours, others


def runs(others: Sequence[str]) -> bool:
    """Whether Snakemake runs jobs with these options, rather than say something."""
    return not _PREPARING & {word.partition("=")[0] for word in others}


def check_plan(others: Sequence[str]) -> None:
    """Raise InputError for an option with which Snakemake's dry run does not list its jobs, as a plan takes them."""
    refused = (_PREPARING | set(_TELLING)) - _DRY_RUN
    for word in others:
        name = word.partition("=")[0]
        if name in refused:
            raise InputError(f"{name}: changes what Snakemake says, which a plan is made from; leave it out")


def sets(others: Sequence[str], *names: str) -> bool:
    """Whether one of the options `names` is among them."""
    return any(word.partition("=")[0] in names for word in others)


def _is_option(word: str) -> bool:
    return word.startswith("-") and len(word) > 1 and not word[1].isdigit()


def _values(nargs: Any, rest: Sequence[str]) -> int:
    """How many of the words that follow an option are its values."""
    end = next((place for place, word in enumerate(rest) if _is_option(word)), len(rest))
    if nargs in ("*", "+", argparse.REMAINDER):
        return end
    if nargs == "?":
        return min(1, end)
    return min(1 if nargs is None else int(nargs), end)


def _snakemakes() -> dict[str, Any]:
    """Snakemake's options, by their spellings; costs a second, so only where a command line has any."""
    from snakemake.cli import get_argument_parser

    return get_argument_parser()._option_string_actions


def _meant(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
