"""Sparse-RS on models whose smallest set of pixels is known."""

import pytest
import torch
from linear_models import N, draws, never_errs, target_of, two_class
from sparse_models import Weighed, black, steep

from absynth.attacks.randomness import SampleRandom
from absynth.attacks.sparse_rs import _changed, _first, sparse_rs
from absynth.attacks.target import Target
from absynth.errors import InputError
from absynth.models.binarize import THRESHOLD


def attacked(model, x, y, **options):
    target = Target(model, x, y, "l0")
    sparse_rs("l0", **options)(target, SampleRandom(0, "test", range(len(x)), torch.device("cpu")))
    return target


def seen(target):
    """All images that the target is asked for, as it is asked."""
    asked = []
    target.register_forward_pre_hook(lambda module, inputs: asked.append(inputs[0].detach().clone()))
    return asked


def test_fewest_pixels():
    target = attacked(Weighed(steep(), 2.6), *black(), queries=700)
    assert target.best_distance.tolist() == [3]
    assert target.best.flatten().nonzero().flatten().tolist() == [0, 1, 2]
    assert target.gradients.tolist() == [0]


def test_fewest_pixels_of_a_model_that_binarises():
    model = Weighed(steep(), 2.6)
    model.input_threshold = THRESHOLD
    x, y = black()
    target = attacked(model, x + 0.3, y, queries=700)
    assert target.findings.recorded.distance.tolist() == [3]
    assert set(target.best.flatten().tolist()) == {(x + 0.3).max().item(), THRESHOLD}


def test_a_pixel_of_several_channels_counts_once():
    weight = torch.zeros(3, 12)
    weight[0, 7] = 1
    target = Target(Weighed(weight.flatten(), 0.5), *black(shape=(3, 3, 4)), "l0")
    asked = seen(target)
    sparse_rs("l0", queries=400)(target, draws())
    images = torch.cat(asked)
    fooled = images.flatten(1) @ weight.flatten() > 0.5
    pixels = (images != 0).any(dim=1).flatten(1).sum(dim=1)
    assert pixels[0] == 4
    assert pixels[fooled].min() == 1
    assert len(asked) < 400  # it ends at one pixel, whatever the number of its channels


def test_sets_shrink_after_a_success_alone():
    target = Target(Weighed(steep(), 2.6), *black(), "l0")
    asked = seen(target)
    sparse_rs("l0", queries=200, start_share=0.5, shrink=0.2)(target, draws())
    sizes = [(image != 0).sum().item() for image in asked]
    fooled = [(image.flatten(1) @ steep() > 2.6).item() for image in asked]
    assert sizes[0] == 15
    for size, following, success in zip(sizes, sizes[1:], fooled, strict=False):
        assert following == (size - max(1, int(0.2 * size)) if success else size)
    assert any(fooled)


def test_queries_are_counted():
    target = target_of(never_errs(), "l0")
    sparse_rs("l0", queries=70, restarts=2)(target, draws())
    assert target.queries.tolist() == [140] * N
    assert target.best_distance.isinf().all()


def test_only_active_images_are_asked():
    target = target_of(two_class(), "l0")
    with target.only(torch.tensor([1, 3])):
        sparse_rs("l0", queries=60)(target, draws())
    assert target.queries.tolist() == [60 if i in (1, 3) else 0 for i in range(N)]


def test_an_image_ends_at_one_pixel():
    weight = torch.zeros(30)
    weight[4] = 1
    target = attacked(Weighed(weight, 0.5), *black(), queries=2000)
    assert target.best_distance.tolist() == [1]
    assert target.queries.item() < 2000


def test_it_begins_below_the_best_adversarial_known():
    x, y = black()
    start = x.clone()
    start.view(-1)[:10] = 1
    target = Target(Weighed(steep(), 2.6), x, y, "l0")
    target.adversarial(start)
    asked = seen(target)
    sparse_rs("l0", queries=1, shrink=0.3)(target, draws())
    assert (asked[0] != 0).sum() == 7


def test_every_pixel_of_a_set_is_changed():
    clean = torch.tensor([[[0.0, 1.0, 0.5, 0.0]]])
    colour = torch.tensor([[[0.0, 1.0, 1.0, 1.0]]])
    assert _changed(clean, colour, None).tolist() == [[[1.0, 0.0, 1.0, 1.0]]]
    two = torch.tensor([[[0.0], [1.0]]])
    assert _changed(two, two, None).flatten().tolist() == [1, 0]
    assert _changed(two, 1 - two, None).flatten().tolist() == [1, 0]


def test_the_smallest_keys_by_hand():
    key = torch.tensor([[3.0, 1.0, torch.inf, 2.0], [1.0, 2.0, 3.0, 4.0]]).double()
    assert _first(key, torch.tensor([2, 0])).tolist() == [[False, True, False, True], [False] * 4]
    assert _first(key, torch.tensor([4, 1])).tolist() == [
        [True, True, False, True],
        [True, False, False, False],
    ]


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_other_norms_are_refused(norm):
    with pytest.raises(InputError, match=f"norm '{norm}'; this attack minimises l0"):
        sparse_rs(norm)
