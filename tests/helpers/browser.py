"""A headless Chromium: the document that a page becomes in it, and its console messages."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

FLAGS = [  # of every browser here: no window, no network
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
]
_FLAGS = [*FLAGS, "--enable-logging=stderr", "--v=0", "--virtual-time-budget=20000", "--dump-dom"]


def chromium() -> str:
    """The path of the browser; the test is skipped where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return found or pytest.skip("no Chromium here (Debian: apt-get install chromium)")


def open_page(page: Path, profile: Path, script: str = "", width: int = 1280) -> tuple[str, list[str]]:
    """Open a copy of a page, with `script` run when it has loaded, without any network.

    profile: a new, empty folder
    Returns the document after that, and the messages on its console
    """
    copy = profile / "page.html"
    profile.mkdir()
    added = f"<script>addEventListener('load', () => {{ {script} }});</script></body>"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", added), encoding="utf-8")
    own = [f"--user-data-dir={profile / 'profile'}", f"--window-size={width},900"]
    command = [chromium(), *_FLAGS, *own, copy.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout, re.findall(r"CONSOLE[^\]]*\] (.*)", done.stderr)
