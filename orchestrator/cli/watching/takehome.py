"""What is taken from the screen to elsewhere: a trial's command, the page of the sweep."""

import os
import sys
import webbrowser
from pathlib import Path

from orchestrator.cli.watching.followed import Picture
from orchestrator.layout import SweepDir
from orchestrator.ledger.records import TrialRecord
from orchestrator.reporting.recipe import command
from orchestrator.reporting.results import Results


def command_of(sweep_dir: SweepDir, picture: Picture, trial: TrialRecord) -> str | None:
    """Return the trial's command line for a shell; None where the sweep has no program."""
    results = Results(sweep_dir=sweep_dir, record=picture.record, spec=picture.spec, trials=(trial,))
    return command(results, trial)


def write_page(sweep_dir: SweepDir) -> Path:
    """Write report.html and return where it is.

    Raises:
        SweepError, OSError: It cannot be made.
    """
    from orchestrator.reporting.page.render import write_report

    return write_report(sweep_dir)


def opens(path: Path) -> bool:
    """Open a page in the user's browser; return False where no screen can show it: a browser would take this terminal away."""
    has_screen = sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return has_screen and webbrowser.open(path.resolve().as_uri())
