"""What a lower bound rests on, as tables name it."""

PROVED = "proved"  # on nothing but floating-point arithmetic, whose rounding is allowed for
SEARCHED = "searched"  # on a search that is taken to have found a global minimum
