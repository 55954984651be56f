"""Write the results pages of two finished runs: tables beside the paper's numbers.

python docs/results/make_results.py
python docs/results/make_results.py --trained results/mnist-small --folder /elsewhere

A run with the weights that ship has a page for each table, one with the weights that the paper's authors released a
single page. Measured numbers come from the runs' tables/, distances/, bounds/ and calibrations, as keep_run.py keeps
them; the paper's from resources/paper/ (Table 1, A.5 and section 7, as cited there); reasons for differences from
docs/results/notes/, other words from docs/results/templates/.
"""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import results_sections
from absynth.errors import InputError
from absynth.io.atomic import write_text
from absynth.io.log import LOGGER
from results_cells import Comparison, Places
from results_data import Paper, Run
from results_notes import Notes
from results_words import Words, template

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
KEPT = ROOT / "resources" / "results"
PAPER = ROOT / "resources" / "paper"
NOTES = FOLDER / "notes"
TRAINED, RELEASED = "mnist-small", "mnist-small-published"  # runs, and their files of notes
PAGES = {
    TRAINED: (
        "index",
        "table1",
        "differences",
        "best-adversarials",
        "bounds",
        "calibration",
        "distal",
        "cost",
    ),
    RELEASED: ("released-weights",),
}
PLACES = {TRAINED: Places(notes="table1.md", questions="index.md"), RELEASED: Places()}
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
        results_sections.costs,
        results_sections.stages,
        results_sections.orderings,
    )
}


def main(runs: Mapping[str, Path], folder: Path, notes: Path = NOTES) -> None:
    """Write the pages; warns of notes that match no difference.

    runs: the folders of `TRAINED` and `RELEASED`
    notes: the folder with a file of notes for each

    Raises InputError if a table is missing or damaged.
    """
    paper = Paper(PAPER)
    compared = {
        name: Comparison(Run(run), paper, Notes.read(notes / f"{name}.yaml"), PLACES[name])
        for name, run in runs.items()
    }
    for name, text in pages(compared).items():
        write_text(folder / f"{name}.md", text)
    for name, of in compared.items():
        for pattern in of.unused:
            LOGGER.warning("%s.yaml: %s matches no difference", notes / name, pattern)


def pages(compared: Mapping[str, Comparison]) -> dict[str, str]:
    """The text of each page by its name; the words of either run may ask for numbers of the other."""
    plain = {name: Words(of) for name, of in compared.items()}
    found = {}
    for name, other in ((TRAINED, RELEASED), (RELEASED, TRAINED)):
        of = compared[name]
        words = Words(of, plain[other])
        tables = {title: partial(table, of) for title, table in TABLES.items()}
        for page in PAGES[name]:
            found[page] = template(page).render(of=words, table=tables)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--trained", type=Path, default=KEPT / TRAINED, help="default: resources/results/mnist-small"
    )
    parser.add_argument(
        "--released",
        type=Path,
        default=KEPT / RELEASED,
        help="default: resources/results/mnist-small-published",
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the pages (default: docs/results)")
    arguments = parser.parse_args()
    try:
        main({TRAINED: arguments.trained, RELEASED: arguments.released}, arguments.folder)
    except InputError as error:
        parser.error(str(error))
