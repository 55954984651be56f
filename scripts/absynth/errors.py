"""The one exception for what a user can put right; its message is one line that says how."""


class InputError(Exception):
    """Bad input: a config value, a file or an array. Names it, what was found and what is allowed."""
