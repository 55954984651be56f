"""How distances in each norm are written where people read them; no imports, so that anything may use it."""

FORMATS = {"l2": "{:.2f}", "linf": "{:.3f}", "l0": "{:.0f}"}
