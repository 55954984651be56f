"""An attack on a shard that is killed goes on where it was."""

import dataclasses
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from hdf5_files import altered
from linear_models import N, images, ten_class
from scripts.attacks import run_attack as script

from absynth.attacks import run
from absynth.attacks.checkpoint import Progress, fingerprint
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.data.split_files import write_split
from absynth.io.log import LOGGER
from absynth.io.records import SHARD, read_record

INDEX = torch.arange(3, 3 + N)


def brighter(target, random):
    """Whiter and whiter, image by image as far as its own random number says."""
    x, _ = target.active
    share = random.uniform(target.rows, 1, 1, 1)
    for step in torch.linspace(0.1, 1, 10):
        target.adversarial(torch.lerp(x, torch.ones_like(x), step * share))


@pytest.fixture
def warnings(monkeypatch):
    logged = []
    monkeypatch.setattr(LOGGER, "warning", lambda message, *values: logged.append(message % values))
    return logged


class Killed(BaseException):
    """Stands for SIGKILL."""


def attacked(progress: Progress | None = None, attack=brighter, batch_size: int = 2) -> dict:
    model = ten_class().eval().requires_grad_(False)
    x, y = images(model)
    settings = AttackSettings(attack, "toy", "l2", seed=0, batch_size=batch_size)
    return attack_images(settings, model, Samples(x, y, INDEX), progress)


def killed_after(batches: int, progress: Progress, attack=brighter) -> None:
    """Attack, but end in the midst of the batch after so many."""
    calls = []

    def attack_and_die(target, random):
        attack(target, random)
        calls.append(len(target.x))
        if len(calls) > batches:
            raise Killed

    with pytest.raises(Killed):
        attacked(progress, attack_and_die)


def progress(path: Path, settings: str = "a") -> Progress:
    return Progress(path / "checkpoints" / "0.h5", settings, "l2", INDEX)


@pytest.mark.parametrize("batches", [0, 1, 2])
def test_resumed_attack_equals_an_undisturbed_one_and_repeats_one_batch_at_most(tmp_path, batches):
    expected = attacked()
    assert expected["distance"].isfinite().sum() > 1
    killed_after(batches, progress(tmp_path))
    again = []

    def counted(target, random):
        again.append(len(target.x))
        brighter(target, random)

    found = attacked(progress(tmp_path), counted)
    assert again == [2, 2, 1][batches:]
    assert found.keys() == expected.keys() == SHARD.keys() - {"stopped"}
    for name, values in expected.items():
        assert torch.equal(found[name], values), name
        assert found[name].dtype == values.dtype


def test_killed_twice(tmp_path):
    killed_after(1, progress(tmp_path))
    killed_after(1, progress(tmp_path))  # the second batch of all, and dies in the third
    assert torch.equal(
        attacked(progress(tmp_path), lambda *_: None)["distance"][:4], attacked()["distance"][:4]
    )


def test_seconds_add_up(tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr("absynth.attacks.checkpoint.time", types.SimpleNamespace(monotonic=lambda: now))
    columns = {name: values[:2] for name, values in attacked().items()}
    first = progress(tmp_path)
    now = 10.0
    first.save(columns)
    now = 15.0  # five seconds that are lost
    second = progress(tmp_path)
    second.resume()
    now = 22.0
    second.save(columns)
    third = progress(tmp_path)
    third.resume()
    now = 23.0
    assert third.seconds == 10 + 7 + 1


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_damaged_checkpoint_is_ignored(tmp_path, warnings, share):
    killed_after(1, progress(tmp_path))
    path = progress(tmp_path).path
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert progress(tmp_path).resume() == {}
    assert len(warnings) == 1
    assert warnings[0].startswith(f"checkpoint ignored: {path}: damaged or not HDF5")


def test_flipped_bit_is_noticed(tmp_path, warnings):
    killed_after(1, progress(tmp_path))
    path = progress(tmp_path).path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert progress(tmp_path).resume() == {}
    assert "its checksum does not match" in warnings[0]


def test_checkpoint_of_other_settings_is_ignored_and_replaced(tmp_path, warnings):
    killed_after(1, progress(tmp_path))
    other = progress(tmp_path, "b")
    assert other.resume() == {}
    assert "belongs to settings 'a', expected 'b'" in warnings[0]
    attacked(other)
    assert len(progress(tmp_path, "b").resume()["index"]) == 4


def test_checkpoint_of_other_images_is_ignored(tmp_path, warnings):
    killed_after(1, progress(tmp_path))
    with altered(progress(tmp_path).path) as file:
        file["index"][:] = [0, 1]
    assert progress(tmp_path).resume() == {}
    assert "holds other images" in warnings[0]


def test_fingerprint_tells_settings_and_contents_apart(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    two.write_text("2")
    settings = ["run", {"steps": 1, "lr": 0.1}, 0]
    prints = [
        fingerprint(settings, [one, two]),
        fingerprint(settings, [two, one]),
        fingerprint(settings, [one]),
        fingerprint(["run", {"steps": 2, "lr": 0.1}, 0], [one, two]),
        fingerprint(["run", {"steps": 1, "lr": 0.1}, 1], [one, two]),
    ]
    assert len(set(prints)) == len(prints)
    two.touch()
    assert (
        fingerprint(["run", {"lr": 0.1, "steps": 1}, 0], [one, two.rename(tmp_path / "three")]) == prints[0]
    )


# The script


@pytest.fixture
def job(tmp_path, monkeypatch) -> dict:
    """Keyword arguments of a small job of the rule run_attack."""
    rng = np.random.default_rng(0)
    write_split(
        tmp_path / "test.h5", rng.integers(0, 256, (9, 28, 28), np.uint8), np.arange(9, dtype=np.uint8), "toy", "test"
    )  # fmt: skip
    monkeypatch.setattr(script, "build", lambda spec, folder: ten_class().eval().requires_grad_(False))
    return dict(
        images=tmp_path / "test.h5", shard=tmp_path / "0.h5", folder=tmp_path,
        job=script.Job(
            run="toy", model="linear", norm="l2", attack="fgm", spec={}, builder="absynth.attacks.gradient:fgm",
            options={}, substitute=None, batch_size=2, span=(1, 8), relay=None, seed=0,
        ),
        sources=[tmp_path / "test.h5"], checkpoint=tmp_path / "checkpoints" / "0.h5", device=torch.device("cpu"),
    )  # fmt: skip


def interrupt(job: dict, monkeypatch, batches: int) -> None:
    """Run the job, and kill it after so many batches."""
    whole, calls = run._attack_batch, []

    def die(*arguments):
        calls.append(arguments)
        if len(calls) > batches:
            raise Killed
        return whole(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(run, "_attack_batch", die)
        with pytest.raises(Killed):
            script.main(**job)


def test_killed_job_ends_in_the_same_shard_without_its_checkpoint(job, tmp_path, monkeypatch):
    script.main(**job)
    expected, attributes = read_record(job["shard"], SHARD)
    job["shard"] = tmp_path / "again.h5"
    for _ in range(3):
        interrupt(job, monkeypatch, batches=1)
        assert not job["shard"].exists()
        assert [path.name for path in job["checkpoint"].parent.iterdir()] == ["0.h5"]
    script.main(**job)
    found, again = read_record(job["shard"], SHARD)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
    assert {**again, "seconds": 0} == {**attributes, "seconds": 0}
    assert not job["checkpoint"].exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"options": {"doublings": 5}},
        {"batch_size": 3},
        {"span": (1, 7)},
        {"norm": "linf"},
        {"sources": []},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_job_of_other_settings_begins_anew(job, monkeypatch, warnings, changes):
    interrupt(job, monkeypatch, batches=2)
    if "norm" in changes:
        changes = {**changes, "builder": "absynth.attacks.gradient:fgsm"}
    if "sources" not in changes:
        changes = {"job": dataclasses.replace(job["job"], **changes)}
    script.main(**{**job, **changes})
    assert len(warnings) == 1
    assert "checkpoint ignored" in warnings[0]
    first, end = changes.get("job", job["job"]).span
    assert len(read_record(job["shard"], SHARD)[0]["index"]) == end - first
