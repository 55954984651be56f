"""The program for a GPU, on the CPU with tiny sizes, so that time on a GPU is not spent on slips."""

import json

import gpu
import pytest

pytestmark = pytest.mark.slow


def run(tmp_path, *parts):
    """Its lines for the given parts, which are those in the file as well."""
    out = tmp_path / "gpu.jsonl"
    lines = gpu.main(gpu.parse(["--device", "cpu", "--size", "tiny", "--out", str(out), "--parts", *parts]))
    assert [json.loads(line) for line in out.read_text().splitlines()] == lines
    assert not [line for line in lines if "error" in line]
    return lines


def of(lines, part):
    return [line for line in lines if line["part"] == part and "part_seconds" not in line]


def test_speed(tmp_path):
    lines = run(tmp_path, "ceilings", "inference", "sessions", "launches")
    assert {line["what"] for line in of(lines, "ceilings")} == {"float32 product", "copy"}
    flops = {line["model"]: line["mflop_per_query"] for line in of(lines, "inference")}
    # A gradient with respect to the input costs a CNN as much again as its answer.
    assert flops["cnn, gradient"] == pytest.approx(2 * flops["cnn"], rel=0.01)
    assert flops["abs, warm"] < flops["abs, fast"] < flops["abs, reference"]
    assert all(line["queries_with_gradient_per_second"] > 0 for line in of(lines, "sessions"))
    assert all(line["items"] > 0 and line["launches"] == 0 for line in of(lines, "launches"))


def test_attacks_bounds_and_training(tmp_path):
    lines = run(tmp_path, "attacks", "bounds", "training")
    found = {(line["model"], line["norm"]) for line in of(lines, "attacks")}
    assert found == {
        (model, norm) for model in gpu.SIZES["tiny"].attacked_models for norm in ("l2", "linf", "l0")
    }
    assert {line["model"] for line in of(lines, "bounds")} == {"abs", "nearest_neighbor", "prototype_abs"}
    assert [line["what"] for line in of(lines, "training")] == ["VAE", "refinement", "Madry et al."]


def test_processes_of_its_own(tmp_path):
    lines = run(tmp_path, "devices", "tests")
    assert of(lines, "devices")[0]["devices"] == ["cpu", "cpu"]
    assert of(lines, "tests")[0]["status"] == 0


@pytest.mark.workflow
def test_workflow(tmp_path):
    result, files = of(run(tmp_path, "workflow"), "workflow")
    assert (result["status"], result["errors"]) == (0, [])
    assert result["jobs"]["run_attack"]
    assert files["files"]["shards"] == 2


def test_a_part_that_fails_leaves_its_error_and_the_others_run(tmp_path, monkeypatch):
    def broken(setting):
        raise ValueError("no such thing")
        yield

    monkeypatch.setitem(gpu.PARTS, "devices", broken)
    options = [
        "--device",
        "cpu",
        "--size",
        "tiny",
        "--out",
        str(tmp_path / "out"),
        "--parts",
        "devices",
        "ceilings",
    ]
    lines = gpu.main(gpu.parse(options))
    assert [line["error"] for line in lines if "error" in line] == ["ValueError: no such thing"]
    assert len(of(lines, "ceilings")) == 2


def test_it_stops_when_time_is_up(tmp_path):
    options = ["--device", "cpu", "--size", "tiny", "--out", str(tmp_path / "out"), "--seconds", "0"]
    lines = gpu.main(gpu.parse([*options, "--parts", "ceilings"]))
    assert {"part": "ceilings", "stopped": "out of time"} in lines
    assert len(of(lines, "ceilings")) == 2  # the first figure, and that it stopped


def test_full_size_needs_data():
    with pytest.raises(SystemExit, match="--data: found nothing"):
        gpu.main(gpu.parse(["--device", "cpu"]))
