"""How norms and distances in them are written where people read them; no imports, so that anything may use it."""

TITLES = {"l2": "L2", "linf": "L∞", "l0": "L0"}
FORMATS = {"l2": "{:.2f}", "linf": "{:.3f}", "l0": "{:.0f}"}
MEDIAN_FORMATS = {**FORMATS, "l0": "{:.1f}"}  # of an even number of images it may lie between two pixels
