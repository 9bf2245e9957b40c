from dataclasses import replace
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from orchestrator.watch.screen import headline, screen
from tests.watch.shown import ENDED, PROGRESS, ended, running

SCENES = {
    "usual": (PROGRESS, ENDED),
    "start": (
        replace(PROGRESS, finished=0, stopped=0, failed=0, pending=0, best=None, eta_s=None, running=[], elapsed_s=3),
        [],
    ),
    "endless": (replace(PROGRESS, total=None, eta_s=None, metric=None, best=None), ENDED[:1]),
    "many": (replace(PROGRESS, total=5000, running=[running(n, gpu_ids=()) for n in range(64)]), ENDED),
    "cluster": (replace(PROGRESS, running=[running(n, host=f"node{n % 2}") for n in range(3)]), ENDED[:2]),
    "stuck": (
        replace(PROGRESS, running=[], problem="a trial wants 2 GPUs, but the largest node has 1 GPU", paused=True),
        [],
    ),
}
SIZES = [(80, 24), (120, 40), (200, 50), (40, 10)]


def drawn(lines, width, *, color=None):
    out = StringIO()
    console = Console(file=out, width=width, force_terminal=color is not None, color_system=color, legacy_windows=False)
    for line in lines:
        console.print(line)
    return out.getvalue()


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("scene", SCENES)
def test_golden_screens(golden, scene, width, height):
    """What is drawn of a fixed sweep, by the size of the terminal."""
    lines = screen(*SCENES[scene], width=width, height=height - 1)
    golden(f"screen-{scene}-{width}x{height}.txt", drawn(lines, width))


@given(
    width=st.integers(1, 250),
    height=st.integers(1, 60),
    scene=st.sampled_from(sorted(SCENES)),
    name=st.text(max_size=60),
    n_running=st.integers(0, 80),
)
def test_a_screen_always_fits(width, height, scene, name, n_running):
    """Never wider or taller than the terminal, whatever names, numbers and sizes there are."""
    progress, events = SCENES[scene]
    progress = replace(progress, name=name, running=[running(n, host=name) for n in range(n_running)])
    lines = screen(progress, [*events, *[ended(n, reason=name) for n in range(20)]], width=width, height=height)
    assert len(lines) <= height
    assert all(line.cell_len <= max(width, 1) for line in lines)
    assert not any(set(line.plain) & {"\n", "\r", "\x1b", "\x07"} for line in lines)


def test_nothing_of_a_program_reaches_the_terminal_as_a_control_sequence():
    """An error message with an escape sequence in it is shown, not obeyed."""
    text = drawn(screen(PROGRESS, ENDED, width=200, height=40), 200)
    assert "\x1b" not in text
    assert "ValueError: ?[31mbad?[0m lr" in text


def test_colours_are_the_sixteen_of_the_terminal():
    """They follow its theme, so that they can be read on dark and on light ground; none is black or white."""
    import re

    text = drawn(screen(PROGRESS, ENDED, width=120, height=40), 120, color="truecolor")
    codes = {int(c) for group in re.findall(r"\x1b\[([0-9;]*)m", text) for c in group.split(";") if c}
    assert codes <= {0, 1, 2, 31, 32, 33}


def test_the_headline_is_the_whole_sweep_in_one_line():
    """For log files."""
    assert headline(PROGRESS) == (
        "digits k3x9w2ab · 9/20 done · 4 running · 1 to run again · 2 failed · 1 stopped early · 4m12s, about 7m11s left"
        " · best 0.94722 (trial 5)"
    )
