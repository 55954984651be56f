"""Perturbations within a lower bound, none of which may change the decision."""

from types import SimpleNamespace

import torch
from brute_force import energies
from torch import Tensor

from absynth.norms import NORMS


def perturbations_inside(model: SimpleNamespace, x: Tensor, size: float, norm: str, seed: int) -> Tensor:
    """Perturbed images (n, d) less than `size` away: at random, and the shortest way to each prototype."""
    generator, d = torch.Generator().manual_seed(seed), len(x)
    size = min(size, 1.0 if norm == "linf" else float(d)) * (1 - 1e-9)
    x = x.double()
    if norm == "l0":
        count = min(d, int(size))  # strictly fewer than a whole bound
        chosen = torch.rand(200, d, generator=generator).argsort(dim=1) < count
        ends = torch.rand(200, d, generator=generator).round().double()
        w = model.images.double()[:, None] - model.images.double()
        best = (w.abs() * torch.where(w > 0, 1 - x, x)).argsort(dim=2, descending=True).argsort(dim=2) < count
        directed = torch.where(best, (w > 0).double(), x).flatten(0, 1)
        return torch.cat([torch.where(chosen, ends, x), directed])
    direction = torch.randn(200, d, generator=generator).double()
    if norm == "linf":
        direction = torch.cat([direction.clamp(-1, 1), direction.sign()])
    w = (model.images.double()[:, None] - model.images.double()).flatten(0, 1)
    direction = torch.cat([direction, w.sign() if norm == "linf" else w])
    length = NORMS[norm].measure(direction)[:, None].clamp_min(1e-9)
    straight = (x + size * direction / length).clamp(0, 1)
    return straight if norm == "linf" else torch.cat([straight, _filled(w, x, size)])


def _filled(w: Tensor, x: Tensor, size: float) -> Tensor:
    """Images at x + δ, |δ_i| = min(room_i, λ |w_i|), with λ such that ‖δ‖ is `size` or all room is used."""
    room = torch.where(w > 0, 1 - x, x)
    low, high = torch.zeros(len(w), 1).double(), torch.full((len(w), 1), 1e4).double()
    for _ in range(80):
        middle = (low + high) / 2
        inside = torch.minimum(room, middle * w.abs()).norm(dim=1, keepdim=True) < size
        low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
    return x + w.sign() * torch.minimum(room, low * w.abs())


def check_sound(model: SimpleNamespace, x: Tensor, label: int, size: float, norm: str) -> None:
    """Fail if any perturbation tried within `size` of x (d,) changes the decision or makes it a tie, in float64."""
    assert size >= 0
    if size == 0:
        return
    inside = perturbations_inside(model, x, size, norm, 0)
    assert (NORMS[norm].measure(inside - x.double()) < size).all()
    found = energies(model, inside)
    rivals = found.clone()
    rivals[:, label] = torch.inf
    assert (found[:, label] < rivals.amin(dim=1)).all()
