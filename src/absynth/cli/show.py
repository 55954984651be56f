"""Show what a run found: its table, what its checks found, and where its files are. Without a run: which there are.

absynth show RUN
"""

import argparse
import sys
from pathlib import Path

HELP = "show the table of a run, what its checks found, where its files are"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="its name, in results/, or its folder")


def run(options: argparse.Namespace) -> int:
    """Show; 0."""
    from absynth.cli.summary import run_folder, summary

    if options.run:
        sys.stdout.write(summary(run_folder(options.run)))
    else:
        runs = sorted(path.parent.name for path in Path("results").glob("*/data"))
        sys.stdout.write("\n".join(runs) + "\n" if runs else "no runs in results/ here\n")
    return 0
