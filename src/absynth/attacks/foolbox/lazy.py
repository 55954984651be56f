"""Foolbox's modules one by one.

`foolbox/__init__.py` imports all attacks, and with them numba, SciPy's image filters, requests and git, which costs
each of hundreds of jobs more than half a CPU second. They use a module or two.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Any


def import_lazily(name: str, elsewhere: Mapping[str, str]) -> None:
    """Let a package's modules be imported without running its own `__init__.py`.

    It runs as soon as anything else is asked of the package, such as `foolbox.attacks.FGSM`, and nothing differs from
    then on. A package that is imported already, or not installed, is left alone.

    elsewhere: names of the package that its modules ask for while they are imported, and the modules that define them
    """
    spec = None if name in sys.modules else find_spec(name)
    if spec is None or spec.loader is None:
        return
    package, loader = module_from_spec(spec), spec.loader

    def find(attribute: str) -> Any:
        if attribute in elsewhere and "__getattr__" in vars(package):
            return getattr(import_module(elsewhere[attribute]), attribute)
        if vars(package).pop("__getattr__", None) is None:
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        loader.exec_module(package)
        return getattr(package, attribute)

    vars(package)["__getattr__"] = find
    sys.modules[name] = package
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, package)
