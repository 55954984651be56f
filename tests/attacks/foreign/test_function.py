"""A user's own function as an attack: what it is given, what counts, and what is refused."""

import logging
import random
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from linear_models import N, draws, smallest, target_of, ten_class, two_class

from absynth.attacks.foreign.function import function_attack
from absynth.errors import InputError

STEP = """
import torch

def exact(model, x, y, epsilon, norm, generator):
    assert epsilon is None and norm == "l2"
    x = x.clone().requires_grad_()
    two = model(x).topk(2).values
    gap = two[:, 0] - two[:, 1]
    (gradient,) = torch.autograd.grad(gap.sum(), x)
    square = gradient.flatten(1).square().sum(dim=1)
    return (x - 1.001 * (gap / square).view(-1, 1, 1, 1) * gradient).detach()

def within(model, x, y, epsilon, norm, generator, *, sign=-1.0):
    x = x.clone().requires_grad_()
    logits = model(x)
    (gradient,) = torch.autograd.grad(logits.gather(1, y[:, None]).sum() - logits.sum() / 2, x)
    return (x + sign * epsilon * gradient.sign()).detach()

def forgetful(model, x, y, epsilon, norm, generator):
    model(exact(model, x, y, epsilon, norm, generator))
    return x

def noise(model, x, y, epsilon, norm, generator):
    return x + 8 * torch.randn(x.shape, generator=generator) + 0 * model(x).sum()

def globally(model, x, y, epsilon, norm, generator):
    import random, numpy
    model(x)
    return x + 8 * torch.randn(x.shape) + random.random() + numpy.random.rand()

def silent(model, x, y, epsilon, norm, generator):
    return 1 - x

def outside(model, x, y, epsilon, norm, generator):
    model(x)
    return 3 - 5 * x

def overwriting(model, x, y, epsilon, norm, generator):
    x.sub_(1).neg_()
    y.zero_()
    return x + 0 * model(x).sum()

def settings(model, x, y, epsilon, norm, generator):
    model(x)
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    return (1 - x).double()

def failing(model, x, y, epsilon, norm, generator):
    model(x)
    return x[:, 5]

def leaving(model, x, y, epsilon, norm, generator):
    raise SystemExit(3)

def short(model, x, y):
    return x

class Kind:
    pass

NUMBER = 3
"""
RETURNS = {
    "smaller": (
        "x[:, :, 1:]",
        r"returns a tensor \(5, 1, 27, 28\) of torch.float32, expected .*\(5, 1, 28, 28\)",
    ),
    "fewer": ("x[1:]", r"returns a tensor \(4, 1, 28, 28\)"),
    "bytes": ("(255 * x).byte()", r"of torch.uint8, expected images like x, .* of a floating dtype"),
    "pair": ("(x, y)", "returns a tuple, expected images like x"),
    "nothing": ("None", "returns a NoneType"),
    "array": ("x.numpy()", "returns a ndarray"),
    "nan": (
        "torch.where(torch.arange(5).view(-1, 1, 1, 1) < 2, torch.nan, x)",
        "NaN or infinite pixels for 2 of 5",
    ),
    "infinite": ("x / 0", "NaN or infinite pixels for 5 of 5"),
}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module `steps` of a user's with the functions above."""
    returns = "".join(
        f"\ndef {name}(model, x, y, epsilon, norm, generator):\n    model(x)\n    return {value}\n"
        for name, (value, _) in RETURNS.items()
    )
    (tmp_path / "steps.py").write_text(STEP + returns, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield "steps"
    sys.modules.pop("steps", None)


def run(name, norm="l2", model=None, seed=0, **options):
    target = target_of(model or two_class(), norm)
    function_attack(norm, function_path=f"steps:{name}", **options)(target, draws(seed))
    return target


def test_a_minimum_norm_function_finds_the_distance_to_the_hyperplane(module):
    target = run("exact")
    optimum = smallest(target.model, target.x, target.y, "l2")
    torch.testing.assert_close(target.best_distance, optimum, rtol=2e-3, atol=0)
    assert target.queries.tolist() == [2] * N
    assert target.gradients.tolist() == [1] * N


def test_a_function_within_epsilon_is_searched_for_the_smallest(module):
    target = run("within", "linf", fixed_epsilon=True, bisections=12)
    optimum = smallest(target.model, target.x, target.y, "linf")
    torch.testing.assert_close(target.best_distance, optimum, rtol=1e-2, atol=0)
    away = run("within", "linf", fixed_epsilon=True, bisections=2, arguments={"sign": 1.0})
    assert (away.best_distance > optimum * 1.5).all(), "the other way"


def test_a_function_is_named_by_its_file(tmp_path):
    (tmp_path / "steps_of_a_file.py").write_text(STEP, encoding="utf-8")
    target = target_of(two_class(), "l2")
    try:
        function_attack("l2", function_path=f"{tmp_path}/steps_of_a_file.py:exact")(target, draws())
    finally:
        sys.modules.pop("steps_of_a_file", None)
    optimum = smallest(target.model, target.x, target.y, "l2")
    torch.testing.assert_close(target.best_distance, optimum, rtol=2e-3, atol=0)


def test_the_best_of_all_queries_counts_whatever_is_returned(module):
    assert torch.equal(run("forgetful").best_distance, run("exact").best_distance)


@pytest.mark.parametrize("name", ["noise", "globally"])
def test_random_functions_repeat_themselves_and_leave_the_generators_alone(module, name):
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    first = run(name, model=ten_class())
    after = torch.rand(1), random.random(), np.random.rand()
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    assert (torch.rand(1), random.random(), np.random.rand()) == after
    assert first.best_distance.isfinite().any()
    assert torch.equal(run(name, model=ten_class()).best, first.best)
    assert not torch.equal(run(name, model=ten_class(), seed=1).best, first.best)


def test_pixels_outside_of_the_box_are_clipped_with_a_warning(module, caplog):
    logging.getLogger("absynth").propagate = True
    target = run("outside")
    assert target.best.min() >= 0
    assert target.best.max() <= 1
    assert "steps:outside: returns pixels outside of [0, 1], by up to" in caplog.text
    assert f" of {N} images; clipped" in caplog.text


def test_a_function_may_overwrite_what_it_is_given(module):
    target = run("overwriting")
    clean = target_of(two_class(), "l2")
    assert torch.equal(target.x, clean.x)
    assert torch.equal(target.y, clean.y)
    assert target.best_distance.isfinite().all()


def test_what_a_function_sets_for_the_process_is_put_back(module, caplog):
    logging.getLogger("absynth").propagate = True
    target = run("settings")
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32
    assert (
        "steps:settings: its code sets torch's default dtype to torch.float64 for the whole process as it runs"
        in (caplog.text)
    )
    assert target.best_distance.isfinite().all(), "float64 images count"


@pytest.mark.parametrize("name", RETURNS)
def test_what_is_no_image_is_refused_in_one_line(module, name):
    with pytest.raises(InputError, match=rf"^steps:{name}: .*{RETURNS[name][1]}"):
        run(name)


@pytest.mark.parametrize("fixed", [False, True])
def test_a_function_that_never_asks_the_model_is_refused(module, fixed):
    with pytest.raises(InputError, match=r"^steps:silent: asked the model nothing on 5 images"):
        run("silent", fixed_epsilon=fixed)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("failing", {}, r"steps:failing: fails \(IndexError: .*, steps.py line \d+\)"),
        ("leaving", {}, r"steps:leaving: fails \(SystemExit: 3, steps.py line \d+\)"),
        (
            "short",
            {},
            r"steps:short: takes \(model, x, y\), expected \(model, x, y, epsilon, norm, generator\)",
        ),
        ("within", {"arguments": {"sgn": 1}}, r"expected .* and the arguments sgn; .*'sgn'"),
        ("Kind", {}, "steps:Kind: is a class, expected a function"),
        ("NUMBER", {}, "steps:NUMBER: is no function"),
        ("missing", {}, "steps:missing: cannot be imported"),
    ],
)
def test_a_function_that_cannot_be_called_is_refused(module, name, options, message):
    with pytest.raises(InputError, match=message):
        run(name, **options)


def test_the_example_of_the_documentation_runs(tmp_path, monkeypatch):
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "foreign-attacks.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python title=\"my_attacks\.py.*?\"\n(.*?)```", page, re.DOTALL)
    (tmp_path / "my_attacks.py").write_text(example, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    target = target_of(two_class(), "l2")
    try:
        attack = function_attack("l2", function_path="my_attacks:walk", arguments={"steps": 50})
    finally:
        sys.modules.pop("my_attacks", None)
    attack(target, draws())
    optimum = smallest(target.model, target.x, target.y, "l2")
    assert (target.best_distance <= 2 * optimum).all()
