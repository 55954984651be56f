"""Stand-ins of other libraries, for as long as a test takes."""

import sys
from types import ModuleType

import pytest
from foreign_libraries import CALLS, MODULES


@pytest.fixture
def stand_ins(monkeypatch):
    """The libraries as stand-ins; returns the list of the arguments that their attacks were given."""
    for name, members in MODULES.items():
        module = ModuleType(name)
        module.__path__ = []
        vars(module).update({member.__name__: member for member in members})
        monkeypatch.setitem(sys.modules, name, module)
    CALLS.clear()
    return CALLS
