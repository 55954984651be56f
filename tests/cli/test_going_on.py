"""Whether the last line of a call that stopped says that the same command goes on."""

import logging
import sys

import pytest

from absynth.cli.going_on import GOES_ON, going_on
from absynth.errors import InputError
from absynth.io.log import start_log


@pytest.fixture
def told(tmp_path, monkeypatch):
    """The log of a job that ended by an error."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    handlers = logging.getLogger("absynth").handlers[:]

    def tell(error):
        path = tmp_path / "logs" / "probe_model" / "Net.log"
        start_log(path)
        sys.excepthook(type(error), error, None)
        return path

    yield tell
    logger = logging.getLogger("absynth")
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()
    logger.handlers[:] = handlers
    logger.propagate = True


@pytest.mark.parametrize(
    ("error", "message", "expected"),
    [
        (InputError("Net: its logits are not finite"), "Net: its logits are not finite", ""),
        (KeyboardInterrupt(), "interrupted", GOES_ON),
        (KeyError("gamma"), "KeyError: 'gamma'", GOES_ON),
    ],
)
def test_only_what_the_user_need_not_put_right_goes_on(told, error, message, expected):
    assert going_on(f"{message} ({told(error)})") == expected


def test_a_reason_without_a_log_goes_on(tmp_path):
    assert going_on("the workflow stopped, for the reason above") == GOES_ON
    assert going_on(f"run_attack failed ({tmp_path / 'gone.log'})") == GOES_ON
