"""A user's own code runs without changing what the rest of a process depends on, and without ending it."""

import logging
import os
import sys

import numpy as np
import pytest
import torch

from absynth.errors import InputError
from absynth.models.building import ModelFiles
from absynth.models.custom import build_custom
from absynth.models.weights import save_weights

SOURCE = """
import os, sys
import numpy as np
import torch
from torch import nn

{imported}

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(784, 10)
        {made}

    def forward(self, x):
        return self.dense(x.flatten(1))
"""

SETTINGS = {
    "os.chdir('/')": "the working directory to / ",
    "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')": "the working directory to a folder that is gone",
    "torch.set_grad_enabled(False)": "torch's grad mode to False",
    "torch.set_default_dtype(torch.float64)": "torch's default dtype to torch.float64",
    "torch.set_num_threads(7)": "torch's number of threads to 7",
    "torch.use_deterministic_algorithms(True)": "torch's deterministic algorithms to True",
    "torch.set_float32_matmul_precision('medium')": "torch's precision of matrix products to medium",
    "torch.autograd.set_detect_anomaly(True)": "torch's anomaly detection to True",
    "np.seterr(all='raise')": "numpy's treatment of floating-point errors to",
}


def settings() -> list:
    return [
        os.getcwd(), torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_default_device(),
        torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), np.geterr(),
        torch.get_float32_matmul_precision(), torch.is_anomaly_enabled(),
    ]  # fmt: skip


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Write the user's module, with lines of its import and its constructor, and build its model from weights
    that a relative path names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    save_weights("net.pt", torch.nn.ModuleDict({"dense": torch.nn.Linear(784, 10)}))
    names = iter(f"odd_model_{i}" for i in range(9))

    def build(imported="", made="", again=False):
        name = f"{tmp_path.name}_{'again' if again else next(names)}"
        (tmp_path / f"{name}.py").write_text(SOURCE.format(imported=imported, made=made))
        return build_custom(ModelFiles(), weights="net.pt", name="mine", **{"class": f"{name}.Net"})

    return build


@pytest.mark.parametrize("place", ["imported", "made"])
@pytest.mark.parametrize(("line", "message"), SETTINGS.items(), ids=[line[:30] for line in SETTINGS])
def test_what_a_users_code_sets_for_the_process_is_put_back_and_named(
    build, caplog, monkeypatch, place, line, message
):
    monkeypatch.setattr(logging.getLogger("absynth"), "propagate", True)
    before = settings()
    x = torch.rand(2, 1, 28, 28, requires_grad=True)
    build(**{place: line})(x).sum().backward()
    assert x.grad.abs().sum() > 0
    assert settings() == before
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.startswith("mine (")
    assert f"its code sets {message}" in said


@pytest.mark.parametrize("place", ["imported", "made"])
def test_a_default_device_is_put_back(build, place):
    line = "torch.set_default_device('meta')"
    line += "; self.dense = nn.Linear(784, 10)" if place == "made" else ""
    with pytest.raises(
        InputError, match=r"'dense\.weight': the model's own lies on the device meta.*; make it on the CPU"
    ):
        build(**{place: line})
    assert torch.get_default_device() == torch.device("cpu")
    assert torch.zeros(1).device == torch.device("cpu")


def test_sound_code_is_not_warned_of(build, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("absynth"), "propagate", True)
    build(imported="sys.path.append('.'); torch.manual_seed(0); np.random.seed(0)")
    assert not caplog.records


def test_a_class_that_is_made_twice_is_made_under_the_same_settings(build):
    line = "torch.set_default_dtype(torch.float64)"
    models = [build(imported=line, again=True) for _ in range(2)]
    assert [model.model.dense.weight.dtype for model in models] == [torch.float64] * 2
    assert torch.get_default_dtype() == torch.float32


def test_inference_mode_for_good_is_refused(build):
    mode = []
    sys.modules["kept_mode"] = type(sys)("kept_mode")
    sys.modules["kept_mode"].mode = mode
    line = "import kept_mode; kept_mode.mode.append(torch.inference_mode()); kept_mode.mode[0].__enter__()"
    try:
        with pytest.raises(InputError, match=r"^mine \(.*\): its code enters torch.inference_mode for good"):
            build(imported=line)
    finally:
        mode[0].__exit__(None, None, None)
        del sys.modules["kept_mode"]


ENDS = ["sys.exit(0)", "raise SystemExit", "sys.exit('usage:\\n  train')", "raise BaseException('stop')",
        "import argparse; argparse.ArgumentParser().parse_args(['--nonsense'])", "raise GeneratorExit"]  # fmt: skip


@pytest.mark.parametrize("line", ENDS)
@pytest.mark.parametrize(
    ("place", "message"), [("imported", "cannot be imported"), ("made", "cannot be made with")]
)
def test_code_that_ends_the_process_is_a_failure_in_one_line(build, place, line, message):
    with pytest.raises(InputError, match=rf"^[^\n]*: {message}[^\n]*(Exit|BaseException)[^\n]*$"):
        build(**{place: line})


@pytest.mark.parametrize("place", ["imported", "made"])
def test_an_interrupt_ends_all(build, place):
    with pytest.raises(KeyboardInterrupt):
        build(**{place: "raise KeyboardInterrupt"})
