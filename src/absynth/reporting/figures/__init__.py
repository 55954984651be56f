"""Figures: functions of tables and images that draw, compute no statistics, and return what they drew.

Matplotlib is imported here, apart from the settings of its user: an unknown MPLBACKEND ends its import, a file
`matplotlibrc` in the working directory or at home changes every figure, and a home folder that cannot be written to
gives warnings.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path


@contextmanager
def _apart() -> Iterator[None]:
    """An environment, and a working directory, without settings for matplotlib."""
    settings = {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull}
    if not _writable_home():
        settings["MPLCONFIGDIR"] = tempfile.mkdtemp(prefix="absynth-matplotlib-")
        atexit.register(shutil.rmtree, settings["MPLCONFIGDIR"], ignore_errors=True)
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        with chdir(Path(__file__).parent):
            yield
    finally:
        for name in settings:
            del os.environ[name]
            if name in before:
                os.environ[name] = before[name]


def _writable_home() -> bool:
    """Whether matplotlib finds folders for its settings and for its list of fonts."""
    own = os.environ.get("MPLCONFIGDIR")
    config, cache = (
        os.environ.get(f"XDG_{kind.upper()}_HOME") or f"~/.{kind}" for kind in ("config", "cache")
    )
    try:
        for folder in [own] if own else [f"{config}/matplotlib", f"{cache}/matplotlib"]:
            path = Path(folder).expanduser()
            path.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=path).close()
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
        return False
    return True


with _apart():
    import matplotlib.pyplot  # noqa: F401
