"""The HDF5 files of attacks: written whole, self-describing, and refused if anything is off."""

import h5py
import numpy as np
import pictures
import pytest
from hdf5_files import altered

from absynth.errors import InputError
from absynth.io.records import (
    DISTAL,
    MINIMAL,
    RECONSTRUCTIONS,
    SHARD,
    read_by_model,
    read_record,
    write_record,
)

ATTRIBUTES = {"run": "toy", "model": "cnn", "norm": "l2", "attack": "fgm", "seed": 3}


def shard(n: int = 4) -> dict[str, np.ndarray]:
    """A sound shard: one misclassified image, one failure, the rest at random distances."""
    rng = np.random.default_rng(0)
    whole = {name: np.arange(n) for name in SHARD}
    whole["distance"] = np.r_[0, np.inf, rng.random(n)][:n]
    whole["adversarial"] = rng.random((n, 1, 28, 28), dtype=np.float32)
    return whole


@pytest.fixture
def path(tmp_path):
    write_record(tmp_path / "0.h5", shard(), ATTRIBUTES, SHARD)
    return tmp_path / "0.h5"


def test_what_is_written_is_read(path):
    columns, attributes = read_record(path, SHARD, {"run": "toy", "norm": "l2"})
    for name, values in shard().items():
        np.testing.assert_array_equal(columns[name], values)
        assert columns[name].dtype == SHARD[name].dtype
    assert {key: attributes[key] for key in ATTRIBUTES} == ATTRIBUTES
    assert attributes["format"] == 1


def test_a_file_may_lack_an_optional_dataset_and_no_other(tmp_path):
    columns = shard()
    del columns["nonfinite"]
    write_record(tmp_path / "0.h5", columns, ATTRIBUTES, SHARD)
    read, _ = read_record(tmp_path / "0.h5", SHARD)
    assert list(read) == list(columns)
    del columns["queries"]
    with pytest.raises(KeyError, match="queries"):
        write_record(tmp_path / "1.h5", columns, ATTRIBUTES, SHARD)


def test_names_of_attacks_are_read_as_text(tmp_path):
    columns = {**shard(2), "attack": np.array(["", "L∞ BIM"], dtype=object)}
    write_record(tmp_path / "l2.h5", columns, ATTRIBUTES, MINIMAL)
    read, _ = read_record(tmp_path / "l2.h5", MINIMAL)
    assert read["attack"].tolist() == ["", "L∞ BIM"]


@pytest.mark.parametrize(
    ("norm", "unit"),
    [("l0", "changed pixels"), ("l2", "Euclidean norm"), ("linf", "largest change")],
)
def test_every_dataset_says_its_axes_and_unit(tmp_path, norm, unit):
    write_record(tmp_path / "0.h5", shard(), {**ATTRIBUTES, "norm": norm}, SHARD)
    with h5py.File(tmp_path / "0.h5") as file:
        assert set(file) == set(SHARD)
        for name, dataset in file.items():
            assert len(dataset.attrs["axes"].split(",")) == dataset.ndim
            assert dataset.attrs["unit"], name
        assert file["distance"].attrs["unit"].startswith(unit)


def test_same_content_gives_the_same_bytes(path, tmp_path):
    write_record(tmp_path / "again.h5", shard(), ATTRIBUTES, SHARD)
    assert path.read_bytes() == (tmp_path / "again.h5").read_bytes()


def test_failed_writing_keeps_the_old_file(path):
    before = path.read_bytes()
    incomplete = shard()
    del incomplete["gradients"]
    with pytest.raises(KeyError):
        write_record(path, incomplete, ATTRIBUTES, SHARD)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.h5: no such file"):
        read_record(tmp_path / "none.h5", SHARD)


@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.98])
def test_truncated_file_is_refused(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"0\.h5: damaged or not HDF5 .*; delete it and rerun"):
        read_record(path, SHARD)


@pytest.mark.parametrize("key", ["run", "model", "norm", "attack"])
def test_file_of_another_job_is_refused(path, key):
    with pytest.raises(
        InputError, match=rf"belongs to {key} '{ATTRIBUTES[key]}', expected 'other'; delete it"
    ):
        read_record(path, SHARD, {**ATTRIBUTES, key: "other"})


def test_other_format_is_refused(path):
    with altered(path) as file:
        file.attrs["format"] = 2
    with pytest.raises(InputError, match="has format 2, expected 1"):
        read_record(path, SHARD)


BAD = {
    "queries": (None, "lacks the dataset 'queries'"),
    "label": (np.zeros(3, np.int64), r"'label' has shape \(3,\), expected \(4,\)"),
    "clean_prediction": (np.zeros(4, np.float32), "'clean_prediction' has dtype float32, expected int64"),
    "gradients": (np.zeros((4, 1), np.int64), r"'gradients' has shape \(4, 1\)"),
    "adversarial": (np.zeros((4, 28, 28), np.float32), r"'adversarial' has shape \(4, 28, 28\)"),
    "index": (np.int64(4), r"'index' has shape \(\), expected \(n,\)"),
}


@pytest.mark.parametrize(("name", "bad"), BAD.items(), ids=BAD)
def test_column_of_the_wrong_form_is_refused(path, name, bad):
    values, message = bad
    with altered(path) as file:
        del file[name]
        if values is not None:
            file[name] = values
    with pytest.raises(InputError, match=rf"0\.h5: {message}.*; delete it and rerun"):
        read_record(path, SHARD)


def test_group_in_place_of_a_dataset_is_refused(path):
    with altered(path) as file:
        del file["label"]
        file.create_group("label")
    with pytest.raises(InputError, match="lacks the dataset 'label'"):
        read_record(path, SHARD)


def test_attack_that_is_no_text_is_refused(tmp_path):
    write_record(tmp_path / "l2.h5", {**shard(), "attack": np.array(list("abcd"))}, ATTRIBUTES, MINIMAL)
    with altered(tmp_path / "l2.h5") as file:
        del file["attack"]
        file["attack"] = np.arange(4)
    with pytest.raises(InputError, match="'attack' has dtype int64, expected str"):
        read_record(tmp_path / "l2.h5", MINIMAL)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 1.1])
def test_pixel_outside_the_box_is_refused(tmp_path, value):
    columns = shard()
    columns["adversarial"][2, 0, 5, 5] = value
    write_record(tmp_path / "0.h5", columns, ATTRIBUTES, SHARD)
    with pytest.raises(InputError, match=r"pixels that are not finite or outside \[0, 1\]"):
        read_record(tmp_path / "0.h5", SHARD)


def test_columns_of_any_length_are_read_as_they_are(tmp_path):
    columns = pictures.ascents(steps=7)
    write_record(tmp_path / "cnn.h5", columns, {"run": "toy", "model": "cnn"}, DISTAL)
    write_record(tmp_path / "abs.h5", columns, {"run": "toy", "model": "abs"}, DISTAL)
    read, attributes = read_by_model([tmp_path / "cnn.h5", tmp_path / "abs.h5"], DISTAL, {"run": "toy"})
    assert list(read) == list(attributes) == ["cnn", "abs"]
    assert read["cnn"]["confidence"].shape == (6, 8)
    np.testing.assert_array_equal(read["abs"]["image"], columns["image"])


def test_a_column_of_any_length_still_needs_its_axes(tmp_path):
    columns = pictures.ascents()
    flat = {**columns, "confidence": columns["confidence"][:, 0]}
    write_record(tmp_path / "cnn.h5", flat, {"run": "toy"}, DISTAL)
    with pytest.raises(InputError, match=r"'confidence' has shape \(6,\), expected \(6, None\)"):
        read_record(tmp_path / "cnn.h5", DISTAL)


def test_pixels_of_every_picture_are_checked(tmp_path):
    columns = pictures.reconstructed()
    columns["reconstruction"][1, 0, 1, 0, 3, 3] = 1.5
    write_record(tmp_path / "abs.h5", columns, {"run": "toy"}, RECONSTRUCTIONS)
    with pytest.raises(InputError, match="'reconstruction' has pixels that are not finite or outside"):
        read_record(tmp_path / "abs.h5", RECONSTRUCTIONS)


@pytest.mark.parametrize("value", [np.nan, -1e-9])
def test_impossible_distance_is_refused(tmp_path, value):
    columns = shard()
    columns["distance"][2] = value
    write_record(tmp_path / "0.h5", columns, ATTRIBUTES, SHARD)
    with pytest.raises(InputError, match="'distance' holds NaN or a negative value"):
        read_record(tmp_path / "0.h5", SHARD)


@pytest.mark.parametrize("layout", [SHARD, MINIMAL], ids=["shard", "minimal"])
def test_any_flipped_bit_is_refused_or_harmless(tmp_path, layout):
    """Harmless are those in the part of the user block that nobody reads."""
    path = tmp_path / "l2.h5"
    columns = {**shard(), "attack": np.array(["", "fgm", "bim", "L∞ BIM"], dtype=object)}
    write_record(path, columns, ATTRIBUTES, layout)
    whole, rng = path.read_bytes(), np.random.default_rng(1)
    read = read_record(path, layout)
    messages = []
    for place in rng.permutation(len(whole))[:150].tolist():
        content = bytearray(whole)
        content[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        try:
            found = read_record(path, layout)
        except InputError as error:
            messages.append(str(error))
            continue
        assert place < 512
        np.testing.assert_equal(found, read)
    assert len(messages) > 130
    assert all(message.startswith(f"{path}: damaged or not HDF5 (") for message in messages)
    assert not any("\n" in message for message in messages)


def test_other_readers_notice_flipped_pixels(path):
    with h5py.File(path) as file:
        stored = file["adversarial"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[stored.byte_offset + stored.size - 2] ^= 1  # in the chunk's own checksum: its pixels are sound
    path.write_bytes(content)
    with h5py.File(path) as file, pytest.raises(OSError, match="filter returned failure"):
        file["adversarial"][()]


def test_file_without_a_checksum_is_read(path):
    """Other programs, which write none, may make the files too."""
    content = bytearray(path.read_bytes())
    content[:512] = bytes(512)
    path.write_bytes(content)
    columns, _ = read_record(path, SHARD)
    np.testing.assert_array_equal(columns["distance"], shard()["distance"])
