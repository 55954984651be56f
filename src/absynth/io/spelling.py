"""What a misspelt name was meant to be."""

import difflib
from collections.abc import Iterable
from itertools import takewhile


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, None if none is; of equally like ones that with the longer common beginning.

    Case counts only where it alone tells names apart.
    """
    shown = name[:80]
    spelt: dict[str, list[str]] = {}
    for other in known:
        spelt.setdefault(other.casefold(), []).append(other)
    close = difflib.get_close_matches(shown.casefold(), spelt, n=max(len(spelt), 1))

    def likeness(other: str) -> tuple[float, int, bool]:
        pair = other.casefold(), shown.casefold()
        begun = sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(*pair, strict=False)))
        return difflib.SequenceMatcher(None, *pair).ratio(), begun, other == name

    return max((other for key in close for other in spelt[key]), key=likeness, default=None)
