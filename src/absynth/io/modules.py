"""Import a user's own Python module, by its name or by its file."""

import importlib
import importlib.util
import os
import sys
import zlib
from pathlib import Path
from typing import Any


def is_file(named: str) -> bool:
    """Whether a module is named by its file, such as my_models.py."""
    return named.endswith(".py")


def split_named(named: str) -> tuple[str, str]:
    """The module, or its file, and the name within it, of "module.name", "module:name" or "file.py:name"."""
    module, _, name = named.rpartition(":")
    return (module, name) if is_file(module) else (f"{module}.{name}".lstrip(".").rpartition(".")[::2])


def load_module(named: str) -> Any:
    """The module of a file `….py`, whose folder it may import from, or by its name. A file is run once a process.

    Raises whatever its code raises, and ImportError if there is none.
    """
    if not is_file(named):
        return importlib.import_module(named)
    path = Path(os.path.expanduser(named)).resolve()
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    name = path.stem
    known = sys.modules.get(name)
    if known is not None:
        if getattr(known, "__file__", None) == str(path):
            return known
        name = f"{path.stem}_{zlib.crc32(os.fsencode(path)):08x}"  # another module has its name
        if name in sys.modules:
            return sys.modules[name]
    if not path.is_file():
        raise ImportError(f"{path} is no file")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look it up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
