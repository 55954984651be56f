"""IDX files: what is written on paper is read back, and anything else is refused by name."""

import gzip
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from absynth.data.format import PAPER
from absynth.data.idx import parse_idx, read_idx
from absynth.data.pairs import check_pair
from absynth.errors import InputError

LABELS = bytes.fromhex("00000801 00000003 070201")  # three labels: 7, 2, 1


def idx_bytes(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def test_known_bytes():
    labels = parse_idx(LABELS, "labels")
    assert labels.dtype == np.uint8
    assert labels.tolist() == [7, 2, 1]


def test_values_are_in_c_order():
    image = parse_idx(bytes.fromhex("00000803 00000001 00000002 00000003 000102 030405"), "images")
    assert image.tolist() == [[[0, 1, 2], [3, 4, 5]]]


def test_sizes_are_big_endian():
    assert parse_idx(bytes.fromhex("00000801 00000102") + bytes(258), "labels").shape == (258,)


def test_int32_are_big_endian():
    labels = parse_idx(bytes.fromhex("00000c02 00000001 00000002 00000102 ffffffff"), "labels")
    assert labels.dtype == np.dtype("int32")
    assert labels.tolist() == [[258, -1]]
    labels += 1  # it may be written to


@given(arrays(np.uint8, array_shapes(min_dims=1, max_dims=3, max_side=6)))
def test_round_trip(array):
    np.testing.assert_array_equal(parse_idx(idx_bytes(array), "array"), array)


@given(arrays(np.uint8, array_shapes(min_dims=1, max_dims=3, max_side=6)), st.data())
def test_every_truncation_is_refused(array, data):
    payload = idx_bytes(array)
    length = data.draw(st.integers(0, len(payload) - 1))
    with pytest.raises(InputError, match=f"cut: truncated .*{length} bytes found"):
        parse_idx(payload[:length], "cut")


@given(arrays(np.uint8, array_shapes(min_dims=1, max_dims=3, max_side=6)), st.binary(min_size=1, max_size=9))
def test_every_surplus_is_refused(array, surplus):
    with pytest.raises(InputError, match="long: over-long"):
        parse_idx(idx_bytes(array) + surplus, "long")


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"\x89PNG\r\n", r"wrong magic number 0x89504e47; allowed are 0x00000801"),
        (b"<!DOCTYPE html>", "wrong magic number"),
        (b"\0\1\x08\1\0\0\0\0", "wrong magic number 0x00010801"),
        (b"\0\0\x08\0\7", "wrong magic number 0x00000800"),
        (b"\0\0\x08\4" + bytes(16), "wrong magic number 0x00000804"),
        (b"\0\0\x0d\1\0\0\0\1\0\0\0\0", r"IDX dtype code 0x0d; only 0x08 \(uint8\) and 0x0c"),
        (b"\0\0\x0c\1\0\0\0\1\0\0\0", "truncated IDX payload: 11 bytes found, 12 needed"),
        (b"\xfd7zXZ\0\0\4", "wrong magic number 0xfd377a58; .*; it is compressed with xz, unpack it"),
        (b"MATLAB 5.0 MAT-file", "wrong magic number .*; it is a MATLAB file, take"),
        (b"\0\0\x08\3\0\0\0\1", "truncated IDX header: 8 bytes found, 16 needed"),
        (b"", "truncated IDX header: 0 bytes found"),
        (b"\0\0\x08\3" + b"\xff" * 12, "truncated IDX payload: 16 bytes found"),
    ],
)
def test_foreign_bytes_are_refused(payload, message):
    with pytest.raises(InputError, match=f"^some file: {message}"):
        parse_idx(payload, "some file")


@pytest.mark.parametrize("name", ["labels", "labels.gz"])
@pytest.mark.parametrize("encode", [bytes, gzip.compress])
def test_plain_and_gzip_are_told_apart_by_content(tmp_path, name, encode):
    path = tmp_path / name
    path.write_bytes(encode(LABELS))
    assert read_idx(path).tolist() == [7, 2, 1]


def damaged_gzip() -> dict[str, bytes]:
    whole = gzip.compress(LABELS)
    return {
        "truncated": whole[:-9],
        "wrong crc": whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:],
        "bad block": whole[:10] + b"\xff" + whole[11:],
        "trailing": whole + b"more",
    }


@pytest.mark.parametrize("damage", damaged_gzip())
def test_corrupt_gzip_is_refused(tmp_path, damage):
    path = tmp_path / "labels.gz"
    path.write_bytes(damaged_gzip()[damage])
    with pytest.raises(InputError, match=r"labels\.gz: corrupt gzip \(.+\); .* allowed"):
        read_idx(path)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such file"):
        read_idx(tmp_path / "nowhere")


def test_result_is_writable():
    labels = parse_idx(LABELS, "labels")
    labels[0] = 1
    assert labels.tolist() == [1, 2, 1]


def pair(n_images: int = 2, shape: tuple = (28, 28), labels: tuple = (0, 9)) -> tuple[np.ndarray, np.ndarray]:
    images = np.zeros(n_images * math.prod(shape), np.uint8).reshape(n_images, *shape)
    return images, np.array(labels, np.uint8)


def test_matching_pair_is_accepted():
    check_pair(*pair(), "mnist test", PAPER)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_images": 3}, "3 images but 2 labels"),
        ({"shape": (28, 27)}, r"images of shape \(2, 28, 27\); \(n, 28, 28\) is allowed"),
        ({"shape": (784,)}, r"images of shape \(2, 784\)"),
        ({"labels": ((0,), (9,))}, r"labels of shape \(2, 1\)"),
        ({"labels": (0, 10)}, "label 10 found; 0 to 9 are allowed"),
        ({"n_images": 0, "labels": ()}, "no images"),
    ],
)
def test_mismatched_pair_is_refused(arguments, message):
    with pytest.raises(InputError, match=f"^mnist test: {message}"):
        check_pair(*pair(**arguments), "mnist test", PAPER)


def test_negative_label_is_refused():
    images, labels = pair()
    with pytest.raises(InputError, match="label -1 found"):
        check_pair(images, labels.astype(np.int64) - 1, "mnist test", PAPER)
