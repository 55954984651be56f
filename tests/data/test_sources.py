"""The registry of data sets, and data sets that a config describes."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from absynth.data import sources
from absynth.data.files import ROLES, IdxFile
from absynth.data.sources import DATASETS, dataset_from_config, find_dataset
from absynth.errors import InputError


@pytest.mark.parametrize("name", DATASETS)
def test_registered_data_set_is_complete(name):
    entry = find_dataset(name)
    assert entry.name == name
    assert entry.n_train >= entry.n_test > 0
    if entry.files:
        assert entry.mirrors
        assert all(urlsplit(mirror).netloc for mirror in entry.mirrors)
        files = [getattr(entry.files, role) for role in ROLES]
        sums = {file.sha256 or file.md5 for file in files}
        assert len(sums) == 4
        assert {len(value) for value in sums} <= {32, 64}
        assert ["train" in file.name for file in files] == [True, True, False, False]
        assert ["images" in file.name for file in files] == [True, False, True, False]


def test_unknown_data_set_is_refused():
    with pytest.raises(InputError, match="'mnits'; allowed are digits, mnist, fashion_mnist, kmnist"):
        find_dataset("mnits")


def test_sources_import_nothing_heavy():
    code = "import sys, absynth.data.sources; print([m for m in ('numpy', 'torch', 'sklearn') if m in sys.modules])"
    scripts = Path(sources.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=scripts, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def description() -> dict:
    files = {role: {"name": f"{role}.gz"} for role in ROLES}
    files["train_images"]["sha256"] = "AB" * 32
    files["test_labels"]["md5"] = "cd" * 16
    return {"files": files, "mirrors": ["https://example.org/data"], "n_test": 12}


def test_config_describes_a_data_set():
    made = find_dataset("mine", description())
    assert (made.name, made.reader, made.n_train, made.n_test) == ("mine", "idx", None, 12)
    assert made.mirrors == ("https://example.org/data",)
    assert made.files.train_images == IdxFile("train_images.gz", sha256="ab" * 32)
    assert made.files.test_labels == IdxFile("test_labels.gz", md5="cd" * 16)
    assert dataset_from_config("mine", {"files": description()["files"]}).mirrors == ()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("mirror",), [], r"mine\.mirror: \[\]; allowed keys are channels, files, first_label, mirrors"),
        (("files",), None, r"mine\.files: None; a mapping"),
        (("files", "validation"), {}, r"mine\.files\.validation: {}; allowed keys are test_images"),
        (("files", "train_images"), {}, r"mine\.files\.train_images\.name: missing"),
        (
            ("files", "train_images", "name"),
            "../x",
            r"mine\.files\.train_images\.name: '\.\./x'; a file name",
        ),
        (("files", "train_images", "sha256"), "ab", r"sha256: 'ab'; 64 hexadecimal digits"),
        (("files", "test_labels", "md5"), 7, r"md5: 7; 32 hexadecimal digits"),
        (("mirrors",), "https://example.org", r"mirrors: 'https://example\.org'; a list"),
        (("mirrors",), ["example.org"], r"mirrors: 'example\.org'; URLs that start"),
        (("transposed",), "yes", r"mine\.transposed: 'yes'; true and false"),
        (("first_label",), -1, r"mine\.first_label: -1; a whole number from 0 on"),
        (("first_label",), True, r"mine\.first_label: True; a whole number"),
        (("channels",), "middle", r"mine\.channels: 'middle'; first and last"),
        (
            ("files", "train_images", "name"),
            "emnist-letters-train-images-idx3-ubyte.gz",
            "transposed: missing; .* true",
        ),
        (("n_test",), 0, r"n_test: 0; a positive"),
        (("n_test",), True, r"n_test: True; a positive"),
    ],
)
def test_malformed_description_is_refused(path, value, message):
    entry = description()
    place = entry
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(InputError, match=message):
        dataset_from_config("mine", entry)


def test_training_images_without_their_labels_are_refused():
    entry = description()
    del entry["files"]["train_labels"]
    with pytest.raises(InputError, match=r"mine\.files\.train_labels: missing"):
        dataset_from_config("mine", entry)


def test_missing_role_and_unsafe_name_are_refused():
    entry = description()
    del entry["files"]["test_images"]
    with pytest.raises(InputError, match=r"mine\.files\.test_images: missing"):
        dataset_from_config("mine", entry)
    with pytest.raises(InputError, match=r"data set name: '\.\./mine'"):
        dataset_from_config("../mine", description())
