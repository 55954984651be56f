"""The one exception for what a user can put right; its message is one line that says how."""

_LONGEST = 1000  # characters of a message, which may quote what was found


class InputError(Exception):
    """Bad input: a config value, a file or an array. Names it, what was found and what is allowed.

    Characters that would break the line or hide in it are escaped.
    """

    def __init__(self, message: str):
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
        super().__init__(shown if len(shown) <= _LONGEST else shown[: _LONGEST - 3] + "...")
