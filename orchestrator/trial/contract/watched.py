"""The names of what is sampled in a trial without its program's asking."""

PREFIX = "watch/"
"""How all of them begin."""

NORM = "watch/gradient_norm"
SPREAD = "watch/gradient_spread"
