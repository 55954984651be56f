"""Finding and downloading: order of places, checksums before acceptance, mirrors, retries and their errors."""

import gzip
import hashlib
import http.server
import logging
import os
import socket
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from absynth.data.fetch import Downloads, locate
from absynth.data.files import ROLES, IdxFile, IdxFiles
from absynth.data.idx import parse_idx, read_idx
from absynth.data.places import images_held, unverified
from absynth.data.sources import DATASETS, Dataset, dataset_from_config
from absynth.errors import InputError
from absynth.io.log import LOGGER

PAYLOAD = bytes.fromhex("00000801 00000040") + bytes(range(10)) * 6 + bytes(4)
PUBLISHED = gzip.compress(PAYLOAD, mtime=0)
OTHER = PAYLOAD[:-1] + b"\1"  # whole IDX, but other labels
BY_SHA256 = IdxFile("labels.gz", sha256=hashlib.sha256(PAYLOAD).hexdigest())
BY_MD5 = IdxFile("labels.gz", md5=hashlib.md5(PUBLISHED).hexdigest())
UNKNOWN = IdxFile("labels.gz")


def dataset(*mirrors: str) -> Dataset:
    return Dataset("toy", "idx", n_train=None, n_test=None, mirrors=mirrors)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    monkeypatch.delenv("ABSYNTH_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(LOGGER, "propagate", True)  # caplog listens at the root


@dataclass(frozen=True)
class Reply:
    """One answer of the mirror: `body`, of which only `sent` bytes arrive; `ranges`: it can resume."""

    body: bytes = PUBLISHED
    status: int = 200
    sent: int | None = None
    ranges: bool = False


class Mirror(http.server.ThreadingHTTPServer):
    """A mirror on this machine that gives `replies` in turn, the last for ever, and keeps the Range headers."""

    def __init__(self, *replies: Reply):
        super().__init__(("127.0.0.1", 0), MirrorHandler)
        self.replies = list(replies)
        self.ranges: list[str | None] = []
        self.paths: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}/data/"


class MirrorHandler(http.server.BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self):
        replies, asked = self.server.replies, self.headers.get("Range")
        self.server.ranges.append(asked)
        self.server.paths.append(self.path)
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        body, status = reply.body, reply.status
        if asked and reply.ranges:
            body, status = body[int(asked.removeprefix("bytes=").rstrip("-")) :], 206
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: reply.sent])

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    mirrors = []

    def start(*replies: Reply) -> Mirror:
        mirror = Mirror(*replies)
        threading.Thread(target=mirror.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        mirrors.append(mirror)
        return mirror

    yield start
    for mirror in mirrors:
        mirror.shutdown()
        mirror.server_close()


def unreachable() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def no_download(*_, **__):
    raise AssertionError("a download was started")


NO_DOWNLOAD = Downloads(opener=no_download)


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# Places on this machine


@pytest.mark.parametrize("place", ["labels.gz", "labels", "toy/labels.gz", "toy/labels"])
@pytest.mark.parametrize("content", [PUBLISHED, PAYLOAD], ids=["gzip", "plain"])
def test_local_file_is_found(tmp_path, place, content):
    path = put(tmp_path / "data" / place, content)
    assert locate(BY_SHA256, dataset(), tmp_path / "data", tmp_path / "cache", NO_DOWNLOAD) == path


def test_places_are_searched_in_order(tmp_path, monkeypatch):
    monkeypatch.setenv("ABSYNTH_DATA", str(tmp_path / "variable"))
    expected = [put(tmp_path / place / "labels.gz", PUBLISHED) for place in ("data", "variable", "cache/toy")]
    for path in expected:
        assert locate(BY_SHA256, dataset(), tmp_path / "data", tmp_path / "cache", NO_DOWNLOAD) == path
        path.unlink()


def test_own_subfolder_comes_before_a_shared_name(tmp_path):
    put(tmp_path / "labels.gz", gzip.compress(OTHER))
    own = put(tmp_path / "toy" / "labels", PAYLOAD)
    assert locate(BY_SHA256, dataset(), tmp_path, tmp_path / "cache", NO_DOWNLOAD) == own


ADVICE = {"data": ".*: put a sound copy in its place", "cache": "delete it and rerun"}


@pytest.mark.parametrize("place", ["data", "cache"])
@pytest.mark.parametrize(
    ("file", "content", "expected", "found"),
    [
        (BY_SHA256, OTHER, BY_SHA256.sha256, hashlib.sha256(OTHER).hexdigest()),
        (BY_SHA256, gzip.compress(OTHER), BY_SHA256.sha256, hashlib.sha256(OTHER).hexdigest()),
        (BY_MD5, gzip.compress(OTHER, mtime=0), BY_MD5.md5, None),
    ],
    ids=["sha256-plain", "sha256-gzip", "md5"],
)
def test_wrong_local_file_is_refused(tmp_path, place, file, content, expected, found):
    (tmp_path / "data").mkdir()
    path = put(tmp_path / place / "labels.gz", content)
    found = found or hashlib.md5(content).hexdigest()
    with pytest.raises(
        InputError, match=f"{path}: .* is {found}, expected {expected}; {ADVICE[place]}, or set data_dir"
    ) as refused:
        locate(file, dataset(), tmp_path / "data", tmp_path / "cache", NO_DOWNLOAD)
    assert path.exists()
    assert ("delete" in str(refused.value)) == (place == "cache")


def test_a_damaged_download_that_is_deleted_as_advised_is_downloaded_again(tmp_path):
    path = put(tmp_path / "cache" / "toy" / "labels.gz", PUBLISHED[:-5])
    (tmp_path / "mirror").mkdir()
    put(tmp_path / "mirror" / "labels.gz", PUBLISHED)
    mirror = dataset((tmp_path / "mirror").as_uri())
    with pytest.raises(InputError, match="delete it and rerun, or set data_dir"):
        locate(BY_SHA256, mirror, None, tmp_path / "cache")
    path.unlink()
    assert locate(BY_SHA256, mirror, None, tmp_path / "cache").read_bytes() == PUBLISHED


def test_truncated_local_file_is_refused(tmp_path):
    path = put(tmp_path / "labels.gz", PUBLISHED[:-5])
    with pytest.raises(
        InputError,
        match=f"{path}: corrupt gzip .*; it was not made by this run.* put a sound copy in its place",
    ):
        locate(BY_SHA256, dataset(), tmp_path, tmp_path / "cache", NO_DOWNLOAD)


def test_sha256_ignores_how_the_file_was_compressed_and_md5_does_not(tmp_path):
    put(tmp_path / "labels.gz", gzip.compress(PAYLOAD, mtime=1))
    locate(BY_SHA256, dataset(), tmp_path, tmp_path / "cache", NO_DOWNLOAD)
    with pytest.raises(InputError, match=r"md5 of the \.gz"):
        locate(BY_MD5, dataset(), tmp_path, tmp_path / "cache", NO_DOWNLOAD)


@pytest.mark.parametrize(("file", "warnings"), [(BY_SHA256, 0), (BY_MD5, 1), (UNKNOWN, 1)])
def test_unverified_plain_file_is_named_in_a_warning(tmp_path, caplog, file, warnings):
    path = put(tmp_path / "labels", PAYLOAD)
    assert locate(file, dataset(), tmp_path, tmp_path / "cache", NO_DOWNLOAD) == path
    found = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [str(path) in record.getMessage() for record in found] == [True] * warnings


def test_unverified_file_must_be_whole_idx(tmp_path):
    put(tmp_path / "labels", PAYLOAD[:-1])
    with pytest.raises(InputError, match="truncated IDX payload"):
        locate(UNKNOWN, dataset(), tmp_path, tmp_path / "cache", NO_DOWNLOAD)


def test_unverified_file_of_another_registered_data_set_is_refused(tmp_path, monkeypatch):
    owner = replace(DATASETS["mnist"], files=IdxFiles(BY_SHA256, UNKNOWN, UNKNOWN, UNKNOWN))
    monkeypatch.setitem(DATASETS, "mnist", owner)
    put(tmp_path / "labels", PAYLOAD)
    with pytest.raises(InputError, match=f"{BY_SHA256.sha256}, which is a file of mnist"):
        locate(BY_MD5, DATASETS["kmnist"], tmp_path, tmp_path / "cache", NO_DOWNLOAD)
    described = replace(dataset(), name="kmnist")  # the config may say so
    assert locate(UNKNOWN, described, tmp_path, tmp_path / "cache", NO_DOWNLOAD).exists()


@pytest.mark.parametrize("exists", [True, False])
def test_data_dir_that_is_no_folder_is_refused(tmp_path, monkeypatch, exists):
    path = put(tmp_path / "labels.gz", PUBLISHED) if exists else tmp_path / "nowhere"
    with pytest.raises(InputError, match=f"data_dir: {path} is not a folder"):
        locate(BY_SHA256, dataset(), path, tmp_path, NO_DOWNLOAD)
    monkeypatch.setenv("ABSYNTH_DATA", str(path))
    with pytest.raises(InputError, match=f"ABSYNTH_DATA: {path} is not a folder"):
        locate(BY_SHA256, dataset(), None, tmp_path, NO_DOWNLOAD)


# Mirrors


def download(file: IdxFile, cache: Path, *mirrors: str, **options) -> Path:
    downloads = Downloads(**{"sleep": lambda seconds: None, **options})
    return locate(file, dataset(*mirrors), None, cache, downloads)


def cached(cache: Path) -> list[str]:
    return sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file())


@pytest.mark.parametrize("file", [BY_SHA256, BY_MD5, UNKNOWN], ids=["sha256", "md5", "unknown"])
def test_download_is_cached(tmp_path, serve, file):
    mirror = serve(Reply())
    paths = {download(file, tmp_path, mirror.url) for _ in range(2)}
    (path,) = paths
    assert path.read_bytes() == PUBLISHED
    assert mirror.paths == ["/data/labels.gz"]
    assert cached(tmp_path) == [str(path.relative_to(tmp_path))]
    if file != UNKNOWN:
        assert path == tmp_path / "toy" / "labels.gz"


def test_a_download_that_nothing_verifies_serves_its_own_mirror_alone(tmp_path, serve):
    first, second = serve(Reply()), serve(Reply(gzip.compress(OTHER)))
    put(tmp_path / "toy" / "labels.gz", gzip.compress(OTHER))  # from who knows where
    assert read_idx(download(UNKNOWN, tmp_path, first.url)).tolist() == read_idx_of(PAYLOAD)
    assert read_idx(download(UNKNOWN, tmp_path, second.url)).tolist() == read_idx_of(OTHER)
    assert read_idx(download(UNKNOWN, tmp_path, first.url.rstrip("/"))).tolist() == read_idx_of(PAYLOAD)
    assert read_idx(download(UNKNOWN, tmp_path, unreachable(), second.url)).tolist() == read_idx_of(OTHER)
    assert (len(first.paths), len(second.paths)) == (1, 1)


def read_idx_of(payload: bytes) -> list[int]:
    return parse_idx(payload, "").tolist()


# What a run depends on besides its config


def described(**files: IdxFile) -> Dataset:
    roles = {role: IdxFile(f"{role}.gz") for role in ROLES} | files
    return replace(dataset(), files=IdxFiles(**roles))


def test_files_that_nothing_verifies_are_known_by_their_digests(tmp_path, monkeypatch):
    data, other = described(test_labels=IdxFile("labels.gz")), tmp_path / "other"
    assert (
        unverified(data, None) == unverified(data, tmp_path / "missing") == unverified(data, tmp_path) == {}
    )
    path = put(tmp_path / "labels", PAYLOAD)
    before = unverified(data, tmp_path)
    assert before == {"test_labels": hashlib.sha256(PAYLOAD).hexdigest()}
    put(other / "toy" / "labels", PAYLOAD)
    monkeypatch.setenv("ABSYNTH_DATA", str(other))
    assert unverified(data, None) == before  # wherever it lies
    path.write_bytes(OTHER)
    assert unverified(data, tmp_path) == {"test_labels": hashlib.sha256(OTHER).hexdigest()}
    put(tmp_path / "toy" / "labels.gz", PUBLISHED)  # which goes before it
    assert unverified(data, tmp_path) == {"test_labels": hashlib.sha256(PUBLISHED).hexdigest()}


def test_files_that_a_checksum_verifies_need_no_digest(tmp_path):
    put(tmp_path / "labels.gz", PUBLISHED)
    assert unverified(described(test_labels=BY_SHA256), tmp_path) == {}
    assert unverified(described(test_labels=BY_MD5), tmp_path) == {}
    put(tmp_path / "labels.gz", PAYLOAD)  # which an md5 of the .gz says nothing of
    assert list(unverified(described(test_labels=BY_MD5), tmp_path)) == ["test_labels"]
    assert unverified(DATASETS["digits"], tmp_path) == {}


def test_test_images_are_counted_by_the_header_alone(tmp_path, monkeypatch):
    data, cache = described(test_images=IdxFile("images.gz")), tmp_path / "cache"
    header = bytes.fromhex("00000803 0000001e 0000001c 0000001c")  # 30 images
    assert images_held(data, tmp_path, cache) is None
    put(cache / "toy" / "images.gz", gzip.compress(header))  # of no mirror of this data set
    assert images_held(data, tmp_path, cache) is None
    put(tmp_path / "images", header + b"not as long as it says")
    assert images_held(data, tmp_path, cache) == 30
    monkeypatch.setenv("ABSYNTH_DATA", str(tmp_path))
    assert images_held(data, None, cache) == 30
    put(tmp_path / "toy" / "images.gz", gzip.compress(header[:7] + b"\x05" + header[8:]))  # goes before it
    assert images_held(data, None, cache) == 5


def test_downloaded_test_images_are_counted(tmp_path):
    mirror = tmp_path / "mirror"
    file = IdxFile("images.gz")
    put(mirror / "images.gz", gzip.compress(bytes.fromhex("00000803 00000002 00000001 00000001 0102")))
    data = replace(described(test_images=file), mirrors=(mirror.as_uri(),))
    locate(file, data, None, tmp_path / "cache")
    assert images_held(data, None, tmp_path / "cache") == 2


@pytest.mark.parametrize(
    "content", [b"", b"\x1f\x8b", b"\x1f\x8b damaged", bytes.fromhex("00000801 0000001e"), b"text, not IDX"]
)
def test_test_images_that_cannot_be_read_are_not_counted(tmp_path, content):
    data = described(test_images=IdxFile("images.gz"))
    put(tmp_path / "images.gz", content)
    assert images_held(data, tmp_path, tmp_path) is None
    assert images_held(DATASETS["digits"], tmp_path, tmp_path) is None


def test_download_from_a_file_url(tmp_path):
    put(tmp_path / "mirror" / "labels.gz", PUBLISHED)
    path = download(BY_SHA256, tmp_path / "cache", (tmp_path / "mirror").as_uri())
    assert path.read_bytes() == PUBLISHED


@pytest.mark.parametrize("file", [BY_SHA256, BY_MD5], ids=["sha256", "md5"])
@pytest.mark.parametrize(
    "body",
    [gzip.compress(OTHER), PUBLISHED[:-3], b"<html>Sign in</html>", b""],
    ids=["other", "cut", "html", "empty"],
)
def test_corrupt_mirror_gives_way_to_the_next(tmp_path, serve, file, body):
    corrupt, good = serve(Reply(body)), serve(Reply())
    assert download(file, tmp_path, corrupt.url, good.url).read_bytes() == PUBLISHED
    assert (len(corrupt.paths), len(good.paths)) == (1, 1)
    assert cached(tmp_path) == ["toy/labels.gz"]


def test_corrupt_download_is_discarded(tmp_path, serve):
    with pytest.raises(InputError, match=f"{hashlib.sha256(OTHER).hexdigest()}, expected {BY_SHA256.sha256}"):
        download(BY_SHA256, tmp_path, serve(Reply(OTHER)).url)
    assert cached(tmp_path) == []


def test_web_page_is_refused_even_without_a_checksum(tmp_path, serve):
    with pytest.raises(InputError, match="wrong magic number"):
        download(UNKNOWN, tmp_path, serve(Reply(b"<html>Sign in</html>")).url)


def test_mirror_that_decompresses_passes_by_sha256_only(tmp_path, serve):
    mirror = serve(Reply(PAYLOAD))
    with pytest.raises(InputError, match="not packed"):
        download(BY_MD5, tmp_path, mirror.url)
    assert read_idx(download(BY_SHA256, tmp_path, mirror.url)).tobytes() == PAYLOAD[8:]


def test_failing_mirror_is_tried_again_after_growing_pauses(tmp_path, serve):
    pauses = []
    mirror = serve(Reply(b"busy", 503), Reply(b"busy", 429), Reply())
    path = download(BY_SHA256, tmp_path, mirror.url, backoff=0.5, sleep=pauses.append)
    assert path.read_bytes() == PUBLISHED
    assert pauses == [0.5, 1.0]


@pytest.mark.parametrize(("status", "attempts"), [(503, 2), (404, 1)])
def test_attempts_are_bounded_and_a_missing_file_is_final(tmp_path, serve, status, attempts):
    mirror = serve(Reply(b"no", status))
    with pytest.raises(InputError, match=f"HTTP Error {status}"):
        download(BY_SHA256, tmp_path, mirror.url, retries=2)
    assert len(mirror.paths) == attempts


@pytest.mark.parametrize("ranges", [True, False])
def test_interrupted_download_resumes_or_starts_over(tmp_path, serve, ranges):
    mirror = serve(Reply(sent=20), Reply(ranges=ranges))
    assert download(BY_SHA256, tmp_path, mirror.url).read_bytes() == PUBLISHED
    assert mirror.ranges == [None, "bytes=20-"]


def test_refused_resumption_starts_over(tmp_path, serve):
    mirror = serve(Reply(sent=20), Reply(b"", 416), Reply())
    assert download(BY_SHA256, tmp_path, mirror.url).read_bytes() == PUBLISHED
    assert mirror.ranges == [None, "bytes=20-", None]


def test_next_mirror_does_not_resume_what_another_began(tmp_path, serve):
    broken, good = serve(Reply(sent=20)), serve(Reply(ranges=True))
    assert download(BY_SHA256, tmp_path, broken.url, good.url, retries=1).read_bytes() == PUBLISHED
    assert good.ranges == [None]


def test_silent_mirror_times_out(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(InputError, match="timed out"):
            download(BY_SHA256, tmp_path, url, retries=1, timeout=0.1)


def test_failure_names_places_mirrors_errors_and_cure(tmp_path, serve):
    closed, missing = unreachable(), serve(Reply(b"", 404))
    with pytest.raises(InputError) as caught:
        download(BY_SHA256, tmp_path, closed, missing.url)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "toy: labels.gz not found",
        str(tmp_path / "toy" / "labels.gz"),
        str(tmp_path / "labels"),
        f"{closed}/labels.gz (<urlopen error",
        f"{missing.url}labels.gz (HTTP Error 404",
        "set data_dir in the config, or the variable ABSYNTH_DATA",
    ):
        assert part in message


def test_data_set_without_mirrors_says_so(tmp_path):
    with pytest.raises(InputError, match="mirrors tried: none is listed; set data_dir"):
        download(BY_SHA256, tmp_path)


def test_cache_that_cannot_be_made_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"cache: .* cannot be made"):
        download(BY_SHA256, put(tmp_path / "file", b""), unreachable())


def test_a_file_of_one_s_own_is_known_by_what_it_holds(tmp_path):
    path = tmp_path / "mine.npz"
    path.write_bytes(b"first")
    arrays = {"images": "x", "labels": "y"}
    mine = dataset_from_config("mine", {"npz": str(path), "test": arrays})
    before = unverified(mine, None)
    assert before == {str(path): hashlib.sha256(b"first").hexdigest()}
    path.write_bytes(b"other")
    os.utime(path, (0, 0))
    assert unverified(mine, None) == {str(path): hashlib.sha256(b"other").hexdigest()}
