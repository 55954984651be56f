"""Reductions take in one shard after another and keep none, so that memory does not grow with their number."""

import weakref

import numpy as np
import pytest
from scripts.attacks import gather_minima as reduce
from scripts.tables import audit_attacks as audit

import absynth.evaluation.attack_table
import absynth.evaluation.audit
import absynth.evaluation.minima
from absynth.io.records import MINIMAL, SHARD, write_record

ATTACKS, SHARDS, IMAGES = ("fgm", "bim", "ddn"), 4, 3
RUN = {"run": "toy", "model": "cnn", "norm": "l2"}


@pytest.fixture
def shards(tmp_path):
    """Paths of all shards; each attack comes nearer than those before, on the first image of every shard alone."""
    paths = []
    for number, attack in enumerate(ATTACKS):
        for shard in range(SHARDS):
            columns = {name: np.zeros(IMAGES, np.int64) for name in SHARD}
            columns["index"] = np.arange(shard * IMAGES, (shard + 1) * IMAGES)
            columns["distance"] = np.array([9.0 - number, *[9.0] * (IMAGES - 1)])
            columns["adversarial"] = np.full((IMAGES, 1, 28, 28), 0.5, np.float32)
            paths.append(tmp_path / attack / f"{shard}.h5")
            about = {**RUN, "attack": attack, "seconds": 1.0, "device": "cpu"}
            write_record(paths[-1], columns, about, SHARD)
    return paths


@pytest.fixture
def reads(monkeypatch):
    """Watch the shards a module reads: returns, read by read, how many earlier ones are still in memory."""

    def watch(module):
        known, held = [], []
        read = module.read_record

        def watched(path, layout, expected):
            held.append(sum(any(column() is not None for column in shard) for shard in known))
            columns, attributes = read(path, layout, expected)
            if layout is not MINIMAL:
                known.append([weakref.ref(column) for column in columns.values()])
            return columns, attributes

        monkeypatch.setattr(module, "read_record", watched)
        return held

    return watch


def run_reduce(shards, folder):
    reduce.main(
        shards=shards, minimal=folder / "l2.h5", summary=folder / "l2.csv", attacks=ATTACKS, of_paper=ATTACKS[:1],
        epsilon=1.5, **RUN,
    )  # fmt: skip


def run_audit(shards, folder):
    run_reduce(shards, folder)
    roles = {attack: {"gradients": True} for attack in ATTACKS}
    limits = {"tolerance": 0.05, "share": 0.25, "failures": 0.5}
    audit.main(
        shards=shards,
        table=folder / "audit.csv",
        optimality=folder / "optimality.csv",
        attacks=folder / "attacks.csv",
        minimal=[folder / "l2.h5"],
        run="toy",
        roles=roles,
        limits=limits,
    )


@pytest.mark.parametrize(
    ("module", "reduction"),
    [
        (absynth.evaluation.minima, run_reduce),
        (absynth.evaluation.audit, run_audit),
        (absynth.evaluation.attack_table, run_audit),
    ],
    ids=["reduce", "audit", "attack_statistics"],
)
def test_no_shard_outlives_the_reading_of_the_next(module, reduction, shards, reads, tmp_path):
    held = reads(module)
    reduction(shards, tmp_path)
    assert len(held) >= len(shards)
    assert max(held) <= 1
