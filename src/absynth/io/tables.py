"""CSV tables of a run as data frames."""

import os

import pandas as pd

from absynth.errors import InputError
from absynth.io.opening import MADE, opening

# Columns of names and words, as text whatever they spell: a model may be called nan, None or 007.
TEXT = ("model", "other_model", "norm", "attack", "bound", "side", "stage", "device", "probe")
_MISSING = ["", "nan"]  # in all other columns, as rules write it


def read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a CSV file that a rule wrote: the columns TEXT as text, "" where empty, all others as pandas reads them.

    Raises InputError if it is damaged or cannot be opened.
    """
    try:
        with opening(path):
            numbers = [column for column in pd.read_csv(path, nrows=0) if column not in TEXT]
            return pd.read_csv(
                path,
                dtype=dict.fromkeys(TEXT, str),
                keep_default_na=False,
                na_values=dict.fromkeys(numbers, _MISSING),
            )
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not valid CSV ({reason}); {MADE}") from None
