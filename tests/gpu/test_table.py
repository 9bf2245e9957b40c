"""The table: every check has its line, whatever became of it, and a dry run says so twice."""

from tests.gpu.judging import DRY, ON_GPU
from tests.gpu.plan import CHECKS, named
from tests.gpu.table import DRY_RUN, WIDTH, Row, result, text
from tests.gpu.test_judging import SOUND

ALL = [result(Row(planned=check, figures=SOUND[check.name], took_s=12.0), ON_GPU) for check in CHECKS]


def test_every_check_has_a_line_with_its_figures():
    """In the order of items."""
    shown = text(ALL, card="A GPU", is_dry=False, took_s=400.0)
    heads = [line.split()[2] for line in shown.splitlines() if line.startswith("pass")]
    assert sorted(heads) == sorted(check.name for check in CHECKS)
    assert heads == [r["name"] for r in sorted(ALL, key=lambda r: r["item"])]
    assert "warm 0.50 s (0.10 to its first line), python 4.00 s (3.00 to its first line), 8.0 x" in " ".join(
        shown.split()
    )
    assert f"{len(CHECKS)} of {len(CHECKS)} checks passed in 400 s" in shown
    assert all(len(line) <= WIDTH for line in shown.splitlines() if line.startswith(" "))


def test_a_check_that_was_killed_shows_why_and_what_it_had_measured():
    """Half of the figures are better than none."""
    row = Row(
        planned=named("starts"),
        figures={"torch": SOUND["starts"]["torch"], "lanes": 4},
        took_s=90.0,
        problem="killed after 90 s",
    )
    judged = result(row, ON_GPU)
    assert not judged["passed"]
    shown = text([judged], card="A GPU", is_dry=False, took_s=90.0)
    assert "FAIL" in shown
    assert "failed: killed after 90 s" in shown
    assert "torch: warm 0.50 s" in shown
    assert shown.count("'torch+wandb'") == 1


def test_a_dry_run_says_at_both_ends_that_it_proves_nothing():
    """Nobody shall take it for more."""
    shown = text(ALL, card="none", is_dry=True, took_s=1.0)
    assert shown.splitlines()[0] == shown.splitlines()[-1] == DRY_RUN
    assert result(Row(planned=named("ddp"), figures=SOUND["ddp"] | {"backend": "gloo"}), DRY)["passed"]
