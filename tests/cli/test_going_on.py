"""Whether the last line of a call that stopped says that the same command goes on."""

import logging
import sys
from pathlib import Path

import pytest

from absynth.cli.going_on import GOES_ON, declared, going_on
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


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (
            "probe: Net: no gradient; pass gradients on, or write gradients: false in its config entry (a.log)",
            "; the entry is in results/r/config.yaml, and --model-keys gradients=false after the model writes it",
        ),
        ("probe: Net: its logits are not finite (a.log)", ""),
    ],
)
def test_what_belongs_into_a_config_entry_is_said_as_an_argument(reason, expected):
    assert declared(reason, Path("results/r/config.yaml")) == expected
