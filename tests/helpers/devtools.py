"""A headless Chromium told what to do while a page is open: by the DevTools protocol, over a pipe."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from browser import FLAGS, chromium

_FLAGS = [*FLAGS, "--remote-debugging-pipe"]


class Page:
    """A page in a browser, in real time: scripts run, clicks and pictures of it."""

    def __init__(self, write: int, read: int):
        self._write, self._read, self._rest, self._number, self._session = write, read, b"", 0, ""
        self.console: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")
        self._call("Performance.enable", timeDomain="threadTicks")

    def resize(self, width: int, height: int = 900) -> None:
        """Show the page in a window, of a phone below 600 pixels."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                   mobile=width < 600)  # fmt: skip

    def open(self, path: Path) -> None:
        """Open a file and wait until it has loaded."""
        self._call("Page.navigate", url=path.as_uri())
        while self._message().get("method") != "Page.loadEventFired":
            pass

    def run(self, script: str) -> Any:
        """The value of an expression, awaited if it is a promise. An error in it is an AssertionError."""
        done = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def cpu_seconds(self) -> float:
        """CPU seconds of the page's main thread since the page was opened, whatever else the machine does."""
        metrics = self._call("Performance.getMetrics")["metrics"]
        return float({one["name"]: one["value"] for one in metrics}["TaskDuration"])

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Write what the window shows, or the whole page, as PNG."""
        data = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        number = self._number
        session = {"sessionId": self._session} if self._session else {}
        text = json.dumps({"id": number, "method": method, "params": parameters, **session})
        content = text.encode() + b"\0"
        while content:
            content = content[os.write(self._write, content) :]
        while True:
            message = self._message()
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                return message["result"]

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._read, 1 << 20)
            assert part, "the browser has ended"
            self._rest += part
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        about = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.console.append(about["exceptionDetails"]["exception"].get("description", "exception"))
        if message.get("method") == "Log.entryAdded":
            self.console.append(about["entry"]["text"])
        return message


@contextmanager
def browser_page(profile: Path) -> Iterator[Page]:
    """A page in a browser of its own, which has no network. profile: a new folder"""
    theirs, write = os.pipe()
    read, answers = os.pipe()
    command = [chromium(), *_FLAGS, f"--user-data-dir={profile}"]
    redirected = ["bash", "-c", f'exec "$0" "$@" 3<&{theirs} 4>&{answers}', *command]
    process = subprocess.Popen(redirected, pass_fds=(theirs, answers), stderr=subprocess.DEVNULL)
    os.close(theirs)
    os.close(answers)
    try:
        yield Page(write, read)
    finally:
        os.close(write)
        process.terminate()
        process.wait(timeout=30)
        os.close(read)
