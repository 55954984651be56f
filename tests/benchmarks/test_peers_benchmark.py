"""The program that compares attacks with those of other libraries, on linear models and without these libraries."""

import math
import sys

import peers
import pytest
import torch
from linear_models import N, images, smallest, two_class

from absynth.errors import InputError


def onto_the_boundary(beyond):
    """An attack that moves images along the normal, to `beyond` times their distance from the boundary."""

    def attack(model, x, y, norm):
        leaf = x.clone().requires_grad_()
        logits = model(leaf)
        (normal,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), leaf)
        step = (logits[:, 0] - logits[:, 1]).detach() / normal.flatten(1).square().sum(dim=1)
        return x + beyond * step.view(-1, 1, 1, 1) * normal

    return attack


def test_a_peer_is_measured_by_what_it_returns():
    model = two_class()
    x, y = images(model)
    found = peers.measure_peer(onto_the_boundary(1.01), model, x, y, "l2")
    assert found["distance"] == pytest.approx((1.01 * smallest(model, x, y, "l2")).tolist(), rel=1e-4)
    assert found["queries"] == found["gradients"] == N
    failed = peers.measure_peer(onto_the_boundary(0.99), model, x, y, "l2")
    assert failed["distance"] == [math.inf] * N


def test_what_a_peer_returns_is_clipped_to_the_box():
    model = two_class()
    x, y = images(model)
    found = peers.measure_peer(onto_the_boundary(1e4), model, x, y, "linf")
    assert max(found["distance"]) <= 1


def test_ours_is_measured_alike():
    model = two_class()
    x, y = images(model)
    ours = peers.measure_ours(model, x, y, "l2", attack="ddn", steps=30)
    theirs = peers.measure_peer(onto_the_boundary(1), model, x, y, "l2")
    assert ours.keys() == theirs.keys()
    assert ours["gradients"] == 30 * N
    assert ours["distance"] == pytest.approx(smallest(model, x, y, "l2").tolist(), rel=0.05)


def test_the_table_compares_with_ours():
    results = {
        f"ddn/l2/{library}": {"distance": distance, "queries": 6, "gradients": 4, "seconds": 3}
        for library, distance in (
            ("absynth", [0.5, 1.5]),
            ("adv-lib", [1.5, 2.5]),
            ("AutoAttack", [0, math.inf]),
        )
    }
    _, _, ours, theirs, failed = peers.table(results, n=2).splitlines()
    assert ours == "| ddn | l2 | absynth | 1 | 0 |  |  | 2 | 3 | 1.5 |"
    assert theirs == "| ddn | l2 | adv-lib | 2 | 0 | 50.00 % | 0.4472 | 2 | 3 | 1.5 |"  # √(0.5/1.5 · 1.5/2.5)
    assert "| inf | 1 | 100.00 % | – |" in failed


@pytest.mark.parametrize(
    ("make", "package", "install"),
    [
        (peers.adv_lib_peers, "adv_lib", "pip install adv-lib==0.2.8"),
        (peers.autoattack_peers, "pyautoattack", "pip install pyautoattack==0.2.0"),
    ],
)
def test_a_missing_package_is_named_in_one_line(make, package, install, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=install):
        make(steps=1)
