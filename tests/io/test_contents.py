"""What files hold, read again only where they have changed."""

import hashlib
import os

from absynth.io.contents import contents, sha256


def test_what_a_file_holds_counts_and_not_its_time(tmp_path):
    path = tmp_path / "a.pt"
    path.write_bytes(b"one")
    assert sha256(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"two")
    os.utime(path, (0, 0))
    assert sha256(path) == hashlib.sha256(b"two").hexdigest()
    path.touch()
    assert contents([path, tmp_path / "none"]) == {str(path): sha256(path)}
