"""The search over ε and the bisection to the clean image, against distances known in closed form."""

import pytest
import torch
from linear_models import N, images, never_errs, smallest, target_of, two_class

from absynth.attacks.api import for_norm
from absynth.attacks.epsilon_search import first_success, per_distinct_epsilon, search_epsilon
from absynth.attacks.line_search import bisect_to_clean, search_line
from absynth.errors import InputError
from absynth.norms import NORMS


class Ray:
    """Moves each image by ε towards the other class on the shortest way; remembers what it was asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, target, epsilon):
        self.asked.append((target.rows.clone(), epsilon.clone()))
        x, y = target.active
        weight = target.model.weight.detach()
        away = (weight[1 - y] - weight[y]).view_as(x)
        step = away / away.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        target.adversarial(x + epsilon.float().view(-1, 1, 1, 1) * step)


@pytest.mark.parametrize("shared_grid", [False, True])
def test_search_brackets_each_image_by_itself(shared_grid):
    target, ray = target_of(two_class(), "l2"), Ray()
    search_epsilon(target, ray, doublings=6, bisections=7, shared_grid=shared_grid)
    optimum = smallest(target.model, target.x, target.y, "l2")
    resolution = NORMS["l2"].largest((1, 28, 28)) / 2**6 / 2**7
    assert (target.best_distance >= optimum - 1e-5).all()
    assert (target.best_distance <= optimum + 2 * resolution).all()


def test_doubling_asks_only_images_still_without_success():
    target, ray = target_of(two_class(), "l2"), Ray()
    search_epsilon(target, ray, doublings=7, bisections=0)
    optimum = smallest(target.model, target.x, target.y, "l2")
    for rows, epsilon in ray.asked:
        assert (epsilon[0] / 2 < optimum[rows]).all()  # the ε before did not suffice


def test_shared_grid_is_dyadic():
    target, ray = target_of(two_class(), "l2"), Ray()
    search_epsilon(target, ray, doublings=5, bisections=4, shared_grid=True)
    units = torch.cat([epsilon for _, epsilon in ray.asked]) / NORMS["l2"].largest((1, 28, 28)) * 2 ** (5 + 4)
    assert torch.equal(units, units.round())


def test_each_distinct_epsilon_runs_once_on_its_images():
    target, runs = target_of(two_class(), "l2"), []
    attempt = per_distinct_epsilon(lambda target, epsilon: runs.append((epsilon, target.rows.tolist())))
    attempt(target, torch.tensor([2.0, 1.0, 2.0, 1.0, 4.0]))
    assert runs == [(1.0, [1, 3]), (2.0, [0, 2]), (4.0, [4])]


def test_known_adversarials_bound_the_search():
    target, ray = target_of(two_class(), "l2"), Ray()
    far = 2 * smallest(target.model, target.x, target.y, "l2")
    ray(target, far)
    ray.asked.clear()
    search_epsilon(target, ray, doublings=3, bisections=5)  # starts at 3.5, beyond all that is known
    torch.testing.assert_close(ray.asked[0][1], far / 2, rtol=1e-5, atol=0)
    assert (target.best_distance < far).all()


def test_without_success_the_search_ends_at_the_largest_distance():
    target, ray = target_of(never_errs(), "l2"), Ray()
    search_epsilon(target, ray, doublings=4, bisections=3)
    assert target.best_distance.isinf().all()
    assert [epsilon[0].item() for _, epsilon in ray.asked] == [1.75, 3.5, 7.0, 14.0, 28.0]


def test_first_success_leaves_the_rest_to_the_next_attempt():
    target = target_of(two_class(), "l2")
    optimum = smallest(target.model, target.x, target.y, "l2")
    near, far = Ray(), Ray()
    middle = torch.full((N,), optimum.median().item() * 1.01, dtype=torch.float64)
    first_success(target, [near, lambda target, epsilon: far(target, 3 * epsilon)], middle)
    assert far.asked[0][0].tolist() == (optimum > middle).nonzero().squeeze(1).tolist()
    assert len(near.asked[0][0]) == N


def test_line_is_left_where_it_leads_beyond_the_nearest_adversarial():
    target = target_of(two_class(), "l2")
    optimum = smallest(target.model, target.x, target.y, "l2")
    toward = two_class().weight.detach()
    away = (toward[1 - target.y] - toward[target.y]).view_as(target.x)
    direction = away / away.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    budget = dict(doublings=8, per_doubling=4, bisections=6)
    search_line(target, -direction, **budget)  # nothing is there
    assert target.best_distance.isinf().all()
    assert target.queries.tolist() == [33] * N
    search_line(target, direction, **budget)
    found, asked = target.best_distance.clone(), target.queries.clone()
    assert (found <= optimum * 1.01).all()
    search_line(target, -direction, **budget)
    extra = target.queries - asked  # up to the first ε beyond what is known
    grid = NORMS["l2"].largest((1, 28, 28)) * 2 ** (torch.arange(-32, 1).double() / 4)
    assert extra.tolist() == [int((grid < distance).sum()) + 1 for distance in found]


def test_bisect_to_clean_reaches_the_boundary():
    target, ray = target_of(two_class(), "l2"), Ray()
    optimum = smallest(target.model, target.x, target.y, "l2")
    with target.only(torch.arange(N) > 0):  # the first image has no adversarial yet
        ray(target, 4 * optimum[1:])
    before = target.queries.clone()
    bisect_to_clean(target, 10)
    assert target.best_distance[0].isinf()
    assert (target.best_distance[1:] <= optimum[1:] * (1 + 4 / 2**10) + 1e-5).all()
    assert (target.queries - before).tolist() == [0] + [10] * (N - 1)


def test_bisect_to_clean_leaves_l0_alone():
    target = target_of(two_class(), "l0")
    target.adversarial(1 - target.x)
    before = target.queries.clone()
    assert target.best_distance.isfinite().all()
    bisect_to_clean(target, 10)
    assert torch.equal(target.queries, before)


def test_for_norm_names_what_is_allowed():
    assert for_norm("l2", l2=1, linf=2) == 1
    with pytest.raises(InputError, match=r"'l0'.*l2, linf"):
        for_norm("l0", l2=1, linf=2)


def test_images_are_correctly_classified_and_lie_inside_the_box():
    model = two_class()
    x, y = images(model)
    assert set(y.tolist()) == {0, 1}
    assert ((x > 0.2) & (x < 0.8)).all()
