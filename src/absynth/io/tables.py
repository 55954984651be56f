"""CSV tables of a run as data frames."""

import os

import pandas as pd

from absynth.errors import InputError
from absynth.io.opening import MADE, opening


def read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a CSV file that a rule wrote. Raises InputError if it is damaged or cannot be opened."""
    try:
        with opening(path):
            return pd.read_csv(path)
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not valid CSV ({reason}); {MADE}") from None
