"""Estimates of `absynth plan`, from measurements made up so that they are known on paper."""

import re
import time
from pathlib import Path

import pytest
import torch
from configs import ROOT, plan
from torch import nn

from absynth.cli.attack_costs import AttackCosts, Measurement, Range, effort, own_work, read_costs
from absynth.cli.estimate import (
    _NOT_ESTIMATED,
    _START,
    _TORCH,
    TARGETS,
    UNCERTAINTY,
    batch_sizes,
    duration,
    estimated,
    span,
)
from absynth.cli.measuring import _first, _speed
from absynth.cli.model_speed import Speed, measure
from absynth.cli.plan import COSTS
from absynth.cli.workflow_process import PlannedJob, jobs_of
from absynth.errors import InputError

ROW = Measurement(
    "ddn", "l2", ("cnn", "quick"), images=10, values=100, queries=60, gradients=50, seconds=5.0, model_seconds=3.0,
    options={"steps": 50},
)  # fmt: skip
SPEED = Speed(forward=0.1, backward=0.2)


def like(**changes):
    return Measurement(**{**{name: getattr(ROW, name) for name in ROW.__dataclass_fields__}, **changes})


def test_calls_are_queries_at_the_models_speed():
    assert ROW.calls(SPEED) == pytest.approx(60 * 0.1 + 50 * 0.2)
    faster = like(seconds=1.5)  # several queries of an image at a time: half of what single batches take
    assert faster.calls(SPEED) == pytest.approx(8.0)
    assert faster.own == 0


def test_own_work_is_linear_in_the_pixels_where_two_sizes_were_measured():
    larger = like(images=30, seconds=9.0, model_seconds=5.0)
    assert own_work([ROW, larger], 5000) == pytest.approx((6.0, 6.0))
    assert own_work([ROW], 5000) == pytest.approx((2.0, 10.0))
    assert own_work([ROW], 10) == pytest.approx((2.0, 2.0))


def test_an_attack_is_scaled_to_its_steps_and_batches():
    costs = AttackCosts([ROW])
    found = costs.seconds("ddn", "l2", {"steps": 100}, [10, 10], 100, lambda size: SPEED)
    assert (found.low, found.high) == pytest.approx((2 * 2 * 18.0,) * 2)


def test_the_nearest_measurement_counts_and_those_of_several_models_make_a_range():
    other, far = (
        like(source=("madry", "quick"), queries=120),
        like(source=("cnn", "strong"), options={"steps": 150}),
    )
    found = AttackCosts([ROW, other, far]).seconds("ddn", "l2", {"steps": 50}, [10], 100, lambda size: SPEED)
    assert (found.low, found.high) == pytest.approx((18.0, 24.0))


def test_what_was_not_measured_is_not_guessed():
    costs = AttackCosts([ROW])
    assert costs.seconds("ddn", "linf", {"steps": 50}, [10], 100, lambda size: SPEED) is None
    assert costs.seconds("boundary", "l2", {}, [10], 100, lambda size: SPEED) is None
    assert costs.seconds("ddn", "l2", {"steps": 5000}, [10], 100, lambda size: SPEED) is None


def test_effort_is_a_product_of_options():
    assert effort({"steps": 20, "step_sizes": [1, 2]}, {"steps": 10, "step_sizes": [1]}) == 4
    assert effort({}, {"steps": 10}) == 1


def test_jobs_are_counted_and_what_they_cost_is_added():
    job = "results/mine/attacks/cnn/l2/{}/0.h5"
    jobs = [
        PlannedJob("run_attack", (job.format("ddn"),)),
        PlannedJob("run_attack", (job.format("boundary"),)),
        PlannedJob("probe_model", ("results/mine/models/cnn/probe.json",)),
        PlannedJob("train_classifier", ("results/mine/models/cnn/weights.pt",)),
        PlannedJob("all", ()),
    ]
    small = plan(n_samples=30, images_per_shard=30, attacks={"ddn": {"steps": 50, "batch_size": 10}})
    found = estimated(small, jobs, AttackCosts([ROW]), {"cnn": lambda size: SPEED}, 100, 50)
    assert dict(found.jobs) == {"run_attack": 2, "probe_model": 1, "train_classifier": 1}
    assert found.seconds["attacks"].low == pytest.approx(3 * 18.0 / UNCERTAINTY)
    assert found.seconds["attacks"].high == pytest.approx(3 * 18.0 * UNCERTAINTY)
    assert set(found.unknown) == {"boundary on cnn in l2", "train_classifier"}
    assert found.total.low == pytest.approx(sum(part.low for part in found.seconds.values()))


def test_the_rules_it_speaks_of_are_those_of_the_workflow():
    files = [Path(ROOT, "Snakefile"), *Path(ROOT, "workflow", "rules").glob("*.smk")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    rules = set(re.findall(r"^ *(?:rule|checkpoint) (\w+):", text, re.MULTILINE))
    assert rules >= {*_TORCH, *_NOT_ESTIMATED, *TARGETS}
    assert rules >= _START.keys() - {"plot", "light"}  # which are kinds of rules


def test_batches_cover_the_images():
    assert batch_sizes(25, 10) == [10, 10, 5]
    assert batch_sizes(5, 10) == [5]


@pytest.mark.parametrize(("seconds", "text"), [(40, "40 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations_are_readable(seconds, text):
    assert duration(seconds) == text
    assert span(Range(seconds, seconds)) == text


def test_a_dry_run_is_read():
    text = """Building DAG of jobs...
[Fri Nov 27]
rule run_attack:
    input: a.h5, b.py
    output: results/x/attacks/m/l2/ddn/0.h5
    jobid: 3
localrule all:
    input: c.csv
"""
    assert jobs_of(text) == [
        PlannedJob("run_attack", ("results/x/attacks/m/l2/ddn/0.h5",)),
        PlannedJob("all", ()),
    ]


class Slow(nn.Module):
    """Takes two milliseconds an image, and as long again for a gradient."""

    def forward(self, x):
        _busy(0.002 * len(x))
        if x.requires_grad:
            x.register_hook(lambda gradient: _busy(0.002 * len(x)))
        return x.flatten(1)[:, :3]


def _busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_a_models_speed_is_measured():
    found = measure(Slow(), torch.rand(5, 1, 4, 4))
    assert found.forward == pytest.approx(0.01, rel=0.3)
    assert found.backward == pytest.approx(0.01, rel=0.5)
    assert measure(Slow(), torch.rand(5, 1, 4, 4), gradients=False).backward == 0


class Rounded(Slow):
    def forward(self, x):
        return x.detach().flatten(1)[:, :3]


class Constant(Slow):
    def forward(self, x):
        return torch.ones(len(x), 3, requires_grad=True)


class Broken(Slow):
    def forward(self, x):
        raise KeyError("weight")


@pytest.mark.parametrize("model", [Rounded(), Constant()])
def test_a_model_without_gradients_is_told_in_one_line(model):
    images = torch.rand(5, 1, 4, 4)
    with pytest.raises(
        InputError, match=r"^model net: its answer has no gradient .* --model-keys gradients=false"
    ):
        _first("net", _speed(model, images, gradients=True), 5)
    assert _first("net", _speed(model, images, gradients=False), 5).backward == 0


def test_a_model_that_fails_is_told_in_one_line():
    with pytest.raises(InputError, match=r"^model net: fails on the test images \(KeyError: 'weight'\)$"):
        _first("net", _speed(Broken(), torch.rand(5, 1, 4, 4), gradients=True), 5)


@pytest.mark.parametrize("preset", ["quick", "standard"])
def test_the_table_has_the_attacks_of_the_presets(preset):
    costs = read_costs(Path(ROOT) / COSTS)
    own = plan(attacks=preset)
    for norm in own.norms:
        for attack in own.attacks_on("cnn", norm):
            known = costs.seconds(attack, norm, own.options(attack, "cnn"), [10], 784, lambda size: SPEED)
            assert known is not None, (attack, norm)
            assert 0 < known.low <= known.high
