"""Weights that a config names and that are not there."""

import pytest
from configs import plan

from absynth.errors import InputError
from absynth.workflow.paths import check_there


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"models": {"mine": {"class": "net.Net", "weights": "gone.pt"}}},
            r"models\.mine\.weights: gone\.pt is no file",
        ),
        ({"models": {"mine": {"program": "gone.pt"}}}, r"models\.mine\.program: gone\.pt is no file"),
        (
            {"models": {"cnn": {"trained_weights": "gone"}}},
            r"models\.cnn\.trained_weights: gone is no folder",
        ),
        ({"trained_weights": "gone"}, r"key trained_weights: gone is no folder"),
        ({"published_weights": "gone"}, r"key published_weights: gone is no folder"),
    ],
)
def test_weights_that_are_not_there_are_named_with_their_key(tmp_path, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    config = plan(**changes).config
    with pytest.raises(InputError, match=message):
        check_there(config)
    (tmp_path / "gone.pt").touch()
    (tmp_path / "gone").mkdir()
    check_there(config)
