"""What `absynth evaluate` says when the workflow stops."""

import os

from absynth.cli.evaluate import reason_of


def log(path, text, time):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (time, time))


def test_the_reason_is_the_last_error_of_the_newest_log(tmp_path):
    assert reason_of(tmp_path, 0) is None
    logs = tmp_path / "logs"
    log(logs / "run_attack" / "a.log", "2026-11-27 18:00:00 ERROR older\n", 100)
    log(
        logs / "probe.log",
        "2026-11-27 18:00:01 ERROR first\n2026-11-27 18:00:02 ERROR ddn: fails\nTraceback\n",
        200,
    )
    log(logs / "fine.log", "2026-11-27 18:00:03 INFO done\n", 300)
    assert reason_of(tmp_path, 50) == f"ddn: fails ({logs / 'probe.log'})"
    assert reason_of(tmp_path, 250) is None
