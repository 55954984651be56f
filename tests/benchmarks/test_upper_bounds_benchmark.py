"""The program that compares presets on the weights that ship: its tables on made-up lines, and a run of it."""

import json
import os

import pytest
import upper_bounds
from configs import SCHEMAS
from upper_bounds_tables import tables

from absynth.errors import InputError
from absynth.workflow.presets import read_preset

FAILED = None  # as JSON has it


def line(attack, number, first, distance, *, last=False, cpu=2.0):
    case = {"plan": "strong", "model": "cnn", "norm": "l2", "epsilon": 1.5}
    asked = {"queries": [10] * len(distance), "gradients": [1] * len(distance)}
    return {**case, "attack": attack, "round": number, "first": first, "distance": distance, "last": last,
            "seconds": 3.0, "cpu_seconds": cpu, **asked}  # fmt: skip


LINES = [
    line("ddn", 0, 0, [0, 2.0, 3.0, FAILED]),
    line("relay1_b", 1, 0, [0, 2.0, 1.0, 4.0]),
    line("relay2_b", 2, 0, [0, 2.0, 1.0, 3.5], last=True),
    line("ddn", 0, 4, [1.0, 2.0], cpu=1.0),  # a chunk that ran out of time
]


def cells(text):
    return [[cell.strip() for cell in line.strip("|").split("|")][3:] for line in text.splitlines()[2:]]


def test_tables_on_paper():
    whole, holders, curve = (cells(part) for part in tables(LINES).split("\n\n"))
    # best: 0, 2, 1, 3.5 | 1, 2; misclassified images count as distance 0
    assert whole == [["6", "4", "1.5", "50.0%", "1.17"]]
    assert holders == [
        ["ddn", "3", "2", "2", "0.5", "10"],  # held: images 1, 4 and 5; image 1 is tied
        ["relay1_b", "2", "0", "1.5", "0.5", "10"],
        ["relay2_b", "3", "1", "1.5", "0.5", "10"],
    ]
    assert curve == [
        ["0", "2", "66.7%", "0.5"],
        ["1", "1.5", "50.0%", "0.833"],
        ["2", "1.5", "50.0%", "1.17"],
    ]


def test_gains_are_those_on_images_that_both_plans_are_finished_on():
    other = [{**line("fgm", 0, 0, [0, 1.0, 1.0, 2.5], last=True), "plan": "hold_out"},
             {**line("fgm", 0, 4, [0.1, 0.1]), "plan": "hold_out"}]  # fmt: skip
    rows = cells(tables([*LINES, *other]).split("\n\n")[3])
    # own best: 0, 2, 1, 3.5; the other's: 0, 1, 1, 2.5
    assert rows == [
        ["4", "hold_out", "1.5", "1", "33.33%", "50.0%", "25.0%"],
        ["4", "strong", "1", "1", "0.00%", "25.0%", "25.0%"],
    ]


def planned(*arguments):
    return upper_bounds.read_plans(upper_bounds.parse(arguments))


def test_plans_are_those_of_presets_and_configs_without_what_is_left_out(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("attacks: {preset: standard, ddn: null}\n")
    plans = planned(
        "--preset", "strong", "--config", str(path), "--leave-out", "brendel_bethge", "--images", "3:9"
    )
    assert list(plans) == ["strong", "mine"]
    relay = [name for name in read_preset("strong", SCHEMAS)["relay"]["attacks"] if name != "brendel_bethge"]
    assert plans["strong"].config["relay"]["attacks"] == relay
    assert not [name for name in plans["strong"].attacks if "brendel_bethge" in name]
    kept = set(read_preset("standard", SCHEMAS)["attacks"]) - {"ddn", "brendel_bethge"}
    assert set(plans["mine"].attacks) == kept
    options = upper_bounds.parse(["--images", "3:9", "--chunk", "4", "--models", "cnn", "--norms", "l0"])
    assert [task.span for task in upper_bounds.tasks_of({"strong": plans["strong"]}, options)] == [
        (3, 7),
        (7, 9),
    ]


def test_every_other_image_of_a_plan_is_set_beside_the_same_of_another():
    own = {**line("ddn", 0, 10, [3.0, 4.0], last=True), "every": 2}  # images 10 and 12
    other = {**line("fgm", 0, 10, [9.0, 9.0, 1.0], last=True), "plan": "hold_out"}  # 10, 11 and 12
    rows = cells(tables([own, other]).split("\n\n")[3])
    assert rows[0] == [
        "2",
        "hold_out",
        "3.5",
        "2",
        "42.86%",
        "100.0%",
        "50.0%",
    ]


def test_what_there_is_not_is_refused():
    with pytest.raises(SystemExit):
        upper_bounds.parse(["--every", "0"])
    with pytest.raises(InputError, match="--models: found vgg, allowed are cnn, "):
        planned("--preset", "quick", "--models", "vgg")
    with pytest.raises(InputError, match="preset 'fast': unknown"):
        planned("--preset", "fast")


@pytest.mark.skipif("ABSYNTH_DATA" not in os.environ, reason="needs MNIST")
def test_a_run_on_the_weights_that_ship_can_be_shown_again(tmp_path):
    out = tmp_path / "lines.jsonl"
    arguments = ["--models", "cnn", "--norms", "l0", "--images", "0:5", "--every", "2", "--chunk", "2"]
    arguments += ["--preset", "quick"]
    lines = upper_bounds.main(upper_bounds.parse([*arguments, "--jobs", "2", "--out", str(out)]))
    assert {(made["attack"], made["first"]) for made in lines} == {
        (name, first) for name in ("fmn", "beam") for first in (0, 4)
    }
    assert [len(made["distance"]) for made in lines if made["first"] == 0] == [2, 2]  # images 0 and 2
    assert json.loads(out.read_text().splitlines()[0])["images"] == "(0, 5)"
    shown = upper_bounds.main(upper_bounds.parse(["--show", str(out)]))
    assert shown == lines
    assert len(cells(tables(shown).split("\n\n")[0])) == 1
    assert upper_bounds.main(upper_bounds.parse([*arguments, "--seconds", "0"])) == []
