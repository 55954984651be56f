"""What is recorded of how a run was made."""

import json
import os
from datetime import UTC, datetime

import numpy as np
from scripts.report.record_provenance import main

import absynth
from absynth.data.split_files import write_split
from absynth.io.records import SHARD, write_record
from absynth.workflow import provenance
from absynth.workflow.environment import COMMAND, share_command

ATTRIBUTES = {
    "run": "trial",
    "model": "cnn",
    "norm": "l2",
    "attack": "fgm",
    "seed": 0,
    "seconds": 1.0,
    "absynth": "9.8.7",
    "torch": "1.2.3",
    "foolbox": "3.3.4",
}


def shard(path, **attributes):
    columns = {
        name: np.zeros((2, *(size or 5 for size in column.row)), column.dtype)
        for name, column in SHARD.items()
    }
    write_record(path, columns, {**ATTRIBUTES, "device": "cpu", **attributes}, SHARD)
    return path


def at(path, *date: int):
    """Let a file have been written on a date, UTC."""
    time = datetime(*date, tzinfo=UTC).timestamp()
    os.utime(path, (time, time))
    return path


def test_settings_versions_and_dates_are_those_of_the_records(tmp_path):
    calibration = tmp_path / "calibration.json"
    calibration.write_text("{}", encoding="utf-8")
    images = np.random.default_rng(0).integers(0, 17, (6, 28, 28), np.uint8)
    images[3], images[0, 0, 0] = 7, 16
    write_split(tmp_path / "test.h5", images, np.arange(6, dtype=np.uint8), "mine", "test", n_classes=12)
    main(
        images=tmp_path / "test.h5",
        shards=[
            at(shard(tmp_path / "0.h5"), 2026, 2, 3, 4, 5, 6),
            at(shard(tmp_path / "1.h5", torch="1.2.4"), 2026, 2, 4),
        ],
        calibrations=[at(calibration, 2026, 2, 1)],
        output=tmp_path / "provenance.json",
        config={"run": "trial", "n_samples": 4},
    )
    found = json.loads((tmp_path / "provenance.json").read_text(encoding="utf-8"))
    assert found["config"] == {"run": "trial", "n_samples": 4}
    assert (found["first_record"], found["last_record"]) == (
        "2026-02-01T00:00:00+00:00",
        "2026-02-04T00:00:00+00:00",
    )
    assert found["versions"]["torch"] == "1.2.3, 1.2.4"
    assert found["versions"]["absynth"] == "9.8.7"
    expected = ", ".join(map(str, range(1, 12)))
    assert found["lacking_classes"] == f"the 1 images attacked hold none of classes {expected}"
    dark, constant = found["odd_intensities"]
    assert dark.startswith("the brightest pixel of 4 images is 0.0627, where white is 1 (as uint8 16 of 255)")
    assert constant.startswith("1 of 4 images show nothing, all their pixels are equal (at 3)")
    assert {"Python", "numpy", "snakemake"} <= found["versions"].keys()
    assert found["hardware"]["devices"] == ["cpu"]
    assert found["hardware"]["gpus"] == []
    assert found["hardware"]["cores"] >= 1


def test_gpus_are_named_where_attacks_had_one(monkeypatch):
    monkeypatch.setattr(provenance, "gpu_names", lambda: ["Some GPU"])
    shards = [{**ATTRIBUTES, "device": device} for device in ("cuda:1", "cpu", "cuda:0")]
    found = provenance.provenance({}, shards, [0.0])["hardware"]
    assert found["gpus"] == ["Some GPU"]
    assert found["devices"] == ["cpu", "cuda:0", "cuda:1"]


def test_a_run_without_attacks_has_the_versions_installed():
    found = provenance.provenance({}, [], [0.0])
    assert found["versions"]["absynth"] == absynth.__version__
    assert found["hardware"]["devices"] == []


def test_processor_is_named(tmp_path):
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nmodel name\t: A: fast one\n\nprocessor\t: 1\nmodel name\t: another\n",
        encoding="utf-8",
    )
    assert provenance.hardware(tmp_path / "cpuinfo")["processor"] == "A: fast one"


def test_processor_has_a_name_without_linux(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance.platform, "processor", lambda: "")
    monkeypatch.setattr(provenance.platform, "machine", lambda: "sparc")
    assert provenance.hardware(tmp_path / "none")["processor"] == "sparc"


def test_the_command_of_the_workflow_reaches_its_jobs(monkeypatch):
    monkeypatch.delenv(COMMAND, raising=False)
    assert "command" not in provenance.provenance({}, [], [0.0])
    share_command(["/usr/lib/snakemake/__main__.py", "--cores", "2", "--config", "run=a b"])
    assert provenance.provenance({}, [], [0.0])["command"] == "snakemake --cores 2 --config 'run=a b'"
    monkeypatch.delenv(COMMAND)
