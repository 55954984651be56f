"""Attacks are done with images near a proved bound, and no image is the worse for it."""

import pytest
import torch
from linear_models import images, smallest, two_class

from absynth.attacks.confirm import LENGTHENING, confirm
from absynth.attacks.registry import ATTACKS
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.attacks.target import Target
from absynth.attacks.ties import STRETCHES
from absynth.attacks.tight import end_distances
from absynth.io.records import TIGHT_AT_START, TIGHT_BY_ITSELF
from absynth.models.building import resolve

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("bound", "epsilon", "end"),
    [
        (2.0, 1.5, 2.2),
        (2.0, 2.5, 2.2),
        (2.0, 2.1, 2.1),  # which side of ε the distance lies on is still open
        (2.0, 2.0, 2.0),
        (2.0, 2.2, 2.2),
        (0.0, 1.0, 0.0),
        (NAN, 1.0, 0.0),
        (INF, 1.0, 0.0),
    ],
)
@pytest.mark.parametrize(("norm", "room"), [("l2", LENGTHENING), ("linf", LENGTHENING), ("l0", 1.0)])
def test_where_an_image_is_done_with(bound, epsilon, end, norm, room):
    found = end_distances(torch.tensor([bound]), 0.1, epsilon, norm)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found * room, torch.tensor([end], dtype=torch.float64), rtol=1e-7, atol=0)


@pytest.mark.parametrize(("bound", "epsilon"), [(12.0, 12.0), (11.0, 12.0), (100.0, 101.0), (12.0, 3.0)])
def test_in_l0_an_image_is_done_with_at_its_bound_and_at_epsilon(bound, epsilon):
    """Pixels are whole, and the confirmation adds none: nothing is left to gain, or no decision at ε."""
    end = end_distances(torch.tensor([bound]), 0.1, epsilon, "l0")
    assert bound <= end.item() <= 1.1 * bound
    assert epsilon < bound or epsilon <= end.item()


def beyond(model, x, y, share):
    """Images moved straight across the boundary, by so large a share of its distance beyond it."""
    step = model.weight.detach()[1 - y] - model.weight.detach()[y]
    step = (step / step.norm(dim=1, keepdim=True)).view_as(x)
    return x + ((1 + share) * smallest(model, x, y, "l2"))[:, None, None, None].float() * step


def test_what_ends_an_image_stays_near_the_bound_once_it_is_confirmed():
    """The model takes back by rounding what it said of the candidate, so that it is pushed."""
    model = two_class()
    x, y = images(model)
    candidates = beyond(model, x, y, -1e-5)
    found = confirm(model, x, y, candidates, "l2").distance
    given = (candidates - x).double().flatten(1).norm(dim=1)
    assert (found > max(STRETCHES) * given).all()
    assert (found <= LENGTHENING * given).all()
    bound = given * LENGTHENING / 1.01  # the candidate ends its image, barely
    end = end_distances(bound, 0.01, 100.0, "l2")
    assert (given <= end * (1 + 1e-12)).all()
    assert (found <= 1.01 * bound).all()


def run(attack, samples, norm="l2"):
    return attack_images(AttackSettings(attack, "a", norm, 0, 100), two_class(), samples)


def test_what_starts_near_the_bound_is_left_out_and_keeps_its_best_start():
    model = two_class()
    x, y = images(model)
    best = smallest(model, x, y, "l2")
    index = torch.arange(len(x))
    # The second is best; the third is near enough, too.
    starts = [beyond(model, x, y, share) for share in (0.2, 0.005, 0.007)]
    ends = end_distances(best, 0.01, 100.0, "l2")
    ends[::2] = 0  # nothing is proved of these
    asked = []
    found = run(
        lambda target, _: asked.append(target.rows.tolist()), Samples(x, y, index, starts, None, ends)
    )
    assert asked == [index[::2].tolist()]
    assert found["stopped"].tolist() == [0 if i % 2 == 0 else TIGHT_AT_START for i in range(len(x))]
    torch.testing.assert_close(found["distance"], 1.005 * best, rtol=1e-5, atol=0)
    assert (found["queries"] == 3).all()
    far = run(lambda *_: None, Samples(x, y, index, starts[:1], None, ends))
    assert (far["stopped"] == 0).all()


def test_the_relays_codes_stay():
    x, y = images(two_class())
    index, codes = torch.arange(len(x)), torch.tensor([1, 2, 0, 1, 0])
    found = run(lambda *_: None, Samples(x, y, index, (), codes, torch.zeros(len(x))))
    assert torch.equal(found["stopped"], codes)


@pytest.mark.parametrize(
    ("name", "norm", "options", "tightness"),
    [
        ("ddn", "l2", {"steps": 100}, 0.3),
        ("fmn", "linf", {"steps": 100}, 0.3),
        ("fab", "l2", {"steps": 5, "restarts": 1}, 0.3),
        ("boundary_descent", "l2", {"walks": 2, "steps": 20}, 0.3),
        ("brendel_bethge", "l2", {"steps": 50}, 0.3),
        ("boundary", "l2", {"steps": 200}, 20.0),
        ("hop_skip_jump", "l2", {"steps": 3}, 6.0),
        ("deepfool_ge", "l2", {"steps": 3}, 0.3),
    ],
)
def test_attacks_end_by_themselves_ask_less_and_leave_the_rest_as_it_was(name, norm, options, tightness):
    """Half of the images have a bound, the true distance: these end, and the others are as without any."""
    model = two_class()
    x, y = images(model)
    index = torch.arange(len(x))
    attack = resolve(ATTACKS[name].builder)(norm, **options)
    ends = end_distances(smallest(model, x, y, norm), tightness, 100.0, norm)
    ends[::2] = 0
    plain = run(attack, Samples(x, y, index), norm)
    found = run(attack, Samples(x, y, index, ends=ends), norm)
    near = plain["distance"] <= ends
    assert near.any(), "the attack must come near the bound for this test to show anything"
    ended = found["stopped"] == TIGHT_BY_ITSELF
    assert torch.equal(ended, near)
    assert (found["distance"][ended] <= LENGTHENING * ends[ended]).all()
    assert (found["queries"][ended] < plain["queries"][ended]).all()
    assert torch.equal(found["queries"][::2], plain["queries"][::2])
    torch.testing.assert_close(found["distance"][::2], plain["distance"][::2], rtol=1e-4, atol=0)


def test_ended_images_are_answered_without_a_query():
    model = two_class()
    x, y = images(model)
    target = Target(model, x, y, "l2")
    far = 1 - x
    target(far)
    fooled = target.best_distance.isfinite()
    assert fooled.any()
    target.findings.end_at(torch.where(fooled, INF, 0.0))
    model.asked, before = 0, target.queries.clone()
    near = x + 0.5 * (far - x)
    queries = torch.cat([far, near]).requires_grad_()
    logits = target(queries)
    ended = fooled.repeat(2)
    wrong = logits.argmax(dim=1) != y.repeat(2)
    assert wrong[: len(x)][fooled].all()  # no nearer than the best, which it is
    assert not wrong[len(x) :][fooled].any()  # nearer
    assert model.asked == 2 * int((~fooled).sum())
    assert torch.equal(target.queries - before, 2 * (~fooled).long())
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), queries)
    assert torch.equal((gradient.flatten(1) != 0).any(dim=1), ~ended)
    assert torch.equal(target.gradients, (~fooled).long() * 2)
    assert target.adversarial(far)[fooled].all()
    assert not target.adversarial(near)[fooled].any()
    assert not target.recheck()[fooled].any()  # the best stay what they are
    assert torch.equal(target.best[fooled], far[fooled])
    target.findings.end_at(torch.full((len(x),), INF))
    model.asked = 0
    assert target(far).shape == (len(x), 10)
    assert target.adversarial(far).all() == fooled.all()
    assert model.asked == 0


def test_logits_of_ended_images_are_asked_for_where_the_number_of_classes_is_unknown():
    model = two_class()
    x, y = images(model)
    target = Target(model, x, y, "l2")
    target.findings.end_at(torch.full((len(x),), INF))
    assert target(x).shape == (len(x), 10)
