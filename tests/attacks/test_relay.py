"""Which images a relay's later rounds leave out, and that what is left out is recorded as it was found."""

import pytest
import torch
from linear_models import images, two_class

from absynth.attacks.relay import ATTACKED, NO_GAIN, TIGHT, best_by_round, stopped
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.norms import distance

INF = float("inf")


@pytest.mark.parametrize(
    ("before", "after", "bound", "code"),
    [
        (2.0, 1.9, 0.0, ATTACKED),  # gained 5 %
        (2.0, 1.995, 0.0, NO_GAIN),
        (2.0, 2.0, 0.0, NO_GAIN),
        (INF, 2.0, 0.0, ATTACKED),  # found for the first time
        (INF, INF, 0.0, NO_GAIN),
        (2.0, 1.9, 1.89, TIGHT),
        (2.0, 1.9, 1.8, ATTACKED),
        (2.0, 2.0, 1.99, TIGHT),
        (2.0, 1.9, float("nan"), ATTACKED),
        (INF, INF, 1.0, NO_GAIN),
    ],
)
def test_images_are_left_out_that_gained_nothing_or_are_tight(before, after, bound, code):
    values = [torch.tensor([value], dtype=torch.float64) for value in (before, after, bound)]
    assert stopped(*values[:2], 0.01, values[2], 0.01).tolist() == [code]
    if code != TIGHT:
        assert stopped(*values[:2], 0.01, None, 0.01).tolist() == [code]


def test_distances_are_compared_round_by_round():
    found = {name: torch.tensor(values) for name, values in
             {"fgm": [5.0, 4], "walk": [4.0, 6], "relay1": [3.0, 5], "relay2": [1.0, 1]}.items()}  # fmt: skip
    rounds = {"fgm": 0, "walk": 0, "relay1": 1, "relay2": 2}
    before, after = best_by_round(found, rounds, 1)
    assert (before.tolist(), after.tolist()) == ([4, 4], [3, 4])
    before, after = best_by_round(found, rounds, 2)
    assert (before.tolist(), after.tolist()) == ([3, 4], [1, 1])


def test_images_left_out_keep_the_best_start_and_are_not_attacked():
    model, asked = two_class(), []
    x, y = images(model)
    starts = [torch.where((model(candidate).argmax(dim=1) != y)[:, None, None, None], candidate, x)
              for candidate in (1 - x, torch.zeros_like(x), torch.ones_like(x))]  # fmt: skip
    index = torch.arange(len(x))
    codes = torch.where(index % 2 == 0, ATTACKED, NO_GAIN)

    def attack(target, random):
        asked.append(target.rows.tolist())

    found = attack_images(
        AttackSettings(attack, "a", "l2", 0, 100), model, Samples(x, y, index, starts, codes)
    )
    assert asked == [index[::2].tolist()]
    assert torch.equal(found["stopped"], codes)
    nearest = torch.stack([
        torch.where((start != x).flatten(1).any(dim=1), distance(x, start, "l2"), INF) for start in starts
    ]).amin(dim=0)  # fmt: skip
    assert nearest.isfinite().any()
    torch.testing.assert_close(found["distance"], nearest)
    asked.clear()
    attack_images(
        AttackSettings(attack, "a", "l2", 0, 100), model, Samples(x, y, index, starts, codes * 0 + 1)
    )
    assert asked == []
