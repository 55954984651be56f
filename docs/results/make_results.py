"""Write docs/results/index.md, or another page: the tables of finished runs beside the paper's numbers.

python docs/results/make_results.py results/mnist-small
python docs/results/make_results.py results/mnist-small-published --output docs/results/released-weights.md
python docs/results/make_results.py resources/results/mnist-bracket --output docs/results/bracket.md

Measured numbers come from the runs' tables/ (whether a difference may be due to chance, from the distances of the
run's adversarials where those still exist), the paper's from resources/paper/ (Table 1, A.5 and section 7, as cited
there), prose from docs/results/notes.yaml.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from absynth.errors import InputError
from absynth.io.atomic import write_text
from absynth.io.log import LOGGER
from results_data import Notes, Paper, Run
from results_sections import RUN_BY_RUN, SECTIONS, TOGETHER

FOLDER = Path(__file__).parent
PAGE = FOLDER / "index.md"
PAPER = FOLDER.parents[1] / "resources" / "paper"


def main(folders: Sequence[Path], output: Path, notes_file: Path, paper_folder: Path = PAPER) -> None:
    """Write the page; warns of notes about these runs that match no difference."""
    found, paper = [Run(path) for path in folders], Paper(paper_folder)
    notes = Notes.read(notes_file, [*SECTIONS])
    lines = [*heading(found, output), ""]
    for key, (title, intro) in SECTIONS.items():
        lines += [f"## {title}", "", intro, ""]
        lines += [notes.sections[key].strip(), ""] if key in notes.sections else []
        if key in TOGETHER:
            lines += TOGETHER[key](found, paper, notes)
        else:
            lines += [line for run in found for line in RUN_BY_RUN[key](run, paper, notes)]
    write_text(output, "\n".join(lines).rstrip("\n") + "\n")
    for pattern in notes.unused(run.name for run in found):
        LOGGER.warning("%s: cells.%s matches no difference", notes_file, pattern)


def heading(found: Sequence[Run], output: Path) -> list[str]:
    """Title and origin of a page."""
    command = " ".join(["python docs/results/make_results.py", *(run.place for run in found)])
    if output.name != PAGE.name:
        command += f" --output docs/results/{output.name}"
    return [
        f"# Results: {', '.join(run.name for run in found)}",
        "",
        f"Written by `{command}`: edit the reasons and remarks in `docs/results/notes.yaml`, not this page. "
        "The paper's numbers are in `resources/paper/`.",
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "runs", nargs="+", type=Path, help="folders of finished runs, say results/mnist-small"
    )
    parser.add_argument("--output", type=Path, default=PAGE, help="the page (default: docs/results/index.md)")
    arguments = parser.parse_args()
    try:
        main(arguments.runs, arguments.output, FOLDER / "notes.yaml")
    except InputError as error:
        parser.error(str(error))
