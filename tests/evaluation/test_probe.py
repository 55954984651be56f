"""The probe refuses models that cannot be evaluated, in words, and lets others pass."""

import json
import random
import re
import time

import numpy as np
import pytest
import torch
import users_models
from scripts.models import probe_model
from users_models import (
    IN_PLACE,
    NO_GRADIENT,
    NONFINITE,
    NONFINITE_GRADIENTS,
    OF_BATCH,
    PREPARED,
    RANDOM,
    WRONG_ANSWERS,
    ZERO_GRADIENT,
    Plain,
    drawn,
    returning,
)

from absynth.data.format import PAPER
from absynth.data.split_files import write_split
from absynth.errors import InputError
from absynth.evaluation.probe import Probe, probe
from absynth.evaluation.probe_checks import Subject
from absynth.models.building import build
from absynth.models.cnn import CNN
from absynth.models.custom import Custom
from absynth.models.expectation import Expectation
from absynth.models.nearest_neighbor import NearestNeighbor

SOUND = ["Plain", "Binarises", "Masks", "Normalises", "Double", "Half", "Compiled"]


def probed(
    kind, *, gradients: bool = True, nonfinite: bool = False, draws: int = 0, binarises: bool | None = None
) -> Probe:
    module = Expectation(kind(), draws) if draws else kind()
    model = Custom("mine (a.Net)", module, nonfinite=nonfinite, format=PAPER).eval().requires_grad_(False)
    declared = model.input_threshold is not None if binarises is None else binarises
    return probe(Subject("mine (a.Net)", model, gradients, binarises=declared), *drawn())


def refused(kind, message: str, **options) -> None:
    """The probe refuses the model in one line that begins with its name."""
    with pytest.raises(InputError, match=rf"^probe: mine \(a\.Net\):? {message}") as caught:
        probed(kind, **options)
    assert str(caught.value).count("mine (a.Net)") == 1


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch's own, while it compiles
@pytest.mark.parametrize("name", SOUND)
def test_sound_models_pass_without_a_word(name):
    found = probed(getattr(users_models, name))
    assert (found.accuracy, found.n, found.warnings) == (1, 30, [])


def test_it_leaves_the_generator_and_the_images_alone():
    x, y = drawn()
    before, state = x.clone(), torch.random.get_rng_state()
    model = Custom("mine", users_models.MasksInPlace()).eval().requires_grad_(False)
    first = probe(Subject("mine", model), x, y)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(x, before)
    assert probe(Subject("mine", model), x, y) == first


@pytest.mark.parametrize("kind", [kind for kind, _ in IN_PLACE])
def test_a_model_that_changes_its_input_is_warned_of(kind):
    assert "changes the images that it is handed in place" in probed(kind).warnings[0]


@pytest.mark.parametrize("name", WRONG_ANSWERS)
def test_answers_that_are_no_logits(name):
    change, message = WRONG_ANSWERS[name]
    sizes = message.replace(r"\(2", r"\(35").replace(r"\(10, 2\)", r"\(10, 35\)")
    refused(returning(change), sizes)


@pytest.mark.parametrize("kind", NONFINITE)
def test_answers_that_are_not_finite_name_the_input(kind):
    refused(kind, "its logits are not finite for the white image; .* nonfinite: true")
    found = probed(kind, nonfinite=True)
    assert found.accuracy == 1
    assert found.warnings == ["answers 1 of 35 images with logits that are not finite, as the white image"]


def test_division_by_the_deviation_of_a_uniform_image():
    refused(users_models.DividesByDeviation, "its logits are not finite for the black image and 2 more of 35")


@pytest.mark.parametrize("kind", NONFINITE_GRADIENTS)
def test_gradients_that_are_not_finite(kind):
    refused(
        kind, "its gradients are not finite for (test image 0|the black image).* such gradients count as 0"
    )


@pytest.mark.parametrize("kind", RANDOM)
def test_a_model_that_answers_at_random(kind):
    refused(kind, "gives the same images other answers when it is asked again .*or write random: true")


@pytest.mark.parametrize(
    "kind", [users_models.DropsAlways, users_models.AddsNoise, users_models.SamplesPixels]
)
def test_a_declared_random_model_is_asked_in_expectation(kind):
    warnings = probed(kind, draws=8).warnings
    assert len(warnings) == 1
    assert "mean of its probabilities over 8 fixed draws; 8 others classify 0 of 30" in warnings[0]


@pytest.mark.parametrize(
    "kind", [users_models.NumpyNoise, users_models.OwnGenerator, users_models.DropsOnEveryOtherCall]
)
def test_random_numbers_that_no_seed_fixes_are_refused_though_declared(kind):
    refused(kind, "gives the same images other answers .*random: true fixes the random numbers", draws=3)


@pytest.mark.parametrize(
    "kind", [users_models.Threshold, users_models.ThresholdOfDouble, users_models.MixedDtypes]
)
def test_thresholds_and_dtypes_that_are_handled_pass(kind):
    assert probed(kind).warnings == []


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("SaysThresholdOnly", "binarised there"),
        ("ThresholdExclusive", "binarised there|moved to"),
        ("ThresholdElsewhere", "binarised there|moved to"),
    ],
)
def test_a_threshold_that_is_not_where_the_model_binarises(name, what):
    refused(
        getattr(users_models, name), rf"its input_threshold is 0\.5, but images whose pixels are .*({what})"
    )


def test_what_the_config_says_of_a_threshold_is_compared():
    refused(Plain, "binarises: true stands in its config entry, but it has no attribute", binarises=True)
    (warning,) = probed(users_models.Threshold, binarises=False).warnings
    assert "write binarises: true in its entry" in warning


def test_a_model_that_nothing_puts_in_evaluation_mode():
    refused(
        users_models.NeverEvaluates, r"stays in training mode \(the model\) after eval\(\) was called on it"
    )


def test_a_model_without_any_finite_answer():
    refused(
        users_models.AlwaysNaN, "answers every test image with logits that are not finite", nonfinite=True
    )


def test_gradients_that_vanish_when_squared_are_named():
    assert any(
        "multiply its logits by a constant" in warning for warning in probed(users_models.Tiny).warnings
    )


def test_classes_that_share_the_highest_logit_are_named():
    warnings = probed(users_models.FarFromZeroInFloat32).warnings
    assert any("gives the highest logit to two classes at once on" in warning for warning in warnings)
    assert probed(users_models.FarFromZero).warnings == []


def test_a_model_that_is_declared_random_and_is_not():
    (warning,) = probed(Plain, draws=4).warnings
    assert "no draw changes its answers: leave random out" in warning


@pytest.mark.parametrize("mask", [-1e4, -1e9])
def test_noise_beside_logits_of_masked_classes_is_refused(mask):
    class Noisy(Plain):
        def finish(self, logits, x):
            noisy = logits + 0.02 * logits.detach().std() * torch.randn(len(x), 10)
            return noisy.masked_fill(torch.arange(10) == 3, mask)

    refused(Noisy, "gives the same images other answers when it is asked again")


@pytest.mark.parametrize("mask", [-1e4, -1e9])
def test_answers_that_depend_on_the_batch_beside_masked_classes_are_refused(mask):
    class Batched(Plain):
        def finish(self, logits, x):
            mixed = logits + 0.05 * (logits - logits.mean(dim=0))
            return mixed.masked_fill(torch.arange(10) == 3, mask)

    refused(Batched, "answers otherwise for an image alone than for the same image in a batch")


def test_noise_below_what_verification_takes_for_a_tie_is_refused_as_well():
    class Faint(Plain):
        def finish(self, logits, x):
            return logits + 2e-5 * logits.detach().amax() * torch.rand(len(x), 10)

    refused(Faint, "gives the same images other answers when it is asked again")


@pytest.mark.parametrize(("name", "part"), [("TrainsWhenAsked", "the model"), ("TrainsItsNorm", "norm")])
def test_a_model_that_trains_when_asked(name, part):
    refused(getattr(users_models, name), rf"switches itself to training mode when it is asked \({part}\)")


def test_state_of_any_kind_is_compared():
    assert probed(users_models.OddState).warnings == []
    refused(users_models.UpdatesSparse, r"changes itself when it is asked \(its sparse\)")


def test_a_model_that_changes_itself_when_asked():
    refused(users_models.UpdatesItsBuffer, r"changes itself when it is asked \(its asked\)")


@pytest.mark.parametrize("kind", OF_BATCH)
def test_an_answer_that_depends_on_the_batch(kind):
    refused(kind, "answers otherwise for an image alone than for the same image in a batch")


@pytest.mark.parametrize("kind", ZERO_GRADIENT)
def test_a_gradient_of_zero_must_be_declared(kind):
    refused(kind, "its gradient with respect to the images is zero for every image.* gradients: false")
    assert probed(kind, gradients=False).accuracy == 1


@pytest.mark.parametrize("kind", NO_GRADIENT)
def test_a_gradient_that_is_not_there_must_be_declared(kind):
    refused(kind, "its logits have no gradient with respect to the images.* gradients: false")
    assert probed(kind, gradients=False).accuracy == 1


def test_a_gradient_that_is_zero_for_most_images_is_warned_of():
    class Flat(Plain):
        def finish(self, logits, x):
            return torch.where(torch.arange(10)[logits.argmax(dim=1)][:, None] > 2, logits.detach(), logits)

    assert probed(Flat).warnings == ["its gradient is zero for 21 of 30 test images"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Fails", r"its forward pass fails \(KeyError: 'scale', users_models\.py line \d+\)"),
        ("FailsOnSmallBatches", r"its forward pass fails \(IndexError: .*, users_models\.py line \d+\)"),
        (
            "TakesGradientsItself",
            r"its forward pass fails \(RuntimeError: element 0 of tensors does not require grad",
        ),
        (
            "AnswersOtherwiseWithGradients",
            r"answers otherwise under torch\.enable_grad\(\) than under torch\.no_grad",
        ),
    ],
)
def test_a_forward_pass_that_fails_or_differs_in_some_mode(name, message):
    refused(getattr(users_models, name), message)


@pytest.mark.parametrize("kind", PREPARED)
def test_images_as_the_model_expects_them_are_hinted_at(kind):
    warnings = probed(kind).warnings
    assert any("near chance" in warning for warning in warnings)
    assert re.search(
        rf"classifies \d+% of the images correctly {PREPARED[kind]}, but \d+% as they are: ", warnings[-1]
    )


def test_models_of_the_library_pass():
    x, y = drawn()
    torch.manual_seed(0)
    neighbor = NearestNeighbor(x.flatten(1), y).eval()
    found = probe(Subject("nearest_neighbor", neighbor), x, y)
    assert (found.accuracy, found.warnings) == (1, [])
    untrained = probe(Subject("cnn", CNN().eval().requires_grad_(False)), x, y)
    assert "near chance" in untrained.warnings[0]


def test_the_file_of_a_probe_stays_as_it_is(tmp_path):
    x, y = drawn(40)
    write_split(
        tmp_path / "test.h5",
        (x[:, 0] * 255).round().to(torch.uint8).numpy(),
        y.numpy().astype(np.uint8),
        "toy",
        "test",
    )
    torch.save(users_models.MasksInPlace().state_dict(), tmp_path / "net.pt")
    options = {"class": "users_models.MasksInPlace", "weights": str(tmp_path / "net.pt")}
    spec = {"builder": "absynth.models.custom:build_custom", "options": options, "weights": []}
    written = []
    for _ in range(2):
        began = time.monotonic()
        probe_model.main(
            images=tmp_path / "test.h5", output=tmp_path / "probe.json", folder=tmp_path, spec=spec, name="mine",
            gradients=True, binarises=False, n=100, device=torch.device("cpu"),
        )  # fmt: skip
        assert time.monotonic() - began < 5
        written.append((tmp_path / "probe.json").read_bytes())
    assert written[0] == written[1]
    content = json.loads(written[0])
    assert (content["model"], content["accuracy"], content["n"], len(content["warnings"])) == (
        "mine",
        1,
        40,
        1,
    )


@pytest.mark.parametrize(
    ("name", "whose"), [("SeedsTorch", "torch"), ("SeedsNumpy", "numpy"), ("SeedsPython", "Python")]
)
def test_a_model_that_seeds_when_asked(name, whose):
    before = np.random.get_state()[1].tolist(), random.getstate()
    refused(getattr(users_models, name), f"seeds the random numbers of {whose} when it is asked")
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before or name in (
        "SeedsNumpy",
        "SeedsPython",
    )


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("SwitchesGradientsOff", "torch's grad mode to False"),
        ("SetsDefaultDtype", r"torch's default dtype to torch\.float64"),
    ],
)
def test_a_model_that_sets_something_for_the_process_when_asked(name, setting):
    try:
        refused(getattr(users_models, name), f"sets {setting} for the whole process when it is asked")
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.is_grad_enabled()


def test_a_buffer_made_when_first_asked_is_sound_and_one_taken_away_is_not():
    assert probed(users_models.CachesBuffer).warnings == []
    refused(users_models.DropsBuffer, r"changes itself when it is asked \(its once\)")


@pytest.mark.parametrize("name", ["AdaptsToGradients", "RemembersTheMean"])
def test_a_model_that_remembers(name):
    refused(getattr(users_models, name), "(gives the same images other answers once|answers otherwise)")


def test_answers_that_depend_on_whether_gradients_are_required():
    refused(users_models.SmoothForGradients, "answers otherwise for images that require gradients")
    assert probed(users_models.SmoothForGradients, gradients=False).warnings == []


def test_gradients_with_noise_are_warned_of():
    (warning,) = probed(users_models.NoisyGradients).warnings
    assert warning.startswith("gives other gradients when they are asked for again")


def test_a_model_that_takes_views_gets_its_hint_as_well():
    assert probed(users_models.ViewsOnly).warnings == []
    assert "once they are with rows and columns swapped" in probed(users_models.Views).warnings[-1]


def test_probabilities_are_warned_of():
    (warning,) = probed(users_models.Probabilities).warnings
    assert warning.startswith("answers with probabilities, it seems")


@pytest.mark.parametrize(("name", "image"), [("CropsToInk", "black"), ("FailsOnWhite", "white")])
def test_a_failure_at_one_image_names_it(name, image):
    refused(getattr(users_models, name), rf"its forward pass fails \(.*\), for the {image} image$")


def test_a_threshold_that_cannot_be_read():
    with pytest.raises(
        InputError, match=r"^mine \(a\.Net\): its input_threshold cannot be read \(ValueError: not set yet"
    ):
        probed(users_models.ThresholdThatFails)


def test_images_on_another_scale_are_hinted_at():
    class Sharp(Plain):
        def finish(self, logits, x):
            return (8 * (x.flatten(1) - 0.6)).sigmoid() @ self.weight.T - torch.arange(10) / 100

    x, y = drawn()
    x = x / x.amax()
    model = Custom("mine", Sharp()).eval().requires_grad_(False)
    assert probe(Subject("mine", model), x, y).accuracy == 1
    warnings = probe(Subject("mine", model), x / 16, y).warnings
    assert "once they are divided by their brightest pixel" in warnings[-1]
    assert "rescale the data set's images" in warnings[-1]


def test_classes_in_another_order_are_hinted_at():
    warnings = probed(users_models.CountsFromOne).warnings
    assert "near chance" in warnings[0]
    assert "if its classes are taken in another order (0 for 9, 1 for 0, 2 for 1," in warnings[1]


def test_a_guess_of_the_order_of_classes_needs_more_than_a_few_images_by_luck():
    class Guesses(Plain):
        def finish(self, logits, x):
            return (1e4 * logits).sin()

    assert not any("another order" in warning for warning in probed(Guesses).warnings)


def test_a_model_whose_train_is_no_switch_is_refused_as_it_is_built(tmp_path):
    torch.save(Plain().state_dict(), tmp_path / "net.pt")
    options = {"class": "users_models.TrainsItself", "weights": str(tmp_path / "net.pt"), "name": "mine"}
    spec = {"builder": "absynth.models.custom:build_custom", "options": options, "weights": []}
    with pytest.raises(
        InputError,
        match=r"^mine \(users_models\.TrainsItself\): its eval\(\) fails \(TypeError: .*other names than eval",
    ):
        build(spec, tmp_path)
