"""Write the results pages of a finished run: its tables beside the paper's numbers, one page for each.

python docs/results/make_results.py
python docs/results/make_results.py results/mnist-small --folder /elsewhere

Measured numbers come from the run's tables/, distances/, bounds/ and calibrations, as keep_run.py keeps them; the
paper's from resources/paper/ (Table 1, A.5 and section 7, as cited there); reasons for differences from
docs/results/notes.yaml, other words from docs/results/templates/.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import results_sections
from absynth.errors import InputError
from absynth.io.atomic import write_text
from absynth.io.log import LOGGER
from results_cells import Comparison
from results_data import Paper, Run
from results_notes import Notes
from results_words import Words, template

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
KEPT = ROOT / "resources" / "results" / "mnist-small"
PAPER = ROOT / "resources" / "paper"
NOTES = FOLDER / "notes.yaml"
PAGES = ("index", "table1", "differences", "best-adversarials", "bounds", "calibration", "distal")
TABLES: dict[str, Callable[..., str]] = {
    table.__name__: table
    for table in (
        results_sections.made,
        results_sections.table1,
        results_sections.differences,
        results_sections.finders,
        results_sections.bracket,
        results_sections.tightness,
        results_sections.bounds,
        results_sections.calibration,
        results_sections.gammas,
        results_sections.distal,
        results_sections.orderings,
    )
}


def main(run: Path, folder: Path, notes: Path = NOTES) -> None:
    """Write the pages; warns of notes that match no difference.

    Raises InputError if a table is missing or damaged.
    """
    of = Comparison(Run(run), Paper(PAPER), Notes.read(notes))
    for name, text in pages(of).items():
        write_text(folder / f"{name}.md", text)
    for pattern in of.unused:
        LOGGER.warning("%s: %s matches no difference", notes, pattern)


def pages(of: Comparison) -> dict[str, str]:
    """The text of each page by its name."""
    tables = {name: partial(table, of) for name, table in TABLES.items()}
    words = Words(of)
    return {name: template(name).render(of=words, table=tables) for name in PAGES}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "run", nargs="?", type=Path, default=KEPT, help="default: resources/results/mnist-small"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the pages (default: docs/results)")
    arguments = parser.parse_args()
    try:
        main(arguments.run, arguments.folder)
    except InputError as error:
        parser.error(str(error))
