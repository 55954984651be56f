"""Attacks of other libraries, and users' own functions, run on a Target."""
