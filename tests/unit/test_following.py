"""Warm inference under attack: which queries start from what, and for whom."""

import torch
from torch import nn

from absynth.attacks.following import RADIUS, Following
from absynth.inference.latents import Inferred


class Recorder(nn.Module):
    """A stand-in for ABS that writes down how each query was inferred; logits tell which start it had."""

    def __init__(self):
        super().__init__()
        self.cold, self.warm = [], []

    def seen(self, x):
        return x.flatten(1)

    def infer(self, x, without=None):
        self.cold.append(len(x))
        mean = x.flatten(1).mean(dim=1)
        return Inferred(mean[:, None, None].expand(-1, 10, 8).clone(), torch.zeros(len(x), 10, 784))

    def at(self, x, inferred):
        return inferred.latents[:, :, 0]

    def infer_near(self, x, start, without=None):
        if without is not None:
            return Inferred(start.latents + 1, start.images)
        self.warm.append(len(x))
        return start


def test_near_queries_start_from_their_own_rows_last_inference():
    model = Recorder()
    following = Following(model, 3)
    x = torch.stack([torch.full((1, 28, 28), value) for value in (0.2, 0.4, 0.6)])
    rows = torch.arange(3)
    torch.testing.assert_close(following(x, rows)[:, 0], torch.tensor([0.2, 0.4, 0.6]))
    assert (model.cold, model.warm) == ([3], [])
    step = 0.9 * RADIUS / 28
    torch.testing.assert_close(following(x[[2, 0]] + step, rows[[2, 0]])[:, 0], torch.tensor([0.6, 0.2]))
    assert (model.cold, model.warm) == ([3], [2])


def test_far_queries_are_inferred_anew_and_remembered():
    model = Recorder()
    following = Following(model, 2)
    x = torch.full((2, 1, 28, 28), 0.2)
    following(x, torch.arange(2))
    mixed = x + torch.tensor([0.0, 1.1 * RADIUS / 28])[:, None, None, None]
    torch.testing.assert_close(following(mixed, torch.arange(2))[:, 0], mixed.flatten(1).mean(dim=1))
    assert (model.cold, model.warm) == ([2, 1], [1])
    following(mixed, torch.arange(2))
    assert (model.cold, model.warm) == ([2, 1], [1, 2])


def test_rivals_refined_without_a_class_are_what_the_next_query_starts_from():
    following = Following(Recorder(), 1)
    x, row = torch.full((1, 1, 28, 28), 0.2), torch.tensor([0])
    refined = following.infer(x, row, without=torch.tensor([3]))
    torch.testing.assert_close(refined.latents, torch.full((1, 10, 8), 1.2))
    torch.testing.assert_close(following(x, row), torch.full((1, 10), 1.2))


def test_a_row_not_asked_for_yet_is_inferred_from_nothing():
    model = Recorder()
    following = Following(model, 2)
    x = torch.full((1, 1, 28, 28), 0.2)
    following(x, torch.tensor([0]))
    following(x, torch.tensor([1]))
    assert (model.cold, model.warm) == ([1, 1], [])
