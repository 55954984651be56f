"""A user's own classifier."""

import pytest
import torch

from absynth.errors import InputError
from absynth.models.building import ModelFiles, resolve
from absynth.models.custom import build_custom
from absynth.models.weights import save_weights

SOURCE = """
from torch import nn

class Net(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.dense = nn.Linear(784, classes)

    def forward(self, x):
        return self.dense(x.flatten(1))
"""


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """The weights of a class in a module of the user's folder."""
    (tmp_path / "users_model.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    save_weights(tmp_path / "net.pt", resolve("users_model.Net")())
    return tmp_path / "net.pt"


@pytest.mark.parametrize("name", ["users_model.Net", "users_model:Net"])
def test_class_is_built_and_its_weights_are_loaded(weights, name):
    model = build_custom(ModelFiles(), weights=str(weights), arguments={"classes": 10}, **{"class": name})
    state = torch.load(weights, weights_only=True)
    x = torch.rand(3, 1, 28, 28, requires_grad=True)
    expected = torch.nn.functional.linear(x.flatten(1), state["dense.weight"], state["dense.bias"])
    torch.testing.assert_close(model(x), expected)
    model(x).sum().backward()
    assert x.grad.abs().sum() > 0
    with pytest.raises(InputError, match=r"allowed is \[0, 1\]"):
        model(x.detach() - 1)


def test_arguments_reach_the_class(weights):
    with pytest.raises(
        InputError, match=r"net\.pt: 'dense\.weight' has shape \(10, 784\), expected \(3, 784\)"
    ):
        build_custom(
            ModelFiles(), weights=str(weights), arguments={"classes": 3}, **{"class": "users_model.Net"}
        )


def test_arguments_that_the_class_does_not_take_are_named(weights):
    with pytest.raises(InputError, match=r"users_model\.Net.*'width'"):
        build_custom(
            ModelFiles(), weights=str(weights), arguments={"width": 3}, **{"class": "users_model.Net"}
        )


def test_logits_of_the_wrong_shape_are_named(weights):
    save_weights(weights, resolve("users_model.Net")(3))
    model = build_custom(
        ModelFiles(), weights=str(weights), arguments={"classes": 3}, **{"class": "users_model.Net"}
    )
    with pytest.raises(InputError, match=r"users_model\.Net returns \(2, 3\), expected logits \(2, 10\)"):
        model(torch.rand(2, 1, 28, 28))


@pytest.mark.parametrize("name", ["no_such_module.Net", "users_model.Nett", "Net", "users_model:"])
def test_class_that_is_not_there_is_named(weights, name):
    with pytest.raises(InputError, match=rf"^{name}: cannot be imported \("):
        build_custom(ModelFiles(), weights=str(weights), **{"class": name})


def test_missing_weights_are_named(weights):
    with pytest.raises(InputError, match=r"other\.pt: no such weights file"):
        build_custom(ModelFiles(), weights=str(weights.with_name("other.pt")), **{"class": "users_model.Net"})
