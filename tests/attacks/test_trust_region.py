"""The step of Brendel & Bethge's attack beside general solvers, all sets of pixels, and Foolbox's solvers."""

import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
import torch
from configs import ROOT
from scipy.optimize import minimize

from absynth.attacks import brendel_bethge as attack
from absynth.attacks.halfspace import nearest_point
from absynth.attacks.planes import nearest_on_plane, scaled_plane, step_towards
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.attacks.trust_region import Step, take_step
from absynth.models.base import predict_labels
from absynth.models.building import build
from absynth.models.calibration_file import read_calibration

NORMS = ("l2", "linf", "l0")


def steps(count: int, d: int, seed: int, channels: int = 1, levels: int | None = None) -> Step:
    """Random steps, most of them to a boundary on the way to the clean image; some radii bind, some do not.

    levels: of pixels and of the normal's components, None for any
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    x = uniform(count, d).round(decimals=1)
    q = torch.where(uniform(count, d) < 0.7, uniform(count, d), x)
    normal = torch.randn(count, d, generator=generator, dtype=torch.float64)
    if levels:
        x, q, normal = ((part * levels).round() / levels for part in (x, q, normal))
    share = 1.2 * uniform(count, 1) - 0.1
    value = (normal * torch.lerp(q, x, share)).sum(dim=1)
    return Step(x, q, normal, value, 0.1 + uniform(count) * (x - q).norm(dim=1), channels)


def size(z: torch.Tensor, step: Step, norm: str) -> torch.Tensor:
    """What a step minimises (m,)."""
    change = (z - step.x).abs()
    if norm == "l0":
        return (change.unflatten(1, (step.channels, -1)).amax(dim=1) > 1e-10).sum(dim=1).double()
    return change.square().sum(dim=1).sqrt() if norm == "l2" else change.amax(dim=1)


def off_plane(z: torch.Tensor, step: Step) -> torch.Tensor:
    """Distances (m,) from points to the plane."""
    return ((step.normal * z).sum(dim=1) - step.value).abs() / step.normal.norm(dim=1)


def in_reach(step: Step) -> torch.Tensor:
    """Whether plane, box and trust region meet (m,), by the projection that sorts."""
    sign = torch.where((step.normal * step.q).sum(dim=1) > step.value, 1.0, -1.0).double()
    normal, value = sign[:, None] * step.normal, sign * step.value
    z, reached = nearest_point(step.q, normal, value, *step.box(), "l2")
    return reached & ((z - step.q).norm(dim=1) <= step.radius)


def check_constraints(z: torch.Tensor, step: Step) -> torch.Tensor:
    """All points are in box and trust region, and on the plane where it is in reach (m,), which is returned."""
    reach = in_reach(step)
    assert ((z >= 0) & (z <= 1)).all()
    assert ((z - step.q).norm(dim=1) <= step.radius * (1 + 1e-12)).all()
    assert off_plane(z, step)[reach].max() < 1e-12
    return reach


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_nearest_point_of_a_plane_is_that_of_the_sorted_search(norm):
    step = steps(50, 30, seed=0)
    normal, value = scaled_plane(step.normal, step.value)
    generator = torch.Generator().manual_seed(1)
    low = 0.9 * torch.rand(50, 30, generator=generator, dtype=torch.float64)
    high = low + 0.1
    center = step.q if norm == "l2" else step.q.clamp(low, high)
    found, reached = nearest_on_plane(center, normal, value, low, high, norm)
    sign = torch.where((normal * center.clamp(low, high)).sum(dim=1) > value, 1.0, -1.0).double()
    expected, meets = nearest_point(center, sign[:, None] * normal, sign * value, low, high, norm)
    assert reached.equal(meets)
    assert 10 < reached.sum() < 50
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_step_is_no_worse_than_that_of_a_general_solver(norm):
    step = steps(40, 5, seed=2)
    z = take_step(step, norm)
    reach = check_constraints(z, step)
    assert reach.sum() > 20
    bound = 0
    for i in reach.nonzero().squeeze(1):
        one = step[i : i + 1]
        theirs = general_solution(one, z[i].clone(), norm)
        assert size(z[i : i + 1], one, norm) <= theirs + 1e-6
        bound += int((z[i] - one.q).norm() > 0.999 * one.radius)
    assert 5 < bound < reach.sum()


def general_solution(step: Step, start: torch.Tensor, norm: str) -> float:
    """The optimum found by sequential quadratic programming from q and from our solution; z, and ε in linf."""
    x, q, normal = (part[0].numpy() for part in (step.x, step.q, step.normal))
    linf = norm == "linf"
    d = len(x)
    constraints = [
        {"type": "eq", "fun": lambda z: normal @ z[:d] - step.value.item()},
        {"type": "ineq", "fun": lambda z: step.radius.item() ** 2 - ((z[:d] - q) ** 2).sum()},
    ]
    if linf:
        constraints.append({"type": "ineq", "fun": lambda z: z[d] - (z[:d] - x)})
        constraints.append({"type": "ineq", "fun": lambda z: z[d] + (z[:d] - x)})
    best = torch.inf
    for begin in (q, start.numpy()):
        first = [*begin, abs(begin - x).max()] if linf else begin
        found = minimize(
            (lambda z: z[d]) if linf else (lambda z: ((z - x) ** 2).sum()),
            first,
            method="SLSQP",
            bounds=[(0, 1)] * len(first),
            constraints=constraints,
            options={"maxiter": 500, "ftol": 1e-14},
        )
        if found.success:
            best = min(best, found.fun if linf else found.fun**0.5)
    assert best < torch.inf
    return best


@pytest.mark.parametrize("channels", [1, 2])
def test_l0_step_changes_as_few_pixels_as_any_set_can(channels):
    pixels = 7
    step = steps(100, pixels * channels, seed=3, channels=channels)
    z = take_step(step, "l0")
    reach = check_constraints(z, step)
    assert reach.sum() > 50
    found = size(z, step, "l0")[reach]
    least = torch.tensor([float(fewest(step[i : i + 1], pixels)) for i in reach.nonzero().squeeze(1)])
    assert (found >= least).all()
    assert (found <= least + 1).all()
    assert (found == least).double().mean() > 0.9
    assert len(least.unique()) > 3


def fewest(step: Step, pixels: int) -> int:
    """The smallest number of pixels with which plane, box and trust region meet, by trying all sets."""
    for count in range(pixels + 1):
        for chosen in combinations(range(pixels), count):
            free = torch.zeros(pixels, dtype=torch.bool)
            free[list(chosen)] = True
            free = free.repeat(step.channels)
            low, high = torch.where(free, 0.0, step.x), torch.where(free, 1.0, step.x)
            z, reached = nearest_on_plane(step.q, *scaled_plane(step.normal, step.value), low, high)
            if reached and (z - step.q).norm() <= step.radius:
                return count
    raise AssertionError("out of reach")


@pytest.mark.parametrize("norm", NORMS)
def test_what_is_out_of_reach_is_approached_as_far_as_possible(norm):
    step = steps(60, 8, seed=4)
    far = Step(
        step.x,
        step.q,
        step.normal,
        step.value + 20 * (step.value - (step.normal * step.q).sum(dim=1)),
        step.radius,
    )
    z = take_step(far, norm)
    out = ~check_constraints(z, far)
    assert out.sum() > 40
    begin, end = off_plane(far.q, far), off_plane(z, far)
    assert (end < begin)[out].all()
    generator = torch.Generator().manual_seed(5)
    for _ in range(200):  # no point around it in box and trust region is nearer
        other = (z + 0.05 * torch.randn(z.shape, generator=generator, dtype=torch.float64)).clamp(0, 1)
        other = far.q + (other - far.q) * (far.radius / (other - far.q).norm(dim=1)).clamp_max(1)[:, None]
        assert (off_plane(other, far) >= end - 1e-9)[out].all()


def test_step_towards_a_plane_is_cut_off_by_the_box_and_ends_on_the_sphere():
    q = torch.tensor([[0.5, 0.95, 0.5]], dtype=torch.float64)
    normal = torch.tensor([[1.0, 1.0, 0.0]], dtype=torch.float64)
    value, radius = torch.tensor([9.0], dtype=torch.float64), torch.tensor([0.13], dtype=torch.float64)
    z = step_towards(q, normal, value, radius)
    torch.testing.assert_close(z, torch.tensor([[0.62, 1.0, 0.5]], dtype=torch.float64))


@pytest.mark.parametrize(("d", "levels"), [(12, None), (80, 2)], ids=["few pixels", "ties"])
@pytest.mark.parametrize("norm", NORMS)
def test_no_step_depends_on_its_companions(norm, d, levels):
    step = steps(20, d, seed=6, levels=levels)
    together = take_step(step, norm)
    for i in range(20):
        torch.testing.assert_close(take_step(step[i : i + 1], norm)[0], together[i], rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
def test_without_a_normal_nothing_moves(norm):
    step = steps(3, 6, seed=7)
    still = Step(step.x, step.q, 0 * step.normal, torch.ones_like(step.value), step.radius)
    assert torch.equal(take_step(still, norm), step.q)


# Foolbox's solvers

_FOOLBOX = """if True:
    import sys
    sys.modules["numba"] = None  # which would compile for half a minute; Foolbox then runs its solvers as Python
    import torch
    from foolbox.attacks import brendel_bethge
    kinds = {"l2": "L2Optimizer", "linf": "LinfOptimizer", "l0": "L0Optimizer"}
    norm, path = sys.argv[1:]
    solver = getattr(brendel_bethge, kinds[norm])()
    solved = []
    for x, q, normal, value, radius in zip(*torch.load(path), strict=True):
        needed = (value - normal @ q).item()
        moved = solver.solve(x.numpy(), q.numpy(), normal.numpy(), 0.0, 1.0, needed, radius.item())
        solved.append(q + torch.from_numpy(moved))
    torch.save(torch.stack(solved), path)
"""


def solved_by_foolbox(step: Step, norm: str, path: Path) -> torch.Tensor:
    torch.save((step.x, step.q, step.normal, step.value, step.radius), path)
    command = [sys.executable, "-W", "ignore", "-c", _FOOLBOX, norm, str(path)]
    subprocess.run(command, check=True, timeout=300)
    return torch.load(path)


def taken(name: str, norm: str, x: torch.Tensor, monkeypatch) -> Step:
    """Every ninth step of a walk on images x, on weights that ship."""
    weights = ROOT / "resources" / "weights" / "mnist-small"
    spec = read_calibration(weights / "models" / name / "calibration.json", "model")["model"]
    model = build(spec, weights).eval().requires_grad_(False)
    found = []

    def keep(step: Step, norm: str) -> torch.Tensor:
        found.append(step)
        return take_step(step, norm)

    monkeypatch.setattr(attack, "take_step", keep)
    target = Target(model, x, predict_labels(model, x), norm)
    attack.brendel_bethge(norm, steps=40)(target, SampleRandom(0, "test", range(len(x)), x.device))
    kept = found[::9]
    parts = zip(*((step.x, step.q, step.normal, step.value, step.radius) for step in kept), strict=True)
    return Step(*(torch.cat(part) for part in parts))


@pytest.mark.slow
@pytest.mark.mnist
@pytest.mark.parametrize("name", ["cnn", "madry"])
@pytest.mark.parametrize("norm", NORMS)
def test_steps_on_mnist_are_no_worse_than_foolboxs(norm, name, mnist_test, monkeypatch, tmp_path):
    """Foolbox's meet the constraints up to some 1e-4, a few in l0 do not: ours are held to what those met."""
    step = taken(name, norm, mnist_test[0][:4], monkeypatch)
    theirs = solved_by_foolbox(step, norm, tmp_path / "steps.pt")
    met = (step.normal * theirs).sum(dim=1)
    radius = (theirs - step.q).norm(dim=1).maximum(step.radius) * (1 + 2e-8)
    ours = take_step(Step(step.x, step.q, step.normal, met, radius), norm)
    reach = check_constraints(take_step(step, norm), step)
    assert reach.sum() >= 15
    assert (off_plane(theirs, step)[reach] < 1e-3).double().mean() > 0.8
    assert (size(ours, step, norm) <= size(theirs, step, norm) * (1 + 1e-6))[reach].all()
