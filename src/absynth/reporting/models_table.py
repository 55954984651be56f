"""The table of the models: calibration constants, clean accuracies and warnings of their probes."""

from collections.abc import Sequence
from pathlib import Path

from absynth.io.atomic import read_json, write_csv
from absynth.models.calibration_file import read_calibration

CALIBRATED = ("alpha", "eta", "median_confidence", "accuracy", "n", "test_accuracy", "n_test")
COLUMNS = ("model", *CALIBRATED, "probe")


def write_models_table(
    *,
    calibrations: Sequence[str | Path],
    probes: Sequence[str | Path],
    table: str | Path,
) -> None:
    """Write one row per model: constants and accuracy on the calibration split, accuracy on test images.

    probe: the warnings of its probe, empty if there are none
    """
    warnings = {}
    for path in probes:
        content = read_json(path, "no such file; the rule probe_model makes it")
        warnings[content["model"]] = "; ".join(content["warnings"])
    rows = [{**read_calibration(path, *CALIBRATED), "model": Path(path).parent.name} for path in calibrations]
    write_csv(table, [row | {"probe": warnings[row["model"]]} for row in rows], COLUMNS)
