"""The program that measures probes: it hands each script what the rule does, and measures it."""

import json

import numpy as np
import probe
import torch
from configs import SCHEMAS, shipped
from scripts.models import probe_model

from absynth.data.split_files import write_split
from absynth.models.cnn import CNN
from absynth.models.weights import save_weights
from absynth.workflow.plan import Plan


def test_a_probe_is_run_and_measured_as_the_rule_runs_it(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (12, 28, 28), np.uint8)
    write_split(tmp_path / "data/test.h5", images, np.arange(12, dtype=np.uint8) % 10, "mine", "test")
    save_weights(tmp_path / "models/cnn/weights.pt", CNN())
    plan = Plan(shipped(), SCHEMAS)
    (case,) = probe.cases(plan, tmp_path, ["cnn"], torch.get_num_threads())
    assert case.settings["spec"] == plan.probe_spec("cnn")
    monkeypatch.setattr(probe_model, "build", probe_model.build)  # which it replaces
    row = probe.measured(case)
    assert (row["model"], row["images"]) == ("cnn", 12)
    assert 0 <= row["build_cpu_s"] <= row["probe_cpu_s"] < 60
    assert row["warnings"] == json.loads((tmp_path / "models/cnn/probe.json").read_text())["warnings"]
