"""The entry of the command `absynth`: which command it is, and how errors end."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from absynth import __version__
from absynth.cli import compare, evaluate, plan, show
from absynth.cli.others import split
from absynth.errors import InputError
from absynth.workflow.environment import escape_on_streams, share_working_directory

_COMMANDS = {"evaluate": evaluate, "plan": plan, "show": show, "compare": compare}
_WITH_SNAKEMAKE = ("evaluate", "plan")
BAD_INPUT, INTERRUPTED = 2, 130  # exit codes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command of `arguments` (default: those of the process) and return its exit code.

    0: done; 1: the workflow stopped; 2: what was asked for cannot be, said in one line; 130: interrupted
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    share_working_directory()  # where a user's own modules are
    escape_on_streams()
    command = words[0] if words and words[0] in _COMMANDS else ""
    try:
        return _run(command, words)
    except InputError as error:
        sys.stderr.write(f"{f'absynth {command}'.strip()}: {error}\n")
        return BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write(f"\nabsynth {command}: interrupted; the same command goes on from here\n")
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(command: str, words: Sequence[str]) -> int:
    parser, parsers = _parsers()
    others: list[str] = []
    if command in _WITH_SNAKEMAKE:
        ours, others = split(words[1:], parsers[command]._option_string_actions)
        words = [command, *ours]
    options = parser.parse_args(words)
    options.others = others
    return _COMMANDS[options.command].run(options)


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are bad input like any other: one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message.removeprefix('argument ')}; see {self.prog} --help")


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser of the whole command line, and those of the commands."""
    parser = _Parser(
        prog="absynth",
        description="How robust is an image classifier? `absynth COMMAND --help` explains each command.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"absynth {__version__}")
    added = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    parsers: dict[str, argparse.ArgumentParser] = {}
    for name, command in _COMMANDS.items():
        parsers[name] = added.add_parser(
            name, help=command.HELP, description=command.__doc__, allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        command.add_arguments(parsers[name])
    return parser, parsers
