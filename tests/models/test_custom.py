"""A user's own classifier."""

import sys

import pytest
import torch
import users_models
from users_models import (
    IN_PLACE,
    NONFINITE,
    NONFINITE_GRADIENTS,
    WRONG_ANSWERS,
    Compiled,
    Double,
    Fails,
    Half,
    Plain,
    RanksInBatch,
    drawn,
    returning,
)

from absynth.data.format import PAPER
from absynth.errors import InputError
from absynth.models.base import predict_labels
from absynth.models.building import ModelFiles, resolve
from absynth.models.custom import Custom, build_custom
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
        ModelFiles(format=PAPER),
        weights=str(weights),
        arguments={"classes": 3},
        **{"class": "users_model.Net"},
    )
    with pytest.raises(
        InputError,
        match=r"users_model\.Net returns \(2, 3\), expected logits \(2, 10\), since the data set has 10 classes$",
    ):
        model(torch.rand(2, 1, 28, 28))


@pytest.mark.parametrize("name", ["no_such_module.Net", "users_model.Nett", "Net", "users_model:"])
def test_class_that_is_not_there_is_named(weights, name):
    with pytest.raises(InputError, match=rf"^{name}: cannot be imported \("):
        build_custom(ModelFiles(), weights=str(weights), **{"class": name})


def test_missing_weights_are_named(weights):
    with pytest.raises(InputError, match=r"other\.pt: no such weights file"):
        build_custom(ModelFiles(), weights=str(weights.with_name("other.pt")), **{"class": "users_model.Net"})


def guarded(model, **options) -> Custom:
    return Custom("mine (a.Net)", model, format=PAPER, **options).eval().requires_grad_(False)


@pytest.mark.parametrize(("in_place", "pure"), IN_PLACE, ids=lambda model: model.__name__)
def test_a_model_that_changes_its_input_in_place_changes_a_copy(in_place, pure):
    x, _ = drawn()
    before = x.clone()
    torch.testing.assert_close(guarded(in_place())(x), pure()(x.clone()))
    assert torch.equal(x, before)
    leaf = x.clone().requires_grad_()
    guarded(in_place())(leaf).square().sum().backward()
    twin = x.clone().requires_grad_()
    pure()(twin).square().sum().backward()
    torch.testing.assert_close(leaf.grad, twin.grad)
    assert torch.equal(leaf.detach(), before)


def test_an_answer_that_the_model_writes_over_later_is_kept():
    class Reuses(Plain):
        kept = torch.zeros(2, 10)

        def finish(self, logits, x):
            return self.kept.copy_(logits)

    model, (x, _) = guarded(Reuses()), drawn(4)
    with torch.no_grad():
        first, second = model(x[:2]), model(x[2:])
    torch.testing.assert_close(torch.cat([first, second]), Plain()(x).detach())


@pytest.mark.parametrize("name", WRONG_ANSWERS)
def test_an_answer_that_is_no_tensor_of_logits_is_named(name):
    change, message = WRONG_ANSWERS[name]
    with pytest.raises(InputError, match=rf"mine \(a\.Net\) {message}"):
        guarded(returning(change)())(drawn(2)[0])


@pytest.mark.parametrize("kind", NONFINITE)
def test_answers_that_are_not_finite_are_refused_or_neither_class(kind):
    x, y = drawn()
    x[7] = 1
    with pytest.raises(
        InputError, match=r"mine \(a\.Net\): its logits are not finite for 1 of 30 images; .*nonfinite"
    ):
        guarded(kind())(x)
    predicted = predict_labels(guarded(kind(), nonfinite=True), x)
    assert predicted[7] == -1
    predicted[7] = y[7]
    assert torch.equal(predicted, y)


@pytest.mark.parametrize("kind", NONFINITE_GRADIENTS)
def test_gradients_that_are_not_finite_are_refused_or_zero(kind):
    x, _ = drawn()
    x[7] = 0
    leaf = x.requires_grad_()
    with pytest.raises(
        InputError, match=r"mine \(a\.Net\): its gradients are not finite for \d+ of 30 images"
    ):
        guarded(kind())(leaf).sum().backward()
    guarded(kind(), nonfinite=True)(leaf).sum().backward()
    assert leaf.grad.isfinite().all()


@pytest.mark.parametrize("kind", [Plain, Double, Half])
def test_a_model_is_asked_in_its_own_dtype_and_answers_in_float32(kind):
    x, y = drawn()
    model = guarded(kind())
    assert model(x).dtype == torch.float32
    assert torch.equal(predict_labels(model, x), y)
    leaf = x.requires_grad_()
    model(leaf).sum().backward()
    assert leaf.grad.dtype == torch.float32
    assert leaf.grad.any()


def test_images_are_not_rounded_to_the_dtype_of_some_parameter():
    x, _ = drawn()
    assert torch.equal(guarded(users_models.MixedDtypes())(x), guarded(Plain())(x))


def test_logits_that_float32_cannot_tell_apart_keep_their_order_and_differences():
    x, y = drawn()
    module = users_models.FarFromZero()
    found = guarded(module)(x)
    assert torch.equal(found.argmax(dim=1), y)
    expected = module(x.double())
    spread = expected - expected.amax(dim=1, keepdim=True)
    torch.testing.assert_close(found, spread.float())
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(guarded(module)(leaf)[:, 3].sum(), leaf)
    torch.testing.assert_close(gradient[0].flatten(), 1e-3 * module.weight[3].float())


@pytest.mark.parametrize("threshold", [127, 0.0, -0.5, float("nan"), "0.5", (0.3, 0.6), torch.ones(2)])
def test_a_threshold_outside_of_the_pixels_is_refused(threshold):
    module = Plain()
    module.input_threshold = threshold
    with pytest.raises(
        InputError, match=r"mine \(a\.Net\): its input_threshold is .*; allowed is None or a number"
    ):
        guarded(module)


def test_a_threshold_that_is_a_method_is_refused():
    class Method(Plain):
        def input_threshold(self):
            return 0.5

    with pytest.raises(InputError, match="its input_threshold is <bound method"):
        guarded(Method())


@pytest.mark.parametrize("kind", [users_models.Threshold, users_models.ThresholdOfDouble])
def test_the_threshold_is_the_smallest_pixel_that_counts_as_one(kind):
    model = guarded(kind())
    at = torch.full((1, 1, 28, 28), model.input_threshold)
    below = torch.nextafter(at, torch.zeros(()))
    assert not torch.equal(model(at), model(below))
    assert torch.equal(model(at), model(torch.ones_like(at)))
    assert torch.equal(model(below), model(torch.zeros_like(at)))


def test_an_exit_in_a_users_code_is_a_failure():
    with pytest.raises(InputError, match=r"its forward pass fails \(SystemExit: 0, users_models"):
        guarded(users_models.Exits())(drawn(2)[0])


def test_logits_of_a_subclass_of_tensor_are_plain():
    class Named(torch.Tensor):
        pass

    class Answers(Plain):
        def finish(self, logits, x):
            return logits.as_subclass(Named)

    assert type(guarded(Answers())(drawn(2)[0])) is torch.Tensor


def test_no_images_have_no_logits():
    assert guarded(RanksInBatch())(torch.empty(0, 1, 28, 28)).shape == (0, 10)


def test_what_a_users_code_raises_is_one_line_with_its_place():
    with pytest.raises(
        InputError, match=r"mine \(a\.Net\): its forward pass fails \(KeyError: 'scale', users_models"
    ):
        guarded(Fails())(drawn(2)[0])


def test_a_model_with_gradients_of_its_own_works_in_inference_mode():
    class Relaxes(Plain):
        def prepare(self, x):
            with torch.enable_grad():
                inner = x.detach().requires_grad_()
                return x - 0.01 * torch.autograd.grad(inner.square().sum(), inner)[0]

    x, _ = drawn()
    with torch.inference_mode():
        found = guarded(Relaxes())(x)
    torch.testing.assert_close(found.clone(), guarded(Relaxes())(x))


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch's own, while it compiles
def test_a_compiled_part_gives_several_gradients_of_one_pass():
    model, (x, _) = guarded(Compiled()), drawn(2)
    leaf = x.requires_grad_()
    logits = model(leaf)
    for c in range(3):
        (gradient,) = torch.autograd.grad(logits[:, c].sum(), leaf, retain_graph=True)
        assert gradient.any()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "raise RuntimeError('no licence')",
            r"users_model\.Net: cannot be imported \(RuntimeError: no licence\)",
        ),
        ("undefined", r"users_model\.Net: cannot be imported \(NameError: "),
        ("1 / 0", r"users_model\.Net: cannot be imported \(ZeroDivisionError: "),
    ],
)
def test_a_module_that_fails_when_imported_is_named(tmp_path, monkeypatch, line, message):
    (tmp_path / "users_model.py").write_text(f"{line}\n{SOURCE}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "users_model", raising=False)
    with pytest.raises(InputError, match=message):
        build_custom(ModelFiles(), weights="net.pt", **{"class": "users_model.Net"})


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (
            "collections.OrderedDict",
            r"mine \(collections\.OrderedDict\): makes a OrderedDict, expected a torch\.nn",
        ),
        ("torch.eye", r"torch\.eye: cannot be made with arguments \{\}"),
        (
            "users_models.Unbuilt",
            r"mine \(users_models\.Unbuilt\): cannot be made with .*ValueError: no such width",
        ),
    ],
)
def test_a_class_that_makes_no_module_is_named(named, message):
    with pytest.raises(InputError, match=message):
        build_custom(ModelFiles(), weights="net.pt", name="mine", **{"class": named})
