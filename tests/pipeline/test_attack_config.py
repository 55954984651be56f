"""What a config alone can do with attacks: start one from another, add one of Foolbox's."""

import h5py
import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.workflow

STARTS = {"boundary": {"steps": 10, "trials": 1, "start_from": ["gaussian_noise"]}}


def shards(finished, attack):
    return {
        int(path.stem): path for path in finished.folder.glob(f"results/tiny/attacks/cnn/l2/{attack}/*.h5")
    }


def test_an_attack_waits_for_those_it_starts_from(checkout):
    target = "results/tiny/attacks/cnn/l2/boundary/1.h5"
    planned = checkout.planned("--forceall", target)
    assert {path for path in planned if path.startswith("attacks/")} == {
        "attacks/cnn/l2/gaussian_noise/1.h5",
        "attacks/cnn/l2/boundary/1.h5",
    }


def test_changing_an_attack_reruns_those_that_start_from_it(finished):
    planned = finished.planned(config=finished.config(attacks={"gaussian_noise": {"repetitions": 2}}))
    assert {path.split("/")[3] for path in planned if path.startswith("attacks/")} == {
        "gaussian_noise",
        "boundary",
    }
    planned = finished.planned(
        config=finished.config(attacks={"boundary": {**STARTS["boundary"], "steps": 11}})
    )
    assert {path.split("/")[3] for path in planned if path.startswith("attacks/")} == {"boundary"}


def test_an_attack_is_no_further_than_what_it_starts_from(finished):
    for shard, path in shards(finished, "boundary").items():
        with h5py.File(path) as led, h5py.File(shards(finished, "gaussian_noise")[shard]) as start:
            assert (led["distance"][:] <= start["distance"][:]).all()
            assert (led["distance"][:] < start["distance"][:]).any()


def test_starts_in_a_circle_are_refused(finished):
    attacks = {"pointwise": {"start_from": ["boundary"]}, "boundary": {"start_from": ["pointwise"]}}
    done = finished.snakemake("--dry-run", config=finished.config(attacks=attacks))
    assert done.returncode != 0
    assert "starts from pointwise" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_foolbox_attack_that_the_config_adds_has_shards_and_a_row(finished):
    found = []
    for path in shards(finished, "newton").values():
        with h5py.File(path) as file:
            assert file.attrs["attack"] == "newton"
            found += file["distance"][:].tolist()
    assert len(found) == 4
    assert np.isfinite(found).any()
    table = pd.read_csv(finished.folder / "results/tiny/tables/table1.csv")
    row = table[table["attack"] == "NewtonFool"]
    assert row["CNN"].notna().all()
    assert row[["ABS", "Nearest Neighbor"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"class": "foolbox.attacks.NewtonFool", "norms": ["l2"]}, "NewtonFool: no such class"),
        ({"class": "foolbox.attacks.NewtonFoolAttack", "norms": ["l0"]}, "minimises the L2 distance"),
        (
            {"class": "foolbox.attacks.NewtonFoolAttack", "norms": ["l2"], "arguments": {"stepz": 1}},
            "unknown argument 'stepz'",
        ),
    ],
)
def test_a_foolbox_attack_that_cannot_be_is_refused(finished, entry, message):
    done = finished.snakemake("--dry-run", config=finished.config(attacks={"newton": entry}))
    assert done.returncode != 0
    assert f"config key attacks.newton: {entry['class']}" in done.stdout
    assert message in done.stdout
    assert "Traceback" not in done.stdout
