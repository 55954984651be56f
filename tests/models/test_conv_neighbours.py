"""Logits of images that differ in one pixel, against the whole network's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from absynth.attacks.estimation import fgm_ge
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.data.format import PAPER
from absynth.errors import InputError
from absynth.models.base import StatelessSession, start_session
from absynth.models.building import ModelFiles
from absynth.models.cnn import NETWORKS, Classifier
from absynth.models.conv_neighbours import ConvNeighbours, ConvSession, layers_of
from absynth.models.layers import ConvStack
from absynth.models.weights import save_weights


def settled(network: nn.Module) -> nn.Module:
    """In evaluation mode, with batch norms that have seen something."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.05, 0.2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return network.eval().requires_grad_(False)


def every_pixel(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For each pixel of images (m, c, h, w) a neighbour: its image, its row and column, what is added to it."""
    m, channels, height, width = images.shape
    owner = torch.arange(m).repeat_interleave(height * width)
    pixel = torch.cartesian_prod(torch.arange(height), torch.arange(width)).repeat(m, 1)
    return owner, pixel, torch.randn(len(owner), channels, dtype=images.dtype)


def changed(images, owner, pixel, change):
    neighbours = images[owner].clone()
    neighbours[torch.arange(len(owner)), :, pixel[:, 0], pixel[:, 1]] += change
    return neighbours


def agree(stack: nn.Module, images: torch.Tensor) -> None:
    owner, pixel, change = every_pixel(images)
    whole = stack(changed(images, owner, pixel, change)).flatten(1)
    near = ConvNeighbours.of(layers_of(stack, images.shape[-1]), images).logits(owner, pixel, change)
    torch.testing.assert_close(near, whole, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_a_stack_of_any_shape_answers_as_a_whole(data, seed):
    torch.manual_seed(seed)
    size = data.draw(st.integers(3, 14), "size")
    left, kernels, strides = size, [], []
    for _ in range(data.draw(st.integers(1, 4), "depth")):
        kernels.append(data.draw(st.integers(1, min(5, left)), "kernel"))
        strides.append(data.draw(st.integers(1, 3), "stride"))
        left = (left - kernels[-1]) // strides[-1] + 1
    channels = tuple(data.draw(st.integers(1, 3), "channels") for _ in range(len(kernels) + 1))
    stack = ConvStack(channels=channels, kernels=tuple(kernels), strides=tuple(strides))
    agree(settled(stack.double()), torch.rand(2, channels[0], size, size, dtype=torch.float64))


@pytest.mark.parametrize("name", ["cnn", "binary_cnn", "substitute"])
def test_the_networks_of_the_paper_answer_as_a_whole(name):
    torch.manual_seed(1)
    agree(settled(NETWORKS[name](PAPER).double()), torch.rand(2, *PAPER.shape, dtype=torch.float64))


def classifier(tmp_path, *, binary: bool) -> Classifier:
    torch.manual_seed(2)
    save_weights(tmp_path / "weights.pt", settled(NETWORKS["cnn"](PAPER)))
    return (
        Classifier("cnn", ModelFiles((tmp_path / "weights.pt",)), binary=binary).eval().requires_grad_(False)
    )


@pytest.mark.parametrize("binary", [False, True])
def test_a_session_answers_for_neighbours_as_the_model_does(tmp_path, binary):
    model = classifier(tmp_path, binary=binary)
    x = torch.rand(5, *PAPER.shape)
    session = start_session(model, torch.zeros_like(x), torch.zeros(5))
    assert isinstance(session, ConvSession)
    rows = torch.tensor([3, 1])
    session.logits(x[rows], rows)
    near = session.neighbour_logits(x[rows], rows)
    session.logits(x[:2], torch.tensor([1, 3]))  # later queries change nothing
    neighbours = x[rows].repeat(3, 1, 1, 1)
    neighbours[:2, 0, 27, 3] = 1 - neighbours[:2, 0, 27, 3]
    neighbours[2:4, 0, :3] = 1 - neighbours[2:4, 0, :3]  # more pixels than one
    torch.testing.assert_close(
        near(neighbours, torch.tensor([0, 1]).repeat(3)), model(neighbours), rtol=1e-4, atol=1e-4
    )


def asked_as_a_whole(model) -> list[int]:
    """Filled with the numbers of images that the model's whole network is asked for from now on."""
    whole: list[int] = []
    model.network.register_forward_hook(lambda _, images, logits: whole.append(len(logits)))
    return whole


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("blocks", [1, 3, 4, 6])
def test_single_changes_of_queries_with_gradients_share_their_work(tmp_path, binary, blocks):
    model = classifier(tmp_path, binary=binary)
    x = torch.rand(blocks * 2, *PAPER.shape)
    session, rows = model.start_session(torch.zeros(3, *PAPER.shape), torch.zeros(3)), torch.tensor([2, 0])
    session.logits(x.clone().requires_grad_(), rows.repeat(blocks))
    changed_once, changed_twice = x.clone(), x.clone()
    changed_once[:, 0, 4, 20] = 1 - x[:, 0, 4, 20]
    changed_twice[:, 0, 4:6, 20] = 1 - x[:, 0, 4:6, 20]
    expected = model(torch.cat([x, changed_once, changed_twice]))
    whole = asked_as_a_whole(model)
    for _ in range(2):
        queries = torch.cat([x, changed_once, changed_twice])
        found = session.logits(queries, rows.repeat(3 * blocks))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert whole == [len(x) + 2 * 2 * max(0, blocks - 4)] * 2  # of six an image the last four are remembered
    other = session.logits(changed_once[:1], torch.tensor([1]))  # of a row that was asked for nothing
    torch.testing.assert_close(other, expected[len(x), None], rtol=1e-4, atol=1e-4)
    assert whole[2:] == [1]


def test_later_queries_take_the_place_of_the_first(tmp_path):
    model = classifier(tmp_path, binary=False)
    x = torch.rand(7, *PAPER.shape)
    session, row = model.start_session(torch.zeros_like(x[:1]), torch.zeros(1)), torch.tensor([0])
    for image in x:
        session.logits(image[None].clone().requires_grad_(), row)
        session.logits(image[None], row)
    whole = asked_as_a_whole(model)
    torch.testing.assert_close(session.logits(x, row.repeat(7)), model(x), rtol=1e-4, atol=1e-4)
    assert whole == [3, 7]  # the first three, and the test's own


def test_images_outside_the_box_are_refused(tmp_path):
    model = classifier(tmp_path, binary=False)
    x = torch.rand(1, *PAPER.shape)
    session, row = model.start_session(x, torch.zeros(1)), torch.tensor([0])
    session.logits(x.clone().requires_grad_(), row)
    x[0, 0, 3, 3] = 1.5
    with pytest.raises(InputError, match=r"allowed is \[0, 1\]"):
        session.logits(x, row)


def test_networks_of_other_layers_and_those_in_training_are_asked_as_a_whole(tmp_path):
    model = classifier(tmp_path, binary=False)
    assert type(model.train().start_session(torch.rand(1, *PAPER.shape), torch.zeros(1))) is StatelessSession
    save_weights(tmp_path / "madry.pt", NETWORKS["madry"](PAPER))
    madry = Classifier("madry", ModelFiles((tmp_path / "madry.pt",))).eval()
    assert type(madry.start_session(torch.rand(1, *PAPER.shape), torch.zeros(1))) is StatelessSession


def hooked(module):
    module.register_forward_hook(lambda _, images, logits: logits + 1)


def instead_of_its_own(model):
    model.forward = lambda x: model.network(x) + 1


class Louder(Classifier):
    def forward(self, x):
        return super().forward(x) + 1


CHANGES = {
    "a hook": hooked,
    "a hook on its network": lambda model: hooked(model.network),
    "a hook on a layer": lambda model: hooked(model.network.conv_1),
    "another forward": instead_of_its_own,
    "a subclass": lambda model: setattr(model, "__class__", Louder),
    "a network in training": lambda model: model.network.train(),
    "no batch norm": lambda model: setattr(model.network, "bn_0", nn.Identity()),
    "batch norms without statistics": lambda model: setattr(
        model.network, "bn_0", nn.BatchNorm2d(20, track_running_stats=False).eval()
    ),
    "no bias": lambda model: setattr(model.network.conv_0, "bias", None),
    "padding": lambda model: setattr(model.network.conv_3, "padding", (1, 1)),
    "groups": lambda model: setattr(model.network, "conv_1", nn.Conv2d(20, 70, 4, 2, groups=10).eval()),
    "another kind of layer": lambda model: setattr(
        model.network, "conv_1", nn.Sequential(model.network.conv_1)
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_networks_that_were_changed_are_asked_as_a_whole(tmp_path, change):
    model = classifier(tmp_path, binary=False)
    CHANGES[change](model)
    x = torch.rand(1, *PAPER.shape)
    session, row = start_session(model, x, torch.zeros(1)), torch.tensor([0])
    if not model.network.training:
        session.logits(x.clone().requires_grad_(), row)
        torch.testing.assert_close(session.logits(x, row), model(x), rtol=0, atol=0)
    assert type(session) is StatelessSession


def test_a_refused_query_leaves_no_trace(tmp_path):
    model = classifier(tmp_path, binary=False)
    x = torch.rand(1, *PAPER.shape)
    session, row = model.start_session(x, torch.zeros(1)), torch.tensor([0])
    damaged = x.clone()
    damaged[0, 0, 3, 3] = torch.nan
    for refused in (damaged, x[..., :20]):
        with pytest.raises(InputError, match="images"):
            session.logits(refused.clone().requires_grad_(), row)
    torch.testing.assert_close(session.logits(x, row), model(x), rtol=0, atol=0)


def test_queries_may_be_changed_after_they_were_asked(tmp_path):
    model = classifier(tmp_path, binary=False)
    x = torch.rand(1, *PAPER.shape)
    session, row = model.start_session(x, torch.zeros(1)), torch.tensor([0])
    neighbour, query = x.clone(), x.clone()
    neighbour[0, 0, 5, 5] = 1 - x[0, 0, 5, 5]
    near = session.neighbour_logits(query, row)
    query.zero_()
    torch.testing.assert_close(near(neighbour, row), model(neighbour), rtol=1e-4, atol=1e-4)


def test_queries_within_inference_mode_and_outside_of_it_share_a_session(tmp_path):
    model = classifier(tmp_path, binary=False)
    x = torch.rand(2, *PAPER.shape)
    session, rows = model.start_session(x, torch.zeros(2)), torch.tensor([0, 1])
    session.logits(x.clone().requires_grad_(), rows)
    with torch.inference_mode():
        session.logits(x[:1], rows[:1])
    torch.testing.assert_close(session.logits(x, rows), model(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("binary", [False, True])
def test_an_attack_by_estimates_finds_what_it_finds_with_the_whole_network(tmp_path, binary):
    model = classifier(tmp_path, binary=binary)
    x = torch.rand(3, *PAPER.shape)
    y = model(x).argmax(dim=1)
    targets = [Target(model, x, y, "l2", session=session) for session in (None, StatelessSession(model))]
    for target in targets:
        fgm_ge("l2")(target, SampleRandom(0, "fgm_ge", [0, 1, 2], x.device))
    torch.testing.assert_close(targets[0].best_distance, targets[1].best_distance, rtol=1e-2, atol=0)
    assert targets[0].queries.tolist() == targets[1].queries.tolist()
