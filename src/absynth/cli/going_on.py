"""What the last line of a call that stopped says besides the reason."""

import re
from pathlib import Path

GOES_ON = "; what is finished stays, and the same command goes on from here"
_REASON = re.compile(r"(?P<message>.*) \((?P<log>.+\.log)\)", re.DOTALL)
_ENDED = (
    "interrupted",
    "the workflow has ended, and so does this job",
)  # told as errors by jobs that were stopped
_DECLARED = re.compile(r"\b(?P<key>\w+): (?P<value>true|false) in its config entry")


def declared(reason: str, config: Path) -> str:
    """How the command line says what a reason tells to write into a model's config entry; nothing if it tells none.

    config: the file of the run that holds the entry
    """
    found = _DECLARED.search(reason)
    if found is None:
        return ""
    return f"; the entry is in {config}, and --model-keys {found['key']}={found['value']} after the model writes it"


def going_on(reason: str) -> str:
    """That the same command goes on, after a crash or an interruption; nothing where input must be put right first.

    reason: why the workflow stopped, "message (log of the job)". A job tells bad input as an error in one line of its
    log, and a crash as a critical one (`absynth.io.log`).
    """
    found = _REASON.fullmatch(reason)
    if found is None or found["message"] in _ENDED or not Path(found["log"]).is_file():
        return GOES_ON
    lines = Path(found["log"]).read_text(encoding="utf-8", errors="replace").splitlines()
    bad_input = any(line.endswith(f" ERROR {found['message']}") for line in lines)
    return "" if bad_input else GOES_ON
