"""Where numbers are not what one expects: medians of infinite distances, logits that depend on the batch.

NumPy 2.4's and torch 2.13's quantiles of 1, 2, inf, inf at one half are NaN, since they interpolate by a difference;
the median of those is inf, the mean of the two in the middle.
"""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import absynth
from absynth.api.attack import Result
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.cli.summary import median_text
from absynth.evaluation.audit import Outcome
from absynth.evaluation.bracket import medians
from absynth.evaluation.intervals import median_interval
from absynth.evaluation.lower_bounds import summarise_bounds, summarise_joint
from absynth.evaluation.minima import summarise
from absynth.evaluation.optimality import optimality_rows
from absynth.evaluation.verification import Clean, check_shard, predicted
from absynth.norms import NORMS
from absynth.reporting.overview import overview_table
from absynth.reporting.report import LARGEST

# The two in the middle are 2 and inf, 2 and 4, inf and inf; and of five images the one in the middle.
DISTANCES = {(1.0, 2.0, math.inf, math.inf): math.inf, (1.0, 2.0, 4.0, math.inf): 3.0}
DISTANCES |= {(math.inf, math.inf): math.inf, (0.0, 1.0, 2.0, math.inf, math.inf): 2.0}


@pytest.mark.parametrize(("distance", "median"), DISTANCES.items())
def test_medians_of_infinite_distances(distance, median):
    found = np.array(distance)
    n, ones = len(found), np.ones(len(found), dtype=np.int64)
    assert summarise(found, 1.0)["median"] == median
    assert Outcome(found, ones).median == median
    zeros = torch.zeros(n, dtype=torch.int64)
    result = Result("a", "l2", zeros, torch.from_numpy(found), zeros, zeros, zeros, zeros, zeros, zeros, 0.0)
    assert f"median distance {median:.4g}" in repr(result)
    intervals = pd.DataFrame({"lower": 0.5 * np.minimum(found, 8), "upper": found, "basis": "searched"})
    assert medians(intervals)["upper"] == median
    assert not math.isnan(medians(intervals)["gap"])
    bounds = pd.DataFrame({"joint": found, "basis": "searched", "disagreement": 0.0, "correct": 1})
    assert (
        summarise_joint(bounds, 1.0)["median"] == summarise_bounds(bounds, bounds[:0])[0]["median"] == median
    )
    excess = {"best": Outcome(np.ones(n), ones), "other": Outcome(1 + found, ones)}
    assert optimality_rows(excess, 0.05)[1]["excess"] == pytest.approx(median)


@pytest.mark.parametrize(("distance", "median"), DISTANCES.items())
def test_infinite_medians_are_shown_as_such(distance, median):
    found = np.array(distance)
    text = "∞" if math.isinf(median) else NORMS["l2"].format_median(median)
    assert median_text(found, "l2") == text
    table = pd.DataFrame({"model": "m", "norm": "l2", "distance": found})
    cell = overview_table(table, None, {"m": "mine"}, {"l2": 1.5}).groups[0][1][0][2]
    assert cell.text.startswith(f"{text} (")
    assert cell.sort == (LARGEST if math.isinf(median) else median)
    assert not any(map(math.isnan, median_interval(found)))


def test_no_quantile_of_distances_is_interpolated():
    """Where a quantile is taken in the library or a script, and of what: never of distances that may be infinite."""
    allowed = {
        "evaluation/calibration.py": "confidences, which are finite",
        "reporting/figures/bracket.py": "finite bounds alone",
    }
    source = Path(absynth.__file__).parent
    scripts = source.parents[1] / "scripts"
    interpolates = re.compile(r"[.](nan)?(quantile|percentile)\(")
    found = {
        path.relative_to(root).as_posix()
        for root in (source, scripts)
        for path in root.rglob("*.py")
        if interpolates.search(path.read_text(encoding="utf-8"))
    }
    assert found == set(allowed)


class DependsOnBatch(nn.Module):
    """A linear model that adds its products up in an order that the size of the batch decides."""

    def __init__(self):
        super().__init__()
        self.weight = torch.randn(784, 10, generator=torch.Generator().manual_seed(0)) / 28

    def forward(self, x):
        order = torch.arange(784).roll(7 * len(x))
        logits = torch.zeros(len(x), 10)
        for part in order.split(28 + len(x) % 8):
            logits = logits + (x.flatten(1) - 0.5)[:, part] @ self.weight[part]
        return logits


def in_batches(model, images, size):
    with torch.no_grad():
        return torch.cat([model(part) for part in torch.from_numpy(images).split(size)]).double().numpy()


def to_the_boundary(target, random):
    """Halve the way to the negative until float32 knows no image between: what fools lies on the boundary."""
    x, y = target.active
    low, high = torch.zeros(len(x)), torch.ones(len(x))
    for _ in range(40):
        middle = (low + high) / 2
        fooled = target(x + middle[:, None, None, None] * (1 - 2 * x)).argmax(dim=1) != y
        low, high = torch.where(fooled, low, middle), torch.where(fooled, middle, high)


def test_records_hold_whatever_the_batch():
    """Adversarials on the boundary stay so, and verification agrees, in batches of 1, 8 and 64."""
    model, n = DependsOnBatch(), 64
    images = torch.rand(n, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    x = images.numpy()
    answers = {size: in_batches(model, x, size) for size in (1, 8, 64)}
    assert not any((answers[1] == answers[size]).all() for size in (8, 64))  # the case is the one meant
    labels = torch.from_numpy(predicted(answers[64]))
    distances = {}
    for recorded in (1, 8, 64):
        settings = AttackSettings(to_the_boundary, "toy", "l2", 0, recorded)
        found = attack_images(settings, model, Samples(images, labels, torch.arange(n)))
        columns = {name: values.numpy() for name, values in found.items()}
        distances[recorded] = columns["distance"]
        assert np.isfinite(columns["distance"]).all()
        for size, clean in answers.items():
            found = check_shard(
                columns,
                "l2",
                Clean(0, x, labels.numpy(), clean),
                lambda stored, size=size: in_batches(model, stored, size),
            )
            assert found.faults == (), (recorded, size)
            assert found.checked == n
            assert (predicted(in_batches(model, columns["adversarial"], size)) != labels.numpy()).all()
    for size in (8, 64):
        np.testing.assert_allclose(distances[size], distances[1], rtol=1e-4)
