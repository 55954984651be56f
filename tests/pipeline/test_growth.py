"""A run whose n_samples change: what is there is kept, and the tables are those of a run of that many images."""

import itertools

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from configs import tables

pytestmark = pytest.mark.workflow

# Of the tiny run, which has two shards of two images: those that a change of n_samples makes anew.
PLANNED = [(8, {2, 3}), (5, {2}), (3, {1}), (2, set())]


@pytest.mark.parametrize(("n_samples", "shards"), PLANNED, ids=[str(n) for n, _ in PLANNED])
def test_only_shards_of_other_images_are_planned(finished, n_samples, shards):
    planned = finished.planned(config=finished.config(n_samples=n_samples, shards=None, images_per_shard=2))
    assert not {path for path in planned if path.startswith(("data/", "models/", "distal/"))}
    attacks = {path.rpartition("/") for path in planned if path.startswith("attacks/")}
    assert {int(name.removesuffix(".h5")) for _, _, name in attacks} == shards
    assert len(attacks) == (3 * 4 + 1) * len(shards)  # models, attacks (one on cnn alone)
    bounds = {f"bounds/{model}/{norm}" for model in ("nearest_neighbor", "abs") for norm in ("l2", "l0")}
    ends = (".csv", "_draws.csv")
    assert {path for path in planned if path.startswith("bounds/") and path.count("/") == 3} == {
        f"{folder}/{shard}{end}" for folder in bounds for shard in shards for end in ends
    }
    gathered = {f"{folder}{end}" for folder in bounds for end in (".csv", "_summary.csv")}
    verified = {f"verification/{model}/{norm}.csv" for model in ("cnn", "abs") for norm in ("l2", "l0")}
    assert planned >= gathered | verified | {"minimal/cnn/l2.h5", "tables/table1.md", "report.html"}


def test_shards_that_are_named_by_their_size_are_the_same(finished):
    sized = finished.config(shards=None, images_per_shard=2)
    hold_the_config = {"tables/provenance.json", "tables/models.csv", "tables/runtime.csv", "report.html"}
    assert finished.planned(config=sized) == hold_the_config


NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(36, 3)

    def forward(self, x):
        return 4 * self.layer(x.flatten(1))
"""
ATTACKS = {
    "fgm": None,
    "salt_pepper": None,
    "gaussian_noise": {"repetitions": 2},
    "boundary": {"steps": 6, "trials": 2, "start_from": ["gaussian_noise"]},
    "newton": {"class": "foolbox.attacks.NewtonFoolAttack", "arguments": {"steps": 3}, "norms": ["l2"]},
}
TABLES = ("robustness", "attacks", "audit", "verification", "distances")


def config(checkout, run, n_samples, **changes):
    models = dict.fromkeys(("cnn", "binary_cnn", "madry", "nearest_neighbor", "binary_abs", "abs"))
    return checkout.config(
        run=run,
        n_samples=n_samples,
        **{"shards": None, "images_per_shard": 10, **changes},
        norms=["l2"],
        dataset={"npz": "mine.npz", "test": {"images": "x", "labels": "y"}},
        models={**models, "mine": {"class": "nets.Net", "weights": "net.pt"}},
        attacks=ATTACKS,
        relay={"attacks": ["boundary"], "rounds": 2},
    )


def run(checkout, name, n_samples, **changes):
    """Run the tables of a run; the files of its shards, with their content and times."""
    targets = [f"results/{name}/tables/{table}.csv" for table in TABLES]
    done = checkout.snakemake(*targets, config=config(checkout, name, n_samples, **changes))
    assert done.returncode == 0, done.stdout
    folder = checkout.folder / "results" / name
    paths = [*folder.glob("attacks/mine/l2/*/*.h5"), *folder.glob("data/*"), *folder.glob("models/*/*")]
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes()) for path in paths
    }


def datasets(path):
    with h5py.File(path) as file:
        return {name: values[()] for name, values in file.items()}


@pytest.fixture(scope="module")
def grown(own_checkout):
    """A run of 25 images, ten a shard, that grew to 40: its files before and after.

    Its data are a user's own, sorted by class, and so is its model.
    """
    random, folder = np.random.default_rng(0), own_checkout.folder
    centres = random.uniform(60, 190, (3, 36))
    labels = np.repeat(np.arange(3, dtype=np.uint8), 20)
    images = np.clip(centres[labels] + random.normal(0, 40, (60, 36)), 0, 255).astype(np.uint8)
    np.savez(folder / "mine.npz", x=images.reshape(60, 6, 6), y=labels)
    (folder / "nets.py").write_text(NET, encoding="utf-8")
    weight = torch.from_numpy(centres / 255).float()
    torch.save({"layer.weight": weight, "layer.bias": -weight.square().sum(dim=1) / 2}, folder / "net.pt")
    before = run(own_checkout, "grown", 25)
    return before, run(own_checkout, "grown", 40)


def test_growth_keeps_full_shards_and_makes_the_last_anew(grown):
    before, after = grown
    shards = {shard: {path for path in after if path.endswith(f"/{shard}.h5")} for shard in range(4)}
    assert {len(paths) for paths in shards.values()} == {5}  # attacks, two rounds of the relay among them
    for path in before.keys() - shards[2]:
        assert after[path] == before[path], path
    assert after.keys() - before.keys() == shards[3]
    assert all(after[path] != before[path] for path in shards[2])


def test_a_grown_run_is_to_the_bit_what_a_fresh_one_is(grown, own_checkout):
    fresh = run(own_checkout, "fresh", 40)
    assert fresh.keys() == grown[1].keys()
    results = own_checkout.folder / "results"
    assert tables(results, "grown") == tables(results, "fresh")
    attacks = [pd.read_csv(results / name / "tables" / "attacks.csv") for name in ("grown", "fresh")]
    pd.testing.assert_frame_equal(*(table.drop(columns="seconds") for table in attacks), check_exact=True)
    for path in itertools.chain(["minimal/mine/l2.h5"], (path for path in fresh if path.endswith(".h5"))):
        ours, theirs = (datasets(results / name / path) for name in ("grown", "fresh"))
        assert ours.keys() == theirs.keys()
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=f"{path} {name}")
    source = datasets(results / "grown" / "data" / "test.h5")["source_index"]
    assert not np.array_equal(source, np.sort(source))  # drawn at random: the file is sorted by class


def test_a_run_that_shrinks_computes_no_attack_and_can_grow_again(grown, own_checkout):
    results = own_checkout.folder / "results" / "grown"
    of_40 = datasets(results / "minimal" / "mine" / "l2.h5")
    after = run(own_checkout, "grown", 20)
    assert after == grown[1]  # the shards that are not needed stay
    of_20 = datasets(results / "minimal" / "mine" / "l2.h5")
    assert of_20["index"].tolist() == list(range(20))
    for name, values in of_20.items():
        np.testing.assert_array_equal(values, of_40[name][:20], err_msg=name)
    assert set(pd.read_csv(results / "tables" / "robustness.csv")["n"]) == {20}
    assert set(pd.read_csv(results / "tables" / "verification.csv")["shard"].dropna()) == {0, 1}
    again = own_checkout.planned(
        "results/grown/tables/robustness.csv", config=config(own_checkout, "grown", 40)
    )
    assert "results/grown/minimal/mine/l2.h5" in again
    assert not any("/attacks/" in path for path in again)


def test_a_shard_beyond_the_images_is_none_of_the_run(own_checkout, grown):
    target = "results/grown/attacks/mine/l2/newton/4.h5"
    done = own_checkout.snakemake("-n", target, config=config(own_checkout, "grown", 40))
    assert done.returncode != 0
    assert f"No rule to produce {target}" in done.stdout
