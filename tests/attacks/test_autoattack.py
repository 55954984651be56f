"""AutoAttack's attacks within one ε, and the preset that is made of them."""

from pathlib import Path

import pytest
import torch
import yaml
from configs import plan
from linear_models import N, draws, images, smallest, target_of, two_class

from absynth.attacks.autoattack import _inside, apgd_ce, apgd_t, fab_t, square_at_epsilon
from absynth.attacks.registry import ATTACKS
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.attacks.ties import STRETCHES
from absynth.errors import InputError
from absynth.models.building import resolve
from absynth.norms import distance

PRESET = Path(__file__).parents[2] / "workflow" / "presets" / "autoattack.yaml"
NORM = ("l2", "linf")
FIXED = {
    apgd_ce: {"steps": 30}, apgd_t: {"steps": 30}, fab_t: {"steps": 15}, square_at_epsilon: {"queries": 200}
}  # fmt: skip
CASES = [(attack, options, norm) for attack, options in FIXED.items() for norm in NORM]


def between(norm):
    """ε with which some of the images of the linear models can be fooled, and their optima."""
    model = two_class()
    optima = smallest(model, *images(model), norm)
    ordered = optima.sort().values
    return ((ordered[1] + ordered[2]) / 2).item(), optima


def attack_name(value):
    return getattr(value, "__name__", None)


@pytest.mark.parametrize(("attack", "options", "norm"), CASES, ids=attack_name)
def test_images_are_broken_where_they_can_be(attack, options, norm):
    epsilon, optima = between(norm)
    target = target_of(two_class(), norm)
    attack(norm, epsilon={norm: epsilon}, **options)(target, draws())
    broken = target.best_distance <= epsilon
    assert not broken[optima > epsilon].any()
    if attack is not square_at_epsilon:  # which does not come near the optimum in 784 dimensions
        assert broken[optima <= epsilon].all()
    else:
        attack(norm, epsilon={norm: 6 * epsilon}, **options)(target, draws())
        assert (target.best_distance <= 6 * epsilon).any()


@pytest.mark.parametrize("epsilon", [0.001, 0.05, 0.3, 1.58, 20.0])
def test_a_tie_that_is_nudged_stays_within_epsilon(epsilon):
    least = _inside(target_of(two_class(), "l2"), epsilon)
    assert (least * STRETCHES[0] < epsilon * (1 - 1e-8)).all()
    assert (least > 0.998 * epsilon).all()


@pytest.mark.parametrize(("attack", "options", "norm"), CASES, ids=attack_name)
def test_what_is_asked_is_within_epsilon(attack, options, norm):
    epsilon, _ = between(norm)
    target = target_of(two_class(), norm)
    asked = []
    target.register_forward_pre_hook(
        lambda module, inputs: asked.append((inputs[0].detach().clone(), target.rows))
    )
    attack(norm, epsilon={norm: epsilon}, **options)(target, draws())
    assert len(asked) > 5
    farthest = max(distance(target.x[rows], image, norm).max().item() for image, rows in asked)
    if attack is fab_t:  # minimises the distance, from outside of ε too
        assert farthest > epsilon
    else:
        assert 0.99 * epsilon < farthest <= epsilon


@pytest.mark.parametrize(("attack", "options", "norm"), CASES, ids=attack_name)
def test_images_that_are_broken_already_are_not_asked(attack, options, norm):
    target = target_of(two_class(), norm)
    x, _ = target.active
    with torch.no_grad():
        logits = target.model(x)[:, :2]
        normal = target.model.weight[1] - target.model.weight[0]
        step = (logits[:, 0] - logits[:, 1]) / normal.square().sum()
    start = x.clone()
    start[[0, 2]] += 1.01 * (step[:, None] * normal).view_as(x)[[0, 2]]
    assert target.adversarial(start)[[0, 2]].all()
    epsilon = target.best_distance[[0, 2]].max().item()
    asked = target.queries.clone()
    attack(norm, epsilon={norm: epsilon}, **options)(target, draws())
    assert (target.queries > asked).tolist() == [i not in (0, 2) for i in range(N)]


def test_an_image_ends_with_its_first_success():
    target = target_of(two_class(), "linf")
    apgd_ce("linf", epsilon={"linf": 0.5}, steps=100, restarts=3)(target, draws())
    assert target.best_distance.isfinite().all()
    assert (target.gradients < 20).all()
    target = target_of(two_class(), "linf")
    square_at_epsilon("linf", epsilon={"linf": 0.5}, queries=1000)(target, draws())
    assert target.best_distance.isfinite().all()
    assert (target.queries < 1000).all()


@pytest.mark.parametrize(("attack", "options", "norm"), CASES, ids=attack_name)
def test_an_epsilon_of_the_norm_is_needed(attack, options, norm):
    with pytest.raises(InputError, match=f"epsilon: found none for norm '{norm}'"):
        attack(norm, epsilon={"l0": 3})
    with pytest.raises(InputError, match="norm 'l0'; this attack minimises l2, linf"):
        attack("l0", epsilon={"l0": 3})


# The preset


def preset():
    return yaml.safe_load(PRESET.read_text(encoding="utf-8"))["attacks"]


def test_the_preset_has_the_options_of_autoattack():
    """Version "standard" of the reference implementation, for l2 and linf."""
    options = {
        name: {key: value for key, value in entry.items() if key not in ("label", "start_from")}
        for name, entry in preset().items()
    }
    assert options == {
        "apgd_ce": {"steps": 100, "restarts": 1},
        "apgd_t": {"steps": 100, "restarts": 1, "targets": 9},
        "fab_t": {"steps": 100, "targets": 9},
        "square_at_epsilon": {"queries": 5000},
    }


def test_the_preset_hands_on_what_is_not_broken():
    names = list(preset())
    starts = {name: entry.get("start_from", []) for name, entry in preset().items()}
    assert starts == {name: names[:place] for place, name in enumerate(names)}


def test_the_preset_runs_at_the_epsilons_of_the_config():
    made = plan(attacks=preset(), epsilons={"l2": 0.7, "linf": 0.2})
    for name in preset():
        assert made.options(name, "cnn")["epsilon"] == {"l2": 0.7, "linf": 0.2, "l0": 12}
        job = made.attack_job(model="cnn", norm="linf", attack=name, shard="0")
        built = resolve(job["builder"])("linf", **job["options"])
        assert built.epsilon == 0.2
    assert "epsilon" not in made.options("fgm", "cnn")
    assert [made.attacks[name].norms["l2"] for name in preset()][-1] == "AutoAttack: and Square"


@pytest.mark.parametrize("norm", NORM)
def test_the_sequence_breaks_what_can_be_broken_and_each_image_once(norm):
    model = two_class()
    x, y = images(model)
    epsilon, optima = between(norm)
    found: dict[str, dict[str, torch.Tensor]] = {}
    for name, entry in preset().items():
        options = {key: value for key, value in entry.items() if key not in ("label", "start_from")}
        options |= {"steps": 20} if "steps" in options else {"queries": 20}
        attack = resolve(ATTACKS[name].builder)(norm, epsilon={norm: epsilon}, **options)
        starts = [found[other]["adversarial"] for other in entry.get("start_from", [])]
        settings = AttackSettings(attack, name, norm, seed=0, batch_size=N)
        found[name] = attack_images(settings, model, Samples(x, y, torch.arange(N), starts))
    last = found["square_at_epsilon"]
    assert ((last["distance"] <= epsilon) == (optima <= epsilon)).all()
    broken = found["apgd_ce"]["distance"] <= epsilon
    assert broken.any()
    assert (last["queries"][broken] <= 3).all()  # the starts alone
    assert (last["queries"][optima > epsilon] >= 20).all()


@pytest.mark.parametrize("norm", NORM)
def test_the_targeted_loss_finds_its_way_between_two_classes(norm):
    """apgd_t alone, which starts from random points, breaks what can be broken by some margin."""
    model = two_class()
    x, y = images(model)
    epsilon = float(smallest(model, x, y, norm).max()) * 1.2
    target = target_of(model, norm)
    apgd_t(norm, epsilon={norm: epsilon}, steps=30, targets=1)(target, draws())
    assert (target.best_distance <= epsilon).all()
