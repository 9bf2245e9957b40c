"""Curves as braille, against what a hand would draw."""

import math

from orchestrator.cli.watching.plot import Curve, plot

RISING = Curve(name="3", colour="#111111", points=[(float(i), float(i)) for i in range(41)])


def test_a_curve_goes_from_corner_to_corner(golden):
    """Axes say the ends of both ranges, the legend the name and the last value."""
    falling = Curve(name="7 best", colour="#222222", points=[(x, 40.0 - y) for x, y in RISING.points])
    text = plot([RISING, falling], width=40, height=10, muted="#777777", along=" loss by row ")
    lines = text.plain.split("\n")
    golden("plot.txt", "\n".join(line.rstrip() for line in lines) + "\n")
    assert len(lines) == 10
    assert max(map(len, lines)) <= 40
    assert {span.style for span in text.spans} >= {"#111111", "#222222"}


def test_what_is_not_finite_is_a_gap():
    """And a trial that diverged does not make the others flat."""
    values = [1.0, 2.0, math.nan, 3.0, 2.0, 1e30, math.inf, 1.5]
    text = plot(
        [Curve(name="0", colour="#111111", points=list(enumerate(values)))], width=60, height=8, muted="#7", along="x"
    )
    assert "1e+30" not in text.plain.split("\n", 1)[1]
    nothing = Curve(name="0", colour="#111111", points=[(0.0, math.nan)])
    assert plot([nothing], width=60, height=8, muted="#777777", along="x").plain == "nothing to draw yet"
    one = Curve(name="0", colour="#111111", points=[(3.0, 2.0)])
    assert plot([one], width=30, height=6, muted="#777777", along="x").plain.count("\n") == 5
