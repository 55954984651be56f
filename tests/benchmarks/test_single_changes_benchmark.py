"""The program that measures what shared work saves, on noise in place of digits."""

import argparse
import json

import single_changes
import torch

from absynth import load_model


def test_both_sides_are_measured_and_agree(monkeypatch, capsys, tmp_path):
    x = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    y = load_model(single_changes.WEIGHTS, "binary_cnn")(x).argmax(dim=1)
    monkeypatch.setattr(single_changes, "load_images", lambda data, n: x)
    monkeypatch.setattr(single_changes, "load_labels", lambda data, n: y)
    out = tmp_path / "lines.jsonl"
    single_changes.main(
        argparse.Namespace(data=None, images=2, models=["binary_cnn"], attacks=["beam", "fgm_ge"], out=out)
    )
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["attack"], line["norm"]) for line in lines] == [("beam", "l0"), ("fgm_ge", "l2")]
    for line in lines:
        assert line["queries"] == line["queries_as_a_whole"] > 0
        assert line["different"] == 0
        assert line["ratio"] > 0
    assert out.read_text(encoding="utf-8").splitlines() == [json.dumps(line) for line in lines]
