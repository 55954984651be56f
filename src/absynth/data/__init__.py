"""Data sets: what they are, where they come from, and the splits a run works on."""
