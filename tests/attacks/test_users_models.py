"""Attacks on models that change what they are handed, or answer with numbers that are not finite."""

import pytest
import torch
from users_models import IN_PLACE, NONFINITE, NaNWhenBright, Plain, drawn

from absynth.attacks.boundary import boundary
from absynth.attacks.estimation import deepfool_ge, fgm_ge
from absynth.attacks.foolbox.bridge import foolbox_attack
from absynth.attacks.gradient import bim, deepfool, fgm
from absynth.attacks.noise import gaussian_noise
from absynth.attacks.pointwise import pointwise
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.errors import InputError
from absynth.models.base import predict_labels
from absynth.models.custom import Custom

N = 4


def foolbox(name: str, **arguments):
    return foolbox_attack("l2", class_path=f"foolbox.attacks.{name}", arguments=arguments)


ATTACKS = {
    "fgm": lambda: fgm("l2"),
    "bim": lambda: bim("l2", steps=3, step_sizes=[0.2], restarts=1),
    "deepfool": lambda: deepfool("l2", steps=5),
    "fgm_ge": lambda: fgm_ge("l2", differences=[0.1]),
    "deepfool_ge": lambda: deepfool_ge("l2", differences=[0.1], steps=2),
    "gaussian_noise": lambda: gaussian_noise("l2", repetitions=3),
    "boundary": lambda: boundary("l2", steps=10, trials=1),
    "pointwise": lambda: pointwise("l0", repetitions=1, draws=3),
    "DDN": lambda: foolbox("DDNAttack", steps=10),
    "Carlini & Wagner": lambda: foolbox("L2CarliniWagnerAttack", binary_search_steps=2, steps=10),
    "DeepFool": lambda: foolbox("L2DeepFoolAttack", steps=5),
    "salt and pepper": lambda: foolbox("SaltAndPepperNoiseAttack", steps=20),
}


def shard(name: str, model: torch.nn.Module) -> dict[str, torch.Tensor]:
    x, y = drawn(N)
    norm = "l0" if name == "pointwise" else "l2"
    settings = AttackSettings(ATTACKS[name](), name, norm, seed=0, batch_size=N)
    return attack_images(settings, model, Samples(x, y, torch.arange(N)))


def custom(kind, **options) -> Custom:
    return Custom("mine", kind(), **options).eval().requires_grad_(False)


@pytest.mark.parametrize(
    "wrapped", [custom, lambda kind: kind().eval().requires_grad_(False)], ids=["custom", "raw"]
)
@pytest.mark.parametrize("name", ATTACKS)
def test_a_model_that_writes_into_its_input_gives_the_shard_of_its_pure_twin(name, wrapped):
    in_place, pure = IN_PLACE[0]
    found, expected = shard(name, wrapped(in_place)), shard(name, wrapped(pure))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in found)


@pytest.mark.parametrize(("in_place", "pure"), IN_PLACE, ids=lambda model: model.__name__)
def test_so_it_does_however_it_changes_it(in_place, pure):
    found, expected = shard("bim", custom(in_place)), shard("bim", custom(pure))
    for key in found:
        torch.testing.assert_close(found[key], expected[key])


@pytest.mark.parametrize("kind", NONFINITE)
@pytest.mark.parametrize("name", ATTACKS)
def test_an_answer_that_is_not_finite_is_no_adversarial(name, kind):
    model = custom(kind, nonfinite=True)
    found = shard(name, model)
    _, y = drawn(N)
    successful = found["distance"].isfinite()
    predicted = predict_labels(model, found["adversarial"])
    assert torch.equal(predicted, found["adversarial_prediction"])
    assert (predicted >= 0).all()
    assert torch.equal(predicted != y, successful)
    assert (found["nonfinite"] <= found["queries"]).all()


def test_images_that_such_a_model_cannot_classify_are_counted_and_every_label_is_treated_alike():
    class NaNWhereChanged(Plain):
        """Answers in numbers for the clean images alone."""

        def finish(self, logits, x):
            clean = drawn(N)[0].flatten(1)
            known = (x.flatten(1)[:, None] == clean).all(dim=2).any(dim=1)
            return torch.where(known[:, None], logits, torch.nan)

    model = custom(NaNWhereChanged, nonfinite=True)
    for name in ATTACKS:
        found = shard(name, model)
        assert found["distance"].isinf().all(), name
        assert (found["nonfinite"] > 0).all(), name
        assert (found["nonfinite"] <= found["queries"]).all(), name


def test_a_clean_image_of_neither_class_is_misclassified():
    x, y = drawn(N)
    x[2] = 1
    settings = AttackSettings(ATTACKS["fgm"](), "fgm", "l2", seed=0, batch_size=N)
    found = attack_images(settings, custom(NaNWhenBright, nonfinite=True), Samples(x, y, torch.arange(N)))
    assert found["clean_prediction"].tolist() == [0, 1, -1, 3]
    assert found["distance"][2] == 0
    assert found["queries"][2] == 0
    assert torch.equal(found["adversarial"][2], x[2])


@pytest.mark.parametrize("name", ["gaussian_noise", "salt and pepper", "boundary"])
def test_where_it_is_not_declared_the_attack_ends_in_one_line(name):
    class NaNWhenChanged(Plain):
        def finish(self, logits, x):
            return torch.where(x.flatten(1).amax(dim=1, keepdim=True) > 0.99, torch.nan, logits)

    with pytest.raises(InputError, match=r"^mine: its logits are not finite for \d+ of \d+ images"):
        shard(name, custom(NaNWhenChanged))
