"""Answers from short lists against all energies: sessions answer to the bit as their model does."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from absynth.attacks.boundary import boundary
from absynth.attacks.estimation import fgm_ge
from absynth.attacks.minimum_norm import ddn
from absynth.attacks.pointwise import pointwise
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.data.format import DataFormat
from absynth.errors import InputError
from absynth.models import decisions, quantized, row_lists, shortlist_session
from absynth.models.base import StatelessSession, predict_labels, start_session
from absynth.models.least_energy import LeastEnergy
from absynth.models.metric import Metric
from absynth.models.nearest_neighbor import NearestNeighbor
from absynth.models.prototypes import PrototypeABS
from absynth.models.quantized import Quantized

SMALL = DataFormat((2, 3, 5), 4)  # rows differ in number from columns, and there are two channels


def drawn(n: int, d: int, levels: int, generator: torch.Generator) -> Tensor:
    """Random images (n, d) of so many intensities: few make ties, one in eight is there twice."""
    images = torch.randint(0, levels + 1, (n, d), generator=generator) / levels
    images[1::8] = images[: len(images[1::8])]
    return images


def neighbours(levels: int, generator: torch.Generator) -> NearestNeighbor:
    images = drawn(80, 30, levels, generator)
    labels = torch.cat([torch.arange(4), torch.randint(0, 4, (76,), generator=generator)])
    return NearestNeighbor(images, labels, SMALL).eval()


def prototypes(levels: int, generator: torch.Generator) -> PrototypeABS:
    images = drawn(60, 784, levels, generator)
    offsets = torch.randint(0, 3, (60,), generator=generator) * torch.rand(1, generator=generator)
    return PrototypeABS(images, offsets, torch.tensor([1, 2, 3, 4, 5, 5, 10, 10, 10, 10])).eval()


def walks(model: LeastEnergy, levels: int, generator: torch.Generator):
    """Batches of queries near three images, in random order, with their rows: small steps, large ones, and ties."""
    start = drawn(3, model.images.shape[1], levels, generator)
    current = start.clone()
    for step in range(12):
        rows = torch.randint(0, 3, (int(torch.randint(0, 6, (), generator=generator)),), generator=generator)
        size = 10.0 ** torch.randint(-6, 1, (len(rows), 1), generator=generator)
        noise = torch.randn(len(rows), current.shape[1], generator=generator) * size
        sparse = torch.rand(noise.shape, generator=generator) < (0.1 if step % 2 else 1.0)
        queries = (current[rows] + noise * sparse).clamp(0, 1)
        if step % 4 == 3:  # halfway between images of the model, and on one
            pair = model.images[torch.randint(0, len(model.images), (2, len(rows)), generator=generator)]
            queries = pair.mean(dim=0) if step % 8 == 3 else pair[0]
        for row, query in zip(rows, queries, strict=True):
            current[row] = query
        yield queries.view(-1, *model.shape), rows


def nearest_of_all(model: LeastEnergy, x: Tensor) -> Tensor:
    """The position (n, C) of the image of each class whose energy, as computed, is the least; the first of equals."""
    places = torch.arange(len(model.images)).expand(len(x), -1)
    energies = model.energies(x[:, None], places)
    ends = torch.tensor(model.counts).cumsum(0).tolist()
    found = [
        energies[:, end - count : end].argmin(dim=1) + end - count
        for end, count in zip(ends, model.counts, strict=True)
    ]
    return torch.stack(found, dim=1)


@pytest.mark.parametrize("build", [neighbours, prototypes])
@pytest.mark.parametrize(
    ("long", "short", "of_class", "work"),
    [(1024, (64, 256), 64, 8000), (30, (3, 9), 2, 25), (2, (1,), 1, 3)],
)
@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 2**32), levels=st.sampled_from([1, 2, 255]))
def test_sessions_answer_as_all_energies_do(build, long, short, of_class, work, seed, levels):
    generator = torch.Generator().manual_seed(seed)
    model = build(levels, generator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_lists, "_LONG", long)
        patch.setattr(row_lists, "_SHORT", short)
        patch.setattr(decisions, "_QUERIES", 2)
        patch.setattr(decisions, "_LOOKED_UP", 4)
        patch.setattr(shortlist_session, "_OF_CLASS", of_class)
        patch.setattr(shortlist_session, "_WORK", work)
        patch.setattr(shortlist_session, "_LOOKED_UP", 3)
        session = model.start_session(torch.zeros(3, *model.shape), torch.zeros(3))
        for queries, rows in walks(model, levels, generator):
            assert torch.equal(model.nearest(queries.flatten(1)), nearest_of_all(model, queries.flatten(1)))
            assert torch.equal(session.predict(queries, rows), predict_labels(model, queries))
            asked, alone = queries.clone().requires_grad_(), queries.clone().requires_grad_()
            logits, expected = session.logits(asked, rows), model(alone)
            assert torch.equal(logits, expected)
            weights = torch.randn(logits.shape, generator=generator)
            gradients = torch.autograd.grad((logits * weights).sum(), asked)
            assert torch.equal(*gradients, *torch.autograd.grad((expected * weights).sum(), alone))


ATTACKS = [
    (boundary, "l2", {"steps": 150}),
    (pointwise, "l2", {"draws": 5}),
    (pointwise, "l0", {"draws": 5}),
    (ddn, "l2", {"steps": 15}),
    (fgm_ge, "l2", {}),
]


@pytest.mark.parametrize(("build", "norm", "options"), ATTACKS)
def test_attacks_find_and_ask_the_same(build, norm, options):
    generator = torch.Generator().manual_seed(0)
    model = neighbours(255, generator)
    x = (
        (model.images[::7] + 0.1 * torch.randn(12, 30, generator=generator))
        .clamp(0, 1)
        .view(-1, *model.shape)
    )
    y = predict_labels(model, x)
    targets = [Target(model, x, y, norm), Target(model, x, y, norm, session=StatelessSession(model))]
    for target in targets:
        build(norm, **options)(target, SampleRandom(0, "shortlist", range(len(x)), x.device))
    short, full = targets
    assert isinstance(short.session, shortlist_session.ShortlistSession)
    assert short.best_distance.isfinite().any()
    assert torch.equal(short.best, full.best)
    assert torch.equal(short.queries, full.queries)


def test_lists_serve_small_steps_and_large_ones_are_compared_with_all_images(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    model = prototypes(255, generator)
    compared = []
    bounds = Quantized.bounds
    monkeypatch.setattr(
        Quantized, "bounds", lambda self, *given: compared.append(len(given[0])) or bounds(self, *given)
    )
    monkeypatch.setattr(row_lists, "_LONG", 20)
    monkeypatch.setattr(row_lists, "_SHORT", (5, 10))
    x = drawn(2, 784, 255, generator).view(-1, *model.shape)
    session, rows = start_session(model, x, torch.zeros(2)), torch.arange(2)
    for _ in range(20):
        session.predict((x + 1e-3 * torch.randn(x.shape, generator=generator)).clamp(0, 1), rows)
    assert compared == [2, 2]  # the second query of a row is seen to be near its first, and is listed
    session.predict(torch.stack([x[0], 1 - x[1]]), rows)
    assert compared == [2, 2, 1]


def some_queries(model: LeastEnergy, generator: torch.Generator) -> Tensor:
    """Images of the model, ones off any grid, one with single pixels changed, black, white, and midpoints."""
    d = model.images.shape[1]
    single = model.images[:1].repeat(5, 1)
    single[torch.arange(5), torch.randint(0, d, (5,), generator=generator)] = 1.0
    middle = (model.images[:5] + model.images[5:10]) / 2
    off = torch.rand(10, d, generator=generator)
    return torch.cat([model.images[:5], single, middle, off, torch.zeros(1, d), torch.ones(1, d)])


@pytest.mark.parametrize("omitted", [0.002, 0.3])
@pytest.mark.parametrize("integers", [torch.int8, torch.float32])
@pytest.mark.parametrize("build", [neighbours, prototypes])
@pytest.mark.parametrize("levels", [1, 7, 255])
def test_bounds_from_eight_bits_are_never_above_the_energies(monkeypatch, omitted, integers, build, levels):
    monkeypatch.setattr(quantized, "_OMITTED", omitted)
    monkeypatch.setattr(quantized, "_ROUNDED", 4)
    monkeypatch.setattr(quantized, "_dtype", lambda *given: integers)
    generator = torch.Generator().manual_seed(levels)
    model = build(levels, generator)
    x = some_queries(model, generator)
    codes, constant = model.quantized.of_queries(x)
    assert codes.dtype == model.quantized.codes.dtype == integers
    bounds = model.quantized.bounds(codes)
    n = len(model.images)
    lowest = quantized.UNIT * bounds[:, :n].double() + constant[:, None]
    exact = (x.double()[:, None] - model.images.double()).square().sum(dim=2) + model.offsets.double()
    assert (lowest <= exact).all()
    threshold = model.quantized.threshold(exact.amax(dim=1), constant)
    assert (bounds[:, :n] <= threshold[:, None]).all()
    assert (bounds[:, n:] > threshold[:, None]).all()
    if levels == 255 and omitted == 0.002 and build is neighbours:
        on_grid = codes[:5]  # of images of the model
        assert len(on_grid) == 5
        assert (exact[:5] - lowest[:5]).max() < 0.2


def test_lists_bound_the_energies_of_all_other_images(monkeypatch):
    monkeypatch.setattr(row_lists, "_LONG", 20)
    monkeypatch.setattr(row_lists, "_SHORT", (3, 8))
    generator = torch.Generator().manual_seed(5)
    model = neighbours(255, generator)
    lists = row_lists.RowLists(model, 2)
    p, rows = torch.rand(2, 30, generator=generator), torch.arange(2)
    codes, constant = model.quantized.of_queries(p)
    for _ in range(2):
        lists.offer(p.double(), rows, model.quantized.bounds(codes), constant)
    assert lists.listed.all()
    for size in (0.0, 1e-3, 0.1, 1.0):
        for sparse in (0.1, 1.0):
            noise = size * torch.randn(p.shape, generator=generator)
            x = (p + noise * (torch.rand(p.shape, generator=generator) < sparse)).clamp(0, 1).double()
            exact = (x[:, None] - model.images.double()).square().sum(dim=2)
            margin = lists.long.margin(x, rows, torch.zeros(2), torch.tensor(torch.inf))[:, 0]
            for row, outside in enumerate(margin):
                others = torch.ones(80, dtype=torch.bool)
                others[lists.long.of_rows(lists.long.entries.places)[row]] = False
                assert others.sum() == 60
                assert exact[row][others].min() >= outside


@pytest.mark.parametrize("images", [drawn(300, 40, 255, torch.Generator().manual_seed(2)), torch.ones(1, 40)])
def test_the_metric_bounds_products_with_all_changes(images):
    generator = torch.Generator().manual_seed(1)
    images = images * torch.linspace(0, 1, 40)  # pixels of several scales, one of them always 0
    metric = Metric.of(images)
    changes = torch.cat(
        [torch.randn(50, 40, generator=generator), torch.eye(40), images - metric.mean, torch.zeros(1, 40)]
    )
    products = (changes.double() @ (images.double() - metric.mean.double()).T).abs()
    bounds = metric.length(changes)[:, None] * metric.spread
    assert (products <= bounds).all()


def test_the_metric_is_tighter_than_the_norms():
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(300, 40, generator=generator) * torch.linspace(0, 1, 40) ** 4
    metric, changes = Metric.of(images), torch.randn(50, 40, generator=generator)
    norms = changes.norm(dim=1)[:, None] * (images - metric.mean).norm(dim=1)
    assert (metric.length(changes)[:, None] * metric.spread / norms).mean() < 0.7


def test_sessions_check_images():
    model = neighbours(2, torch.Generator().manual_seed(0))
    session = start_session(model, torch.zeros(1, *model.shape), torch.zeros(1))
    for ask in (session.predict, session.logits):
        with pytest.raises(InputError, match=r"expected \(n, 2, 3, 5\)"):
            ask(torch.zeros(1, 30), torch.zeros(1, dtype=torch.int64))
        with pytest.raises(InputError, match="NaN"):
            ask(torch.full((1, 2, 3, 5), torch.nan), torch.zeros(1, dtype=torch.int64))


def test_another_state_is_answered_as_a_model_made_with_it():
    """What is known of the images is computed anew, in a copy of the model too."""
    first, other = (prototypes(4, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    assert first.metric
    copied = copy.deepcopy(first)
    before = first.squares.clone()
    for model in (copied, first):
        assert torch.equal(model.squares, before)
        model.load_state_dict(other.state_dict())
        assert torch.equal(model.squares, other.squares)
        assert torch.equal(model.metric.spread, other.metric.spread)
    x = drawn(5, 784, 4, torch.Generator().manual_seed(3))
    assert torch.equal(first.nearest(x), other.nearest(x))
