"""Attacks that start from what others found: what a config may ask for, and what comes of it."""

import numpy as np
import pytest
import torch
from configs import OWN, plan
from linear_models import Linear, N, draws, images, target_of, two_class
from scripts.attacks import run_attack as script

from absynth.attacks.registry import ATTACKS
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.errors import InputError
from absynth.io.records import SHARD, write_record
from absynth.models.building import resolve
from absynth.norms import distance

# Budgets with which an attack does not come near from noise.
BUDGETS = {
    "boundary": {"steps": 60, "trials": 1},
    "pointwise": {"draws": 1, "resolution": 1 / 8},
    "brendel_bethge": {"steps": 3, "refine_steps": 0},
    "hop_skip_jump": {"steps": 2, "initial_gradient_eval_steps": 20, "refine_steps": 0},
    "beam": {"width": 1, "candidates": 1, "pixels": 1, "removals": 1},
    "sparse_l2": {"width": 1, "candidates": 1, "pixels": 1, "rounds": 1, "exchanges": 1, "shrinks": 5},
    "boundary_descent": {"steps": 4, "walks": 1, "refine_steps": 0},
    "apgd": {"steps": 2, "targets": 0, "doublings": 3, "bisections": 2, "refine_steps": 0},
    "square": {"queries": 5, "shrink": 0.2},
    "sparse_rs": {"queries": 40, "restarts": 15, "shrink": 0.02},
}
# Flips, which needs a model that binarises its input, has a test of its own; so have attacks within a fixed ε.
TAKERS = [
    (name, next(iter(entry.norms)))
    for name, entry in ATTACKS.items()
    if entry.takes_start and not entry.input_threshold and not entry.at_epsilons
]
TAKERS += [("pointwise", "l0"), ("brendel_bethge", "linf")]


def mirrored(model: Linear, x: torch.Tensor, beyond: float) -> torch.Tensor:
    """Images moved across the boundary, along its normal: to `beyond` times their distance from it."""
    with torch.no_grad():
        logits = model(x)[:, :2]
        normal = model.weight[1] - model.weight[0]
        step = (logits[:, 0] - logits[:, 1]) / normal.square().sum()
    return x + beyond * (step[:, None] * normal).view_as(x)


def heaviest_flipped(model: Linear, x: torch.Tensor) -> torch.Tensor:
    """Images whose pixels of largest weight are black or white, one more than it takes to be misclassified."""
    normal = (model.weight[1] - model.weight[0]).detach()
    y = model(x).argmax(dim=1)
    towards = ((1 - 2 * y[:, None]) * normal > 0).to(x.dtype)  # (n, 784)
    order = normal.abs().argsort(descending=True)
    moved = x.flatten(1).clone()
    for i in range(len(x)):
        for pixel in order:
            fooled = model(moved[i : i + 1]).argmax() != y[i]
            moved[i, pixel] = towards[i, pixel]
            if fooled:
                break
    return moved.view_as(x)


@pytest.mark.parametrize(("name", "norm"), TAKERS)
def test_every_attack_that_takes_a_start_goes_on_from_it(name, norm):
    attack = resolve(ATTACKS[name].builder)(norm, **BUDGETS[name])
    alone, led = target_of(two_class(), norm), target_of(two_class(), norm)
    attack(alone, draws())
    start = heaviest_flipped(led.model, led.x) if norm == "l0" else mirrored(led.model, led.x, beyond=1.5)
    assert led.adversarial(start).all()
    given = distance(led.x, start, norm)
    attack(led, draws())
    assert (led.best_distance < given).all()
    assert led.best_distance.mean() < alone.best_distance.mean()


def test_budgets_are_of_all_that_take_a_start():
    assert {name for name, _ in TAKERS} == set(BUDGETS)


# What is handed to an attack


def shown(starts, batch_size=100, rows=slice(None), attack=lambda target, random: None):
    model = two_class()
    x, y = images(model)
    y[1] = 1 - y[1]  # misclassified
    starts = [start(model, x)[rows] for start in starts]
    settings = AttackSettings(attack, "toy", "l2", seed=0, batch_size=batch_size)
    return attack_images(settings, model, Samples(x[rows], y[rows], torch.arange(N)[rows], starts))


def near(model, x):
    return mirrored(model, x, beyond=1.25)


def far(model, x):
    """Twice as far; the last one's attack failed."""
    start = mirrored(model, x, beyond=2.5)
    start[-1] = x[-1]
    return start


def test_starts_are_queries_and_what_fools_the_model_is_kept():
    columns = shown([far, near])
    assert columns["queries"].tolist() == [2, 0, 2, 2, 1]
    assert columns["distance"][1] == 0
    x, _ = images(two_class())
    expected = distance(x, near(two_class(), x), "l2")
    attacked = torch.tensor([0, 2, 3, 4])
    torch.testing.assert_close(columns["distance"][attacked], expected[attacked], rtol=0, atol=0)


def test_starts_that_fool_nobody_are_none():
    columns = shown([lambda model, x: mirrored(model, x, beyond=0.9), far])
    torch.testing.assert_close(columns["distance"], shown([far])["distance"])
    assert columns["distance"][-1] == torch.inf


def test_attacks_see_the_best_start_at_their_beginning():
    seen = []
    shown([far, near, far], attack=lambda target, random: seen.append(target.best.clone()))
    x, _ = images(two_class())
    torch.testing.assert_close(seen[0], near(two_class(), x)[[0, 2, 3, 4]])


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("split", [2, 4])
def test_neither_batches_nor_shards_change_the_result(batch_size, split):
    attack = resolve(ATTACKS["boundary"].builder)("l2", **BUDGETS["boundary"])
    whole = shown([far], attack=attack)
    parts = [shown([far], batch_size, rows, attack) for rows in (slice(split), slice(split, None))]
    for name in ("distance", "adversarial"):
        torch.testing.assert_close(torch.cat([part[name] for part in parts]), whole[name])


# Which shards a job reads


def shard(folder, attack="ddn", index=(3, 4), **attributes):
    n = len(index)
    columns = {
        name: np.zeros((n, 1, 28, 28) if column.row else n, column.dtype) for name, column in SHARD.items()
    }
    columns |= {"index": np.array(index), "adversarial": np.full((n, 1, 28, 28), 0.25, np.float32)}
    path = folder / attack / "1.h5"
    write_record(
        path, columns, {"run": "r", "model": "m", "norm": "l2", "attack": "ddn", **attributes}, SHARD
    )
    return path


EXPECTED = {"run": "r", "model": "m", "norm": "l2"}


def test_a_shard_is_read_as_a_start(tmp_path):
    start = script._read_start(shard(tmp_path), EXPECTED, (3, 5))
    assert torch.equal(start["adversarial"], torch.full((2, 1, 28, 28), 0.25))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attack": "fmn"}, "belongs to attack 'ddn', expected 'fmn'"),
        ({"model": "other"}, "belongs to model 'other', expected 'm'"),
        ({"index": (0, 1)}, "holds other images than 3 to 4; delete it and rerun"),
        ({"index": (3, 4, 5)}, "holds other images than 3 to 4; delete it and rerun"),
    ],
)
def test_a_shard_of_something_else_is_no_start(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        script._read_start(shard(tmp_path, **change), EXPECTED, (3, 5))


# What a config may ask for


def test_starts_are_those_that_apply():
    made = plan(attacks={"boundary": {"start_from": ["bim", "ddn"]}, "ddn": {"models": ["cnn"]}})
    assert made.starts("boundary", "cnn", "l2") == ["bim", "ddn"]
    assert made.starts("boundary", "abs", "l2") == ["bim"]
    assert made.starts("hop_skip_jump", "cnn", "l2") == []
    assert "start_from" not in made.options("boundary", "cnn")


@pytest.mark.parametrize(
    ("attacks", "message"),
    [
        (
            {"boundary": {"start_from": ["dnn"]}},
            "attacks.boundary.start_from: found dnn, no attack of this run; allowed are .*ddn",
        ),
        ({"boundary": {"start_from": ["ddn"]}, "ddn": None}, "found ddn, no attack of this run"),
        (
            {"ddn": {"start_from": ["fgm"]}},
            "attacks.ddn.start_from: found fgm, but ddn takes no start; allowed with boundary, ",
        ),
        (
            {"boundary": {"start_from": ["fgsm"]}},
            "attacks.boundary.start_from: found fgsm, which shares no model and norm with boundary",
        ),
        (
            {"boundary": {"start_from": ["ddn"], "models": ["cnn"]}, "ddn": {"models": ["abs"]}},
            "found ddn, which shares no model and norm with boundary",
        ),
        (
            {"boundary": {"start_from": ["boundary"]}},
            r"attacks.boundary.start_from: boundary starts from boundary; leave one",
        ),
        (
            {
                "boundary": {"start_from": ["pointwise"]},
                "pointwise": {"start_from": ["brendel_bethge"]},
                "brendel_bethge": {"start_from": ["ddn", "boundary"]},
            },
            r"start_from: .*boundary starts from pointwise starts from brendel_bethge",
        ),
        ({"boundary": {"start_from": "ddn"}}, "start_from: found 'ddn', allowed is a list"),
        (
            {"mine": {"class": "foolbox.attacks.DDNAttack", "norms": ["l2"], "start_from": ["fgm"]}},
            "attacks.mine.start_from: found fgm, but mine takes no start",
        ),
    ],
)
def test_starts_that_cannot_be_are_refused(attacks, message):
    with pytest.raises(InputError, match=f"config key .*{message}"):
        plan(attacks=attacks)


def test_attacks_named_by_class_may_be_started_from():
    own = {"class": "foolbox.attacks.NewtonFoolAttack", "norms": ["l2"]}
    made = plan(
        models={"mine": {**OWN, "gradients": False}},
        attacks={"newton": own, "boundary": {"start_from": ["newton"]}},
    )
    assert made.starts("boundary", "abs", "l2") == ["newton"]
    assert made.starts("boundary", "mine", "l2") == []
