"""Colours that can be told apart by everybody, and read: of the terminal and of the pages."""

import itertools
import re
from pathlib import Path

import pytest

import orchestrator
from orchestrator.cli.watching.looks import DARK, LIGHT, MARKS

LEAST_APART = 12.0
"""In CIELAB, where about 2 is the least that anybody sees side by side."""

EYES = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "without red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "without green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "without blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
"""What eyes make of linear RGB: Machado, Oliveira and Fernandes (2009), with no cones of a kind."""

XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.072175), (0.0193339, 0.119192, 0.9503041))
WHITE = (0.95047, 1.0, 1.08883)


def times(matrix, vector):
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def linear(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def lab(colour, eyes):
    seen = [min(1.0, max(0.0, part)) for part in times(EYES[eyes], linear(colour))]
    parts = [part / white for part, white in zip(times(XYZ, seen), WHITE, strict=True)]
    x, y, z = (part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116 for part in parts)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def apart(a, b, eyes):
    return sum((p - q) ** 2 for p, q in zip(lab(a, eyes), lab(b, eyes), strict=True)) ** 0.5


def contrast(a, b):
    dark, light = sorted(times(XYZ, linear(colour))[1] for colour in (a, b))
    return (light + 0.05) / (dark + 0.05)


def lines_of_pages():
    style = Path(orchestrator.__file__).with_name("serve") / "live.css"
    found = re.findall(r"--line-\d: (#[0-9a-f]{6})", style.read_text())
    return [found[k : k + 6] for k in range(0, len(found), 6)]


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("colours", [LIGHT.curves, DARK.curves, *lines_of_pages()], ids=len)
def test_lines_that_are_shown_together_are_told_apart(colours, eyes):
    """Any two of the six, also by those who lack a kind of cones."""
    for a, b in itertools.combinations(colours, 2):
        assert apart(a, b, eyes) > LEAST_APART, (a, b)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_everything_can_be_read(palette):
    """Texts have the contrast that WCAG asks of them (AA), lines at least as much; good and bad differ for all eyes."""
    texts = [palette.ink, palette.muted, palette.accent, palette.good, palette.stopped, palette.failed]
    assert all(contrast(colour, palette.page) >= 4.5 for colour in [*texts, *palette.curves])
    for eyes, bad in itertools.product(EYES, (palette.accent, palette.stopped, palette.failed)):
        assert apart(palette.good, bad, eyes) > LEAST_APART


def test_a_state_is_never_told_by_its_colour_alone():
    """Each has a mark of its own."""
    assert len({mark for mark, _ in MARKS.values()}) == len(MARKS)
