"""Keep the numbers of a finished run, without its images, so that its pages and figures can be made again.

python docs/results/keep_run.py results/mnist-bracket

Writes resources/results/{run}/, a folder that make_results.py and draw_kept.py take in place of the run's own: its
tables, the distance of every attack's adversarial of every image (distances/{model}/{norm}.csv), the lower bounds of
every image (bounds/{model}/{norm}.csv), and calibrations.
Files beyond a few kilobytes are compressed. The same run gives the same bytes.
"""

import argparse
import gzip
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from absynth.errors import InputError
from absynth.io.atomic import write_bytes, write_text
from absynth.norms import NORMS
from results_data import Run
from run_settings import PATHS

PLACE = Path(__file__).parents[2] / "resources" / "results"
PLAIN = 8192  # bytes of a file that is not compressed


def main(run: Path, place: Path) -> Path:
    """Write the folder, in place of an older one, and return it; raises InputError if the run is not finished."""
    found = Run(run)
    kept = place / found.name
    names = dict.fromkeys((model, norm) for norm, _, model in found.cells if norm != "clean")
    tables = {(model, norm): distances(found, norm, model) for model, norm in names}
    shutil.rmtree(kept, ignore_errors=True)
    for path in sorted((run / "tables").glob("*.csv")):
        _write(kept / "tables" / path.name, path.read_bytes())
    for path in sorted(run.glob("models/*/calibration.json")):
        _copy(path, kept / path.relative_to(run))
    write_text(kept / "tables" / "provenance.json", _provenance(run, found.config))
    for path in sorted(path for path in run.glob("bounds/*/*.csv") if path.stem in NORMS):
        _write(kept / path.relative_to(run), path.read_bytes())
    for (model, norm), table in tables.items():
        _write(kept / "distances" / model / f"{norm}.csv", table.to_csv(index=False).encode())
    return kept


def distances(run: Run, norm: str, model: str) -> pd.DataFrame:
    """A row for each image and a column for each attack, of which `all` is the best: distances float64.

    Raises InputError if a record of the run is gone.
    """
    columns = {}
    for attack in (attack for n, attack, m in run.cells if (n, m) == (norm, model)):
        columns[attack] = run.distances((norm, attack, model))
        if columns[attack] is None:
            raise InputError(
                f"{run.folder}: lacks records of {attack} on {model} in {norm}; make the run whole"
            )
    return pd.DataFrame(columns)


def _provenance(run: Path, config: Mapping[str, Any]) -> str:
    """The run's provenance, DIR in place of folders that other machines do not have."""
    text = (run / "tables" / "provenance.json").read_text(encoding="utf-8")
    for place in (config.get(key) for key in PATHS):
        if place and Path(place).is_absolute():
            text = text.replace(place, "DIR")
    return text


def _copy(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, to)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if len(content) > PLAIN:
        path, content = path.with_name(f"{path.name}.gz"), gzip.compress(content, mtime=0)
    write_bytes(path, content)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run, say results/mnist-bracket")
    arguments = parser.parse_args()
    try:
        main(arguments.run, PLACE)
    except InputError as error:
        parser.error(str(error))
