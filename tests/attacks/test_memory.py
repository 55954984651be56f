"""Memory that was freed goes back to the system, where it can."""

import ctypes

from absynth.attacks import memory


def test_freed_memory_is_released(monkeypatch):
    calls = []
    monkeypatch.setattr(memory, "_trim", lambda: calls.append)
    memory.release()
    assert calls == [0]


def test_other_c_libraries_keep_it(monkeypatch):
    memory._trim.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    memory.release()
    assert memory._trim() is None
    memory._trim.cache_clear()
