"""One attack on a model at hand: the numbers of a job of the workflow, and refusals in one line."""

import math

import numpy as np
import pytest
import torch
from scripts.attacks import run_attack as script
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import absynth
from absynth.data.split_files import read_split, write_split
from absynth.errors import InputError
from absynth.io.records import SHARD, read_record
from absynth.models.custom import Custom
from absynth.norms import distance
from absynth.workflow.at_hand import MODEL, plan_at_hand

N, SHAPE, CLASSES = 7, (2, 5, 4), 3


class Small(nn.Module):
    """A network of two layers with dropout, which evaluation mode turns off."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(math.prod(SHAPE), 12), nn.Tanh(), nn.Dropout(0.5), nn.Linear(12, CLASSES)
        )

    def forward(self, x):
        return self.layers(x)


def reflected(model, x, y, epsilon, norm, generator, *, share=1.0):
    """An attack of a user's own: move towards the inverse image."""
    found = x + share * (1 - 2 * x)
    model(found)
    return found


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Small()


@pytest.fixture
def data(model, tmp_path):
    """Images of a test split and their labels, the first of which is misclassified."""
    pixels = np.random.default_rng(0).integers(0, 256, (N, *SHAPE), dtype=np.uint8)
    model.eval()
    labels = model(torch.from_numpy(pixels).float() / 255).argmax(dim=1)
    model.train()
    labels[0] = (labels[0] + 1) % CLASSES
    write_split(tmp_path / "data" / "test.h5", pixels, labels.numpy(), "toy", "test", n_classes=CLASSES)
    return tuple(map(torch.from_numpy, read_split(tmp_path / "data" / "test.h5")))


def shard(folder, model, name, entry, norm, span, seed):
    """The record that a job of the workflow writes."""
    torch.save(model.state_dict(), folder / "weights.pt")
    plan = plan_at_hand(
        {name: entry}, [norm], {"class": f"{__name__}.Small", "weights": str(folder / "weights.pt")}
    )
    job = {**plan.attack_job(model=MODEL, norm=norm, attack=name, shard="0"), "span": span}
    script.main(
        images=folder / "data" / "test.h5",
        shard=folder / "shard.h5",
        folder=folder,
        job=script.Job(run="toy", seed=seed, **job),
        sources=[],
        checkpoint=folder / "checkpoint.h5",
        device=torch.device("cpu"),
    )
    return read_record(folder / "shard.h5", SHARD)[0]


@pytest.mark.parametrize(
    ("name", "entry", "norm"),
    [
        ("ddn", {"steps": 20}, "l2"),
        ("fmn", {"steps": 20, "batch_size": 2}, "l0"),
        ("gaussian_noise", {"repetitions": 3}, "l2"),
        ("often", {"kind": "salt_pepper", "repetitions": 2}, "l0"),
        (
            "newton",
            {"class": "foolbox.attacks.NewtonFoolAttack", "arguments": {"steps": 3}, "norms": ["l2"]},
            "l2",
        ),
    ],
)
def test_numbers_are_those_of_a_job_of_the_workflow_to_the_bit(tmp_path, model, data, name, entry, norm):
    x, y = data
    expected = shard(tmp_path, model, name, entry, norm, (2, N), 5)
    found = absynth.attack(model, x[2:], y[2:], name, norm, seed=5, index=range(2, N), **entry)
    assert np.isfinite(expected["distance"]).any()
    columns = {
        "label": found.label,
        "clean_prediction": found.clean_prediction,
        "adversarial_prediction": found.prediction,
        "adversarial": found.adversarial,
        "distance": found.distance,
        "queries": found.queries,
        "gradients": found.gradients,
    }
    for column, values in columns.items():
        np.testing.assert_array_equal(values.numpy(), expected[column], err_msg=column)


def test_a_result_is_what_it_says(model, data):
    x, y = data
    found = absynth.attack(model, x, y, "ddn", steps=30)
    model.eval()
    with torch.no_grad():
        assert torch.equal(model(found.adversarial).argmax(dim=1), found.prediction)
    assert found.distance[0] == 0
    assert torch.equal(found.adversarial[0], x[0])
    assert found.success.all()
    assert (found.prediction != y).all()
    assert found.distance.dtype == torch.float64
    assert torch.equal(found.distance, distance(x, found.adversarial, "l2"))
    assert found.queries[0] == 0
    assert (found.gradients[1:] == 30).all()
    assert len(found.frame()) == len(found) == N
    assert repr(found).startswith(f"<Result of ddn in l2: {N} of {N} images misclassified, median distance")


def test_the_model_is_left_as_it_was(model, data):
    model.layers[1].eval()
    model.layers[4].weight.requires_grad_(False)
    modes = [part.training for part in model.modules()]
    learned = [parameter.requires_grad for parameter in model.parameters()]
    absynth.attack(model, *data, "ddn", steps=2)
    with pytest.raises(InputError):
        absynth.attack(model, *data, "ddn", steps=-2)
    assert [part.training for part in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == learned
    assert all(parameter.grad is None for parameter in model.parameters())


def test_arrays_lists_and_functions_do_as_well(model, data):
    x, y = data
    model.eval()
    expected = absynth.attack(model, x, y, "ddn", steps=5)
    found = absynth.attack(lambda images: model(images), x.double().numpy(), y.tolist(), "ddn", steps=5)
    assert torch.equal(found.adversarial, expected.adversarial)
    assert found.adversarial.dtype == torch.float32


def test_a_function_of_ones_own_is_run_whether_given_or_named(model, data):
    given = absynth.attack(model, *data, reflected, arguments={"share": 0.9})
    named = absynth.attack(
        model, *data, "reflected", function=f"{__name__}:reflected", arguments={"share": 0.9}
    )
    assert given.attack == named.attack == "reflected"
    assert torch.equal(given.adversarial, named.adversarial)
    assert given.success.any()


def test_adversarials_known_before_are_started_from(model, data):
    x, y = data
    first = absynth.attack(model, x, y, "ddn", steps=30)
    second = absynth.attack(model, x, y, "boundary", starts=first.adversarial, steps=0, trials=1)
    assert (second.distance <= first.distance).all()


def test_a_transfer_attack_takes_its_substitute_as_it_is(model, data):
    torch.manual_seed(1)
    substitute = Small()
    found = absynth.attack(model, *data, "transfer", substitute=substitute)
    assert found.success.any()
    assert substitute.training


def test_an_attack_within_epsilon_keeps_to_it(model, data):
    found = absynth.attack(model, *data, "apgd_ce", "linf", epsilon=0.2, steps=10)
    assert found.success.any()
    assert (found.distance[found.success] <= 0.2 + 1e-6).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"attack": "dnn"}, r"^attacks\.dnn: unknown; did you mean ddn\?"),
        ({"attack": "ddn", "norm": "linf"}, "^ddn: norm 'linf'; it minimises l2$"),
        ({"norm": "l3"}, "^norm: found 'l3'; allowed are l2, linf, l0$"),
        ({"norm": "L2"}, r"^norm: found 'L2'; did you mean 'l2'\? allowed are l2, linf, l0$"),
        ({"norm": 2}, r"^norm: found 2; did you mean 'l2'\? allowed are l2, linf, l0$"),
        ({"steps": -1}, r"^attacks\.ddn\.steps: found -1, allowed is 1 or more$"),
        ({"stepz": 1}, r"^attacks\.ddn\.stepz: unknown; did you mean steps\?"),
        ({"attack": "latent_descent"}, "needs a model with latents"),
        ({"attack": "flips"}, "needs a model with input threshold"),
        ({"attack": "transfer"}, "substitute is missing"),
        ({"substitute": nn.Identity()}, "^ddn: takes no substitute$"),
        ({"attack": "apgd_ce"}, "epsilon is missing"),
        ({"attack": "foolbox.attacks.Nix"}, "no such class"),
        ({"attack": "foolbox.attacks.LInfFMNAttack"}, "minimises the Linf distance"),
        ({"attack": "nowhere:attack"}, "cannot be imported"),
        ({"attack": lambda model: None}, r"expected \(model, x, y, epsilon, norm, generator\)"),
        ({"model": 3}, "^model: found int"),
        ({"model": Small}, r"^model: found the class Small, expected an instance, Small\(…\)$"),
        ({"model": lambda x: (x, x)}, "<lambda> returns a tuple, expected logits"),
        ({"model": lambda x: x.flatten(1).argmax(dim=1)}, r"<lambda> returns \(1,\), expected logits"),
        ({"model": lambda x: x.flatten(1) > 0}, r"<lambda> returns torch\.bool, expected logits"),
        ({"model": nn.Identity()}, r"Identity returns \(1, 2, 5, 4\), expected logits \(1, classes\)$"),
        ({"x": torch.zeros(N, *SHAPE, dtype=torch.uint8)}, "divide them by 255"),
        ({"x": 2 * torch.ones(N, *SHAPE)}, "pixels from 2 to 2"),
        ({"x": 255 * torch.ones(N, *SHAPE)}, "pixels from 255 to 255, .* divide them by 255$"),
        (
            {"x": TensorDataset(torch.ones(N, *SHAPE), torch.ones(N))},
            "^x: found a TensorDataset that is no array of numbers",
        ),
        ({"x": DataLoader(torch.ones(N, *SHAPE))}, "^x: found a DataLoader"),
        ({"y": list("abcdefg")}, "^y: found a list that is no array of numbers"),
        ({"x": torch.ones(N, 20)}, r"shape \(7, 20\)"),
        ({"x": torch.ones(0, *SHAPE), "y": []}, "^x: there is no image"),
        ({"x": torch.ones(N, 1, 5, 4)}, "forward pass fails"),
        ({"y": torch.full((N,), 3)}, "^y: found label 3, allowed are the classes 0 to 2 of Small$"),
        ({"y": torch.full((N,), -1)}, "^y: found label -1"),
        ({"y": torch.ones(N)}, "expected integers"),
        ({"y": [0, 1]}, r"shape \(2,\), expected \(7,\)"),
        ({"index": [1]}, "^index: expected 7 integers"),
        ({"starts": torch.ones(2, 2)}, r"^starts: have shape \(2, 2\)"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_attacked_is_refused_in_one_line(model, data, change, said):
    given = {"model": model, "x": data[0], "y": data[1], **change}
    with pytest.raises(InputError, match=said) as caught:
        absynth.attack(given.pop("model"), given.pop("x"), given.pop("y"), **given)
    assert "\n" not in str(caught.value)


def test_a_model_without_gradients_is_told_from_attacks_that_need_them(model, data):
    def decided(x):
        return model.eval()(x).detach()

    with pytest.raises(InputError, match="ddn: needs a model with gradients"):
        absynth.attack(decided, *data, "ddn")
    assert absynth.attack(decided, *data, "gaussian_noise", repetitions=1).success.any()


def test_a_models_own_fault_is_named_as_in_the_workflow(data):
    class Faulty(Small):
        def forward(self, x):
            return super().forward(x) * (x.mean() > 2).float().log()

    with pytest.raises(
        InputError, match=r"^Faulty: its logits are not finite .* in its entry of a run's config"
    ):
        absynth.attack(Faulty(), *data)


def test_a_model_that_answers_by_chance_or_by_its_batch_is_refused_as_in_the_workflow(model, data):
    class Noisy(Small):
        def forward(self, x):
            return super().forward(x + 0.03 * torch.randn_like(x))

    class Centred(Small):
        def forward(self, x):
            return super().forward(x - x.mean(dim=0)) if len(x) > 1 else super().forward(x)

    with pytest.raises(
        InputError, match=r"^Noisy: gives the same images other answers when it is asked again"
    ):
        absynth.attack(Noisy(), *data)
    with pytest.raises(InputError, match=r"^Centred: answers otherwise for an image alone"):
        absynth.attack(Centred(), *data)


def test_a_class_masked_below_what_float32_holds_changes_nothing(model, data):
    class Masked(nn.Module):
        def forward(self, x):
            logits = model(x).double()
            return torch.cat([logits, torch.full_like(logits[:, :1], torch.finfo(torch.float64).min)], dim=1)

    model.eval()
    masked, plain = (absynth.attack(one, *data, "ddn", steps=50).distance for one in (Masked(), model))
    torch.testing.assert_close(masked, plain, rtol=1e-3, atol=0)


def test_an_exported_program_is_attacked_as_the_module_that_it_was_made_of(model, data):
    n = torch.export.Dim("n")
    program = torch.export.export(model.eval(), (data[0][:2],), dynamic_shapes=({0: n},)).module()
    exported, plain = (absynth.attack(one, *data, "ddn", steps=5).distance for one in (program, model))
    torch.testing.assert_close(exported, plain)
    assert program.training  # as it was


def test_a_model_that_is_guarded_already_is_asked_as_it_is(model, data):
    guarded = Custom("mine", model.eval())
    found = absynth.attack(guarded, *data, "ddn", steps=5)
    assert torch.equal(found.adversarial, absynth.attack(model, *data, "ddn", steps=5).adversarial)
